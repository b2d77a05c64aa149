"""Whether to try again, and when: one policy for every provider; the SDKs' own is off."""

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
"""Seconds that a call may wait in silence; a provider that asks for more gets an error instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often to try again, and how long to wait before.

    Attributes:
        max_retries: Tries after the first one.
        base_delay: Seconds before the first retry; each further one doubles it.
        max_delay: Longest pause of our own choosing, in seconds.
    """

    max_retries: int = 2
    base_delay: float = 0.5
    max_delay: float = 20.0

    def wait(self, error: LLMClientError, attempt: int) -> float | None:
        """Decide about the next try.

        Args:
            error: Why the last one failed.
            attempt: Its number, from 1.

        Returns:
            Seconds to wait, never less than the provider asks for; `None` to give up.

        Example:
            >>> RetryPolicy(max_retries=0).wait(RateLimitError("slow down"), 1) is None
            True
        """
        if not error.retryable or error.partial or attempt > self.max_retries:
            return None
        if error.retry_after is not None and error.retry_after > LONGEST_WAIT:
            return None
        # Calls that failed together shall not come back together, and none before the provider's own time.
        pause: float = min(self.base_delay * 2 ** (attempt - 1), self.max_delay)
        return max(pause * random.uniform(1.0, 1.25), error.retry_after or 0.0)  # noqa: S311 - jitter


def come_back(seconds: float, now: datetime | None = None) -> str:
    """Say when another try makes sense.

    Example:
        >>> come_back(90, datetime(2026, 11, 22, 9, 30))
        'It asks to wait 90 s: try again after 09:31:30, or use another model.'
    """
    now = now or datetime.now()  # noqa: DTZ005 - local, for a person to read
    when = now + timedelta(seconds=seconds)
    day = "" if when.date() == now.date() else f"{when:%Y-%m-%d} "
    minutes = math.ceil(seconds / 60)
    span = f"{math.ceil(seconds)} s" if seconds < 120 else f"{minutes} min"
    return f"It asks to wait {span}: try again after {day}{when:%H:%M:%S}, or use another model."


def rate_limit_retry(
    max_retries: int = 3, base_delay: float = 1.0
) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
    """Make a decorator that calls a coroutine function again when it meets a rate limit.

    Args:
        max_retries: Calls in all; at least one is made.
        base_delay: Seconds before the second call; each further pause doubles.

    Returns:
        The decorator. The decorated function returns what the function returns, and raises its last
        `RateLimitError` if every call met the limit.

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
                    "Rate limit: trying again in %.1f s (attempt %d of %d)", wait, attempt, max_retries
                )
                await asyncio.sleep(wait)
                attempt += 1

        return wrapper

    return decorate
