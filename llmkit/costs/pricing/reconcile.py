"""The ledger beside what a provider says was used: where they agree, and where they do not."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from llmkit.core.errors import ConfigurationError
from llmkit.core.money import NANO
from llmkit.costs.frame.summary import nanos as nanos_of
from llmkit.costs.frame.summary import spending
from llmkit.costs.pricing import bulk, provider_reports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SHOWN = {
    "calls": "calls",
    "input_tokens": "input_tokens",
    "cache_read_tokens": "cached_tokens",
    "output_tokens": "output_tokens",
    "nanos": "cost_usd",
}
"""What is compared, and its name in the table."""

HALF_A_CENT = NANO // 200
"""Nano-dollars by which costs may differ besides: some exports are in whole cents."""

ALL = "(all)"
"""Stands for the model where an export does not tell models apart."""

OTHER = "(none)"
"""Stands for the model of what an export lists beside models, such as searches."""


def reconcile(
    query: Callable[..., pd.DataFrame],
    source: Any,
    *,
    provider: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    tolerance: float,
) -> pd.DataFrame:
    """Compare calls with an export; see `Ledger.reconcile`."""
    if not 0 <= tolerance <= 1:
        raise ConfigurationError(f"tolerance={tolerance!r} is no share.", hint="Give a number from 0 to 1.")
    export = provider_reports.read(source)
    if provider and export.provider and provider != export.provider:
        raise ConfigurationError(f"The export is {export.provider}'s, not {provider}'s.")
    first = max(export.first, _midnight(since)) if since else export.first
    end = min(export.end, _midnight(until + timedelta(days=1, microseconds=-1))) if until else export.end
    if first >= end:
        raise ConfigurationError(
            f"The export covers {export.first:%Y-%m-%d} to"
            f" {export.end - provider_reports.DAY:%Y-%m-%d} (UTC): none of the days that are asked for."
        )
    theirs = export.usage[(export.usage["day"] >= first) & (export.usage["day"] < end)]
    names = set(theirs["model"])
    calls = spending(query(provider=provider or export.provider, since=first, until=end))
    ours = _ours(calls[calls["status"] != "replayed"], names)
    whole = names == {""}
    theirs = theirs.assign(model=theirs["model"].replace("", ALL if whole else OTHER))
    return _compared(ours, theirs.set_index(["day", "model"]), tolerance)


def _midnight(when: datetime) -> datetime:
    return datetime.combine(when.astimezone(UTC).date(), time(), UTC)


def _ours(calls: pd.DataFrame, names: set[str]) -> pd.DataFrame:
    """Add calls up by UTC day and by the export's name of their model."""
    used = (calls["status"] == "ok") | (calls[["input_tokens", "output_tokens"]].fillna(0).sum(axis=1) > 0)
    calls = calls[used]  # of what was refused, no provider keeps count
    unknown = calls["cost_usd"].isna()
    data = pd.DataFrame(
        {
            "day": calls["time"].dt.floor("D"),
            "model": _models(calls, names),
            "calls": 1,
            **{name: calls[name].fillna(0).astype("int64") for name in provider_reports.MEASURES[1:4]},
            "nanos": nanos_of(calls["cost_usd"]),
            "unpriced": unknown.astype("int64"),
        }
    )
    sums = data.groupby(["day", "model"], sort=True).sum()
    sums["nanos"] = sums["nanos"].astype("Int64").mask(sums["unpriced"] == sums["calls"])
    return sums.astype("Int64")


def _models(calls: pd.DataFrame, names: set[str]) -> pd.Series[str]:
    """Return the export's name of each call's model: that of the model that answered comes first."""
    if names == {""}:
        return pd.Series(ALL, index=calls.index, dtype="str")
    bases: dict[str, list[str]] = {}
    for name in sorted(names):
        bases.setdefault(provider_reports.base_name(name), []).append(name)
    found = np.empty(len(calls), dtype=object)
    for group in bulk.groups_of(calls):
        found[group.rows] = _model(group.models, names, bases)
    return pd.Series(found, index=calls.index, dtype="str")


def _model(mine: Iterable[str], names: set[str], bases: dict[str, list[str]]) -> str:
    """Find a model in an export: by its name, else by what is left without a date, if that is clear."""
    mine = list(mine)
    for name in mine:
        if name in names:
            return name
    for name in mine:
        if len(near := bases.get(provider_reports.base_name(name), [])) == 1:
            return near[0]
    return mine[0] if mine else OTHER


def _compared(ours: pd.DataFrame, theirs: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """Put both side by side."""
    both = pd.concat([ours.add_suffix("_ours"), theirs.add_suffix("_theirs")], axis=1).sort_index()
    is_ours, is_theirs = both.index.isin(ours.index), both.index.isin(theirs.index)
    drift = np.zeros(len(both), dtype=bool)
    table = pd.DataFrame(index=both.index)
    for measure, name in SHOWN.items():
        mine, other = both[f"{measure}_ours"], both[f"{measure}_theirs"]
        gap = mine - other
        drift |= _apart(mine, other, tolerance, HALF_A_CENT if measure == "nanos" else 0)
        if measure == "nanos":
            mine, other, gap = (part.astype("Float64").astype(float) / NANO for part in (mine, other, gap))
        table[name], table[f"{name}_theirs"], table[f"{name}_difference"] = mine, other, gap
    table["unpriced"] = both["unpriced_ours"].fillna(0).astype("int64")
    words = np.select([~is_theirs, ~is_ours, drift], ["only ours", "only theirs", "drift"], "match")
    table.insert(0, "status", words)
    return table


def _apart(mine: pd.Series[int], other: pd.Series[int], tolerance: float, slack: int) -> Any:
    """Return where both differ by more than they may; what the export does not say is no difference."""
    gap = (mine.fillna(0) - other.fillna(0)).abs().astype(float)
    most = pd.concat([mine, other], axis=1).fillna(0).abs().max(axis=1).astype(float)
    unknown = mine.isna() & (other.fillna(0) != 0)  # of a price that nobody knows here, none is a match
    return (other.notna() & (unknown | (gap > np.maximum(tolerance * most, slack)))).to_numpy(dtype=bool)
