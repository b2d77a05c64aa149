"""Alerts: a budget is nearly or fully used."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from llmkit.core.money import NANO, format_money
from llmkit.core.timestamps import micros
from llmkit.costs.alerting.announcer import Announcement
from llmkit.costs.budgets.rules import next_day

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.costs.alerting.announcer import Announcer, Target
    from llmkit.costs.budgets.rules import Amounts, BudgetRules
    from llmkit.records import CallRecord

THRESHOLDS = (80, 100)
"""Percentages of a limit that raise an alert."""

Kind: TypeAlias = Literal["daily", "per_notebook", "per_user"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """The spending has passed a threshold of a budget.

    Attributes:
        kind: The budget: `"daily"`, `"per_notebook"` or `"per_user"`.
        threshold: Fraction of the budget that was passed: 0.8 or 1.0.
        spent: US dollars spent since local midnight.
        cap: The budget, in US dollars.
        notebook: The notebook of the budget; `None` for the others.
        time: When it was detected (aware, UTC).

    Example:
        >>> now = datetime.now(UTC)
        >>> print(Alert(kind="daily", threshold=0.8, spent=4.02, cap=5.0, notebook=None, time=now))
        80% of the daily budget is used: $4.02 of $5.00.
    """

    kind: Kind
    threshold: float
    spent: float
    cap: float
    notebook: str | None
    time: datetime

    def __str__(self) -> str:
        shared = {"daily": "daily budget", "per_user": "budget per user"}
        whose = shared.get(self.kind, f"budget of {self.notebook}")
        amounts = f"{format_money(self.spent)} of {format_money(self.cap)}"
        return f"{self.threshold:.0%} of the {whose} is used: {amounts}."


class Alerts:
    """Raises alerts: in this process once per limit, threshold and day, and to each target once for all.

    Attributes:
        targets: What gets each `Alert`, on a thread of its own.
    """

    def __init__(self, announcer: Announcer) -> None:
        self.targets: tuple[Target, ...] = ()
        self._announcer = announcer
        self._lock = threading.RLock()
        self._raised: set[tuple[object, ...]] = set()

    def notice(self, rules: BudgetRules, used: Amounts, record: CallRecord) -> None:
        """Check whether a call made the spending pass a threshold.

        This runs on the ledger's writing thread, so no row may wait for what an alert leads to.
        """
        day = record.time.astimezone().date()
        announcements = []
        for kind, cap, spent, percent in _passed(rules, used, record):
            notebook = record.notebook if kind == "per_notebook" else None
            if self._is_news(day, kind, cap, percent, notebook):
                alert = Alert(
                    kind=kind,
                    threshold=percent / 100,
                    spent=spent / NANO,
                    cap=cap / NANO,
                    notebook=notebook,
                    time=datetime.now(UTC),
                )
                announcements.append(
                    Announcement(
                        alert=alert,
                        name=("budget", kind, cap, percent, notebook, f"{day}"),
                        # A day longer, for computers in other time zones.
                        until=micros(next_day(record.time) + timedelta(days=1)),
                        targets=self.targets,
                    )
                )
        self._announcer.show([each.alert for each in announcements])
        if announcements:
            self._announcer.start(announcements)

    def _is_news(self, day: object, kind: Kind, cap: int, percent: int, notebook: str | None) -> bool:
        """Mark an alert as raised, and with it those of lower thresholds."""
        keys = {(day, kind, cap, each, notebook) for each in THRESHOLDS if each <= percent}
        with self._lock:
            news = (day, kind, cap, percent, notebook) not in self._raised
            self._raised |= keys
        return news


def _passed(rules: BudgetRules, used: Amounts, record: CallRecord) -> Iterator[tuple[Kind, int, int, int]]:
    """Yield the highest threshold passed by each budget: kind, cap, spent, percent."""
    per_notebook = None if record.notebook is None else rules.per_notebook
    budgets: tuple[tuple[Kind, int | None, int], ...] = (
        ("daily", rules.daily, used.spent),
        ("per_notebook", per_notebook, used.notebook_spent),
        ("per_user", rules.per_user, used.user_spent),
    )
    for kind, cap, spent in budgets:
        passed = [] if cap is None else [each for each in THRESHOLDS if spent * 100 >= cap * each]
        if cap is not None and passed:
            yield kind, cap, spent, passed[-1]
