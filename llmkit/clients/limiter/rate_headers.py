"""What response headers say about rate limits, in the spellings of providers and of the IETF's drafts.

OpenAI, Azure, Groq and xAI share one spelling; Groq's requests are those of a day, which their reset tells.
"""

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


MINUTE, DAY = 60.0, 86400.0


class _Names(NamedTuple):
    unit: Unit
    limit: str
    remaining: str
    reset: str
    period: float | None = None


def _named(pattern: str, unit: Unit, period: float | None = None) -> _Names:
    limit, remaining, reset = (pattern.format(field) for field in ("limit", "remaining", "reset"))
    return _Names(unit, limit, remaining, reset, period)


_OPENAI = (_named("x-ratelimit-{}-requests", "requests"), _named("x-ratelimit-{}-tokens", "tokens"))
_OTHERS = (
    _named("x-ratelimit-{}-req-minute", "requests", MINUTE),  # Mistral
    _named("x-ratelimit-{}-tokens-minute", "tokens", MINUTE),  # Mistral, Cerebras
    _named("x-ratelimit-{}-requests-minute", "requests", MINUTE),
    _named("x-ratelimit-{}-requests-day", "requests", DAY),  # Cerebras
    _named("x-ratelimit-{}", "requests"),  # OpenRouter, Together
    _named("ratelimit-{}", "requests"),  # the IETF's drafts until 2022
)
_ANTHROPIC_UNITS: tuple[Unit, ...] = ("requests", "tokens", "input_tokens", "output_tokens")
_ANTHROPIC = tuple(
    _named(f"anthropic-ratelimit-{unit.replace('_', '-')}-{{}}", unit) for unit in _ANTHROPIC_UNITS
)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_EPOCH = 1e9
"""Resets from this number on are seconds since 1970, or milliseconds as OpenRouter writes them."""

_ROUNDED = 1000
"""Anthropic rounds remaining tokens to thousands."""


class RateHeaders(NamedTuple):
    """The state of one limit, as a response tells it.

    Attributes:
        unit: What it counts.
        limit: Its size.
        remaining: What is left.
        reset: When it will be full again, as the server writes it.
        period: Seconds for which the limit is stated, if the server says so.
    """

    unit: Unit
    limit: float
    remaining: float
    reset: str | None
    period: float | None = None

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
    if _ANTHROPIC[0].limit in headers:
        yield from _read(headers, _ANTHROPIC)
    elif _OPENAI[0].limit in headers or _OPENAI[1].limit in headers:
        yield from _read(headers, _OPENAI)
    elif any("ratelimit" in name.lower() for name in headers):  # most servers tell no limits
        units: set[Unit] = set()
        for said in (*_read(headers, _OTHERS), *_of_draft(headers)):
            if said.unit not in units:
                units.add(said.unit)
                yield said


def _read(headers: Mapping[str, str], family: tuple[_Names, ...]) -> Iterator[RateHeaders]:
    for names in family:
        if (text := headers.get(names.limit)) is None:
            continue
        limit, remaining = _number(text), _number(headers.get(names.remaining))
        if limit and remaining is not None:
            reset = headers.get(names.reset)
            yield RateHeaders(names.unit, limit, min(limit, remaining), reset, names.period)


def _of_draft(headers: Mapping[str, str]) -> Iterator[RateHeaders]:
    """Yield the limit in the fields of the IETF's later drafts, such as `"default";r=50;t=30`."""
    left, policies = _items(headers.get("ratelimit")), _items(headers.get("ratelimit-policy"))
    for name, values in left.items():
        policy = policies.get(name, {})
        limit, remaining = _number(policy.get("q")), _number(values.get("r"))
        if limit and remaining is not None and policy.get("qu", '"requests"').strip('"') == "requests":
            period = _number(policy.get("w")) or None
            yield RateHeaders("requests", limit, min(limit, remaining), values.get("t"), period)
            return


def _items(field: str | None) -> dict[str, dict[str, str]]:
    """Return the items of a structured field by name, with their parameters."""
    found = {}
    for item in (field or "").split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        found[name.strip('"')] = dict(one.split("=", 1) for one in parameters if "=" in one)
    return found


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
    plain = _number(reset)
    if plain is not None and plain < _EPOCH:
        return plain
    if plain is None and (found := _DURATION.findall(reset)):
        return sum(float(number) * _SECONDS[unit] for number, unit in found)
    try:
        at = _aware(datetime.fromisoformat(reset)).timestamp() if plain is None else _since_epoch(plain)
        now = parsedate_to_datetime(date) if date else datetime.now(UTC)
        return max(0.0, at - _aware(now).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


def _since_epoch(number: float) -> float:
    return number / 1000 if number > 1000 * _EPOCH else number


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
