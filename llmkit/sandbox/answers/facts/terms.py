"""Questions that terms, single facts and opposites answer: all their telling words are those of one entry."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.facts.atlas import read
from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.wording import capitalised, plain, stem, telling, words

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 300
_COMPARED = re.compile(
    r"\b(?:differences?|differ|different|vs\.?|versus|compare|compared|comparison|better)\b"
)
_BETWEEN = re.compile(
    r"\b(?:between|compare|compared|is|are|of)?\s*(?:an? |the )?(.+?)\s+(?:and|or|vs\.?|versus"
    r"|with|to|from)\s+(?:an? |the )?(.+?)[?.!]*$"
)
_OPPOSITE = re.compile(r"\b(?:opposite|antonym|contrary) (?:of |to |for )?(?:the word )?[\"']?(\w+)")
_SINGLE = frozenset(
    {"class", "mean", "mode", "set", "map", "range", "type", "join", "first", "second", "r", "c"}
)
_LEADING = re.compile(
    r"^(?:what(?:'s| is| are| does| do)|define|explain|describe|tell me about|how (?:does|do"
    r"|is|are)|why (?:does|do|is|are))\b"
)


@cache
def _terms() -> dict[frozenset[str], dict[str, str]]:
    return {key: row for row in read("terms") for key in _keys(row)}


@cache
def _quantities() -> dict[frozenset[str], dict[str, str]]:
    return {
        frozenset(map(stem, words(plain(alias)))): row
        for row in read("quantities")
        for alias in row["aliases"].split(";")
    }


@cache
def _opposites() -> dict[str, str]:
    pairs = [(row["name"], row["opposite"]) for row in read("opposites")]
    return {right: left for left, right in pairs} | dict(pairs)


def _keys(row: dict[str, str]) -> Iterator[frozenset[str]]:
    for name in filter(None, (row["name"], *row["aliases"].split(";"))):
        all_words = frozenset(map(stem, words(plain(name))))
        yield telling(plain(name)) or all_words


def term(text: str) -> Finding | None:
    """Explain the term that a plain question is about.

    Example:
        >>> term("what is a p-value?").title
        'p-value'
    """
    key = telling(text[:_LONGEST])
    row = _terms().get(key or _named_only(text))
    return None if row is None else _explained(row)


def _named_only(text: str) -> frozenset[str]:
    """Return the words of a term that is otherwise a common word, such as `mean` in `what is the mean?`."""
    if not _LEADING.search(text):
        return frozenset()
    return frozenset(word for word in map(stem, words(text)) if word in _SINGLE)


def _explained(row: dict[str, str]) -> Finding:
    sentence = row["sentence"]
    return Finding(text=sentence, more=row["more"], simple=row["simple"], title=row["name"])


def contrast(text: str) -> Finding | None:
    """Compare two terms in which a plain question wants to see the difference.

    Example:
        >>> contrast("what is the difference between a list and a tuple?").title
        'list and tuple'
    """
    if not _COMPARED.search(text):
        return None
    if (both := term(_COMPARED.sub(" ", text))) is not None:
        return both
    found = _BETWEEN.search(re.sub(r"^.*?\b(?:between|compare|is|are)\b", "", text))
    first, second = (term(found[1]), term(found[2])) if found else (None, None)
    if first is None or second is None:
        return None
    return Finding(
        text=f"{first.text} {second.text}",
        title=f"{first.title} and {second.title}",
        head=("term", "meaning"),
        rows=((capitalised(first.title), first.text), (capitalised(second.title), second.text)),
    )


def quantity(text: str) -> Finding | None:
    """Answer a plain question with a single fact.

    Example:
        >>> quantity("how fast is light?").short
        '299,792,458 m/s'
    """
    said = frozenset(map(stem, words(text[:_LONGEST])))
    about = telling(text[:_LONGEST])
    best = [key for key in _quantities() if about <= key <= said and about]
    if not best:
        return None
    row = _quantities()[max(best, key=len)]
    return Finding(text=row["sentence"], short=row["short"], title=row["name"])


def opposite(text: str) -> Finding | None:
    """Answer with the opposite of a word.

    Example:
        >>> opposite("what is the opposite of hot?").short
        'cold'
    """
    found = _OPPOSITE.search(text)
    other = _opposites().get(found[1]) if found else None
    return (
        Finding(text=f"The opposite of “{found[1]}” is “{other}”.", short=other) if found and other else None
    )
