"""A user's own `google.genai.Client` as a transport.

The SDK prepares and sends; the response's bytes are read here, including streams. If a version of the SDK
gives no access to a stream's bytes, the SDK parses each chunk and we encode it as JSON again.
"""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson

from llmkit.core import compat
from llmkit.core.errors import BadResponseError, InvalidRequestError
from llmkit.hooks import tracer
from llmkit.transport.aiohttp import DirectResponse, encode
from llmkit.transport.base import WireRequest, answered, broken, status_of, unreachable
from llmkit.transport.departure import never_left
from llmkit.transport.sdk import SDKResponse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from llmkit.transport.base import StreamedResponse

# The fields with bytes, which the SDK writes in the URL-safe alphabet.
_BYTES = re.compile(r'(?<="data":")[\w=-]+(?=")|(?<="thoughtSignature":")[\w=-]+(?=")')


class GenAITransport:
    """Sends requests with a `google.genai.Client`."""

    def __init__(self, client: Any, note: Callable[[Any], None]) -> None:
        self._client = client
        self._note = note

    @property
    def address(self) -> str:
        """The API's name, because the client does not expose its address."""
        return "Google (your own client)"

    def load(self) -> None:
        """Do nothing: the user's client exists, so its SDK is imported."""

    async def send(self, request: WireRequest) -> StreamedResponse:
        """Send a request through the SDK; see `Transport.send`."""
        from google.genai import errors

        self._note(self._client)
        _stay(self._client)
        request.left = True
        try:
            return await self._send(request)
        except asyncio.CancelledError as error:
            request.left = not never_left(error)
            raise error.with_traceback(None) from None  # the SDK's frames hold the key
        except errors.APIError as error:
            headers = getattr(error.response, "headers", {})
            return GenAIResponse(_one(_details(error)), headers, int(error.code or 500), error)
        except (*_unreadable_errors(), *_http_errors()) as error:
            response = answered(error)
            if response is not None and status_of(response) >= 400:  # its status is enough
                return GenAIResponse(_one(b""), response.headers, status_of(response), error)
            if isinstance(error, _http_errors()):
                request.left = not never_left(error)
                raise unreachable(error, self.address) from error
            raise _unreadable(error) from error
        except ValueError as error:
            request.left = False
            raise InvalidRequestError(f"The google-genai SDK refused the request: {error}.") from error

    async def _send(self, request: WireRequest) -> StreamedResponse:
        from google.genai.types import GenerateContentConfig, HttpOptions, HttpRetryOptions

        models = self._client.aio.models
        if request.body is None:
            return await _listed(models)
        encode(request.body)  # invalid JSON values are refused here; the SDK would send them
        body = dict(request.body)
        arguments = {
            # The path is /v1beta/models/NAME:method; the SDK wants NAME, or tunedModels/NAME.
            "model": request.path.rpartition(":")[0].split("/", 2)[-1].removeprefix("models/"),
            "contents": body.pop("contents"),
            "config": GenerateContentConfig(
                # Without retry options, the SDK silently repeats a failed connection.
                http_options=HttpOptions(
                    extra_body=body,
                    retry_options=HttpRetryOptions(attempts=1),
                    headers=dict(request.headers) if request.headers else None,
                ),
                should_return_http_response=not request.stream,
            ),
        }
        if request.stream:
            return await _streamed(models, arguments)
        answer = (await _sdks(models, "generate_content")(**arguments)).sdk_http_response
        return GenAIResponse(_one((answer.body or "").encode()), answer.headers)

    async def aclose(self) -> None:
        """Leave the user's client open."""


async def _listed(models: Any) -> GenAIResponse:
    pager = await models.list(config={"query_base": True})
    names = [{"name": model.name} async for model in pager]
    return GenAIResponse(_one(orjson.dumps({"models": names})))


async def _streamed(models: Any, arguments: dict[str, Any]) -> StreamedResponse:
    sender = _sender(models)
    through = models if sender is None else type(models)(sender)
    stream = await _sdks(through, "generate_content_stream")(**arguments)
    first = await anext(aiter(stream), None)  # the SDK sends on the first step, so errors are raised here
    raw = None if sender is None else sender.response
    return GenAIResponse(_events(first, stream)) if raw is None else _raw(raw)


def _sdks(models: Any, name: str) -> Any:
    """Return a method; of a traced call, without what an instrumentation has put around that of the SDK.

    Google's instrumentation would make a second span for a call that has one.
    """
    function = getattr(type(models), name, None)
    if tracer() is None or function is None or name in vars(models):
        return getattr(models, name)
    while type(function).__module__.partition(".")[0] == "wrapt":
        function = function.__wrapped__
    return partial(function, models)


def _stay(client: Any) -> None:
    """Prevent a user's client from following redirects; there is no public option per request."""
    inner = getattr(client, "_api_client", None)
    through_aiohttp = getattr(inner, "_async_client_session_request_args", None)
    if isinstance(through_aiohttp, dict):
        through_aiohttp["allow_redirects"] = False
    http = getattr(inner, "_async_httpx_client", None)  # used without aiohttp
    if http is not None:
        for one in (http, *getattr(http, "_loop_clients", {}).values()):
            one.follow_redirects = False
        # For the clients that it creates later, one per event loop.
        getattr(http, "_client_kwargs", {})["follow_redirects"] = False


def _sender(models: Any) -> _Sender | None:
    """Return access to the bytes of a stream; `None` if this version of the SDK is built differently."""
    inner = getattr(models, "_api_client", None)
    needed = all(hasattr(inner, name) for name in ("_build_request", "_async_request"))
    return _Sender(inner) if needed else None


class _Sender:
    """The SDK's inner client, but streams are not read: the SDK's reader supports neither comments nor pings.

    Attributes:
        response: The HTTP library's response, whose headers have arrived.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.response: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def async_request_streamed(
        self, http_method: str, path: str, request_dict: Any, http_options: Any = None
    ) -> AsyncGenerator[Any, None]:
        """Send as the SDK does, without yielding chunks."""
        inner = self._inner
        request = inner._build_request(http_method, path, request_dict, http_options)  # noqa: SLF001
        sent = await inner._async_request(  # noqa: SLF001
            http_request=request, http_options=http_options, stream=True
        )
        self.response = sent.response_stream
        return _nothing()


async def _nothing() -> AsyncGenerator[Any, None]:
    nothing: tuple[Any, ...] = ()
    for never in nothing:
        yield never


def _raw(response: Any) -> StreamedResponse:
    """Return a response that the SDK has not read: aiohttp's, or httpx's without aiohttp."""
    return (
        DirectResponse(response)
        if hasattr(response, "content") and hasattr(response, "connection")
        else SDKResponse(response)
    )


class GenAIResponse:
    """A response of the SDK."""

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        headers: Mapping[str, str] | None = None,
        status: int = 200,
        cause: BaseException | None = None,
    ) -> None:
        self._chunks = chunks
        self.status = status
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}
        self.cause = cause

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body; see `StreamedResponse.chunks`."""
        return self._chunks

    async def aclose(self) -> None:
        """Stop reading."""
        await self._chunks.aclose()


async def _one(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body


async def _events(first: Any, rest: Any) -> AsyncGenerator[bytes, None]:
    """Encode the SDK's chunks as events again."""
    from google.genai import errors

    if first is None:
        return
    try:
        yield _event(first)
        async for chunk in rest:
            yield _event(chunk)
    except errors.APIError as error:  # an error inside the stream, as sent by the server
        yield b"data: " + _details(error) + b"\n\n"
    except _unreadable_errors() as error:
        raise _unreadable(error) from error
    except _http_errors() as error:
        raise broken(error) from error
    finally:
        await _leave(rest)


async def _leave(stream: Any) -> None:
    """Close the connection of a stream; the SDK does so when reading is cancelled, but not on `aclose`."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            async for _ in stream:
                pass  # data that has already arrived
    await stream.aclose()


def _unreadable_errors() -> tuple[type[Exception], ...]:
    """Return the SDK's exceptions for responses that are not Google's."""
    from google.genai.errors import UnknownApiResponseError
    from pydantic import ValidationError

    unforeseen = (AttributeError, KeyError, TypeError, RecursionError)
    return (UnknownApiResponseError, json.JSONDecodeError, UnicodeDecodeError, ValidationError, *unforeseen)


def _http_errors() -> tuple[type[Exception], ...]:
    import aiohttp

    return (*compat.http_errors(), aiohttp.ClientError, zlib.error, OSError)


def _unreadable(error: Exception) -> BadResponseError:
    # The SDK's messages quote what the server sent.
    said = "".join(c if c.isprintable() else " " for c in str(error)[:300]) or type(error).__name__
    return BadResponseError(f"The google-genai SDK could not read the answer: {said}.")


def _details(error: Any) -> bytes:
    """Return an error's body; unlike orjson, the standard library encodes lone surrogates."""
    return json.dumps(error.details).encode()


def _event(chunk: Any) -> bytes:
    return b"data: " + _json(chunk) + b"\n\n"


def _json(chunk: Any) -> bytes:
    """Return an SDK object in the API's own spelling."""
    # The excluded field is the SDK's own and did not come from the server's JSON.
    text: str = chunk.model_dump_json(by_alias=True, exclude_none=True, exclude={"sdk_http_response"})
    return _BYTES.sub(_standard, text).encode()


def _standard(match: re.Match[str]) -> str:
    """Return bytes in the API's base64; the SDK uses the URL-safe alphabet."""
    return match[0].replace("-", "+").replace("_", "/")
