"""The direct transport: aiohttp, with headers that the client prepares."""

from __future__ import annotations

import asyncio
import io
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeAlias

import orjson

from llmkit.core.addresses import place_of, take_apart
from llmkit.core.errors import InvalidRequestError
from llmkit.transport import certificates
from llmkit.transport.base import OutgoingRequest, PerLoop, WireRequest, broken, unreachable
from llmkit.transport.departure import never_left
from llmkit.transport.proxies import (
    Proxy,
    proxy_failed,
    proxy_for,
    proxy_refused,
    socks_connector,
    socks_errors,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import aiohttp

    from llmkit.core.errors import LLMClientError

LARGE = 2**20
"""Size in bytes above which a body is sent in pieces, because writing a large one blocks other calls."""


Headers: TypeAlias = "Callable[[OutgoingRequest], Mapping[str, str]]"
"""Makes the headers of a request, including a signature over it."""


class DirectTransport:
    """Sends requests with aiohttp."""

    def __init__(
        self,
        address: Callable[[], str],
        prepare: Callable[[], tuple[str, Headers]],
    ) -> None:
        self._place = address
        self._prepare = prepare
        self._sessions: PerLoop[_Kind, _Session] = PerLoop(_Session, _Session.close, _Session.drop)

    @property
    def address(self) -> str:
        """The API's base URL, without its query."""
        return take_apart(self._place())[0]

    def load(self) -> None:
        """Import aiohttp; see `Transport.load`."""
        import aiohttp  # noqa: F401 - imported for later use

    async def send(self, request: WireRequest) -> DirectResponse:
        """Send a request; see `Transport.send`."""
        import aiohttp

        address, sign = self._prepare()
        proxy = proxy_for(address)
        outgoing = _outgoing(place_of(address, request.path), request)
        headers = _Unshown({"content-type": "application/json", **sign(outgoing), **_login(proxy, address)})
        headers.update(request.headers or {})
        session = await self._sessions.get(_kind(address, proxy))
        request.left = True
        try:
            response = await session.http.request(
                outgoing.method,
                outgoing.url,
                data=_payload(outgoing.body),
                headers=headers,
                timeout=_timeout(request.connect_timeout),
                # aiohttp would send x-api-key and x-goog-api-key to another origin.
                allow_redirects=False,
                **_through(proxy, address),
            )
        except asyncio.CancelledError as error:
            request.left = not never_left(error)
            raise error.with_traceback(None) from None  # aiohttp's frames hold the key
        except aiohttp.InvalidURL as error:
            request.left = False
            raise InvalidRequestError(f"{take_apart(outgoing.url)[0]} is not a web address.") from error
        except _no_answer() as error:  # before ValueError: a certificate error is both
            request.left = not never_left(error)
            raise _no_way(error, take_apart(address)[0], proxy) from error
        except ValueError:  # its traceback would show the headers
            request.left = False
            raise InvalidRequestError("The key or a header has characters that are not allowed.") from None
        # For plain HTTP, the proxy's refusal arrives as an ordinary response.
        if response.status == 407 and proxy is not None:
            response.close()
            request.left = False
            raise proxy_refused(407, proxy)
        return DirectResponse(response, session)

    async def aclose(self) -> None:
        """Close the running loop's sessions."""
        await self._sessions.aclose()


class _Unshown(dict[str, str]):
    """Headers whose values tracebacks do not print."""

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"


class _Kind(NamedTuple):
    """Shared settings of a session's connections: certificates and a SOCKS proxy."""

    tls: tuple[tuple[str, str], ...] | None
    socks: Proxy | None


@lru_cache(maxsize=16)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    import aiohttp

    # The engine has its own deadlines; aiohttp's default would end a call after five minutes.
    return aiohttp.ClientTimeout(total=None, connect=connect)


def _kind(address: str, proxy: Proxy | None) -> _Kind:
    # A wrong certificate file must not stop requests that use none, as to a local server.
    tls = certificates.named() if address.startswith("https:") else None
    return _Kind(tls, proxy if proxy is not None and proxy.socks else None)


class _Session:
    """An `aiohttp.ClientSession` and its open responses."""

    def __init__(self, kind: _Kind) -> None:
        import aiohttp

        tls = True if kind.tls is None else certificates.context(kind.tls)
        # No limit here; the caller limits concurrent calls (RequestQueue).
        connector = aiohttp.TCPConnector if kind.socks is None else socks_connector(kind.socks)
        self.http = aiohttp.ClientSession(connector=connector(limit=0, ssl=tls))
        self.answers: set[aiohttp.ClientResponse] = set()

    async def close(self) -> None:
        await self.http.close()

    def drop(self) -> None:
        """Close everything without waiting, so that the garbage collector prints no warnings."""
        connector = self.http.connector
        # Otherwise its destructor prints "Unclosed client session" under an unrelated cell.
        self.http.detach()
        with suppress(RuntimeError):  # the loop is closed
            for answer in self.answers:
                answer.close()
        self.answers.clear()
        # aiohttp's public method to close a connector starts a task, which needs the loop.
        if (close := getattr(connector, "_close", None)) is not None:
            with suppress(RuntimeError):
                close()


def _no_answer() -> tuple[type[Exception], ...]:
    """Return the exceptions of aiohttp and the SOCKS package for failed connections."""
    import aiohttp

    return (aiohttp.ClientError, OSError, *socks_errors())


def _login(proxy: Proxy | None, address: str) -> dict[str, str]:
    """Return the credentials for an HTTP proxy that reads the request."""
    if proxy is None or proxy.socks or not address.startswith("http:"):
        return {}
    return proxy.login()


def _through(proxy: Proxy | None, address: str) -> dict[str, Any]:
    """Return aiohttp's arguments for an HTTP proxy; a SOCKS proxy is set on the session.

    Credentials are sent with the request if the proxy reads it, otherwise with the CONNECT request.
    """
    if proxy is None or proxy.socks:
        return {}
    tunnel = address.startswith("https:") and proxy.name
    return {"proxy": proxy.url, **({"proxy_headers": _Unshown(proxy.login())} if tunnel else {})}


def _no_way(error: Exception, address: str, proxy: Proxy | None) -> LLMClientError:
    """Return the error for a failed connection, which the proxy may have caused."""
    import aiohttp

    failure = unreachable(error, address)
    if proxy is not None and isinstance(error, aiohttp.ClientHttpProxyError):
        return proxy_refused(error.status, proxy)
    if proxy is not None and isinstance(error, (aiohttp.ClientProxyConnectionError, *socks_errors())):
        return proxy_failed(error, proxy)
    variables = " or ".join(name for name, _ in certificates.named())
    if "certificate" in failure.hint and variables:
        failure.hint = f"{failure.hint.rstrip('.')}; {variables} sets the trusted certificates."
    return failure


class DirectResponse:
    """An `aiohttp.ClientResponse` whose headers have arrived."""

    cause: BaseException | None = None

    def __init__(self, response: aiohttp.ClientResponse, session: _Session | None = None) -> None:
        self._response = response
        self._answers = set() if session is None else session.answers
        self._answers.add(response)
        connection = response.connection
        protocol = None if connection is None else connection.protocol
        self._lost = None if protocol is None else protocol.closed
        if self._lost is not None:
            self._lost.add_done_callback(self._leave)
        elif protocol is not None:  # already closed
            self._leave()

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, case-insensitive."""
        return self._response.headers

    def chunks(self) -> _Chunks:
        """Return the body as it arrives; see `StreamedResponse.chunks`."""
        return _Chunks(self._response)

    async def aclose(self) -> None:
        """Return the connection to the pool, or close it if the body was not read to its end."""
        self._answers.discard(self._response)
        if self._lost is not None:
            self._lost.remove_done_callback(self._leave)
            # A connection serves many responses, and the callback must not be added for each.
            self._lost.remove_done_callback(_noted)
            self._lost.add_done_callback(_noted)
        if self._response.content.is_eof():
            self._response.release()
        else:
            self._response.close()

    def _leave(self, lost: asyncio.Future[None] | None = None) -> None:
        """Fail a waiting reader, because aiohttp does not after an invalid chunk."""
        import aiohttp

        if lost is not None:
            _noted(lost)
        content = self._response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("its chunks are invalid"))


class _Chunks:
    """The bytes of a body as they arrive; unlike a generator, the event loop keeps no list of them."""

    __slots__ = ("_response",)

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        import aiohttp

        try:
            chunk = await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            if self._response.status < 400:
                raise broken(error) from error
            raise StopAsyncIteration from None  # the status is enough
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """End; the response closes the connection."""


def _noted(lost: asyncio.Future[None]) -> None:
    """Retrieve a connection's exception, because asyncio warns about exceptions that are never retrieved."""
    if not lost.cancelled():
        lost.exception()


def _outgoing(url: str, request: WireRequest) -> OutgoingRequest:
    if request.content is not None:
        return OutgoingRequest("POST", url, request.content)
    if request.body is None:
        return OutgoingRequest("GET", url, b"")
    return OutgoingRequest("POST", url, encode(request.body))


def _payload(body: bytes) -> bytes | io.BytesIO | None:
    return (body or None) if len(body) < LARGE else io.BytesIO(body)


def encode(body: Any) -> bytes:
    """Return a JSON body as bytes."""
    try:
        return orjson.dumps(body, default=_plain)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"Cannot encode the request as JSON: {error}.") from error


def _plain(value: object) -> float:
    """Return a float for one of a subclass, which orjson refuses: the default temperature is one."""
    if isinstance(value, float):
        return float(value)
    raise TypeError
