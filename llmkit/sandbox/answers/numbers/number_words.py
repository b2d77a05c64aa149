"""Numbers in words: `three`, `twenty-five`, `third`."""

from __future__ import annotations

import re

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_ORDINALS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
_VALUES = {word: value for value, word in enumerate(_UNITS)} | {
    word: 10 * value for value, word in enumerate(_TENS, 2)
}
_SINGLE = "|".join([*_UNITS[::-1], *_TENS])
_SPELT = rf"(?:(?:{_SINGLE})(?:[- ](?:{_SINGLE}))?)(?:[- ](?:{'|'.join(_SCALES)}))*"
SMALL = tuple(_UNITS[1:11])
"""The words for one to ten."""

NUMBER = re.compile(
    rf"(?<![\w.])(?:-?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?(?!\w)|(?:{_SPELT})\b|a (?:couple|few|dozen)\b)"
)
"""A number in digits or words, in plain text."""


def as_number(text: str) -> float:
    """Return the value of a number that `NUMBER` finds; a few are three.

    Example:
        >>> as_number("twenty-five"), as_number("1,250.5"), as_number("two hundred")
        (25, 1250.5, 200)
    """
    bare = text.replace(",", "")
    if re.fullmatch(r"-?\d+", bare):
        return int(bare)
    if re.match(r"-?\d", bare):
        return float(bare)
    if bare.startswith("a "):
        return {"couple": 2, "few": 3, "dozen": 12}[bare[2:]]
    return _spelt(re.split(r"[- ]", bare))


def _spelt(parts: list[str]) -> int:
    total = 0
    for part in parts:
        total = total * _SCALES[part] if part in _SCALES else total + _VALUES[part]
    return total


def ordinal(text: str) -> int:
    """Return the place that an ordinal names.

    Example:
        >>> ordinal("second"), ordinal("3rd")
        (2, 3)
    """
    return int(text[0]) if text[0].isdigit() else _ORDINALS.index(text) + 1


def digits_for_words(text: str) -> str:
    """Write the numbers of a plain text in digits.

    Example:
        >>> digits_for_words("seven times eight")
        '7 times 8'
    """
    return NUMBER.sub(lambda found: f"{as_number(found[0]):.15g}", text)
