"""Questions about rows of a table: which has the most, which are above a value, what one holds."""

from __future__ import annotations

import re
import statistics
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.numbers.number_words import NUMBER, as_number
from llmkit.sandbox.answers.tables.asked import (
    COMPARED,
    LEAST,
    MOST,
    columns_in,
    labelled,
    limit_of,
    meant_by,
    numeric_in,
    within,
)
from llmkit.sandbox.answers.tables.measures import extreme, oddest, shown
from llmkit.sandbox.answers.tables.reading import number
from llmkit.sandbox.answers.wording import capitalised, joined, plain

if TYPE_CHECKING:
    from llmkit.sandbox.answers.tables.reading import Column, Frame

COUNTS = re.compile(r"\bhow many\b|\bcount\b|\bnumber of\b")
ODD = re.compile(
    r"\b(?:odd|outliers?|unusual|anomal\w*|strange|weird|suspicious|stands? apart|does not fit"
    r"|doesn't fit|abnormal|surprising)\b"
)
VALUE = re.compile(
    r"\b(?:what(?:'s| is) the (?:max\w*|min\w*|highest|lowest|largest|smallest)|maximum|minimum)\b"
)
ASKS = re.compile(
    r"\?|^\W*(?:which|what|who|where|when|how|is|are|does|do|list|show|name|give|find|compute|calculate"
    r"|tell)\b"
)
_COSTS = re.compile(r"\bcosts?\b")
_MOST_ROWS = 20
_FEW = 3
_KINDS = (
    (
        re.compile(r"\bwhere\b"),
        re.compile(r"region|city|town|country|state|place|location|address|office|site|room"),
    ),
    (re.compile(r"\bwhen\b"), re.compile(r"date|day|time|month|year|when|since|until|born|start|end")),
)
"""Words of a question, and the names of the columns that they mean."""

SENT = "rows"
"""Title of a finding that holds for the rows that were sent only."""


def compared(frame: Frame, question: str) -> Finding | None:
    """Count or list the rows above or below a value."""
    found = COMPARED.search(question)
    column = limit_of(frame, question, found) if found else None
    if found is None or column is None or _is_other(frame, question, column):
        return None
    kept = [(label, value) for label, value in labelled(frame, column) if within(value, found)]
    word, limit = (found[1], found[2]) if found[1] else (found[3], found[4])
    what = f"{column.name} {word} {limit}"
    if COUNTS.search(question):
        text = _how_many_kept(len(kept), column, what)
        return Finding(text=text, short=str(len(kept)), title=SENT)
    return _kept(kept[:_MOST_ROWS], column, what)


def _how_many_kept(many: int, column: Column, what: str) -> str:
    """Say how many rows keep to a limit, and how many have no value to compare."""
    gaps = len(column.cells) - len(column.values)
    if not gaps:
        return f"{many} of {len(column.cells)} rows have {what}."
    have = "row has" if many == 1 else "rows have"
    return f"{many} {have} {what}; {gaps} row{' has' if gaps == 1 else 's have'} no {column.name}."


def _is_other(frame: Frame, question: str, column: Column) -> bool:
    """Whether a question is not about one limit of this column: it has two, or asks for costs or sums."""
    if _COSTS.search(question) and not re.search(r"price|cost", plain(column.name)):
        return True
    return len(COMPARED.findall(question)) > 1 or _in_groups(frame, question)


def _in_groups(frame: Frame, question: str) -> bool:
    """Whether a question names a column of words that repeat, so that a limit may be for their sums."""
    named = [one.cells for one in columns_in(frame, question) if not one.numeric]
    return any(len(set(cells)) < len(cells) for cells in named)


def _kept(kept: list[tuple[str, float]], column: Column, what: str) -> Finding:
    if not kept:
        return Finding(text=f"No row has {what}.", short="none", title=SENT)
    names = joined(label for label, _ in kept)
    rows = tuple((label, shown(value)) for label, value in kept)
    return Finding(text=f"{names} ({what}).", short=names, title=SENT, head=("row", column.name), rows=rows)


def odd(frame: Frame, question: str) -> Finding | None:
    """Name the row that is farthest from the usual."""
    found = oddest(frame) if ODD.search(question) else None
    if found is None:
        return None
    label, column, value = found
    middle = shown(statistics.median(column.values))
    text = f"{capitalised(label)}: its {column.name} is {shown(value)}, and the median is {middle}."
    return Finding(text=text, short=label, title=SENT)


def most_or_least(frame: Frame, question: str) -> Finding | None:
    """Answer with the most or the least of a column, and which row has it."""
    sign = 1 if MOST.search(question) else -1 if LEAST.search(question) else 0
    columns = numeric_in(frame, question)
    if not sign or not columns or re.search(r"\b(?:most|fewest|least) (?:rows|entries|records)\b", question):
        return None
    column = columns[0]
    many = _how_many(question)
    if many > 1:
        return _top(frame, column, sign, many)
    return _best(frame, column, sign, value_asked=bool(VALUE.search(question)))


SORT = re.compile(r"\b(?:sort(?:ed)?|order(?:ed)?|rank(?:ed)?)\b")
DOWN = re.compile(
    r"\b(?:desc\w*|(?:highest|largest|biggest|oldest|longest|tallest|heaviest|newest|latest|dearest|best"
    r"|most(?: expensive)?) first|from (?:high\w*|larg\w*|old\w*) to (?:low\w*|small\w*|young\w*))\b"
)
ORDERS = re.compile(
    r"\b(?:asc\w*|order|(?:lowest|smallest|youngest|shortest|lightest|cheapest|least) first"
    r"|from (?:low\w*|small\w*|young\w*) to (?:high\w*|larg\w*|old\w*))\b"
)


def in_order(frame: Frame, question: str) -> Finding | None:
    """List the rows in the order of a column."""
    columns = [one for one in columns_in(frame, question) if one.numeric] or numeric_in(frame, question)
    if not SORT.search(question) or len(columns) != 1 or not frame.labels:
        return None
    column = columns[0]
    ranked = sorted(labelled(frame, column), key=lambda one: one[1], reverse=bool(DOWN.search(question)))
    rows = tuple((label, shown(value)) for label, value in ranked)
    said = joined(f"{label} ({value})" for label, value in rows)
    return Finding(text=f"{said}.", short=said, title=SENT, head=("row", column.name), rows=rows)


def _how_many(question: str) -> int:
    found = NUMBER.search(COMPARED.sub(" ", question))
    return int(as_number(found[0])) if found and re.search(r"\btop\b|\brows\b", question) else 1


def _best(frame: Frame, column: Column, sign: int, *, value_asked: bool) -> Finding | None:
    word = "largest" if sign > 0 else "smallest"
    known = None if frame.whole else column.high if sign > 0 else column.low
    found = extreme(frame, column, sign)
    if known is not None and (found is None or found[1] != known):
        text = f"The {word} {column.name} is {shown(known)}; its row is not among those that came along."
        return Finding(text=text, short=shown(known))
    if found is None:
        return None
    label, value = found
    having = [one for one, known_value in labelled(frame, column) if known_value == value]
    if len(having) > 1:
        return _tied(frame, having, f"The {word} {column.name} is {shown(value)}", shown(value))
    if frame.labels.count(label) > 1:
        return Finding(text=f"The {word} {column.name} is {shown(value)}.", short=shown(value), title=SENT)
    return Finding(
        text=f"{capitalised(label)} has the {word} {column.name}: {shown(value)}.",
        short=shown(value) if value_asked else label,
        title=SENT if known is None else "",
        head=("row", column.name),
        rows=((label, shown(value)),),
    )


def _tied(frame: Frame, having: list[str], said: str, value: str) -> Finding:
    """Name the rows that share the most or the least, if they are few and their names are their own."""
    own = all(frame.labels.count(one) == 1 for one in having)
    names = f" ({joined(having)})" if own and len(having) <= _FEW else ""
    text = f"{said}, in {len(having)} rows{names}."
    return Finding(text=text, short=value, title=SENT)


def _top(frame: Frame, column: Column, sign: int, many: int) -> Finding:
    best = sorted(labelled(frame, column), key=lambda one: -sign * one[1])[:many]
    rows = tuple((label, shown(value)) for label, value in best)
    text = f"{joined(f'{label} ({value})' for label, value in rows)}."
    names = joined(label for label, _ in rows)
    return Finding(text=text, short=names, title=SENT, head=("row", column.name), rows=rows)


def looked_up(frame: Frame, question: str) -> Finding | None:
    """Look up values of a row that a question names."""
    places = [n for n, label in enumerate(frame.labels) if label and _names(label, question)]
    place = places[0] if len(places) == 1 and ASKS.search(question) else None
    columns = [] if place is None else _asked_of_row(frame, question, place)
    if place is None or not columns:
        return None
    label = frame.labels[place]
    said = joined(f"{one.name} {_cell(one.cells[place])}" for one in columns)
    return Finding(text=f"{label}: {said}.", short=_cell(columns[0].cells[place]), title=SENT)


def _asked_of_row(frame: Frame, question: str, place: int) -> list[Column]:
    """Return the columns that a question names, without the one that names the row; else all."""
    filled = [one for one in frame.columns if one.cells and one.cells[place] != frame.labels[place]]
    named = [one for one in columns_in(frame, question) if one in filled]
    kind = next((names for asks, names in _KINDS if asks.search(question)), None)
    if kind is not None:
        return [one for one in filled if kind.search(plain(one.name))] or named
    return named or meant_by(filled, question) or filled


EQUAL = re.compile(
    r"\b(?:who|which|what|list|show)\b[^?]*?\b(?:is|are|has|have|was|were|costs?|earns?|equals?|sold|made)\b"
    r"(?: exactly| equal to)?\s*\$?(-?\d[\d,]*(?:\.\d+)?)(?: years(?: old)?)?\W*$"
)
"""A question for the rows that have a value."""


def equal(frame: Frame, question: str) -> Finding | None:
    """Name the rows whose column has a value: the one that is named, else the only one that has it."""
    found = EQUAL.search(question)
    if found is None:
        return None
    wanted = float(found[1].replace(",", ""))
    named = [one for one in columns_in(frame, question) if one.numeric]
    having = [one for one in named or frame.columns if _labels_with(frame, one, wanted)] or named
    if len(having) != 1:
        return None
    kept = [(label, wanted) for label in _labels_with(frame, having[0], wanted)]
    return _kept(kept[:_MOST_ROWS], having[0], f"{having[0].name} {shown(wanted)}")


def _labels_with(frame: Frame, column: Column, wanted: float) -> list[str]:
    """Return the names of the rows with a number."""
    return [label for label, value in labelled(frame, column) if column.numeric and value == wanted]


def _names(label: str, question: str) -> bool:
    return bool(re.search(rf"(?<!\w){re.escape(plain(label))}(?!\w)", question))


def _cell(cell: str) -> str:
    value = number(cell)
    return cell if value is None else shown(value)
