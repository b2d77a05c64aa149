"""Reads the facts in `data/`, once and only if they are needed, and finds their names in a text."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from llmkit.sandbox.answers.wording import plain, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_LONGEST_NAME = 6
_LONGEST_TEXT = 600
_ARTICLE = re.compile(r"^(?:the|a) ")


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One row of a file of facts."""

    kind: str
    values: Mapping[str, str]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.values["name"]

    def number(self, key: str) -> float | None:
        """Return a value as a number; `None` if it has none."""
        try:
            return float(self.values.get(key, ""))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Property:
    """Something that can be asked of entries of a kind."""

    name: str
    asked: re.Pattern[str]
    says: str
    unit: str = ""
    more: re.Pattern[str] | None = None
    less: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """What is alike in the entries of one file."""

    name: str
    file: str
    noun: re.Pattern[str]
    plural: str
    says: str
    complete: bool
    order: str
    properties: Mapping[str, Property]


@dataclass(frozen=True, slots=True)
class Mention:
    """An entry's name in a text."""

    entry: Entry
    phrase: str
    place: int  # number of its first word


def read(file: str) -> list[dict[str, str]]:
    """Return the rows of a file of facts; the line that begins with `#` says what it is.

    Example:
        >>> read("planets")[2]["name"]
        'Earth'
    """
    text = (files("llmkit.sandbox.answers.facts") / "data" / f"{file}.csv").read_text(encoding="utf-8")
    head, *lines = (line.split("|") for line in text.splitlines() if line and not line.startswith("#"))
    return [dict(zip(head, line, strict=True)) for line in lines]


@cache
def kinds() -> dict[str, Kind]:
    """Return all kinds of facts by name."""
    text = (files("llmkit.sandbox.answers.facts") / "kinds.toml").read_text(encoding="utf-8")
    return {name: _kind(name, table) for name, table in tomllib.loads(text).items()}


def _kind(name: str, table: dict[str, Any]) -> Kind:
    properties = {key: _property(key, one) for key, one in table.items() if isinstance(one, dict)}
    return Kind(
        name=name,
        file=table["file"],
        noun=re.compile(rf"\b(?:{table['noun']})\b"),
        plural=table["plural"],
        says=table["says"],
        complete=table.get("complete", False),
        order=table.get("order", ""),
        properties=properties,
    )


def _property(name: str, table: dict[str, str]) -> Property:
    more, less = (re.compile(rf"\b(?:{table[key]})\b") if key in table else None for key in ("more", "less"))
    return Property(
        name, re.compile(rf"\b(?:{table['asked']})s?\b"), table["says"], table.get("unit", ""), more, less
    )


@cache
def entries(kind: str) -> tuple[Entry, ...]:
    """Return all entries of a kind."""
    found = [Entry(kind, row) for row in read(kinds()[kind].file)]
    if order := kinds()[kind].order:
        found.sort(key=lambda entry: -(entry.number(order.lstrip("-")) or 0))
    return tuple(found)


@cache
def _index() -> dict[tuple[str, ...], tuple[Entry, ...]]:
    """Return all entries by the words of their names."""
    found: dict[tuple[str, ...], tuple[Entry, ...]] = {}
    for kind in kinds():
        for entry in entries(kind):
            for name in (entry.name, *entry.values.get("aliases", "").split(";")):
                for form in {plain(name), _ARTICLE.sub("", plain(name))}:
                    key = tuple(words(form))
                    if key and entry not in found.get(key, ()):
                        found[key] = (*found.get(key, ()), entry)
    return found


def mentions(text: str) -> list[list[Mention]]:
    """Return the entries that a plain text names, longest names first; several of one name stand together.

    Example:
        >>> [[one.entry.name for one in same] for same in mentions("is peru bigger than new zealand?")]
        [['Peru'], ['New Zealand']]
    """
    said = [word.removesuffix("'s") for word in words(text[:_LONGEST_TEXT])]
    return list(_found(said))


def _found(said: list[str]) -> Iterator[list[Mention]]:
    place = 0
    while place < len(said):
        for length in range(min(_LONGEST_NAME, len(said) - place), 0, -1):
            key = tuple(said[place : place + length])
            if same := _index().get(key):
                yield [Mention(entry, " ".join(key), place) for entry in same]
                place += length - 1
                break
        place += 1
