"""Health checks: list the provider's models, which costs nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import perf_counter
from typing import TYPE_CHECKING

from llmkit.core.errors import LLMClientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The result of a health check.

    Attributes:
        provider: Name of the provider.
        ok: Whether it listed its models.
        latency_s: Seconds until it answered.
        models: Names of its models.
        error: Reason of the failure.
        skew_s: Seconds by which this machine's clock is ahead of the provider's, to about a second; `None` if
            unknown.
    """

    provider: str
    ok: bool
    latency_s: float
    models: tuple[str, ...] = ()
    error: LLMClientError | None = None
    skew_s: float | None = None

    def __bool__(self) -> bool:
        return self.ok


async def check(
    provider: str, list_models: Callable[[], Awaitable[tuple[list[str], Mapping[str, str]]]]
) -> Health:
    """List a provider's models and measure the time."""
    began, start = time.time(), perf_counter()
    try:
        names, headers = await list_models()
    except LLMClientError as error:
        return Health(provider=provider, ok=False, latency_s=perf_counter() - start, error=error)
    latency = perf_counter() - start
    # The server wrote its `Date` about halfway through the request.
    skew = clock_skew(headers, began + latency / 2)
    return Health(provider=provider, ok=True, latency_s=latency, models=tuple(names), skew_s=skew)


def clock_skew(headers: Mapping[str, str], now: float) -> float | None:
    """Compare a clock with the one of the server that sent these headers.

    Example:
        >>> clock_skew({"date": "Thu, 01 Jan 1970 00:01:00 GMT"}, 63.5)
        3.0

    Source:
        RFC 9110, 6.6.1: `Date` has whole seconds, so it is half a second behind on average.
    """
    # A cache has answered, so the `Date` is older than this request.
    if "age" in headers:
        return None
    try:
        sent = parsedate_to_datetime(headers.get("date") or "")
        return now - sent.timestamp() - 0.5
    except (TypeError, ValueError, OverflowError):
        return None
