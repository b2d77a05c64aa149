"""The words of a prompt that are a function's argument: neither its name nor what is to be done."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from llmkit.sandbox.answers.texts.extraction import EMAIL
from llmkit.sandbox.answers.wording import NEUTRAL, stem, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_TOKEN = re.compile(r"[^\s,;!?\"()]+")
_PART = re.compile(r"[a-z]+|\d+")
_FILLING = NEUTRAL - words_of("world child kid year data") | words_of(
    "convert turn put change compute calculate call run apply tool function check test whether make makes"
    " cost costs much book "
    "search look open send switch add want person someone people available left stock item piece"
)
_ANCHORS = words_of("word words text string phrase sentence name title term called named")
_LINKS = words_of("of in for on is from with the a an")
_SHORTEST = 4
_LONG_NAMES = words_of("text query prompt sentence string phrase")
_ABOUT = re.compile(
    r"\babout (?:the |my |our )?(.+?)(?= (?:saying|that says|which says|with)\b|[:,.!?]|$)", re.IGNORECASE
)
_SAYING = re.compile(
    r"\b(?:saying|that says|which says|with the (?:text|message|body))[: ]+(.+?)[.!?]?$", re.IGNORECASE
)
_ADDRESSED = {
    **dict.fromkeys(("to", "email", "recipient", "address", "mail", "receiver"), EMAIL),
    **dict.fromkeys(("subject", "topic", "title"), _ABOUT),
    **dict.fromkeys(("body", "message", "content"), _SAYING),
}
"""What fills the parameters of a message."""


class Named(NamedTuple):
    """The words that a function and its choices explain, so that they are no argument.

    Attributes:
        words: Words of its name, its description and its parameters, in the singular.
        options: The values of its choices.
    """

    words: frozenset[str]
    options: frozenset[str]


def explained(texts: Iterable[str], options: Iterable[object]) -> Named:
    """Return the words that some names, descriptions and options explain.

    Example:
        >>> sorted(explained(["to_upper"], ["extra_large"]).options)
        ['extra', 'large']
    """
    return Named(
        frozenset(stem(part) for text in texts for part in _PART.findall(text.lower())),
        frozenset(part for option in options for part in _PART.findall(str(option).lower())),
    )


def argument(parameter: str, text: str, named: Named) -> str | None:
    """Return the words of a prompt that a parameter means; `None` if there are none.

    Example:
        >>> argument("product", "How many red chairs are in stock?", explained(["stock"], []))
        'red chairs'
        >>> argument("text", "Make hello world uppercase", explained(["to_upper"], []))
        'hello world'
    """
    name = parameter.lower()
    found = _ADDRESSED.get(name)
    if found is not None and (said := found.search(text)):
        return said[said.lastindex or 0]
    tokens = [token for one in _TOKEN.finditer(text) if (token := one[0].strip(".:'`"))]
    if name in _LONG_NAMES:
        return " ".join(_without_ends(tokens, named)) or None
    runs = _runs(tokens, named)
    longest = max(runs, key=len) if runs else []
    return " ".join(longest) or None


def _is_taken(token: str, named: Named) -> bool:
    """Whether a word only says what is to be done."""
    lower = token.lower()
    base = stem(lower)
    if lower in _FILLING or base in _FILLING or lower in named.options:
        return True
    if all(part in _FILLING or stem(part) in named.words for part in _PART.findall(lower)):
        return True
    return any(
        min(len(one), len(base)) >= _SHORTEST and (base.startswith(one) or one.startswith(base))
        for one in named.words
    )


def _runs(tokens: list[str], named: Named) -> list[list[str]]:
    """Return the stretches of words that say something."""
    runs: list[list[str]] = [[]]
    for token in tokens:
        if _is_taken(token, named) or token.replace(".", "").isdigit():
            runs.append([])
        else:
            runs[-1].append(token)
    return [run for run in runs if run]


def _without_ends(tokens: list[str], named: Named) -> list[str]:
    """Return the words between those at both ends that say what is to be done."""
    start, end = 0, len(tokens)
    while start < end and _is_taken(tokens[start], named):
        start += 1
    anchors = [place for place in range(start) if tokens[place].lower() in _ANCHORS]
    if anchors:
        start = anchors[-1] + 1
        while start < end and tokens[start].lower() in _LINKS:
            start += 1
    while end > start and _is_taken(tokens[end - 1], named):
        end -= 1
    return tokens[start:end]
