"""Text that a store and a frame can hold: a model may send halves of characters, which UTF-8 lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmkit.frames.answers.protocol import Answer


def encodable(answer: Answer) -> Answer:
    """Return an answer whose texts can be encoded."""
    try:
        answer.text.encode()
        answer.error.encode()
    except UnicodeEncodeError:
        return answer._replace(text=whole(answer.text), error=whole(answer.error))
    return answer


def whole(text: str) -> str:
    r"""Replace halves of characters, and join those that belong together.

    Example:
        >>> whole("\ud83d\ude00 \ud83d")
        '😀 �'
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
