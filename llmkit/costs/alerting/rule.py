"""A rule about the calls of a ledger: their cost in a day or month, or how many of them fail."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from llmkit.core.errors import ConfigurationError
from llmkit.core.money import NANO, format_money, to_nanos
from llmkit.core.timestamps import micros
from llmkit.costs.budgets.rules import next_day
from llmkit.costs.calls import Calls
from llmkit.costs.store.groups import KEYS, MEASURES
from llmkit.costs.store.rows import COLUMNS
from llmkit.costs.sums import NOTHING
from llmkit.records import FAILED

if TYPE_CHECKING:
    from llmkit.costs.ledger import Ledger
    from llmkit.costs.store.filters import Filters

Per: TypeAlias = Literal["day", "month"]

_STATUS = list(COLUMNS).index("status")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAlert:
    """The calls of a ledger have passed the limit of a rule of `Ledger.alert`.

    Attributes:
        kind: `"spent"` or `"error_rate"`.
        value: US dollars, or percent of the calls that succeeded or failed.
        limit: The limit, in the same unit.
        period: `"2026-11-28"`, `"2026-11"`, or `"60 minutes"`.
        calls: The filters of the rule; empty for all calls.
        time: When it was detected (aware, UTC).

    Example:
        >>> now = datetime(2026, 11, 28)
        >>> print(RuleAlert(kind="spent", value=52, limit=50, period="2026-11", calls="tag a=b", time=now))
        Calls (tag a=b) of 2026-11 cost $52.00, which is over $50.00.
        >>> print(RuleAlert(kind="error_rate", value=40, limit=20, period="60 minutes", calls="", time=now))
        40% of the calls of the last 60 minutes failed, which is over 20%.
    """

    kind: Literal["spent", "error_rate"]
    value: float
    limit: float
    period: str
    calls: str
    time: datetime

    def __str__(self) -> str:
        which = f" ({self.calls})" if self.calls else ""
        if self.kind == "spent":
            amounts = format_money(self.value), format_money(self.limit)
            return f"Calls{which} of {self.period} cost {amounts[0]}, which is over {amounts[1]}."
        return (
            f"{self.value:.3g}% of the calls{which} of the last {self.period} failed,"
            f" which is over {self.limit:.3g}%."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A limit that was passed.

    Attributes:
        alert: The alert.
        name: What tells it apart from the rule's other alerts.
        until: End of the time in which it is said once (microseconds).
    """

    alert: RuleAlert
    name: tuple[Any, ...]
    until: int


@dataclass(slots=True, kw_only=True)
class SpendingRule:
    """A limit of what calls cost in a day or a month.

    Attributes:
        nanos: The limit, in nano-dollars.
        per: The period, in local time.
        filters: The calls.
    """

    nanos: int
    per: Per
    filters: Filters
    _calls: Calls | None = None  # kept, because only new rows are read again

    def look(self, ledger: Ledger, now: datetime) -> Finding | None:
        """Return the finding if the calls cost more."""
        start, end = _period(self.per, now)
        period = f"{start:%Y-%m-%d}" if self.per == "day" else f"{start:%Y-%m}"
        spent = self._spent(ledger, period, start)
        if spent <= self.nanos:
            return None
        alert = RuleAlert(
            kind="spent",
            value=spent / NANO,
            limit=self.nanos / NANO,
            period=period,
            calls=_described(self.filters),
            time=now,
        )
        name = ("spent", self.nanos, period, _described(self.filters))
        # A day longer, for computers in other time zones.
        return Finding(alert=alert, name=name, until=micros(end + _DAY))

    def _spent(self, ledger: Ledger, period: str, start: datetime) -> int:
        """Return what the calls cost: from the kept sums, if they have the filters' columns."""
        names = [self.per, "simulated", *self.filters.words]
        groups = None
        if not self.filters.tags and {*names} <= {*KEYS}:
            groups = ledger.flushed_store().groups(names)
        if groups is None:
            return self._since(ledger, micros(start)).sums().get(bool(self.filters.simulated), NOTHING).nanos
        wanted = [(period,), (int(bool(self.filters.simulated)),), *self.filters.words.values()]
        nanos = len(names) + MEASURES.index("nanos")
        return sum(
            row[nanos]
            for row in groups
            if all(value in some for value, some in zip(row[: len(names)], wanted, strict=True))
        )

    def _since(self, ledger: Ledger, start: int) -> Calls:
        if self._calls is None or self._calls.filters.since != start:
            self._calls = Calls(ledger, replace(self.filters, since=start))
        return self._calls


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRule:
    """A limit of how many calls fail.

    Attributes:
        percent: The limit, in percent of the calls that succeeded or failed.
        minutes: The calls of so many latest minutes count.
        at_least: Number of calls below which there is no rate.
        filters: The calls.
    """

    percent: float
    minutes: float
    at_least: int
    filters: Filters

    def look(self, ledger: Ledger, now: datetime) -> Finding | None:
        """Return the finding if more calls failed."""
        since = replace(self.filters, since=micros(now - timedelta(minutes=self.minutes)))
        ends = [row[_STATUS] for page in ledger.flushed_store().select(since) for row in page]
        failed = sum(end in FAILED for end in ends)
        # Cancelled calls count as neither, because the user ended them.
        counted = failed + sum(end in {"ok", "replayed"} for end in ends)
        rate = 100 * failed / (counted or 1)
        if counted < self.at_least or rate <= self.percent:
            return None
        alert = RuleAlert(
            kind="error_rate",
            value=rate,
            limit=self.percent,
            period=f"{self.minutes:g} minutes",
            calls=_described(self.filters),
            time=now,
        )
        name = ("error_rate", self.percent, self.minutes, self.at_least, _described(self.filters))
        return Finding(alert=alert, name=name, until=micros(now + timedelta(minutes=self.minutes)))


Rule: TypeAlias = SpendingRule | ErrorRule


def rules_of(
    filters: Filters, *, spent: Any, per: Any, error_rate: Any, minutes: Any, at_least: Any
) -> list[Rule]:
    """Return the rules that a user gave."""
    if spent is None and error_rate is None:
        raise ConfigurationError("An alert needs a limit.", hint="Pass spent=… (US dollars) or error_rate=….")
    if filters.since is not None or filters.until is not None:
        raise ConfigurationError(
            "An alert has a period of its own, so it takes neither since nor until.",
            hint='Use per="day", per="month" or minutes=….',
        )
    if filters.simulated is None:
        filters = replace(filters, simulated=False)
    period = _per(per)
    _check("minutes", minutes, 1, 7 * 24 * 60, "minutes")
    _check("at_least", at_least, 1, 10**6, "calls")
    rules: list[Rule] = []
    if spent is not None:
        rules.append(SpendingRule(nanos=_nanos(spent), per=period, filters=filters))
    if error_rate is not None:
        _check("error_rate", error_rate, 0, 100, "percent")
        rules.append(ErrorRule(percent=error_rate, minutes=minutes, at_least=at_least, filters=filters))
    return rules


def _nanos(spent: Any) -> int:
    try:
        return to_nanos(math.nan if isinstance(spent, bool) else spent)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"spent must be US dollars, 0 or more, got {spent!r}.", hint="Pass a number, such as spent=50."
        ) from error


def _per(per: Any) -> Per:
    if per not in get_args(Per):
        raise ConfigurationError(f'per must be "day" or "month", got {per!r}.', hint='Use per="month".')
    chosen: Per = per
    return chosen


def _check(name: str, value: Any, least: int, most: int, unit: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise ConfigurationError(
            f"{name} must be between {least} and {most:,} {unit}, got {value!r}.",
            hint=f"Pass a number, such as {name}={max(least, 20)}.",
        )


def _period(per: Per, now: datetime) -> tuple[datetime, datetime]:
    """Return when the day or month of a time begins and ends, in local time."""
    local = now.astimezone()
    if per == "day":
        end = next_day(now)
        return datetime.combine(local.date(), datetime.min.time()).astimezone(), end
    first = local.date().replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    start, end = (datetime.combine(each, datetime.min.time()).astimezone() for each in (first, following))
    return start, end


def _described(filters: Filters) -> str:
    """Describe the calls of a rule; real calls need no words."""
    return str(filters if filters.simulated else replace(filters, simulated=None))
