"""One recorded answer and its file format: compressed JSON, validated when read."""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from llmkit.content.messages import Usage
from llmkit.content.parts import Part, part_of, values_of

LIMIT = 64 * 2**20
"""Maximum size of an unpacked answer or request, in bytes: a small file can expand to gigabytes."""

UNREADABLE = (ValueError, TypeError, KeyError, RecursionError, zlib.error)
"""Exceptions that unpacking raises for invalid bytes."""

KINDS: dict[str, Any] = {
    "text": str,
    **dict.fromkeys(("finish_reason", "model", "tier", "request_id"), str | None),
    **dict.fromkeys(("cost_usd", "duration_s", "first_token_s"), int | float | None),
    "simulated": bool,
}
"""Expected types of a recording's values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recorded answer.

    Attributes:
        text: The complete text.
        usage: Tokens reported by the provider; `None` if there were none.
        finish_reason: Why the answer ended.
        model: Model that answered, in the provider's spelling.
        tier: The provider's service tier.
        request_id: The provider's request identifier.
        cost_usd: Price reported by the provider, in US dollars.
        recorded_at: When the answer ended (aware, UTC).
        duration_s: Duration of the call in seconds.
        first_token_s: Seconds until the first text.
        simulated: Whether the sandbox answered.
        parts: Parts other than text, as JSON objects in the provider's own format.
        content: All parts in order; `None` if there is only text, and in files of version 1.
    """

    text: str
    usage: Usage | None = None
    finish_reason: str | None = None
    model: str | None = None
    tier: str | None = None
    request_id: str | None = None
    cost_usd: float | None = None
    recorded_at: datetime
    duration_s: float | None = None
    first_token_s: float | None = None
    simulated: bool = False
    parts: tuple[dict[str, Any], ...] = ()
    content: tuple[Part, ...] | None = None

    @classmethod
    def of(cls, values: dict[str, Any]) -> Recording:
        """Build a recording from JSON values; invalid values raise."""
        usage = None if values["usage"] is None else Usage(**values["usage"])
        time = datetime.fromisoformat(values["recorded_at"]).astimezone(UTC)
        parts = tuple(values.get("parts", ()))  # absent in older files
        written = values.get("content")
        content = None if written is None else tuple(map(part_of, written))
        changed = {"usage": usage, "recorded_at": time, "parts": parts, "content": content}
        # An unknown name raises TypeError, which counts as damage.
        recording = cls(**{**values, **changed})
        if not all(isinstance(part, dict) for part in parts):
            raise ValueError("a part is not an object")
        _check(recording, KINDS)
        if usage is not None:
            _check(usage, dict.fromkeys(values["usage"].keys() - {"units"}, int | None))
            _check_units(usage.units)
        return recording

    @property
    def values(self) -> dict[str, Any]:
        """The recording as JSON values."""
        values = asdict(replace(self, content=None)) | {"recorded_at": self.recorded_at.isoformat()}
        if self.usage is not None and not self.usage.units:
            del values["usage"]["units"]  # omitted, so that earlier versions can read the file
        if not self.parts:
            del values["parts"]
        del values["content"]
        if self.content is not None:
            values["content"] = list(map(values_of, self.content))
        return values


def pack(value: Any) -> bytes:
    """Convert JSON values to bytes, compressed by zlib, whose checksum detects damage.

    Example:
        >>> unpack(pack({"text": "Hi"}))
        {'text': 'Hi'}
    """
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode())


def unpack(data: bytes) -> Any:
    """Inverse of `pack`."""
    unpacking = zlib.decompressobj()
    text = unpacking.decompress(data, LIMIT)
    if not unpacking.eof:
        raise ValueError("it is incomplete or too long")
    return json.loads(text)


def _check_units(units: Any) -> None:
    counts = units.items() if isinstance(units, dict) else [("units", units)]
    for name, count in counts:
        # `isinstance` would accept True and False.
        if type(count) is not int or count < 0:
            raise ValueError(f"{name!r:.40} is {count!r:.40}")


def _check(thing: Any, kinds: dict[str, Any]) -> None:
    """Check the types of attributes and the range of numbers."""
    for name, kind in kinds.items():
        value = getattr(thing, name)
        if not isinstance(value, kind) or (isinstance(value, int | float) and not 0 <= value < math.inf):
            raise ValueError(f"{name} is {value!r:.40}")
