"""The reasoning of a model that thinks, and what proves that it comes back unchanged."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.sandbox.answers.tool_calls import Wanted
    from llmkit.sandbox.conversation import Ask

_SENTENCES = {"minimal": 1, "low": 1, "medium": 2, "high": 3, "xhigh": 4, "max": 4}
_CHECKS = (
    "Nothing in the question asks for more than that.",
    "I look at it once more from the other side, and it still holds.",
    "So I can answer.",
)


def think(ask: Ask, topic: str, calls: Sequence[Wanted]) -> str:
    """Return a short reasoning about the user's last text.

    Example:
        >>> from llmkit.sandbox.conversation import Ask
        >>> think(Ask(model="sandbox", turns=(), effort="low"), "the tides", ())
        'The question is about “the tides”; I recall the facts first.'
    """
    if calls:
        named = " and ".join(dict.fromkeys(name for name, _ in calls))
        first = f"The question is about “{topic}”. The tool {named} can find that out; I call it."
    elif ask.done:
        first = f"The result for “{topic}” is there; I say what it means."
    else:
        first = f"The question is about “{topic}”; I recall the facts first."
    return " ".join([first, *_CHECKS[: _SENTENCES.get(ask.effort, 2) - 1]])


def seal(content: str) -> str:
    """Return a signature of a content, as only the sandbox writes it.

    Example:
        >>> seal("a") == seal("a") != seal("b")
        True
    """
    digest = hashlib.sha256(b"llmkit sandbox\0" + content.encode(errors="surrogatepass")).digest()
    return base64.b64encode(b"sandbox:" + digest[:22]).decode()


def is_sealed(content: str, signature: object) -> bool:
    """Whether a signature is that of a content."""
    return signature == seal(content)
