"""Generates the answer to a request, cut to the requested length."""

from __future__ import annotations

import time
import uuid
from itertools import cycle, islice
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.answers import write
from llmkit.sandbox.conversation import Answer, Tokens
from llmkit.sandbox.pieces import split

if TYPE_CHECKING:
    from llmkit.sandbox.conversation import Ask, Finish
    from llmkit.sandbox.faults import Fault


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


def reply(ask: Ask, fault: Fault) -> Answer:
    """Return the answer to a request.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Turn
        >>> from llmkit.sandbox.faults import parse
        >>> reply(Ask(model="sandbox", turns=(Turn("user", "echo: Hi!"),)), parse("")).text
        'Hi!'
    """
    text, stop_sequence = _stopped(write(ask), ask.stop)
    pieces = _of_length(text, fault.tokens)
    finish: Finish = "stop_sequence" if stop_sequence else "stop"
    if ask.max_tokens is not None and len(pieces) > ask.max_tokens:
        pieces, finish, stop_sequence = pieces[: ask.max_tokens], "length", None
    tokens = Tokens(
        input=max(ask.input_tokens, fault.cached + fault.cache_write),
        text=len(pieces),
        reasoning=fault.reasoning,
        cached=fault.cached,
        cache_write=fault.cache_write,
    )
    return Answer(
        id=uuid.uuid4().hex[:24],
        created=int(time.time()),
        model=ask.model,
        pieces=tuple(pieces),
        finish=finish,
        finish_word=fault.finish,
        stop_sequence=stop_sequence,
        tokens=tokens if fault.usage else None,
    )
