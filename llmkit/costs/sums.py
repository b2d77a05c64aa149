"""Exact sums of money: integer nano-dollars until they are displayed."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.core.money import NANO, format_money
from llmkit.costs.price_rules import is_estimated, is_unpriced

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmkit.records import CallRecord


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over a set of calls.

    Attributes:
        calls: Number of calls.
        unpriced: Number of calls with an unknown price.
        priced: Number of calls with a known price.
        nanos: Sum of the known prices, in nano-dollars.
        saved_nanos: What the replayed calls would have cost.
        estimated: Number of known prices that are estimates; see `is_estimated`.
    """

    calls: int = 0
    unpriced: int = 0
    priced: int = 0
    nanos: int = 0
    saved_nanos: int = 0
    estimated: int = 0

    @property
    def paid(self) -> bool:
        """Whether any call cost something, may have cost something, or would have without a replay."""
        return bool(self.nanos or self.unpriced or self.saved_nanos)

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.calls + other.calls,
            self.unpriced + other.unpriced,
            self.priced + other.priced,
            self.nanos + other.nanos,
            self.saved_nanos + other.saved_nanos,
            self.estimated + other.estimated,
        )


NOTHING = Sums()


def added(parts: Iterable[dict[bool, Sums]]) -> dict[bool, Sums]:
    """Return the sums of several parts of a ledger together."""
    sums: dict[bool, Sums] = {}
    for part in parts:
        for key, value in part.items():
            sums[key] = sums.get(key, NOTHING) + value
    return sums


@dataclass(frozen=True, slots=True)
class Total:
    """The total cost of calls.

    Attributes:
        usd: Sum of the known prices in US dollars; NaN if no price is known.
        calls: Number of calls.
        unpriced: Number of calls that succeeded or used tokens without a known price.
        saved_usd: US dollars saved by replays.
        simulated: Whether the sandbox's calls are included, so that the money is not real.
        simulated_calls: Number of included calls that the sandbox answered.
        left_out: Number of the sandbox's calls that are excluded, because real calls cost something.
        estimated: Number of known prices that are estimates; if any, the sum is written with `≈`.

    Example:
        >>> Total(usd=1.2345, calls=12, unpriced=2, left_out=3)
        $1.23 over 12 calls (2 without a known price); 3 simulated calls left out
        >>> Total(usd=0.031, calls=5, estimated=2)
        ≈$0.031 over 5 calls, 2 of them estimated
    """

    usd: float = 0.0
    calls: int = 0
    unpriced: int = 0
    saved_usd: float = 0.0
    simulated: bool = False
    simulated_calls: int = 0
    left_out: int = 0
    estimated: int = 0

    def __repr__(self) -> str:
        simulated = self.simulated_calls or (self.calls if self.simulated else 0)
        unknown = f" ({self.unpriced:,} without a known price)" if self.unpriced else ""
        saved = f", {format_money(self.saved_usd)} saved by replay" if self.saved_usd else ""
        rest = f"; {counted(self.left_out, self.left_out)} left out" if self.left_out else ""
        calls = f"{counted(self.calls, simulated)}{guessed(self.estimated, self.calls)}"
        return f"{format_money(self.usd, about=self.estimated > 0)} over {calls}{unknown}{saved}{rest}"


def counted(calls: int, simulated: int) -> str:
    """Write the number of calls, and of those that the sandbox answered.

    Example:
        >>> counted(1, 0), counted(3, 3), counted(4, 3)
        ('1 call', '3 simulated calls', '4 calls, 3 of them simulated')
    """
    whole = bool(calls) and simulated == calls
    noun = f"{'simulated ' if whole else ''}{'call' if calls == 1 else 'calls'}"
    return f"{calls:,} {noun}{f', {simulated:,} of them simulated' if simulated and not whole else ''}"


def guessed(estimated: int, calls: int) -> str:
    """Write the number of estimated prices, to follow the number of calls; empty if there are none.

    Example:
        >>> guessed(0, 5), guessed(2, 5), guessed(5, 5), guessed(1, 1)
        ('', ', 2 of them estimated', ', all of them estimated', ', estimated')
    """
    if not estimated:
        return ""
    if calls == 1:
        return ", estimated"
    return f", {'all' if estimated == calls else f'{estimated:,}'} of them estimated"


class Tally:
    """A running sum of records, separate for real and simulated calls; cheap enough for every call."""

    def __init__(self) -> None:
        # Re-entrant: the garbage collector may end a stream, and so record it, while this is held.
        self._lock = threading.RLock()
        self._counts = {False: [0] * 6, True: [0] * 6}  # in the order of `Sums`

    def add(self, record: CallRecord) -> None:
        """Count one record."""
        with self._lock:
            counts = self._counts[bool(record.simulated)]
            counts[0] += 1
            counts[1] += is_unpriced(record)
            counts[2] += record.cost_nanos is not None
            counts[3] += record.cost_nanos or 0
            counts[4] += record.saved_nanos or 0
            counts[5] += is_estimated(record)

    def sums(self) -> dict[bool, Sums]:
        """Return the sums so far, by `simulated`."""
        with self._lock:
            return {simulated: Sums(*counts) for simulated, counts in self._counts.items()}


def kinds_that_count(simulated: bool | None, *, paid: bool) -> tuple[bool, ...]:  # noqa: FBT001 - three-valued
    """Decide which calls count: simulated calls are excluded only if a real call cost something.

    Example:
        >>> kinds_that_count(None, paid=False), kinds_that_count(None, paid=True)
        ((False, True), (False,))
    """
    if simulated is not None:
        return (bool(simulated),)
    return (False,) if paid else (False, True)


def total_of(sums: Mapping[bool, Sums], simulated: bool | None = None) -> Total:  # noqa: FBT001 - three-valued
    """Return sums as a total for display."""
    kinds = kinds_that_count(simulated, paid=sums.get(False, NOTHING).paid)
    fake = sums.get(True, NOTHING).calls
    chosen = sum((sums.get(kind, NOTHING) for kind in kinds), NOTHING)
    unknown = chosen.unpriced and not chosen.priced
    return Total(
        usd=math.nan if unknown else chosen.nanos / NANO,
        calls=chosen.calls,
        unpriced=chosen.unpriced,
        saved_usd=chosen.saved_nanos / NANO,
        simulated=True in kinds and (fake > 0 or simulated is not None),
        simulated_calls=fake if True in kinds else 0,
        left_out=fake if simulated is None and True not in kinds else 0,
        estimated=chosen.estimated,
    )
