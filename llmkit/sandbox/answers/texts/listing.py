"""Lists that a prompt gives itself: `eggs, milk and bread` as bullets, `Ada 36, Bob 28` as a table."""

from __future__ import annotations

import re

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.texts.sentences import sentences
from llmkit.sandbox.answers.texts.words import items
from llmkit.sandbox.answers.wording import joined

_ASKS = re.compile(
    r"\b(?:bullets?|bullet points?|points|(?:make|write|create|give|turn|convert|format|put|show)\b.*\blists?"
    r"|as an? (?:\w+ )?list|numbered|ordered|into a table|(?:as|in) a table|(?:make|create|draw) a table"
    r"|tabulate"
    r"|one per line|(?:as|to|into) csv)\b"
)
_PAIR = re.compile(r"(\S.*?)(?:\s*[:=]\s*|\s+)([$€£]?-?\d[\d,.]*\s?[%\w$€£]{0,5})")
_LONGEST_ITEM = 6


def short_items(text: str) -> tuple[str, ...]:
    """Return the items of a list in words; empty if the text is one of sentences.

    Example:
        >>> short_items("eggs, milk and bread"), short_items("It rains, and we stay at home because of it.")
        (('eggs', 'milk', 'bread'), ())
    """
    if len(sentences(text)) > 1 and "\n" not in text.strip():
        return ()
    parts = items(text) if re.search(r"[,;\n]|\s(?:and|or)\s", text.strip()) else []
    short = all(len(part.split()) <= _LONGEST_ITEM for part in parts)
    return tuple(parts) if len(parts) > 1 and short else ()


def listed(wish: str, text: str) -> Finding | None:
    """Put a list in words, or the sentences of a text, into the form that a plain wish asks for.

    Example:
        >>> listed("make a bullet list", "eggs, milk").rows
        (('eggs',), ('milk',))
    """
    if not _ASKS.search(wish):
        return None
    found = short_items(text)
    pairs = [pair for item in found if (pair := _PAIR.fullmatch(item))]
    if pairs and len(pairs) == len(found):
        figures = tuple((pair[1], pair[2].strip()) for pair in pairs)
        return Finding(text=f"{joined(found)}.", head=("name", "value"), rows=figures)
    rows = tuple((one,) for one in found or sentences(text))
    return Finding(text="\n".join(f"- {row[0]}" for row in rows), head=("item",), rows=rows)
