"""The retry policy for all providers; the SDKs' own policies are off."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from llmkit.core.errors import LLMClientError, RateLimitError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

P = ParamSpec("P")
R = TypeVar("R")

LONGEST_WAIT = 60.0
"""Longest pause in seconds; if the provider asks for more, the call fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Number of retries, and the pauses before them.

    Attributes:
        max_retries: Attempts after the first one.
        base_delay: Seconds before the first retry; doubles with each further one.
        max_delay: Longest pause in seconds, unless the provider asks for more.
    """

    max_retries: int = 2
    base_delay: float = 0.5
    max_delay: float = 20.0

    def wait(self, error: LLMClientError, attempt: int) -> float | None:
        """Decide on the next attempt.

        Args:
            error: Reason of the last failure.
            attempt: Number of the last attempt, from 1.

        Returns:
            Seconds to wait, at least what the provider asks for; `None` to give up.

        Example:
            >>> RetryPolicy(max_retries=0).wait(RateLimitError("slow down"), 1) is None
            True
        """
        # A retry after part of the answer would deliver that part twice.
        if not error.retryable or error.partial or attempt > self.max_retries:
            return None
        # Providers may ask for an hour, and a cell that waits so long looks frozen.
        if error.retry_after is not None and error.retry_after > LONGEST_WAIT:
            return None
        # Jitter spreads calls that failed together; none returns before the provider's time.
        pause: float = min(self.base_delay * 2 ** (attempt - 1), self.max_delay)
        return max(pause * random.uniform(1.0, 1.25), error.retry_after or 0.0)  # noqa: S311 - jitter


def come_back(seconds: float, now: datetime | None = None) -> str:
    """Say when to retry.

    Example:
        >>> come_back(90, datetime(2026, 11, 22, 9, 30))
        'The provider asks to wait 90 s: try again after 09:31:30, or use another model.'
    """
    now = now or datetime.now()  # noqa: DTZ005 - local time, for display
    when = now + timedelta(seconds=seconds)
    day = "" if when.date() == now.date() else f"{when:%Y-%m-%d} "
    minutes = math.ceil(seconds / 60)
    span = f"{math.ceil(seconds)} s" if seconds < 120 else f"{minutes} min"
    return f"The provider asks to wait {span}: try again after {day}{when:%H:%M:%S}, or use another model."


def rate_limit_retry(
    max_retries: int = 3, base_delay: float = 1.0
) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """Return a decorator that retries a coroutine function after a rate limit.

    Args:
        max_retries: Total number of calls; at least one is made.
        base_delay: Seconds before the second call; doubles with each further call.

    Returns:
        The decorator. The decorated function returns what the function returns, and raises its last
        `RateLimitError` if every call was rate-limited.

    Example:
        >>> @rate_limit_retry(max_retries=3, base_delay=0.1)
        ... async def ask() -> str:
        ...     return "answer"
        >>> asyncio.run(ask())
        'answer'
    """
    policy = RetryPolicy(max_retries=max(max_retries, 1) - 1, base_delay=base_delay, max_delay=LONGEST_WAIT)
    logger = logging.getLogger("llmkit.clients.retry")

    def decorate(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
        @functools.wraps(function)
        async def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
            attempt = 1
            while True:
                try:
                    return await function(*args, **kwargs)
                except RateLimitError as error:
                    wait = policy.wait(error, attempt)
                    if wait is None:
                        raise
                logger.warning(
                    "Rate limit: retrying in %.1f s (attempt %d of %d)", wait, attempt, max_retries
                )
                await asyncio.sleep(wait)
                attempt += 1

        return wrapper

    return decorate
