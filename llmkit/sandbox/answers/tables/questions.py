"""Answers questions about a table in the prompt, from its own numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.forms import without_form
from llmkit.sandbox.answers.tables.asked import COMPARED, LEAST, MEASURED, MOST, columns_in
from llmkit.sandbox.answers.tables.columns import (
    BY,
    COUNTED,
    FREQUENT,
    MISSING,
    RAREST,
    RELATED,
    ROWS,
    TREND,
    UNIQUE,
    frequent,
    grouped,
    measured,
    missing,
    ranked,
    related,
    size,
    tallied,
    trend,
)
from llmkit.sandbox.answers.tables.overview import overview, plan
from llmkit.sandbox.answers.tables.pairs import PAIR, paired, values_of, whole
from llmkit.sandbox.answers.tables.reading import read_frame
from llmkit.sandbox.answers.tables.rows import (
    ASKS,
    COUNTS,
    DOWN,
    EQUAL,
    ODD,
    ORDERS,
    SENT,
    SORT,
    VALUE,
    compared,
    equal,
    in_order,
    looked_up,
    most_or_least,
    odd,
)
from llmkit.sandbox.answers.tables.scope import narrowed, unread
from llmkit.sandbox.answers.wording import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.sandbox.answers.tables.reading import Frame

_OVERVIEW = re.compile(
    r"\b(?:stands? out|describe|summari[sz]e|summary|overview|insights?|tell me about|what "
    r"(?:do you see|is in|does .* (?:show|tell|say))|interesting|notice|findings?|analy[sz]e"
    r"|explore|explain|patterns?|look at|conclu\w+|takeaways?|observations|about (?:this|the"
    r"|my) (?:data|table)|key facts)\b"
)
_OTHER = re.compile(
    r"\b(?:code|python|pandas|script|snippet|function|sql|query|plot|chart|histogram|write|translate|json"
    r"|sentiment|classify|extract|keywords?|rewrite|how (?:do|can|would|should) (?:i|we))\b"
)
"""Requests that are not for a figure of the table."""

_INTRODUCED = re.compile(
    r"^\W*(?:(?:here(?:'s| is| are)|this is|these are|given|consider|using|look at|i have|my|the|our"
    r"|a)\b[^:?\n]{0,40}"
    r"|(?:table|data|dataset|csv|df)):\s*|\s+(?:here(?:'s| is| are)|this is)\b[^:?\n]{0,40}:\s*$"
)
_ATTACHED = re.compile(r"file (\S+):\s*```\w*\s*```\s*")
"""What stands before a question where an attached file was taken out."""

_PLAN = re.compile(
    r"\b(?:plan|how (?:should|would|do|can) (?:i|we|you) (?:analy[sz]e|explore|approach|start"
    r"|begin|look|clean)|which (?:chart|plot|graph)|what (?:chart|plot|graph|kind of (?:chart"
    r"|plot))|best (?:chart|plot)|which model|next steps?|what (?:should|could|can) (?:i|we) "
    r"(?:do|look|ask|analy[sz]e)|ideas?|questions)\b"
)


def about_table(text: str, asked: str | None = None) -> Finding | None:
    r"""Answer a question about the table in a prompt; `None` if there is none, or the question is another.

    Without `asked`, the question is the rest of the prompt.

    Example:
        >>> about_table(",city,people\n0,Rome,2.8\n1,Oslo,0.7\n\nWhich is the largest?").short
        'Rome'
    """
    frame = read_frame(text)
    if frame is None or not frame.columns:
        return None
    if asked is not None:
        frame = replace(frame, rest=asked)
    question = _question(frame)
    found = _answered(frame, question, _WAYS) or _filtered(frame, question)
    return _of_those_sent(frame, found) if found else None


def _question(frame: Frame) -> str:
    """Return what is asked, without the words that introduce the table."""
    question = plain(frame.rest).strip()
    if found := _ATTACHED.match(question):
        question = question[found.end() :].replace(found[1], "file")
    return _INTRODUCED.sub("", question).strip()


def _answered(frame: Frame, question: str, ways: tuple[_Way, ...]) -> Finding | None:
    """Answer in the first way that reads all telling words of a question."""
    for way in ways:
        found = way.answer(frame, question)
        if found and (way.reads_all or not unread(frame, without_form(question), _read_by(way, frame))):
            return found
    return None


def _read_by(way: _Way, frame: Frame) -> list[str | re.Pattern[str]]:
    labels = [rf"(?<!\w){re.escape(plain(one))}(?!\w)" for one in frame.labels if one] if way.labels else []
    return [*way.reads, *labels]


def _filtered(frame: Frame, question: str) -> Finding | None:
    """Answer about the rows that a question names."""
    kept = narrowed(frame, question)
    if kept is None:
        return None
    found = _answered(kept.frame, kept.question, _OF_FILTERED)
    if not kept.frame.labels:
        return Finding(text=f"No row has {kept.said}.", short="none", title=SENT) if found else None
    if found is None:
        return None
    many = len(kept.frame.labels)
    if found.title == COUNTED:
        return replace(found, text=f"{many:,} row{'s have' if many > 1 else ' has'} {kept.said}.", title=SENT)
    lead = "In the one row" if many == 1 else f"In the {many:,} rows"
    return replace(found, text=f"{lead} with {kept.said}, {_lowered(found.text)}", title=SENT)


def asks_of_table(text: str) -> bool:
    r"""Whether a prompt has a table and asks for something in it, such as a figure, a column or a row.

    Example:
        >>> asks_of_table(",city,people\n0,Rome,2.8\n1,Oslo,0.7\n\nHow many people live in Bonn?")
        True
    """
    frame = read_frame(text)
    if frame is None or not frame.columns:
        return False
    question = _question(frame)
    if _OTHER.search(question) or not (ASKS.search(question) or MEASURED.search(question)):
        return False
    signs = (MEASURED, COUNTS, VALUE, MOST, LEAST, COMPARED, TREND, EQUAL)
    named = columns_in(frame, question) or narrowed(frame, question)
    return bool(named) or any(one.search(question) for one in signs)


def _lowered(text: str) -> str:
    """Return a sentence for the middle of another; names keep their capitals."""
    return f"{text[:1].lower()}{text[1:]}" if text.startswith(("The ", "No ", "It ", "In ")) else text


def _of_those_sent(frame: Frame, found: Finding) -> Finding:
    """Say it if the answer is about the rows that were sent only."""
    if frame.whole or found.title != SENT:
        return found
    return replace(found, text=f"In the {len(frame.labels)} rows that came along, {_lowered(found.text)}")


def _looked_over(frame: Frame, question: str) -> Finding | None:
    if _PLAN.search(question):
        return plan(frame, question)
    bare = re.sub(r"[\W_]+", " ", question).strip()
    if _OVERVIEW.search(question) is None and bare not in {"", plain(frame.name)}:
        return None
    return overview(frame, columns_in(frame, question))


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to answer, and the words that it reads apart from the names of columns.

    Attributes:
        answer: Finds the answer.
        reads: The words that it understands.
        labels: Whether it reads the names of rows.
        reads_all: Whether other words do not change its answer.
    """

    answer: Callable[[Frame, str], Finding | None]
    reads: tuple[str | re.Pattern[str], ...] = ()
    labels: bool = False
    reads_all: bool = False


_EXTREMES = (MOST, LEAST, VALUE)
_TOP = r"\btop (?:\d+|\w+)\b"
_COLUMN_WORDS = r"\b(?:fields|features|variables|names?)\b"
_MEASURED = _Way(measured, (MEASURED,))
_GROUPED = _Way(grouped, (MEASURED, BY))
_MISSING = _Way(missing, (MISSING,))
_FREQUENT = _Way(frequent, (FREQUENT, RAREST, UNIQUE))
_RANKED = _Way(ranked, _EXTREMES)
_MOST = _Way(most_or_least, (_TOP, *_EXTREMES))
_WAYS = (
    _Way(whole, reads_all=True),
    _Way(paired, (PAIR, *_EXTREMES), labels=True),
    _Way(values_of, (UNIQUE,)),
    _MISSING,
    _Way(compared, (COMPARED, COUNTS, r"\bcosts?\b")),
    _Way(equal, (EQUAL,)),
    _GROUPED,
    _FREQUENT,
    _Way(size, (ROWS, _COLUMN_WORDS)),
    _Way(odd, (ODD,)),
    _Way(looked_up, labels=True),
    _Way(_looked_over, reads_all=True),
    _Way(related, (RELATED, r"\bthere\b")),
    _Way(in_order, (SORT, DOWN, ORDERS)),
    _RANKED,
    _MOST,
    _MEASURED,
    _Way(trend, (TREND,)),
)
_OF_FILTERED = (_MISSING, _GROUPED, _FREQUENT, _RANKED, _MOST, _MEASURED, _Way(tallied, (COUNTS,)))
