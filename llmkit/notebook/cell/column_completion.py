"""Completions of column names in calls over tables: `df.llm.map("Summarise: {{te`, `df.llm.classify("te`.

The frame is looked up by its name; nothing is evaluated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VERBS = "a?(?:map|extract|classify|filter|score|decide)"

_METHOD = re.compile(rf"(?<![\w.\])])(?P<frame>[^\W\d]\w*)\.llm\.{VERBS}\s*\Z")
_FUNCTION = re.compile(rf"(?<!\w)frames\.{VERBS}\s*\Z")
_PLAIN_NAME = re.compile(r"\s*(?:frame\s*=\s*)?(?P<frame>[^\W\d]\w*)\s*\Z")
_SLOT = re.compile(r"\{\{\s*(?P<name>[^{}\n]*)\Z")
_TOKEN = re.compile(
    r"""\#[^\n]*|(?P<string>(?<!\w)(?:[rRbBuUfF]{1,2})?(?P<quote>\"{3}|'{3}|"|'))|(?P<mark>[()\[\]{},])"""
)


@dataclass(slots=True)
class _Bracket:
    """An open bracket, with the arguments that stand in it so far."""

    place: int
    arguments: list[str]  # without the strings in them


@dataclass(frozen=True, slots=True)
class _OpenString:
    prefix: str  # such as `r`
    quote: str
    text: str  # what is typed of it
    bracket: _Bracket | None  # in which it stands


def typed_column(code: str, variables: Mapping[str, Any]) -> tuple[str, list[str]] | None:
    """Return the part of a column's name before the cursor, and the names of the frame's columns.

    Args:
        code: The code before the cursor.
        variables: The variables of the notebook.

    Returns:
        `None` if no column is expected there.

    Example:
        >>> import pandas as pd
        >>> typed_column('df.llm.map("Summarise: {{te', {"df": pd.DataFrame({"text": ["a"]})})
        ('te', ['text'])
        >>> typed_column('print("te', {}) is None
        True
    """
    if "llm" not in code and "frames." not in code:
        return None
    string = _open_string(code)
    if string is None or string.bracket is None or "f" in string.prefix.lower():
        return None
    frame = _frame_of(code[: string.bracket.place], string.bracket.arguments)
    if frame is None or (fragment := _fragment(string, frame.argument)) is None:
        return None
    columns = _columns(variables.get(frame.name))
    return fragment, [name for name in columns if not {string.quote[0], "\\", "\n"} & set(name)]


@dataclass(frozen=True, slots=True)
class _Frame:
    name: str  # of its variable
    argument: str  # that is being typed: "prompt", "attach", or something else


def _frame_of(callee: str, arguments: list[str]) -> _Frame | None:
    """Return the frame of a call, and which of its arguments is being typed."""
    if method := _METHOD.search(callee):
        return _Frame(method["frame"], _argument(arguments))
    if _FUNCTION.search(callee) and len(arguments) > 1 and (first := _PLAIN_NAME.match(arguments[0])):
        return _Frame(first["frame"], _argument(arguments[1:]))
    return None


def _argument(arguments: list[str]) -> str:
    """Return the name of the argument that is being typed; the first one is the prompt."""
    typed = arguments[-1].strip()
    if typed.endswith("="):
        return typed[:-1].strip()
    return "prompt" if len(arguments) == 1 and not typed else ""


def _fragment(string: _OpenString, argument: str) -> str | None:
    """Return what is typed of a column's name; `None` where none is expected."""
    if argument == "prompt" and (slot := _SLOT.search(string.text)):
        return slot["name"]
    return string.text if argument in {"prompt", "attach"} else None


def _open_string(code: str) -> _OpenString | None:
    """Return the string in which code ends, if it does."""
    brackets: list[_Bracket] = []
    place = 0
    while token := _TOKEN.search(code, place):
        _add(brackets, code[place : token.start()])
        place = token.end()
        if token["string"]:
            end = _end_of_string(code, place, token["quote"])
            if end is None:
                prefix = token["string"].removesuffix(token["quote"])
                return _OpenString(prefix, token["quote"], code[place:], brackets[-1] if brackets else None)
            place = end
        elif token["mark"]:
            _note(brackets, token["mark"], token.start())
    return None


def _end_of_string(code: str, start: int, quote: str) -> int | None:
    """Return where a string ends; `None` if it does not."""
    line = "" if len(quote) == 3 else r"|(?=\n)"  # a simple string ends with its line, at the latest
    found = re.compile(rf"(?:\\.|[^\\])*?(?:{quote}{line})", re.DOTALL).match(code, start)
    return None if found is None else found.end()


def _add(brackets: list[_Bracket], text: str) -> None:
    if brackets:
        brackets[-1].arguments[-1] += text


def _note(brackets: list[_Bracket], mark: str, place: int) -> None:
    """Note a bracket or a comma."""
    if mark in "([{":
        _add(brackets, mark)
        brackets.append(_Bracket(place, [""]))
    elif mark == ",":
        if brackets:
            brackets[-1].arguments.append("")
    elif brackets:
        brackets.pop()
        _add(brackets, mark)


def _columns(frame: Any) -> Iterable[str]:
    """Return the names of a frame's columns; none of anything else, whose properties may do anything."""
    from narwhals import dependencies as kinds

    if kinds.is_pandas_dataframe(frame) or kinds.is_polars_dataframe(frame) or kinds.is_dask_dataframe(frame):
        return map(str, frame.columns)
    return map(str, frame.column_names) if kinds.is_pyarrow_table(frame) else ()
