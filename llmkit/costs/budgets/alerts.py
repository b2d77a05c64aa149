"""Alerts: a budget is nearly, or wholly, used."""

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
"""Percent of a cap at which there is an alert."""

Kind: TypeAlias = Literal["daily", "per_notebook"]

logger = logging.getLogger("llmkit.costs.budgets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """What was spent has passed a threshold of a budget.

    Attributes:
        kind: The budget: `"daily"` or `"per_notebook"`.
        threshold: Part of the budget that was passed: 0.8 or 1.0.
        spent: US dollars spent since local midnight.
        cap: The budget, in US dollars.
        notebook: The notebook whose budget it is; `None` for the daily one.
        time: When that was noticed (aware, UTC).

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
    """Tells, once per cap, threshold and day in this process, that money runs out.

    Attributes:
        callback: Called with each `Alert`, on a thread of its own; what it raises is logged.
    """

    def __init__(self) -> None:
        self.callback: Callable[[Alert], object] | None = None
        self._lock = threading.RLock()
        self._sent: set[tuple[object, ...]] = set()
        self._unseen: list[Alert] = []

    def notice(self, rules: BudgetRules, used: Amounts, record: CallRecord) -> None:
        """Look whether a call made what was spent pass a threshold.

        Called on the ledger's writing thread: logging and the callback, which may be slow, get a thread
        of their own, so that no row waits for them.
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
        """Return the alerts that were not taken yet."""
        with self._lock:
            alerts, self._unseen = self._unseen, []
        return alerts

    def _is_news(self, day: object, kind: Kind, cap: int, percent: int, notebook: str | None) -> bool:
        """Note an alert and, without a word of their own, the lower ones that it includes."""
        keys = {(day, kind, cap, each, notebook) for each in THRESHOLDS if each <= percent}
        with self._lock:
            news = (day, kind, cap, percent, notebook) not in self._sent
            self._sent |= keys
        return news

    def _start(self, alerts: list[Alert]) -> None:
        # No daemon, as the writing thread is: the last call of a script may have to send an alert by mail.
        thread = threading.Thread(target=self._deliver, args=(alerts,), name="llmkit-alerts", daemon=False)
        try:
            thread.start()
        except RuntimeError:  # the interpreter is going down
            self._deliver(alerts)

    def _deliver(self, alerts: list[Alert]) -> None:
        for alert in alerts:
            logger.warning("%s", alert)
            if (callback := self.callback) is not None:
                try:
                    callback(alert)
                except Exception:  # a watcher's mistake must not break what it watches
                    logger.exception("The callback for budget alerts failed: %r", callback)


def _passed(rules: BudgetRules, used: Amounts, record: CallRecord) -> Iterator[tuple[Kind, int, int, int]]:
    """Yield the highest threshold that was passed of each budget: kind, cap, spent, percent."""
    per_notebook = None if record.notebook is None else rules.per_notebook
    budgets: tuple[tuple[Kind, int | None, int], ...] = (
        ("daily", rules.daily, used.spent),
        ("per_notebook", per_notebook, used.notebook_spent),
    )
    for kind, cap, spent in budgets:
        passed = [] if cap is None else [each for each in THRESHOLDS if spent * 100 >= cap * each]
        if cap is not None and passed:
            yield kind, cap, spent, passed[-1]
