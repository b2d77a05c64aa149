"""Questions about a kind of things: lists, counts, the most and the least, and which of them has a value."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.facts.atlas import Entry, Kind, entries, kinds, mentions
from llmkit.sandbox.answers.facts.figures import filled, named, placed, shown
from llmkit.sandbox.answers.facts.properties import with_unit
from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.numbers.number_words import NUMBER, as_number, ordinal
from llmkit.sandbox.answers.wording import capitalised, joined, left_over, plain, stem, telling

if TYPE_CHECKING:
    from llmkit.sandbox.answers.facts.atlas import Property

_SHOWN = 5
_FEW = 3
_LISTS = re.compile(
    r"\b(?:name|list|give|show|tell|what are|which are|which|suggest|compare|table of"
    r"|examples?|enumerate|mention|make|create"
    r"|write|generate|pick|top|in order|all|recommend|find|return|bullet|sort|rank)\b|^(?:the "
    r"|all |\d|a |an )"
    r"|^(?:two|three|four|five|six|seven|eight|nine|ten)\b"
)
_COUNTS = re.compile(r"\b(?:count|how many|number of)\b")
_USES = {
    "currency": r"uses?|using|pays? with",
    "language": r"speaks?|speaking|spoken",
    "continent": r"in|belongs? to",
}
_ORDINAL = re.compile(r"\b(second|third|fourth|fifth|2nd|3rd|4th|5th)[ -]")
_PLACE_WORDS = frozenset({"country", "continent"})
_PLACED = re.compile(
    r"\b(?:located|situated|by size|by area|by length|by height|by population|in the solar "
    r"system|of the solar system|solar system|random|famous|known|major|big|important|fun"
    r"|interesting|different|good|nice|common|popular|new|their|longest to shortest|kg|km"
    r"|metres|meters|from (?:the )?sun|in order)\b"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """The kind of things that a question is about, and where they are."""

    kind: Kind
    noun: str  # as the question has it
    place: str
    phrases: tuple[str, ...]
    members: tuple[Entry, ...]
    text: str

    def rest(self, *taken: str | re.Pattern[str]) -> frozenset[str]:
        """Return the telling words that are neither noun nor place."""
        return left_over(self.text, [self.kind.noun, *self.phrases, _PLACED, _LISTS, *taken])


def scope_of(text: str) -> Scope | None:
    """Return what kind of things a plain question is about; `None` if it names none.

    Example:
        >>> scope_of("what is the longest river in africa?").place
        'Africa'
    """
    found = [
        (match.start(), kind, match[0]) for kind in kinds().values() if (match := kind.noun.search(text))
    ]
    if not found:
        return None
    _, kind, noun = min(found, key=lambda one: one[0])
    place = _place(text, kind)
    members = entries(kind.name)
    if place is None:
        return Scope(kind, noun, "", (), members, text)
    name, phrase = place
    inside = tuple(one for one in members if _is_inside(one, name))
    return Scope(kind, noun, name, (phrase,), inside, text)


def _place(text: str, kind: Kind) -> tuple[str, str] | None:
    for same in mentions(text):
        for one in same:
            if one.entry.kind in _PLACE_WORDS and one.entry.kind != kind.name:
                return one.entry.name, one.phrase
    return None


def _is_inside(entry: Entry, place: str) -> bool:
    return any(
        place in entry.values.get(key, "").split(", ") for key in ("continent", "country", "countries")
    )


def about_kind(text: str) -> Finding | None:
    """Answer a plain question about a kind of things.

    Example:
        >>> about_kind("which planet has the most moons?").short
        'Saturn'
    """
    scope = scope_of(text)
    if scope is None or not scope.members:
        return None
    return _extreme(scope) or _counted(scope) or _with_value(scope) or _listed(scope)


def _extreme(scope: Scope) -> Finding | None:
    """Answer with the most or the least, or the first few of them."""
    for prop in scope.kind.properties.values():
        for pattern, sign in ((prop.more, -1), (prop.less, 1)):
            said = pattern.search(scope.text) if pattern else None
            if said and pattern and not scope.rest(pattern, NUMBER, _ORDINAL):
                return _ranked(scope, prop, said[0], sign)
    return None


def _ranked(scope: Scope, prop: Property, said: str, sign: int) -> Finding | None:
    known = [one for one in scope.members if one.number(prop.name) is not None]
    ranked = sorted(known, key=lambda one: sign * (one.number(prop.name) or 0))
    place = _ORDINAL.search(scope.text)
    skipped = ordinal(place[1]) - 1 if place else 0
    many = 1 if place or not scope.noun.endswith("s") else how_many(scope.text, _SHOWN)
    best = ranked[skipped : skipped + many]
    if not best:
        return None
    finding = listed(scope, best, (prop,))
    if many > 1:
        return finding
    one = best[0]
    sentence = filled(prop.says, one, shown(one, prop.name))
    return Finding(
        text=_superlative(scope, one, f"{place[1]} {said}" if place else said, sentence, sign),
        short=capitalised(one.name),
        more="" if "" in one.values.values() else filled(scope.kind.says, one),
        title=one.name,
        head=finding.head,
        rows=finding.rows,
    )


def _superlative(scope: Scope, one: Entry, said: str, sentence: str, sign: int) -> str:
    where = f" in {placed(scope.place)}" if scope.place else ""
    # The smallest of an incomplete list may not be the smallest there is.
    if (sign > 0 or not _is_sure(scope)) and not scope.kind.complete:
        return f"Of the {scope.kind.plural}{where} that the sandbox knows, it is {named(one)}. {sentence}"
    if said.endswith("sun"):
        return f"{capitalised(named(one))} is the {said}. {sentence}"
    if " " in said.removeprefix("most ").removeprefix("second ").removeprefix("third "):
        return f"It is {named(one)}. {sentence}"
    return f"{capitalised(named(one))} is the {said} {scope.noun}{where}. {sentence}"


def _is_sure(scope: Scope) -> bool:
    """Whether the largest of the known things is the largest of all: in the world, and on continents."""
    continents = {entry.name for entry in entries("continent")}
    return not scope.place or scope.kind.name in {"country", "city"} or scope.place in continents


def _counted(scope: Scope) -> Finding | None:
    if not _COUNTS.search(scope.text) or not scope.kind.complete or scope.rest(_COUNTS):
        return None
    names = [one.name for one in scope.members]
    return Finding(
        text=f"There are {len(names)} {scope.kind.plural}: {joined(names)}.",
        short=str(len(names)),
        head=("name",),
        rows=tuple((name,) for name in names),
    )


def _with_value(scope: Scope) -> Finding | None:
    """Answer which of the things has a value, as in `Which country uses the yen?`."""
    for prop in scope.kind.properties.values():
        verbs = re.compile(rf"\b(?:{_USES.get(prop.name, 'has|with|of')})\b|{prop.asked.pattern}")
        claimed = scope.rest(verbs)
        if not verbs.search(scope.text) or not 0 < len(claimed) <= _FEW:
            continue
        found = [one for one in scope.members if claimed <= telling(plain(one.values.get(prop.name, "")))]
        if found:
            return listed(scope, found, (prop,))
    return None


def _listed(scope: Scope) -> Finding | None:
    """List things, with the properties that are asked for."""
    counted = _COUNTS.search(scope.text)
    if counted or not (_LISTS.search(scope.text) or NUMBER.search(scope.text)):
        return None
    asked = [one for one in scope.kind.properties.values() if one.asked.search(scope.text)]
    if scope.rest(NUMBER):
        if scope.rest(NUMBER, *(one.asked for one in asked)):
            return None
    else:
        asked = []
    found = listed(scope, list(scope.members[: _wanted(scope)]), tuple(asked) or _main(scope.kind))
    return _with_details(found) if asked else found


def _with_details(found: Finding) -> Finding:
    """Return a list that says the properties that were asked for, too."""
    said = joined(
        f"{row[0]} ({', '.join(filter(None, row[1:]))})" if any(row[1:]) else row[0] for row in found.rows
    )
    return replace(found, text=f"{capitalised(said)}.")


def _wanted(scope: Scope) -> int:
    """Return how many things a list should have: one without a plural or a number."""
    if not scope.noun.endswith("s") and not NUMBER.search(scope.text):
        return 1
    return how_many(scope.text, len(scope.members) if scope.kind.complete else _SHOWN)


def _main(kind: Kind) -> tuple[Property, ...]:
    return tuple(kind.properties.values())[:2]


def listed(scope: Scope, found: list[Entry], props: tuple[Property, ...]) -> Finding:
    """Return a list of things with some properties."""
    if scope.noun.startswith("capital"):
        found = [Entry("city", {"name": entry.values["capital"], "country": entry.name}) for entry in found]
        props = (kinds()["city"].properties["country"],)
    shown_props = [one for one in props if any(entry.values.get(one.name) for entry in found)]
    rows = tuple(
        (entry.name, *(with_unit(entry, one) if entry.values.get(one.name) else "" for one in shown_props))
        for entry in found
    )
    names = joined(row[0] for row in rows)
    return Finding(
        text=f"{capitalised(names)}.",
        short=names,
        title=scope.kind.plural,
        head=(stem(scope.noun.split()[-1]), *(one.name for one in shown_props)),
        rows=rows,
    )


def how_many(text: str, default: int) -> int:
    """Return the number of things that a plain text asks for.

    Example:
        >>> how_many("name three rivers", 5), how_many("list the rivers", 5)
        (3, 5)
    """
    found = [as_number(one[0]) for one in NUMBER.finditer(text)]
    return next((int(one) for one in found if one >= 1), default)
