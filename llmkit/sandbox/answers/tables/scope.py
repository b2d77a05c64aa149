"""Which words of a question about a table are read, and which rows its filters keep."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.tables.asked import COMPARED, forms_of, limit_of, numeric_in, within
from llmkit.sandbox.answers.tables.reading import number
from llmkit.sandbox.answers.wording import NEUTRAL, joined, plain, stem, words, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.sandbox.answers.tables.reading import Column, Frame

_NARROWING = words_of(
    "difference differences different differ differs compare compared comparison versus vs between than as "
    "if then not no yes per each every most total number mean means first two three four five six seven "
    "eight nine ten today now currently current up out or more"
)
"""Common words that change what is asked of a table, so that a way must understand them itself."""

_FILLING = words_of(
    "file files attached attachment "
    "row rows column columns table dataset dataframe frame cell cells entry entries record records line "
    "lines list result results csv card find compute calculate day days live lives sold sell sells made "
    "make makes earn earns earned earning person people employee employees staff were had having whose"
    " everyone everybody anyone anybody who's "
    "answer dollar dollars euro euros degree degrees following pandas spent among recorded anything"
)
"""Words of every question about a table."""

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
           "november", "december")  # fmt: skip
_NOT_VALUES = frozenset({"in", "on", "of", "a", "the", "no", "yes", "is", "us", "it", "or", "and", "to"})
_LONGEST = 600


@dataclass(frozen=True, slots=True)
class Narrowed:
    """The rows that the filters of a question keep.

    Attributes:
        frame: A table of these rows.
        question: The question without the words of the filters.
        said: The filters in words, such as `month Feb`.
    """

    frame: Frame
    question: str
    said: str


def unread(frame: Frame, question: str, understood: Iterable[str | re.Pattern[str]]) -> frozenset[str]:
    """Return the telling words that neither a way nor the names of columns explain."""
    names = [*(one.name for one in frame.columns), frame.name, frame.index]
    forms = sorted({form for name in names for form in forms_of(name)}, key=len, reverse=True)
    text = question[:_LONGEST]
    for one in [*understood, *(rf"(?<!\w){re.escape(form)}(?!\w)" for form in forms)]:
        text = re.sub(one, " ", text)
    return frozenset(word for word in words(text) if _tells(word)) | frozenset(re.findall(r"[<>%]", text))


def _tells(word: str) -> bool:
    if word in _NARROWING:
        return True
    return not any(one in NEUTRAL or one in _FILLING for one in (word, stem(word)))


def narrowed(frame: Frame, question: str) -> Narrowed | None:
    """Keep the rows that a question names by values or limits; `None` if it names none."""
    kept = set(range(len(frame.labels)))
    said: list[str] = []
    rest = question
    for found in COMPARED.finditer(question):
        column = limit_of(frame, question, found)
        if column is None:
            return None
        kept &= {n for n, cell in enumerate(column.cells) if _is_within(cell, found)}
        said.append(f"{column.name} {found[0].strip()}")
        rest = _without_limit(frame, rest, found[0], column)
    for name, cells in _texts(frame):
        values = _named_values(cells, rest)
        if values:
            kept &= {n for n, cell in enumerate(cells) if cell in values}
            said.append(f"{name} {joined(values, 'or')}".strip())
            rest = _without(rest, values)
    return Narrowed(_of_rows(frame, sorted(kept)), rest, joined(said)) if said else None


def _without_limit(frame: Frame, question: str, limit: str, column: Column) -> str:
    """Return a question without a limit, and without the name of its column if another is asked for."""
    names = "|".join(map(re.escape, forms_of(column.name)))
    named = rf"(?:(?:with|of|whose|where|in)\s+)?(?:an?\s+|the\s+)?(?:{names}|earn\w*)\s*(?:\w+\s+)?"
    bare = re.sub(rf"{named}{re.escape(limit)}|{re.escape(limit)}\s*(?:in\s+)?(?:{names})\b", " ", question)
    bare = bare.replace(limit, " ")
    return bare if numeric_in(frame, bare) else question.replace(limit, " ")


def _is_within(cell: str, found: re.Match[str]) -> bool:
    value = number(cell)
    return value is not None and within(value, found)


def _texts(frame: Frame) -> list[tuple[str, tuple[str, ...]]]:
    """Return the columns of words, and the names of the rows if no column has them."""
    columns = [(one.name, one.cells) for one in frame.columns if not one.numeric and one.cells]
    if frame.index and all(cells != frame.labels for _, cells in columns):
        columns.append((frame.index, frame.labels))
    return columns


def _named_values(cells: tuple[str, ...], question: str) -> dict[str, str]:
    """Return the values that a question names, with the words in it that do."""
    found: dict[str, str] = {}
    for cell in dict.fromkeys(cells):
        for form in _forms(plain(cell)):
            if re.search(_pattern(form), question):
                found[cell] = form
    return found


def _forms(cell: str) -> list[str]:
    """Return how a question may write a value: as it is, and months in short or in full."""
    if not cell or cell in _NOT_VALUES:
        return []
    months = [one for one in _MONTHS if len(cell) >= 3 and (one.startswith(cell) or cell == one)]
    return [*months, *(one[:3] for one in months), cell]


def _pattern(form: str) -> str:
    return rf"(?<![\w-]){re.escape(form)}(?:'s)?(?![\w-])"


def _without(question: str, values: dict[str, str]) -> str:
    """Return a question without the values of one column and what joins them."""
    one = "|".join(sorted({_pattern(form) for cell in values for form in _forms(plain(cell))}, key=len)[::-1])
    return re.sub(rf"(?:{one})(?:(?:,| or| and|, or|, and) *(?:the )?(?:{one}))*", " ", question)


def _of_rows(frame: Frame, places: list[int]) -> Frame:
    """Return a table of some rows; what a card said of all rows does not hold for them."""
    columns = tuple(_of_places(one, places) for one in frame.columns)
    labels = tuple(frame.labels[n] for n in places)
    return replace(frame, rows=len(places), columns=columns, labels=labels)


def _of_places(column: Column, places: list[int]) -> Column:
    cells = tuple(column.cells[n] for n in places if n < len(column.cells))
    gaps = sum(cell.strip() in {"", "nan", "NaN", "None", "<NA>", "NaT", "null"} for cell in cells)
    return replace(column, cells=cells, missing=gaps, low=None, middle=None, high=None, unique=None, top=())
