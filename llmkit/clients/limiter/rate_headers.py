"""What response headers say about rate limits, as OpenAI (and servers like it) and Anthropic write them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Unit: TypeAlias = Literal["requests", "tokens", "input_tokens", "output_tokens"]
"""What a limit counts; `tokens` are those of prompt and answer together."""


class _Names(NamedTuple):
    unit: Unit
    limit: str
    remaining: str
    reset: str


_FIELDS = ("limit", "remaining", "reset")
_OPENAI = tuple(
    _Names(unit, *(f"x-ratelimit-{field}-{unit}" for field in _FIELDS)) for unit in ("requests", "tokens")
)
_ANTHROPIC_UNITS: tuple[Unit, ...] = ("requests", "tokens", "input_tokens", "output_tokens")
_ANTHROPIC = tuple(
    _Names(unit, *(f"anthropic-ratelimit-{unit.replace('_', '-')}-{field}" for field in _FIELDS))
    for unit in _ANTHROPIC_UNITS
)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_ROUNDED = 1000
"""Anthropic rounds remaining tokens to thousands."""


class RateHeaders(NamedTuple):
    """The state of one limit, as a response tells it.

    Attributes:
        unit: What it counts.
        limit: Its size.
        remaining: What is left.
        reset: When it will be full again, as the server writes it.
    """

    unit: Unit
    limit: float
    remaining: float
    reset: str | None

    @property
    def rounding(self) -> float:
        """How much less may be left than it says."""
        tokens = self.unit != "requests"
        return _ROUNDED / 2 if tokens and self.remaining % _ROUNDED == 0 < self.remaining else 0.0


def rate_headers(headers: Mapping[str, str]) -> Iterator[RateHeaders]:
    """Yield the limits that headers tell; what makes no sense is left out.

    Example:
        >>> said = {"x-ratelimit-limit-requests": "500", "x-ratelimit-remaining-requests": "499"}
        >>> [(one.unit, one.limit, one.remaining) for one in rate_headers(said)]
        [('requests', 500.0, 499.0)]
    """
    for names in _ANTHROPIC if _ANTHROPIC[0].limit in headers else _OPENAI:
        if (text := headers.get(names.limit)) is None:
            continue
        limit, remaining = _number(text), _number(headers.get(names.remaining))
        if limit and remaining is not None:
            yield RateHeaders(names.unit, limit, min(limit, remaining), headers.get(names.reset))


def seconds_until(reset: str | None, date: str | None) -> float | None:
    """Return the seconds until a reset: a duration, or a time compared with the server's own clock.

    Args:
        reset: The reset, as the server writes it.
        date: The response's `date` header, because the clock here may be wrong.

    Example:
        >>> seconds_until("6m0s", None), seconds_until("20ms", None), seconds_until("soon", None)
        (360.0, 0.02, None)
    """
    if not reset:
        return None
    if (plain := _number(reset)) is not None:
        return plain
    if found := _DURATION.findall(reset):
        return sum(float(number) * _SECONDS[unit] for number, unit in found)
    try:
        at = datetime.fromisoformat(reset)
        now = parsedate_to_datetime(date) if date else datetime.now(UTC)
        return max(0.0, (_aware(at) - _aware(now)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
