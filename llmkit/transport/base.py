"""The contract of transports, and the management of their sessions.

A transport sends one request and returns the response's bytes. It knows addresses and credentials,
but not the meaning of the bytes.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import re
import weakref
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from llmkit.core.errors import (
    BadResponseError,
    LLMClientError,
    LLMTimeoutError,
    ProviderNotAvailableError,
    StreamInterruptedError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping

T = TypeVar("T")
K = TypeVar("K")

_UNPACKING = re.compile("Decod|Decompress|ContentEncoding")
"""Names of the HTTP libraries' exceptions for invalid compression."""

_NUMBER = re.compile(r"^\[Errno -?\d+\] ")
"""The operating system's error number, removed from messages."""

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection."""


@dataclass(slots=True, kw_only=True)  # not frozen: every call makes one
class WireRequest:
    """An encoded request.

    Attributes:
        path: Path below the API's base URL, e.g. `"/chat/completions"`.
        body: The JSON body; `None` makes it a GET.
        content: A body that is already encoded, in place of `body`.
        headers: Further headers; they replace those of the transport.
        stream: Whether to read the response as it arrives.
        connect_timeout: Seconds to wait for a connection.
        left: Whether its bytes may have left; the transport says so before they can, and takes it back if
            they certainly have not.
    """

    path: str
    body: Mapping[str, Any] | None = None
    stream: bool = False
    connect_timeout: float = CONNECT_TIMEOUT
    content: bytes | None = None
    headers: Mapping[str, str] | None = None
    left: bool = False


class OutgoingRequest(NamedTuple):
    """The parts of a request that a signature covers: method, address with its query, and body."""

    method: str
    url: str
    body: bytes


class Framing(Protocol):
    """Divides the bytes of one stream into events, wherever they are split.

    An event is a name (empty if it has none) and its data.

    Attributes:
        documents: First bytes of a body that is a whole answer or an HTML page, if the server sent no stream.
    """

    documents: ClassVar[frozenset[bytes]]

    def feed(self, chunk: bytes) -> list[tuple[bytes, bytes]]:
        """Add bytes and return complete events."""
        ...

    def close(self) -> list[tuple[bytes, bytes]]:
        """End the stream and return the remaining events."""
        ...


class Chunks(Protocol):
    """The bytes of a body as they arrive: what an asynchronous generator is, and what costs less."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def __anext__(self) -> Awaitable[bytes]: ...

    def aclose(self) -> Awaitable[object]:
        """End the iteration."""
        ...


class StreamedResponse(Protocol):
    """A response whose headers have arrived."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, with lower-case names."""
        ...

    @property
    def cause(self) -> BaseException | None:
        """The SDK's own exception for an error status, if it raised one."""
        ...

    def chunks(self) -> Chunks:
        """Return the body as it arrives."""
        ...

    async def aclose(self) -> None:
        """Return the connection to the pool, or close it if the body was not read to its end."""
        ...


class Transport(Protocol):
    """Sends requests to one API with one set of credentials."""

    @property
    def address(self) -> str:
        """The API's base URL, for messages and as a key for what is known about a server."""
        ...

    def load(self) -> None:
        """Import what sending needs. This may take two seconds, which do not count towards the timeouts."""
        ...

    async def send(self, request: WireRequest) -> StreamedResponse:
        """Send a request and wait for the response headers, whatever the status."""
        ...

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        ...


class PerLoop(Generic[K, T]):
    """One object per event loop, process and kind, created on first use and closed with its loop.

    HTTP sessions are bound to the loop on which they were created; use from another fails with "Event loop
    is closed", and a fork must not share a parent's sockets.

    Abandoned objects print no warnings under a cell: an object is closed when its loop
    shuts down, when the owner is collected, or when the process ends.
    """

    def __init__(
        self, make: Callable[[K], T], close: Callable[[T], Awaitable[None]], drop: Callable[[T], None]
    ) -> None:
        self._make = make
        self._kept: _Kept[K, T] = self._keep(_Kept(close, drop))

    async def get(self, kind: K) -> T:
        """Return the running loop's object of a kind."""
        loop = asyncio.get_running_loop()
        kept = self._kept
        if kept.pid != os.getpid():
            _INHERITED.append(
                kept
            )  # the parent's sockets; closing them here would break the parent's connections
            self._kept = kept = self._keep(_Kept(kept.close, kept.drop))
        if (made := kept.made.get((loop, kind))) is not None:
            return made[0]
        # Each `asyncio.run` has a new loop, so the sessions of old ones would pile up.
        kept.forget_closed_loops()
        item = self._make(kind)
        open_: list[T] = [item]
        keeper = _keep(open_, kept.close)
        kept.made[loop, kind] = (item, open_, keeper)
        await anext(keeper)  # registers it with the loop, which ends it at shutdown
        return item

    def _keep(self, kept: _Kept[K, T]) -> _Kept[K, T]:
        """Close what is still open when this is collected or the process ends."""
        # At the end of the process `_leave_all` does it, except for loops that still run.
        weakref.finalize(self, _leave, kept).atexit = False
        _KEPT.add(kept)
        return kept

    async def aclose(self) -> None:
        """Close the running loop's objects."""
        await self._kept.aclose(asyncio.get_running_loop())


class _Kept(Generic[K, T]):
    """The objects of one owner, with their loops."""

    def __init__(self, close: Callable[[T], Awaitable[None]], drop: Callable[[T], None]) -> None:
        self.close = close
        self.drop = drop
        self.pid = os.getpid()
        self.made: dict[
            tuple[asyncio.AbstractEventLoop, K], tuple[T, list[T], AsyncGenerator[None, None]]
        ] = {}

    async def aclose(self, loop: asyncio.AbstractEventLoop) -> None:
        for key in [key for key in self.made if key[0] is loop]:
            await self.made.pop(key)[2].aclose()

    def forget_closed_loops(self) -> None:
        for loop in {loop for loop, _ in self.made if loop.is_closed()}:
            self.leave(loop)

    def leave(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the objects of a loop immediately, without a task that might not finish."""
        for key in [key for key in list(self.made) if key[0] is loop]:
            item, open_, keeper = self.made.pop(key)
            self.drop(item)
            # Nothing is left to wait for, so one step ends the generator. An unfinished generator
            # would be ended by a task on a loop that may already be closed.
            open_.clear()
            with suppress(StopIteration, RuntimeError):  # its loop is already ending it
                keeper.aclose().__await__().__next__()


_KEPT: weakref.WeakSet[_Kept[Any, Any]] = weakref.WeakSet()
"""An object with an owner."""


@atexit.register
def _leave_all() -> None:
    """Close what is open at the end of the process, except on loops that still run in threads."""
    for kept in list(_KEPT):
        if not any(loop.is_running() for loop, _ in kept.made):
            _leave(kept)


_INHERITED: list[Any] = []
"""Objects inherited from the parent process; never used."""


def _leave(kept: _Kept[Any, Any]) -> None:
    """Close what an owner left open when it is collected or the process ends."""
    if kept.pid != os.getpid():
        _INHERITED.append(kept)
        return
    for loop in {loop for loop, _ in list(kept.made)}:
        if loop.is_running():
            with suppress(RuntimeError):  # closed in the meantime
                loop.call_soon_threadsafe(kept.leave, loop)
        else:
            kept.leave(loop)


async def _keep(open_: list[T], close: Callable[[T], Awaitable[None]]) -> AsyncGenerator[None, None]:
    """Close what is open when its loop shuts down its generators, at the end of `asyncio.run`."""
    try:
        yield
    finally:
        while open_:
            await close(open_.pop())


def unreachable(error: BaseException, address: str) -> LLMClientError:
    """Return the error for a request without a response, or with a broken body that the library read."""
    reasons = _chain(error)
    for reason in reasons:
        _hide_headers(reason)
    if any(map(_of_the_body, reasons)):
        return broken(error)
    texts = (str(e) for e in reversed(reasons) if isinstance(getattr(e, "message", ""), str))
    text = next(
        filter(None, texts), "the server closed the connection"
    )  # aiohttp's message is a partial header
    text = _NUMBER.sub("", text)
    if any(isinstance(e, TimeoutError) for e in reasons):  # the SDKs raise it for a refused connection, too
        return LLMTimeoutError(f"Cannot connect to {address}: the connect timeout expired.")
    tls = any(map(_of_tls, reasons))
    return ProviderNotAvailableError(
        f"No answer from {address}: {text}.",
        # A certificate will be as wrong at the next attempt.
        retryable=not tls,
        hint="Check the address, the network and the server's certificate." if tls else None,
    )


def answered(error: BaseException) -> Any:
    """Return the response whose body an SDK failed to read, if headers had arrived."""
    for reason in _chain(error):
        places = [vars(reason)]
        step = reason.__traceback__
        while step is not None:
            places.append(step.tb_frame.f_locals)
            step = step.tb_next
        # The innermost frame first, because it read the body.
        for place in reversed(places):
            # The SDKs' names for a response, as attributes and local variables.
            for name in ("unwrapped_response", "response", "client_response"):
                if _status(place.get(name)) is not None:
                    return place[name]
    return None


def status_of(response: Any) -> int:
    """Return the status of any HTTP library's response."""
    return _status(response) or 0


def _status(response: Any) -> int | None:
    for name in ("status", "status_code"):
        value = getattr(response, name, None)
        if isinstance(value, int) and hasattr(response, "headers"):
            return value
    return None


def _of_the_body(error: BaseException) -> bool:
    """Whether headers had arrived, so that the error is about the body's length, chunks or compression."""
    kind, said = type(error).__name__, getattr(error, "message", "")
    return bool(_UNPACKING.search(kind)) or "Payload" in kind or (isinstance(said, str) and " chunk" in said)


def _of_tls(error: BaseException) -> bool:
    """Whether a TLS handshake failed; by name, because each HTTP library wraps Python's error."""
    return "ssl" in type(error).__name__.lower() or "certificate" in str(error).lower()


def _hide_headers(error: BaseException) -> None:
    """Remove the request headers from an aiohttp exception, because its repr would show the key."""
    import aiohttp
    from multidict import CIMultiDict, CIMultiDictProxy

    if isinstance(error, aiohttp.ClientResponseError):
        nothing: CIMultiDict[str] = CIMultiDict()
        error.request_info = error.request_info._replace(headers=CIMultiDictProxy(nothing))
        error.args = (error.request_info, error.history)


def broken(error: BaseException) -> LLMClientError:
    """Return the error for an incomplete body; the caller adds the partial text."""
    if any(isinstance(e, zlib.error) or _UNPACKING.search(type(e).__name__) for e in _chain(error)):
        return BadResponseError("The compression of the answer is invalid.")
    return StreamInterruptedError(f"The connection broke before the answer was complete{_reason(error)}.")


def _reason(error: BaseException) -> str:
    """Return the operating system's reason for a broken connection; HTTP libraries' messages are internal."""
    texts = (e.strerror for e in _chain(error) if isinstance(e, OSError))
    return next((f": {text}" for text in texts if text), "")


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    # Causes can form a circle.
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
