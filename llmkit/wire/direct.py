"""The direct carrier: aiohttp, with headers that somebody else prepares."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import orjson

from llmkit.errors import ConfigurationError, InvalidRequestError
from llmkit.wire.carrier import PerLoop, WireRequest, broken, unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    import aiohttp

LARGE = 2**20
"""Bytes from which on aiohttp wants a body in pieces: sent at once, it would hold up the other calls."""


class DirectCarrier:
    """Carry requests with aiohttp.

    Args:
        address: The API's base URL, without a slash at its end.
        headers: Prepares the headers; called for every request.
    """

    def __init__(self, address: str, headers: Callable[[], Mapping[str, str]]) -> None:
        if not address.isprintable() or " " in address:
            raise ConfigurationError(
                f"{address!r:.80} is no web address.",
                hint="It has blanks or control characters: remove them.",
            )
        if "@" in urlsplit(address).netloc:
            raise ConfigurationError(
                "An address must not hold a name or a password.", hint="Give the key as api_key."
            )
        self._address = address.rstrip("/")
        self._headers = headers
        self._sessions = PerLoop(self._session, lambda session: session.close())
        self._proxy = _proxy(self._address)

    @property
    def address(self) -> str:
        """The API's base URL."""
        return self._address

    def load(self) -> None:
        """Import aiohttp, and what prepares the headers; see `Carrier.load`."""
        import aiohttp  # noqa: F401 - for its own sake

        self._headers()

    async def send(self, request: WireRequest) -> DirectExchange:
        """Send a request; see `Carrier.send`."""
        import aiohttp

        session = await self._sessions.get()
        get = request.body is None
        try:
            response = await session.request(
                "GET" if get else "POST",
                self._address + request.path,
                data=None if get else _payload(request.body),
                headers={"content-type": "application/json", **self._headers()},
                timeout=aiohttp.ClientTimeout(total=None, connect=request.connect_timeout),
                allow_redirects=False,
                proxy=self._proxy,
            )
        except asyncio.CancelledError as error:
            raise error.with_traceback(None) from None  # frames of aiohttp hold the key
        except aiohttp.InvalidURL as error:
            raise InvalidRequestError(f"{self._address}{request.path} is not a web address.") from error
        except (aiohttp.ClientError, OSError) as error:  # before ValueError: a certificate's error is both
            raise unreachable(error, self.address) from error
        except ValueError:  # its traceback would show the headers
            raise InvalidRequestError("The key or a header has characters that cannot be sent.") from None
        return DirectExchange(response)

    async def aclose(self) -> None:
        """Close the running loop's session."""
        await self._sessions.aclose()

    def _session(self) -> aiohttp.ClientSession:
        import aiohttp
        import httpx2

        # The certificates that the SDKs trust: some systems' Python has none of its own.
        tls = httpx2.create_ssl_context() if self._address.startswith("https:") else True
        # No limit here: how many calls run at once is the caller's decision (RequestQueue).
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=tls))


class DirectExchange:
    """An `aiohttp.ClientResponse` whose headers have arrived.

    Args:
        response: The raw response.
    """

    cause: BaseException | None = None

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        connection = response.connection
        protocol = None if connection is None else connection.protocol
        self._lost = None if protocol is None else protocol.closed
        if self._lost is not None:
            self._lost.add_done_callback(self._leave)
        elif protocol is not None:  # it is gone already
            self._leave()

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; looked up in any case."""
        return self._response.headers

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it arrives; see `Exchange.chunks`."""
        import aiohttp

        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            if self.status < 400:  # the status says enough
                raise broken(error) from error

    async def aclose(self) -> None:
        """Close the connection if the body was not read to its end, else give it back."""
        if self._lost is not None:
            self._lost.remove_done_callback(self._leave)
            self._lost.remove_done_callback(_noted)
            self._lost.add_done_callback(_noted)
        if self._response.content.is_eof():
            self._response.release()
        else:
            self._response.close()

    def _leave(self, lost: asyncio.Future[None] | None = None) -> None:
        """Tell the reader that the connection is gone: aiohttp does not when a chunk was broken."""
        import aiohttp

        if lost is not None:
            _noted(lost)
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("its chunks are broken"))


def _noted(lost: asyncio.Future[None]) -> None:
    """Look at how a connection ended: asyncio complains of exceptions that nobody has seen."""
    if not lost.cancelled():
        lost.exception()


def _payload(body: Any) -> bytes | io.BytesIO:
    data = encode(body)
    return data if len(data) < LARGE else io.BytesIO(data)


def encode(body: Any) -> bytes:
    """Return a JSON body as bytes.

    Args:
        body: Plain data.

    Raises:
        InvalidRequestError: If it holds something that JSON cannot say, such as half a surrogate pair.
    """
    try:
        return orjson.dumps(body)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"The request cannot be written as JSON: {error}.") from error


def _proxy(address: str) -> str | None:
    """Return the environment's proxy for an address.

    aiohttp would look it up for every request, in a thread, and might send credentials from `.netrc`.
    """
    parts = urlsplit(address)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)
