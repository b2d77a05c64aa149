"""Short articles, for those who ask to have a subject explained."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from llmkit.sandbox.answers.wording import stem, telling, words

_ASKED = re.compile(
    r"\b(?:explain|describe|tell me (?:more |all |everything )?about|overview|write (?:about"
    r"|an article|an essay|a text)|essay|article|teach|plan|introduction|how (?:do|does|is|are)"
    r"|why (?:do|does|is|are)|what are the)\b"
)
_HEADING = re.compile(r"^# (.+)$", re.MULTILINE)


@cache
def _articles() -> dict[frozenset[str], str]:
    text = (files("llmkit.sandbox.answers.facts") / "data" / "articles.md").read_text(encoding="utf-8")
    _, *parts = _HEADING.split(text)
    return {
        _key(title): f"# {title}\n\n{body.strip()}"
        for title, body in zip(parts[::2], parts[1::2], strict=True)
    }


def _key(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in words(text.lower()) if word != "the")


def article(text: str, title: str) -> str | None:
    """Return the article on what a plain question wants explained.

    Example:
        >>> article("explain the tides", "tides").splitlines()[0]
        '# The tides'
    """
    if not _ASKED.search(text) or not telling(text) & _key(title):
        return None
    return _articles().get(_key(title))
