"""The ledger's rows as numpy columns, in which texts and tags are numbers."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, get_args

import numpy as np

from llmkit.core.money import NANO
from llmkit.costs.store.rows import COLUMNS, salvage
from llmkit.records import CallStatus, Surface

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.costs.store.rows import Row

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

FIXED = {"status": get_args(CallStatus), "surface": get_args(Surface)}
"""Categories that are known in advance; those of other columns are added as they occur."""

MONEY = {"cost_nanos": "cost_usd", "saved_nanos": "saved_usd", "at_most_nanos": "at_most_usd"}
"""Columns in nano-dollars, and their names in dollars, which only the user's frame has."""

NUMBERS = [name for name, kind in COLUMNS.items() if kind is float]
COUNTS = [name for name, kind in COLUMNS.items() if kind is int and name not in {"time", "simulated"}]
WORDS = [name for name, kind in COLUMNS.items() if kind is str and name not in {"uid", "tags"}]
CODED = [*WORDS, "tags"]


class Tags(dict[str, str]):
    """Labels of a call: a read-only dict, because rows share it; hashable and sortable for grouping.

    Example:
        >>> dict(Tags({"project": "thesis"}))
        {'project': 'thesis'}
    """

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError("The ledger's tags are read-only; make a copy with dict(tags)")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # a dict says it has none
        return hash(frozenset(self.items()))

    def __lt__(self, other: Tags) -> bool:
        return sorted(self.items()) < sorted(other.items())

    def __reduce__(self) -> tuple[type, tuple[dict[str, str]]]:
        return Tags, (dict(self),)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows as columns.

    Attributes:
        arrays: Numbers by column. `column?` marks the unknown values of a count, and is alone if all are
            unknown. Texts are indices into `words`; -1 means none.
        words: The texts by column; for `uid`, one per row if the identifiers differ in form.
    """

    arrays: dict[str, Array]
    words: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.arrays["time"])

    def uids(self) -> Array | list[str]:
        """Return the rows' identifiers."""
        return self.arrays["uid"].astype("U") if "uid" in self.arrays else self.words["uid"]

    def dumps(self, **notes: object) -> bytes:
        """Return the rows as bytes, in numpy's `.npz` format."""
        file = io.BytesIO()
        text = json.dumps({"words": self.words, **notes}).encode()
        np.savez(file, **{"": np.frombuffer(text, np.uint8), **self.arrays})  # type: ignore[arg-type]
        return file.getvalue()


def loads(data: bytes) -> tuple[Chunk, dict[str, Any]]:
    """Read the output of `Chunk.dumps`; no code in it is run."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = dict(file.items())
    notes = json.loads(arrays.pop("").tobytes())
    return Chunk(arrays, notes.pop("words")), notes


def chunk(rows: Sequence[Row], *, numbered: bool = False) -> Chunk:
    """Turn rows into columns."""
    try:
        return _chunk(rows, int(numbered))
    except (TypeError, ValueError, OverflowError):
        return _chunk([salvage(row[int(numbered) :]) for row in rows], 0)


def _chunk(rows: Sequence[Row], skip: int) -> Chunk:
    values = list(zip(*rows, strict=True))[skip:] if rows else [()] * len(COLUMNS)
    columns: dict[str, tuple[Any, ...]] = dict(zip(COLUMNS, values, strict=True))
    arrays: dict[str, Array] = {"time": np.array(columns["time"], dtype=np.int64)}
    words: dict[str, list[str]] = {}
    arrays["simulated"] = np.array(columns["simulated"], dtype=bool)
    for name in NUMBERS:
        arrays[name] = np.array(columns[name], dtype=float)
    for name in COUNTS:
        arrays |= _counts(name, columns[name])
    for name in CODED:
        arrays[name], words[name] = _codes(columns[name])
    if (uids := _identifiers(columns["uid"])) is not None:
        arrays["uid"] = uids
    else:
        words["uid"] = list(columns["uid"])
    return Chunk(arrays, words)


def _counts(name: str, values: tuple[Any, ...]) -> dict[str, Array]:
    missing = values.count(None)
    if missing == len(values):
        return {f"{name}?": np.ones(missing, dtype=bool)} if values else {name: np.zeros(0, np.int64)}
    known = [value for value in values if value is not None] if missing else values
    numbers = np.array(known)
    if numbers.dtype != np.int64:
        raise TypeError("A count is not an integer")
    if not missing:
        return {name: _narrow(numbers)}
    unknown = np.array([value is None for value in values])
    filled = np.zeros(len(values), dtype=np.int64)
    filled[~unknown] = numbers
    return {name: _narrow(filled), f"{name}?": unknown}


class _Places(dict[Any, int]):
    """Numbers of texts in the order of their first lookup; -1 means none."""

    def __missing__(self, word: object) -> int:
        if word is not None and type(word) is not str:
            raise TypeError("A value is not a string")
        self[word] = place = -1 if word is None else len(self) - (None in self)
        return place


def _codes(values: tuple[str | None, ...]) -> tuple[Array, list[str]]:
    if values.count(None) == len(values):
        return np.full(len(values), -1, dtype=np.int8), []
    places = _Places()
    codes = np.fromiter(map(places.__getitem__, values), np.int32, len(values))
    places.pop(None, None)
    return _narrow(codes), list(places)


def join(chunks: Sequence[Chunk]) -> Chunk:
    """Concatenate chunks."""
    if len(chunks) == 1:
        return chunks[0]
    plain = ("time", "simulated", *NUMBERS)
    arrays = {name: np.concatenate([chunk.arrays[name] for chunk in chunks]) for name in plain}
    words: dict[str, list[str]] = {}
    there = {name for chunk in chunks for name in chunk.arrays}
    for name in there.difference(arrays, CODED, ["uid"]):  # counts, and which of them are missing
        arrays[name] = _joined_counts(chunks, name)
    for name in CODED:
        arrays[name], words[name] = _joined_words(chunks, name)
    if _alike(chunks):
        arrays["uid"] = np.concatenate([chunk.arrays["uid"] for chunk in chunks])
    else:
        words["uid"] = _identifier_texts(chunks)
    return Chunk(arrays, words)


def _alike(chunks: Sequence[Chunk]) -> bool:
    """Return whether all identifiers are plain and of one length."""
    kinds = [chunk.arrays["uid"].dtype for chunk in chunks if "uid" in chunk.arrays]
    return len(kinds) == len(chunks) and len(set(kinds)) == 1


def _identifier_texts(chunks: Sequence[Chunk]) -> list[str]:
    return [str(uid) for chunk in chunks for uid in chunk.uids()]


def _joined_counts(chunks: Sequence[Chunk], name: str) -> Array:
    """Concatenate counts, or the marks of unknown ones; a chunk may lack the array."""
    kind = bool if name.endswith("?") else np.int8
    return np.concatenate([chunk.arrays.get(name, np.zeros(len(chunk), kind)) for chunk in chunks])


def _joined_words(chunks: Sequence[Chunk], name: str) -> tuple[Array, list[str]]:
    """Concatenate texts and renumber them: each chunk has its own numbers."""
    places: dict[str, int] = {}
    parts = [_numbers(places, chunk.words[name])[chunk.arrays[name]] for chunk in chunks]
    return _narrow(np.concatenate(parts)), list(places)


def _numbers(known: dict[str, int], words: list[str]) -> Array:
    """Return the numbers of texts, new ones for unknown texts; the index -1 (none) takes the last."""
    return np.array([*[known.setdefault(word, len(known)) for word in words], -1], dtype=np.int32)


def _identifiers(uids: tuple[str, ...]) -> Array | None:
    """Return identifiers as bytes if they are alphanumeric and equally long: numpy drops trailing NULs."""
    text, lengths = "".join(uids), set(map(len, uids))
    if len(lengths) != 1 or not (text.isascii() and text.isalnum()):
        return None
    return np.frombuffer(text.encode(), dtype=f"S{lengths.pop()}")


def _narrow(numbers: Array) -> Array:
    if not len(numbers):
        return numbers
    kind = np.result_type(np.min_scalar_type(int(numbers.min())), np.min_scalar_type(int(numbers.max())))
    return numbers.astype(kind) if kind.itemsize < numbers.itemsize else numbers


class Table:
    """Append-only columns.

    Attributes:
        size: Number of rows; the arrays have room for more.
        arrays: Numbers by column name of the frame; `column?` marks the unknown values of a count.
        words: Texts by column, with their numbers.
        version: Changes when an array is replaced or texts are added.
        moves: Changes when all arrays are replaced.
    """

    def __init__(self) -> None:
        self.size = self._room = self._priced = self.version = self.moves = 0
        self.words: dict[str, dict[str, int]] = {
            name: {word: place for place, word in enumerate(FIXED.get(name, ()))} for name in WORDS
        }
        self._tags: dict[str, Tags] = {}
        kinds: dict[str, Any] = dict.fromkeys(WORDS, np.dtype(np.int8)) | dict.fromkeys(
            COUNTS, np.dtype(np.int64)
        )
        kinds |= dict.fromkeys([f"{name}?" for name in COUNTS], np.dtype(bool)) | {"tags": np.dtype(object)}
        kinds |= {"time": np.dtype("M8[us]"), "simulated": np.dtype(bool)}
        kinds |= dict.fromkeys(NUMBERS, np.dtype(float))
        self.arrays: dict[str, Array] = {name: np.zeros(0, kind) for name, kind in kinds.items()}

    def reserve(self, rows: int) -> None:
        """Make room for more rows."""
        if self.size + rows <= self._room:
            return
        self._room = 2 * (self.size + rows)  # the system assigns memory only when it is written to
        self.moves += 1
        for name, array in self.arrays.items():
            self._move(name, array.dtype)

    def extend(self, chunk: Chunk) -> None:
        """Append rows."""
        self.put(chunk)
        self.size += len(chunk)

    def put(self, chunk: Chunk) -> None:
        """Write rows after the last one without counting them; the next rows overwrite them."""
        self.reserve(len(chunk))
        place = slice(self.size, self.size + len(chunk))
        for name in ("simulated", *NUMBERS):
            self.arrays[name][place] = chunk.arrays[name]
        self.arrays["time"][place] = chunk.arrays["time"].view("M8[us]")
        for name in COUNTS:
            if name in chunk.arrays:
                self.arrays[name][place] = chunk.arrays[name]
            self.arrays[f"{name}?"][place] = chunk.arrays.get(f"{name}?", False)
        for name in WORDS:
            codes = self._number(name, chunk.words[name])[chunk.arrays[name]]
            self.arrays[name][place] = codes
        tags = np.empty(len(chunk.words["tags"]) + 1, dtype=object)
        tags[:] = [
            self._parse(text) for text in (*chunk.words["tags"], "{}")
        ]  # the index -1 (no tags) takes the last
        self.arrays["tags"][place] = tags[chunk.arrays["tags"]]

    def price(self, size: int) -> None:
        """Compute the dollars of the first rows, NaN if unknown, as far as they are missing."""
        place = slice(self._priced, size)
        for name, usd in MONEY.items():
            if usd not in self.arrays:  # created on demand: sums do not need them
                self.arrays[usd] = np.zeros(self._room)
                self.version += 1
            dollars = np.divide(self.arrays[name][place], NANO, out=self.arrays[usd][place])
            dollars[self.arrays[f"{name}?"][place]] = np.nan
        self._priced = min(size, self.size)  # uncounted rows will be overwritten

    def _number(self, name: str, words: list[str]) -> Array:
        known = self.words[name]
        before = len(known)
        numbers = _numbers(known, words)
        if len(known) > before:
            self.version += 1
            kind = np.min_scalar_type(-len(known) - 1)  # as in pandas: 127 categories fit into a byte
            if kind.itemsize > self.arrays[name].itemsize:
                self._move(name, kind)
        return numbers

    def _move(self, name: str, kind: np.dtype[Any]) -> None:
        # Zeros take no memory until they are written to, and unknown counts never are.
        array: Array = (np.empty if kind.hasobject else np.zeros)(self._room, kind)
        array[: self.size] = self.arrays[name][: self.size]
        self.arrays[name] = array
        self.version += 1

    def _parse(self, text: str) -> Tags:
        if text not in self._tags:
            try:
                tags = json.loads(text)
            except ValueError:
                tags = None
            self._tags[text] = Tags(tags if isinstance(tags, dict) else {})
        return self._tags[text]
