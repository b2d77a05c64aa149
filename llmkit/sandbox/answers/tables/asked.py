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
    r"|oldest|strongest|richest|heaviest|dearest|most expensive)\b"
)
"""Words that ask for the largest value."""

LEAST = re.compile(
    r"\b(?:smallest|lowest|least|min\w*|worst|shortest|fewest|coldest|youngest|weakest|poorest|cheapest"
    r"|lightest)\b"
)
"""Words that ask for the smallest value."""


COMPARED = re.compile(
    r"\b(above|over|more than|greater than|higher than|at least|larger than|exceed\w*|warmer than|older than"
    r"|taller than|longer than|heavier than|below|under|less than|lower than|fewer than|smaller than|at most"
    r"|colder than|younger than|shorter than|lighter than)\s*\$?(-?[\d,]+(?:\.\d+)?)(?: years?(?: old)?)?"
    r"|([<>]=?)\s*(-?[\d,]+(?:\.\d+)?)"
)
"""A limit for the values of a column."""

_UP = re.compile(
    r"above|over|more|greater|higher|at least|larger|exceed|warmer|older|taller|longer|heavier|>"
)
_INCLUSIVE = frozenset({"at least", "at most", ">=", "<="})

_HINTS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(?:earn\w*|paid|richest|poorest)\b"), r"salary|income|wage|pay|earning"),
    (re.compile(r"\b(?:oldest|youngest|older|younger|how old)\b"), r"\bage\b|years"),
    (re.compile(r"\b(?:hottest|warmest|coldest|warmer|colder)\b"), r"temp"),
    (re.compile(r"\b(?:tallest|taller)\b"), r"height"),
    (re.compile(r"\b(?:heaviest|lightest|heavier|lighter)\b"), r"weight"),
    (re.compile(r"\b(?:cheapest|dearest|expensive|costs?|cheaper)\b"), r"price|cost"),
    (re.compile(r"\b(?:sold|sells?)\b"), r"sales|sold|revenue|units|quantity"),
)
"""Words that mean a column without its name."""


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


MEASURED = re.compile(rf"\b(?:{'|'.join(words for words, _, _ in _MEASURES)})\b")
"""Words that ask for a measure."""


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
    found = (re.search(rf"(?<!\w){re.escape(form)}(?!\w)", question) for form in forms_of(name))
    return min((one.start() for one in found if one), default=-1)


def forms_of(name: str) -> list[str]:
    """Return how a question may write the name of a column, the longest form first.

    Example:
        >>> forms_of("city")
        ['cities', 'cityes', 'citys', 'city']
    """
    spaced = plain(name).replace("_", " ")
    forms = {plain(name), spaced, spaced.removesuffix("s"), f"{spaced}s", f"{spaced}es"}
    if spaced.endswith("y"):
        forms.add(f"{spaced[:-1]}ies")
    return sorted(filter(None, forms), key=lambda form: (-len(form), form))


def numeric_in(frame: Frame, question: str) -> list[Column]:
    """Return the columns of numbers that a question names or means; the only one if it names none."""
    named = [one for one in columns_in(frame, question) if one.numeric]
    numbers = [one for one in frame.columns if one.numeric]
    return named or meant_by(numbers, question) or (numbers if len(numbers) == 1 else [])


def meant_by(columns: list[Column], question: str) -> list[Column]:
    """Return the column that other words mean, such as a salary in `who earns the most`.

    Example:
        >>> meant_by([], "who is older?")
        []
    """
    for said, names in _HINTS:
        if said.search(question):
            return [one for one in columns if re.search(names, plain(one.name))][:1]
    return []


_PEOPLE = re.compile(r"\b(?:people|persons?|employees|those|anyone|everyone|men|women)(?: who are)?\s*$")


def limit_of(frame: Frame, question: str, found: re.Match[str]) -> Column | None:
    """Return the column that a limit is about; `None` if that is unclear."""
    numbers = [one for one in frame.columns if one.numeric]
    if found[1] and (meant := meant_by(numbers, found[1])):
        return meant[0]
    before, after = question[: found.start()], question[found.end() :]
    for column in columns_in(frame, question):
        if column.numeric and _is_next_to(column, before, after):
            return column
    return _unnamed(frame, question, before, numbers)


def _unnamed(frame: Frame, question: str, before: str, numbers: list[Column]) -> Column | None:
    """Return the column that a limit is about, if none is named beside it."""
    if meant := meant_by(numbers, before):
        return meant[0]
    if _PEOPLE.search(before):
        return _age(numbers)
    only = [] if measures_in(question) else numeric_in(frame, question)
    return _single(only) or _single(numbers)


def _age(numbers: list[Column]) -> Column | None:
    return next((one for one in numbers if re.search(r"\bage\b", plain(one.name))), None)


def _is_next_to(column: Column, before: str, after: str) -> bool:
    """Whether the name of a column stands next to a limit."""
    name = rf"(?:{'|'.join(map(re.escape, forms_of(column.name)))})"
    leads = rf"\b{name}(?:\s+(?:is|are|was|were|values?|of|at|has|have))*\s*$"
    follows = rf"[\s%$]*(?:degrees |years )?(?:in |of |for )?(?:the )?{name}\b"
    return bool(re.search(leads, before) or re.match(follows, after))


def _single(columns: list[Column]) -> Column | None:
    return columns[0] if len(columns) == 1 else None


def within(value: float, found: re.Match[str]) -> bool:
    """Whether a value keeps to a limit that `COMPARED` found."""
    word, limit = (found[1], found[2]) if found[1] else (found[3], found[4])
    edge = float(limit.replace(",", ""))
    if value == edge:
        return word in _INCLUSIVE
    return value > edge if _UP.match(word) else value < edge


def labelled(frame: Frame, column: Column) -> list[tuple[str, float]]:
    """Return the numbers of a column in the rows that were sent, with the names of the rows."""
    cells: Iterable[tuple[str, str]] = zip(frame.labels, column.cells, strict=False)
    return [(label, value) for label, cell in cells if (value := number(cell)) is not None]
