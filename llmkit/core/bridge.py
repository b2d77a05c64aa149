"""The background event loop, which owns the clients of magics, widgets and synchronous calls.

The kernel's own loop is blocked while a cell runs. Here calls continue, and an interrupt of the main
thread cancels them at once.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

from llmkit.core.background import Background

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator

T = TypeVar("T")

TICK = 0.08
"""Seconds between two looks at the clock while nothing arrives."""

CLOSE_GRACE = 2.0
"""Seconds that a cancelled call has to close its connection and write its row."""


class Bridge(Background):
    """The background loop, and what waits for its results."""

    def __init__(self) -> None:
        super().__init__("llmkit-bridge", CLOSE_GRACE)
        self._other: Bridge | None = None

    def run(self, work: Coroutine[Any, Any, T], tick: Callable[[], object] | None = None) -> T:
        """Run a coroutine on the loop and wait for it; an interrupt cancels it.

        Args:
            work: The coroutine.
            tick: Called on this thread now and then while it runs.

        Returns:
            Its result.
        """
        results: list[T] = []

        # A stream of one item: `stream` sees an interrupt at its next tick, and waits for the cleanup.
        async def single() -> AsyncGenerator[str, None]:
            results.append(await work)
            yield ""

        for _ in self.stream(single()):
            if tick is not None:
                tick()
        return results[0]

    def stream(self, source: AsyncGenerator[T, None]) -> Generator[T | None]:
        """Run an async generator on the loop and yield its items here; `None` at each tick without one."""
        # A hook asks a model: its loop cannot wait for itself, nor for one that waits for it.
        if (running := _running()) is not None and self.serves(running):
            self._other = self._other or Bridge()
            yield from self._other.stream(source)
            return
        items: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
        relay = _Relay(self.loop(), source, items)
        try:
            relay.start()
            while True:
                try:
                    item = items.get(timeout=TICK)
                except queue.Empty:
                    yield None
                    continue
                if isinstance(item, _End):
                    break
                yield item
        finally:
            relay.stop()
        if item.error is not None:
            raise item.error

    def serves(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether a loop is this bridge's, or that of the bridges for its hooks."""
        return loop is self.loop() or (self._other is not None and self._other.serves(loop))


def _running() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs on this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class _End:
    """Sentinel after the last item, with the exception that ended the generator."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class _Relay:
    """Moves items from an async generator on the loop to a queue."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        source: AsyncGenerator[Any, None],
        items: queue.SimpleQueue[Any],
    ) -> None:
        self._loop = loop
        self._source = source
        self._items = items
        self._task: asyncio.Task[None] | None = None
        self._over = threading.Event()

    def start(self) -> None:
        self._loop.call_soon_threadsafe(self._begin)

    def stop(self) -> None:
        """Cancel the task if it is still running, and wait until it has cleaned up."""
        if not self._over.is_set():
            self._loop.call_soon_threadsafe(self._cancel)
            self._over.wait(CLOSE_GRACE)

    def _begin(self) -> None:
        self._task = self._loop.create_task(self._move())
        self._task.add_done_callback(self._done)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _move(self) -> None:
        async with aclosing(self._source) as items:
            async for item in items:
                self._items.put(item)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._over.set()
        cancelled = task.cancelled()
        self._items.put(_End(asyncio.CancelledError() if cancelled else task.exception()))


bridge = Bridge()
"""The process's bridge."""
