"""Small problems: sequences, equations, fractions, divisibility, tips, speeds and ages."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.numbers.arithmetic import written
from llmkit.sandbox.answers.numbers.number_words import digits_for_words

if TYPE_CHECKING:
    from collections.abc import Callable

_N = r"(-?\d+(?:\.\d+)?)"
_FEWEST = 3


def _next_value(found: re.Match[str]) -> Finding | None:
    """Go on with an arithmetic, geometric, square or Fibonacci sequence."""
    values = [float(one) for one in re.findall(r"-?\d+(?:\.\d+)?", found[1])]
    if len(values) < _FEWEST:
        return None
    following = next((value for rule in _RULES if (value := rule(values)) is not None), None)
    return None if following is None else _value(following)


def _arithmetic(values: list[float]) -> float | None:
    steps = {b - a for a, b in pairwise(values)}
    return values[-1] + steps.pop() if len(steps) == 1 else None


def _geometric(values: list[float]) -> float | None:
    if 0 in values:
        return None
    ratios = {round(b / a, 9) for a, b in pairwise(values)}
    return values[-1] * values[1] / values[0] if len(ratios) == 1 else None


def _fibonacci(values: list[float]) -> float | None:
    sums = [a + b for a, b in pairwise(values)]
    return sums[-1] if sums[:-1] == values[2:] else None


def _quadratic(values: list[float]) -> float | None:
    steps = [b - a for a, b in pairwise(values)]
    bends = {b - a for a, b in pairwise(steps)}
    return values[-1] + steps[-1] + bends.pop() if len(bends) == 1 and len(steps) > 2 else None


_RULES = (_arithmetic, _geometric, _fibonacci, _quadratic)


def _value(value: float) -> Finding:
    return Finding(text=f"The next number is {written(value)}.", short=written(value))


def _equation(found: re.Match[str]) -> Finding | None:
    """Solve a x + b = c."""
    factor = float(found[1] or 1) if found[1] != "-" else -1.0
    added = float(f"{found[3]}{found[4]}") if found[3] else 0.0
    if not factor:
        return None
    value = (float(found[5]) - added) / factor
    return Finding(text=f"{found[2]} = {written(value)}", short=written(value))


def _fraction(found: re.Match[str]) -> Finding | None:
    if not int(found[2]):
        return None
    value = Fraction(int(found[1]), int(found[2]))
    return Finding(text=f"{found[1]}/{found[2]} = {value}", short=str(value))


def _percentage(found: re.Match[str]) -> Finding | None:
    below = float(found[2]) if found[2] else 1.0
    if not below:
        return None
    value = written(100 * float(found[1]) / below)
    return Finding(text=f"{found[1]}{'/' + found[2] if found[2] else ''} = {value} %", short=f"{value} %")


def _divisible(found: re.Match[str]) -> Finding | None:
    number, by = int(found[1]), int(found[2])
    if not by:
        return None
    rest = number % by
    why = f"{number} = {by} \u00d7 {number // by}" + (f" + {rest}" if rest else "")
    return Finding(text=f"{'No' if rest else 'Yes'}: {why}.", short="no" if rest else "yes")


def _tip(found: re.Match[str]) -> Finding:
    share, amount = float(found[1]), float(found[2])
    tip = amount * share / 100
    return Finding(text=f"The tip is ${tip:,.2f}, and the total ${amount + tip:,.2f}.", short=f"${tip:,.2f}")


def _discount(found: re.Match[str]) -> Finding:
    price, share = (found[1], found[2]) if found[1] else (found[4], found[3])
    paid = f"${float(price) * (1 - float(share) / 100):,.2f}"
    return Finding(text=f"With {share} % off ${float(price):,.2f}, you pay {paid}.", short=paid)


def _speed(found: re.Match[str]) -> Finding | None:
    distance = float(found[1])
    hours = float(found[3]) / {"h": 1, "m": 60, "s": 3600}[found[4][0]]
    if not hours:
        return None
    speed = f"{written(distance / hours)} {found[2]} per hour"
    return Finding(text=f"The average speed is {speed}.", short=speed)


_A_YEAR = {"day": 365, "week": 52, "month": 12, "year": 1}


def _savings(found: re.Match[str]) -> Finding:
    """Return what is saved without interest."""
    times = float(found[3]) * _A_YEAR[found[2]] / _A_YEAR[found[4]]
    total = f"{float(found[1]) * times:,.2f}".removesuffix(".00")
    return Finding(text=f"{written(times)} times {found[1]} is {total}, without interest.", short=total)


def _age(found: re.Match[str]) -> Finding:
    years = int(found[2]) - int(found[1])
    return Finding(text=f"{years} years, after the birthday in {found[2]}.", short=str(years))


def _logarithm(found: re.Match[str]) -> Finding | None:
    base, value = int(found[1]), float(found[2])
    power, reached = 0, 1.0
    while reached < value and base > 1:
        power, reached = power + 1, reached * base
    if reached != value:
        return None
    return Finding(text=f"log{base}({found[2]}) = {power}", short=str(power))


def _roots(found: re.Match[str]) -> Finding:
    value = float(found[2]) ** (2 if found[1] == "square" else 3)
    return Finding(text=f"The {found[1]} of {found[2]} is {written(value)}.", short=written(value))


_PUZZLES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Finding | None]], ...] = tuple(
    (re.compile(pattern), answer)
    for pattern, answer in (
        (
            (
                r"\b(?:next|continue|comes next|what follows|missing)\b[^\d]*((?:-?\d+(?:\.\d+)?[, "
                r"]+){2,}-?\d+(?:\.\d+)?)"
            ),
            _next_value,
        ),
        (r"((?:-?\d+(?:\.\d+)?, ?){2,}-?\d+(?:\.\d+)?)[^\d]*\b(?:next|continue|comes next)\b", _next_value),
        (
            (
                r"(?:^|\b(?:solve|find|for x|x in|if)\b[^\d=]*?)(-?\d*\.?\d*)\*? ?([a-z]) ?(?:([+-]) "
                r"?(\d+(?:\.\d+)?))? ?= ?(-?\d+(?:\.\d+)?)"
            ),
            _equation,
        ),
        (r"\b(?:simplify|reduce|simplest form of)\b[^\d]*(\d+) ?/ ?(\d+)", _fraction),
        (rf"{_N}(?: ?/ ?{_N})? (?:as|in|into|to) (?:a |an )?(?:percentage|percent|%)", _percentage),
        (r"\bis (\d+) (?:evenly )?(?:divisible by|a multiple of) (\d+)", _divisible),
        (
            (
                rf"\${_N}\b.*?\b{_N} ?(?:%|percent) (?:discount|off|reduction)"
                rf"|{_N} ?(?:%|percent) (?:discount |off |reduction )(?:on |of |from )?(?:an? )?\${_N}"
            ),
            _discount,
        ),
        (rf"{_N} ?(?:%|percent) tip (?:on|for|of) (?:a )?\$?{_N}", _tip),
        (
            (
                rf"\b{_N} ?(km|kilometers|kilometres|miles|mi|m) in {_N} (hours?|minutes?|seconds?)\b.*"
                r"\b(?:speed|how fast|km/h|mph)\b"
            ),
            _speed,
        ),
        (
            (
                rf"\bsaves? \$?{_N}(?: dollars| euros)? (?:a|per|each|every) (day|week|month|year)\b.*"
                rf"\b(?:after|in) {_N} (week|month|year)s?\b"
            ),
            _savings,
        ),
        (r"\bborn in (\d{4})\b.*\bin (\d{4})\b", _age),
        (r"\blog ?_?(\d+) ?(?:of|\() ?(\d+)", _logarithm),
        (rf"\bthe (square|cube) of {_N}", _roots),
    )
)


def puzzle(text: str) -> Finding | None:
    """Solve the small problem of a plain question.

    Example:
        >>> puzzle("what comes next: 2, 4, 8, 16?").short
        '32'
    """
    said = digits_for_words(text)
    for pattern, answer in _PUZZLES:
        if (found := pattern.search(said)) and (solved := answer(found)):
            return solved
    return None
