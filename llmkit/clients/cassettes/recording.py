"""One recorded answer, and its bytes in a file: compressed JSON, read with suspicion."""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from llmkit.content.messages import Usage

LIMIT = 64 * 2**20
"""Longest answer or request that is unpacked, in bytes: a few bytes of a file can stand for gigabytes."""

UNREADABLE = (ValueError, TypeError, KeyError, RecursionError, zlib.error)
"""What unpacking raises for bytes that are not what was packed."""

KINDS: dict[str, Any] = {
    "text": str,
    **dict.fromkeys(("finish_reason", "model", "tier", "request_id"), str | None),
    **dict.fromkeys(("cost_usd", "duration_s", "first_token_s"), int | float | None),
    "simulated": bool,
}
"""Types of a recording's values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One recorded answer.

    Attributes:
        text: The whole text.
        usage: Tokens as the provider reported them; `None` if it did not.
        finish_reason: Why the answer ended.
        model: Model that answered, in the provider's words.
        tier: The provider's service tier.
        request_id: The provider's identifier of the request.
        cost_usd: Price as the provider itself reported it, in US dollars.
        recorded_at: When the answer ended (aware, UTC).
        duration_s: Seconds the call took.
        first_token_s: Seconds to its first text.
        simulated: Whether the sandbox answered.
        parts: What was not text, as JSON objects in the provider's own form.
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

    @classmethod
    def of(cls, values: dict[str, Any]) -> Recording:
        """Build a recording from JSON values; what somebody else wrote into a file does not get past here."""
        usage = None if values["usage"] is None else Usage(**values["usage"])
        time = datetime.fromisoformat(values["recorded_at"]).astimezone(UTC)
        parts = tuple(values.get("parts", ()))  # older files have none
        recording = cls(**{**values, "usage": usage, "recorded_at": time, "parts": parts})
        if not all(isinstance(part, dict) for part in parts):
            raise ValueError("a part is no object")
        _check(recording, KINDS)
        if usage is not None:
            _check(usage, dict.fromkeys(values["usage"].keys() - {"units"}, int | None))
            _check_units(usage.units)
        return recording

    @property
    def values(self) -> dict[str, Any]:
        """All of it as JSON values."""
        values = asdict(self) | {"recorded_at": self.recorded_at.isoformat()}
        if self.usage is not None and not self.usage.units:
            del values["usage"]["units"]  # a file without them can be read by earlier versions, too
        if not self.parts:
            del values["parts"]
        return values


def pack(value: Any) -> bytes:
    """Write JSON values as bytes: compressed by zlib, whose checksum notices damage.

    Example:
        >>> unpack(pack({"text": "Hi"}))
        {'text': 'Hi'}
    """
    return zlib.compress(json.dumps(value, separators=(",", ":")).encode())


def unpack(data: bytes) -> Any:
    """Read what `pack` wrote."""
    unpacking = zlib.decompressobj()
    text = unpacking.decompress(data, LIMIT)
    if not unpacking.eof:
        raise ValueError("it is incomplete, or too long")
    return json.loads(text)


def _check_units(units: Any) -> None:
    counts = units.items() if isinstance(units, dict) else [("units", units)]
    for name, count in counts:
        if type(count) is not int or count < 0:
            raise ValueError(f"{name!r:.40} is {count!r:.40}")


def _check(thing: Any, kinds: dict[str, Any]) -> None:
    """Make sure that attributes have their types, and that numbers are sensible."""
    for name, kind in kinds.items():
        value = getattr(thing, name)
        if not isinstance(value, kind) or (isinstance(value, int | float) and not 0 <= value < math.inf):
            raise ValueError(f"{name} is {value!r:.40}")
