"""The ledger's rows as a pandas DataFrame; the only module that imports pandas."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NoReturn, get_args

import numpy as np
import pandas as pd

from llmkit.costs import schema
from llmkit.costs.totals import NANOS, shows_simulated
from llmkit.errors import ConfigurationError
from llmkit.records import Status, Surface

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.costs.interface import Store
    from llmkit.costs.schema import Row

RENAMED = {"cost_nanos": "cost_usd", "saved_nanos": "saved_usd"}

COLUMNS = [RENAMED.get(name, name) for name in schema.COLUMNS]
"""Names of the frame's columns, in order."""

FIXED = {"status": get_args(Status), "surface": get_args(Surface)}
"""Categories that are known from the start; those of other columns are added as they come."""

MONEY = [*RENAMED]
NUMBERS = [name for name, kind in schema.COLUMNS.items() if kind == "REAL"]
COUNTS = [
    name
    for name, kind in schema.COLUMNS.items()
    if kind == "INTEGER" and name not in {*MONEY, "time", "simulated"}
]
WORDS = [name for name, kind in schema.COLUMNS.items() if kind == "TEXT" and name not in {"uid", "tags"}]

# Before pandas 3, what a user writes into a shallow copy shows up in the original.
COPIES_LAZILY = int(pd.__version__.partition(".")[0]) >= 3


class Tags(dict[str, str]):
    """Labels of a call: a dict that cannot change, since rows share it, and can be grouped and sorted by.

    Example:
        >>> dict(Tags({"project": "thesis"}))
        {'project': 'thesis'}
    """

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError("The ledger's tags cannot be changed; make a copy with dict(tags)")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # a dict says it has none
        return hash(frozenset(self.items()))

    def __lt__(self, other: Tags) -> bool:
        return sorted(self.items()) < sorted(other.items())

    def __reduce__(self) -> tuple[type, tuple[dict[str, str]]]:
        return Tags, (dict(self),)


class Frame:
    """A DataFrame that follows a store: each refresh reads only the rows that came since.

    Args:
        store: Where the rows are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._raw = self._frame = pd.DataFrame()
        self._forget("")

    def refresh(self) -> pd.DataFrame:
        """Read what is new.

        Returns:
            All rows, those that wait in memory last; a copy that its owner may change.
        """
        waiting = self._store.unwritten()  # before reading: whatever is written meanwhile is then in both
        new = self._read()
        if new:
            self._raw = pd.concat([self._raw, *new], ignore_index=True) if len(self._raw) else _join(new)
        if new:
            self._frame = self._finish(self._raw)
        known = set(self._raw["uid"]) if waiting else set()
        late = [row for row in waiting if row[schema.UID] not in known]
        if late:
            return self._finish(pd.concat([self._raw, self._encode(late)], ignore_index=True))
        return self._frame.copy(deep=not COPIES_LAZILY)

    def _forget(self, epoch: str) -> None:
        self._epoch = epoch
        self._last = 0
        self._codes = {name: dict.fromkeys(FIXED.get(name, ()), 0) for name in WORDS}
        for words in self._codes.values():
            words.update((word, code) for code, word in enumerate(words))
        self._tags: dict[str | None, Tags] = {None: Tags()}
        self._raw = self._encode([])
        self._frame = self._finish(self._raw)

    def _read(self) -> list[pd.DataFrame]:
        new: list[pd.DataFrame] = []
        more = True
        while more:
            page = self._store.read(self._last)
            if page.epoch != self._epoch:
                self._forget(page.epoch)
                new.clear()
                page = self._store.read()
            if page.rows:
                self._last = page.rows[-1][0]
                new.append(self._encode([row[1:] for row in page.rows]))
            more = page.more
        return new

    def _encode(self, rows: Sequence[Row]) -> pd.DataFrame:
        try:
            return self._columns(rows)
        except (TypeError, ValueError, OverflowError):  # another hand wrote what does not fit its column
            return self._columns([schema.salvage(row) for row in rows])

    def _columns(self, rows: Sequence[Row]) -> pd.DataFrame:
        """Return rows as columns, words as numbers: those of several pages can be joined cheaply."""
        values = zip(*rows, strict=True) if rows else [()] * len(schema.COLUMNS)
        columns: dict[str, Sequence[Any]] = dict(zip(schema.COLUMNS, values, strict=True))
        data: dict[str, Any] = {
            "time": np.array(columns["time"], dtype="int64").view("M8[us]"),
            "uid": pd.Series(columns["uid"], dtype="str"),
            "tags": pd.Series([self._parse(text) for text in columns["tags"]], dtype=object),
            "simulated": np.array(columns["simulated"], dtype=bool),
        }
        data |= {RENAMED[name]: np.array(columns[name], dtype=float) / NANOS for name in MONEY}
        data |= {name: np.array(columns[name], dtype=float) for name in NUMBERS}
        data |= {name: pd.array(list(columns[name]), dtype="Int64") for name in COUNTS}
        data |= {name: self._number(name, columns[name]) for name in WORDS}
        return pd.DataFrame(data, columns=COLUMNS, copy=False)

    def _parse(self, text: str | None) -> Tags:
        if text not in self._tags:
            try:
                tags = json.loads(text or "{}")
            except ValueError:
                tags = None
            self._tags[text] = Tags(tags if isinstance(tags, dict) else {})
        return self._tags[text]

    def _number(self, name: str, words: Sequence[str | None]) -> np.ndarray[Any, np.dtype[np.int32]]:
        known = self._codes[name]
        codes, unique = pd.factorize(np.array(words, dtype=object))
        numbers = [known.setdefault(word, len(known)) for word in unique]
        return np.array([*numbers, -1], dtype=np.int32)[codes]  # -1, no word, takes the last

    def _finish(self, raw: pd.DataFrame) -> pd.DataFrame:
        data: dict[str, Any] = {name: raw[name] for name in COLUMNS}
        data["time"] = raw["time"].dt.tz_localize("UTC")
        for name in WORDS:
            words = pd.Index(list(self._codes[name]), dtype="str")
            data[name] = pd.Categorical.from_codes(raw[name].to_numpy(), categories=words)
        return pd.DataFrame(data, copy=False)


def _join(frames: list[pd.DataFrame]) -> pd.DataFrame:
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


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


def summarise(frame: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Add calls up in groups.

    Args:
        frame: The calls that count.
        by: Columns, or words of `PERIODS`.

    Returns:
        One row per group: calls, errors, tokens, money. Dearest first, or in the order of time.
    """
    timed = bool(PERIODS.keys() & set(by))
    local = local_time(frame["time"]) if timed else frame["time"]
    keys = [_start(local, PERIODS[name], name) if name in PERIODS else frame[name] for name in by]
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
    groups = data.groupby(keys, observed=True, dropna=False, sort=True)
    table = groups.sum(min_count=1)  # tokens that nobody knows stay unknown
    table[["cost_usd", "saved_usd"]] /= NANOS
    table["cost_usd"] = table["cost_usd"].mask((table["priced"] == 0) & (table["unpriced"] > 0))
    table = table.drop(columns="priced")
    return table if timed else table.sort_values("cost_usd", ascending=False, kind="stable")


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
