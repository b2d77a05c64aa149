"""The deadlines of a call, and the clock that watches them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from llmkit.core import settings
from llmkit.core.errors import ConfigurationError, LLMTimeoutError
from llmkit.transport.base import CONNECT_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

    from llmkit.clients.engine.call import Call

T = TypeVar("T")

CLOSE_GRACE = 5.0
"""Seconds that a server has to close a stream after its terminal marker; usage may still follow."""

TRAILING_GRACE = 0.25
"""Seconds that it has after an event that nothing can follow: a connection that ends well is used again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Deadlines of a call, in seconds; `None` is no limit.

    Attributes:
        connect: For a connection.
        first_token: From sending to the first text or reasoning.
        idle: From one text to the next; pings and empty pieces do not count.
        total: For the whole call, retries included.

    Raises:
        ConfigurationError: If one of them is not above 0.
    """

    connect: float = CONNECT_TIMEOUT
    first_token: float | None = 300.0
    idle: float | None = 120.0
    total: float | None = 600.0

    def __post_init__(self) -> None:
        for name in ("connect", "first_token", "idle", "total"):
            seconds = getattr(self, name)
            if seconds is not None and not seconds > 0:
                raise ConfigurationError(f"{name}={seconds} cannot be: seconds above 0 are expected.")


def timeouts(timeout: float | Timeouts | None) -> Timeouts:
    """Return the deadlines that an argument stands for.

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
        raise ConfigurationError(f"timeout={total} cannot be: seconds above 0 are expected.")
    return Timeouts(connect=min(CONNECT_TIMEOUT, total), total=total)


class Deadlines:
    """The clock of one attempt: it knows which deadline is next, and raises when that has passed."""

    def __init__(self, timeouts: Timeouts, end: float | None, call: Call) -> None:
        self._clock = asyncio.get_running_loop().time
        self._timeouts = timeouts
        self._end = end
        self._call = call
        # A whole answer has no first token: only the total counts.
        self._limit = timeouts.first_token if call.request.stream else None
        self._moving = False
        self._since = self._clock()
        self._scope: asyncio.Timeout | None = None

    def moved(self, limit: float | None = None) -> None:
        """Note that text or reasoning came, or that the reader is back for more: idle time begins anew."""
        self._moving = True
        if self._call.request.stream:
            self._limit = self._timeouts.idle if limit is None else limit
        self._since = self._clock()
        if self._scope is not None:
            self._scope.reschedule(self._next())

    async def within(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for something until the next deadline; what has arrived already needs no timer."""
        try:
            pending = work.send(None)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # it is the coroutine's T
        scope = self._scope = asyncio.timeout_at(self._next())
        try:
            async with scope:
                return await _Rest(work, pending)
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise self._passed() from error
        finally:
            self._scope = None

    def _next(self) -> float | None:
        step = None if self._limit is None else self._since + self._limit
        if step is None or self._end is None:
            return self._end if step is None else step
        return min(step, self._end)

    def _passed(self) -> LLMTimeoutError:
        total = self._next() == self._end
        if total:
            text = f"the total timeout of {self._timeouts.total:g} s passed"
        elif self._moving:
            text = f"the idle timeout passed: no text for {self._limit:g} s"
        else:
            text = f"the first-token timeout of {self._limit:g} s passed"
        name = f"{self._call.provider}:{self._call.request.model}"
        return LLMTimeoutError(f"{name}: {text}.", retryable=not (total or self._call.started))


class _Rest(Generic[T]):
    """What is left of a coroutine that has begun: it waits for something."""

    def __init__(self, work: Coroutine[Any, Any, T], pending: Any) -> None:
        self._work = work
        self._pending = pending

    def __await__(self) -> Generator[Any, Any, T]:
        work, pending = self._work, self._pending
        try:
            while True:
                try:
                    sent = yield pending
                except GeneratorExit:
                    work.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - it is the coroutine's: a cancellation, mostly
                    pending = work.throw(error)
                else:
                    pending = work.send(sent)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # as above
