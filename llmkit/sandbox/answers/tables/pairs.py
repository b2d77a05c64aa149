"""Two rows beside each other, the values of a column, and a whole table in another form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.rendering import table
from llmkit.sandbox.answers.tables.asked import columns_in, labelled, numeric_in
from llmkit.sandbox.answers.tables.measures import shown
from llmkit.sandbox.answers.tables.rows import SENT
from llmkit.sandbox.answers.wording import capitalised, joined, plain

if TYPE_CHECKING:
    from llmkit.sandbox.answers.tables.reading import Frame

_MORE = r"older|taller|heavier|larger|bigger|higher|longer|warmer|more|greater|better|richer"
_FEWER = r"younger|shorter|lighter|smaller|lower|colder|less|fewer|worse|cheaper"
PAIR = re.compile(
    rf"\b(?:difference|differs?|compare[ds]?|than|how much|between|versus|vs|or|{_MORE}|{_FEWER}|expensive)\b"
)
"""Words of a question about two rows."""

LISTS = re.compile(
    r"^\W*(?:please )?(?:(?:list|show|give|name|print|what are|which)\b(?: me)?)(?: all| every)?(?: of)?(?:"
    r" the)?"
    r"(?: unique| distinct| different)? (?:[\w ]+?)(?: are there| there are| in (?:it|this|the table))?\W*$"
)
_WHOLE = re.compile(
    r"^\W*(?:please )?(?:turn|convert|make|format|show|give|print|display|render|rewrite|export|put"
    r"|transform)?(?: me)?"
    r"\s*(?:it|this|that|them|the (?:table|data|rows|list))?(?: back)?\s*(?:as|into|in|to)?(?: an?)?(?:"
    r" valid| nice)?"
    r"\s*(?:markdown|csv|json|html)?(?: table| format| array| list| file)?(?: please)?\W*$"
)
_TWO = 2
_COMPARES = re.compile(r"\b(?:compare|difference|versus|vs)\b")
_FORMS = re.compile(r"\b(?:markdown|csv|json|table)\b")


def paired(frame: Frame, question: str) -> Finding | None:
    """Compare two rows that a question names, in one column of numbers."""
    named = _named(frame, question)
    columns = numeric_in(frame, question)
    if len(named) != _TWO or not PAIR.search(question):
        return None
    if len(columns) != 1:
        return _beside(frame, named) if _COMPARES.search(question) else None
    values = dict(labelled(frame, columns[0]))
    one, other = named
    if not {one, other} <= values.keys():
        return None
    figures = f"{columns[0].name} {shown(values[one])} for {one} and {shown(values[other])} for {other}"
    gap, sign = values[one] - values[other], _direction(question)
    answer = _which(question, one if gap * sign > 0 else other, yes=gap * sign > 0) if sign and gap else ""
    if answer:
        return Finding(text=f"{answer}: {figures}.", short=answer.lower(), title=SENT)
    return Finding(text=f"The difference is {shown(abs(gap))}: {figures}.", short=shown(abs(gap)), title=SENT)


def _beside(frame: Frame, named: list[str]) -> Finding:
    """Put two rows beside each other, with all their columns."""
    places = [frame.labels.index(one) for one in named]
    filled = [one for one in frame.columns if len(one.cells) == len(frame.labels)]
    columns = [one for one in filled if one.cells[places[0]] != named[0]]
    head = ("row", *(one.name for one in columns))
    rows = tuple((frame.labels[n], *(one.cells[n] for one in columns)) for n in places)
    return Finding(text=table(head, rows), short=joined(named), title=SENT, head=head, rows=rows)


def _which(question: str, best: str, *, yes: bool) -> str:
    """Answer a question with yes or no, or with the row that has more; empty if it asks for neither."""
    if re.match(r"\W*(?:is|are|does|was|has)\b", question):
        return "Yes" if yes else "No"
    return best if re.search(r"\b(?:who|which)\b", question) else ""


def _named(frame: Frame, question: str) -> list[str]:
    """Return the names of the rows that a question has, in its order."""
    places = {label: _at(label, question) for label in frame.labels if label}
    return sorted((label for label, place in places.items() if place >= 0), key=places.__getitem__)


def _at(label: str, question: str) -> int:
    found = re.search(rf"(?<!\w){re.escape(plain(label))}(?!\w)", question)
    return found.start() if found else -1


def _direction(question: str) -> int:
    """Return 1 if more is asked for, -1 if less, 0 if neither."""
    if re.search(rf"\b(?:{_FEWER})\b", question):
        return -1
    return 1 if re.search(rf"\b(?:{_MORE}|expensive)\b", question) else 0


def values_of(frame: Frame, question: str) -> Finding | None:
    """List the values of the one column that a question names."""
    named = columns_in(frame, question)
    if len(named) != 1 or not LISTS.search(question) or not named[0].cells or not frame.whole:
        return None
    values = tuple(dict.fromkeys(cell for cell in named[0].cells if cell.strip()))
    said = joined(values)
    return Finding(
        text=f"{capitalised(said)}.", short=said, head=(named[0].name,), rows=tuple((one,) for one in values)
    )


def whole(frame: Frame, question: str) -> Finding | None:
    """Give a whole table in the form that a question asks for."""
    if not frame.whole or not _FORMS.search(question) or not _WHOLE.match(question):
        return None
    columns = [one for one in frame.columns if len(one.cells) == frame.rows]
    head, rows = tuple(one.name for one in columns), tuple(zip(*(one.cells for one in columns), strict=True))
    return Finding(text=table(head, rows), head=head, rows=rows) if rows else None
