"""Identical requests that run at once share one call: the first one calls, the others wait for its answer.

They may be in different threads and event loops. A call that fails hands over to one of those who wait,
not to all of them. Nobody waits for a call that does not move: one whose reader has left it standing (it
may be waiting for us), or whose event loop is blocked or gone.
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
"""Seconds that a call may stand still before another one is made beside it."""


class Turn(Generic[T]):
    """The pilot's seat of a flight: whoever has it makes the call."""

    def __init__(self, flights: SingleFlight[T], flight: Flight[T]) -> None:
        self._flights = flights
        self._flight = flight

    def pause(self) -> None:
        """Note that the reader has what there is: the call stands until it comes back for more."""
        if self._flight.pilot is self:
            self._flight.paused = monotonic()

    def resume(self) -> None:
        """Note that the reader is back."""
        if self._flight.pilot is self:
            self._flight.paused = None

    def land(self, result: T | None) -> None:
        """End the flight."""
        self._flights.land(self, self._flight, result)


@dataclass(slots=True, eq=False)
class Flight(Generic[T]):
    """One call that is under way.

    Attributes:
        key: What makes requests identical.
        loop: Event loop that the call runs on.
        pilot: Who makes the call.
        waiting: Who waits for it, and on which event loop.
        paused: Since when its reader has been away.
        asked: Since when its event loop has not answered a question.
    """

    key: Hashable
    loop: asyncio.AbstractEventLoop
    pilot: Turn[T] | None = None
    waiting: deque[tuple[Future[T | Turn[T]], asyncio.AbstractEventLoop]] = field(default_factory=deque)
    paused: float | None = None
    asked: float | None = None

    def stands(self, patience: float) -> bool:
        """Return whether the call does not move; the event loop is asked again."""
        now = monotonic()
        # Who waits looks once in `patience`: half of it tells the last look from this one.
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
    """The calls that are under way in this process."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self.forget()

    def forget(self) -> None:
        """Start afresh: in a forked child, nobody flies what the parent had begun."""
        self._lock = threading.RLock()  # the collector may end one who waits at any moment
        self._flights: dict[Hashable, Flight[T]] = {}

    async def board(self, key: Hashable) -> T | Turn[T]:
        """Wait for the result of an identical call that is under way."""
        loop = asyncio.get_running_loop()
        with self._lock:
            flight = self._flights.get(key)
            if flight is None:
                self._flights[key] = flight = Flight(key, loop)
                return self._seat(flight, loop)
            future: Future[T | Turn[T]] = Future()
            flight.waiting.append((future, loop))
        try:
            return await self._wait(flight, future, loop)
        except BaseException:
            self._leave(flight, future, loop)
            raise

    def land(self, seat: Turn[T], flight: Flight[T], result: T | None) -> None:
        """End a flight; nothing happens if it is over, or failed in another's hands."""
        with self._lock:
            if self._flights.get(flight.key) is not flight:
                return
            if result is not None:
                del self._flights[flight.key]
                while (found := _next(flight)) is not None:
                    found[0].set_result(result)
            elif flight.pilot is seat:
                self._hand_over(flight)

    def _seat(self, flight: Flight[T], loop: asyncio.AbstractEventLoop) -> Turn[T]:
        flight.pilot, flight.loop = Turn(self, flight), loop
        flight.paused = flight.asked = None
        return flight.pilot

    def _hand_over(self, flight: Flight[T]) -> None:
        if (found := _next(flight)) is None:
            del self._flights[flight.key]
        else:
            future, loop = found
            future.set_result(self._seat(flight, loop))

    async def _wait(
        self, flight: Flight[T], future: Future[T | Turn[T]], loop: asyncio.AbstractEventLoop
    ) -> T | Turn[T]:
        landed = asyncio.wrap_future(future)
        while True:
            await asyncio.wait({landed}, timeout=self._patience)
            with self._lock:
                if future.done():
                    return future.result()
                if flight.stands(self._patience):
                    flight.waiting.remove((future, loop))
                    future.cancel()
                    return self._seat(flight, loop)

    def _leave(self, flight: Flight[T], future: Future[T | Turn[T]], loop: asyncio.AbstractEventLoop) -> None:
        """Wait no longer; a seat that was on its way here goes to the next one."""
        with self._lock:
            if future.cancel():
                with contextlib.suppress(ValueError):  # passed over, for its event loop was closed
                    flight.waiting.remove((future, loop))
                return
            result = future.result()
        if isinstance(result, Turn):
            result.land(None)


def _next(flight: Flight[T]) -> tuple[Future[T | Turn[T]], asyncio.AbstractEventLoop] | None:
    """Return the next one who waits; those whose event loop is closed wait no more."""
    while flight.waiting:
        future, loop = flight.waiting.popleft()
        if not loop.is_closed() and future.set_running_or_notify_cancel():
            return future, loop
    return None
