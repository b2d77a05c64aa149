"""Reads tables in a prompt: the card of a variable, a DataFrame as text, Markdown and CSV."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_CARD = re.compile(
    r"^([A-Za-z_][\w.]*): pandas (DataFrame|Series) with ([\d,]+) rows?(?: and ([\d,]+) columns?)?(.*)$",
    re.MULTILINE,
)
_COLUMN = re.compile(
    r"^  (.+?): (\w[\w\[\], :/+-]*?)(?:, (\d+) missing)?(?:, (?:min|(\d[\d,]*) unique|top).*)?$"
)
_ABOUT = re.compile(r"^  (.+?): (.+)$")
_RANGE = re.compile(r"min ([^,]+), median ([^,]+), max ([^,]+)$")
_UNIQUE = re.compile(r"([\d,]+) unique")
_TOP = re.compile(r"(?:top: |, )([^,()]+) \((\d+)\)")
_MISSING = re.compile(r"([\d,]+) missing")
_ROWS = re.compile(r"^(All|First) [\d,]+ rows:\n((?:.+\n?)+)", re.MULTILINE)
_MARKDOWN = re.compile(r"^\|.+\|[ ]*\n\|[ :|-]+\|[ ]*\n(?:\|.+\|[ ]*(?:\n|$))+", re.MULTILINE)
_SPACED = re.compile(r"^[ ]+\S.*\n(?:[^\s|].*[ ]*(?:\n|$)){1,}", re.MULTILINE)
_CSV = re.compile(r"^[^\n,|{}]*(?:,[^\n,{}]+)+\n(?:[^\n,]*(?:,[^\n,]*)+(?:\n|$))+", re.MULTILINE)
_NUMERIC = re.compile(r"u?int|float|Int|Float|complex|decimal")
_MISSING_CELLS = frozenset({"", "nan", "NaN", "None", "<NA>", "NaT", "null"})
_LONGEST = 200_000
_FEWEST_NUMBERS = 0.5


@dataclass(frozen=True, slots=True)
class Column:
    """A column, as far as it is known.

    Attributes:
        name: Its name.
        numeric: Whether it holds numbers.
        missing: How many values are missing; `None` if that is unknown.
        low: Its least value, where a card says it.
        middle: Its median, where a card says it.
        high: Its greatest value, where a card says it.
        unique: How many values differ, where a card says it.
        top: Its most frequent values with their counts, where a card says it.
        cells: Its cells in the rows that were sent.
    """

    name: str
    numeric: bool
    missing: int | None = None
    low: float | None = None
    middle: float | None = None
    high: float | None = None
    unique: int | None = None
    top: tuple[tuple[str, int], ...] = ()
    cells: tuple[str, ...] = ()

    @property
    def values(self) -> list[float]:
        """The numbers in its cells, without missing ones."""
        return [value for value in map(number, self.cells) if value is not None]


@dataclass(frozen=True, slots=True)
class Frame:
    """A table.

    Attributes:
        name: The variable; empty if a table has none.
        rows: How many rows the whole table has.
        whole: Whether all rows were sent.
        columns: Its columns.
        labels: Names of the rows that were sent.
        index: Name of the index; empty if it counts rows.
        rest: The prompt without the table.
    """

    name: str
    rows: int
    whole: bool
    columns: tuple[Column, ...]
    labels: tuple[str, ...] = ()
    index: str = ""
    rest: str = ""
    width: int = field(default=0)

    @property
    def numeric(self) -> list[str]:
        """Names of the columns with numbers."""
        return [one.name for one in self.columns if one.numeric]

    @property
    def categories(self) -> list[str]:
        """Names of the columns without numbers and dates."""
        return [one.name for one in self.columns if not one.numeric and not _is_date(one)]

    def column(self, name: str) -> Column:
        """Return a column."""
        return next(one for one in self.columns if one.name == name)


def _is_date(column: Column) -> bool:
    return bool(column.cells) and bool(re.match(r"\d{4}-\d{2}-\d{2}", column.cells[0]))


def number(cell: str) -> float | None:
    """Return a cell as a number; `None` if it is none or missing.

    Example:
        >>> number("1,250"), number("NaN"), number("x")
        (1250.0, None, None)
    """
    try:
        value = float(cell.replace(",", "").strip().removeprefix("$").removesuffix("%"))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_frame(text: str) -> Frame | None:
    r"""Read the first table in a prompt.

    Example:
        >>> read_frame("| city | people |\n|---|---|\n| Rome | 2.8 |\n\nHow many?").numeric
        ['people']
    """
    text = text[:_LONGEST]
    if found := _CARD.search(text):
        return _from_card(text, found)
    for pattern, cells in ((_MARKDOWN, _markdown_cells), (_SPACED, _spaced_cells), (_CSV, _csv_cells)):
        for found in pattern.finditer(text):
            head, rows = cells(found[0])
            if len(head) > 1 and rows and (frame := _framed(head, rows, text.replace(found[0], " "))):
                return frame
    return None


def _from_card(text: str, card: re.Match[str]) -> Frame:
    total = int(card[3].replace(",", ""))
    end = card.end()
    described: dict[str, str] = {}
    lines = text[end:].split("\n")[1:]
    if card[2] == "Series":
        described[card[1]] = card[5].lstrip(", ")
    elif lines and lines[0].startswith("Columns"):
        for line in lines[1:]:
            if not (found := _ABOUT.match(line)):
                break
            described[found[1]] = found[2]
    sent = _ROWS.search(text, end)
    head, rows = _csv_cells(sent[2]) if sent else ([], [])
    columns = tuple(
        _described(name, said, head, rows, alone=card[2] == "Series") for name, said in described.items()
    )
    frame = _framed(head, rows, "") if rows else None
    stop = sent.start(2) + len(sent[2]) if sent else end
    return Frame(
        name=card[1],
        rows=total,
        whole=bool(sent and sent[1] == "All") or len(rows) == total,
        columns=columns or (frame.columns if frame else ()),
        labels=_labels(head, rows, columns),
        index=head[0] if head else "",
        rest=text[: card.start()] + " " + text[stop:],
        width=int((card[4] or "1").replace(",", "")),
    )


def _described(
    name: str, said: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, alone: bool
) -> Column:
    place = head.index(name) if name in head else (len(head) - 1 if alone and head else None)
    spread = _RANGE.search(said)
    numbers = [number(one) for one in spread.groups()] if spread else [None, None, None]
    missing, unique = _MISSING.search(said), _UNIQUE.search(said)
    return Column(
        name,
        numeric=bool(_NUMERIC.match(said)),
        missing=int(missing[1].replace(",", "")) if missing else 0,
        low=numbers[0],
        middle=numbers[1],
        high=numbers[2],
        unique=int(unique[1].replace(",", "")) if unique else None,
        top=tuple((value.strip(), int(count)) for value, count in _TOP.findall(said[said.find("top: ") :]))
        if "top: " in said
        else (),
        cells=tuple(row[place] for row in rows) if place is not None else (),
    )


def _labels(head: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[Column]) -> tuple[str, ...]:
    """Return names of the rows: the index if it says something, else the first column of words."""
    if not rows:
        return ()
    first = [row[0] for row in rows]
    if head and (head[0] or not all(cell.isdigit() for cell in first)):
        return tuple(first)
    words = next((one for one in columns if not one.numeric and one.cells), None)
    return words.cells if words else tuple(f"row {cell}" for cell in first)


def _framed(head: list[str], rows: list[list[str]], rest: str) -> Frame | None:
    """Return a table that was sent whole; `None` if it has no numbers."""
    rows = [row for row in rows if len(row) == len(head)]
    indexed = not head[0] or (all(row[0].isdigit() for row in rows) and head[0] == "")
    names = head[1:] if indexed else head
    cells = list(zip(*(row[1:] if indexed else row for row in rows), strict=True))
    columns = tuple(_guessed(name, column) for name, column in zip(names, cells, strict=False))
    if not any(one.numeric for one in columns):
        return None
    full = head if indexed else ["", *head]
    numbered = rows if indexed else [[str(place), *row] for place, row in enumerate(rows)]
    return Frame("", len(rows), True, columns, _labels(full, numbered, columns), full[0], rest, len(columns))  # noqa: FBT003 - named by the class


def _guessed(name: str, cells: Sequence[str]) -> Column:
    known = [cell for cell in cells if cell not in _MISSING_CELLS]
    numbers = [cell for cell in known if number(cell) is not None]
    numeric = bool(known) and len(numbers) == len(known)
    return Column(name, numeric=numeric, missing=len(cells) - len(known), cells=tuple(cells))


def _csv_cells(text: str) -> tuple[list[str], list[list[str]]]:
    lines = [line for line in csv.reader(io.StringIO(text.strip())) if line]
    width = len(lines[0]) if lines else 0
    return (lines[0], [line for line in lines[1:] if len(line) == width]) if lines else ([], [])


def _markdown_cells(text: str) -> tuple[list[str], list[list[str]]]:
    lines = [
        [cell.strip(" *") for cell in line.strip().strip("|").split("|")]
        for line in text.strip().splitlines()
    ]
    return lines[0], lines[2:]


def _spaced_cells(text: str) -> tuple[list[str], list[list[str]]]:
    """Cut lines where the columns of the head end, because pandas aligns to the right."""
    lines = text.rstrip("\n").split("\n")
    ends = [found.end() for found in re.finditer(r"\S+(?: \S+)*", lines[0])]
    head = re.findall(r"\S+(?: \S+)*", lines[0])
    start = [0, *ends[:-1]]
    index = ""
    body = lines[1:]
    if body and not body[0][max(map(len, re.findall(r"^\S+", body[0])), default=0) :].strip():
        index, body = body[0].strip(), body[1:]  # a line of its own names the index
    rows = []
    for line in body:
        cells = [line[a:b] for a, b in zip(start, ends, strict=True)]
        label, gap, first = cells[0].partition("  ") if cells else ("", "", "")
        if not gap:
            label, _, first = cells[0].rpartition(" ")
        rows.append([label.strip(), first.strip(), *(cell.strip() for cell in cells[1:])])
    return [index, *head], [row for row in rows if all(row[1:])]
