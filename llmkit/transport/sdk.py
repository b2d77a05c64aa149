"""A user's own client of the OpenAI or Anthropic SDK as a transport: it sends, and we read the bytes.

Only it knows its deployment. Clients that llmkit creates send directly, with their own headers.
"""

from __future__ import annotations

import asyncio
import importlib
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

from llmkit.core import compat
from llmkit.core.errors import AuthenticationError, InvalidRequestError
from llmkit.transport.base import WireRequest, answered, broken, status_of, unreachable
from llmkit.transport.departure import never_left

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping


class SDKTransport:
    """Sends requests with a user's SDK client, through its documented `post` and `get` for raw responses."""

    def __init__(self, sdk: str, client: Any, note: Callable[[Any], None]) -> None:
        self._sdk = sdk
        self._own = client
        self._note = note

    @property
    def address(self) -> str:
        """The API's base URL."""
        return str(self._own.base_url)

    def load(self) -> None:
        """Do nothing: the user's client exists, so its SDK is imported."""

    async def send(self, request: WireRequest) -> SDKResponse:
        """Send a request through the SDK; see `Transport.send`."""
        self._note(self._own)
        sdk = importlib.import_module(self._sdk)
        http = compat.http_library(sdk)
        options: dict[str, Any] = {
            # The engine retries, so that each attempt is shown and paid for in the record.
            "max_retries": 0,
            "follow_redirects": False,  # the SDKs would send x-api-key to another origin
            # With aiohttp, "pool" is the total time for a connection, including name resolution.
            "timeout": http.Timeout(None, connect=request.connect_timeout, pool=request.connect_timeout),
        }
        if request.headers:
            options["headers"] = dict(request.headers)
        base = sdk.APIError.__mro__[1]  # OpenAIError, AnthropicError
        request.left = True
        try:
            method = self._own.get if request.body is None else self._own.post
            body = {} if request.body is None else {"body": request.body}
            response = await method(
                request.path,
                cast_to=http.Response,
                options=options,
                stream=True,
                stream_cls=sdk.AsyncStream,
                **body,
            )
        except asyncio.CancelledError as error:
            request.left = not never_left(error)
            raise error.with_traceback(None) from None  # the SDK's frames hold the key
        except sdk.APIStatusError as error:
            return SDKResponse(error.response, cause=error)
        except sdk.APIConnectionError as error:  # includes APITimeoutError
            request.left = not never_left(error)
            return SDKResponse(_refused(error, self.address), cause=error)
        except base as error:
            request.left = False
            raise AuthenticationError(
                f"The {self._sdk} SDK could not prepare the request: {error}"
            ) from error
        except _http_errors() as error:  # raised while the SDK read the body of an error
            request.left = not never_left(error)
            return SDKResponse(_refused(error, self.address), cause=error)
        except (TypeError, ValueError) as error:
            request.left = False
            raise InvalidRequestError(f"The {self._sdk} SDK refused the request: {error}.") from error
        return SDKResponse(response)

    async def aclose(self) -> None:
        """Leave the user's client open."""


class SDKResponse:
    """A response of httpx2 or httpx whose headers have arrived."""

    def __init__(self, response: Any, cause: BaseException | None = None) -> None:
        self._response = response
        self.cause = cause

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self._response.status_code)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, case-insensitive."""
        headers: Mapping[str, str] = self._response.headers
        return headers

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives; see `StreamedResponse.chunks`."""
        if self.cause is not None:  # the SDK has read it, at least partly
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
    """Return the response with an error status whose body could not be read."""
    response = answered(error)
    if response is None or status_of(response) < 400:
        raise unreachable(error, address) from error
    return response


def _http_errors() -> tuple[type[Exception], ...]:
    return (OSError, *compat.http_errors())
