"""Google's former SDK, `google-generativeai`, as a transport.

Its asynchronous REST path is broken, so its synchronous one runs in threads. Its `configure()` is global
to the process, where it would overwrite the user's own; so the service client beneath it is used, which it
installs.
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
from llmkit.transport.proxies import proxy_failed, proxy_for, proxy_refused
from llmkit.transport.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping

SILENCE = 600.0
"""Seconds without a byte after which a thread that nobody waits for gives up."""

_OPTIONS: dict[str, Any] = {"retry": None, "timeout": SILENCE}  # the SDK would try again by itself


class LegacyTransport:
    """Carry requests with the SDK's synchronous REST transport, in threads."""

    def __init__(self, address: Callable[[], str], key: Callable[[], str], model: Any = None) -> None:
        self._place = address
        self._key = key
        self._model = model

    @property
    def address(self) -> str:
        """The API's base URL."""
        return self._place()

    def load(self) -> None:
        """Do nothing: the client imported the SDK when it was made."""

    async def send(self, request: WireRequest) -> LegacyResponse:
        """Send a request through the SDK; see `Transport.send`."""
        from google.api_core import exceptions
        from google.auth.exceptions import GoogleAuthError
        from google.protobuf import json_format  # type: ignore[import-untyped]  # ships no types
        from requests import TooManyRedirects

        try:
            return LegacyResponse(await in_thread(self._answer, request))
        except LLMClientError:  # there is no key, or no word that it may go there
            raise
        except TooManyRedirects as error:
            answer: Any = error.response
            response = LegacyResponse(Body(iter([])), status=answer.status_code, cause=error)
            response.headers = answer.headers
            return response
        except json_format.Error as error:
            raise _unreadable(error) from error
        except GoogleAuthError as error:
            raise AuthenticationError(
                "The google-generativeai SDK has no key.", hint="Give it one: genai.configure(api_key=…)."
            ) from error
        except exceptions.GoogleAPICallError as error:
            return self._refused(error)
        except (exceptions.GoogleAPIError, OSError) as error:  # requests' exceptions are OSErrors
            raise _lost(error, self.address) from error
        except (TypeError, ValueError, KeyError) as error:
            raise InvalidRequestError(f"The google-generativeai SDK refused the request: {error}.") from error

    def _refused(self, error: Any) -> LegacyResponse:
        """Return an error status that the SDK raised as its exception."""
        if error.code == 407 and (proxy := proxy_for(self.address)) is not None:
            raise proxy_refused(407, proxy) from error
        body = orjson.dumps({"error": {"message": error.message, "status": type(error).__name__}})
        return LegacyResponse(Body(iter([body])), status=int(error.code or 500), cause=error)

    async def aclose(self) -> None:
        """Do nothing: each request has a connection of its own."""

    def _answer(self, request: WireRequest) -> Body:
        """Send the request and wait for the answer's headers; blocks.

        The SDK cannot read errors of streams, which are lists; asked plainly, it can.
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

        name = request.path.rpartition(":")[0].split("/", 2)[-1]
        message = glm.GenerateContentRequest.from_json(orjson.dumps({**request.body, "model": name}))
        service = self._service("Generative")
        if not request.stream:
            return Body(iter([_json(service.generate_content(message, **_OPTIONS))]))
        chunks = service.stream_generate_content(message, **_OPTIONS)
        return Body((_event(chunk) for chunk in chunks), chunks.cancel)

    def _of_own_model(self, request: WireRequest) -> Body:
        """Ask the user's model, which adds its own instruction, settings and tools."""
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
            # The key is no variable of any frame: a traceback may show those.
            client_options={"api_endpoint": self.address, "api_key": self._key()},
            client_info=ClientInfo(user_agent=agent),  # type: ignore[no-untyped-call]  # theirs
        )
        _stay(service)
        _prepare(service.transport._session, self.address)  # noqa: SLF001 - there is no public way
        return service


def _default(kind: str) -> Any:
    """Return the service client that the user's `configure()` set up."""
    from google.generativeai import client

    manager: Any = client._client_manager  # noqa: SLF001 - public by other names
    service = manager.get_default_client(kind)
    _stay(service)
    return service


def _prepare(session: Any, address: str) -> None:
    """Let the SDK's session use the proxy and the certificates that all our clients use."""
    session.trust_env = False
    if address.startswith("https:") and (named := certificates.named()):
        certificates.context(named)  # refuses what cannot be used
        session.verify = named[0][1]
    proxy = proxy_for(address)
    if proxy is None:
        return
    if proxy.socks and importlib.util.find_spec("socks") is None:
        raise ConfigurationError(
            f"{proxy.variable} names a SOCKS proxy, which requests cannot use without another package.",
            hint="pip install PySocks, take GoogleAIClient, or except the address in no_proxy.",
        )
    session.proxies = dict.fromkeys(("http", "https"), proxy.whole_url())


def _lost(error: Exception, address: str) -> LLMClientError:
    """Say why no answer came: the proxy may be to blame."""
    from requests.exceptions import ProxyError

    proxy = proxy_for(address) if isinstance(error, ProxyError) else None
    told = unreachable(error, address)
    return told if proxy is None else proxy_failed(error, proxy)


def _stay(service: Any) -> None:
    """Keep a service client from following redirects, which would carry the key to another origin."""
    session = getattr(service.transport, "_session", None)  # gRPC has none, and no redirects
    if session is not None:
        session.max_redirects = 0


class Body:
    """A body that blocks; it is closed between two pieces, or as soon as the running one has come."""

    def __init__(self, pieces: Iterator[bytes], close: Callable[[], None] = lambda: None) -> None:
        self._pieces = pieces
        self._close = close
        self._busy = threading.Lock()
        self._left = False

    def next(self) -> bytes | None:
        """Wait for the next piece; `None` at the end."""
        with self._busy:
            piece = next(self._pieces, None)
            if self._left:
                self._close()
            return piece

    def leave(self) -> None:
        """Close the connection; never waits."""
        self._left = True
        if self._busy.acquire(blocking=False):
            self._close()
            self._busy.release()


class LegacyResponse:
    """An answer of the SDK's, read in threads."""

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
        """Close the connection; a thread that waits for a piece does so when that has come."""
        self._body.leave()


def _unreadable(error: Exception) -> LLMClientError:
    """Say why the SDK could not read an answer: it ended too early, or it is none of Google's."""
    if "Unfinished stream" in str(error):
        return broken(error)
    return BadResponseError(f"The google-generativeai SDK could not read the answer: {error}.")


def load_sdk() -> Any:
    """Import the SDK without the warnings that it prints at every import."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import google.generativeai as sdk
    except ImportError as error:
        raise ConfigurationError(
            "The package google-generativeai is not installed.",
            hint='pip install "llmkit[google-legacy]", or use GoogleAIClient, which is maintained.',
        ) from error
    return sdk


def configuration() -> Any:
    """Return what the user's `configure()` has kept, the key among it."""
    from google.generativeai import client

    return client._client_manager.client_config.get("client_options")  # noqa: SLF001 - there is no public way


def _with_instruction(body: Mapping[str, Any]) -> list[Any]:
    """Return the turns, our own instruction in front: the place for one is taken by the user's model."""
    turns = list(body["contents"])
    parts = body.get("systemInstruction", {}).get("parts", [])
    if not parts or turns[0]["role"] != "user":
        return [{"role": "user", "parts": parts}, *turns] if parts else turns
    return [{**turns[0], "parts": [*parts, *turns[0]["parts"]]}, *turns[1:]]


def _unblocked(answer: Any) -> Iterator[Any]:
    """Yield a user's model's chunks; the SDK raises a blocked prompt, for us it is an answer."""
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
