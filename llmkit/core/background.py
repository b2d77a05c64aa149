"""An event loop on a daemon thread, for work that must go on while the caller's own loop is blocked."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

T = TypeVar("T")


class Background:
    """A daemon thread with an event loop, one per process, started at its first use.

    Args:
        name: Name of the thread.
        grace: Seconds that the tasks have to clean up when the process exits.
    """

    def __init__(self, name: str, grace: float) -> None:
        self._name = name
        self._grace = grace
        self._lock = threading.Lock()
        self._pid = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop; start it if this process has none yet."""
        with self._lock:
            # A forked process inherits the loop but not the thread that runs it.
            if self._loop is None or self._pid != os.getpid():
                self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
                thread = threading.Thread(
                    target=_serve, args=(self._loop, self._grace), daemon=True, name=self._name
                )
                thread.start()
                # A daemon thread would otherwise be ended in the middle of its work.
                atexit.register(_stop, self._loop, thread, self._grace)
            return self._loop

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Schedule a coroutine on the loop and return at once, for handlers that must not block."""
        return asyncio.run_coroutine_threadsafe(work, self.loop())


def _serve(loop: asyncio.AbstractEventLoop, grace: float) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        if tasks := asyncio.all_tasks(loop):
            for task in tasks:
                # Cancelled tasks can still close what they opened.
                task.cancel()
            loop.run_until_complete(asyncio.wait(tasks, timeout=grace))
        loop.run_until_complete(loop.shutdown_asyncgens())  # closes the HTTP sessions
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread, grace: float) -> None:
    """Stop the loop when the process exits, with time to close its connections."""
    if thread.is_alive():
        loop.call_soon_threadsafe(loop.stop)
        thread.join(grace)
