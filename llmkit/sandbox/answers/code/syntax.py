"""Corrects simple errors of syntax: a missing colon, bracket, quote or indent, `print` of Python 2."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PRINT = re.compile(r"^(\s*)print (.+)$")
_ASSIGNED = re.compile(r"(?<![=!<>])=(?!=)")
_COMPOUND = re.compile(r"\s*(?:for|while|if|elif|else|def|class|with|try|except)\b")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def corrected(source: str) -> tuple[str, str] | None:
    r"""Return what was wrong, and code that can be parsed; `None` if no simple change makes it so.

    Args:
        source: The code.

    Returns:
        A sentence and the corrected code.

    Example:
        >>> corrected("if x > 1\n    print(x)")
        ('Line 1 needs a colon at its end.', 'if x > 1:\n    print(x)')
    """
    try:
        ast.parse(source)
    except SyntaxError as error:
        return _repaired(source, error)
    except ValueError:
        return None
    return None


def _repaired(source: str, error: SyntaxError) -> tuple[str, str] | None:
    lines = source.split("\n")
    places = [
        place for place in ((error.lineno or 1) - 1, (error.lineno or 1) - 2) if 0 <= place < len(lines)
    ]
    for place in places:
        for said, line in _changes(lines, place):
            code = "\n".join([*lines[:place], line, *lines[place + 1 :]])
            if _is_valid(code):
                return said.format(place + 1), code
    return None


def _is_valid(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return True


def _changes(lines: list[str], place: int) -> Iterator[tuple[str, str]]:
    """Yield changes of a line that may mend it, with what each says."""
    line = lines[place]
    bare = line.rstrip()
    yield "Line {0} needs a colon at its end.", f"{bare}:"
    yield from _with_colon(bare)
    for opening, closing in _CLOSING.items():
        missing = bare.count(opening) - bare.count(closing)
        if missing > 0:
            yield f"Line {{0}} lacks a `{closing}`.", bare + closing * missing
            yield f"Line {{0}} lacks a `{closing}`.", bare.removesuffix(":") + closing * missing + ":"
        if missing < 0:
            yield f"Line {{0}} has a `{closing}` too many.", bare[::-1].replace(closing, "", -missing)[::-1]
    for quote in "\"'":
        if bare.count(quote) % 2:
            yield "Line {0} has a text without its second quotation mark.", _quoted(bare, quote)
    if found := _PRINT.match(line):
        yield "In Python 3, `print` needs parentheses (line {0}).", f"{found[1]}print({found[2]})"
    yield "Line {0} compares with `==`, not `=`.", _ASSIGNED.sub("==", line)
    yield "Line {0} must be indented.", f"    {line}"
    yield "Line {0} must not be indented.", line.lstrip()


def _with_colon(line: str) -> Iterator[tuple[str, str]]:
    """Yield a compound statement that is followed by its body on the same line, with the body below it."""
    if _COMPOUND.match(line) is None:
        return
    indent = line[: len(line) - len(line.lstrip())]
    for gap in re.finditer(r"(?<=[\w)\]}'\"]) +(?=\w)", line):
        head, body = line[: gap.start()], line[gap.end() :]
        last = head.split()[-1].replace("{", "{{").replace("}", "}}")
        yield f"Line {{0}} needs a colon after `{last}`.", f"{head}:\n{indent}    {body}"


def _quoted(line: str, quote: str) -> str:
    return f"{line[:-1]}{quote}{line[-1]}" if line.endswith((")", "]", ":")) else line + quote
