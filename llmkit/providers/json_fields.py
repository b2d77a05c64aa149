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
"""OpenAI's last event."""


_PAGE = re.compile(r"\s*<(?:!doctype html|html|head|body)\b", re.IGNORECASE)


_TITLE = re.compile(r"<title[^>]{0,200}>([^<]+)", re.IGNORECASE)


MOST_TOKENS = 10**12
"""What is beyond is no number of tokens, and would not fit into the books."""


_DECIMAL = re.compile(r"\d{1,12}(\.\d{1,30})?([eE]-?\d{1,2})?")


def loads(data: bytes) -> Any:
    """Read JSON as lenient as Python does where the fast reader is strict.

    Args:
        data: One JSON document.

    Raises:
        BadResponseError: If it is none.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        return _loads_slowly(data)


def _loads_slowly(data: bytes) -> Any:
    """Read what orjson refuses but servers send: half a surrogate pair, NaN."""
    import json

    try:
        return json.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BadResponseError(
            f"The server did not send JSON but {excerpt(data.decode('utf-8', 'replace'))}."
        ) from error


def event(data: bytes) -> dict[str, Any]:
    """Read the data of one server-sent event; one without any content is an empty object.

    Proxies that speak several formats send an empty event to keep a connection alive, and OpenAI's
    `[DONE]` to end any stream.

    Raises:
        BadResponseError: If it is no object.
    """
    if not data.startswith(b"{") and data.strip() in {b"", DONE}:
        return {}
    return as_object(loads(data))


def excerpt(value: Any) -> str:
    """Return the beginning of what a server sent, quoted; a key in it is blanked out before it is cut."""
    if isinstance(value, (dict, list)):  # nested too deeply to be written, perhaps
        return "an object" if isinstance(value, dict) else "a list"
    text = redact(str(value)[:10_000])
    if _PAGE.match(text):
        title = _TITLE.search(text)
        return f"a web page, {title[1].strip()[:80]!r}" if title else "a web page"
    return repr(text[:80])


def as_object(value: Any) -> dict[str, Any]:
    """Return a JSON object, an empty one for `null` or what is missing.

    Raises:
        BadResponseError: If it is something else.
    """
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    raise BadResponseError(f"The server sent {excerpt(value)} where an object belongs.")


def lenient_object(value: Any) -> dict[str, Any]:
    """Return a JSON object, an empty one for anything else: for what is not worth an answer, such as usage.

    Example:
        >>> lenient_object({"a": 1}), lenient_object("odd")
        ({'a': 1}, {})
    """
    return value if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """Return a JSON array, an empty one for `null` or what is missing.

    Raises:
        BadResponseError: If it is something else.
    """
    if isinstance(value, list):
        return value
    if value is None:
        return []
    raise BadResponseError(f"The server sent {excerpt(value)} where a list belongs.")


def as_name(value: Any) -> str | None:
    """Return a name or an identifier; `None` for anything else, which is not worth an answer.

    Example:
        >>> as_name("gpt-4o-mini"), as_name(7), as_name("")
        ('gpt-4o-mini', None, None)
    """
    return value if isinstance(value, str) and value else None


def as_text(value: Any) -> str:
    """Return a string, an empty one for `null` or what is missing.

    Raises:
        BadResponseError: If it is something else.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise BadResponseError(f"The server sent {excerpt(value)} where text belongs.")


def token_count(value: Any) -> int | None:
    """Return a number of tokens, or `None` where there is no sensible one.

    Example:
        >>> token_count("12"), token_count(-1), token_count(None)
        (12, None, None)
    """
    # Some servers write counts as text or as 12.0; int() of a long text takes its time.
    if isinstance(value, str) and value.isdecimal() and len(value) <= len(str(MOST_TOKENS)):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= MOST_TOKENS else None


def dollars(value: Any) -> float | None:
    """Return an amount in US dollars that a server states; `None` for anything else.

    Example:
        >>> dollars(0.25), dollars("0.25"), dollars("free")
        (0.25, 0.25, None)
    """
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = float(value)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and 0 <= value < float("inf") else None


def total(*counts: int | None) -> int | None:
    """Return the sum of what is known, `None` if nothing is."""
    known = [n for n in counts if n is not None]
    return sum(known) if known else None
