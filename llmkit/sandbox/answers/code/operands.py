"""Corrects operations whose operands do not fit: a division by zero, a text plus a number."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIVISIONS = (ast.Div, ast.FloorDiv, ast.Mod)


def caught(source: str) -> tuple[str, str] | None:
    """Return code whose divisions are checked first; `None` if it has none, or cannot be read.

    Example:
        >>> print(caught("mean = total / count")[1])
        mean = (total / count if count else float("nan"))
    """
    found = [node for node in _operations(source) if isinstance(node.op, _DIVISIONS)]
    if any(_is_zero(node.right) for node in found):
        body = "\n".join(f"    {line}" for line in source.split("\n"))
        said = "Nothing can be divided by zero, so the code now catches that error."
        return said, f'try:\n{body}\nexcept ZeroDivisionError:\n    print("The divisor is zero.")'
    node = next((one for one in found if not isinstance(one.right, ast.Constant)), None)
    if node is None or not (whole := ast.get_source_segment(source, node)):
        return None
    divisor = ast.get_source_segment(source, node.right)
    said = f"`{divisor}` may be zero: the result is then nan, which means that there is none."
    return said, source.replace(whole, f'({whole} if {divisor} else float("nan"))', 1)


def concatenated(source: str) -> tuple[str, str] | None:
    """Return code that makes a text of what is added to a text; `None` if there is no such place.

    Example:
        >>> print(concatenated('print("n = " + n)')[1])
        print("n = " + str(n))
    """
    for node in _operations(source):
        if isinstance(node.op, ast.Add) and _is_text(node.left) and not _is_text(node.right):
            added = ast.get_source_segment(source, node.right)
            whole = ast.get_source_segment(source, node)
            if added and whole:
                said = f"`{added}` is not a text: `str()` makes one of it."
                fixed = f"{whole.removesuffix(added)}str({added})"
                return said, source.replace(whole, fixed, 1)
    return None


def _operations(source: str) -> Iterator[ast.BinOp]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.BinOp))


def _is_zero(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0 and not isinstance(node.value, bool)


def _is_text(node: ast.expr) -> bool:
    """Whether an expression is surely a text: a literal, or a sum that ends with one."""
    if isinstance(node, ast.BinOp):
        return _is_text(node.right) or _is_text(node.left)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
