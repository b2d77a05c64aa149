"""A daily budget for one process."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import TYPE_CHECKING

from llmkit.core.money import NANO, to_nanos
from llmkit.costs.sums import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from llmkit.costs.ledger import Ledger


def wall_clock() -> datetime:
    """Return the time on the wall, without a zone: it stays right when daylight saving begins or ends."""
    return datetime.now()  # noqa: DTZ005 - local on purpose


class CostController:
    """Says whether a call still fits into today's budget; a day ends at local midnight.

    Asking does not reserve anything: calls that are asked for at the same time may together exceed the
    budget. `llmkit.budget` holds all calls of a ledger, by reserving.

    Args:
        daily_budget: US dollars per day.
        ledger: Counts the real calls of this ledger, too, from every notebook that writes to it, as
            `Ledger.budget` does, with what answers that broke off may have cost. Then use
            `record_cost` only for what the ledger does not see.
        clock: Returns the local time; with a time zone, that zone's midnight counts, and the ledger's
            rows are added up for it.

    Raises:
        ValueError: If the budget is negative, infinite or not a number.

    Example:
        >>> controller = CostController(daily_budget=1.0)
        >>> controller.record_cost(0.75)
        >>> controller.can_make_request(0.25), controller.can_make_request(0.26)
        (True, False)
    """

    def __init__(
        self,
        daily_budget: float | Decimal = 10.0,
        *,
        ledger: Ledger | None = None,
        clock: Callable[[], datetime] = wall_clock,
    ) -> None:
        self._lock = threading.Lock()
        self._ledger = ledger
        self._clock = clock
        self._day = clock().date()
        self._spent = 0
        self.daily_budget = daily_budget

    @property
    def daily_budget(self) -> float:
        """US dollars per day."""
        return self._budget / NANO

    @daily_budget.setter
    def daily_budget(self, usd: float | Decimal) -> None:
        self._budget = to_nanos(usd)

    @property
    def daily_spent(self) -> float:
        """US dollars spent since midnight."""
        return self._spent_nanos() / NANO

    def can_make_request(self, estimated_cost: float | Decimal) -> bool:
        """Say whether a call fits into what is left of today's budget.

        Args:
            estimated_cost: US dollars it may cost.

        Returns:
            Whether it does, to the last billionth.

        Raises:
            ValueError: If the amount is negative, infinite or not a number.
            ConfigurationError: If the ledger cannot be read: what was spent is unknown then, not 0.
        """
        uncertain = 0 if self._ledger is None else self._ledger.uncertain_nanos(self._clock())
        return self._spent_nanos() + uncertain + to_nanos(estimated_cost) <= self._budget

    def record_cost(self, cost: float | Decimal) -> None:
        """Count what a call cost.

        Args:
            cost: US dollars.

        Raises:
            ValueError: If the amount is negative, infinite or not a number.
        """
        amount = to_nanos(cost)
        with self._lock:
            self._begin_day()
            self._spent += amount

    def _spent_nanos(self) -> int:
        with self._lock:
            midnight = self._begin_day()
            spent = self._spent
        if self._ledger is None:
            return spent
        if midnight.tzinfo is None:
            return spent + self._ledger.spent_nanos(midnight)
        return spent + self._ledger.sums(since=midnight).get(False, NOTHING).nanos

    def _begin_day(self) -> datetime:
        now = self._clock()
        if now.date() != self._day:
            self._day = now.date()
            self._spent = 0
        return now.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
