"""What a short loop over numbers prints: computed from its syntax tree, never run."""

from __future__ import annotations

import ast
import operator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_MOST = 10
_LARGEST = 10**6
_HIGHEST_POWER = 6


def printed(tree: ast.Module) -> list[str] | None:
    """Return the lines that one short `for` loop over a `range` prints; `None` for other code.

    Example:
        >>> printed(ast.parse("for i in range(3): print(i**2)"))
        ['0', '1', '4']
    """
    match tree.body:
        case [
            ast.For(
                target=ast.Name(id=name),
                iter=ast.Call(func=ast.Name(id="range"), args=bounds, keywords=[]),
                body=[
                    ast.Expr(value=ast.Call(func=ast.Name(id="print"), args=[shown], keywords=[])),
                ],
                orelse=[],
            )
        ]:
            return _lines(name, bounds, shown)
    return None


def _lines(name: str, bounds: list[ast.expr], shown: ast.expr) -> list[str] | None:
    try:
        numbers = range(*(_value(one, {}) for one in bounds))
        return [str(_value(shown, {name: n})) for n in numbers] if len(numbers) <= _MOST else None
    except (ValueError, TypeError, ZeroDivisionError, OverflowError):
        return None


def _value(node: ast.expr, names: dict[str, int]) -> int:
    """Compute an expression of whole numbers."""
    match node:
        case ast.Constant(value=int(value)) if abs(value) <= _LARGEST and not isinstance(value, bool):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner, names)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            return _computed(type(sign), _value(left, names), _value(right, names))
    raise ValueError("not an expression of whole numbers")


def _computed(sign: type[ast.operator], left: int, right: int) -> int:
    if abs(left) > _LARGEST or (sign is ast.Pow and not 0 <= right <= _HIGHEST_POWER):
        raise ValueError("too large")
    return _OPERATORS[sign](left, right)
