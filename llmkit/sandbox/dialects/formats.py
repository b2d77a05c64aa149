"""Checks a schema as the providers do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_BOUNDS = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
)
_NOT_STRICT = ("allOf", "oneOf", "not", "default", "patternProperties")


def openai_problem(schema: Any, *, strict: bool) -> str | None:
    """Return why OpenAI refuses a schema; `None` if it accepts it.

    Example:
        >>> print(openai_problem({"type": "array"}, strict=False))
        schema must be a JSON Schema of 'type: "object"', got 'type: "array"'.
    """
    if not isinstance(schema, dict) or schema.get("type") != "object":
        kind = schema.get("type") if isinstance(schema, dict) else None
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
    for where, node in nodes(schema) if strict else ():
        if (problem := _strict_problem(node)) is not None:
            return f"In context={where}, {problem}."
    return None


def _strict_problem(node: dict[str, Any]) -> str | None:
    """Return why OpenAI refuses a part of a strict schema.

    Source: OpenAI, "Structured model outputs", supported schemas.
    """
    if _is_open(node):
        return "'additionalProperties' is required to be supplied and to be false"
    names = node.get("properties")
    if isinstance(names, dict) and set(node.get("required", ())) != set(names):
        return "'required' is required to be supplied and to be an array including every key in properties"
    return next((f"'{word}' is not permitted" for word in _NOT_STRICT if word in node), None)


def _is_open(node: dict[str, Any]) -> bool:
    """Whether a part of a schema is an object that allows additional properties."""
    return node.get("type") == "object" and node.get("additionalProperties") is not False


def anthropic_problem(schema: Any) -> str | None:
    """Return why Anthropic refuses a schema.

    Example:
        >>> anthropic_problem({"type": "integer", "minimum": 1})
        "For 'integer' type, property 'minimum' is not supported"
    """
    if not isinstance(schema, dict):
        return "Field required"
    for _, node in nodes(schema):
        if _is_open(node):
            return "For 'object' type, 'additionalProperties' must be explicitly set to false"
        if found := [word for word in _BOUNDS if word in node]:
            return f"For '{node.get('type')}' type, property '{found[0]}' is not supported"
    return None


def is_schema(schema: Any) -> bool:
    """Whether the types, properties and required names of a schema have the right form.

    Example:
        >>> is_schema({"type": "object", "properties": {"a": {"type": 5}}})
        False
    """
    try:
        return all(_is_node(node) for _, node in nodes(schema))
    except (AttributeError, TypeError):
        return False


def _is_node(node: dict[str, Any]) -> bool:
    kinds, required = node.get("type", "object"), node.get("required", [])
    names = [*(kinds if isinstance(kinds, list) else [kinds]), *required]
    some = kinds != [] and isinstance(required, list) and isinstance(node.get("properties", {}), dict)
    return some and all(isinstance(name, str) for name in names)


def nodes(node: Any, where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield every part of a schema with its path."""
    if not isinstance(node, dict):
        return
    yield where, node
    named = {name: node.get(name) or {} for name in ("properties", "$defs", "definitions")}
    listed = {
        name: dict(enumerate(node.get(name) or ())) for name in ("anyOf", "oneOf", "allOf", "prefixItems")
    }
    for name, parts in {**named, **listed}.items():
        for key, part in parts.items():
            yield from nodes(part, (*where, name, str(key)))
    yield from nodes(node.get("items"), (*where, "items"))
