"""A user's own client of the OpenAI or Anthropic SDK on the way out: it sends by itself; we read the bytes.

Only it knows its deployment. A client that llmkit makes sends directly, with headers of its own.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import AuthenticationError, InvalidRequestError
from llmkit.transport.base import WireRequest, answered, broken, status_of, unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping


class SDKTransport:
    """Carry requests with a user's SDK client, by its documented `post` and `get` for raw responses."""

    def __init__(self, sdk: str, client: Any, note: Callable[[Any], None]) -> None:
        self._sdk = sdk
        self._own = client
        self._note = note

    @property
    def address(self) -> str:
        """The API's base URL."""
        return str(self._own.base_url)

    def load(self) -> None:
        """Do nothing: the user's client is there, so its SDK is."""

    async def send(self, request: WireRequest) -> SDKResponse:
        """Send a request through the SDK; see `Transport.send`."""
        import httpx2

        self._note(self._own)
        sdk = importlib.import_module(self._sdk)
        options: dict[str, Any] = {
            "max_retries": 0,
            "follow_redirects": False,  # the SDKs would carry x-api-key to another origin
            # On aiohttp "pool" is the time for a connection as a whole, the name's resolution included.
            "timeout": httpx2.Timeout(None, connect=request.connect_timeout, pool=request.connect_timeout),
        }
        base = sdk.APIError.__mro__[1]  # OpenAIError, AnthropicError
        try:
            method = self._own.get if request.body is None else self._own.post
            body = {} if request.body is None else {"body": request.body}
            response = await method(
                request.path,
                cast_to=httpx2.Response,
                options=options,
                stream=True,
                stream_cls=sdk.AsyncStream,
                **body,
            )
        except asyncio.CancelledError as error:
            raise error.with_traceback(None) from None  # frames of the SDK hold the key
        except sdk.APIStatusError as error:
            return SDKResponse(error.response, cause=error)
        except sdk.APIConnectionError as error:  # APITimeoutError is one of them
            return SDKResponse(_refused(error, self.address), cause=error)
        except base as error:
            raise AuthenticationError(
                f"The {self._sdk} SDK could not prepare the request: {error}"
            ) from error
        except _http_errors() as error:  # while the SDK read the body of an error
            return SDKResponse(_refused(error, self.address), cause=error)
        except (TypeError, ValueError) as error:
            raise InvalidRequestError(f"The {self._sdk} SDK refused the request: {error}.") from error
        return SDKResponse(response)

    async def aclose(self) -> None:
        """Leave the user's client open."""


class SDKResponse:
    """An `httpx2.Response` whose headers have arrived."""

    def __init__(self, response: Any, cause: BaseException | None = None) -> None:
        self._response = response
        self.cause = cause

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self._response.status_code)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; looked up in any case."""
        headers: Mapping[str, str] = self._response.headers
        return headers

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives; see `StreamedResponse.chunks`."""
        if self.cause is not None:  # the SDK has read it, as far as it came
            with suppress(*_http_errors()):
                yield self._response.content
            return
        try:
            async with aclosing(self._response.aiter_bytes()) as chunks:
                async for chunk in chunks:
                    yield chunk
        except _http_errors() as error:
            raise broken(error) from error

    async def aclose(self) -> None:
        """Close the response."""
        await self._response.aclose()


def _refused(error: BaseException, address: str) -> Any:
    """Return the answer with an error status whose body could not be read."""
    response = answered(error)
    if response is None or status_of(response) < 400:
        raise unreachable(error, address) from error
    return response


def _http_errors() -> tuple[type[Exception], ...]:
    """Return what reading may raise; a user's own SDK client may still stand on the former httpx."""
    loaded = [sys.modules[name] for name in ("httpx2", "httpx") if name in sys.modules]
    return (OSError, *(error for http in loaded for error in (http.HTTPError, http.StreamError)))
