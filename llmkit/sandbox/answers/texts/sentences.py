"""Splits a text into sentences, and cuts it where it ends well."""

from __future__ import annotations

import re

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z“\"(0-9])")
_CLAUSE = re.compile(
    r"\s*(?:;|, (?:which|who|so that|from|and|but|about|with|learned|surrounded)\b|: |, "
    r"|\band\b|\bso that\b|\bbut\b)"
)
_CLAUSE_WORDS = 4  # fewer after a comma are the beginning of a clause only
_PREPOSITION = re.compile(
    r"\s+(?:on|in|for|by|until|into|without|as|when|while|with|from|at|to|that|of|along|over|across|during"
    r"|after|before|through|under|about|between)\b"
)
_OPEN_PHRASE = re.compile(
    r"\s+(?:a|an|the|this|that|my|your|our|his|her|its|their)(?: [\w-]+)?$", re.IGNORECASE
)
_DANGLING = re.compile(
    (
        r"(?:[\s,;:]+(?:a|an|the|of|and|or|to|in|with|for|by|that|which|from|is|are|as|its|so|than"
        r"|at|on|than|much|not|along|over|across|through|under|between))+$"
    ),
    re.IGNORECASE,
)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text.

    Example:
        >>> sentences("It rains. We stay.")
        ['It rains.', 'We stay.']
    """
    return [one.strip() for one in _SENTENCE.split(text.strip()) if one.strip()]


def fitted(text: str, most: int) -> str:
    """Return as much of a text as fits into a number of words, and ends well.

    Example:
        >>> fitted("The sea rises twice a day. The Moon does it.", 8)
        'The sea rises twice a day.'
    """
    chosen: list[str] = []
    for sentence in sentences(text):
        if len(" ".join([*chosen, sentence]).split()) > most:
            break
        chosen.append(sentence)
    return " ".join(chosen) or _shortened(text, most)


def _shortened(text: str, most: int) -> str:
    """Cut a sentence at its last clause that fits, else between words."""
    first = sentences(text)[0] if text.strip() else ""
    fits = [one for one in _ends(first) if _CLAUSE_WORDS <= len(one.split()) <= most]
    cut = max(fits, key=len, default="") or _without_open_phrase(" ".join(first.split()[:most]))
    return _DANGLING.sub("", cut).rstrip(" .,;:") + "." if cut else ""


def _without_open_phrase(cut: str) -> str:
    """Leave out an article and what follows it at the end: its noun may have been cut off."""
    shorter = _OPEN_PHRASE.sub("", cut)
    return shorter if len(shorter.split()) >= _CLAUSE_WORDS - 1 else cut


def _ends(sentence: str) -> list[str]:
    """Return the beginnings of a sentence that end well, before a clause or a phrase."""
    clauses = [sentence[: found.start()] for found in _CLAUSE.finditer(sentence)]
    phrases = [sentence[: found.start()] for found in _PREPOSITION.finditer(sentence)]
    return [*clauses, *(one for one in phrases if len(one.rpartition(", ")[2].split()) >= _CLAUSE_WORDS)]
