"""Grouped sums of calls, from the ledger's rows or from its daily sums."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from llmkit.core.money import NANO
from llmkit.costs.frame.columns import FIXED, MONEY
from llmkit.costs.price_rules import estimated, unpriced
from llmkit.costs.store.filters import ALL, Filters
from llmkit.costs.store.groups import KEYS, MEASURES, sums_in
from llmkit.costs.sums import NOTHING, Sums, kinds_that_count
from llmkit.records import FAILED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmkit.costs.frame.columns import Array
    from llmkit.costs.store.protocol import Store
    from llmkit.costs.store.rows import Row

PERIODS = {"hour": "h", "day": "D", "week": "W", "month": "M"}
"""Periods of local time that calls can be grouped by, beside the columns."""

TAG = "tag:"
"""Prefix of a tag's name in place of a column."""

JOB = "tag:job"
"""The tag that calls of a job over a table have."""

SLICE = 250_000
"""Calls that are added up at once; limits the memory."""

_SUMMED = (
    "simulated", "status", "input_tokens", "output_tokens", "cost_nanos", "saved_nanos",
    "usage_source", "at_most_nanos",
)  # fmt: skip

_NANOS = {usd: name for name, usd in MONEY.items()}

LEFT_OUT = "llmkit_left_out"
"""Attribute of a frame from `spending`: the number of simulated calls that were excluded."""


def spending(frame: pd.DataFrame, simulated: bool | None = None) -> pd.DataFrame:  # noqa: FBT001 - three-valued
    """Return the calls that count; see `sums.kinds_that_count`."""
    counts = that_count(frame, simulated)
    # Not a copy of all rows: ten million would take another two gigabytes.
    chosen = frame.copy(deep=False) if counts.all() else frame[counts]
    chosen.attrs[LEFT_OUT] = len(frame) - len(chosen) if simulated is None else 0
    return chosen


def that_count(frame: pd.DataFrame, simulated: bool | None, among: Array | None = None) -> Array:  # noqa: FBT001 - three-valued
    """Return a mask of the calls that count; see `sums.kinds_that_count`."""
    fake = frame["simulated"].to_numpy(dtype=bool)
    real = ~fake if among is None else ~fake & among
    undecided = simulated is None and bool(fake.any())  # otherwise the costs do not matter
    paid = undecided and cost_something(frame[[*_SUMMED]][real])
    kinds = kinds_that_count(simulated, paid=paid)
    counts = fake == kinds[0] if len(kinds) == 1 else np.ones(len(fake), dtype=bool)
    return counts if among is None else counts & among


def cost_something(frame: pd.DataFrame) -> bool:
    """Return whether any call cost something; the rule is `Sums.paid`."""
    known = any(bool((frame[name] > 0).any()) for name in ("cost_nanos", "saved_nanos"))
    return known or bool(unpriced(frame).any())


def integers(column: pd.Series[int]) -> pd.Series[int]:
    """Return counts or amounts, with 0 for unknown values."""
    return column.fillna(0).astype("int64")


def local_time(time: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]:
    """Return times in local time, without a zone."""
    quarters = time.dt.floor("15min")  # time zones change their offset only at quarters of an hour
    offsets = {
        quarter: quarter.to_pydatetime().astimezone().utcoffset() for quarter in quarters.drop_duplicates()
    }
    return time.dt.tz_localize(None) + pd.to_timedelta(quarters.map(offsets))


def needed(by: Sequence[str]) -> list[str]:
    """Return the columns that `spending` and `summarise` need."""
    sources = ["time" if name in PERIODS else "tags" if name.startswith(TAG) else name for name in by]
    return list(dict.fromkeys([*_SUMMED, *(_NANOS.get(name, name) for name in sources)]))


def summarise(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Group calls and add them up."""
    timed = bool(PERIODS.keys() & set(by))
    local = local_time(frame["time"]) if timed else frame["status"]
    keys = [_key(frame, local, name) for name in by]
    slices = [slice(first, first + SLICE) for first in range(0, max(len(frame), 1), SLICE)]
    parts = [_sums(_measured(frame.iloc[part]), [key.iloc[part] for key in keys]) for part in slices]
    if len(parts) > 1:
        levels = list(range(len(by)))
        parts = [_sums(pd.concat(parts), level=levels)]
    return _shown(parts[0], timed=timed)


def _measured(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "calls": 1,
            "errors": frame["status"].isin(FAILED).astype("int64"),
            "input_tokens": frame["input_tokens"],
            "output_tokens": frame["output_tokens"],
            "cost_usd": integers(frame["cost_nanos"]),
            "unpriced": unpriced(frame).astype("int64"),
            "estimated": estimated(frame).astype("int64"),
            "saved_usd": integers(frame["saved_nanos"]),
            "priced": frame["cost_nanos"].notna().astype("int64"),
        },
        index=frame.index,
    )


def summarise_groups(groups: Sequence[Row], by: Sequence[str]) -> pd.DataFrame | None:
    """Return the result of `summarise` from the store's daily sums."""
    names = list(dict.fromkeys(by))
    columns = dict(zip([*names, *MEASURES], zip(*groups, strict=True), strict=True)) if groups else {}
    rows = pd.DataFrame(
        {name: pd.Series(columns.get(name, ()), dtype=object) for name in [*names, *MEASURES]}
    )
    timed = bool(PERIODS.keys() & set(by))
    if timed:
        first, last = (
            local_time(pd.to_datetime(rows[name].astype("int64"), unit="us", utc=True))
            for name in ("first", "last")
        )
        period = "day" if "day" in by else "month"
        if (_start(first, PERIODS[period], "") != _start(last, PERIODS[period], "")).any():
            return None
        rows["time"] = first
    keys = [_rolled_key(rows, name) for name in by]
    data = rows[["calls", "errors"]].astype("int64")
    data[["input_tokens", "output_tokens"]] = rows[["input_tokens", "output_tokens"]].astype("Int64")
    data[["cost_usd", "unpriced", "estimated", "saved_usd", "priced"]] = rows[
        ["nanos", "unpriced", "estimated", "saved_nanos", "priced"]
    ].astype("int64")
    return _shown(_sums(data, keys), timed=timed)


def rolled(
    store: Store,
    by: Sequence[str],
    simulated: bool | None,  # noqa: FBT001 - three-valued
    filters: Filters = ALL,
) -> pd.DataFrame | None:
    """Return `summarise(spending(…))` without reading the rows; `None` if that is impossible."""
    names = list(dict.fromkeys(by))
    groups = _kept(store, [*names, *({"simulated"} - {*names})], filters)
    if groups is None:
        return None
    place = [*names, "simulated"].index("simulated")
    kinds = kinds_that_count(simulated, paid=_added(groups, place).get(False, NOTHING).paid)
    chosen = [row for row in groups if bool(row[place]) in kinds]
    if "simulated" not in names:  # groups of both kinds are then merged
        chosen = [(*row[:place], *row[place + 1 :]) for row in chosen]
    return summarise_groups(chosen, by)


def kept_sums(store: Store, filters: Filters) -> dict[bool, Sums] | None:
    """Return the sums without reading the rows; `None` if that is impossible."""
    groups = _kept(store, ["simulated"], filters)
    return None if groups is None else _added(groups, 0)


def _kept(store: Store, by: Sequence[str], filters: Filters) -> list[Row] | None:
    """Return the store's sums of the calls that pass filters, if it has them for these columns."""
    names = list(dict.fromkeys([*by, *filters.words]))
    keys = {*KEYS, "user"} if store.has_users else {*KEYS}
    unkept = replace(filters, words={}, simulated=None) != ALL or not {*names} <= keys
    groups = None if unkept else store.groups(names)
    if groups is None:
        return None
    wanted = [(names.index(name), words) for name, words in filters.words.items()]
    kind, measures = names.index("simulated"), len(names)
    return [
        (*row[: len(by)], *row[measures:])
        for row in groups
        if filters.simulated in {None, bool(row[kind])} and all(row[at] in words for at, words in wanted)
    ]


def _added(groups: Iterable[Row], place: int) -> dict[bool, Sums]:
    sums: dict[bool, Sums] = {}
    for row in groups:
        kind = bool(row[place])
        sums[kind] = sums.get(kind, NOTHING) + sums_in(row[-len(MEASURES) :])
    return sums


def frame_sums(frame: pd.DataFrame) -> dict[bool, Sums]:
    """Return the sums of simulated and of real calls."""
    columns = ["calls", "unpriced", "priced", "cost_usd", "saved_usd", "estimated"]  # in the order of `Sums`
    sums = _measured(frame)[columns].groupby(frame["simulated"]).sum()
    return {bool(kind): Sums(*map(int, row)) for kind, *row in sums.itertuples()}


def _sums(
    data: pd.DataFrame, keys: list[pd.Series[Any]] | None = None, level: list[int] | None = None
) -> pd.DataFrame:
    groups = data.groupby(keys, level=level, observed=True, dropna=False, sort=True)
    table = groups.sum(min_count=1)  # unknown tokens stay unknown
    if isinstance(table.index, pd.MultiIndex) and any(each.hasnans for each in table.index.levels):
        # pandas 2.2 made "missing" a value of a level, which `loc` and `nlargest` do not find.
        values = [table.index.get_level_values(each) for each in range(table.index.nlevels)]
        table.index = pd.MultiIndex.from_arrays(values)
    return table


def _shown(table: pd.DataFrame, *, timed: bool) -> pd.DataFrame:
    table[["cost_usd", "saved_usd"]] /= NANO
    table["cost_usd"] = table["cost_usd"].mask((table["priced"] == 0) & (table["unpriced"] > 0))
    table = table.drop(columns="priced")
    if timed:
        return table
    costs = pd.Series(table["cost_usd"].to_numpy())  # the index may have the same name
    return table.iloc[costs.sort_values(ascending=False, kind="stable").index]


def _key(frame: pd.DataFrame, local: pd.Series[pd.Timestamp], name: str) -> pd.Series[Any]:
    if name in PERIODS:
        return _start(local, PERIODS[name], name)
    if name.startswith(TAG):
        return _tag(frame["tags"], name.removeprefix(TAG)).rename(name)
    if name in _NANOS:
        return (frame[_NANOS[name]].astype("Float64") / NANO).rename(name)
    key = frame[name]
    if isinstance(key.dtype, pd.CategoricalDtype):
        return key.cat.set_categories(_categories(name, key.cat.categories))
    return key


def _rolled_key(rows: pd.DataFrame, name: str) -> pd.Series[Any]:
    if name in PERIODS:
        return _start(rows["time"], PERIODS[name], name)
    if name == "simulated":
        return rows[name].astype(bool)
    words = rows[name].where(rows[name] != b"", None)
    return words.astype(pd.CategoricalDtype(_categories(name, words.dropna().unique())))


def _categories(name: str, words: Iterable[str]) -> pd.Index[str]:
    """Return the order of groups with the same cost."""
    fixed = FIXED.get(name, ())
    return pd.Index([*fixed, *sorted(set(words).difference(fixed))], dtype="str")


def _tag(tags: pd.Series[Any], key: str) -> pd.Series[Any]:
    """Return each call's value of a tag; rows share their tags, so only a few are looked up."""
    codes, unique = pd.factorize(np.fromiter(map(id, tags), np.int64, len(tags)))
    asked = dict(zip(codes.tolist(), tags, strict=True))
    words = [asked[code].get(key) for code in range(len(unique))]
    values = pd.Series([None if word is None else str(word) for word in words], dtype="str")
    return pd.Series(values.take(codes).to_numpy(), index=tags.index, dtype="str").astype("category")


def _start(local: pd.Series[pd.Timestamp], period: str, name: str) -> pd.Series[pd.Timestamp]:
    starts = period_starts(local.to_numpy(), period)
    return pd.Series(starts.astype("M8[us]"), index=local.index, name=name)


def period_starts(times: Array, period: str) -> Array:
    """Return the start of each time's period."""
    if period != PERIODS["week"]:
        return times.astype(f"M8[{period}]")
    days = times.astype("M8[D]").astype("int64")
    return ((days + 3) // 7 * 7 - 3).astype("M8[D]")  # 1970 began on a Thursday
