"""Rate limits as each provider writes them: headers, and the error of a request above a limit."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from llmkit.sandbox.dialects.dialect import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.sandbox.rate_limits import Breach, Level

_RPC = "type.googleapis.com/google.rpc."
_OPENAI_UNITS = {"requests": "requests per min (RPM)", "tokens": "tokens per min (TPM)"}
_GOOGLE_METRICS = {"requests": "generate_content_requests", "tokens": "generate_content_input_token_count"}
_ROUNDED = 1000
"""Anthropic rounds remaining tokens to thousands."""


def openai_duration(seconds: float) -> str:
    """Write a duration as OpenAI's headers have it.

    Example:
        >>> [openai_duration(wait) for wait in (0.02, 7.66, 360, 5400)]
        ['20ms', '7.66s', '6m0s', '1h30m0s']
    """
    ms = math.ceil(seconds * 1000 - 1e-6)
    if ms < 1000:
        return f"{ms}ms"
    minutes, ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    written = f"{ms / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{written}"
    return f"{minutes}m{written}" if minutes else written


def openai_headers(levels: Mapping[str, Level]) -> dict[str, str]:
    """Write the state of the limits as OpenAI does."""
    found = {}
    for unit, level in levels.items():
        found[f"x-ratelimit-limit-{unit}"] = str(level.limit)
        found[f"x-ratelimit-remaining-{unit}"] = str(_left(level))
        found[f"x-ratelimit-reset-{unit}"] = openai_duration(level.full_in)
    return found


def openai_limited(model: str, breach: Breach) -> RefusedError:
    """Return OpenAI's error for a request above a limit."""
    limit, asked = breach.level.limit, breach.requested
    where = f"for {model} in organization org-sandbox on {_OPENAI_UNITS[breach.unit]}: Limit {limit}"
    if breach.is_too_large:
        text = (
            f"Request too large {where}, Requested {asked}. "
            "The input or output tokens must be reduced in order to run successfully."
        )
        return RefusedError(429, text, kind=breach.unit)
    used = limit - _left(breach.level)
    wait = openai_duration(breach.wait)
    text = f"Rate limit reached {where}, Used {used}, Requested {asked}. Please try again in {wait}."
    headers = {"retry-after-ms": str(math.ceil(breach.wait * 1000)), "retry-after": _whole(breach.wait)}
    return RefusedError(429, text, kind=breach.unit, headers=headers)


def anthropic_headers(levels: Mapping[str, Level]) -> dict[str, str]:
    """Write the state of the limits as Anthropic does.

    Source: "Rate limits", response headers: resets in RFC 3339, remaining tokens rounded to thousands, and
    `tokens` for the most restrictive limit.
    """
    tokens = [level for unit, level in levels.items() if unit != "requests"]
    tightest = {"tokens": min(tokens, key=lambda level: level.remaining)} if tokens else {}
    found = {}
    for unit, level in {**levels, **tightest}.items():
        left = _left(level) if unit == "requests" else round(_left(level) / _ROUNDED) * _ROUNDED
        at = datetime.fromtimestamp(level.now, UTC) + timedelta(seconds=level.full_in)
        found[f"anthropic-ratelimit-{unit}-limit"] = str(level.limit)
        found[f"anthropic-ratelimit-{unit}-remaining"] = str(min(left, level.limit))
        found[f"anthropic-ratelimit-{unit}-reset"] = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    return found


def anthropic_limited(breach: Breach) -> RefusedError:
    """Return Anthropic's error for a request above a limit."""
    limit = f"{breach.level.limit:,} {breach.unit.replace('-', ' ')} per minute"
    text = f"This request would exceed your organization's rate limit of {limit}."
    headers = {} if breach.is_too_large else {"retry-after": _whole(breach.wait)}
    return RefusedError(429, text, headers=headers)


def google_limited(model: str, breach: Breach) -> RefusedError:
    """Return Google's error for a request above a limit; the wait is in its details, not in a header."""
    limit, wait = breach.level.limit, breach.wait
    metric = f"generativelanguage.googleapis.com/{_GOOGLE_METRICS[breach.unit]}"
    text = f"You exceeded your current quota.\n* Quota exceeded for metric: {metric}, limit: {limit}"
    violation = {"quotaMetric": metric, "quotaId": "GenerateContentPerMinute", "quotaValue": str(limit)}
    failure = {
        "@type": f"{_RPC}QuotaFailure",
        "violations": [{**violation, "quotaDimensions": {"model": model}}],
    }
    if breach.is_too_large:
        return RefusedError(429, text, details=(failure,))
    retry = {"@type": f"{_RPC}RetryInfo", "retryDelay": f"{math.ceil(wait)}s"}
    return RefusedError(429, f"{text}\nPlease retry in {wait:.9f}s.", details=(failure, retry))


def _left(level: Level) -> int:
    return max(0, math.floor(level.remaining))


def _whole(seconds: float) -> str:
    return str(math.ceil(seconds))
