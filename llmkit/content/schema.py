"""Structured output: accepted forms of schemas, and their conversion for each provider."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    NotRequired,
    Required,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)
from urllib.parse import unquote

from llmkit.content.messages import LLMMessage
from llmkit.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import TypeAdapter

SchemaLike: TypeAlias = "Schema | Mapping[str, Any] | type | str | bool | None"
"""Values of `schema=`: a JSON schema, a class, or `"json"` for any JSON object."""

_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_NAMED = ("properties", "$defs", "definitions", "patternProperties")
_SINGLE = ("items", "additionalProperties", "not")

_BOUNDS = frozenset(
    {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"}
    | {"minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"}
)
"""JSON schema keywords that Anthropic rejects."""

_NOT_STRICT = frozenset(
    {"allOf", "oneOf", "not", "if", "then", "else", "patternProperties", "dependentRequired"}
    | {"dependentSchemas", "unevaluatedProperties", "propertyNames", "minProperties", "maxProperties"}
)
"""JSON schema keywords that OpenAI rejects in a strict schema."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The required form of a JSON answer.

    Attributes:
        json: The JSON schema; `None` for any JSON object.
        name: Its name.
        kind: The class that it was made from, if it was.
    """

    json: Mapping[str, Any] | None = None
    name: str = "answer"
    kind: Any = field(default=None, repr=False, compare=False)


def schema_of(given: SchemaLike) -> Schema | None:
    """Convert the value of `schema=`.

    Example:
        >>> schema_of({"type": "object", "properties": {"city": {"type": "string"}}}).name
        'answer'
        >>> schema_of("json")
        Schema(json=None, name='answer')

    Source: JSON Schema, draft 2020-12.
    """
    if given is None or given is False:
        return None
    if given is True or given == "json":
        return Schema()
    if isinstance(given, Schema):
        return given
    if isinstance(given, Mapping):
        return Schema(_checked(given), _name(given.get("title")))
    if isinstance(given, str):
        raise _no_schema(f"{given!r:.60}")
    return _of_type(given)


def in_prompt(messages: Iterable[LLMMessage], schema: Schema) -> tuple[LLMMessage, ...]:
    """Describe a schema in the prompt, for providers without structured output.

    Example:
        >>> [m.role for m in in_prompt([LLMMessage("user", "Hi")], Schema())]
        ['system', 'user']
    """
    words = instruction(schema)
    changed = list(messages)
    systems = [place for place, message in enumerate(changed) if message.role == "system"]
    if not systems:
        return (LLMMessage("system", words), *changed)
    place = systems[-1]
    changed[place] = replace(changed[place], content=f"{changed[place].content}\n\n{words}")
    return tuple(changed)


def instruction(schema: Schema) -> str:
    """Return the prompt text that describes a schema."""
    if schema.json is None:
        return "Answer with one JSON object and nothing else: no explanation, no code fence."
    written = json.dumps(schema.json, ensure_ascii=False, separators=(",", ":"))
    return (
        "Answer with JSON and nothing else: no explanation, no code fence. "
        f"It must match this JSON schema:\n{written}"
    )


def for_openai(schema: Schema) -> dict[str, Any] | None:
    """Return OpenAI's `response_format`, strict if the schema allows it."""
    if schema.json is None:
        return {"type": "json_object"}
    # OpenAI requires an object at the top, without alternatives.
    if schema.json.get("type") != "object" or "anyOf" in schema.json:
        return None
    strict = _can_be_strict(schema.json)
    document = _closed(schema.json, every=True) if strict else dict(schema.json)
    return {
        "type": "json_schema",
        "json_schema": {"name": schema.name, "schema": document, "strict": strict},
    }


def for_anthropic(schema: Schema) -> dict[str, Any] | None:
    """Return Anthropic's `output_config.format`; bounds, which it rejects, are moved to descriptions."""
    if schema.json is None or _is_free(schema.json):
        return None
    return {"type": "json_schema", "schema": _walked(_closed(schema.json), _described_bounds)}


def _of_type(given: Any) -> Schema:
    """Create the schema of a class with pydantic, a dependency of the SDKs."""
    from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

    if not isinstance(given, type) and get_origin(given) is None:
        raise _no_schema(f"a {type(given).__name__}")
    try:
        document = adapter_of(given).json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        # Further lines only link to pydantic's documentation.
        reason = str(error).splitlines()[0]
        raise InvalidRequestError(
            f"Cannot create a JSON schema from {_called(given)}: {reason:.200}"
        ) from error
    return Schema(document, _name(_called(given)), given)


def adapter_of(kind: Any) -> TypeAdapter[Any]:
    """Return what validates and creates values of a class."""
    from pydantic import TypeAdapter

    return TypeAdapter(_newer(kind))


def _newer(kind: Any) -> Any:
    """Return a type with `TypedDict`s from typing_extensions, which pydantic requires before Python 3.12."""
    import typing_extensions

    make: Any = typing_extensions.TypedDict
    if is_typeddict(kind):
        hints = get_type_hints(kind, include_extras=True)
        fields = {name: _field(hint, required=name in kind.__required_keys__) for name, hint in hints.items()}
        return make(kind.__name__, fields)
    origin, inner = get_origin(kind), get_args(kind)
    newer = tuple(map(_newer, inner))
    if newer == inner or origin is Annotated:
        return kind
    return Union[newer] if origin in {Union, UnionType} else origin[newer]  # noqa: UP007 - these are runtime values


def _field(hint: Any, *, required: bool) -> Any:
    bare = get_args(hint)[0] if get_origin(hint) in {Required, NotRequired} else hint
    return Required[_newer(bare)] if required else NotRequired[_newer(bare)]


def _called(given: Any) -> str:
    return getattr(given, "__name__", None) or str(given)


def _no_schema(what: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"schema is {what}, which is not a schema.",
        hint='Pass a JSON schema (a dict), a dataclass, a TypedDict, a pydantic model, or "json".',
    )


def _checked(given: Mapping[str, Any]) -> Mapping[str, Any]:
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(given)
    except SchemaError as error:
        raise InvalidRequestError(
            f"The schema is not a JSON schema: {error.json_path}: {error.message:.200}."
        ) from error
    for part in _parts(given):
        _check_part(part, given)
    return given


def _check_part(part: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Refuse what is a JSON schema, but fits no answer."""
    place = part.get("$ref", "")
    if place.startswith("#/") and not _is_there(place, schema):
        raise InvalidRequestError(f"The schema refers to {place!r:.80}, which it does not define.", hint="")
    if part.get("enum", True) == []:
        raise InvalidRequestError("The schema has an enumeration without values.", hint="")


def _is_there(place: str, schema: Any) -> bool:
    """Whether a schema has what a JSON pointer names."""
    for step in unquote(place).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(schema, list):
            schema = {str(index): one for index, one in enumerate(schema)}
        if not isinstance(schema, Mapping) or name not in schema:
            return False
        schema = schema[name]
    return True


def _name(title: Any) -> str:
    """Return a name in OpenAI's format: letters, digits, `_` and `-`, at most 64 characters."""
    text = title if isinstance(title, str) else ""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in text)
    return kept.strip("_")[:64] or "answer"


def _walked(node: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """Return a schema with a function applied to every part."""
    if not isinstance(node, Mapping):
        return node
    new = dict(node)
    for name in _LISTS:
        if isinstance(new.get(name), (list, tuple)):
            new[name] = [_walked(part, change) for part in new[name]]
    for name in _NAMED:
        if isinstance(new.get(name), Mapping):
            new[name] = {key: _walked(part, change) for key, part in new[name].items()}
    for name in _SINGLE:
        if name in new:
            new[name] = _walked(new[name], change)
    return change(new)


def _is_object(node: Mapping[str, Any]) -> bool:
    kind = node.get("type")
    return "properties" in node or kind == "object" or (isinstance(kind, list) and "object" in kind)


def _closed(schema: Mapping[str, Any], *, every: bool = False) -> Any:
    """Return a schema whose objects allow only the listed keys and, if `every`, require all of them."""

    def close(node: dict[str, Any]) -> dict[str, Any]:
        if _is_object(node):
            node["additionalProperties"] = False
            if every:
                node["required"] = list(node.get("properties", {}))
        if every:
            # OpenAI's strict schemas do not allow defaults.
            node.pop("default", None)
        return node

    return _walked(schema, close)


def _described_bounds(node: dict[str, Any]) -> dict[str, Any]:
    """Move unsupported keywords into the description."""
    bounds = {name: node.pop(name) for name in sorted(_BOUNDS & node.keys())}
    if bounds:
        said = ", ".join(f"{name}: {value}" for name, value in bounds.items())
        node["description"] = f"{node.get('description', '')} ({said})".strip()
    return node


def _parts(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all parts of a schema, including itself."""
    found: list[dict[str, Any]] = []

    def note(node: dict[str, Any]) -> dict[str, Any]:
        found.append(node)
        return node

    _walked(schema, note)
    return found


def _is_free(schema: Mapping[str, Any]) -> bool:
    """Whether an object in it allows unlisted keys, explicitly or because it lists none."""
    return any(
        node.get("additionalProperties", False) is not False
        or (_is_object(node) and not node.get("properties"))
        for node in _parts(schema)
    )


def _can_be_strict(schema: Mapping[str, Any]) -> bool:
    """Whether OpenAI's strict subset can express it: no optional or free keys, no combinators."""
    return not _is_free(schema) and not any(
        _NOT_STRICT & node.keys()
        or set(node.get("required", node.get("properties", ()))) != set(node.get("properties", ()))
        for node in _parts(schema)
    )
