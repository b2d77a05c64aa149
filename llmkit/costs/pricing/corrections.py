"""Corrections of wrong prices in the ledger, which keep the old prices."""

from __future__ import annotations

import html
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from llmkit.core import settings
from llmkit.core.errors import ConfigurationError
from llmkit.core.money import NANO, format_money, format_nanos, to_nanos
from llmkit.costs.frame.files import LedgerFrame
from llmkit.costs.frame.summary import integers
from llmkit.costs.price_rules import inexact
from llmkit.costs.pricing import bulk
from llmkit.costs.store.filters import Filters
from llmkit.costs.store.protocol import NOTES, SOURCE, Change
from llmkit.costs.store.rows import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from decimal import Decimal

    from llmkit.costs.store.protocol import Store
    from llmkit.costs.store.rows import Row

BATCH = 5000
"""Maximum number of rows per transaction: other writers wait for it."""

REASON = 200
"""Maximum length of a stored reason, in characters."""

WORDS = {"cost_nanos": "cost", "saved_nanos": "saved", "at_most_nanos": "at_most", SOURCE: SOURCE}
"""Columns that can be corrected, and their names in tables."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Corrected:
    """What a correction changed, or would change.

    Attributes:
        examined: Number of calls that were checked.
        df: By provider, model and corrected column (`"cost"`, or `"saved"` for replayed calls): calls,
            were_unpriced, old_usd, new_usd, difference_usd.
        calls: Number of calls with a new price.
        were_unpriced: Number of these that had no price.
        old_nanos: Their former cost and savings, in nano-dollars.
        new_nanos: Their new cost and savings, in nano-dollars.
        run: Identifier of the correction, for `undo`.
        dry_run: Whether nothing was written.
        settled: Number of calls whose cost is now certain (`Ledger.settle`); negative if that was undone.
    """

    examined: int
    df: pd.DataFrame
    calls: int
    were_unpriced: int
    old_nanos: int
    new_nanos: int
    run: str
    dry_run: bool = False
    settled: int = 0

    def __repr__(self) -> str:
        if self.settled and not self.calls:
            words = "Settled at the estimate" if self.settled > 0 else "Open again"
            return f'{words}: {abs(self.settled):,}; ledger.correct(undo="{self.run}") undoes it'
        if not self.calls:
            return f"Nothing to correct among {self.examined:,} calls"
        verb = "would be corrected" if self.dry_run else "corrected"
        noun = "price" if self.calls == 1 else "prices"
        fresh = f" ({self.were_unpriced:,} had none)" if self.were_unpriced else ""
        text = f"{self.calls:,} {noun} {verb}{fresh}: "
        text += f"{format_nanos(self.old_nanos)} -> {format_nanos(self.new_nanos)}"
        return text if self.dry_run else f'{text}; ledger.correct(undo="{self.run}") undoes it'

    def _repr_html_(self) -> str:
        table = self.df.to_html(border=0, float_format=format_money) if len(self.df) else ""
        return f'<div class="mathjax_ignore tex2jax_ignore">{html.escape(repr(self))}{table}</div>'

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def correct(
    store: Store,
    frame: pd.DataFrame,
    *,
    prices: Mapping[str, Mapping[str, float]] | None = None,
    reported: bool = False,
    reason: str | None = None,
    dry_run: bool = False,
) -> Corrected:
    """Set the price of calls to that of their time."""
    own = None if prices is None else settings.price_table(prices)
    frame = frame[_correctable(frame, given=own is not None, reported=reported)]
    found = bulk.priced(frame, own=own)
    replayed = (frame["status"] == "replayed").to_numpy()
    before = frame["cost_nanos"].where(~replayed, frame["saved_nanos"])
    wrong = found.known & (before.isna().to_numpy() | (integers(before).to_numpy() != found.nanos))
    if own is not None:
        wrong &= found.sources == "given"
    changes = list(_changes(frame[wrong], before[wrong], found.nanos[wrong], found.sources[wrong]))
    whole = found.exact & (frame["usage_source"] == "incomplete").to_numpy() & ~replayed
    if own is not None:
        whole &= found.sources == "given"
    if dry_run:
        return _summary(_planned(changes, frame[wrong]), "", examined=len(frame), dry_run=True)
    changes += _bounds(frame[wrong], before[wrong], found.nanos[wrong])
    changes += _marks(frame[whole], "reported")
    return _write(store, changes, reason, examined=len(frame))


def settle(store: Store, uid: str, usd: float | Decimal | None) -> Corrected:
    """Set the actual cost of a call whose price is an estimate; see `Ledger.settle`."""
    call = _call(store, uid)
    cost, most = call["cost_nanos"], call["at_most_nanos"]
    nanos = cost if usd is None else _amount(usd)
    change = partial(Change, time=call["time"], uid=uid)
    changes = []
    if nanos != cost:
        day = datetime.now(UTC).date().isoformat()
        changes += [change(what="cost_nanos", expected=cost, nanos=nanos, source="given", date=day)]
    if most is not None:
        changes += [change(what="at_most_nanos", expected=most, nanos=None, source=None, date=None)]
    if nanos is not None and (most is not None or inexact(cost or 0, call[SOURCE])):
        changes += [_mark(call["time"], uid, call[SOURCE], "settled")]
    return _write(store, changes, "settled", examined=1)


def _call(store: Store, uid: str) -> dict[str, Any]:
    store.flush()
    rows = [row for page in store.select(Filters(words={"uid": (str(uid),)})) for row in page]
    if not rows:
        raise ConfigurationError(
            f"Unknown call: uid={str(uid)[:50]!r}.", hint="The column `uid` of ledger.df lists them."
        )
    call = dict(zip(COLUMNS, rows[0], strict=True))
    if call["status"] == "replayed":
        raise ConfigurationError(f"The call {uid} was replayed and cost nothing.")
    return call


def _amount(usd: float | Decimal) -> int:
    try:
        return to_nanos(usd)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"cost_usd must be >= 0 US dollars, got {usd!r}.",
            hint="Omit it to accept the estimate.",
        ) from error


def undo(store: Store, run: str) -> Corrected:
    """Undo a correction, where the price has not changed since."""
    notes = [dict(zip(NOTES, row, strict=True)) for row in store.corrections(run)]
    if not notes:
        raise ConfigurationError(
            f"Unknown correction: run={str(run)[:50]!r}.",
            hint="The column `run` of ledger.corrections lists them.",
        )
    changes = [
        Change(
            time=note["time"],
            uid=note["uid"],
            what=note["what"],
            expected=note["new_nanos"],
            nanos=note["old_nanos"],
            source=note["old_source"],
            date=note["old_date"],
            before=note["new_source"],
        )
        for note in notes
    ]
    return _write(store, changes, f"undo {run}", examined=len(changes))


def table(store: Store) -> pd.DataFrame:
    """Return all corrections; see `Ledger.corrections`.

    Example:
        >>> from llmkit.costs.ledger import Ledger
        >>> Ledger(":memory:").corrections.columns[:3].tolist()
        ['corrected', 'time', 'uid']
    """
    notes = _frame(store.corrections())
    for name in ("corrected", "time"):
        notes[name] = pd.to_datetime(notes[name].astype("int64"), unit="us", utc=True)
    for name in ("old", "new"):
        notes[f"{name}_nanos"] = notes[f"{name}_nanos"].astype(float) / NANO
    return LedgerFrame(notes.rename(columns={"old_nanos": "old_usd", "new_nanos": "new_usd"}))


def _correctable(frame: pd.DataFrame, *, given: bool, reported: bool) -> Any:
    """Return a mask of the calls whose price follows from their tokens.

    A call with a fallback may have tokens of two models. A price from the user has priority over lists.
    """
    left = [] if given else ["given"]
    if not reported:
        left += ["provider", "proxy"]
    return frame["fallback_from"].isna() & ~frame["price_source"].isin(left)


def _changes(
    frame: pd.DataFrame, before: pd.Series[int], nanos: bulk.Array, sources: bulk.Array
) -> Iterator[Change]:
    times = frame["time"].dt.as_unit("us").astype("int64").to_numpy()
    old = [
        None if unknown else amount
        for amount, unknown in zip(integers(before).tolist(), before.isna(), strict=True)
    ]
    what = np.where(frame["status"] == "replayed", "saved_nanos", "cost_nanos").tolist()
    dates = times.view("M8[us]").astype("M8[D]").astype(str).tolist()
    for values in zip(times.tolist(), frame["uid"], what, old, nanos.tolist(), sources, dates, strict=True):
        yield Change(*values)


def _bounds(frame: pd.DataFrame, before: pd.Series[int], nanos: bulk.Array) -> Iterator[Change]:
    """Yield new bounds for answers that broke off, in proportion to their prices."""
    old, most = integers(before).to_numpy(), integers(frame["at_most_nanos"]).to_numpy()
    times = frame["time"].dt.as_unit("us").astype("int64")
    rows = zip(times, frame["uid"], most.tolist(), old.tolist(), nanos.tolist(), strict=True)
    for (time, uid, bound, was, price), known in zip(rows, frame["at_most_nanos"].notna(), strict=True):
        if known and was > 0:
            grown = max(price, -(-bound * price // was))
            yield Change(time, uid, "at_most_nanos", bound, grown, None, None)


def _marks(frame: pd.DataFrame, source: str) -> Iterator[Change]:
    """Yield the changes that mark prices as exact."""
    times = frame["time"].dt.as_unit("us").astype("int64")
    for time, uid, before in zip(times.tolist(), frame["uid"], frame["usage_source"], strict=True):
        yield _mark(time, uid, before, source)


def _mark(time: int, uid: str, before: str | None, source: str) -> Change:
    return Change(time, uid, SOURCE, None, None, source, None, before)


def _write(store: Store, changes: list[Change], reason: str | None, *, examined: int) -> Corrected:
    run = uuid.uuid4().hex[:12]
    for first in range(0, len(changes), BATCH):
        store.correct(changes[first : first + BATCH], run=run, reason=reason and reason[:REASON])
    return _summary(_frame(store.corrections(run) if changes else []), run, examined=examined)


def _planned(changes: list[Change], frame: pd.DataFrame) -> pd.DataFrame:
    notes = _frame([])
    notes["old_nanos"] = pd.Series([change.expected for change in changes], dtype=object)
    notes["new_nanos"] = pd.Series([change.nanos for change in changes], dtype=object)
    notes["what"] = [WORDS[change.what] for change in changes]
    for name in ("provider", "model"):
        notes[name] = frame[name].astype("str").tolist()
    return notes


def _frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Return notes as a table, with money in nano-dollars."""
    notes = pd.DataFrame(list(rows), columns=list(NOTES), dtype=object)
    return notes.assign(what=notes["what"].map(WORDS))


def _summary(notes: pd.DataFrame, run: str, *, examined: int, dry_run: bool = False) -> Corrected:
    settled = _settled(notes)
    notes = notes[~notes["what"].isin([WORDS["at_most_nanos"], SOURCE])]
    unpriced = notes["old_nanos"].isna()
    data = pd.DataFrame(
        {
            "calls": 1,
            "were_unpriced": unpriced.astype("int64"),
            "old_usd": notes["old_nanos"].where(~unpriced, 0).astype("int64"),
            "new_usd": notes["new_nanos"].where(notes["new_nanos"].notna(), 0).astype("int64"),
        },
        index=notes.index,
    )
    keys = [notes[name].fillna("").astype("str") for name in ("provider", "model", "what")]
    sums = data.groupby(keys, sort=True).sum()
    old, new = int(sums["old_usd"].sum()), int(sums["new_usd"].sum())
    sums["difference_usd"] = sums["new_usd"] - sums["old_usd"]
    money = ["old_usd", "new_usd", "difference_usd"]
    return Corrected(
        examined=examined,
        df=sums.assign(**{name: sums[name] / NANO for name in money}),
        calls=len(notes),
        were_unpriced=int(unpriced.sum()),
        old_nanos=old,
        new_nanos=new,
        run=run,
        dry_run=dry_run,
        settled=settled,
    )


def _settled(notes: pd.DataFrame) -> int:
    """Return the number of calls that became certain, minus those that became uncertain again."""
    bounds, marks = (notes["what"] == what for what in (WORDS["at_most_nanos"], SOURCE))
    ends = [
        notes.loc[(bounds & notes[f"{side}_nanos"].isna()) | (marks & (notes[f"{side}_source"] == "settled"))]
        for side in ("new", "old")
    ]
    closed, opened = (end["uid"].nunique() for end in ends)
    return int(closed - opened)
