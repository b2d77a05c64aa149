"""Concurrent identical requests share one call: the first one calls, the others wait for its answer.

They may be in different threads and event loops. If a call fails, one waiter makes the next call. Nothing
waits for a stalled call: one whose reader has stopped reading (and may itself be waiting), or whose event
loop is blocked or closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

T = TypeVar("T")

PATIENCE = 1.0
"""Seconds that a call may stall before another one is started."""


class Turn(Generic[T]):
    """The role of the caller that makes the shared call."""

    def __init__(self, group: SingleFlight[T], shared: SharedCall[T]) -> None:
        self._group = group
        self._shared = shared

    def pause(self) -> None:
        """Note that the reader has all chunks so far: the call pauses until it asks for more."""
        if self._shared.leader is self:
            self._shared.paused = monotonic()

    def resume(self) -> None:
        """Note that the reader asks for more."""
        if self._shared.leader is self:
            self._shared.paused = None

    def complete(self, result: T | None) -> None:
        """End the call with its result, or with `None` if it failed."""
        self._group.complete(self, self._shared, result)


@dataclass(slots=True, eq=False)
class SharedCall(Generic[T]):
    """One call in progress.

    Attributes:
        key: What makes requests identical.
        loop: Event loop that the call runs on.
        leader: The caller that makes the call.
        waiting: The callers that wait for it, with their event loops.
        paused: When its reader paused.
        asked: When its event loop was last probed without an answer.
    """

    key: Hashable
    loop: asyncio.AbstractEventLoop
    leader: Turn[T] | None = None
    waiting: deque[tuple[Future[T | Turn[T]], asyncio.AbstractEventLoop]] = field(default_factory=deque)
    paused: float | None = None
    asked: float | None = None

    def stands(self, patience: float) -> bool:
        """Return whether the call is stalled; probes the event loop again."""
        now = monotonic()
        # Waiters check once per `patience`; half of it separates the last probe from this one.
        if any(since is not None and now - since > patience / 2 for since in (self.paused, self.asked)):
            return True
        self.asked = self.asked or now
        try:
            self.loop.call_soon_threadsafe(self._answer)
        except RuntimeError:  # it is closed
            return True
        return False

    def _answer(self) -> None:
        self.asked = None


class SingleFlight(Generic[T]):
    """The calls in progress in this process."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self.forget()

    def forget(self) -> None:
        """Reset: a forked child has none of its parent's calls."""
        self._lock = threading.RLock()  # the garbage collector may end a waiter at any time
        self._calls: dict[Hashable, SharedCall[T]] = {}

    async def join(self, key: Hashable) -> T | Turn[T]:
        """Wait for the result of an identical call in progress."""
        loop = asyncio.get_running_loop()
        with self._lock:
            shared = self._calls.get(key)
            if shared is None:
                self._calls[key] = shared = SharedCall(key, loop)
                return self._turn(shared, loop)
            future: Future[T | Turn[T]] = Future()
            shared.waiting.append((future, loop))
        try:
            return await self._wait(shared, future, loop)
        except BaseException:
            self._leave(shared, future, loop)
            raise

    def complete(self, turn: Turn[T], shared: SharedCall[T], result: T | None) -> None:
        """End a call; do nothing if it is over, or if a caller that is not the leader failed."""
        with self._lock:
            if self._calls.get(shared.key) is not shared:
                return
            if result is not None:
                del self._calls[shared.key]
                while (found := _next(shared)) is not None:
                    found[0].set_result(result)
            elif shared.leader is turn:
                self._hand_over(shared)

    def _turn(self, shared: SharedCall[T], loop: asyncio.AbstractEventLoop) -> Turn[T]:
        shared.leader, shared.loop = Turn(self, shared), loop
        shared.paused = shared.asked = None
        return shared.leader

    def _hand_over(self, shared: SharedCall[T]) -> None:
        if (found := _next(shared)) is None:
            del self._calls[shared.key]
        else:
            future, loop = found
            future.set_result(self._turn(shared, loop))

    async def _wait(
        self, shared: SharedCall[T], future: Future[T | Turn[T]], loop: asyncio.AbstractEventLoop
    ) -> T | Turn[T]:
        waiting = asyncio.wrap_future(future)
        while True:
            # Unlike `wait_for`, this does not cancel the future when the time is up.
            await asyncio.wait({waiting}, timeout=self._patience)
            with self._lock:
                if future.done():
                    return future.result()
                if shared.stands(self._patience):
                    shared.waiting.remove((future, loop))
                    future.cancel()
                    return self._turn(shared, loop)

    def _leave(
        self, shared: SharedCall[T], future: Future[T | Turn[T]], loop: asyncio.AbstractEventLoop
    ) -> None:
        """Stop waiting; if this caller has become the leader, the next one replaces it."""
        with self._lock:
            if future.cancel():
                with contextlib.suppress(ValueError):  # skipped because its event loop was closed
                    shared.waiting.remove((future, loop))
                return
            result = future.result()
        if isinstance(result, Turn):
            result.complete(None)


def _next(shared: SharedCall[T]) -> tuple[Future[T | Turn[T]], asyncio.AbstractEventLoop] | None:
    """Return the next waiter, and drop those whose event loop is closed."""
    while shared.waiting:
        future, loop = shared.waiting.popleft()
        if not loop.is_closed() and future.set_running_or_notify_cancel():
            return future, loop
    return None
