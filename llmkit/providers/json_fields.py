"""JSON that servers send, read field by field: strictly where an answer depends on it, else leniently."""

from __future__ import annotations

import re
from typing import Any

import orjson

from llmkit.core.errors import (
    BadResponseError,
)
from llmkit.core.redaction import redact

DONE = b"[DONE]"
"""The last event of OpenAI's streams."""


_PAGE = re.compile(r"\s*<(?:!doctype html|html|head|body)\b", re.IGNORECASE)


_TITLE = re.compile(r"<title[^>]{0,200}>([^<]+)", re.IGNORECASE)


MOST_TOKENS = 10**12
"""Maximum valid number of tokens; larger ones would not fit into the ledger."""


_DECIMAL = re.compile(r"\d{1,12}(\.\d{1,30})?([eE]-?\d{1,2})?")
_TOO_MUCH = 1e9
"""No call costs a billion dollars; the ledger's integers end not far above."""


def loads(data: bytes) -> Any:
    """Parse JSON; if the fast parser rejects it, parse it as leniently as Python does.

    Args:
        data: One JSON document.

    Raises:
        BadResponseError: If it is not JSON.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        return _loads_slowly(data)


def _loads_slowly(data: bytes) -> Any:
    """Parse what orjson rejects but servers send: half a surrogate pair, NaN."""
    import json

    try:
        # `utf-8-sig`, because a few servers begin with a byte order mark.
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadResponseError(
            f"The server did not send JSON but {excerpt(data.decode('utf-8', 'replace'))}."
        ) from error


def event(data: bytes) -> dict[str, Any]:
    """Parse the data of one server-sent event; an empty event is an empty object.

    Proxies that support several formats send an empty event to keep a connection alive, and OpenAI's
    `[DONE]` to end any stream.

    Raises:
        BadResponseError: If it is not an object.
    """
    if not data.startswith(b"{") and data.strip() in {b"", DONE}:
        return {}
    return as_object(loads(data))


def excerpt(value: Any) -> str:
    """Return the quoted beginning of a server's response, redacted before it is cut."""
    if isinstance(value, (dict, list)):  # may be nested too deeply to be encoded
        return "an object" if isinstance(value, dict) else "a list"
    text = redact(str(value)[:10_000])
    if _PAGE.match(text):
        title = _TITLE.search(text)
        return f"a web page, {title[1].strip()[:80]!r}" if title else "a web page"
    return repr(text[:80])


def as_object(value: Any) -> dict[str, Any]:
    """Return a JSON object; an empty one for `null` or a missing value.

    Raises:
        BadResponseError: If it has another type.
    """
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    raise BadResponseError(f"The server sent {excerpt(value)} instead of an object.")


def lenient_object(value: Any) -> dict[str, Any]:
    """Return a JSON object, an empty one for anything else; for metadata that must not fail an answer.

    Example:
        >>> lenient_object({"a": 1}), lenient_object("odd")
        ({'a': 1}, {})
    """
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return a JSON array; an empty one for `null` or a missing value.

    Raises:
        BadResponseError: If it has another type.
    """
    if isinstance(value, list):
        return value
    if value is None:
        return []
    raise BadResponseError(f"The server sent {excerpt(value)} instead of a list.")


def as_name(value: Any) -> str | None:
    """Return a name or an identifier; `None` for anything else, because it must not fail an answer.

    Example:
        >>> as_name("gpt-4o-mini"), as_name(7), as_name("")
        ('gpt-4o-mini', None, None)
    """
    return value if isinstance(value, str) and value else None


def as_text(value: Any) -> str:
    """Return a string; an empty one for `null` or a missing value.

    Raises:
        BadResponseError: If it has another type.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise BadResponseError(f"The server sent {excerpt(value)} instead of a string.")


def token_count(value: Any) -> int | None:
    """Return a number of tokens, or `None` if it is invalid.

    Example:
        >>> token_count("12"), token_count(-1), token_count(None)
        (12, None, None)
    """
    if value.__class__ is int and 0 <= value <= MOST_TOKENS:  # the common case
        return int(value)
    return _lenient_count(value)


def _lenient_count(value: Any) -> int | None:
    # Some servers send counts as strings or as 12.0; int() of a long string is slow.
    if isinstance(value, str) and value.isdecimal() and len(value) <= len(str(MOST_TOKENS)):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= MOST_TOKENS else None


def dollars(value: Any) -> float | None:
    """Return an amount in US dollars reported by a server; `None` for anything else.

    Example:
        >>> dollars(0.25), dollars("0.25"), dollars("free")
        (0.25, 0.25, None)
    """
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and 0 <= value < _TOO_MUCH else None


def total(*counts: int | None) -> int | None:
    """Return the sum of the known values; `None` if none is known."""
    known = [n for n in counts if n is not None]
    return sum(known) if known else None
