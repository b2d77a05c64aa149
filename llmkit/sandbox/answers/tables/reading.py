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
_COLUMN_LINES = re.compile(r"\nColumns:\n(?:  .*(?:\n|$))*")
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
_IDENTIFIER = re.compile(r"(?:^|[_ ])(?:id|uuid|index)$|^(?:#|unnamed: 0)$", re.IGNORECASE)
_LONGEST_NAME = 40  # longer cells are texts, not names


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
        """Names of the columns with numbers that measure or count something."""
        return [one.name for one in self.columns if one.numeric and not is_identifier(one)]

    @property
    def categories(self) -> list[str]:
        """Names of the columns without numbers and dates."""
        return [one.name for one in self.columns if not one.numeric and not _is_date(one)]

    def column(self, name: str) -> Column:
        """Return a column."""
        return next(one for one in self.columns if one.name == name)


def is_identifier(column: Column) -> bool:
    """Whether a column of numbers only tells rows apart, so that its mean says nothing.

    Example:
        >>> is_identifier(Column("user_id", numeric=True)), is_identifier(Column("age", numeric=True))
        (True, False)
    """
    return column.numeric and bool(_IDENTIFIER.search(column.name))


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
    sent = _ROWS.search(text, card.end())
    head, rows = _csv_cells(sent[2]) if sent else ([], [])
    alone = card[2] == "Series"
    said = {card[1]: card[5].lstrip(", ")} if alone else _about_columns(text[card.end() :])
    columns = tuple(
        _described(name, about, _cells_of(name, head, rows, alone=alone)) for name, about in said.items()
    )
    total = _count(card[3])
    stop = sent.end() if sent else card.end()
    return Frame(
        name=card[1],
        rows=total,
        whole=len(rows) == total,
        columns=columns,
        labels=_labels(head, rows, columns),
        index=head[0] if head else "",
        rest=f"{text[: card.start()]} {_COLUMN_LINES.sub('', text[stop:])}",
        width=_count(card[4] or "1"),
    )


def _count(text: str) -> int:
    return int(text.replace(",", ""))


def _about_columns(text: str) -> dict[str, str]:
    """Return what the lines after `Columns:` say of each."""
    lines = text.split("\n")[1:]
    described: dict[str, str] = {}
    for line in lines[1:] if lines and lines[0].startswith("Columns") else []:
        if not (found := _ABOUT.match(line)):
            break
        described[found[1]] = found[2]
    return described


def _cells_of(
    name: str, head: Sequence[str], rows: Sequence[Sequence[str]], *, alone: bool
) -> tuple[str, ...]:
    """Return the sent cells of a column; a series has the last one, whatever its name."""
    if name not in head and not (alone and head):
        return ()
    place = head.index(name) if name in head else len(head) - 1
    return tuple(row[place] for row in rows)


def _described(name: str, said: str, cells: tuple[str, ...]) -> Column:
    spread = _RANGE.search(said)
    low, middle, high = (number(one) for one in spread.groups()) if spread else (None, None, None)
    missing, unique = _MISSING.search(said), _UNIQUE.search(said)
    top = _TOP.findall(said[said.find("top: ") :]) if "top: " in said else []
    return Column(
        name,
        numeric=bool(_NUMERIC.match(said)),
        missing=_count(missing[1]) if missing else 0,
        low=low,
        middle=middle,
        high=high,
        unique=_count(unique[1]) if unique else None,
        top=tuple((value.strip(), int(count)) for value, count in top),
        cells=cells,
    )


def _labels(head: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[Column]) -> tuple[str, ...]:
    """Return names of the rows: the index if it says something, else the first column of words."""
    first = tuple(row[0] for row in rows)
    if not first:
        return ()
    if head[0] or not all(map(str.isdigit, first)):
        return first
    return _words(columns) or tuple(f"row {cell}" for cell in first)


def _words(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the words that name the rows: the first column of words, with the second if rows share one."""
    words = [one.cells for one in columns if not one.numeric and one.cells and not _is_prose(one)]
    if len(words) > 1 and len(set(words[0])) < len(words[0]):  # the first alone does not tell the rows apart
        return tuple(" ".join(pair) for pair in zip(words[0], words[1], strict=True))
    return words[0] if words else ()


def _is_prose(column: Column) -> bool:
    """Whether the cells are texts, such as comments."""
    return any(len(cell) > _LONGEST_NAME or cell.rstrip().endswith((".", "!", "?")) for cell in column.cells)


def _framed(head: list[str], rows: list[list[str]], rest: str) -> Frame | None:
    """Return a table that was sent whole; `None` if it has no numbers."""
    rows = [row for row in rows if len(row) == len(head)]
    if head[0]:  # no index: the rows are counted
        head, rows = ["", *head], [[str(place), *row] for place, row in enumerate(rows)]
    cells = list(zip(*(row[1:] for row in rows), strict=True))
    columns = tuple(_guessed(name, column) for name, column in zip(head[1:], cells, strict=False))
    if not any(one.numeric for one in columns):
        return None
    labels = _labels(head, rows, columns)
    return Frame("", len(rows), whole=True, columns=columns, labels=labels, rest=rest, width=len(columns))


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
    first, *body = text.rstrip("\n").split("\n")
    names = list(re.finditer(r"\S+(?: \S+)*", first))
    if body and len(body[0].rstrip()) < names[0].start():
        body = body[1:]  # a line of its own names the index
    names = [part for name in names for part in _parted(name, first, body)]
    ends = [found.end() for found in names]
    rows = [_cut(line, [0, *ends[:-1]], ends) for line in body]
    return ["", *(found[0] for found in names)], [row for row in rows if all(row[1:])]


def _parted(name: re.Match[str], first: str, body: Sequence[str]) -> list[re.Match[str]]:
    """Return the names of two columns that a single blank parts, where all lines have cells on both sides."""
    parts = list(re.compile(r"\S+").finditer(first, name.start(), name.end()))
    gaps = [part.end() for part in parts[:-1]]
    whole = all(
        re.match(r"\S \s*\S", line[gap - 1 : part.end()])
        for line in body
        for gap, part in zip(gaps, parts[1:], strict=True)
    )
    return parts if whole else [name]


def _cut(line: str, starts: Sequence[int], ends: Sequence[int]) -> list[str]:
    """Return the label and the cells of a line."""
    first, *others = (line[start:end] for start, end in zip(starts, ends, strict=True))
    label, gap, cell = first.partition("  ")
    if not gap:
        label, _, cell = first.rpartition(" ")
    return [label.strip(), cell.strip(), *(one.strip() for one in others)]
