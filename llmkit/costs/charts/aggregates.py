"""Sums of calls for charts, in whole nano-dollars; pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

from llmkit.costs.frame.summary import PERIODS, local_time, period_starts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REST = "others"
UNKNOWN = "unknown"

FILTERS = "llmkit_filters"
"""Attribute of a frame: the filters, for the text below the title."""


class Bins(NamedTuple):
    """Calls by period of local time.

    Attributes:
        unit: `"hour"`, `"day"`, `"week"` or `"month"`, whichever makes readable bars.
        starts: Where the period of each call begins.
        first: Where the first period begins.
        last: Where the last one ends.
    """

    unit: str
    starts: NDArray[np.datetime64]
    first: datetime
    last: datetime


DAY = timedelta(days=1)
LENGTHS = {"hour": DAY / 24, "day": DAY, "week": 7 * DAY, "month": 31 * DAY}


def wall_clock(frame: pd.DataFrame) -> NDArray[np.datetime64]:
    """Return the local start times of calls, without a zone."""
    return local_time(frame["time"]).to_numpy().astype("M8[us]")


def binned(local: NDArray[np.datetime64]) -> Bins:
    """Choose the period of the bars."""
    first, last = _moment(local.min()), _moment(local.max())
    if last - first < 2 * DAY:
        return _bins("hour", local.astype("M8[h]"))
    if last - first < 92 * DAY:
        return _bins("day", local.astype("M8[D]"))
    if last - first < 730 * DAY:
        return _bins("week", period_starts(local, PERIODS["week"]))
    return _bins("month", local.astype("M8[M]"))


def _bins(unit: str, starts: NDArray[np.datetime64]) -> Bins:
    starts = starts.astype("M8[us]")
    return Bins(unit, starts, _moment(starts.min()), _moment(starts.max()) + LENGTHS[unit])


def _moment(time: Any) -> datetime:
    moment = time.astype("M8[us]").item()
    assert isinstance(moment, datetime)
    return moment


def named(column: pd.Series[Any], otherwise: str = UNKNOWN) -> pd.Series[Any]:
    """Return a categorical column with missing values replaced."""
    words = column if isinstance(column.dtype, pd.CategoricalDtype) else column.astype("category")
    if not words.hasnans:
        return words
    if otherwise not in words.cat.categories:
        words = words.cat.add_categories(otherwise)
    return words.fillna(otherwise)


def stacked(starts: NDArray[np.datetime64], names: pd.Series[Any], values: NDArray[np.int64]) -> pd.DataFrame:
    """Return sums by period and name, the largest name first."""
    data = pd.DataFrame({"value": values, "start": starts, "name": names.array})
    sums = data.groupby(["start", "name"], observed=True)["value"].sum()
    table = sums.unstack("name", fill_value=0)  # noqa: PD010 - no duplicates
    table.columns = pd.Index([str(name) for name in table.columns], dtype=object)
    table = table.loc[:, (table != 0).any()]
    return table[table.sum().sort_values(ascending=False, kind="stable").index]


def folded(table: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return at most `most + 1` columns; if there are more, the last one is the sum of the rest."""
    if table.shape[1] <= most + 1:
        return table
    kept = table.iloc[:, :most].copy()
    kept[f"{table.shape[1] - most} {REST}"] = table.iloc[:, most:].sum(axis=1)
    return kept
