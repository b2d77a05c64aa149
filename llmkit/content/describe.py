"""Cards: descriptions of variables for `-v`.

A card has the type and the beginning of a variable, at most `CARD` bytes. Of the user's code, only
`repr`, `len` and the methods of pandas and numpy objects are called.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import reprlib
import types
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from llmkit.content.describe_tables import describe_frame, describe_series
from llmkit.core.redaction import HIDDEN, redact

if TYPE_CHECKING:
    from collections.abc import Callable

CARD = 2_000
"""Maximum size of a card, in UTF-8 bytes."""

SOURCE = 20_000
"""Maximum source of a function or class, in bytes; it is not cut, because partial code misleads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The description of a variable.

    Attributes:
        name: The variable.
        text: Its type and its beginning.
        notes: Messages for the user about parts that were left out.
    """

    name: str
    text: str
    notes: tuple[str, ...] = ()


def card(name: str, value: Any) -> Card:
    """Describe a variable.

    Example:
        >>> print(card("rivers", ["Rhine", "Elbe"]).text)
        rivers: list with 2 items
        ['Rhine', 'Elbe']
    """
    head, body, limit = _described(value)
    body = _cut(redact(body), limit)  # before cutting, because half a key is not recognised
    text = f"{name}: {redact(head)}\n{body}".strip()
    notes = [f"Parts of {name} look like a key and were left out."] if HIDDEN in text else []
    return Card(name=name, text=text, notes=tuple(notes))


def _described(value: Any) -> tuple[str, str, int]:
    """Return a value's type, its content, and how many bytes of it may be shown."""
    for fits, describe, limit in _KINDS:
        if fits(value):
            head, body = describe(value)
            return head, body, limit
    return _kind(value), _short(value), CARD


def _kind(value: Any) -> str:
    module, name = type(value).__module__, type(value).__qualname__
    return name if module in {"builtins", "__main__"} else f"{module}.{name}"


def _from(package: str, *names: str) -> Callable[[Any], bool]:
    """Return a type check for a package's class that does not import the package."""

    def fits(value: Any) -> bool:
        # Subclasses count, too, such as a GeoDataFrame.
        kinds = type(value).__mro__
        return any(k.__module__.split(".")[0] == package and k.__name__ in names for k in kinds)

    return fits


def _array(value: Any) -> tuple[str, str]:
    first = [item.item() if hasattr(item, "item") else item for item in islice(value.flat, 20)]
    return f"numpy array of shape {value.shape}, {value.dtype}", _short(first)


def _code(value: Any) -> tuple[str, str]:
    what = "class" if isinstance(value, type) else "function"
    if source := _source(value):
        return f"{what}, its source:", inspect.cleandoc("\n" + source)
    return f"{what} {_signature(value)}", inspect.getdoc(value) or ""


def _source(value: Any) -> str | None:
    try:
        return inspect.getsource(value)
    except (OSError, TypeError):
        return _class_in_cell(value) if isinstance(value, type) else None


def _class_in_cell(value: type) -> str | None:
    """Return the source of a class defined in a cell; before Python 3.13 only its methods know where."""
    methods = (member for member in vars(value).values() if isinstance(member, types.FunctionType))
    files = (
        method.__code__.co_filename for method in methods if method.__qualname__.startswith(value.__name__)
    )
    source = "".join(linecache.getlines(next(files, "")))
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a cell with magics
        return None
    named = (
        node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == value.__name__
    )
    found = next(named, None)
    return None if found is None else ast.get_source_segment(source, found)


def _signature(value: Any) -> str:
    try:
        return f"{value.__qualname__}{inspect.signature(value)}"
    except (TypeError, ValueError):
        return str(getattr(value, "__qualname__", _kind(value)))


def _module(value: Any) -> tuple[str, str]:
    return f"module {value.__name__}", (inspect.getdoc(value) or "").partition("\n\n")[0]


def _sized(value: Any) -> tuple[str, str]:
    return f"{_kind(value)} with {len(value):,} items", _short(value)


def _string(value: Any) -> tuple[str, str]:
    return f"text of {len(value):,} characters", value


class _Shortened(reprlib.Repr):
    """Redacts keys before shortening, because half a key is not recognised."""

    def repr_str(self, obj: str, level: int) -> str:
        return super().repr_str(redact(obj), level)


def _short(value: Any) -> str:
    """Return a representation without long or deeply nested parts."""
    shortened = _Shortened()
    shortened.maxdict = shortened.maxlist = shortened.maxtuple = shortened.maxset = 20
    shortened.maxstring, shortened.maxother, shortened.maxlevel = 200, 1_000, 4
    return shortened.repr(value)


def _cut(text: str, limit: int) -> str:
    """Return the beginning of a text, up to a line end if possible."""
    data = text.encode(errors="replace")
    if len(data) <= limit:
        return text
    # This leaves room for the note, and drops a character that was cut in two.
    start = data[: limit - 20].decode(errors="ignore")
    whole, newline, _ = start.rpartition("\n")
    return (whole if newline and len(whole) > limit // 2 else start) + "\n… cut here"


_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[Any], tuple[str, str]], int], ...] = (
    (_from("pandas", "DataFrame"), lambda value: describe_frame(value, CARD - 220), CARD - 200),
    (_from("pandas", "Series"), lambda value: describe_series(value, CARD - 220), CARD - 200),
    (_from("numpy", "ndarray"), _array, CARD - 200),
    (lambda value: isinstance(value, types.ModuleType), _module, CARD - 200),
    (lambda value: isinstance(value, (type, types.FunctionType, types.MethodType)), _code, SOURCE),
    (lambda value: isinstance(value, str), _string, CARD - 200),
    (lambda value: isinstance(value, (dict, list, tuple, set, frozenset)), _sized, CARD - 200),
)
