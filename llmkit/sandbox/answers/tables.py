"""Answers about a table in the question: the description from `-v`, or the text of a DataFrame."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmkit.sandbox.conversation import Ask

_CSV = re.compile(r"^,[^\n]+\n(?:\d+,[^\n]*(?:\n|$))+", re.MULTILINE)
_SPACED = re.compile(r"^[ ]+\S[^\n]*\n(?:\d+[ ]+[^\n]*(?:\n|$))+", re.MULTILINE)
_ROWS = re.compile(r"\bwith ([\d,]+) rows")
_MOST = re.compile(r"\b(?:largest|highest|biggest|most|max\w*|best|longest|top|tallest)\b", re.IGNORECASE)
_LEAST = re.compile(r"\b(?:smallest|lowest|least|min\w*|worst|shortest|fewest)\b", re.IGNORECASE)
_MEAN = re.compile(r"\b(?:mean|average)\b", re.IGNORECASE)
_TOTAL = re.compile(r"\b(?:total|sum|altogether)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """The readable contents of a table."""

    names: tuple[str, ...]  # names of the rows: the first column of words, or row numbers
    numbers: dict[str, tuple[float, ...]]
    rows: int  # of the whole table


def _cells(text: str) -> tuple[list[str], list[list[str]]]:
    """Return the head and the rows of a table in a text, both without the index; empty without a table."""
    if found := _CSV.search(text):
        head, *rows = csv.reader(io.StringIO(found[0]))
        return head[1:], [row[1:] for row in rows]
    if found := _SPACED.search(text):
        head, *rows = (line.split() for line in found[0].splitlines())
        return head, [row[1:] for row in rows]
    return [], []


def read_table(text: str) -> Table | None:
    r"""Read the table in a text.

    Example:
        >>> read_table(",city,people\n0,Rome,2.8\n1,Oslo,0.7").numbers
        {'people': (2.8, 0.7)}
    """
    head, rows = _cells(text)
    if any(len(row) != len(head) for row in rows):
        return None  # cells with blanks in them: the columns cannot be told apart
    columns = dict(zip(head, zip(*rows, strict=True), strict=False))
    numbers = {name: found for name, cells in columns.items() if (found := _numbers(cells))}
    if not numbers:
        return None
    words = next((cells for name, cells in columns.items() if name not in numbers), None)
    known = _ROWS.search(text)
    count = int(known[1].replace(",", "")) if known else len(rows)
    return Table(words or tuple(f"row {n}" for n in range(len(rows))), numbers, count)


def _numbers(cells: tuple[str, ...]) -> tuple[float, ...]:
    try:
        numbers = tuple(float(cell) for cell in cells)
    except ValueError:
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def about_table(ask: Ask) -> str | None:
    r"""Answer a question about the table in it, from the table's numbers.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Turn
        >>> text = ",city,people\n0,Rome,2.8\n1,Oslo,0.7\n\nWhich is the largest?"
        >>> about_table(Ask(model="sandbox", turns=(Turn("user", text),)))
        'Rome has the largest people: 2.8.'
    """
    text = ask.last_user_text
    table = read_table(text)
    if table is None:
        return None
    question = _SPACED.sub("", text[found.end() :] if (found := _CSV.search(text)) else text)
    column = next(
        (name for name in table.numbers if name.lower() in question.lower()), next(iter(table.numbers))
    )
    some = len(table.names) < table.rows
    where = f"In the {len(table.names)} rows that came along, " if some else ""
    answer = _answer(table, column, question)
    return where + answer if where else answer[:1].upper() + answer[1:]


def _answer(table: Table, column: str, question: str) -> str:
    values = table.numbers[column]
    named = sorted(zip(values, table.names, strict=True), key=lambda pair: pair[0])
    (low, lowest), (high, highest) = named[0], named[-1]
    if _MOST.search(question):
        return f"{highest} has the largest {column}: {high:,.10g}."
    if _LEAST.search(question):
        return f"{lowest} has the smallest {column}: {low:,.10g}."
    if _MEAN.search(question):
        return f"the mean of {column} is {sum(values) / len(values):,.4g}."
    if _TOTAL.search(question):
        return f"{column} adds up to {sum(values):,.10g}."
    mean = f"{sum(values) / len(values):,.4g}"
    return f"{column} goes from {low:,.10g} ({lowest}) to {high:,.10g} ({highest}), with a mean of {mean}."
