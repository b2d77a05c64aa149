"""Values of facts as people write them: numbers with commas and units, dates, years before Christ."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.wording import capitalised, joined

if TYPE_CHECKING:
    from llmkit.sandbox.answers.facts.atlas import Entry

_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
_MONTH = re.compile(r"(\d{4})-(\d{2})")
_BILLIONS = re.compile(r"\b(\d+),(\d\d)0 million")
_DATES = frozenset({"born", "died", "begin", "end"})
_LISTS = frozenset({"borders", "countries"})
_YEARS = frozenset({"year", "founded", "first_climbed"})
_WITH_ARTICLE = {
    "river": re.compile(""),
    "desert": re.compile(""),
    "country": re.compile(r"United|Netherlands|Philippines|\w+ Republic|Democratic"),
    "work": re.compile(
        r"telephone|light bulb|printing|steam|airplane|World Wide|radio$|Mona Lisa|Sunflowers"
        r"|Sistine|theory|periodic|DNA|Eiffel"
        r"|Brandenburg|Ninth|Fifth"
    ),
}


def figure(text: str) -> str:
    """Return a number with commas; another text as it is.

    Example:
        >>> figure("6650"), figure("4.87e24"), figure("lime")
        ('6,650', '4.87e24', 'lime')
    """
    return f"{int(text):,}" if text.lstrip("-").isdigit() else text


def day(text: str) -> str:
    """Return a day or year after `on` or `in`.

    Example:
        >>> day("1912-06-23"), day("-44"), day("1770-12")
        ('on 23 June 1912', 'in 44 BC', 'in December 1770')
    """
    if found := _DAY.fullmatch(text):
        made = date(*map(int, found.groups()))
        return f"on {made.day} {made:%B %Y}"
    if found := _MONTH.fullmatch(text):
        return f"in {date(int(found[1]), int(found[2]), 1):%B %Y}"
    return f"in {year(text)}"


def year(text: str) -> str:
    """Return a year; a negative one is before Christ.

    Example:
        >>> year("-753"), year("1066")
        ('753 BC', '1066')
    """
    return f"{text[1:]} BC" if text.startswith("-") else text


def shown(entry: Entry, key: str) -> str:
    """Return a value of an entry for a sentence."""
    text = entry.values[key]
    if key in _LISTS:
        return joined(text.split(", "))
    if key in _DATES and entry.kind in {"person", "event"}:
        return day(text)
    return year(text) if key in _YEARS else figure(text)


def filled(form: str, entry: Entry, value: str = "") -> str:
    """Return a sentence about an entry.

    Example:
        >>> from llmkit.sandbox.answers.facts.atlas import Entry
        >>> filled("{name} is {height} m high.", Entry("mountain", {"name": "K2", "height": "8611"}))
        'K2 is 8,611 m high.'
    """
    shown_values = {key: shown(entry, key) if text else "" for key, text in entry.values.items()}
    if country := shown_values.get("country"):
        shown_values["country"] = placed(country)
    value = placed(value) if "in {value}" in form else value
    said = form.format(**{**shown_values, "name": named(entry), "value": value})
    said = _BILLIONS.sub(r"\1.\2 billion", said.replace(" in .", ".").replace(" of :", ":"))
    return capitalised(said)


def placed(country: str) -> str:
    """Return the name of a country as it stands behind `in`.

    Example:
        >>> placed("United States"), placed("Peru")
        ('the United States', 'Peru')
    """
    return f"the {country}" if _WITH_ARTICLE["country"].match(country) else country


def named(entry: Entry) -> str:
    """Return a name as it stands within a sentence: `the Netherlands`, `Peru`."""
    if entry.kind == "ocean":
        return f"the {entry.name} Ocean"
    pattern = _WITH_ARTICLE.get(entry.kind)
    return f"the {entry.name}" if pattern and pattern.match(entry.name) else entry.name
