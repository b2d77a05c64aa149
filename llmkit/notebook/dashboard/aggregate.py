"""What the dashboard shows: which calls, in which groups, and what they add up to. No I/O.

Money is whole nano-dollars here, so that every sum is that of the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from llmkit.core.suggestions import known
from llmkit.core.timestamps import MICROSECOND, aware, moment
from llmkit.costs.charts.aggregates import Bins, binned
from llmkit.costs.frame.summary import JOB, TAG, integers, local_time, period_starts, that_count
from llmkit.costs.frame.summary import PERIODS as CLOCK
from llmkit.costs.price_rules import estimated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PERIODS = ("today", "7 days", "30 days", "this month", "all", "custom")
"""Which calls, by the local day they began on; `custom` is from one day to another."""

GROUPS = ("model", "provider", "notebook", "status", "surface", "job", *reversed(CLOCK))
"""What the calls of any ledger can be grouped by, beside `tag:` and a name."""

USER = "user"
"""What calls can be grouped by, too, if the ledger knows users."""

SUMS = {
    "cost": "nanos",
    "calls": "calls",
    "tokens": "tokens",
    "errors": "errors",
    "saved": "saved_nanos",
}
"""Measures that add up, and their columns."""

MEDIANS = {"duration": "duration_s", "first token": "first_token_s"}
"""Measures of which the median is shown, in seconds, and their columns."""

METRICS = (*SUMS, *MEDIANS)
"""What can be measured."""

OTHERS = "others"
"""Key of the groups that have no colour of their own."""

MOST_BARS = 400
"""Most periods that a chart draws one by one."""

_LACKING = {"notebook": "outside a notebook", "job": "outside a job", TAG: "without the tag", USER: "no user"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSettings:
    """What a user has chosen.

    Example:
        >>> DashboardSettings(by="day").metric
        'cost'
        >>> DashboardSettings(by="weather")
        Traceback (most recent call last):
        ...
        llmkit.core.errors.ConfigurationError: Unknown group 'weather'. Known: model, provider, notebook,
        status, surface, job, month, week, day, hour.
    """

    period: str = "30 days"  # one of `PERIODS`
    first: date | None = None  # first local day of a `custom` period
    last: date | None = None  # last local day, included
    by: str = "model"  # one of `GROUPS`, `USER`, or `tag:` and a name
    metric: str = "cost"  # one of `METRICS`
    model: str | None = None
    notebook: str | None = None
    tag: str | None = None  # `name=value`
    simulated: bool | None = None  # `None` follows the rule of `Ledger.total`

    def __post_init__(self) -> None:
        known(self.period, PERIODS, "period")
        known(self.metric, METRICS, "metric")
        if self.by != USER:  # which the rows have, or not: see `check_group`
            check_group(self.by, GROUPS)

    @property
    def timed(self) -> bool:
        """Whether the groups are periods of time."""
        return self.by in CLOCK

    @property
    def tag_grouped(self) -> str | None:
        """Name of the tag by which calls are grouped; `None` if they are grouped by something else."""
        by = JOB if self.by == "job" else self.by
        return by.removeprefix(TAG) if by.startswith(TAG) else None

    def span(self, now: datetime) -> tuple[int | None, int | None]:
        """Return from when on and before when calls count, in microseconds since 1970."""
        today = now.astimezone().date()
        if self.period == "custom":
            return moment(self.first), moment(self.last and self.last + timedelta(days=1))
        days = {"today": 0, "7 days": 6, "30 days": 29, "this month": today.day - 1}.get(self.period)
        return None if days is None else moment(today - timedelta(days=days)), None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """What a user has clicked on: a group, a period of the chart, or both."""

    group: str | None = None  # `None` means all groups
    period: str | None = None  # start as ISO 8601; `None` means all periods


EVERYTHING = Pick()
"""All calls that count."""


def chosen(frame: pd.DataFrame, settings: DashboardSettings, now: datetime) -> NDArray[np.intp]:
    """Return which rows count."""
    since, until = settings.span(now)
    time = microseconds(frame)
    fits = np.ones(len(frame), dtype=bool)
    if since is not None:
        fits &= time >= since
    if until is not None:
        fits &= time < until
    fits = that_count(frame, settings.simulated, fits)
    for column in ("model", "notebook"):
        if (value := getattr(settings, column)) is not None:
            fits &= (frame[column] == value).to_numpy(dtype=bool)
    if settings.tag is not None:
        name, _, value = settings.tag.partition("=")
        fits &= _labels(frame["tags"], name) == value
    return np.flatnonzero(fits)


def microseconds(frame: pd.DataFrame) -> NDArray[np.int64]:
    """Return when the calls began, in microseconds since 1970."""
    # The unit of a column of times differs between versions of pandas.
    return np.asarray(frame["time"].dt.as_unit("us").astype("int64"), dtype=np.int64)


class Board:
    """Some calls, grouped and added up.

    Attributes:
        settings: What was chosen.
        now: The time.
        at: Places of the rows that count.
        keys: Keys of the groups, in the order in which they are shown.
        labels: What to call them.
        groups: Sums by group, in that order: calls, errors, tokens, nanos and so on.
        total: The sums of all.
    """

    def __init__(
        self, frame: pd.DataFrame, settings: DashboardSettings, now: datetime, named: int = 6
    ) -> None:
        self.settings, self.now = settings, now
        self._frame = frame
        self.at = chosen(frame, settings, now)
        self._named = named
        self._rows = frame[_needed(settings)].take(self.at)
        self._data = _measures(self._rows)
        codes, self.keys, self.labels = self._grouped()
        self.groups = _sums(self._data, codes, len(self.keys))
        self.total = _sums(self._data, np.zeros(len(codes), dtype=np.int64), 1).iloc[0]
        order = self._order()
        places = np.empty(len(order), dtype=np.int64)
        # The inverse of the order: it gives each code its new place.
        places[order] = np.arange(len(order))
        self.codes = places[codes] if len(order) else codes
        self.groups = self.groups.iloc[order].reset_index(drop=True)
        self.keys = [self.keys[place] for place in order]
        self.labels = [self.labels[place] for place in order]

    @property
    def everything(self) -> int:
        """How many calls the ledger has in all."""
        return len(self._frame)

    @property
    def simulated(self) -> bool:
        """Whether these are the sandbox's calls."""
        return bool(self._rows["simulated"].any())

    @cached_property
    def left_out(self) -> int:
        """How many simulated calls do not count because real ones cost something."""
        if self.settings.simulated is not None or self.simulated:
            return 0
        return len(chosen(self._frame, replace(self.settings, simulated=True), self.now))

    @cached_property
    def local(self) -> NDArray[np.datetime64]:
        """When the calls began, as the clock on the wall showed it."""
        return local_time(self._rows["time"]).to_numpy().astype("M8[us]")

    @cached_property
    def bins(self) -> Bins | None:
        """The periods that bars stand for; `None` without a call."""
        if not len(self.at):
            return None
        if self.settings.timed:
            starts = period_starts(self.local, CLOCK[self.settings.by])
            if len(np.unique(starts)) <= MOST_BARS and _slots(starts) <= MOST_BARS:
                return _bins(self.settings.by, starts)
        return binned(self.local)

    @cached_property
    def series(self) -> list[str]:
        """Keys of what the chart stacks: the largest groups, then the others; one if groups are time."""
        if self.settings.timed or not self.keys:
            return [""] if self.keys else []
        if len(self.keys) <= self._named + 1:
            return list(self.keys)
        return [*self.keys[: self._named], OTHERS]

    @cached_property
    def bars(self) -> tuple[NDArray[np.datetime64], NDArray[Any]]:
        """Starts of the periods that have calls, and the measure by period and series."""
        if self.bins is None:
            return np.zeros(0, "M8[us]"), np.zeros((0, 0), np.int64)
        starts, periods = np.unique(self.bins.starts, return_inverse=True)
        count, stack = len(self.series), self._stack()
        if self.settings.metric in MEDIANS:
            values = self._data[MEDIANS[self.settings.metric]].groupby(periods * count + stack).median()
            medians = np.full(len(starts) * count, np.nan)
            medians[values.index.to_numpy()] = values.to_numpy()
            return starts, medians.reshape(len(starts), count)
        sums = np.zeros(len(starts) * count, dtype=np.int64)
        np.add.at(sums, periods * count + stack, self._data[SUMS[self.settings.metric]].to_numpy())
        return starts, sums.reshape(len(starts), count)

    @cached_property
    def bar_calls(self) -> NDArray[np.int64]:
        """Calls by period and series, as in `bars`."""
        assert self.bins is not None
        starts, periods = np.unique(self.bins.starts, return_inverse=True)
        count = len(self.series)
        return np.bincount(periods * count + self._stack(), minlength=len(starts) * count).reshape(-1, count)

    def behind(self, pick: Pick) -> NDArray[np.intp]:
        """Return the rows behind what was clicked on."""
        fits = np.ones(len(self.at), dtype=bool)
        if pick.group == OTHERS and OTHERS not in self.keys:
            fits &= self.codes >= self._named
        elif pick.group:
            place = self.keys.index(pick.group) if pick.group in self.keys else -1
            fits &= self.codes == place
        if pick.period is not None:
            fits &= self.bins is not None and self.bins.starts == np.datetime64(pick.period, "us")
        return self.at[fits]

    def rows(self, pick: Pick = EVERYTHING) -> pd.DataFrame:
        """Return the calls behind what was clicked on, in nano-dollars."""
        return self._frame.take(self.behind(pick))

    def listing(self, places: NDArray[np.intp], order: str = "newest", most: int = 200) -> pd.DataFrame:
        """Return the first of some rows."""
        rows = self._frame.take(places)
        # Unknown prices come last.
        by = rows["cost_nanos"].fillna(-1).astype("int64")
        keys = by if order == "most expensive" else pd.Series(microseconds(rows), index=rows.index)
        # Of equal ones the newest, which is the last, comes first.
        return rows.iloc[::-1].loc[keys.iloc[::-1].nlargest(most).index]

    def _grouped(self) -> tuple[NDArray[np.int64], list[str], list[str]]:
        by = self.settings.by
        if self.settings.timed:
            starts, places = np.unique(period_starts(self.local, CLOCK[by]), return_inverse=True)
            keys = [str(start) for start in starts.astype("M8[s]")]
            return places.astype(np.int64), keys, keys
        numbers: Any
        if (tag := self.settings.tag_grouped) is not None:
            words = pd.Series(_labels(self._rows["tags"], tag), dtype=object)
            numbers, found = pd.factorize(words)
            names = list(found)
        else:
            column = self._rows[by].cat.remove_unused_categories()
            numbers, names = column.cat.codes.to_numpy(), list(column.cat.categories)
        codes: NDArray[np.int64] = np.asarray(numbers, dtype=np.int64)
        keys, labels = [f"={name}" for name in names], [str(name) for name in names]
        if (codes < 0).any():
            codes = np.where(codes < 0, len(names), codes)
            keys.append("?")
            labels.append(_LACKING.get(TAG if by.startswith(TAG) else by, "unknown"))
        return codes, keys, labels

    def _order(self) -> NDArray[np.intp]:
        if self.settings.timed:
            return np.arange(len(self.keys))
        metric = self.settings.metric
        column = SUMS.get(metric) or MEDIANS[metric]
        # Groups without a value come last.
        values = self.groups[column].astype(float).fillna(-1.0)
        frame = pd.DataFrame({"value": values, "calls": self.groups["calls"], "label": self.labels})
        ordered = frame.sort_values(["value", "calls", "label"], ascending=[False, False, True])
        return ordered.index.to_numpy()

    def _stack(self) -> NDArray[np.int64]:
        return np.minimum(self.codes, len(self.series) - 1) if not self.settings.timed else self.codes * 0


def _needed(settings: DashboardSettings) -> list[str]:
    columns = ["time", "status", "simulated", "cost_nanos", "saved_nanos", "input_tokens", "output_tokens"]
    columns += ["usage_source", "at_most_nanos", *MEDIANS.values()]
    if settings.tag_grouped is not None:
        return [*columns, "tags"]
    return columns if settings.timed or settings.by in columns else [*columns, settings.by]


def _measures(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what of each call is added up; the rules are those of `Ledger.summary`."""
    unknown = rows["cost_nanos"].isna()
    tokens = {name: integers(rows[name]) for name in ("input_tokens", "output_tokens")}
    used = tokens["input_tokens"] + tokens["output_tokens"]
    counted = (rows["status"] == "ok") | (used > 0)
    return pd.DataFrame(
        {
            "calls": 1,
            "errors": rows["status"].isin(["error", "interrupted"]).astype("int64"),
            **tokens,
            "tokens": used,
            "counted": (rows["input_tokens"].notna() | rows["output_tokens"].notna()).astype("int64"),
            "nanos": integers(rows["cost_nanos"]),
            "priced": (~unknown).astype("int64"),
            "unpriced": (unknown & (rows["status"] != "replayed") & counted).astype("int64"),
            "estimated": estimated(rows).astype("int64"),
            "saved_nanos": integers(rows["saved_nanos"]),
            # A replay takes no time worth knowing: the charts leave it out, too.
            **{name: rows[name].where(rows["status"] != "replayed") for name in MEDIANS.values()},
        }
    )


def _sums(data: pd.DataFrame, codes: NDArray[np.int64], groups: int) -> pd.DataFrame:
    """Add up by group, and take medians; every group has a row."""
    grouped = data.groupby(codes)
    whole = [name for name in data.columns if name not in MEDIANS.values()]
    table = grouped[whole].sum().reindex(range(groups), fill_value=0)
    return table.join(grouped[list(MEDIANS.values())].median())


def _labels(tags: pd.Series[Any], name: str) -> NDArray[np.object_]:
    """Return each call's value of one tag, `None` if it has none; rows share their tags."""
    codes, unique = pd.factorize(np.fromiter(map(id, tags), np.int64, len(tags)))
    _, firsts = np.unique(codes, return_index=True)
    words = np.empty(len(unique), dtype=object)
    for code, first in enumerate(firsts):
        value = tags.iloc[int(first)].get(name)
        words[code] = None if value is None else str(value)
    return words[codes]


def _bins(unit: str, starts: NDArray[np.datetime64]) -> Bins:
    times = starts.astype("M8[us]")
    return Bins(unit, times, times.min().item(), times.max().item())


def _slots(starts: NDArray[np.datetime64]) -> int:
    return int((starts.max() - starts.min()).astype("int64")) + 1


def groups_of(frame: pd.DataFrame) -> tuple[str, ...]:
    """Return what calls can be grouped by, beside `tag:` and a name."""
    return (*GROUPS, USER) if USER in frame else GROUPS


def check_group(by: str, groups: Sequence[str]) -> None:
    """Raise if calls cannot be grouped that way."""
    if not by.startswith(TAG):
        known(by, groups, "group")


def tag_choices(frame: pd.DataFrame, most: int = 200) -> tuple[list[str], list[str]]:
    """Return the tags that calls have: their names, and `name=value`."""
    # Many calls share one dictionary of tags, so each is read once.
    shared = {id(tags): tags for tags in frame["tags"]}
    pairs = {(str(name), str(value)) for tags in shared.values() for name, value in tags.items()}
    return sorted({name for name, _ in pairs}), [f"{name}={value}" for name, value in sorted(pairs)[:most]]


def word_choices(column: pd.Series[Any]) -> Sequence[str]:
    """Return the words of a column, sorted."""
    return sorted(map(str, column.cat.categories))


def today_sums(frame: pd.DataFrame, now: datetime, *, simulated: bool) -> pd.Series[Any]:
    """Return the sums of the calls of the local day, as `Board.total` has them."""
    return Board(frame, DashboardSettings(period="today", by="day", simulated=simulated), now).total


def first_period(frame: pd.DataFrame, now: datetime) -> str:
    """Return the period to begin with: 30 days, or all if there were no calls in them."""
    if not len(frame) or len(chosen(frame, DashboardSettings(period="30 days"), now)):
        return "30 days"
    return "all"


def to_day(when: date | str | None, *, end: bool = False) -> date | None:
    """Return the local day of a time as users write it."""
    time = aware(when)
    return None if time is None else (time - end * MICROSECOND).astimezone().date()
