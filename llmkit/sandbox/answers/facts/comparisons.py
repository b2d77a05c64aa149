"""Comparisons of two things of one kind: `Is Peru larger than Chile?`, `Compare Mars and Venus`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.facts.atlas import kinds
from llmkit.sandbox.answers.facts.figures import filled, named, shown
from llmkit.sandbox.answers.facts.properties import by_kind, with_unit
from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.wording import capitalised, joined, left_over

if TYPE_CHECKING:
    from llmkit.sandbox.answers.facts.atlas import Entry, Property

_YES_NO = re.compile(r"^(?:is|are|does|do|has|was|were)\b")
_COMPARE = re.compile(r"\b(?:compare|comparison|versus|vs|differences?|differ|difference between|contrast)\b")
_MADE_FOR = re.compile(r"\b(?:which|who|what|is|has|the|of|one|by area|by population)\b")


def compared(text: str) -> Finding | None:
    """Compare the two things of one kind that a plain question names.

    Example:
        >>> compared("is jupiter bigger than saturn?").short
        'yes'
    """
    for same in by_kind(text):
        entries = list(dict.fromkeys(one.entry for one in same))
        phrases = [one.phrase for one in same]
        if len(entries) != 2:
            continue
        if found := _by_property(text, entries, phrases) or _whole(text, entries, phrases):
            return found
    return None


def _by_property(text: str, entries: list[Entry], phrases: list[str]) -> Finding | None:
    kind = kinds()[entries[0].kind]
    taken: list[str | re.Pattern[str]] = [*phrases, kind.noun, _MADE_FOR]
    for prop in kind.properties.values():
        for pattern, sign in ((prop.more, 1), (prop.less, -1)):
            if pattern and pattern.search(text) and not left_over(text, [*taken, pattern]):
                return _judged(text, entries, prop, sign)
    return None


def _judged(text: str, entries: list[Entry], prop: Property, sign: int) -> Finding | None:
    first, second = (one.number(prop.name) for one in entries)
    if first is None or second is None:
        return None
    lead, short = _verdict(entries, sign * (first - second), yes_no=bool(_YES_NO.search(text)))
    facts = " ".join(filled(prop.says, one, shown(one, prop.name)) for one in entries)
    return Finding(
        text=f"{lead}. {facts}",
        short=short,
        title=joined(one.name for one in entries),
        head=("name", prop.name),
        rows=tuple((one.name, with_unit(one, prop)) for one in entries),
    )


def _verdict(entries: list[Entry], ahead: float, *, yes_no: bool) -> tuple[str, str]:
    """Return how an answer begins and its bare form, by how far the first thing is ahead."""
    if yes_no:
        return ("Yes", "yes") if ahead > 0 else ("No", "no")
    if not ahead:
        return "Both are the same", "the same"
    winner = entries[0] if ahead > 0 else entries[1]
    return capitalised(named(winner)), winner.name


def _whole(text: str, entries: list[Entry], phrases: list[str]) -> Finding | None:
    if not _COMPARE.search(text) or left_over(text, [*phrases, _COMPARE]):
        return None
    props = [
        one
        for one in kinds()[entries[0].kind].properties.values()
        if all(e.values.get(one.name) for e in entries)
    ]
    return Finding(
        text=" ".join(filled(kinds()[one.kind].says, one) for one in entries),
        title=joined(one.name for one in entries),
        head=("name", *(one.name for one in props)),
        rows=tuple((one.name, *(with_unit(one, prop) for prop in props)) for one in entries),
    )
