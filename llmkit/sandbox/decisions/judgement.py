"""Judges an input without a model, as the sandbox's structured answers do, with made-up probabilities."""

from __future__ import annotations

import json
import re
import zlib
from typing import TYPE_CHECKING, Any

from llmkit.sandbox.answers.schemas import choose
from llmkit.sandbox.answers.texts.lexicon import sentiment
from llmkit.sandbox.dialects.dialect import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

_REFUSED = re.compile(r"\brefuse\b", re.IGNORECASE)
_HIGHEST = 0.99


def probabilities(options: Sequence[Any], subject: str) -> list[float]:
    """Return the probability of each option; that of the chosen one is the highest.

    Example:
        >>> probabilities(["red", "blue"], "It is blue.")[1] > 0.5
        True
    """
    chosen = list(options).index(choose(list(options), subject))
    # Some number that belongs to the input, so that equal inputs have equal answers.
    most = 0.6 + zlib.crc32(subject.encode()) % 400 / 1000
    most = min(most, _HIGHEST) if len(options) > 1 else 1.0
    rest = (1 - most) / max(1, len(options) - 1)
    return [round(most if place == chosen else rest, 6) for place in range(len(options))]


def truth(subject: str) -> float:
    """Return the probability that a statement about an input is true.

    Example:
        >>> truth("I hate it.") < 0.5 < truth("I love it.")
        True
    """
    sure = probabilities(["yes", "no"], subject)
    most = max(sure)
    return round(1 - most if sentiment(subject) == "negative" else most, 6)


def expected(chances: Sequence[float]) -> float:
    """Return the expected level.

    Example:
        >>> expected([0.25, 0.75])
        0.75
    """
    return round(sum(level * chance for level, chance in enumerate(chances)), 6)


def is_refused(instructions: str) -> bool:
    """Whether a question is refused: one that has the word `refuse`."""
    return bool(_REFUSED.search(instructions))


def text_of(content: Any, where: str) -> str:
    """Return the text of an input: one string, messages, or parts with text or JSON.

    Example:
        >>> text_of([{"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}], "input")
        'Hi'
    """
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return _part(content, where)
    if not isinstance(content, list) or not content:
        raise RefusedError(400, f"Invalid type for '{where}': expected a text or an array.", param=where)
    return "\n".join(filter(None, (text_of(part, where) for part in content)))


def _part(part: dict[str, Any], where: str) -> str:
    if "content" in part:
        return text_of(part["content"], where)
    if part.get("type") == "input_json":
        return json.dumps(part.get("data"), ensure_ascii=False)
    return str(part.get("text") or part.get("output") or "")
