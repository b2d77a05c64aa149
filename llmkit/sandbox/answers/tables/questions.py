"""Answers questions about a table in the prompt, from its own numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.tables.asked import columns_in
from llmkit.sandbox.answers.tables.columns import frequent, grouped, measured, missing, related, size, trend
from llmkit.sandbox.answers.tables.overview import overview, plan
from llmkit.sandbox.answers.tables.reading import read_frame
from llmkit.sandbox.answers.tables.rows import SENT, compared, looked_up, most_or_least, odd
from llmkit.sandbox.answers.wording import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.sandbox.answers.finding import Finding
    from llmkit.sandbox.answers.tables.reading import Frame

_OVERVIEW = re.compile(
    r"\b(?:stands? out|describe|summari[sz]e|summary|overview|insights?|tell me about|what "
    r"(?:do you see|is in|does .* (?:show|tell|say))|interesting|notice|findings?|analy[sz]e"
    r"|explore|explain|patterns?|look at|conclu\w+|takeaways?|observations|about (?:this|the"
    r"|my) (?:data|table)|key facts)\b"
)
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
    question = plain(frame.rest).strip()
    found = next((answer for way in _WAYS if (answer := way(frame, question))), None)
    return _of_those_sent(frame, found) if found else None


def _of_those_sent(frame: Frame, found: Finding) -> Finding:
    """Say it if the answer is about the rows that were sent only."""
    if frame.whole or found.title != SENT:
        return found
    lead = f"In the {len(frame.labels)} rows that came along, "
    return replace(found, text=f"{lead}{found.text[:1].lower()}{found.text[1:]}")


def _looked_over(frame: Frame, question: str) -> Finding | None:
    if _PLAN.search(question):
        return plan(frame, question)
    bare = re.sub(r"[\W_]+", " ", question).strip()
    if _OVERVIEW.search(question) is None and bare not in {"", plain(frame.name)}:
        return None
    return overview(frame, columns_in(frame, question))


_WAYS: tuple[Callable[[Frame, str], Finding | None], ...] = (
    missing,
    compared,
    grouped,
    frequent,
    size,
    odd,
    _looked_over,
    related,
    most_or_least,
    measured,
    trend,
    looked_up,
)
