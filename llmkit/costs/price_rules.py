"""Which prices are unknown and which are estimates: one rule each, for a record, a DataFrame and SQL.

Each rule has three forms, because calling Python for each row is too slow for a database and for pandas.
`tests/unit/costs/test_price_rules.py` compares them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from llmkit.records import CallRecord

EXACT = ("reported", "settled")
"""Values of `usage_source` with an exact price; `Ledger.settle` writes the last one."""

BILLED = (
    "status <> 'replayed' AND (status = 'ok' OR coalesce(input_tokens, 0) + coalesce(output_tokens, 0) > 0)"
)
"""Whether a provider may charge for a call: it succeeded or used tokens. A replay costs nothing."""

UNPRICED = f"cost_nanos IS NULL AND {BILLED}"
"""Whether the cost of a call is unknown."""


def is_billed(record: CallRecord) -> bool:
    """Apply `BILLED` to a record."""
    return may_cost(record.status, record.input_tokens, record.output_tokens)


def may_cost(status: str, input_tokens: int | None, output_tokens: int | None) -> bool:
    """Apply `BILLED` to the fields of a record."""
    return status == "ok" or (status != "replayed" and bool(input_tokens or output_tokens))


def billed(frame: pd.DataFrame) -> pd.Series[bool]:
    """Apply `BILLED` to a frame."""
    used = frame[["input_tokens", "output_tokens"]].fillna(0).sum(axis=1) > 0
    status = frame["status"]
    return (status != "replayed") & ((status == "ok") | used)


def is_unpriced(record: CallRecord) -> bool:
    """Apply `UNPRICED` to a record."""
    return record.cost_nanos is None and is_billed(record)


def unpriced(frame: pd.DataFrame) -> pd.Series[bool]:
    """Apply `UNPRICED` to a frame."""
    return frame["cost_nanos"].isna() & billed(frame)


def is_estimated(record: CallRecord) -> bool:
    """Return whether a record's price is an estimate or incomplete."""
    return estimate(record.status, record.cost_nanos, record.usage_source, record.at_most_nanos)


def estimate(status: str, cost: int | None, usage_source: str | None, at_most: int | None) -> bool:
    """Apply `is_estimated` to the fields of a record."""
    if cost is None or status == "replayed":
        return False
    return (at_most or 0) > cost or inexact(cost, usage_source)


def inexact(cost: float, usage_source: str | None) -> bool:
    """Return whether a price is an estimate because of the source of its token counts.

    Example:
        >>> [inexact(1, "reported"), inexact(1, "partial"), inexact(0, "partial"), inexact(0, "incomplete")]
        [False, True, False, True]
    """
    if usage_source is None or usage_source in EXACT:
        return False
    return cost > 0 or usage_source == "incomplete"


def estimated(frame: pd.DataFrame) -> pd.Series[bool]:
    """Apply `is_estimated` to a frame."""
    cost, at_most = (frame[name].fillna(0).astype("int64") for name in ("cost_nanos", "at_most_nanos"))
    source, known = frame["usage_source"], frame["cost_nanos"].notna()
    guess = source.notna() & ~source.isin(EXACT) & ((cost > 0) | (source == "incomplete"))
    return known & (frame["status"] != "replayed") & (guess | (at_most > cost))


def estimated_sql(at_most: str = "at_most_nanos") -> str:
    """Return `is_estimated` as SQL; pass `NULL` for the first schema, which has no column for the bound."""
    return (
        f"cost_nanos IS NOT NULL AND status <> 'replayed' AND ({at_most} > cost_nanos"
        f" OR (usage_source NOT IN ({', '.join(map(repr, EXACT))})"
        " AND (cost_nanos > 0 OR usage_source = 'incomplete')))"
    )
