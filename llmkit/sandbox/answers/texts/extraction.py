"""Finds names, addresses, dates, amounts and numbers in a text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.facts.atlas import mentions
from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.wording import plain, words_of

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST = 100_000
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?"
    r"|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
EMAIL = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b")
URL = re.compile(r"\bhttps?://[^\s<>\"')]+[^\s<>\"').,;:]|\bwww\.[^\s<>\"')]+[^\s<>\"').,;:]")
PHONE = re.compile(r"(?<![\w.-])\+?\(?\d{1,4}\)?(?:[ ./-]?\(?\d{2,4}\)?){2,5}(?![\w-])")
DATE = re.compile(
    rf"\b\d{{4}}-\d{{2}}-\d{{2}}\b|\b\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}}\b|\b\d{{1,2}}(?:st|nd"
    rf"|rd|th)?(?: of)? {_MONTH}\.?(?:,? \d{{4}})?\b"
    rf"|\b{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?(?:,? \d{{4}})?\b|\b{_MONTH} \d{{4}}\b"
    r"|\b(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b|\b(?:today|tomorrow|yesterday)\b"
)
TIME = re.compile(
    r"\b\d{1,2}:\d{2}(?::\d{2})?(?: ?[ap]\.?m\.?)?|\b\d{1,2} ?[ap]\.?m\.?(?!\w)|\bnoon\b|\bmidnight\b",
    re.IGNORECASE,
)
MONEY = re.compile(
    r"(?:[$€£¥]|(?:USD|EUR|GBP|CHF)\s?)\s?\d[\d,]*(?:\.\d+)?(?:\s?(?:million|billion|thousand|k|m|bn)\b)?"
    r"|\d[\d,]*(?:\.\d+)?\s?(?:€|£|dollars?|euros?|pounds?|USD|EUR|GBP|CHF|francs?)(?!\w)",
    re.IGNORECASE,
)
PERCENT = re.compile(r"\d+(?:\.\d+)?\s?(?:%|percent|per cent)")
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?(?![\w])")
HASHTAG = re.compile(r"#\w+")
_NAME = re.compile(
    r"\b(?:(?:Dr|Mr|Mrs|Ms|Prof)\.? )?[A-Z][\w'\u2019-]+(?: (?:de|van|von|of|the|del|da|la) "
    r"(?=[A-Z])| [A-Z][\w'\u2019.-]+)*"
)
_NOT_NAMES = words_of(
    "The A An This That These Those It He She We They I You In On At By For From To And But Or If When "
    "While After Before As My Our Your Their His Her Its There Here What Who Where Why How Please Contact "
    "Send Dear Hello Hi Best Regards Thanks Thank Monday Tuesday Wednesday Thursday Friday Saturday "
    "Sunday January February March April May June July August September October November December "
    "Yesterday Today Tomorrow Call Email Also Several New One Two Three Is Are Was Not No Yes All Some "
    "Each Every Many Most Last Next First Then So Meet Meeting Order Invoice Customer Subject Re Note "
    "Both Since With Without During Nobody Somebody Anybody Everybody Someone Anyone Everyone Nothing "
    "Something Everything Anything None Half Another Other Others Such Still Only Even Just Extract Find "
    "List Give Tell Classify Describe Explain Identify Return Get Read Show Summarise Summarize Translate"
)
_PLACES = re.compile(r"\b(?:in|at|to|from|near|of) ((?:[A-Z][\w'\u2019-]+)(?: [A-Z][\w'\u2019-]+)*)")
_PLACE_KINDS = frozenset({"country", "city", "continent", "river", "mountain"})
_COMPANY = re.compile(
    r"\b(?:[A-Z][\w&-]*\s)*[A-Z][\w&-]*\s(?:Inc|Ltd|LLC|GmbH|AG|Corp(?:oration)?|Company|Co"
    r"|Group|Bank|University|Institute)\b\.?"
)


def people(text: str) -> list[str]:
    """Return the names in a text that look like people's: words with capitals, but no common ones.

    Example:
        >>> people("Yesterday Ann Lee met Bob.")
        ['Ann Lee', 'Bob']
    """
    found = []
    for match in _NAME.finditer(DATE.sub(" ", text[:_LONGEST])):
        parts = match[0].split()
        while parts and parts[0] in _NOT_NAMES:
            parts.pop(0)
        name = " ".join(parts).rstrip(".,'\u2019-").removesuffix("'s").removesuffix("\u2019s")
        if len(name) > 1 and not name.isupper() and not _is_place(name):
            found.append(name)
    return list(dict.fromkeys(found))


def _is_place(name: str) -> bool:
    return any(
        one.entry.kind in _PLACE_KINDS and one.phrase == plain(name)
        for same in mentions(plain(name))
        for one in same
    )


def places(text: str) -> list[str]:
    """Return the names after words such as `in` and `to`.

    Example:
        >>> places("She went from Oslo to Rome in May.")
        ['Oslo', 'Rome']
    """
    found = (match[1] for match in _PLACES.finditer(DATE.sub(" ", text[:_LONGEST])))
    return list(dict.fromkeys(name for name in found if name.split()[0] not in _NOT_NAMES))


def _by(pattern: re.Pattern[str]) -> Callable[[str], list[str]]:
    return lambda text: list(dict.fromkeys(found[0].strip() for found in pattern.finditer(text[:_LONGEST])))


KINDS: tuple[tuple[str, str, Callable[[str], list[str]]], ...] = (
    (r"e-?mails?(?: address(?:es)?)?", "email addresses", _by(EMAIL)),
    (r"urls?|links?|web ?(?:sites?|addresses?|pages?)", "links", _by(URL)),
    (r"phone(?: numbers?)?|telephone(?: numbers?)?", "phone numbers", _by(PHONE)),
    (r"dates?|days?(?= mentioned)|deadlines?|when", "dates", _by(DATE)),
    (r"times?(?! series)", "times", _by(TIME)),
    (
        r"(?:dollar |money |monetary )?amounts?(?: of money)?|prices?|costs?|money|sums? of money|how much",
        "amounts",
        _by(MONEY),
    ),
    (r"percent(?:age)?s?", "percentages", _by(PERCENT)),
    (r"numbers?|figures?|digits?", "numbers", _by(NUMBER)),
    (r"hashtags?", "hashtags", _by(HASHTAG)),
    (r"compan(?:y|ies)|organi[sz]ations?", "organisations", _by(_COMPANY)),
    (r"places?|locations?|cit(?:y|ies)|countr(?:y|ies)|towns?|where", "places", places),
    (r"people|persons?|(?:person |people |proper )?names?|who|named entities|entities", "names", people),
)
"""Words that ask for a kind, its name, and what finds it."""

_PATTERNS = tuple((re.compile(rf"\b(?:{pattern})\b"), name, find) for pattern, name, find in KINDS)
_EXTRACT = re.compile(
    r"\b(?:extract|find|list|get|pull|identify|detect|give|show|which|what|who|where|when"
    r"|collect|return|name|how much|read)\b"
)


_NO_KIND = re.compile(r"^\W*(?:please )?name\b|\b(?:this|that) (?:person|man|woman)\b")
"""The order to name something, and the writer: neither asks for the names in a text."""


def extracted(wish: str, text: str) -> Finding | None:
    """Return what a plain wish wants to have out of a text.

    Example:
        >>> extracted("extract the emails", "Write to bob@example.com!").short
        'bob@example.com'
    """
    if not _EXTRACT.search(wish) or _asks_of_text(wish, text):
        return None
    wish = _NO_KIND.sub(" ", wish)
    asked = [(name, find) for pattern, name, find in _PATTERNS if pattern.search(wish)]
    # The numbers of "phone numbers" are those of telephones only.
    asked = [one for one in asked if one[0] != "numbers"] or asked
    if not asked:
        return None
    found = [(name, find(text)) for name, find in asked]
    return _one_kind(*found[0]) if len(found) == 1 else _several_kinds(found)


def _asks_of_text(wish: str, text: str) -> bool:
    """Whether a question asks who does what a sentence of the text says, and not for all names."""
    shared = frozenset(re.findall(r"[a-z]{5,}", wish)) & frozenset(re.findall(r"[a-z]{5,}", plain(text)))
    return wish.startswith("who ") and bool(shared)


def _several_kinds(found: list[tuple[str, list[str]]]) -> Finding:
    parts = [f"{name}: {', '.join(items)}" if items else f"no {name}" for name, items in found]
    return Finding(
        text="\n".join(f"- {part}" for part in parts),
        short="; ".join(parts),
        head=("kind", "found"),
        rows=tuple((name, ", ".join(items) or "none") for name, items in found),
    )


def _one_kind(name: str, items: list[str]) -> Finding:
    if not items:
        return Finding(text=f"There are no {name} in the text.", short="none")
    return Finding(
        text=", ".join(items), short=", ".join(items), head=(name,), rows=tuple((item,) for item in items)
    )
