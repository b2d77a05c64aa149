"""Alerts: a budget is nearly or fully used."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from llmkit.core.money import NANO, format_money

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmkit.costs.budgets.rules import Amounts, BudgetRules
    from llmkit.records import CallRecord

THRESHOLDS = (80, 100)
"""Percentages of a limit that raise an alert."""

Kind: TypeAlias = Literal["daily", "per_notebook"]

logger = logging.getLogger("llmkit.costs.budgets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """The spending has passed a threshold of a budget.

    Attributes:
        kind: The budget: `"daily"` or `"per_notebook"`.
        threshold: Fraction of the budget that was passed: 0.8 or 1.0.
        spent: US dollars spent since local midnight.
        cap: The budget, in US dollars.
        notebook: The notebook of the budget; `None` for the daily one.
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
        whose = "daily budget" if self.kind == "daily" else f"budget of {self.notebook}"
        amounts = f"{format_money(self.spent)} of {format_money(self.cap)}"
        return f"{self.threshold:.0%} of the {whose} is used: {amounts}."


class Alerts:
    """Raises alerts, once per limit, threshold and day in this process.

    Attributes:
        callback: Called with each `Alert` on its own thread; its exceptions are logged.
    """

    def __init__(self) -> None:
        self.callback: Callable[[Alert], object] | None = None
        self._lock = threading.RLock()
        self._sent: set[tuple[object, ...]] = set()
        self._unseen: list[Alert] = []

    def notice(self, rules: BudgetRules, used: Amounts, record: CallRecord) -> None:
        """Check whether a call made the spending pass a threshold.

        This runs on the ledger's writing thread. Logging and the callback may be slow, so they run on
        another thread and no row waits for them.
        """
        day = record.time.astimezone().date()
        alerts = [
            Alert(
                kind=kind,
                threshold=percent / 100,
                spent=spent / NANO,
                cap=cap / NANO,
                notebook=record.notebook if kind == "per_notebook" else None,
                time=datetime.now(UTC),
            )
            for kind, cap, spent, percent in _passed(rules, used, record)
            if self._is_news(day, kind, cap, percent, record.notebook if kind == "per_notebook" else None)
        ]
        with self._lock:
            self._unseen += alerts
        if alerts:
            self._start(alerts)

    def take(self) -> list[Alert]:
        """Return the alerts since the last time."""
        with self._lock:
            alerts, self._unseen = self._unseen, []
        return alerts

    def _is_news(self, day: object, kind: Kind, cap: int, percent: int, notebook: str | None) -> bool:
        """Mark an alert as sent, and with it those of lower thresholds."""
        keys = {(day, kind, cap, each, notebook) for each in THRESHOLDS if each <= percent}
        with self._lock:
            news = (day, kind, cap, percent, notebook) not in self._sent
            self._sent |= keys
        return news

    def _start(self, alerts: list[Alert]) -> None:
        # Not a daemon: the alert of a script's last call may have to be sent by mail.
        thread = threading.Thread(target=self._deliver, args=(alerts,), name="llmkit-alerts", daemon=False)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is shutting down
            self._deliver(alerts)

    def _deliver(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            logger.warning("%s", alert)
            if (callback := self.callback) is not None:
                try:
                    callback(alert)
                except Exception:  # the callback's error must not stop the other alerts
                    logger.exception("The callback for budget alerts failed: %r", callback)


def _passed(rules: BudgetRules, used: Amounts, record: CallRecord) -> Iterator[tuple[Kind, int, int, int]]:
    """Yield the highest threshold passed by each budget: kind, cap, spent, percent."""
    per_notebook = None if record.notebook is None else rules.per_notebook
    budgets: tuple[tuple[Kind, int | None, int], ...] = (
        ("daily", rules.daily, used.spent),
        ("per_notebook", per_notebook, used.notebook_spent),
    )
    for kind, cap, spent in budgets:
        passed = [] if cap is None else [each for each in THRESHOLDS if spent * 100 >= cap * each]
        if cap is not None and passed:
            yield kind, cap, spent, passed[-1]
