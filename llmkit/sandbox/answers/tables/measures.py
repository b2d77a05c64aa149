"""Figures of the columns of a table."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.tables.reading import number

if TYPE_CHECKING:
    from llmkit.sandbox.answers.tables.reading import Column, Frame

_FEWEST = 3


def shown(value: float) -> str:
    """Return a figure for reading.

    Example:
        >>> shown(1234567.0), shown(4.533333)
        ('1,234,567', '4.533')
    """
    if value == int(value) and abs(value) < 10**15:
        return f"{int(value):,}"
    return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.4g}"


def correlation(frame: Frame, first: str, second: str) -> float | None:
    """Return the correlation of two columns in the rows that were sent; `None` if they do not vary."""
    pairs = [
        (a, b)
        for one, other in zip(frame.column(first).cells, frame.column(second).cells, strict=False)
        if (a := number(one)) is not None and (b := number(other)) is not None
    ]
    if len(pairs) < _FEWEST:
        return None
    left, right = zip(*pairs, strict=True)
    if len(set(left)) == 1 or len(set(right)) == 1:
        return None
    return statistics.correlation(left, right)


def strongest(frame: Frame) -> tuple[str, str, float] | None:
    """Return the two columns that correlate most, and how much."""
    names = frame.numeric
    found = [
        (first, second, value)
        for place, first in enumerate(names)
        for second in names[place + 1 :]
        if (value := correlation(frame, first, second)) is not None
    ]
    return max(found, key=lambda one: abs(one[2]), default=None)


def oddest(frame: Frame) -> tuple[str, Column, float] | None:
    """Return the row that is farthest from the usual in some column, by median and median deviation."""
    found = [one for name in frame.numeric for one in _distances(frame, frame.column(name))]
    best = max(found, key=lambda one: one[0], default=None)
    return best[1:] if best else None


def is_far(column: Column, value: float) -> bool:
    """Whether a value lies more than 1.5 interquartile ranges beyond the quartiles."""
    values = column.values
    if len(values) < _FEWEST:
        return False
    low, _, high = statistics.quantiles(values, method="inclusive")
    return not low - 1.5 * (high - low) <= value <= high + 1.5 * (high - low)


def _distances(frame: Frame, column: Column) -> list[tuple[float, str, Column, float]]:
    """Return how far each row of a column is from the usual."""
    values = column.values
    if len(values) < _FEWEST:
        return []
    middle = statistics.median(values)
    spread = statistics.median(abs(value - middle) for value in values) or statistics.pstdev(values) or 1
    cells = zip(frame.labels, column.cells, strict=False)
    known = [(label, value) for label, cell in cells if (value := number(cell)) is not None]
    return [(abs(value - middle) / spread, label, column, value) for label, value in known]


def extreme(frame: Frame, column: Column, sign: int) -> tuple[str, float] | None:
    """Return the sent row with the most (1) or least (-1) of a column, and its value."""
    known = [
        (value, label)
        for label, cell in zip(frame.labels, column.cells, strict=False)
        if (value := number(cell)) is not None
    ]
    if not known:
        return None
    value, label = max(known, key=lambda one: sign * one[0])
    return label, value


def groups(frame: Frame, by: str, column: str) -> dict[str, list[float]]:
    """Return the numbers of a column by the values of another."""
    found: dict[str, list[float]] = {}
    for key, cell in zip(frame.column(by).cells, frame.column(column).cells, strict=False):
        if (value := number(cell)) is not None:
            found.setdefault(key, []).append(value)
    return found
