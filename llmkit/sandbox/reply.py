"""Generates the answer to a request, cut to the requested length."""

from __future__ import annotations

import time
import uuid
from itertools import cycle, islice
from typing import TYPE_CHECKING, NamedTuple

from llmkit.sandbox.answers.answers import is_known, write
from llmkit.sandbox.answers.extras import (
    IMAGE_TOKENS,
    PAGES,
    draw,
    sources,
    subject_of,
    wants_image,
    wants_sources,
)
from llmkit.sandbox.answers.thoughts import seal, think
from llmkit.sandbox.answers.tool_calls import wanted
from llmkit.sandbox.conversation import Answer, Invocation, Tokens
from llmkit.sandbox.pieces import count, split

if TYPE_CHECKING:
    from llmkit.sandbox.answers.tool_calls import Wanted
    from llmkit.sandbox.conversation import Ask, Finish
    from llmkit.sandbox.faults import Fault


_SHORT = 200
"""Characters of an answer that is a fact."""


class _Said(NamedTuple):
    """The tokens of an answer, and why it ended."""

    thoughts: list[str]
    pieces: list[str]
    calls: list[Wanted]
    finish: Finish
    stop_sequence: str | None = None


def _of_length(text: str, tokens: int | None) -> list[str]:
    """Split a text, repeated or cut to a number of tokens."""
    pieces = split(text)
    if tokens is None or tokens <= len(pieces):
        return pieces[:tokens]
    again = split("\n\n" + text)
    return pieces + list(islice(cycle(again), tokens - len(pieces)))


def _stopped(text: str, stop: tuple[str, ...]) -> tuple[str, str | None]:
    """Cut a text before the first of some stop sequences."""
    found = [(text.index(word), word) for word in stop if word and word in text]
    if not found:
        return text, None
    place, word = min(found)
    return text[:place], word


def _say(ask: Ask, fault: Fault, subject: str) -> _Said:
    """Return what a model says or calls."""
    calls = wanted(ask)
    thoughts = split(think(ask, subject, calls)) if ask.effort else []
    if calls:
        return _Said(thoughts, [], calls, "tool_calls")
    text, stop_sequence = _stopped(_text(ask, subject), ask.stop)
    pieces = _of_length(text, fault.tokens)
    return _Said(thoughts, pieces, [], "stop_sequence" if stop_sequence else "stop", stop_sequence)


def _text(ask: Ask, subject: str) -> str:
    """Return the text; an answer that the sandbox does not know is what its pages say."""
    if wants_image(ask):
        return f"Here is an image of “{subject}”."
    text = write(ask)
    unknown = subject in text or len(text) > _SHORT or not is_known(ask, text)
    return PAGES.format(topic=subject) if wants_sources(ask) and unknown and not ask.wants_json else text


def _limited(said: _Said, limit: int | None) -> _Said:
    """Cut an answer to a number of tokens; thoughts count, and a call is whole or not there."""
    length = len(said.thoughts) + len(said.pieces) + _call_tokens(said.calls)
    if limit is None or length <= limit:
        return said
    left = max(0, limit - len(said.thoughts))
    return _Said(said.thoughts[:limit], said.pieces[:left], [], "length")


def _call_tokens(calls: list[Wanted]) -> int:
    return sum(count(name + Invocation("", name, values).raw) for name, values in calls)


def reply(ask: Ask, fault: Fault) -> Answer:
    """Return the answer to a request.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Turn
        >>> from llmkit.sandbox.faults import parse
        >>> reply(Ask(model="sandbox", turns=(Turn("user", "echo: Hi!"),)), parse("")).text
        'Hi!'
    """
    subject = subject_of(ask.last_user_text)
    said = _limited(_say(ask, fault, subject), ask.max_tokens)
    text = "".join(said.pieces)
    image = draw(ask.last_user_text) if wants_image(ask) and said.finish == "stop" else None
    tokens = Tokens(
        input=max(ask.input_tokens, fault.cached + fault.cache_write),
        text=len(said.pieces) + _call_tokens(said.calls),
        reasoning=max(fault.reasoning, len(said.thoughts)),
        cached=fault.cached,
        cache_write=fault.cache_write,
        image=IMAGE_TOKENS if image else 0,
    )
    made = uuid.uuid4().hex[:24]
    return Answer(
        id=made,
        created=int(time.time()),
        model=ask.model,
        pieces=tuple(said.pieces),
        finish=said.finish,
        finish_word=fault.finish,
        stop_sequence=said.stop_sequence,
        tokens=tokens if fault.usage else None,
        thoughts=tuple(said.thoughts),
        calls=_with_ids(said, made),
        sources=() if said.calls else sources(ask, text, subject),
        image=image,
    )


def _with_ids(said: _Said, made: str) -> tuple[Invocation, ...]:
    """Give each call an identifier, in which the thoughts before it leave a mark."""
    mark = thought_mark("".join(said.thoughts))
    named = enumerate(said.calls)
    return tuple(Invocation(f"{mark}{made[:12]}{number}", name, values) for number, (name, values) in named)


def thought_mark(thought: str) -> str:
    """Return the beginning of the identifiers of calls that follow a thought.

    Example:
        >>> thought_mark("")
        ''
    """
    sealed = "".join(filter(str.isalnum, seal(thought)))
    return f"t{sealed[12:20]}" if thought else ""
