"""Arithmetic in digits and words, by Python's own grammar but without running anything."""

from __future__ import annotations

import ast
import math
import operator
import re
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.numbers.number_words import digits_for_words
from llmkit.sandbox.answers.wording import plain

if TYPE_CHECKING:
    from collections.abc import Callable

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "sqrt": math.sqrt,
    "cbrt": math.cbrt,
    "factorial": lambda n: (
        float(math.factorial(int(n))) if n == int(n) and 0 <= n <= _HIGHEST_FACTORIAL else math.nan
    ),
    "log": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "exp": math.exp,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "abs": abs,
    "round": round,
}
_CONSTANTS = {"pi": math.pi, "e": math.e}
_HIGHEST_FACTORIAL = 150
_HIGHEST_POWER = 1000
_LONGEST = 200
_N = r"(-?\d[\d.]*)"
_PHRASES = tuple(
    (re.compile(pattern), result)
    for pattern, result in (
        (r"(?<=\d),(?=\d{3}(?!\d))", ""),
        (rf"{_N}\s*(?:%|percent|per cent) off(?: of)? \$?{_N}", r"(\2 * (1 - \1 / 100))"),
        (rf"{_N}\s*(?:%|percent|per cent) of \$?{_N}", r"(\1 / 100 * \2)"),
        (rf"what (?:percent|percentage|%) (?:of {_N} is {_N})", r"(\2 / \1 * 100)"),
        (rf"{_N} is what (?:percent|percentage|%) of {_N}", r"(\1 / \2 * 100)"),
        (rf"increase {_N} by {_N}\s*(?:%|percent)", r"(\1 * (1 + \2 / 100))"),
        (rf"(?:decrease|reduce) {_N} by {_N}\s*(?:%|percent)", r"(\1 * (1 - \2 / 100))"),
        (rf"{_N} (?:more|plus) {_N}\s*(?:%|percent)", r"(\1 * (1 + \2 / 100))"),
        (rf"(?:the )?square root of {_N}", r"sqrt(\1)"),
        (rf"√\s*{_N}", r"sqrt(\1)"),
        (rf"(?:the )?(?:cube|cubic|third) root of {_N}", r"cbrt(\1)"),
        (rf"(?:the )?factorial of {_N}", r"factorial(\1)"),
        (rf"{_N} factorial", r"factorial(\1)"),
        (rf"{_N}!", r"factorial(\1)"),
        (rf"(?:the )?sum of {_N} and {_N}", r"(\1 + \2)"),
        (rf"add {_N} (?:and|to) {_N}", r"(\1 + \2)"),
        (rf"(?:the )?product of {_N} and {_N}", r"(\1 * \2)"),
        (rf"multiply {_N} (?:and|by|with) {_N}", r"(\1 * \2)"),
        (rf"(?:the )?difference (?:between|of) {_N} and {_N}", r"(\1 - \2)"),
        (rf"subtract {_N} from {_N}", r"(\2 - \1)"),
        (rf"divide {_N} (?:by|into) {_N}", r"(\1 / \2)"),
        (rf"(?:the )?remainder (?:of|when) {_N} (?:is )?divided by {_N}", r"(\1 % \2)"),
        (
            (
                rf"{_N} (?:to the power of|to the power|raised to(?: the power of)?|to the) {_N}(?:th|nd|rd"
                rf"|st)?(?: power)?"
            ),
            r"\1 ** \2",
        ),
        (rf"{_N} squared", r"\1 ** 2"),
        (rf"{_N} cubed", r"\1 ** 3"),
        (rf"(?:the )?(?:double|twice)(?: of)? {_N}", r"(2 * \1)"),
        (rf"(?:the )?half of {_N}", r"(\1 / 2)"),
        (rf"(?:a |one )?third of {_N}", r"(\1 / 3)"),
        (rf"(?:a |one )?quarter of {_N}", r"(\1 / 4)"),
        (r"\b(?:plus|added to)\b", "+"),
        (r"\b(?:minus|less|take away)\b", "-"),
        (r"\b(?:times|multiplied by)\b|[\u00d7·]|(?<=\d)\s*x\s*(?=\d)", "*"),
        (r"\b(?:divided by|over)\b|÷", "/"),
        (r"\b(?:mod|modulo)\b", "%"),
        (r"\^", "**"),
        (r"²", "**2"),
        (r"³", "**3"),
        ("\u2212", "-"),
        (r"(?<=\d)\s*%(?!\s*[\d(])", " / 100"),
    )
)
_ASKED = re.compile(
    r"^(?:what(?:'s| is| does| do)?|how much (?:is|are)|how many (?:is|are)|calculate|compute"
    r"|evaluate|solve|work out|the|result of"
    r"|value of|answer (?:to|of)|tell me|give me|find|please|and|so|equals?|get|when you|if "
    r"you|do you get when you|can you)\b[:,]?\s*"
)
_END = re.compile(r"\s*(?:=|\?|\.|!|equals?|is|please|in total|be|make)+\s*$")
_EXPRESSION = re.compile(r"[\d\s.+\-*/%()a-z0-9,]+")
_NO_VALUE = "has no value"


def evaluate(expression: str) -> float:
    """Return the value of an expression of numbers, operators and a few functions.

    Args:
        expression: The expression in Python's notation.

    Returns:
        Its value.

    Raises:
        ValueError: If it is anything else, or has no value.

    Example:
        >>> evaluate("(3 + 4) * 5 - 6")
        29
    """
    try:
        return _value(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, OverflowError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(str(error)) from None


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=inner):
            return -_value(inner) if isinstance(sign, ast.USub) else _value(inner)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _combined(type(sign), _value(left), _value(right))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](*map(_value, args))
    raise ValueError("It is no arithmetic.")


def _combined(sign: type[ast.operator], left: float, right: float) -> float:
    if sign is ast.Pow and (abs(right) > _HIGHEST_POWER or abs(left) > 10**6):
        raise ValueError("The power is too large.")
    if sign in {ast.Div, ast.Mod, ast.FloorDiv} and right == 0:
        raise ZeroDivisionError
    result = _OPERATORS[sign](left, right)
    if isinstance(result, complex):
        raise ValueError("It has no real value.")  # noqa: TRY004 - it is the value that is wrong
    return result


def written(value: float) -> str:
    """Return a number as people write it.

    Example:
        >>> written(1234567), written(0.1 + 0.2), written(2.0)
        ('1234567', '0.3', '2')
    """
    if isinstance(value, int) or (value == int(value) and abs(value) < 10**15):
        return str(int(value))
    return f"{value:.10g}"


def in_symbols(text: str) -> str:
    """Return a question about arithmetic as an expression; other texts come back nearly unchanged.

    Example:
        >>> in_symbols("what is seven plus 15% of 240?")
        '7 + (15 / 100 * 240)'
    """
    said, before = digits_for_words(text.strip()), ""
    while said != before:
        before, said = said, _ASKED.sub("", said)
    said = _END.sub("", said)
    for pattern, result in _PHRASES:
        said = pattern.sub(result, said)
    return said.strip()


def arithmetic(text: str) -> Finding | None:
    """Compute what a plain question asks for.

    Example:
        >>> arithmetic("what is 6 * 7?").text
        '6 * 7 = 42'
    """
    if len(text) > _LONGEST or not any(char.isdigit() for char in digits_for_words(text)):
        return None
    said = in_symbols(text)
    if not _EXPRESSION.fullmatch(said) or not re.search(r"[-+*/%(]", said):
        return None
    try:
        value = evaluate(said)
    except ZeroDivisionError:
        return Finding(text=f"{_shown(text)} {_NO_VALUE}: nothing can be divided by zero.", short=_NO_VALUE)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return Finding(text=f"{_shown(text)} = {written(value)}", short=written(value))


def _shown(text: str) -> str:
    """Return the expression as it was asked."""
    said, before = plain(text).strip(), ""
    while said != before:
        before, said = said, _ASKED.sub("", said)
    return _END.sub("", said).strip()
