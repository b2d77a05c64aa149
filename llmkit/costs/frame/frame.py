"""The ledger's rows as a pandas DataFrame; the only module that imports pandas."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from llmkit.costs.frame import columns
from llmkit.costs.frame.columns import COUNTS, FIXED, MONEY, WORDS, Table
from llmkit.costs.frame.snapshot import Snapshot
from llmkit.costs.store import schema
from llmkit.costs.store.rollups import MEASURES
from llmkit.costs.totals import NANOS, shows_simulated
from llmkit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmkit.costs.frame.columns import Chunk
    from llmkit.costs.store.interface import Page, Store
    from llmkit.costs.store.schema import Row

COLUMNS = [MONEY.get(name, name) for name in schema.COLUMNS]
"""Names of the frame's columns, in order."""

# Before pandas 3, what a user writes into a shallow copy shows up in the original.
COPIES_LAZILY = int(pd.__version__.partition(".")[0]) >= 3


class Frame:
    """A DataFrame that follows a store: each refresh reads only the rows that came since.

    Args:
        store: Where the rows are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshot = Snapshot(store.snapshot) if store.snapshot is not None else None
        self._forget("")

    def refresh(self) -> pd.DataFrame:
        """Read what is new.

        Returns:
            All rows, those that wait in memory last; a copy that its owner may change.
        """
        waiting = self._store.unwritten()  # before reading: whatever is written meanwhile is then in both
        self._read()
        late = self._late(waiting) if waiting else []
        if not late:
            return self._shown.refresh().copy(deep=not COPIES_LAZILY)
        return self._shown.refresh(columns.chunk(late)).copy(deep=True)

    def _forget(self, epoch: str) -> None:
        self._epoch = epoch
        self._last = 0
        self._kept = 0  # up to here the snapshot goes
        self._shown = _Shown()

    def _read(self) -> None:
        page = self._store.read(self._last)
        if page.epoch != self._epoch:
            self._forget(page.epoch)
            self._load()
            page = self._store.read(self._last)
        while page.epoch == self._epoch:  # or rows have gone meanwhile: the next refresh reads anew
            if page.rows:
                self._take(page)
            if not page.more:
                return
            page = self._store.read(self._last)
        self._read()

    def _take(self, page: Page) -> None:
        chunk, before, self._last = (
            columns.chunk([row[1:] for row in page.rows]),
            self._last,
            page.rows[-1][0],
        )
        self._shown.extend(chunk)
        if page.more and self._snapshot is not None and self._kept == before:
            self._snapshot.save(self._epoch, before, self._last, chunk)
            self._kept = self._last

    def _load(self) -> None:
        """Take what the snapshot has, as long as its rows are the ledger's."""
        while self._snapshot is not None and (found := self._snapshot.load(self._epoch, self._last)):
            last, chunk = found
            page = self._store.read(last - 1, 1)
            uids = [row[1 + schema.UID] for row in page.rows if row[0] == last]
            if page.epoch != self._epoch or uids != [str(uid) for uid in chunk.uids()[-1:]]:
                return  # e.g. of a ledger that was restored from an older copy
            self._shown.extend(chunk)
            self._last = self._kept = last

    def _late(self, waiting: list[Row]) -> list[Row]:
        mine = self._shown.uids
        known = set(mine[mine.isin([row[schema.UID] for row in waiting])])
        return [row for row in waiting if row[schema.UID] not in known]


def table(pages: Iterable[Sequence[Row]]) -> pd.DataFrame:
    """Return rows as a DataFrame like the ledger's.

    Args:
        pages: Values as the file keeps them, some rows at a time.
    """
    shown = _Shown()
    for rows in pages:
        shown.extend(columns.chunk(rows))
    return shown.refresh().copy(deep=not COPIES_LAZILY)


class _Shown:
    """A table as a DataFrame, whose columns are the table's own memory."""

    def __init__(self) -> None:
        self._table = Table()
        self.uids = pd.Series([], dtype="str")
        self._new: list[pd.Series[str]] = []
        self._bases: list[pd.DataFrame] = []
        self._version = self._moves = -1
        self._frame: pd.DataFrame | None = None

    def extend(self, chunk: Chunk) -> None:
        """Add rows."""
        self._table.extend(chunk)
        self._new.append(pd.Series(chunk.uids(), dtype="str"))
        self._frame = None

    def refresh(self, late: Chunk | None = None) -> pd.DataFrame:
        """Return all rows, and these behind them; only a copy may be changed."""
        if self._new:
            self.uids = pd.concat([self.uids, *self._new], ignore_index=True)
            self._new.clear()
        if late is not None:
            self._table.put(late)
            more = pd.Series(late.uids(), dtype="str")
            return self._slice(self._table.size + len(late), pd.concat([self.uids, more], ignore_index=True))
        if self._frame is None:
            self._frame = self._slice(self._table.size, self.uids)
        return self._frame

    def _slice(self, size: int, uids: pd.Series[str]) -> pd.DataFrame:
        frame = self._base().iloc[:size]
        frame.insert(list(schema.COLUMNS).index("uid"), "uid", uids)
        return frame

    def _base(self) -> pd.DataFrame:
        """Return the table with the room behind its last row, but without identifiers."""
        if not COPIES_LAZILY or self._moves != self._table.moves:
            self._bases.clear()  # whatever was given away is a copy, or of memory that was left
        if not self._bases or self._version != self._table.version:
            self._version, self._moves = self._table.version, self._table.moves
            data = {name: self._column(name) for name in COLUMNS if name != "uid"}
            # The earlier ones stay, for pandas counts who shares an array: were a user's frame the last
            # one, what is written into it would be written into the table.
            self._bases.append(pd.DataFrame(data, copy=False))
        return self._bases[-1]

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


def spending(frame: pd.DataFrame, simulated: bool | None = None) -> pd.DataFrame:  # noqa: FBT001 - three-valued
    """Choose the calls that count; see `totals.shows_simulated`.

    Args:
        frame: The ledger's rows.
        simulated: Only the simulated ones, only the real ones, or `None` for the rule.

    Returns:
        Some of the rows.
    """
    fake = int(frame["simulated"].sum())
    which = shows_simulated(simulated, {True: fake, False: len(frame) - fake})
    return frame[frame["simulated"] == which]


def nanos(usd: pd.Series[float]) -> pd.Series[int]:
    """Return dollars as billionths again, exactly (below two million dollars a call); 0 if unknown.

    Args:
        usd: US dollars of each call.

    Returns:
        Integers, whose sum is exact.
    """
    return (usd.fillna(0.0) * NANOS).round().astype("int64")


def local_time(time: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]:
    """Return times as the clock on the wall showed them.

    Args:
        time: Aware times.

    Returns:
        The same moments in this machine's time zone, without a zone.
    """
    quarters = time.dt.floor("15min")  # no zone changes its offset in between
    offsets = {
        quarter: quarter.to_pydatetime().astimezone().utcoffset() for quarter in quarters.drop_duplicates()
    }
    return time.dt.tz_localize(None) + pd.to_timedelta(quarters.map(offsets))


PERIODS = {"hour": "h", "day": "D", "month": "M"}
"""Periods of local time that calls can be grouped by, beside the columns."""


TAG = "tag:"
"""Before the name of a tag, where a column's name may stand."""


def summarise(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Add calls up in groups.

    Args:
        frame: The calls that count.
        by: Columns, words of `PERIODS`, or `tag:` and the name of a tag.

    Returns:
        One row per group: calls, errors, tokens, money. Dearest first, or in the order of time.
    """
    timed = bool(PERIODS.keys() & set(by))
    local = local_time(frame["time"]) if timed else frame["time"]
    keys = [_key(frame, local, name) for name in by]
    unknown = frame["cost_usd"].isna()
    used = frame[["input_tokens", "output_tokens"]].fillna(0).sum(axis=1) > 0
    data = pd.DataFrame(
        {
            "calls": 1,
            "errors": frame["status"].isin(["error", "interrupted"]).astype("int64"),
            "input_tokens": frame["input_tokens"],
            "output_tokens": frame["output_tokens"],
            "cost_usd": nanos(frame["cost_usd"]),
            "unpriced": (
                unknown & (frame["status"] != "replayed") & ((frame["status"] == "ok") | used)
            ).astype("int64"),
            "saved_usd": nanos(frame["saved_usd"]),
            "priced": (~unknown).astype("int64"),
        },
        index=frame.index,
    )
    return _grouped(data, keys, timed=timed)


def summarise_groups(groups: Sequence[Row], by: Sequence[str]) -> pd.DataFrame | None:
    """Do what `summarise` does with the store's daily sums.

    Args:
        groups: What `Store.groups` returned for `rolled_by(by)`.
        by: Names of `rollups.KEYS`, or `"month"`.

    Returns:
        The same table; `None` if a sum is of several local days, for it was made in another time zone.
    """
    names = rolled_by(by)
    columns = dict(zip([*names, *MEASURES], zip(*groups, strict=True), strict=True)) if groups else {}
    rows = pd.DataFrame(
        {name: pd.Series(columns.get(name, ()), dtype=object) for name in [*names, *MEASURES]}
    )
    timed = bool(PERIODS.keys() & set(by))
    if timed:
        days = local_time(pd.to_datetime(rows["first"].astype("int64"), unit="us", utc=True)).dt.floor("D")
        ends = local_time(pd.to_datetime(rows["last"].astype("int64"), unit="us", utc=True)).dt.floor("D")
        if (days != ends).any():
            return None
        rows["time"] = days
    keys = [_rolled_key(rows, name) for name in by]
    data = rows[["calls", "errors"]].astype("int64")
    data[["input_tokens", "output_tokens"]] = rows[["input_tokens", "output_tokens"]].astype("Int64")
    data[["cost_usd", "unpriced", "saved_usd", "priced"]] = rows[
        ["nanos", "unpriced", "saved_nanos", "priced"]
    ].astype("int64")
    return _grouped(data, keys, timed=timed)


def rolled_by(by: Sequence[str]) -> list[str]:
    """Return the keys of the daily sums that a summary needs."""
    return list(dict.fromkeys("day" if name in PERIODS else name for name in by))


def _grouped(data: pd.DataFrame, keys: list[pd.Series[Any]], *, timed: bool) -> pd.DataFrame:
    groups = data.groupby(keys, observed=True, dropna=False, sort=True)
    table = groups.sum(min_count=1)  # tokens that nobody knows stay unknown
    table[["cost_usd", "saved_usd"]] /= NANOS
    table["cost_usd"] = table["cost_usd"].mask((table["priced"] == 0) & (table["unpriced"] > 0))
    table = table.drop(columns="priced")
    return table if timed else table.sort_values("cost_usd", ascending=False, kind="stable")


def _key(frame: pd.DataFrame, local: pd.Series[pd.Timestamp], name: str) -> pd.Series[Any]:
    if name in PERIODS:
        return _start(local, PERIODS[name], name)
    if name.startswith(TAG):
        return _tag(frame["tags"], name.removeprefix(TAG)).rename(name)
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
    """Return the order in which groups are shown that cost the same."""
    fixed = FIXED.get(name, ())
    return pd.Index([*fixed, *sorted(set(words).difference(fixed))], dtype="str")


def _tag(tags: pd.Series[Any], key: str) -> pd.Series[Any]:
    """Return each call's value of one tag; rows share their tags, so few have to be asked."""
    codes, unique = pd.factorize(np.fromiter(map(id, tags), np.int64, len(tags)))
    asked = dict(zip(codes.tolist(), tags, strict=True))
    words = [asked[code].get(key) for code in range(len(unique))]
    values = pd.Series([None if word is None else str(word) for word in words], dtype="str")
    return pd.Series(values.take(codes).to_numpy(), index=tags.index, dtype="str").astype("category")


def _start(local: pd.Series[pd.Timestamp], period: str, name: str) -> pd.Series[pd.Timestamp]:
    starts = local.to_numpy().astype(f"M8[{period}]")
    return pd.Series(starts.astype("M8[us]"), index=local.index, name=name)


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write calls to a CSV file; a new one is readable for its owner only.

    Args:
        frame: The calls; tags become JSON text.
        path: The file, which is replaced.
    """
    with open(path, "w", encoding="utf-8", newline="", opener=_private) as file:
        _plain(frame).to_csv(file, index=False)


def write_parquet(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write calls to a Parquet file; a new one is readable for its owner only.

    Args:
        frame: The calls; tags become JSON text.
        path: The file, which is replaced.

    Raises:
        ConfigurationError: If pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: F401 - is it there?
    except ImportError as error:
        raise ConfigurationError(
            "Parquet files need pyarrow, which is not installed.", hint='pip install "llmkit[parquet]"'
        ) from error
    with open(path, "wb", opener=_private) as file:
        _plain(frame).to_parquet(file, engine="pyarrow", index=False)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(tags=[json.dumps(tags) for tags in frame["tags"]])


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
