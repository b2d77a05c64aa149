"""Fills a function's arguments from a prompt: named values, numbers, quoted strings, choices, defaults."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llmkit.sandbox.answers.numbers.number_words import SMALL as NUMBERS
from llmkit.sandbox.answers.phrases import Named, argument, explained
from llmkit.sandbox.answers.schemas import Source, by_schema, plain_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmkit.sandbox.conversation import Function

_OPERATOR = r"\*\*|[-+*/x^\u00d7\u00f7]|plus|minus|times"
EXPRESSION = re.compile(rf"(-?\d+(?:\.\d+)?)\s*({_OPERATOR})\s*(-?\d+(?:\.\d+)?)", re.IGNORECASE)
"""An operation on two numbers."""

DATE = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")
"""A date."""

_DIGITS = r"-?\d+(?:,\d{3})*(?:\.\d+)?"
_NUMBER = re.compile(rf"(?<![\w.]){_DIGITS}(?!\w)|\b(?:{'|'.join(NUMBERS)})\b", re.IGNORECASE)
_FENCE = re.compile(r"```\w*\n(.*?)```", re.DOTALL)
_QUOTED = re.compile(r"""(?<!\w)(?:"([^"\n]+)"|'([^'\n]+)'|`([^`\n]+)`|“([^”\n]+)”)""")
_NAME = r"[A-Z][\w'-]*(?:\s[A-Z][\w'-]*)*"
_NAMES = re.compile(rf"(?:\b(?:in|of|for|from|to|at|about|and|or|with|near)|,)\s+({_NAME})")
_SEVERAL = re.compile(rf"{_NAME}(?:,\s+{_NAME})*,?\s+(?:and|or)\s+{_NAME}")
_LONG_TEXTS = frozenset(
    {"code", "expression", "formula", "query", "script", "source", "sql", "text", "prompt"}
)
_CODES = _LONG_TEXTS - {"query", "text", "prompt"}
_DATES = frozenset({"date", "day", "start", "end", "since", "until", "from_date", "to_date"})
_UNITS = frozenset(
    {"kg", "g", "lb", "m", "cm", "km", "miles", "usd", "eur", "c", "f", "hours", "minutes", "days"}
)
_OFF = re.compile(r"\boff\b", re.IGNORECASE)
_SWITCHES = frozenset({"on", "enabled", "active", "state"})
_YES = frozenset({"true", "yes", "on", "1"})
_YEARS = range(1900, 2101)
_FIRST_YEAR_WORD = "year"

_MOST_CALLS = 8

_MISSING: Any = object()


def argument_sets(function: Function, text: str) -> list[dict[str, Any]]:
    """Return the arguments of one call, or of several if a prompt has values for several.

    Example:
        >>> from llmkit.sandbox.conversation import Function
        >>> schema = {"properties": {"city": {"type": "string"}}, "required": ["city"]}
        >>> argument_sets(Function("weather", "", schema), "Weather in Paris and Rome?")
        [{'city': 'Paris'}, {'city': 'Rome'}]
    """
    filler = _Filler(function, text)
    sets = [filler.fill()]
    while filler.has_more() and len(sets) < _MOST_CALLS:
        sets.append(filler.fill())
    return sets


def lacking(function: Function, text: str) -> list[str]:
    """Return the arguments that a function needs and for which a prompt has no value.

    Example:
        >>> from llmkit.sandbox.conversation import Function
        >>> schema = {"properties": {"city": {"type": "string"}}, "required": ["city"]}
        >>> lacking(Function("weather", "", schema), "What is the weather like?")
        ['city']
    """
    filler = _Filler(function, text)
    filler.fill()
    return filler.missing


class _Filler:
    """Takes values from a prompt, each once."""

    def __init__(self, function: Function, text: str) -> None:
        root = dict(function.schema)
        self._root = root
        self._schemas = {
            name: plain_schema(one if isinstance(one, dict) else {}, root)
            for name, one in function.properties.items()
        }
        self._required = set(function.schema.get("required", self._schemas))
        self._needed = _without_choice(function.schema.get("required", ()), self._schemas)
        self._text = text
        self.missing: list[str] = []
        self._explained = _explained_by(function, self._schemas)
        self._named = {
            name: value
            for name, schema in self._schemas.items()
            if (value := _named(name, schema, text)) is not _MISSING
        }
        rest = DATE.sub(" ", text)
        for name in self._named:
            rest = re.sub(rf"\b{re.escape(name)}\b\s*(?:=|:|is|of)?\s*\S+", " ", rest)
        self._numbers: list[float] = [_number(found[0]) for found in _NUMBER.finditer(rest)]
        self._dates = DATE.findall(text)
        self._strings = _strings(rest)
        needed = self._required or self._schemas
        self._numbers_each = sum(self._takes(name, "number") for name in needed)
        self._strings_each = sum(self._takes(name, "string") for name in needed)

    def fill(self) -> dict[str, Any]:
        """Return the arguments of one call."""
        values = {name: self._value(name, schema) for name, schema in self._schemas.items()}
        return {name: value for name, value in values.items() if value is not _MISSING}

    def has_more(self) -> bool:
        """Whether values for a further call are left."""
        if self._named or (self._numbers_each and self._strings_each):
            return False
        if self._numbers_each:
            return len(self._numbers) >= self._numbers_each
        return self._strings_each == 1 and bool(self._strings)

    def _takes(self, name: str, kind: str) -> bool:
        schema = self._schemas.get(name, {})
        if name in self._named or "enum" in schema or name.lower() in _LONG_TEXTS | _DATES:
            return False
        return kind == ("number" if _type(schema) in {"integer", "number"} else _type(schema))

    def _value(self, name: str, schema: dict[str, Any]) -> Any:
        """Return an argument; `_MISSING` leaves it to its default."""
        if name in self._named:
            return self._named[name]
        found = self._taken(name, schema)
        if found is _MISSING and name in self._required:
            if name in self._needed and _type(schema) in {"string", "integer", "number"}:
                self.missing.append(name)
            return by_schema(schema, name, Source(self._root, self._text))
        return found

    def _taken(self, name: str, schema: dict[str, Any]) -> Any:
        if options := schema.get("enum"):
            return _mentioned(options, self._text)
        kind = _type(schema)
        if kind == "boolean":
            return self._truth(name)
        if kind in {"integer", "number"}:
            return self._next_number(name, whole=kind == "integer")
        if kind == "string":
            return self._next_string(name, schema)
        if kind == "array":
            return self._all(schema)
        return _MISSING

    def _truth(self, name: str) -> Any:
        """Return whether a prompt wants something: `with breakfast`, `without breakfast`, `off`."""
        if name.lower() in _SWITCHES:
            return not _OFF.search(self._text)
        words = re.escape(name.removeprefix("is_").removeprefix("with_")).replace("_", "[_ ]")
        found = re.search(rf"(\b(?:no|not|without)\s+(?:\w+\s+)?)?\b{words}\b", self._text, re.IGNORECASE)
        return found[1] is None if found else _MISSING

    def _next_number(self, name: str, *, whole: bool) -> Any:
        for place, number in enumerate(self._numbers):
            a_year = number in _YEARS and _FIRST_YEAR_WORD not in name.lower()
            if (whole and number != int(number)) or (a_year and name not in self._required):
                continue
            return self._numbers.pop(place)
        return _MISSING

    def _next_string(self, name: str, schema: dict[str, Any]) -> Any:
        if schema.get("format", "").startswith("date") or name.lower() in _DATES:
            return self._dates.pop(0) if self._dates else _MISSING
        if name.lower() in _LONG_TEXTS and (said := _long_text(self._text)):
            return said
        if name.lower() in _CODES:
            return self._text.strip()
        if self._strings:
            return self._strings.pop(0)
        found = argument(name, self._text, self._explained) if name in self._required else None
        return _MISSING if found is None else found

    def _all(self, schema: dict[str, Any]) -> Any:
        """Take all values that are left, for a list."""
        numeric = _type(plain_schema(dict(schema.get("items") or {}), self._root)) in {"integer", "number"}
        values: list[Any] = list(self._numbers if numeric else self._strings)
        (self._numbers if numeric else self._strings).clear()
        return values or _MISSING


def _without_choice(names: Iterable[str], schemas: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return the parameters that have neither choices nor a default."""
    return {name for name in names if not {"enum", "default"} & schemas.get(name, {}).keys()}


def _explained_by(function: Function, schemas: Mapping[str, Mapping[str, Any]]) -> Named:
    """Return the words that a function and its parameters explain."""
    options = [option for schema in schemas.values() for option in schema.get("enum", ())]
    return explained([function.name, function.description, *schemas], options)


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "string")
    return str(kind[0] if isinstance(kind, list) else kind).lower()


def _named(name: str, schema: Mapping[str, Any], text: str) -> Any:
    """Return the value that a prompt gives for a parameter by its name: `year=2026` or `3 digits`."""
    words = re.escape(name).replace("_", "[_ ]")
    value = r"""("[^"]*"|'[^']*'|`[^`]*`|[\w.@/:-]+)"""
    kind = _type(schema)
    if found := re.search(rf"\b{words}\s*[=:]\s*{value}", text, re.IGNORECASE):
        return _cast(found[1], kind)
    if kind in {"integer", "number"}:
        unit = name.rsplit("_", 1)[-1].lower()
        if unit in _UNITS and (measured := re.search(rf"({_DIGITS})\s*{unit}\b", text, re.IGNORECASE)):
            return _cast(measured[1], kind)
        after = re.search(rf"\b{words}\s+(?:is\s+|of\s+)?({_DIGITS})(?!\w)", text, re.IGNORECASE)
        before = re.search(rf"(?<![\w.])({_DIGITS})\s+{words}\b", text, re.IGNORECASE)
        return _cast((after or before)[1], kind) if after or before else _MISSING  # type: ignore[index]
    given = rf"\b{words}\s+(?:is\s+|of\s+)?(?:{_QUOTED.pattern}|({_NAME}))"
    if kind == "string" and (found := re.search(given, text)):
        return next(filter(None, found.groups()))
    return _MISSING


def _cast(text: str, kind: str) -> Any:
    bare = text.strip("\"'`").rstrip(".,;?!")
    if kind in {"integer", "number"}:
        return _number(bare) if re.fullmatch(_DIGITS, bare) else _MISSING
    return bare.lower() in _YES if kind == "boolean" else bare


def _number(word: str) -> float:
    """Return a number, whole if it is written so."""
    if word.lower() in NUMBERS:
        return NUMBERS.index(word.lower()) + 1
    bare = word.replace(",", "")
    return float(bare) if "." in bare else int(bare)


def _strings(text: str) -> list[str]:
    """Return the strings that a prompt quotes, else the names in it; several if it lists them."""
    quoted = [next(filter(None, found.groups())) for found in _QUOTED.finditer(text)]
    if quoted:
        return quoted
    if listed := _SEVERAL.search(text):
        return re.findall(_NAME, listed[0])
    return [found[1] for found in _NAMES.finditer(text)][:1]


def _mentioned(options: list[Any], text: str) -> Any:
    """Return the option that a prompt mentions."""
    for option in options:
        said = re.escape(str(option)).replace("_", "[_ -]")
        if re.search(rf"\b{said}s?\b", text, re.IGNORECASE):
            return option
    return _MISSING


def _long_text(text: str) -> str:
    """Return code or a text that is fenced, quoted, behind a colon, or an expression; empty if none is."""
    if fenced := _FENCE.search(text):
        return fenced[1].strip()
    if quoted := _QUOTED.search(text):
        return str(next(filter(None, quoted.groups())))
    if behind := re.search(r":\s+(\S.*)", text, re.DOTALL):
        return behind[1].strip()
    found = EXPRESSION.search(text)
    return found[0] if found else ""
