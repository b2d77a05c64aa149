"""Conversions between units, by a table of factors."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.facts.atlas import read
from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.numbers.number_words import NUMBER, as_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TO_CELSIUS: Mapping[str, Callable[[float], float]] = {
    "celsius": lambda value: value,
    "fahrenheit": lambda value: (value - 32) / 1.8,
    "kelvin": lambda value: value - 273.15,
}
_FROM_CELSIUS: Mapping[str, Callable[[float], float]] = {
    "celsius": lambda value: value,
    "fahrenheit": lambda value: value * 1.8 + 32,
    "kelvin": lambda value: value + 273.15,
}
_SIGNS = {"celsius": "°C", "fahrenheit": "°F", "kelvin": "K"}


@cache
def _units() -> dict[str, dict[str, str]]:
    return {name: row for row in read("units") for name in (row["name"], *row["aliases"].split(";")) if name}


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    names = "|".join(sorted(map(re.escape, _units()), key=len, reverse=True))
    unit = rf"(?:degrees? |°\s?)?({names})"
    number = rf"({NUMBER.pattern}|an?|one)"
    joint = r"(?:in|to|into|as|is how many|equals how many|are how many)"
    asks = r"(?:in|make(?: up)?|equals?|are|is|does)"
    return (
        re.compile(rf"{number}\s*{unit}\s+{joint}\s+(?:how many )?{unit}(?=\W*$)"),
        re.compile(
            rf"how (?:many|much)\s+{unit}\s+(?:are |is )?(?:there )?{asks}\s*(?:in )?{number}\s*{unit}"
        ),
    )


def conversion(text: str) -> Finding | None:
    """Convert what a plain question asks for.

    Example:
        >>> conversion("convert 10 miles to km").text
        '10 miles = 16.09 km'
    """
    direct, asked = _patterns()
    if parts := _compound().search(text):
        return _added(*parts.groups())
    if found := direct.search(text):
        amount, source, target = found.groups()
    elif found := asked.search(text):
        target, amount, source = found.groups()
    else:
        return None
    return _converted(1 if amount in {"a", "an", "one"} else as_number(amount), source, target)


@cache
def _compound() -> re.Pattern[str]:
    """Return the pattern of a length or time in two units, such as 5 feet 10 inches."""
    names = "|".join(sorted(map(re.escape, _units()), key=len, reverse=True))
    number = r"(\d+(?:\.\d+)?)"
    return re.compile(
        rf"{number} ?({names}),? (?:and )?{number} ?({names}) (?:in|to|into|as) ({names})(?=\W*$)"
    )


def _added(first: str, big: str, second: str, small: str, target: str) -> Finding | None:
    """Convert a sum of two amounts."""
    units = [_units()[one] for one in (big, small, target)]
    if len({one["measure"] for one in units}) > 1 or units[0]["measure"] == "temperature":
        return None
    factors = [float(one["factor"]) for one in units]
    value = (float(first) * factors[0] + float(second) * factors[1]) / factors[2]
    right = f"{rounded(value)} {_named(target, units[2], value)}"
    return Finding(text=f"{first} {big} {second} {small} = {right}", short=right)


def _converted(amount: float, source: str, target: str) -> Finding | None:
    first, second = _units()[source], _units()[target]
    if first["measure"] != second["measure"]:
        return None
    if first["measure"] == "temperature":
        value = _FROM_CELSIUS[second["name"]](_TO_CELSIUS[first["name"]](amount))
    else:
        value = amount * float(first["factor"]) / float(second["factor"])
    left, right = (
        f"{rounded(one)} {_named(unit, row, one)}"
        for one, unit, row in ((amount, source, first), (value, target, second))
    )
    return Finding(text=f"{left} = {right}", short=right)


def _named(unit: str, row: dict[str, str], amount: float) -> str:
    """Return a unit in the form that was asked for: a sign stays, a word agrees with its number."""
    if row["measure"] == "temperature":
        return _SIGNS[row["name"]]
    if unit not in {row["name"], row["plural"]}:
        return unit
    return row["name"] if amount == 1 else row["plural"]


def rounded(value: float) -> str:
    """Return a number with four digits, or all of a whole number.

    Example:
        >>> rounded(16.09344), rounded(86400.0), rounded(0.000123456)
        ('16.09', '86,400', '0.0001235')
    """
    if abs(value - round(value)) < 1e-9 * max(1, abs(value)):
        return f"{round(value):,}"
    return f"{value:,.2f}" if abs(value) >= 10 else f"{value:.4g}"
