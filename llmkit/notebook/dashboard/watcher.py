"""When the dashboard is brought up to date: at once for a click, soon for a call, never without a need."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from llmkit.core.bridge import bridge

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.costs.ledger import Ledger

T = TypeVar("T")

POLL = 2.0
"""Seconds between two looks at the ledger for the calls of other processes."""

PAUSE = 0.25
"""Shortest time between two refreshes, in seconds; a user's click does not wait."""

SHARE = 4.0
"""Refreshes rest this many times as long as they take."""

logger = logging.getLogger("llmkit.notebook.dashboard")


class Live:
    """Calls a function on a thread of its own, whenever something may have changed.

    It runs while a view is open, and ends with the process.
    """

    def __init__(
        self, ledger: Ledger, refresh: Callable[[], None], failed: Callable[[BaseException], None]
    ) -> None:
        self._refresh, self._failed = refresh, failed
        self._views: set[str] = set()
        # One thread, so that refreshes and exports never overlap.
        self._pool = ThreadPoolExecutor(1, "llmkit-dashboard")
        self._over = False
        bridge.submit(self._begin()).result()
        self._unsubscribe = ledger.subscribe(self._called)

    async def _begin(self) -> None:
        self._news, self._urgent = asyncio.Event(), asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._complain)

    def refresh_now(self) -> None:
        """Refresh at once: a user waits for it."""
        self._post(self._hurry)

    def look(self, view: str) -> None:
        """Note that a view is shown, and refresh it."""
        self._views.add(view)
        self.refresh_now()

    def leave(self, view: str) -> None:
        """Note that a view has gone; with the last one, refreshing rests."""
        self._views.discard(view)

    def do(self, work: Callable[[], T]) -> Future[T]:
        """Do something between two refreshes."""
        return self._pool.submit(work)

    def close(self) -> None:
        """End; what is being done is done to its end."""
        if self._over:
            return
        self._over = True
        self._unsubscribe()
        with contextlib.suppress(CancelledError):
            bridge.submit(self._end()).result()
        self._pool.shutdown()

    def _complain(self, task: asyncio.Task[None]) -> None:
        """Tell of a refresh that failed, which would otherwise end in silence."""
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("The dashboard has stopped.", exc_info=error)
            self._failed(error)

    async def _end(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    def _post(self, work: Callable[[], Any]) -> None:
        if not self._over:
            bridge.loop().call_soon_threadsafe(work)

    def _called(self, _record: object) -> None:
        # One wake-up serves all calls until the next refresh.
        if self._views and not self._news.is_set():
            self._post(self._news.set)

    def _hurry(self) -> None:
        self._urgent.set()
        self._news.set()

    async def _run(self) -> None:
        rest = 0.0
        while True:
            await _wait(self._news, POLL if self._views else None)
            await _wait(self._urgent, rest)
            looked = bool(self._views) or self._urgent.is_set()
            # Before the refresh, so that a call during it causes another one.
            self._news.clear()
            self._urgent.clear()
            if looked:
                started = time.perf_counter()
                await asyncio.get_running_loop().run_in_executor(self._pool, self._refresh)
                rest = max(PAUSE, SHARE * (time.perf_counter() - started))


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    # Python 3.11's `wait_for` ignores a cancellation that comes together with the event.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
