"""Questions about things by name: `What is the capital of Peru?`, `Is Spain in Europe?`, `Who was Euler?`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.facts.atlas import Mention, kinds, mentions
from llmkit.sandbox.answers.facts.figures import filled, shown
from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.numbers.number_words import NUMBER
from llmkit.sandbox.answers.wording import joined, left_over, plain, telling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.sandbox.answers.facts.atlas import Entry, Property
    from llmkit.sandbox.answers.finding import Row

_YES_NO = re.compile(r"^(?:is|are|was|were|does|do|did|has|have|can)\b")
_ABOUT = re.compile(
    r"^(?:(?:what|who|where|which)(?:'s| is| was| are| were)?|tell me (?:more |something "
    r")?about|describe|explain|about"
    r"|information (?:on|about)|give me (?:some )?(?:facts|information) (?:on|about)|(?:some "
    r")?facts about|summari[sz]e)\b"
)
_FACTS = re.compile(
    r"\b(?:\d |two |three |five |ten |some |a few )?(?:interesting |fun |some )?(?:facts?"
    r"|information|info|something|overview)(?: about| on)?\b"
)
_COUNTRY = re.compile(r"\bcountr(?:y|ies)\b")
_ABOUT_PLACES = frozenset({"borders", "countries", "country", "currency", "language"})
_PLACES = ("country", "countries", "continent")
_ON_ONE_DAY = "The {name} was {value}."
_WHERE = re.compile(r"\bwhere\b")
_FEW = 3


def by_kind(text: str) -> Iterator[list[Mention]]:
    """Yield the things of one kind that a text names, kind by kind."""
    groups = mentions(text)
    for kind in kinds():
        if same := [one for group in groups for one in group if one.entry.kind == kind]:
            yield same


def about_things(text: str) -> Finding | None:
    """Answer a plain question about the properties of things that it names.

    Example:
        >>> about_things("what is the capital of peru?").text
        'The capital of Peru is Lima.'
    """
    for same in by_kind(text):
        if found := _truth(text, same) if _YES_NO.search(text) else _asked(text, same):
            return found
    return None


def described(text: str) -> Finding | None:
    """Describe a thing of which a plain question wants to know nothing else.

    Example:
        >>> described("who was ada lovelace?").short
        'Ada Lovelace'
    """
    for same in by_kind(text):
        alone = len(same) == 1 or len({one.phrase for one in same}) == 1
        rest = left_over(text, [_FACTS, NUMBER, *(one.phrase for one in same)])
        asked = _ABOUT.search(text) or _FACTS.search(text) or text.strip(" ?.!") == same[0].phrase
        if alone and not rest and asked:
            return _description(same[0].entry)
    return None


def _description(entry: Entry) -> Finding:
    head: Row = ("name",)
    row: Row = (entry.name,)
    for key, prop in kinds()[entry.kind].properties.items():
        if entry.values.get(key):
            head, row = (*head, key), (*row, with_unit(entry, prop))
    return Finding(
        text=filled(kinds()[entry.kind].says, entry),
        short=entry.name,
        title=entry.name,
        head=head,
        rows=(row,),
    )


def with_unit(entry: Entry, prop: Property) -> str:
    """Return a value with its unit."""
    return f"{shown(entry, prop.name)} {prop.unit}".strip()


def asked_properties(text: str, same: list[Mention]) -> list[Property]:
    """Return the properties of things that a plain question asks for and that leave no word of it open."""
    rest = _without(text, same)
    known = kinds()[same[0].entry.kind].properties.values()
    matched = [one for one in known if one.asked.search(rest) and not _of_place(one, rest)]
    for chosen in (*([one] for one in matched), matched):
        taken = [_COUNTRY] if any(one.name in _ABOUT_PLACES for one in chosen) else []
        if chosen and not left_over(rest, [*(one.asked for one in chosen), *taken]):
            return chosen
    return []


def _without(text: str, same: list[Mention]) -> str:
    """Return a question without the names in it."""
    for one in same:
        text = re.sub(rf"(?<!\w){re.escape(one.phrase)}(?!\w)", " ", text)
    return text


def _of_place(prop: Property, text: str) -> bool:
    """Whether a question wants the place of something that has only a date here."""
    return prop.name == "died" and bool(_WHERE.search(text))


def _asked(text: str, same: list[Mention]) -> Finding | None:
    chosen = asked_properties(text, same)
    entries = list(dict.fromkeys(one.entry for one in same))
    pairs = [(entry, prop) for entry in entries for prop in chosen if entry.values.get(prop.name)]
    return _answered(pairs, chosen) if pairs and len(pairs) >= len(chosen) else None


def _answered(pairs: list[tuple[Entry, Property]], chosen: list[Property]) -> Finding:
    rows = [(entry.name, *(with_unit(entry, prop) for prop in chosen)) for entry, _ in pairs]
    return Finding(
        text=" ".join(_sentence(entry, prop) for entry, prop in pairs),
        short=joined(with_unit(entry, prop) for entry, prop in pairs),
        more=_background(pairs[0][0]) if len(pairs) == 1 else "",
        title=joined(dict.fromkeys(entry.name for entry, _ in pairs)),
        head=("name", *(prop.name for prop in chosen)),
        rows=tuple(dict.fromkeys(rows)),
    )


def _sentence(entry: Entry, prop: Property) -> str:
    values = entry.values
    on_one_day = entry.kind == "event" and values["begin"] == values["end"]
    return filled(_ON_ONE_DAY if on_one_day else prop.says, entry, shown(entry, prop.name))


def _background(entry: Entry) -> str:
    return filled(kinds()[entry.kind].says, entry) if "" not in entry.values.values() else ""


def _truth(text: str, same: list[Mention]) -> Finding | None:
    """Answer yes or no: is something of a kind, in a place, or what is claimed of a property?"""
    first = same[0]
    rest = text.replace(first.phrase, " ", 1)
    return _is_in(rest, first.entry) or _has_value(rest, first.entry)


def _is_in(rest: str, entry: Entry) -> Finding | None:
    found = re.search(r"\b(?:in|on|part of|belong to)\s+([a-z ]+)", rest)
    places = [plain(entry.values[key]) for key in _PLACES if entry.values.get(key)]
    if found is None or not places or left_over(rest, [found[0], "country", "located"]):
        return None
    asked = re.sub(r"^the ", "", found[1].strip())
    known = mentions(asked)
    if not known:
        return None
    names = {plain(one.entry.name) for one in known[0]}
    where = joined(next(entry.values[key] for key in _PLACES if entry.values.get(key)).split(", "))
    yes = any(name in place for name in names for place in places)
    return _verdict(yes, filled("{name} is in {value}.", entry, where))


def _has_value(rest: str, entry: Entry) -> Finding | None:
    """Compare what a question claims of a property with its value."""
    for prop in kinds()[entry.kind].properties.values():
        value = entry.values.get(prop.name)
        if not value or not prop.asked.search(rest):
            continue
        claimed = left_over(rest, [prop.asked])
        if claimed and len(claimed) <= _FEW:
            return _verdict(claimed <= telling(plain(value)), _sentence(entry, prop))
    return None


def _verdict(yes: bool, sentence: str) -> Finding:  # noqa: FBT001 - the one thing that it says
    return Finding(text=f"{'Yes' if yes else 'No'}. {sentence}", short="yes" if yes else "no")
