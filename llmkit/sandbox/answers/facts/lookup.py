"""Answers from facts: the first of some ways to read a question that leaves no word of it open."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.facts.comparisons import compared
from llmkit.sandbox.answers.facts.groups import about_group
from llmkit.sandbox.answers.facts.lists import about_kind
from llmkit.sandbox.answers.facts.properties import about_things, described
from llmkit.sandbox.answers.facts.terms import contrast, opposite, quantity, term
from llmkit.sandbox.answers.numbers.number_words import NUMBER

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.sandbox.answers.finding import Finding

_LONGEST = 400
_BY_VALUE = re.compile(r"\b(?:which|what|name|list)\b.*\bcountr(?:y|ies)\b.*\b(?:speaks?|uses?|spoken)\b")
_SEVERAL = re.compile(
    rf"^(?:name|list|give me|show me) (?:some |a few |{NUMBER.pattern} )?(?:countries|cities)\b"
)
_PLURAL = re.compile(r"^(?:what|which) are the\b")
_INDIRECT = re.compile(r"^(?:explain|tell me|describe)(?: to me)? what (.+?) (?:is|are|means?)(?= in |\W*$)")
_CONTINENTS = {"african": "africa", "asian": "asia", "european": "europe", "south american": "south america"}
_OF_CONTINENT = re.compile(
    rf"^((?:name|list|give me|show me) .*?)\b({'|'.join(_CONTINENTS)}) (countries|rivers|mountains|cities)"
)
_ASIDE = re.compile(r" in (?:python|programming|computing|machine learning|ml|statistics|millions?)(?=\W*$)")
_WAYS: tuple[Callable[[str], Finding | None], ...] = (
    quantity,
    opposite,
    contrast,
    compared,
    about_things,
    term,
    about_group,
    about_kind,
    described,
)


def known(text: str) -> Finding | None:
    """Answer a plain question from facts; `None` if they do not cover it.

    Example:
        >>> known("who wrote hamlet?").short
        'William Shakespeare'
    """
    if len(text) > _LONGEST:
        return None
    text = _OF_CONTINENT.sub(_in_continent, text)
    text = _INDIRECT.sub(r"what is \1", text)
    return _looked_up(text) or (_looked_up(bare) if (bare := _ASIDE.sub("", text)) != text else None)


def _in_continent(found: re.Match[str]) -> str:
    return f"{found[1]}{found[3]} in {_CONTINENTS[found[2]]}"


def _looked_up(text: str) -> Finding | None:
    first = (
        (about_kind,)
        if _BY_VALUE.search(text) or _SEVERAL.search(text)
        else (about_group,)
        if _PLURAL.search(text)
        else ()
    )
    ways = (*first, *_WAYS)
    return next((found for way in ways if (found := way(text))), None)
