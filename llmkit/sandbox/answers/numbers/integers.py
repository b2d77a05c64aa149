"""Properties of whole numbers: primes, divisors, other bases, Roman numerals, Fibonacci."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.numbers.number_words import digits_for_words
from llmkit.sandbox.answers.wording import joined

if TYPE_CHECKING:
    from collections.abc import Callable

_N = r"(\d{1,12})"
_BASES = {"hex": (16, "x"), "hexadecimal": (16, "x"), "binary": (2, "b"), "octal": (8, "o")}
_ROMAN = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
    (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip
_HIGHEST_ROMAN = 3999
_MOST = 50


def factors(number: int) -> list[int]:
    """Return the prime factors of a number.

    Example:
        >>> factors(60)
        [2, 2, 3, 5]
    """
    found, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            found.append(divisor)
            number //= divisor
        divisor += 1
    return [*found, number] if number > 1 else found


def roman(number: int) -> str:
    """Return a number in Roman numerals.

    Example:
        >>> roman(49)
        'XLIX'
    """
    text = ""
    for value, sign in _ROMAN:
        text += sign * (number // value)
        number %= value
    return text


def _product(parts: list[int]) -> str:
    return " \u00d7 ".join(map(str, parts))


def _is_prime(found: re.Match[str]) -> Finding:
    number = int(found[1])
    parts = factors(number)
    if len(parts) == 1:
        return Finding(text=f"Yes, {number} is a prime number.", short="yes")
    why = f": {number} = {_product(parts)}" if parts else ""
    return Finding(text=f"No, {number} is not a prime number{why}.", short="no")


def _parity(found: re.Match[str]) -> Finding:
    number, asked = int(found[1]), found[2]
    actual = "even" if number % 2 == 0 else "odd"
    return Finding(
        text=f"{'Yes' if asked == actual else 'No'}, {number} is {actual}.",
        short="yes" if asked == actual else "no",
    )


def _prime_factors(found: re.Match[str]) -> Finding:
    parts = factors(int(found[1]))
    return Finding(text=f"{found[1]} = {_product(parts)}", short=", ".join(map(str, parts)))


def _divisors(found: re.Match[str]) -> Finding | None:
    number = int(found[1])
    if number > 10**6 or not number:
        return None
    names = [str(one) for one in range(1, number + 1) if number % one == 0]
    return Finding(
        text=f"The factors of {number} are {joined(names)}.",
        short=", ".join(names),
        head=("factor",),
        rows=tuple((one,) for one in names),
    )


def _common(found: re.Match[str]) -> Finding:
    first, second = int(found[2]), int(found[3])
    greatest = bool(re.match(r"g|h", found[1]))
    value = math.gcd(first, second) if greatest else math.lcm(first, second)
    name = "greatest common divisor" if greatest else "least common multiple"
    return Finding(text=f"The {name} of {first} and {second} is {value}.", short=str(value))


def _in_base(found: re.Match[str]) -> Finding:
    base, form = _BASES[found[2]]
    text = f"{int(found[1]):{form}}".upper() if base == 16 else f"{int(found[1]):{form}}"
    name = "hexadecimal" if found[2] == "hex" else found[2]
    return Finding(text=f"{found[1]} in {name} is {text}.", short=text)


def _from_base(found: re.Match[str]) -> Finding | None:
    base, _ = _BASES[found[1]]
    digits = found[2]
    try:
        value = int(digits, base)
    except ValueError:
        return None
    return Finding(text=f"{digits} in decimal is {value}.", short=str(value))


def _as_roman(found: re.Match[str]) -> Finding | None:
    number = int(found[1] or found[2])
    if not 0 < number <= _HIGHEST_ROMAN:
        return None
    return Finding(text=f"{number} in Roman numerals is {roman(number)}.", short=roman(number))


def _fibonacci(found: re.Match[str]) -> Finding:
    many = min(int(found[1]), _MOST)
    numbers = [0, 1]
    while len(numbers) < many:
        numbers.append(numbers[-1] + numbers[-2])
    return _sequence(f"first {many} Fibonacci numbers", numbers[:many])


def _first_primes(found: re.Match[str]) -> Finding:
    many = min(int(found[1]), _MOST)
    numbers = [one for one in range(2, 250) if len(factors(one)) == 1][:many]
    return _sequence(f"first {len(numbers)} prime numbers", numbers)


def _below(found: re.Match[str]) -> Finding | None:
    limit = int(found[1])
    numbers = [one for one in range(2, min(limit, 250)) if len(factors(one)) == 1]
    return _sequence(f"prime numbers below {limit}", numbers) if limit <= 250 else None


def _sequence(name: str, numbers: list[int]) -> Finding:
    names = [str(one) for one in numbers]
    return Finding(
        text=f"The {name} are {joined(names)}.",
        short=", ".join(names),
        head=("number",),
        rows=tuple((one,) for one in names),
    )


def _prefixed(found: re.Match[str]) -> Finding | None:
    try:
        value = int(found[1], 0)
    except ValueError:
        return None
    return Finding(text=f"{found[1]} in decimal is {value}.", short=str(value))


_QUESTIONS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Finding | None]], ...] = tuple(
    (re.compile(pattern), answer)
    for pattern, answer in (
        (rf"^is (?:the number )?{_N} (?:a )?prime(?: number)?\W*$", _is_prime),
        (rf"^is (?:the number )?{_N} (?:an )?(even|odd)(?: number)?(?: or (?:even|odd))?\W*$", _parity),
        (rf"\bprime factor(?:s|i[sz]ation)? of {_N}\W*$", _prime_factors),
        (rf"^factor(?:i[sz]e)? {_N}\W*$", _prime_factors),
        (rf"\b(?:factors|divisors) of {_N}\W*$", _divisors),
        (
            (
                rf"\b(gcd|greatest common divisor|greatest common factor|hcf|lcm|least common multiple) "
                rf"(?:of )?{_N} and {_N}"
            ),
            _common,
        ),
        (rf"\b{_N} (?:in|to|into|as) (hex|hexadecimal|binary|octal)\b", _in_base),
        (
            (
                r"\b(?:(hex|hexadecimal|binary|octal)(?: number)? (?:0[xbo])?([0-9a-f]+)) (?:in|to|into"
                r"|as) (?:decimal|base 10)"
            ),
            _from_base,
        ),
        (rf"\b(?:roman numerals?|roman) (?:for|of) {_N}|\b{_N} (?:in|to|as|into) (?:a )?roman", _as_roman),
        (r"\b(0[xbo][0-9a-f]+) (?:in|to|into|as) (?:decimal|base 10)", _prefixed),
        (rf"\bfirst {_N} fibonacci", _fibonacci),
        (rf"\bfirst {_N} primes?\b", _first_primes),
        (rf"\bprimes?(?: numbers)? (?:below|under|less than|up to|smaller than) {_N}", _below),
    )
)


def about_integer(text: str) -> Finding | None:
    """Answer a plain question about a whole number.

    Example:
        >>> about_integer("is 91 prime?").short
        'no'
    """
    said = digits_for_words(text)
    for pattern, answer in _QUESTIONS:
        if found := pattern.search(said):
            return answer(found)
    return None
