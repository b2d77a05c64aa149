"""Which columns, measures and rows of a table a plain question is about."""

from __future__ import annotations

import re
import statistics
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.tables.reading import number
from llmkit.sandbox.answers.wording import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmkit.sandbox.answers.tables.reading import Column, Frame

    Measure = tuple[str, Callable[[list[float]], float]]

MOST = re.compile(
    r"\b(?:largest|highest|biggest|most|max\w*|best|longest|top|tallest|greatest|peak|hottest|warmest"
    r"|oldest|strongest|richest)\b"
)
"""Words that ask for the largest value."""

LEAST = re.compile(
    r"\b(?:smallest|lowest|least|min\w*|worst|shortest|fewest|coldest|youngest|weakest|poorest)\b"
)
"""Words that ask for the smallest value."""


def _deviation(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _range(values: list[float]) -> float:
    return max(values) - min(values)


_MEASURES: tuple[tuple[str, str, Callable[[list[float]], float]], ...] = (
    (r"median", "median", statistics.median),
    (r"mean|average", "mean", statistics.fmean),
    (r"total|sum|altogether|add(?:s)? up|overall", "sum", sum),
    (r"standard deviation|std|spread|deviation", "standard deviation", _deviation),
    (r"range", "range", _range),
)


def measures_in(question: str) -> list[Measure]:
    """Return the measures that a question asks for, by name.

    Example:
        >>> [name for name, _ in measures_in("mean and median of people")]
        ['median', 'mean']
    """
    return [(name, compute) for words, name, compute in _MEASURES if re.search(rf"\b(?:{words})\b", question)]


def columns_in(frame: Frame, question: str) -> list[Column]:
    """Return the columns that a question names, in the order in which it does."""
    places = [(_place(column.name, question), column) for column in frame.columns]
    return [column for place, column in sorted(places, key=lambda one: one[0]) if place >= 0]


def _place(name: str, question: str) -> int:
    """Return where a question names a column, in the singular or plural; -1 if it does not."""
    spaced = plain(name).replace("_", " ")
    forms = {plain(name), spaced, spaced.removesuffix("s"), f"{spaced}s"}
    found = (re.search(rf"(?<!\w){re.escape(form)}(?!\w)", question) for form in forms if form)
    return min((one.start() for one in found if one), default=-1)


def numeric_in(frame: Frame, question: str) -> list[Column]:
    """Return the columns of numbers that a question names, else the first."""
    named = [one for one in columns_in(frame, question) if one.numeric]
    return named or [one for one in frame.columns if one.numeric][:1]


def labelled(frame: Frame, column: Column) -> list[tuple[str, float]]:
    """Return the numbers of a column in the rows that were sent, with the names of the rows."""
    cells: Iterable[tuple[str, str]] = zip(frame.labels, column.cells, strict=False)
    return [(label, value) for label, cell in cells if (value := number(cell)) is not None]
