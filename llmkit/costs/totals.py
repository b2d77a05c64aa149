"""Sums of money, exact: billionths of a dollar as integers until they are shown."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from llmkit.records import CallRecord

NANOS = 10**9
"""Billionths in a dollar."""


@dataclass(frozen=True, slots=True)
class Sums:
    """What a set of calls adds up to.

    Attributes:
        calls: How many there are.
        unpriced: How many of them cost something nobody knows.
        priced: How many have a known price.
        nanos: The known prices together, in billionths of a dollar.
        saved_nanos: What the replayed ones would have cost.
    """

    calls: int = 0
    unpriced: int = 0
    priced: int = 0
    nanos: int = 0
    saved_nanos: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.calls + other.calls,
            self.unpriced + other.unpriced,
            self.priced + other.priced,
            self.nanos + other.nanos,
            self.saved_nanos + other.saved_nanos,
        )


NOTHING = Sums()


@dataclass(frozen=True, slots=True)
class Total:
    """What calls cost.

    Attributes:
        usd: US dollars: the sum of the known prices; NaN if no price is known at all.
        calls: How many calls there were.
        unpriced: How many of them used tokens, or ended well, without a known price.
        saved_usd: US dollars that replays saved.
        simulated: Whether these are calls of the sandbox: not real money.

    Example:
        >>> Total(usd=1.2345, calls=12, unpriced=2)
        $1.2345 over 12 calls (2 without a known price)
    """

    usd: float = 0.0
    calls: int = 0
    unpriced: int = 0
    saved_usd: float = 0.0
    simulated: bool = False

    def __repr__(self) -> str:
        noun = ("simulated " if self.simulated else "") + ("call" if self.calls == 1 else "calls")
        unknown = f" ({self.unpriced:,} without a known price)" if self.unpriced else ""
        saved = f", {dollars(self.saved_usd)} saved by replay" if self.saved_usd else ""
        return f"{dollars(self.usd)} over {self.calls:,} {noun}{unknown}{saved}"


class Tally:
    """A running sum of records, for real and for simulated calls; cheap enough for every call."""

    def __init__(self) -> None:
        # Re-entrant: the garbage collector may end a stream, and so record it, while this is held.
        self._lock = threading.RLock()
        self._counts = {False: [0] * 5, True: [0] * 5}  # in the order of `Sums`

    def add(self, record: CallRecord) -> None:
        """Count one record."""
        with self._lock:
            counts = self._counts[bool(record.simulated)]
            counts[0] += 1
            counts[1] += is_unpriced(record)
            counts[2] += record.cost_nanos is not None
            counts[3] += record.cost_nanos or 0
            counts[4] += record.saved_nanos or 0

    def sums(self) -> dict[bool, Sums]:
        """Return the sums so far, by `simulated`."""
        with self._lock:
            return {simulated: Sums(*counts) for simulated, counts in self._counts.items()}


def is_unpriced(record: CallRecord) -> bool:
    """Return whether a call cost something nobody knows.

    Args:
        record: A finished call.

    Returns:
        True if it used tokens or ended well, and has no price. A failed call without tokens, and a
        replayed one, cost nothing.
    """
    if record.cost_nanos is not None or record.status == "replayed":
        return False
    return record.status == "ok" or (record.input_tokens or 0) + (record.output_tokens or 0) > 0


def shows_simulated(simulated: bool | None, counts: Mapping[bool, int]) -> bool:  # noqa: FBT001 - three-valued
    """Decide which calls count: real money leaves the simulated ones out unless there is nothing else.

    Args:
        simulated: Only the simulated ones, only the real ones, or `None` for the rule.
        counts: Calls by `simulated`.

    Returns:
        Whether the simulated ones are meant.

    Example:
        >>> shows_simulated(None, {True: 5})
        True
        >>> shows_simulated(None, {True: 5, False: 1})
        False
    """
    if simulated is not None:
        return simulated
    return not counts.get(False) and bool(counts.get(True))


def total_of(sums: Mapping[bool, Sums], simulated: bool | None = None) -> Total:  # noqa: FBT001 - three-valued
    """Turn sums into what is shown.

    Args:
        sums: Sums by `simulated`.
        simulated: Which calls count; see `shows_simulated`.

    Returns:
        The total.
    """
    which = shows_simulated(simulated, {key: value.calls for key, value in sums.items()})
    chosen = sums.get(which, NOTHING)
    unknown = chosen.unpriced and not chosen.priced
    usd = math.nan if unknown else chosen.nanos / NANOS
    return Total(usd, chosen.calls, chosen.unpriced, chosen.saved_nanos / NANOS, which)


def to_nanos(usd: float | Decimal) -> int:
    """Return dollars as billionths.

    Args:
        usd: US dollars, not negative.

    Returns:
        The nearest integer, whatever the size.

    Raises:
        ValueError: If the amount is negative, infinite or not a number.

    Example:
        >>> to_nanos(0.1) + to_nanos(0.2) == to_nanos(0.3)
        True
    """
    if not math.isfinite(usd) or usd < 0:
        raise ValueError(f"An amount of money must be a finite number of dollars, 0 or more, not {usd}")
    return round(Fraction(usd) * NANOS)


def dollars(usd: float) -> str:
    """Write an amount with as many digits as it needs.

    Args:
        usd: US dollars; NaN if unknown.

    Returns:
        The text; `$?` if the amount is unknown.

    Example:
        >>> dollars(1234.5), dollars(0.00000038), dollars(0), dollars(-0.5)
        ('$1,234.5000', '$0.00000038', '$0.00', '-$0.5000')
    """
    if usd < 0:
        return f"-{dollars(-usd)}"
    if math.isnan(usd):
        return "$?"
    if usd == 0:
        return "$0.00"
    return f"${usd:,.4f}" if usd >= 0.0001 else f"${usd:.9f}".rstrip("0")
