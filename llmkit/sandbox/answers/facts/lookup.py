"""Answers from facts: the first of some ways to read a question that leaves no word of it open."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.facts.comparisons import compared
from llmkit.sandbox.answers.facts.groups import about_group
from llmkit.sandbox.answers.facts.lists import about_kind
from llmkit.sandbox.answers.facts.properties import about_things, described
from llmkit.sandbox.answers.facts.terms import contrast, opposite, quantity, term

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.sandbox.answers.finding import Finding

_LONGEST = 400
_BY_VALUE = re.compile(r"\b(?:which|what|name|list)\b.*\bcountr(?:y|ies)\b.*\b(?:speaks?|uses?|spoken)\b")
_PLURAL = re.compile(r"^(?:what|which) are the\b")
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
    first = (about_kind,) if _BY_VALUE.search(text) else (about_group,) if _PLURAL.search(text) else ()
    ways = (*first, *_WAYS)
    return next((found for way in ways if (found := way(text))), None)
