"""Whether an answer has the form that was asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmkit.content.schema import adapter_of
from llmkit.core.errors import BadResponseError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.content.schema import Schema


def check(value: Any, schema: Mapping[str, Any], text: str) -> None:
    """Validate a value against a JSON schema."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    registry: Registry[Any] = Registry()  # empty, so that nothing is downloaded
    try:
        error = best_match(Draft202012Validator(schema, registry=registry).iter_errors(value))
    except Unresolvable as missing:
        raise InvalidRequestError(
            f"The schema refers to {missing.ref!r}, which it does not define."
        ) from missing
    if error is not None:
        raise unusable(
            f"The answer does not match the schema: {error.json_path}: {error.message:.200}.", text
        )


def instance(value: Any, schema: Schema, text: str) -> Any:
    """Return JSON as an instance of the class that the schema was made from; as it is without one."""
    if schema.kind is None:
        return value
    from pydantic import ValidationError

    try:
        return adapter_of(schema.kind).validate_json(json.dumps(value))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "".join(f".{step}" for step in first["loc"])
        raise unusable(
            f"The answer is not a valid {schema.name}: ${place}: {first['msg']:.200}.", text
        ) from None


def unusable(message: str, text: str) -> BadResponseError:
    """Return the error for an answer in the wrong format."""
    return BadResponseError(message, hint="Try again, or read the text in .partial.", partial=text)


def row_of(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """Return the schema of a row and the definitions that it refers to."""
    rest, kept = _parted(schema)
    inner = list(rest.get("properties", {}).values())
    if rest.get("type") == "array":
        return rest.get("items", {}), kept
    if len(inner) == 1 and inner[0].get("type") == "array":
        return inner[0].get("items", {}), kept
    return rest, kept


def rows_schema(schema: Schema) -> dict[str, Any] | None:
    """Return the JSON schema of a table's rows; `None` for any."""
    if schema.json is None:
        return None
    whole, definitions = row_of(schema.json)
    row, own = _parted(whole)
    return {"type": "array", "items": row, **own, **definitions}


def _parted(schema: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Part a schema from its definitions: references count from the top of the document."""
    kept = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    return {name: value for name, value in schema.items() if name not in kept}, kept
