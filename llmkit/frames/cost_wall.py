"""`max_cost`: the most that one job may cost, also together with calls that are under way."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from llmkit.clients.limiter.slot import current_slot
from llmkit.core.errors import BudgetExceededError
from llmkit.core.money import format_money, from_nanos
from llmkit.frames.shared_job import FIRST_PAUSE, LONGEST_PAUSE
from llmkit.records import current_recorder

if TYPE_CHECKING:
    from llmkit.frames.answers.protocol import AnswerStore
    from llmkit.records import BudgetGuard, CallRecord, CostReservation, Recorder


class MaxCostReachedError(BudgetExceededError):
    """The next call might cost more than `max_cost` leaves."""

    default_hint = "Raise max_cost, or lower max_tokens."


class CostWall:
    """What the calls of a job cost and may cost; on one event loop.

    Args:
        most: The most that they may cost together, in nano-dollars.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._spent = 0
        self._reserved: dict[str, int] = {}
        self._waiting: set[str] = set()
        self._changed = asyncio.Event()

    async def reserve(self, uid: str, nanos: int | None) -> None:
        """Reserve what a call may cost, in place of what it reserved before; wait while others may give room.

        Raises:
            MaxCostReachedError: If there is too little left.
        """
        self._waiting.add(uid)
        try:
            await self._room(uid, nanos)
        finally:
            self._waiting.discard(uid)
            self._changed.set()  # those who wait for this call must look again
        self._reserved[uid] = nanos or 0

    async def _room(self, uid: str, nanos: int | None) -> None:
        while not self._fits(uid, nanos):
            # Only a call that was sent and is not over can give back a part of its reservation.
            if nanos is None or not self._reserved.keys() - self._waiting:
                raise refusal(self._most, self._spent, nanos)
            _leave_slot()
            self._changed.clear()
            await self._changed.wait()

    def settle(self, uid: str, nanos: int | None) -> None:
        """End a reservation: this is what the call cost at most; `None` if that is unknown."""
        reserved = self._reserved.pop(uid, 0)
        self._spent += reserved if nanos is None else nanos
        self._changed.set()

    def _fits(self, uid: str, nanos: int | None) -> bool:
        others = sum(amount for name, amount in self._reserved.items() if name != uid)
        return nanos is not None and self._spent + others + nanos <= self._most


class SharedCostWall:
    """The same for a job whose calls several processes make: the store of answers has the amounts.

    Args:
        store: The store that the processes share.
        job: Identifier of the job.
        most: The most that its calls may cost together, in nano-dollars.
    """

    def __init__(self, store: AnswerStore, job: str, most: int) -> None:
        self._store = store
        self._job = job
        self._most = most
        # One thread, so that the event loop does not wait for the file and amounts stay in order.
        self._thread = ThreadPoolExecutor(1, "llmkit-max-cost")

    async def reserve(self, uid: str, nanos: int | None) -> None:
        """Reserve what a call may cost; wait while calls of any process may give room.

        Raises:
            MaxCostReachedError: If there is too little left.
        """
        if nanos is None:
            raise refusal(self._most, 0, None)
        pause = FIRST_PAUSE
        while True:
            room = await asyncio.wrap_future(
                self._thread.submit(self._store.reserve, self._job, uid, nanos, self._most)
            )
            if room.fits:
                return
            if not room.running:
                raise refusal(self._most, room.spent, nanos)
            _leave_slot()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def settle(self, uid: str, nanos: int | None) -> None:
        """End a reservation: this is what the call cost at most; `None` if that is unknown."""
        self._thread.submit(self._store.settle, self._job, uid, nanos)

    def close(self) -> None:
        """Wait until all is written; no call is under way any more."""
        self._thread.shutdown()


def refusal(most: int, spent: int, nanos: int | None) -> MaxCostReachedError:
    """Return the error of a call for which too little is left."""
    left = format_money(from_nanos(max(most - spent, 0)))
    needs = "has no known price" if nanos is None else f"may cost {format_money(from_nanos(nanos))}"
    return MaxCostReachedError(
        f"max_cost of {format_money(from_nanos(most))} leaves {left}, and the next call {needs}.",
        cap=from_nanos(most),
        spent=from_nanos(spent),
        needed=from_nanos(nanos),
    )


def _leave_slot() -> None:
    """Leave the place of a call that waits here to those that may give room, such as one that retries."""
    if (slot := current_slot.get()) is not None:
        slot.release()


class WalledRecorder:
    """Passes everything to the ledger's recorder, and keeps a job's calls within its wall.

    Args:
        wall: The wall.
        inner: The recorder.
    """

    def __init__(self, wall: CostWall | SharedCostWall, inner: Recorder | None) -> None:
        self._wall = wall
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def guard(self, cap_nanos: int | None) -> BudgetGuard:
        """Return a guard that asks the wall, and then the budgets."""
        return _Guard(self._wall, None if self._inner is None else self._inner.guard(cap_nanos))

    def record(self, record: CallRecord, *, alone: bool = False) -> Any:
        """Take one record, whose call holds its reservation no longer."""
        worst = record.cost_nanos if record.at_most_nanos is None else record.at_most_nanos
        nothing = record.cost_nanos is None and record.input_tokens is None  # nothing was used
        self._wall.settle(record.uid, 0 if nothing else worst)
        return None if self._inner is None else self._inner.record(record, alone=alone)


class _Guard:
    def __init__(self, wall: CostWall | SharedCostWall, inner: BudgetGuard | None) -> None:
        self._wall = wall
        self._inner = inner

    async def admit(self, reservation: CostReservation) -> Any:
        """Reserve what a call may cost."""
        await self._wall.reserve(reservation.uid, reservation.nanos)
        return False if self._inner is None else await self._inner.admit(reservation)

    def release(self, uid: str) -> None:
        """Release the reservation of a call that was not sent."""
        self._wall.settle(uid, 0)
        if self._inner is not None:
            self._inner.release(uid)


def walled(wall: CostWall | SharedCostWall) -> WalledRecorder:
    """Return a recorder for a job whose calls stay within a wall."""
    return WalledRecorder(wall, current_recorder())
