"""Removal of reasoning that a model writes into its text, between tags."""

from __future__ import annotations

import re
from itertools import islice

TAG = re.compile(
    r"(?i)<(?P<xml>/?)(?:seed:)?(?:think|thinking|thought)(?:\s[^<>\n]{0,80})?>"
    r"|\[(?P<mistral>/?)THINK\]"
    r"|◁(?P<kimi>/?)think▷"
    r"|<\|(?:begin|(?P<sky>end))_of_thought\|>"
    r"|<\|(?:START|(?P<cohere>END))_THINKING\|>"
)
"""Tags of the models; closing tags match a group."""

MOST_TAGS = 200
"""Maximum number of tags that are examined."""


def spoken(text: str) -> str:
    r"""Return an answer without the reasoning between think tags.

    Some servers leave out the opening tag, because their template has it; an answer that was cut may lack
    the closing one. Tags in quotes or code blocks belong to the answer.

    Example:
        >>> spoken("<think>\nPerhaps 41?\n</think>\n\n42")
        '42'
        >>> spoken("Perhaps 41?\n</think>\n42")
        '42'
        >>> spoken("<think>\nPerhaps")
        ''
    """
    if TAG.search(text) is None:  # the common case
        return text
    kept, place, inside, cut = "", 0, False, False
    for tag in islice(TAG.finditer(text), MOST_TAGS):
        opening = not any(tag.groups())
        if not inside:
            before = kept + text[place : tag.start()]
            if _is_quoted(before, text[tag.end() :]) or (opening and _is_mentioned(text, tag)):
                continue
            kept = before if opening else ""  # text before a closing tag was reasoning
        inside, place, cut = opening, tag.end(), True
    if not cut:
        return text
    return (kept if inside else kept + text[place:]).strip()


def thought(text: str) -> str:
    """Return the reasoning between think tags, that is, what `spoken` leaves out.

    Example:
        >>> thought("<think>Perhaps 41?</think>42")
        'Perhaps 41?'
    """
    if TAG.search(text) is None:
        return ""
    said = spoken(text)
    if said == text:
        return ""
    whole = text.strip()
    rest = whole.removesuffix(said) if said else whole
    return TAG.sub("", rest).strip()


def _is_mentioned(text: str, tag: re.Match[str]) -> bool:
    """Whether an opening tag is inside a sentence and unclosed: reasoning starts on a new line."""
    begins = not text[: tag.start()].rpartition("\n")[2].strip()
    return not begins and not any(any(later.groups()) for later in TAG.finditer(text, tag.end()))


def _is_quoted(before: str, after: str) -> bool:
    """Whether a position is in a closed code block, or between quotes on its line."""
    marks = [line.lstrip()[:3] for line in before.splitlines()]
    fences = sum(mark in {"```", "~~~"} for mark in marks)
    if fences % 2 and re.search(r"(?m)^\s*(```|~~~)", after):
        return True
    line = before.rpartition("\n")[2]
    return line.count("`") % 2 == 1 or (line.replace('\\"', "").count('"') % 2 == 1 and '"' in after)
