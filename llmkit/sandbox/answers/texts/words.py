"""Counts, sorts, reverses and spells words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.texts.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Callable

_LETTER = re.compile(
    r"\b(?:letters? |the |of )?[\"']?([a-z])[\"']?(?:'?s|-?es)?(?: are| do| does| is)?(?: "
    r"there)?(?: occurs?| appears?)?(?: are there)? (?:in|of|does|are|there|occur|appear)\b"
)
_IN_WORD = re.compile(
    r"\b(?:in|of|are in|does|has|have)(?: the)?(?: word| name| text| string| sentence)? "
    r"[\"']?([\w-]+)[\"']?(?: have| contain)?\W*$"
)
_HOW_MANY = re.compile(r"\b(?:how many|count|number of|how often)\b")
_UNITS: tuple[tuple[str, str, Callable[[str], int]], ...] = (
    ("words?", "words", lambda text: len(text.split())),
    ("sentences?", "sentences", lambda text: len(sentences(text))),
    ("vowels?", "vowels", lambda text: sum(char in "aeiou" for char in text.lower())),
    (
        "consonants?",
        "consonants",
        lambda text: sum(char.isalpha() and char not in "aeiou" for char in text.lower()),
    ),
    ("lines?", "lines", lambda text: len(text.splitlines())),
    ("paragraphs?", "paragraphs", lambda text: len([one for one in text.split("\n\n") if one.strip()])),
    ("letters?", "letters", lambda text: sum(map(str.isalpha, text))),
    ("characters?|chars?", "characters", len),
)
_ITEMS = re.compile(r"\s*(?:,|;|\n)\s*(?:and\s+|or\s+)?|\s+and\s+")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_DOWN = re.compile(
    r"\b(?:descending|reverse|z to a|z-a|backwards?|(?:longest|largest|biggest|highest|greatest) (?:first|to)"
    r"|from (?:large|big|high|long)\w* to)\b"
)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_SORT = re.compile(r"\b(?:sort|alphabeti[sz]e|alphabetical(?:ly)?|order|arrange)\b")
_BY_LENGTH = re.compile(r"\bby (?:\w+ )?length\b|\bshortest\b|\blongest\b")
_UNIQUE = re.compile(r"\b(?:duplicates?|dedupe|deduplicate|unique|distinct)\b")
_REVERSE = re.compile(r"\b(?:reverse|backwards?)\b")
_ORDER = re.compile(r"\border\b|\blist\b|\bwords\b|\bitems\b")


def _camel(text: str) -> str:
    first, *rest = re.findall(r"\w+", text.lower()) or [""]
    return str(first) + "".join(word.capitalize() for word in rest)


_CASES: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
    (re.compile(r"\b(?:upper ?case|capital letters|all caps|capitals)\b"), str.upper),
    (re.compile(r"\b(?:lower ?case|small letters)\b"), str.lower),
    (
        re.compile(r"\b(?:title ?case|capitali[sz]e(?: each word)?)\b"),
        lambda text: re.sub(r"\b[a-z]", lambda one: one[0].upper(), text),
    ),
    (re.compile(r"\bsnake ?_?case\b"), lambda text: re.sub(r"\W+", "_", text.lower()).strip("_")),
    (re.compile(r"\bcamel ?case\b"), _camel),
)
_SPELL = re.compile(r"\bspell(?:ed)?(?: out)?\b(?!ing)")
_SPELT = re.compile(
    r"\bspell(?: out)?(?: the)?(?: word| name)? [\"']?([\w-]+)[\"']?\W*$|\bhow (?:do you spell"
    r"|is) [\"']?([\w-]+)[\"']?(?: spelled| spelt)?\W*$"
)
_REVERSED = re.compile(
    r"^(?:reverse|write|spell|say)(?: the)?(?: word| string| text)? [\"']?([\w-]+)[\"']?(?: "
    r"backwards?| reversed)?\W*$"
)
_PARTS = re.compile(r"\b(?:letters?|vowels?|consonants?|characters?)\b")
_PALINDROME = re.compile(r"\bis (?:the word )?[\"']?([\w ]+?)[\"']? a palindrome")
_ANAGRAM = re.compile(r"\bare [\"']?(\w+)[\"']? and [\"']?(\w+)[\"']? anagrams")


def items(text: str) -> list[str]:
    r"""Return the items that a text lists, by lines or by commas.

    Example:
        >>> items("pear, apple and fig"), items("- one\n- two")
        (['pear', 'apple', 'fig'], ['one', 'two'])
    """
    lines = [_BULLET.sub("", line).strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1:
        return lines
    parts = _ITEMS.split(text.strip().rstrip("."))
    return [part.strip() for part in parts if part.strip()] if len(parts) > 1 else text.split()


def about_words(wish: str, text: str) -> Finding | None:
    """Do what a plain wish wants with the words of a text.

    Example:
        >>> about_words("sort these alphabetically", "pear, apple").short
        'apple, pear'
    """
    return _counted(wish, text) or _ordered(wish, text) or _changed(wish, text)


def _counted(wish: str, text: str) -> Finding | None:
    if not _HOW_MANY.search(wish):
        return None
    if letter := _LETTER.search(wish):
        return _letters(letter[1], text)
    for pattern, name, measure in _UNITS:
        if re.search(rf"\b(?:{pattern})\b", wish):
            many = measure(text)
            return Finding(
                text=f"The text has {many:,} {name if many != 1 else name[:-1]}.", short=f"{many:,}"
            )
    return None


def _letters(letter: str, text: str) -> Finding:
    many = text.lower().count(letter)
    where = f"“{text}”" if len(text.split()) == 1 else "the text"
    return Finding(text=f"The letter “{letter}” occurs {_times(many)} in {where}.", short=str(many))


def _times(many: int) -> str:
    return {0: "not once", 1: "once", 2: "twice"}.get(many, f"{many} times")


def _ordered(wish: str, text: str) -> Finding | None:
    listed = items(text)
    if _UNIQUE.search(wish):
        first: dict[str, str] = {}
        for one in listed:
            first.setdefault(one.lower(), one)
        return _list(list(first.values()))
    if not _SORT.search(wish):
        return None
    return _list(_sorted(listed, by_length=bool(_BY_LENGTH.search(wish)), down=bool(_DOWN.search(wish))))


def _sorted(listed: list[str], *, by_length: bool, down: bool) -> list[str]:
    """Return items in order: numbers by value, words by the alphabet or their length."""
    if all(map(_NUMBER.fullmatch, listed)):
        return sorted(listed, key=lambda one: float(one.replace(",", "")), reverse=down)
    return sorted(listed, key=lambda one: (len(one) if by_length else 0, one.lower()), reverse=down)


def _list(names: list[str]) -> Finding:
    return Finding(
        text=", ".join(names), short=", ".join(names), head=("item",), rows=tuple((one,) for one in names)
    )


def _changed(wish: str, text: str) -> Finding | None:
    if _REVERSE.search(wish):
        return _list(items(text)[::-1]) if _ORDER.search(wish) else Finding(text=text[::-1], short=text[::-1])
    if _SPELL.search(wish):
        return Finding(text="-".join(text.upper()), short="-".join(text.upper()))
    for pattern, change in _CASES:
        if pattern.search(wish):
            return Finding(text=change(text), short=change(text))
    return None


def about_word(text: str) -> Finding | None:
    """Answer a plain question about one word in it.

    Example:
        >>> about_word("how many r's are in strawberry?").short
        '3'
    """
    if verdict := _same_letters(text):
        return verdict
    if found := _SPELT.search(text):
        return _changed("spell", found[1] or found[2])
    if found := _REVERSED.search(text):
        return _changed("reverse", found[1])
    word = _IN_WORD.search(text) if _HOW_MANY.search(text) else None
    wish = f"{text[: word.start()].rstrip()} in " if word else ""
    return _counted(wish, word[1]) if word and (_LETTER.search(wish) or _PARTS.search(wish)) else None


def _same_letters(text: str) -> Finding | None:
    """Answer whether a word is a palindrome, or two are anagrams."""
    if found := _PALINDROME.search(text):
        bare = re.sub(r"\W", "", found[1])
        return _verdict(f"“{found[1]}” is", "a palindrome", yes=bare == bare[::-1])
    if found := _ANAGRAM.search(text):
        return _verdict("they are", "anagrams", yes=sorted(found[1]) == sorted(found[2]))
    return None


def _verdict(subject: str, what: str, *, yes: bool) -> Finding:
    text = f"Yes, {subject} {what}." if yes else f"No, {subject} not {what}."
    return Finding(text=text, short="yes" if yes else "no")
