"""Values that a JSON schema, or Google's dialect of it, allows, filled from the prompt."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llmkit.sandbox.answers.facts.atlas import mentions
from llmkit.sandbox.answers.fields import (
    NOT_STATED,
    fact_value,
    field_list,
    field_number,
    field_text,
    field_truth,
)
from llmkit.sandbox.answers.labels import applies, by_words, described, level, way_out
from llmkit.sandbox.answers.texts.classifying import best_label
from llmkit.sandbox.answers.texts.lexicon import sentiment
from llmkit.sandbox.answers.wording import plain, words_of

if TYPE_CHECKING:
    from llmkit.sandbox.answers.finding import Finding

# A recursive schema must not hang the server.
_LONGEST_CHAIN = 20
_DEEPEST = 6
_ANSWERS = words_of("answer response result text reply output value number")
_PLACES = words_of("town city place location capital destination")
_NAMES = _PLACES | {"name"}
_MOMENTS = {"date": "1970-01-01", "date-time": "1970-01-01T00:00:00Z", "time": "00:00:00"}


def choose(options: list[Any], subject: str) -> Any:
    """Choose the option that the subject's sentiment names, else the one that fits its words."""
    folded = {str(option).lower(): option for option in options}
    if (mood := sentiment(subject)) in folded:
        return folded[mood]
    best = best_label(list(folded), subject)
    return folded[best] if best else way_out(options)


@dataclass(frozen=True, slots=True)
class Source:
    """Where values come from.

    Attributes:
        root: The schema in which references are looked up.
        subject: The text to which the values belong.
        prompt: What is said of the fields.
        finding: What is known of the question; its rows fill a list.
    """

    root: dict[str, Any]
    subject: str
    prompt: str = ""
    finding: Finding | None = None


def by_schema(schema: dict[str, Any], key: str, source: Source, depth: int = 0) -> Any:
    """Return a value that a schema allows.

    Args:
        schema: The schema.
        key: Name of the field.
        source: Where values come from.
        depth: How deep the value lies.

    Returns:
        The value.
    """
    nullable = _is_nullable(schema)
    schema = plain_schema(schema, source.root)
    if options := schema.get("enum"):
        return _option(options, key, source)
    kind = kind_of(schema)
    if kind == "object":
        properties = schema.get("properties", {}) if depth <= _DEEPEST else {}
        return {
            name: by_schema(part, _meant(name, schema), source, depth + 1)
            for name, part in properties.items()
        }
    if kind == "array":
        return _items(schema, key, source, depth) if depth <= _DEEPEST else []
    if kind == "boolean" and (asked := described(key, source.prompt)):
        return applies(asked.question, source.subject)
    known = source if depth <= 1 else replace(source, finding=None)
    return _scalar(schema, key, known, nullable=nullable)


def _meant(name: str, schema: dict[str, Any]) -> str:
    """Return what a field means: the name of a `Town` is a town, not a person's."""
    title = str(schema.get("title", "")).lower()
    return title if name.lower() == "name" and title in _PLACES else name


def kind_of(schema: dict[str, Any]) -> str:
    """Return the type that a schema asks for, the first that is not null.

    Example:
        >>> kind_of({"type": ["null", "STRING"]})
        'string'
    """
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return str(
        next((one for one in kind if one != "null"), "null") if isinstance(kind, list) else kind
    ).lower()


def _is_nullable(schema: dict[str, Any]) -> bool:
    kinds = schema.get("type")
    variants = schema.get("anyOf") or schema.get("oneOf") or []
    is_listed = isinstance(kinds, list) and "null" in kinds
    return is_listed or bool(schema.get("nullable")) or any(one.get("type") == "null" for one in variants)


def _option(options: list[Any], key: str, source: Source) -> Any:
    """Choose one of some values, by what the prompt says of them."""
    asked = described(key, source.prompt)
    if asked is None or not asked.labels:
        return choose(options, source.subject)
    if asked.is_scale:
        return level(options, source.subject)
    return next(iter(by_words(options, source.subject, asked.labels)), way_out(options))


def _items(schema: dict[str, Any], key: str, source: Source, depth: int) -> list[Any]:
    """Return the items of a list: labels that fit, rows of what is known, or what the text lists."""
    item = plain_schema(schema.get("items", {}), source.root)
    if options := item.get("enum"):
        asked = described(key, source.prompt)
        labels = asked.labels if asked else {}
        return by_words(options, source.subject, labels) if labels else [choose(options, source.subject)]
    found = _known_items(item, source) or _read_items(item, key, source.subject)
    least = max(schema.get("minItems", 0), int(not found and kind_of(item) == "object"))
    plain_source = replace(source, finding=None)
    missing = range(least - len(found))
    return [*found, *(by_schema(item, key, plain_source, depth + 1) for _ in missing)][
        : schema.get("maxItems")
    ]


def _known_items(item: dict[str, Any], source: Source) -> list[Any]:
    """Return the rows of what is known as items."""
    finding = source.finding
    if finding is None or not finding.rows:
        return []
    properties = item.get("properties")
    if not properties:
        return [row[0] for row in finding.rows] if kind_of(item) == "string" else []
    parts = {name: plain_schema(part, source.root) for name, part in properties.items()}
    return [
        {
            name: _of_row(name, place, part, finding.head, row)
            for place, (name, part) in enumerate(parts.items())
        }
        for row in finding.rows
    ]


def _of_row(
    name: str, place: int, schema: dict[str, Any], head: tuple[str, ...], row: tuple[str, ...]
) -> Any:
    """Return the cell of a row that a field means: that of its name, and for the first the row's name."""
    wanted = name.lower().split("_")[0]
    named = 0 if place == 0 or wanted == "name" else len(row)
    column = next((n for n, title in enumerate(head) if title.lower().split("_")[0] == wanted), named)
    text = row[column].replace(",", "") if column < len(row) else ""
    source = Source({}, f"{name}: {text}" if text else "")
    return _scalar(schema, name, source, nullable=_is_nullable(schema))


def _read_items(item: dict[str, Any], key: str, subject: str) -> list[Any]:
    kind = kind_of(item)
    if kind == "string":
        return list(field_list(key, subject))
    if kind not in {"number", "integer"}:
        return []
    numbers = [float(text.replace(",", "")) for text in field_list("numbers", subject)]
    return [int(one) for one in numbers if one == int(one)] if kind == "integer" else list(numbers)


def _scalar(schema: dict[str, Any], key: str, source: Source, *, nullable: bool) -> Any:
    kind = kind_of(schema)
    if kind == "null":
        return None
    if kind == "boolean":
        return field_truth(key, source.subject)
    number = kind in {"integer", "number"}
    found = _number(schema, key, source, whole=kind == "integer") if number else _text_of(key, source)
    if found is None:
        return None if nullable else schema.get("default", _absent(schema, number=number))
    return found[: schema.get("maxLength")] if isinstance(found, str) else found


def _absent(schema: dict[str, Any], *, number: bool) -> Any:
    """Return what stands in a field of which the text says nothing."""
    if number:
        return _limit(schema, "minimum") or 0
    return _MOMENTS.get(str(schema.get("format")), NOT_STATED)


def _limit(schema: dict[str, Any], name: str) -> float | None:
    """Return the bound of a number; strict schemas of some providers have it in the description only."""
    written = schema.get(name, schema.get(f"exclusive{name.title()}"))
    if written is None and (said := re.search(rf"{name}: (-?\d+(?:\.\d+)?)", schema.get("description", ""))):
        return float(said[1]) if "." in said[1] else int(said[1])
    return written if isinstance(written, (int, float)) else None


def _text_of(key: str, source: Source) -> str | None:
    if source.finding and key.lower() in _ANSWERS:
        return source.finding.short or source.finding.text
    thing = _thing(source.finding)
    if thing and key.lower() in _NAMES:
        return thing
    return (fact_value(key, thing) if thing else None) or field_text(key, source.subject)


def _thing(finding: Finding | None) -> str:
    """Return the one thing of the facts that answers a question, such as the capital of a country."""
    if finding is None or len(finding.rows) > 1:
        return ""
    names = (one.entry.name for same in mentions(plain(finding.short)) for one in same)
    return finding.short if finding.short in names else ""


def _number(schema: dict[str, Any], key: str, source: Source, *, whole: bool) -> float | None:
    low = _limit(schema, "minimum")
    high = _limit(schema, "maximum")
    answers = source.finding is not None and key.lower() in _ANSWERS
    text = f"{key}: {source.finding.short.replace(',', '')}" if answers and source.finding else source.subject
    return field_number(key, text, low, high, whole=whole)


def plain_schema(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Follow references, take the first variant that is not null, and make a constant the only choice."""
    for _ in range(_LONGEST_CHAIN):
        variants = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if reference := schema.get("$ref"):
            schema = _resolve(reference, root)
        elif variants:
            schema = next((one for one in variants if one.get("type") != "null"), variants[0])
        else:
            break
    return {**schema, "enum": [schema["const"]]} if "const" in schema else schema


def _resolve(reference: str, root: dict[str, Any]) -> dict[str, Any]:
    place: Any = root
    for step in reference.removeprefix("#/").split("/"):
        place = place[step] if isinstance(place, dict) and step in place else {}
    return place if isinstance(place, dict) else {}
