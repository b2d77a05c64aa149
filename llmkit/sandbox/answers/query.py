"""What a request asks, prepared once for all kinds of answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.followups import question_of
from llmkit.sandbox.answers.forms import Form, form_of, without_form
from llmkit.sandbox.answers.voices import Voice, voice
from llmkit.sandbox.answers.wording import plain, politely

if TYPE_CHECKING:
    from llmkit.sandbox.conversation import Ask

_LONGEST = 2_000


@dataclass(frozen=True, slots=True)
class Query:
    """A question and how to answer it.

    Attributes:
        ask: The request.
        text: The question in full, as it was written.
        question: The question in plain words, without those about its form.
        form: The form that is asked for.
        mode: What a follow-up wants: `shorter`, `why`, `more`, `sure`, `again`, or nothing.
        voice: How the model speaks.
    """

    ask: Ask
    text: str
    question: str
    form: Form
    mode: str
    voice: Voice


def query_of(ask: Ask) -> Query:
    """Prepare a request.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Turn
        >>> turn = Turn("user", "Hi, what are tides? Answer in 9 words.")
        >>> query_of(Ask(model="sandbox", turns=(turn,))).question
        'what are tides?'
    """
    asked = question_of(ask)
    system = plain("\n".join(turn.text for turn in ask.turns if turn.role == "system")[:_LONGEST])
    said = (
        plain(asked.text)
        if len(asked.text) <= _LONGEST
        else plain(f"{asked.text[:600]}\n{asked.text[-600:]}")
    )
    form = form_of(f"{said}\n{asked.form}", system)
    if asked.mode == "shorter":
        form = replace(form, brief=True)
    if asked.mode == "more":
        form = replace(form, long=True, brief=False)
    return Query(ask, asked.text, without_form(politely(said)), form, asked.mode, voice(ask.model))
