"""Comparison of the ledger with a provider's usage report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from llmkit.core.errors import ConfigurationError
from llmkit.core.money import NANO
from llmkit.core.timestamps import from_micros
from llmkit.costs.frame.summary import integers, spending
from llmkit.costs.price_rules import billed
from llmkit.costs.pricing import bulk, provider_reports
from llmkit.costs.pricing.bulk import DAY

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from llmkit.costs.calls import Calls
    from llmkit.costs.store.filters import Filters

SHOWN = {
    "calls": "calls",
    "input_tokens": "input_tokens",
    "cache_read_tokens": "cached_tokens",
    "output_tokens": "output_tokens",
    "nanos": "cost_usd",
}
"""Compared measures, and their names in the table."""

HALF_A_CENT = NANO // 200
"""Absolute tolerance for costs, in nano-dollars: some exports are in whole cents."""

ALL = "(all)"
"""Name of the model if an export does not distinguish models."""

OTHER = "(none)"
"""Name of the model for items without one, such as searches."""


def reconcile(
    calls: Calls,
    whole_days: Calls,
    source: Any,
    *,
    tolerance: float,
    simulated: bool | None,
) -> pd.DataFrame:
    """Compare calls with an export; `whole_days` are the same calls at any time. See `Calls.reconcile`."""
    if not 0 <= tolerance <= 1:
        raise ConfigurationError(
            f"tolerance must be between 0 and 1, got {tolerance!r}.", hint="Pass a number from 0 to 1."
        )
    export = provider_reports.read(source)
    providers = calls.filters.words.get("provider", ())
    if providers and export.provider and export.provider not in providers:
        raise ConfigurationError(f"The export is {export.provider}'s, not {' or '.join(providers)}'s.")
    first, end = _days(export, calls.filters)
    theirs = export.usage[(export.usage["day"] >= first) & (export.usage["day"] < end)]
    names = set(theirs["model"])
    found = spending(whole_days.where(provider=export.provider, since=first, until=end).exact, simulated)
    ours = _ours(found, names)
    theirs = theirs.assign(model=theirs["model"].replace("", ALL if names == {""} else OTHER))
    return _compared(ours, theirs.set_index(["day", "model"]), tolerance)


def _days(export: provider_reports.Export, filters: Filters) -> tuple[datetime, datetime]:
    """Return the first UTC day to compare, and the day after the last."""
    first, end = export.first, export.end
    if filters.since is not None:
        first = max(first, _midnight(filters.since))
    if filters.until is not None:
        end = min(end, _midnight(filters.until + DAY - 1))
    if first >= end:
        raise ConfigurationError(
            f"The export covers {export.first:%Y-%m-%d} to"
            f" {export.end - provider_reports.DAY:%Y-%m-%d} (UTC), which includes none of the requested days."
        )
    return first, end


def _midnight(micros: int) -> datetime:
    """Return the start of a time's UTC day."""
    return from_micros(micros // DAY * DAY)


def _ours(calls: pd.DataFrame, names: set[str]) -> pd.DataFrame:
    """Return the sums of calls by UTC day and by the export's name of their model."""
    calls = calls[billed(calls)]  # providers do not report refused calls
    unknown = calls["cost_nanos"].isna()
    data = pd.DataFrame(
        {
            "day": calls["time"].dt.floor("D"),
            "model": _models(calls, names),
            "calls": 1,
            **{name: integers(calls[name]) for name in provider_reports.MEASURES[1:4]},
            "nanos": integers(calls["cost_nanos"]),
            "unpriced": unknown.astype("int64"),
        }
    )
    sums = data.groupby(["day", "model"], sort=True).sum()
    sums["nanos"] = sums["nanos"].astype("Int64").mask(sums["unpriced"] == sums["calls"])
    return sums.astype("Int64")


def _models(calls: pd.DataFrame, names: set[str]) -> pd.Series[str]:
    """Return the export's name of each call's model, preferably that of the model that answered."""
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
    """Find a model in an export by its name, otherwise by its name without a date if that is unique."""
    mine = list(mine)
    for name in mine:
        if name in names:
            return name
    for name in mine:
        if len(near := bases.get(provider_reports.base_name(name), [])) == 1:
            return near[0]
    return mine[0] if mine else OTHER


def _compared(ours: pd.DataFrame, theirs: pd.DataFrame, tolerance: float) -> pd.DataFrame:
    """Return both side by side, with their difference and status."""
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
    """Return a mask of differences above the tolerance; values that the export lacks are ignored."""
    gap = (mine.fillna(0) - other.fillna(0)).abs().astype(float)
    most = pd.concat([mine, other], axis=1).fillna(0).abs().max(axis=1).astype(float)
    unknown = mine.isna() & (other.fillna(0) != 0)  # an unknown price matches nothing
    return (other.notna() & (unknown | (gap > np.maximum(tolerance * most, slack)))).to_numpy(dtype=bool)
