"""The ledger's rows as a pandas DataFrame that is updated incrementally."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from llmkit.core import compat
from llmkit.core.money import NANO
from llmkit.costs.frame import columns
from llmkit.costs.frame.columns import COUNTS, MONEY, WORDS, Table
from llmkit.costs.frame.files import LedgerFrame
from llmkit.costs.frame.snapshot import Snapshot
from llmkit.costs.store.filters import ALL, Filters
from llmkit.costs.store.rows import COLUMNS as STORED
from llmkit.costs.store.rows import UID

if TYPE_CHECKING:
    from collections.abc import Collection

    from llmkit.costs.frame.columns import Chunk
    from llmkit.costs.store.protocol import Page, Store
    from llmkit.costs.store.rows import Row

COLUMNS = [MONEY.get(name, name) for name in STORED]
"""Column names of the user's frame, in order."""

READ = 2_000
"""Rows per read: while their objects fit into the processor's cache, reading is twice as fast."""

FEWEST, MOST = 10_000, 50_000
"""About the number of rows in a file of the snapshot: fewer are read from the ledger as fast."""

COPIES_LAZILY = compat.copies_lazily(pd)


def columns_of(store: Store) -> list[str]:
    """Return the columns of the user's frame of a store."""
    return [name for name in COLUMNS if name not in _hidden(store)]


def _hidden(store: Store) -> tuple[str, ...]:
    return () if store.has_users else ("user",)


class Frame:
    """A DataFrame that follows a store: each refresh reads only new rows."""

    def __init__(self, store: Store, filters: Filters = ALL) -> None:
        self._store = store
        self._hidden = _hidden(store)
        self._filters = filters
        # A snapshot has all rows; filtered rows are read by a query.
        folder = store.snapshot if filters == ALL else None
        self._snapshot = None if folder is None else Snapshot(folder)
        self._forget("")

    def refresh(self, *, dollars: bool = True) -> pd.DataFrame:
        """Read new rows; return a copy in dollars, or the rows in nano-dollars, which must not be changed."""
        waiting = self._store.unwritten()  # before reading, so that a row written meanwhile is in both
        self._read()
        late = self._late(waiting) if waiting else []
        frame = self._shown.refresh(columns.chunk(late) if late else None, dollars=dollars)
        if late:
            return frame.copy(deep=True)
        return frame.copy(deep=dollars and not COPIES_LAZILY)

    def _forget(self, epoch: str) -> None:
        self._epoch = epoch
        self._last = 0
        self._kept = 0  # up to here the snapshot goes
        self._parts: list[Chunk] = []  # rows that were read, but are not shown yet
        self._before = 0  # the last row before them
        self._shown = _Shown(self._hidden)

    def _read(self) -> None:
        after, page = self._last, self._page()
        if page.epoch != self._epoch:
            self._forget(page.epoch)
            self._load()
            if self._last != after:  # a page from the first row on is right in any epoch
                page = self._page()
        while page.epoch == self._epoch:  # else rows were deleted meanwhile, and all are read again
            self._parts += _chunks(page.rows)
            self._last = page.last
            if self._parts and (not page.more or sum(map(len, self._parts)) >= MOST):
                self._show(columns.join(self._parts))
            if not page.more:
                return
            page = self._page()
        self._read()

    def _page(self) -> Page:
        return self._store.read(self._last, READ, self._filters)

    def _show(self, chunk: Chunk) -> None:
        self._shown.extend(chunk)
        if len(chunk) >= FEWEST and self._snapshot is not None and self._kept == self._before:
            # Only without a gap: each file continues the one before.
            self._snapshot.save(self._epoch, self._before, self._last, chunk)
            self._kept = self._last
        self._parts, self._before = [], self._last

    def _load(self) -> None:
        """Load the snapshot as far as its rows match the ledger."""
        while self._snapshot is not None and (found := self._snapshot.load(self._epoch, self._last)):
            last, chunk = found
            page = self._store.read(last - 1, 1)
            uids = [row[1 + UID] for row in page.rows if row[0] == last]
            if page.epoch != self._epoch or uids != [str(uid) for uid in chunk.uids()[-1:]]:
                return  # e.g. the ledger was restored from a backup
            self._shown.extend(chunk)
            self._last = self._kept = self._before = last

    def _late(self, waiting: list[Row]) -> list[Row]:
        mine = self._shown.uids
        known = set(mine[mine.isin([row[UID] for row in waiting])])
        return [row for row in waiting if row[UID] not in known and self._filters.passes(row)]


def _chunks(rows: list[Row]) -> list[Chunk]:
    parts = (rows[first : first + FEWEST] for first in range(0, len(rows), FEWEST))
    return [columns.chunk(part, numbered=True) for part in parts]


def in_dollars(frame: pd.DataFrame) -> pd.DataFrame:
    """Return calls in nano-dollars as the user's frame."""
    usd = {name: frame[name].to_numpy(dtype=float, na_value=np.nan) / NANO for name in MONEY}
    return LedgerFrame(frame.assign(**usd).rename(columns=MONEY))


class _Shown:
    """A table as DataFrames that share its memory: in nano-dollars, and in dollars."""

    def __init__(self, hidden: Collection[str] = ()) -> None:
        self._hidden = hidden
        self._table = Table()
        self.uids = pd.Series([], dtype="str")
        self._new: list[pd.Series[str]] = []
        self._bases: dict[bool, list[pd.DataFrame]] = {False: [], True: []}
        self._versions: dict[bool, tuple[int, int]] = {}
        self._frames: dict[bool, pd.DataFrame] = {}

    def extend(self, chunk: Chunk) -> None:
        """Add rows."""
        self._table.extend(chunk)
        self._new.append(pd.Series(chunk.uids(), dtype="str"))
        self._frames.clear()

    def refresh(self, late: Chunk | None = None, *, dollars: bool) -> pd.DataFrame:
        """Return all rows, followed by unwritten ones; only a copy may be changed."""
        if self._new:
            self.uids = pd.concat([self.uids, *self._new], ignore_index=True)
            self._new.clear()
        if late is not None:
            self._table.put(late)
            more = pd.Series(late.uids(), dtype="str")
            uids = pd.concat([self.uids, more], ignore_index=True)
            return self._slice(self._table.size + len(late), uids, dollars=dollars)
        if dollars not in self._frames:
            self._frames[dollars] = self._slice(self._table.size, self.uids, dollars=dollars)
        return self._frames[dollars]

    def _slice(self, size: int, uids: pd.Series[str], *, dollars: bool) -> pd.DataFrame:
        if dollars:
            self._table.price(size)
        frame = self._base(dollars=dollars).iloc[:size]
        frame.insert(list(STORED).index("uid"), "uid", uids)
        return LedgerFrame(frame) if dollars else frame

    def _base(self, *, dollars: bool) -> pd.DataFrame:
        """Return the table including unused rows at its end, without identifiers."""
        bases, version = self._bases[dollars], (self._table.version, self._table.moves)
        before = self._versions.get(dollars, (-1, -1))
        if not COPIES_LAZILY or before[1] != self._table.moves:
            bases.clear()  # frames that were returned are copies, or use memory that the table has left
        if not bases or before != version:
            self._versions[dollars] = version
            names = COLUMNS if dollars else list(STORED)
            data = {name: self._column(name) for name in names if name not in {"uid", *self._hidden}}
            # Earlier frames are kept, because pandas counts the users of an array: if a user's frame were
            # the last one, writing into it would change the table.
            bases.append(pd.DataFrame(data, copy=False))
        return bases[-1]

    def _column(self, name: str) -> Any:
        array = self._table.arrays[name]
        if name in WORDS:
            words = pd.Index(list(self._table.words[name]), dtype="str")
            return pd.Categorical.from_codes(array, categories=words, validate=False)
        if name in COUNTS:
            return pd.arrays.IntegerArray(array, self._table.arrays[f"{name}?"], copy=False)
        if name == "time":
            # From integers: other constructors copy, so that new rows would be missing.
            return pd.array(array.view("i8"), dtype=pd.DatetimeTZDtype("us", "UTC"), copy=False)
        return array
