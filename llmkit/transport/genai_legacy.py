"""Google's former SDK, `google-generativeai`, as a transport.

Its asynchronous REST path does not work, so its synchronous one runs in threads. Its `configure()` is global
to the process and would overwrite the user's own, so the underlying service client is used.

"""

from __future__ import annotations

import importlib.util
import threading
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from llmkit.core.errors import (
    AuthenticationError,
    BadResponseError,
    ConfigurationError,
    InvalidRequestError,
    LLMClientError,
)
from llmkit.transport import certificates
from llmkit.transport.base import WireRequest, broken, unreachable
from llmkit.transport.departure import never_left
from llmkit.transport.proxies import proxy_failed, proxy_for, proxy_refused
from llmkit.transport.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping

SILENCE = 600.0
"""Seconds without data after which an abandoned thread gives up."""

_OPTIONS: dict[str, Any] = {"retry": None, "timeout": SILENCE}  # the SDK would retry


class LegacyTransport:
    """Sends requests with the SDK's synchronous REST transport, in threads."""

    def __init__(self, address: Callable[[], str], key: Callable[[], str], model: Any = None) -> None:
        self._place = address
        self._key = key
        self._model = model

    @property
    def address(self) -> str:
        """The API's base URL."""
        return self._place()

    def load(self) -> None:
        """Do nothing: the client imported the SDK when it was created."""

    async def send(self, request: WireRequest) -> LegacyResponse:
        """Send a request through the SDK; see `Transport.send`."""
        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError
        from google.protobuf import json_format  # type: ignore[import-untyped]  # ships no types
        from requests import TooManyRedirects

        request.left = True
        try:
            return LegacyResponse(await in_thread(self._answer, request))
        except LLMClientError:  # there is no key, or it may not be sent there
            request.left = False
            raise
        except TooManyRedirects as error:
            answer: Any = error.response
            response = LegacyResponse(Body(iter([])), status=answer.status_code, cause=error)
            response.headers = answer.headers
            return response
        except json_format.Error as error:
            raise _unreadable(error) from error
        except GoogleAuthError as error:
            request.left = False
            raise AuthenticationError(
                "The google-generativeai SDK has no key.", hint="Set it with genai.configure(api_key=…)."
            ) from error
        except exceptions.GoogleAPICallError as error:
            return self._refused(error)
        except (exceptions.GoogleAPIError, OSError) as error:  # requests' exceptions are OSErrors
            request.left = not never_left(error)
            raise _lost(error, self.address) from error
        except (TypeError, ValueError, KeyError) as error:
            request.left = False
            raise InvalidRequestError(f"The google-generativeai SDK refused the request: {error}.") from error

    def _refused(self, error: Any) -> LegacyResponse:
        """Return an error status that the SDK raised as its exception."""
        if error.code == 407 and (proxy := proxy_for(self.address)) is not None:
            raise proxy_refused(407, proxy) from error
        # In Google's form, so that it is classified like an error of the server.
        body = orjson.dumps({"error": {"message": error.message, "status": type(error).__name__}})
        return LegacyResponse(Body(iter([body])), status=int(error.code or 500), cause=error)

    async def aclose(self) -> None:
        """Do nothing: each request has its own connection."""

    def _answer(self, request: WireRequest) -> Body:
        """Send the request and wait for the response headers (blocking).

        The SDK cannot parse errors of streams, which are lists; without streaming it can.
        """
        from google.api_core.exceptions import BadRequest

        try:
            return self._ask(request)
        except (AttributeError, BadRequest) as error:  # 'list' object has no attribute 'get'
            if not request.stream or "'get'" not in str(error.__context__ or error):
                raise
        return self._ask(replace(request, stream=False))

    def _ask(self, request: WireRequest) -> Body:
        if request.body is None:
            service = self._service("Model") if self._model is None else _default("model")
            names = [{"name": model.name} for model in service.list_models(**_OPTIONS)]
            return Body(iter([orjson.dumps({"models": names})]))
        if self._model is not None:
            _stay(self._model._client or _default("generative"))  # noqa: SLF001 - there is no public name
            return self._of_own_model(request)
        from google.ai import generativelanguage as glm

        # /v1beta/models/NAME:method becomes models/NAME.
        name = request.path.rpartition(":")[0].split("/", 2)[-1]
        message = glm.GenerateContentRequest.from_json(orjson.dumps({**request.body, "model": name}))
        service = self._service("Generative")
        if not request.stream:
            return Body(iter([_json(service.generate_content(message, **_OPTIONS))]))
        chunks = service.stream_generate_content(message, **_OPTIONS)
        return Body((_event(chunk) for chunk in chunks), chunks.cancel)

    def _of_own_model(self, request: WireRequest) -> Body:
        """Call the user's model, which adds its own instruction, settings and tools."""
        from google.ai import generativelanguage as glm

        body = request.body or {}
        answer = self._model.generate_content(
            [glm.Content.from_json(orjson.dumps(turn)) for turn in _with_instruction(body)],
            generation_config={_snake(k): v for k, v in body.get("generationConfig", {}).items()},
            stream=request.stream,
            request_options=_OPTIONS,
        )
        if request.stream:
            return Body(_event(chunk) for chunk in _unblocked(answer))
        return Body(iter([_json(_plain(answer))]))

    def _service(self, kind: str) -> Any:
        from google.ai import generativelanguage as glm
        from google.api_core.gapic_v1.client_info import ClientInfo

        agent = f"genai-py/{load_sdk().__version__}"
        service = getattr(glm, f"{kind}ServiceClient")(
            transport="rest",
            # The key is not a variable in any frame, because tracebacks may show variables.
            client_options={"api_endpoint": self.address, "api_key": self._key()},
            client_info=ClientInfo(user_agent=agent),  # type: ignore[no-untyped-call]  # theirs
        )
        _stay(service)
        _prepare(service.transport._session, self.address)  # noqa: SLF001 - there is no public way
        return service


def _default(kind: str) -> Any:
    """Return the service client of the user's `configure()`."""
    from google.generativeai import client

    manager: Any = client._client_manager  # noqa: SLF001 - public by other names
    service = manager.get_default_client(kind)
    _stay(service)
    return service


def _prepare(session: Any, address: str) -> None:
    """Set the proxy and certificates of all our clients on the SDK's session."""
    # requests reads these variables by its own rules; all our clients follow the same ones.
    session.trust_env = False
    if address.startswith("https:") and (named := certificates.named()):
        certificates.context(named)  # raises if invalid
        session.verify = named[0][1]
    proxy = proxy_for(address)
    if proxy is None:
        return
    if proxy.socks and importlib.util.find_spec("socks") is None:
        raise ConfigurationError(
            f"{proxy.variable} names a SOCKS proxy, for which requests needs another package.",
            hint="pip install PySocks, use GoogleAIClient, or exclude the address in no_proxy.",
        )
    session.proxies = dict.fromkeys(("http", "https"), proxy.whole_url())


def _lost(error: Exception, address: str) -> LLMClientError:
    """Return the error for a failed connection, which the proxy may have caused."""
    from requests.exceptions import ProxyError

    proxy = proxy_for(address) if isinstance(error, ProxyError) else None
    failure = unreachable(error, address)
    return failure if proxy is None else proxy_failed(error, proxy)


def _stay(service: Any) -> None:
    """Prevent a service client from following redirects, which would send the key to another origin."""
    session = getattr(service.transport, "_session", None)  # gRPC has no session and no redirects
    if session is not None:
        # requests then raises TooManyRedirects, from which `send` takes the redirect's status.
        session.max_redirects = 0


class Body:
    """A blocking body; closed between two chunks, or as soon as the pending one arrives."""

    def __init__(self, pieces: Iterator[bytes], close: Callable[[], None] = lambda: None) -> None:
        self._pieces = pieces
        self._close = close
        self._busy = threading.Lock()
        self._left = False

    def next(self) -> bytes | None:
        """Return the next chunk; `None` at the end."""
        with self._busy:
            piece = next(self._pieces, None)
            # `leave` came while this thread was reading, and could not close.
            if self._left:
                self._close()
            return piece

    def leave(self) -> None:
        """Close the connection without waiting."""
        self._left = True
        if self._busy.acquire(blocking=False):
            self._close()
            self._busy.release()


class LegacyResponse:
    """A response of the SDK, read in threads."""

    def __init__(self, body: Body, status: int = 200, cause: BaseException | None = None) -> None:
        self._body = body
        self.status = status
        self.headers: Mapping[str, str] = {}
        self.cause = cause

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body; see `StreamedResponse.chunks`."""
        from google.api_core import exceptions
        from google.protobuf import json_format

        try:
            while (piece := await in_thread(self._body.next)) is not None:
                yield piece
        except (exceptions.GoogleAPIError, OSError) as error:
            raise broken(error) from error
        except (TypeError, ValueError, json_format.Error) as error:
            raise _unreadable(error) from error

    async def aclose(self) -> None:
        """Close the connection; a thread that waits for a chunk does so when it arrives."""
        self._body.leave()


def _unreadable(error: Exception) -> LLMClientError:
    """Return the error for a response that the SDK could not read: truncated, or not Google's."""
    if "Unfinished stream" in str(error):
        return broken(error)
    return BadResponseError(f"The google-generativeai SDK could not read the answer: {error}.")


def load_sdk() -> Any:
    """Import the SDK without its deprecation warnings."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import google.generativeai as sdk
    except ImportError as error:
        raise ConfigurationError(
            "The package google-generativeai is not installed.",
            hint='pip install "jupyter-llmkit[google-legacy]", or use GoogleAIClient, which is maintained.',
        ) from error
    return sdk


def configuration() -> Any:
    """Return the settings of the user's `configure()`, including the key."""
    from google.generativeai import client

    return client._client_manager.client_config.get("client_options")  # noqa: SLF001 - there is no public way


def _with_instruction(body: Mapping[str, Any]) -> list[Any]:
    """Return the turns, preceded by our system instruction, because the user's model occupies its field."""
    turns = list(body["contents"])
    parts = body.get("systemInstruction", {}).get("parts", [])
    if not parts or turns[0]["role"] != "user":
        return [{"role": "user", "parts": parts}, *turns] if parts else turns
    return [{**turns[0], "parts": [*parts, *turns[0]["parts"]]}, *turns[1:]]


def _unblocked(answer: Any) -> Iterator[Any]:
    """Yield the chunks of a user's model; a blocked prompt, which the SDK raises, is an answer."""
    from google.generativeai.types import BlockedPromptException

    try:
        for chunk in answer:
            yield _plain(chunk)
    except BlockedPromptException as blocked:
        yield blocked.args[0]


def _plain(answer: Any) -> Any:
    """Return the message inside the SDK's wrapper."""
    from google.ai import generativelanguage as glm

    return glm.GenerateContentResponse(answer.to_dict())


def _event(chunk: Any) -> bytes:
    return b"data: " + _json(chunk) + b"\n\n"


def _json(chunk: Any) -> bytes:
    """Return a message in the API's own spelling, on one line."""
    text: str = type(chunk).to_json(
        chunk, use_integers_for_enums=False, always_print_fields_with_no_presence=False, indent=None
    )
    return text.encode()


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
