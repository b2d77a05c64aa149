"""A `CallRecord` as a row: one value per column, in the form that every store takes and returns.

Times are microseconds since 1970 (UTC), money is in nano-dollars, mappings are JSON texts.
"""

from __future__ import annotations

import json
import logging
import math
import operator
from dataclasses import fields
from typing import Any, TypeAlias

import orjson

from llmkit.core.timestamps import from_micros, micros
from llmkit.records import CallRecord

Row: TypeAlias = tuple[Any, ...]
"""The values of one record, in the order of `COLUMNS`; `None` is unknown."""

_KINDS: dict[str, type] = {"datetime": int, "int": int, "bool": int, "float": float}

COLUMNS: dict[str, type] = {
    field.name: _KINDS.get(str(field.type).removesuffix(" | None"), str) for field in fields(CallRecord)
}
"""Name of every column, and the type of its values: `int`, `float` or `str`."""

TIME, UID, TAGS, UNITS = (list(COLUMNS).index(name) for name in ("time", "uid", "tags", "units"))

logger = logging.getLogger(__name__)

INT64 = range(-(2**63), 2**63)

_values = operator.attrgetter(*COLUMNS)
_json = json.JSONEncoder(default=str).encode


def encode(record: CallRecord) -> Row:
    """Return a record as a row."""
    row = list(_values(record))
    row[TIME] = micros(record.time)
    row[TAGS] = _text(dict(record.tags)) if record.tags else None
    # Sorted, so that equal units are equal texts and share a category in the frame.
    row[UNITS] = _text(dict(sorted(record.units.items()))) if record.units else None
    return tuple(row)


def encode_safely(record: CallRecord) -> Row | None:
    """Return a record as a row; `None`, with a note in the log, for what is no record."""
    try:
        return encode(record)
    except (AttributeError, TypeError, ValueError, OverflowError):
        logger.exception("Cannot store the record of a call: %r", record)
        return None


def decode(row: Row) -> CallRecord:
    """Return the record that `encode` made a row of.

    Example:
        >>> from datetime import UTC, datetime
        >>> when = datetime(2026, 11, 22, tzinfo=UTC)
        >>> call = CallRecord(time=when, uid="a", status="ok", provider="p", model="m")
        >>> decode(encode(call)) == call
        True
    """
    values = dict(zip(COLUMNS, row, strict=True))
    values["time"] = from_micros(values["time"])
    values["simulated"] = bool(values["simulated"])
    values |= {name: json.loads(values[name] or "{}") for name in ("tags", "units")}
    return CallRecord(**values)


def _text(labels: dict[str, Any]) -> str:
    try:
        return orjson.dumps(labels).decode()
    except TypeError:  # values of another package, or a lone surrogate
        return _json(labels)


def salvage(row: Row) -> Row:
    """Return a row with values that every database can store; those that do not fit become `None`."""
    return tuple(_storable(value, kind) for value, kind in zip(row, COLUMNS.values(), strict=True))


def _storable(value: object, kind: type) -> object:
    if value is None:
        return None
    if kind is str:
        return str(value).encode(errors="replace").decode()
    try:
        number = float(value) if kind is float else operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    fits = math.isfinite(number) if isinstance(number, float) else number in INT64
    return number if fits else None
