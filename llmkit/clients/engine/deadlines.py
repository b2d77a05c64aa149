"""The timeouts of a call and their clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from llmkit.core import settings
from llmkit.core.errors import ConfigurationError, LLMTimeoutError
from llmkit.transport.base import CONNECT_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from llmkit.clients.engine.call import Call

T = TypeVar("T")

CLOSE_GRACE = 5.0
"""Seconds to wait for the end of a stream after its terminal marker; usage may still follow."""

TRAILING_GRACE = 0.25
"""Seconds to wait after the last possible event, so that the connection can be reused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Timeouts of a call, in seconds; `None` means no limit.

    Attributes:
        connect: Until a connection is established.
        first_token: From sending to the first text or reasoning.
        idle: Between chunks of text; pings and empty chunks do not count.
        total: For the whole call, including retries.

    Raises:
        ConfigurationError: If one of them is not > 0.
    """

    connect: float = CONNECT_TIMEOUT
    first_token: float | None = 300.0
    idle: float | None = 120.0
    total: float | None = 600.0

    def __post_init__(self) -> None:
        for name in ("connect", "first_token", "idle", "total"):
            seconds = getattr(self, name)
            if seconds is not None and not seconds > 0:
                raise ConfigurationError(f"{name} must be > 0 seconds, got {seconds}.")


def timeouts(timeout: float | Timeouts | None) -> Timeouts:
    """Convert a `timeout` argument.

    Example:
        >>> timeouts(5).total
        5
    """
    if isinstance(timeout, Timeouts):
        return timeout
    total = settings.load().timeout if timeout is None else timeout
    if total is None:
        return Timeouts()
    if not total > 0:
        raise ConfigurationError(f"timeout must be > 0 seconds, got {total}.")
    # A connection must not be allowed more time than the whole call.
    return Timeouts(connect=min(CONNECT_TIMEOUT, total), total=total)


class Deadlines:
    """The clock of one attempt; raises when the next deadline expires."""

    def __init__(self, timeouts: Timeouts, end: float | None, call: Call) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeouts = timeouts
        self._end = end
        self._call = call
        # An answer that is not streamed has no first token; only the total applies.
        self._limit = timeouts.first_token if call.request.stream else None
        self._moving = False
        self._since = self._loop.time()
        # One timer for all waits of the attempt: `asyncio.timeout` would set and cancel one for each chunk.
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[Any] | None = None
        self._expired = False

    def moved(self, limit: float | None = None) -> None:
        """Restart the idle timeout: text or reasoning arrived, or the reader asks for more."""
        self._moving = True
        self._since = self._loop.time()
        if self._call.request.stream:
            limit = self._timeouts.idle if limit is None else limit
            if limit != self._limit:  # a shorter deadline may pass before the timer fires
                self._limit = limit
                self.stop()
                if self._waiting is not None:
                    self._watch()

    def stop(self) -> None:
        """Stop watching: the attempt is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def within(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait until the next deadline; a result that has already arrived is returned in any case."""
        task = self._waiting = asyncio.current_task()
        assert task is not None
        # Somebody else may cancel the task as well; only our own request is taken back below.
        cancelling = task.cancelling()
        self._watch()
        try:
            return await work
        except BaseException as error:
            self.stop()
            ours = self._expired and task.cancelling() == cancelling + 1  # else the task was cancelled, too
            if not (ours and isinstance(error, asyncio.CancelledError)):
                raise
            raise self._passed() from None
        finally:
            self._waiting = None
            if self._expired:
                self._expired = False
                # Otherwise an `asyncio.timeout` or task group around the call would see a cancellation.
                task.uncancel()

    def _watch(self) -> None:
        """Set the timer, unless it is set; `_look` notices a deadline that has moved."""
        if self._timer is None and (end := self._next()) is not None:
            self._timer = self._loop.call_at(end, self._look)

    def _look(self) -> None:
        """End the wait if its deadline has passed; without a waiter, the next wait sets the timer again."""
        self._timer = None
        end = self._next()
        if self._waiting is None or end is None:
            return
        if self._loop.time() < end:
            self._watch()
        else:
            self._expired = True
            self._waiting.cancel()

    def _next(self) -> float | None:
        step = None if self._limit is None else self._since + self._limit
        if step is None or self._end is None:
            return self._end if step is None else step
        return min(step, self._end)

    def _passed(self) -> LLMTimeoutError:
        total = self._next() == self._end
        hint = "Try again, or set a longer one: timeout=llmkit.Timeouts({}=…)."
        if total:
            text = f"the total timeout of {self._timeouts.total:g} s expired"
            hint = LLMTimeoutError.default_hint
        elif self._moving:
            text = f"the idle timeout expired: no text for {self._limit:g} s"
            hint = hint.format("idle")
        else:
            text = f"the first-token timeout of {self._limit:g} s expired"
            hint = hint.format("first_token")
        name = f"{self._call.provider}:{self._call.request.model}"
        # After the total there is no time for a retry; after text, a retry would repeat it.
        return LLMTimeoutError(f"{name}: {text}.", hint=hint, retryable=not (total or self._call.started))
