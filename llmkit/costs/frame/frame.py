"""The ledger's rows as a pandas DataFrame that follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from llmkit.core.money import NANO
from llmkit.costs.frame import columns
from llmkit.costs.frame.columns import COUNTS, MONEY, WORDS, Table
from llmkit.costs.frame.files import LedgerFrame
from llmkit.costs.frame.snapshot import Snapshot
from llmkit.costs.store.filters import ALL, Filters
from llmkit.costs.store.rows import COLUMNS as STORED
from llmkit.costs.store.rows import UID

if TYPE_CHECKING:
    from llmkit.costs.frame.columns import Chunk
    from llmkit.costs.store.protocol import Page, Store
    from llmkit.costs.store.rows import Row

COLUMNS = [MONEY.get(name, name) for name in STORED]
"""Names of the columns that a user gets, in order."""

READ = 2_000
"""Rows that are read at once: while their objects fit into the processor's cache, that is twice as fast."""

FEWEST, MOST = 10_000, 50_000
"""Rows that a file of the snapshot has, about: fewer are read as fast from the ledger."""

# Before pandas 3, what a user writes into a shallow copy shows up in the original.
COPIES_LAZILY = int(pd.__version__.partition(".")[0]) >= 3


class Frame:
    """A DataFrame that follows a store: each refresh reads only the rows that came since."""

    def __init__(self, store: Store, filters: Filters = ALL) -> None:
        self._store = store
        self._filters = filters
        # Only all rows are worth a copy on the disk; those of filters are read by a query.
        folder = store.snapshot if filters == ALL else None
        self._snapshot = None if folder is None else Snapshot(folder)
        self._forget("")

    def refresh(self, *, dollars: bool = True) -> pd.DataFrame:
        """Read what is new; return a copy in dollars, or the rows in nano-dollars, not to be changed."""
        waiting = self._store.unwritten()  # before reading: whatever is written meanwhile is then in both
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
        self._shown = _Shown()

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
            self._snapshot.save(self._epoch, self._before, self._last, chunk)
            self._kept = self._last
        self._parts, self._before = [], self._last

    def _load(self) -> None:
        """Take what the snapshot has, as long as its rows are the ledger's."""
        while self._snapshot is not None and (found := self._snapshot.load(self._epoch, self._last)):
            last, chunk = found
            page = self._store.read(last - 1, 1)
            uids = [row[1 + UID] for row in page.rows if row[0] == last]
            if page.epoch != self._epoch or uids != [str(uid) for uid in chunk.uids()[-1:]]:
                return  # e.g. of a ledger that was restored from an older copy
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
    """Return calls in nano-dollars as a user gets them."""
    usd = {name: frame[name].to_numpy(dtype=float, na_value=np.nan) / NANO for name in MONEY}
    return LedgerFrame(frame.assign(**usd).rename(columns=MONEY))


class _Shown:
    """A table as DataFrames, whose columns are the table's own memory: in nano-dollars, and in dollars."""

    def __init__(self) -> None:
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
        """Return all rows, and these behind them; only a copy may be changed."""
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
        """Return the table with the room behind its last row, but without identifiers."""
        bases, version = self._bases[dollars], (self._table.version, self._table.moves)
        before = self._versions.get(dollars, (-1, -1))
        if not COPIES_LAZILY or before[1] != self._table.moves:
            bases.clear()  # whatever was given away is a copy, or of memory that was left
        if not bases or before != version:
            self._versions[dollars] = version
            names = COLUMNS if dollars else list(STORED)
            data = {name: self._column(name) for name in names if name != "uid"}
            # The earlier ones stay, for pandas counts who shares an array: were a user's frame the last
            # one, what is written into it would be written into the table.
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
            # From integers, for the other ways copy: the table's new rows would not show.
            return pd.array(array.view("i8"), dtype=pd.DatetimeTZDtype("us", "UTC"), copy=False)
        return array
