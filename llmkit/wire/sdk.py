"""The OpenAI and Anthropic SDKs as carriers: they resolve, sign and send; we read the bytes."""

from __future__ import annotations

import importlib
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from llmkit.errors import AuthenticationError, InvalidRequestError
from llmkit.wire.carrier import PerLoop, WireRequest, broken, unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping


class SDKCarrier:
    """Carry requests with an SDK client's documented `post` and `get` for raw responses.

    Args:
        sdk: Name of the SDK's module, `"openai"` or `"anthropic"`; it is imported at the first call.
        make: Makes an SDK client; called once per event loop.
        prepare: Called with the SDK client before every request, to bring its key up to date.
        address: The API's base URL, for messages.
        client: The user's own SDK client, in place of `make`; it is never closed here.
    """

    def __init__(
        self,
        sdk: str,
        *,
        make: Callable[[], Any],
        prepare: Callable[[Any], None] | None = None,
        address: str,
        client: Any = None,
    ) -> None:
        self._sdk = sdk
        self._clients = PerLoop(make, lambda made: made.close())
        self._prepare = prepare
        self._address = address
        self._own = client

    @property
    def address(self) -> str:
        """The API's base URL."""
        return str(self._own.base_url) if self._own is not None else self._address

    async def client(self) -> Any:
        """Return the SDK client of the running event loop."""
        if self._own is not None:
            return self._own
        client = await self._clients.get()
        if self._prepare is not None:
            self._prepare(client)
        return client

    async def send(self, request: WireRequest) -> SDKExchange:
        """Send a request through the SDK; see `Carrier.send`."""
        import httpx2

        sdk = importlib.import_module(self._sdk)
        options: dict[str, Any] = {
            "max_retries": 0,
            "follow_redirects": False,  # the SDKs would carry x-api-key to another origin
            "timeout": httpx2.Timeout(None, connect=request.connect_timeout),
        }
        base = sdk.APIError.__mro__[1]  # OpenAIError, AnthropicError
        try:
            client = await self.client()
            method = client.get if request.body is None else client.post
            body = {} if request.body is None else {"body": request.body}
            response = await method(
                request.path,
                cast_to=httpx2.Response,
                options=options,
                stream=True,
                stream_cls=sdk.AsyncStream,
                **body,
            )
        except sdk.APIStatusError as error:
            return SDKExchange(error.response, cause=error)
        except sdk.APIConnectionError as error:  # APITimeoutError is one of them
            raise unreachable(error, self.address) from error
        except base as error:
            raise AuthenticationError(
                f"The {self._sdk} SDK could not prepare the request: {error}"
            ) from error
        except (TypeError, ValueError) as error:
            raise InvalidRequestError(f"The {self._sdk} SDK refused the request: {error}.") from error
        return SDKExchange(response)

    async def aclose(self) -> None:
        """Close the running loop's SDK client; the user's own stays open."""
        await self._clients.aclose()


class SDKExchange:
    """An `httpx2.Response` whose headers have arrived.

    Args:
        response: The raw response.
        cause: The SDK's exception, for an error status.
    """

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
        """Yield the body as it arrives; see `Exchange.chunks`."""
        import httpx2

        if self.cause is not None:  # the SDK has read it
            yield self._response.content
            return
        try:
            async with aclosing(self._response.aiter_bytes()) as chunks:
                async for chunk in chunks:
                    yield chunk
        except (httpx2.HTTPError, httpx2.StreamError, OSError) as error:
            raise broken(error) from error

    async def aclose(self) -> None:
        """Close the response."""
        await self._response.aclose()
