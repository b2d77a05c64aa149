"""Functions, calls and results of a request, checked as the providers check them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from llmkit.sandbox.conversation import Function, Invocation, Outcome
from llmkit.sandbox.dialects.dialect import RefusedError
from llmkit.sandbox.dialects.formats import is_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.sandbox.conversation import Turn

THINKS = "thinking"
"""A part of the names of models that think unasked, such as `sandbox-thinking`."""

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_NO_EFFORT = frozenset({"none", "disabled"})


def function(described: Any, where: str, schema_field: str = "parameters") -> Function:
    """Read the description of a function.

    Example:
        >>> function({"name": "today"}, "tools[0]").name
        'today'
    """
    fields = described if isinstance(described, dict) else {}
    name, schema = fields.get("name"), fields.get(schema_field)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        text = f"Invalid '{where}.name': expected letters, digits, '_' and '-', got {name!r}."
        raise RefusedError(400, text, code="invalid_value", param=f"{where}.name")
    kind = schema.get("type", "object") if isinstance(schema, dict) else schema
    if schema is not None and not (str(kind).lower() == "object" and is_schema(schema)):
        text = f"Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"'"
        raise RefusedError(400, f"{text}, got {kind!r}.", code="invalid_function_parameters", param=where)
    return Function(name, str(fields.get("description") or ""), schema or {})


def unique(functions: Iterable[Function]) -> tuple[Function, ...]:
    """Return functions, whose names must differ."""
    found = tuple(functions)
    names = [one.name for one in found]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise RefusedError(400, f"tools: Tool names must be unique: {double!r}.", param="tools")
    return found


def invocation(identifier: Any, name: Any, arguments: Any) -> Invocation:
    """Read a call of an earlier answer; arguments come as an object or as JSON text."""
    if isinstance(arguments, str):
        try:
            arguments = orjson.loads(arguments or "{}")
        except orjson.JSONDecodeError:
            arguments = {"arguments": arguments}
    return Invocation(
        str(identifier or ""), str(name or ""), arguments if isinstance(arguments, dict) else {}
    )


def outcome(identifier: Any, content: Any, *, failed: bool = False) -> Outcome:
    """Read a result: a text, or parts with texts among them."""
    parts = content if isinstance(content, list) else [content]
    texts = (part.get("text") if isinstance(part, dict) else part for part in parts)
    text = "".join(text for text in texts if isinstance(text, str))
    return Outcome(str(identifier or ""), text, failed=failed)


def unanswered(turns: Iterable[Turn]) -> tuple[int, list[str]] | None:
    """Return the place of the first turn whose calls lack results right after it, and their identifiers.

    Example:
        >>> from llmkit.sandbox.conversation import Turn
        >>> unanswered([Turn("assistant", "", calls=(Invocation("c1", "today", {}),)), Turn("user", "Hi")])
        (0, ['c1'])
    """
    waiting: list[str] = []
    place = 0
    for number, turn in enumerate(turns):
        results = {one.id for one in turn.outcomes}
        waiting = [name for name in waiting if name not in results]
        if waiting and not turn.outcomes:
            break
        if turn.calls:
            place, waiting = number, [call.id for call in turn.calls]
    return (place, waiting) if waiting else None


def stray(turns: Iterable[Turn]) -> str | None:
    """Return the identifier of a result without a call before it."""
    known: set[str] = set()
    for turn in turns:
        if missing := next((one.id for one in turn.outcomes if one.id not in known), None):
            return missing
        known |= {call.id for call in turn.calls}
    return None


def effort(model: str, asked: Any, *, by_default: str = "medium") -> str:
    """Return how much to think: what was asked for, or the default of a model that thinks.

    Example:
        >>> effort("sandbox", None), effort("sandbox-thinking", None), effort("sandbox", "low")
        ('', 'medium', 'low')
    """
    if asked is not None:
        return "" if str(asked) in _NO_EFFORT else str(asked)
    return by_default if THINKS in model else ""
