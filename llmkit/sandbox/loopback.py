"""The server: a socket, a daemon thread with its own event loop, and one shared server per process."""

from __future__ import annotations

import asyncio
import atexit
import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from llmkit.core.errors import ConfigurationError
from llmkit.sandbox.batches.store import BATCH_SECONDS, BatchStore
from llmkit.sandbox.clock import Clock
from llmkit.sandbox.faults import parse
from llmkit.sandbox.journal import Journal
from llmkit.sandbox.mounts import MOUNTS
from llmkit.sandbox.rate_limits import Limits, RateLimiter

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from llmkit.sandbox.dialects.dialect import ProtocolName
    from llmkit.sandbox.journal import SeenRequest

HOST: Final = "127.0.0.1"
"""The only address that is served."""

FIRST_TOKEN = 0.15
"""Seconds before the first text, by default."""

RATE = 60.0
"""Tokens per second, by default."""

_BACKLOG = 1024
_LAST_PORT = 65_535
# Seconds after which a stopping server aborts open responses.
_GRACE = 0.05
_JOIN = 10.0


class SandboxServer:
    """A loopback server that speaks the wire formats of OpenAI, Anthropic and Google.

    It listens as soon as it is created: the socket is bound here, and connections that arrive before the
    thread is ready wait in the socket's queue. Creating a server therefore does not block a running event
    loop; `stop` does, for some milliseconds.

    Raises:
        ConfigurationError: If it cannot listen on the port.

    Example:
        >>> with SandboxServer(rate=0, first_token=0) as server:
        ...     server.url("anthropic") == f"http://127.0.0.1:{server.port}/anthropic"
        True
    """

    def __init__(
        self,
        *,
        port: int = 0,
        first_token: float = FIRST_TOKEN,
        rate: float = RATE,
        fault: str = "",
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        batch_seconds: float = BATCH_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        parse(fault)
        self._clock = Clock(clock)
        limiter = RateLimiter(Limits(requests_per_minute, tokens_per_minute), self._clock)
        batches = BatchStore(clock=self._clock, seconds=batch_seconds)
        self._journal = Journal(
            first_token=first_token,
            rate=rate,
            fault=fault,
            clock=self._clock,
            limiter=limiter,
            batches=batches,
        )
        self._socket = _listening(port)
        self._port: int = self._socket.getsockname()[1]
        self._pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="llmkit-sandbox", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def requests(self) -> deque[SeenRequest]:
        """The latest requests, oldest first; the server's thread adds to them."""
        return self._journal.requests

    def url(self, protocol: ProtocolName = "openai") -> str:
        """Return the base URL for an SDK."""
        if protocol not in MOUNTS:
            raise ValueError(f"The sandbox does not speak {protocol!r}; it speaks {', '.join(MOUNTS)}.")
        return f"http://{HOST}:{self._port}{MOUNTS[protocol]}"

    def fail_next(self, fault: str, times: int = 1) -> None:
        """Make the next requests fail."""
        parse(fault)
        self._journal.failures.extend([fault] * times)

    def fail_in_batch(self, fault: str, times: int = 1) -> None:
        """Make the next requests inside batches fail; a fault's `status` and `tokens` hold there."""
        parse(fault)
        self._journal.batches.failures.extend([fault] * times)

    def advance(self, seconds: float) -> None:
        """Let time pass at once for rate limits and batches.

        Raises:
            ValueError: If the number of seconds is negative.
        """
        self._clock.advance(seconds)

    def stop(self) -> None:
        """Stop listening, abort open responses, and wait for the thread.

        A second call does nothing, nor does a call in a forked process.
        """
        atexit.unregister(self.stop)
        if os.getpid() != self._pid or not self._thread.is_alive():
            return
        # The thread may end between the check and the call.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(_JOIN)

    def forget(self) -> None:
        """Close a forked process's copy of the listening socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<SandboxServer http://{HOST}:{self._port}>"

    def _run(self) -> None:
        with self._socket, asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            # Loaded in this thread, so that starting a server does not wait for aiohttp.
            import llmkit.sandbox.app  # noqa: F401

            runner.run(self._serve())

    async def _serve(self) -> None:
        from aiohttp import web

        from llmkit.sandbox.app import build

        # With handler_cancellation a handler is cancelled as soon as its client leaves.
        runner = web.AppRunner(
            build(self._journal), access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE
        )
        await runner.setup()
        try:
            await web.SockSite(runner, self._socket, backlog=_BACKLOG).start()
            await self._stopping.wait()
        finally:
            await runner.cleanup()


class _Shared:
    """Holds the one server of this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.server: SandboxServer | None = None
        # A parent's server is kept, unused: collecting it here would close what the parent still uses.
        self.inherited: list[SandboxServer] = []

    def get(self) -> SandboxServer:
        with self.lock:
            if self.server is None or not self.server._thread.is_alive():  # noqa: SLF001 - same module
                self.server = SandboxServer(
                    first_token=_number("LLMKIT_SANDBOX_FIRST_TOKEN", FIRST_TOKEN),
                    rate=_number("LLMKIT_SANDBOX_RATE", RATE),
                )
            return self.server

    def after_fork(self) -> None:
        # A thread that held the lock at the fork does not exist in the child.
        self.lock = threading.Lock()
        if self.server:
            self.inherited.append(self.server)
            self.server.forget()
            self.server = None


def _listening(port: int) -> socket.socket:
    reason: object = f"ports are 0 to {_LAST_PORT}"
    if 0 <= port <= _LAST_PORT:  # of others, create_server leaves its socket open
        try:
            return socket.create_server((HOST, port), backlog=_BACKLOG)
        except OSError as error:
            reason = error
    raise ConfigurationError(
        f"Cannot serve the sandbox on {HOST}, port {port}: {reason}.",
        hint="Choose another port; 0 is a free one.",
    )


def _number(variable: str, default: float) -> float:
    text = os.environ.get(variable, "").strip()
    try:
        return float(text) if text else default
    except ValueError:
        raise ValueError(f"{variable} is {text!r}; set it to a number, e.g. 0.") from None


_shared = _Shared()

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_shared.after_fork)


def shared() -> SandboxServer:
    """Return the one server of this process, and start it if it does not run."""
    return _shared.get()
