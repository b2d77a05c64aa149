"""Values in one short line, for `repr`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from llmkit.core.redaction import redact

ITEMS = 5
"""Items of a collection that are shown."""


def brief(value: Any, limit: int = 80) -> str:
    r"""Return a value as Python shows it, but short: long text is cut, data is counted, keys are left out.

    Example:
        >>> brief("two\nlines"), brief("a b " * 50, 12), brief("QUJD" * 50)
        ("'two\\nlines'", "'a b a b a b…'", '<200 characters>')
        >>> brief({"image": "QUJD" * 50, "size": 3})
        "{'image': <200 characters>, 'size': 3}"
    """
    if isinstance(value, str):
        return _text(value, limit)
    if isinstance(value, Mapping):
        pairs = [f"{brief(name, 40)}: {brief(one, 40)}" for name, one in islice(value.items(), ITEMS)]
        return f"{{{', '.join([*pairs, *_more(value)])}}}"
    if isinstance(value, (list, tuple)):
        inner = ", ".join([*(brief(one, 40) for one in value[:ITEMS]), *_more(value)])
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
    if isinstance(value, (bytes, bytearray)):
        return f"<{len(value):,} bytes>"
    return repr(value)


def _text(value: str, limit: int) -> str:
    value = redact(value)
    if len(value) <= limit:
        return repr(value)
    if not any(character.isspace() for character in value[:limit]):
        return f"<{len(value):,} characters>"
    return repr(value[: limit - 1].rstrip() + "…")


def _more(value: Mapping[Any, Any] | list[Any] | tuple[Any, ...]) -> list[str]:
    return ["…"] if len(value) > ITEMS else []
