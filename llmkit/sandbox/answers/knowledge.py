"""The facts that the sandbox knows, and lists of them."""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.sandbox.conversation import Ask

Row = tuple[str, ...]

NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

TABLES: dict[str, tuple[Row, ...]] = {
    "river": (
        ("river", "length_km", "continent"),
        ("Nile", "6650", "Africa"),
        ("Amazon", "6400", "South America"),
        ("Yangtze", "6300", "Asia"),
        ("Mississippi", "3770", "North America"),
        ("Volga", "3530", "Europe"),
        ("Danube", "2850", "Europe"),
        ("Murray", "2508", "Australia"),
        ("Rhine", "1230", "Europe"),
        ("Elbe", "1094", "Europe"),
        ("Thames", "346", "Europe"),
    ),
    "planet": (
        ("planet", "mass_kg", "diameter_km"),
        ("Mercury", "3.30e23", "4879"),
        ("Venus", "4.87e24", "12104"),
        ("Earth", "5.97e24", "12756"),
        ("Mars", "6.42e23", "6792"),
        ("Jupiter", "1.90e27", "142984"),
        ("Saturn", "5.68e26", "120536"),
        ("Uranus", "8.68e25", "51118"),
        ("Neptune", "1.02e26", "49528"),
    ),
    "mountain": (
        ("mountain", "height_m", "continent"),
        ("Everest", "8849", "Asia"),
        ("K2", "8611", "Asia"),
        ("Aconcagua", "6961", "South America"),
        ("Denali", "6190", "North America"),
        ("Kilimanjaro", "5895", "Africa"),
        ("Mont Blanc", "4806", "Europe"),
    ),
    "hill": (
        ("hill", "city"),
        ("Arthur's Seat", "Edinburgh"),
        ("Primrose Hill", "London"),
        ("Montmartre", "Paris"),
        ("Capitoline Hill", "Rome"),
        ("Montjuïc", "Barcelona"),
    ),
    "continent": (
        ("continent", "area_million_km2"),
        ("Africa", "30.4"),
        ("Antarctica", "14.2"),
        ("Asia", "44.6"),
        ("Australia", "7.7"),
        ("Europe", "10.2"),
        ("North America", "24.7"),
        ("South America", "17.8"),
    ),
    "city": (
        ("city", "country"),
        ("Lyon", "France"),
        ("Mombasa", "Kenya"),
        ("Cusco", "Peru"),
        ("Hamburg", "Germany"),
        ("Kyoto", "Japan"),
        ("Turin", "Italy"),
        ("Seville", "Spain"),
        ("Porto", "Portugal"),
        ("Bergen", "Norway"),
        ("Marseille", "France"),
    ),
    "colour": (("colour",), ("red",), ("green",), ("blue",), ("yellow",), ("orange",), ("violet",)),
    "fruit": (("fruit",), ("apple",), ("pear",), ("plum",), ("cherry",), ("banana",), ("fig",)),
    "animal": (("animal",), ("fox",), ("otter",), ("owl",), ("whale",), ("hare",), ("bee",)),
}
"""A head and its rows, by what they are."""

WHOLE = frozenset({"planet", "continent"})
"""The complete tables, whose rows can be counted."""

_OTHER_NAMES = {
    "cities": "city",
    "color": "colour",
    "colors": "colour",
    "hill": "mountain",
    "hills": "mountain",
}
_CAPITALS = {
    "australia": "Canberra",
    "austria": "Vienna",
    "brazil": "Brasília",
    "canada": "Ottawa",
    "china": "Beijing",
    "egypt": "Cairo",
    "france": "Paris",
    "germany": "Berlin",
    "greece": "Athens",
    "india": "New Delhi",
    "italy": "Rome",
    "japan": "Tokyo",
    "kenya": "Nairobi",
    "norway": "Oslo",
    "peru": "Lima",
    "poland": "Warsaw",
    "portugal": "Lisbon",
    "spain": "Madrid",
    "sweden": "Stockholm",
    "switzerland": "Bern",
}
_CAPITAL = re.compile(r"\bcapital (?:city )?of (\w+)", re.IGNORECASE)
_NOUNS = "|".join([*(f"{name}s?" for name in TABLES), *_OTHER_NAMES])
_ASKED = r"name|list|give|show|tell|what are|which are|count|how many|suggest|compare|table of"
_AS_TABLE = re.compile(r"\btable\b", re.IGNORECASE)
_LISTED = re.compile(rf"\b(?:{_ASKED})\b([^.?!\n]{{0,60}}?)\b({_NOUNS})\b([^.?!\n]{{0,60}})", re.IGNORECASE)
_COUNT = re.compile(rf"\b(\d{{1,3}}|an?(?! (?:list|table|few))|{'|'.join(NUMBERS)})\b", re.IGNORECASE)
_COUNTED = re.compile(r"\b(?:count|how many)\b", re.IGNORECASE)
_PLACE = re.compile(r"\b(?:in|of|from)\s+((?:[A-Z]\w+)(?:\s[A-Z]\w+)*)")
_SHOWN = 5


def rows_for(text: str) -> tuple[str, list[Row]] | None:
    """Return the table that a request asks for.

    Example:
        >>> rows_for("Name two rivers in Africa, or one.")
        ('river', [('river', 'length_km', 'continent'), ('Nile', '6650', 'Africa')])
    """
    found = _LISTED.search(text)
    if found is None:
        return None
    noun = found[2].lower()
    name = _OTHER_NAMES.get(noun, noun.removesuffix("s"))
    head, *rows = TABLES[name]
    if place := _PLACE.search(found[3]):
        rows = [row for row in rows if place[1] in row[1:]]
    wanted = _COUNT.search(found[1])
    return (name, [head, *rows[: _how_many(wanted[1]) if wanted else _default(name)]]) if rows else None


def _default(name: str) -> int:
    return len(TABLES[name]) if name in WHOLE else _SHOWN


def _how_many(word: str) -> int:
    lower = word.lower()
    if lower in NUMBERS:
        return NUMBERS.index(lower) + 1
    return max(1, int(word)) if word.isdigit() else 1


def write_list(ask: Ask) -> str | None:
    """Answer a request for a list, in the style of the requested model.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Turn
        >>> write_list(Ask(model="sandbox", turns=(Turn("user", "Name three rivers."),)))
        'Nile, Amazon and Yangtze.'
    """
    found = rows_for(ask.last_user_text)
    if found is None:
        return None
    name, (head, *rows) = found
    if _COUNTED.search(ask.last_user_text) and name in WHOLE:
        return f"There are {len(rows)} {name}s: {_joined([row[0] for row in rows])}."
    if _AS_TABLE.search(ask.last_user_text):
        return _table(head, rows)
    return _VOICES[voice(ask.model)]([_with_units(head, row) for row in rows])


def voice(model: str) -> int:
    """Return the number of a model's style; the sandbox itself has style 0.

    Example:
        >>> voice("sandbox")
        0
    """
    known = {"sandbox": 0, "sandbox-mini": 1, "one": 1, "two": 2, "three": 3}
    # Unlike hash(), CRC-32 is the same in every process.
    return known.get(model, zlib.crc32(model.encode()) % len(_VOICES))


def _joined(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _with_units(head: Row, row: Row) -> Row:
    """Format figures for reading: 6,650 km."""
    cells = zip(head[1:], row[1:], strict=True)
    return (row[0], *(_figure(cell, *name.split("_")[1:]) for name, cell in cells))


def _figure(cell: str, *unit: str) -> str:
    return " ".join([f"{int(cell):,}" if cell.isdigit() else cell, *unit])


def _sentence(rows: Sequence[Row]) -> str:
    return f"{_joined([row[0] for row in rows])}."


def _numbered(rows: Sequence[Row]) -> str:
    return "\n".join(f"{number}. {row[0]}" for number, row in enumerate(rows[::-1], 1))


def _bullets(rows: Sequence[Row]) -> str:
    return "\n".join(f"- **{row[0]}**{''.join(f', {more}' for more in row[1:])}" for row in rows)


def _table(head: Row, rows: Sequence[Row]) -> str:
    first, *others = head
    # The unit is in the cells, so the heading does without it.
    columns = [first.capitalize(), *(name.split("_")[0].capitalize() for name in others)]
    marks = ["---", *("---:" if cell.isascii() and cell[0].isdigit() else "---" for cell in rows[0][1:])]
    bold = ([f"**{name}**", *more] for name, *more in (_with_units(head, row) for row in rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, marks, *bold))


def _thoughtful(rows: Sequence[Row]) -> str:
    named = [f"{row[0]} ({row[1]})" if len(row) > 1 else row[0] for row in rows]
    return f"Let me think: {_joined(named)}."


_VOICES = (_sentence, _numbered, _bullets, _thoughtful)


def capital(ask: Ask) -> str | None:
    """Answer a question about the capital of a country.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Turn
        >>> capital(Ask(model="sandbox", turns=(Turn("user", "Which is the capital of Peru?"),)))
        'The capital of Peru is Lima.'
    """
    found = _CAPITAL.search(ask.last_user_text)
    city = _CAPITALS.get(found[1].lower()) if found else None
    return f"The capital of {found[1].title()} is {city}." if found and city else None


def write_csv(ask: Ask) -> str | None:
    """Return the table that a request asks for, as CSV in a code block."""
    found = rows_for(ask.last_user_text)
    if found is None:
        return None
    lines = "\n".join(",".join(row) for row in found[1])
    return f"```csv\n{lines}\n```"
