"""What one server grants one key for one model: shared by all jobs of an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary

from llmkit.clients.limiter.clock import LoopClock
from llmkit.clients.limiter.concurrency import Concurrency
from llmkit.core.errors import QuotaExceededError, RateLimitError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from llmkit.clients.limiter.clock import Clock, Timer
    from llmkit.clients.limiter.slot import Slot
    from llmkit.content.messages import Usage
    from llmkit.core.errors import LLMClientError

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 20.0
"""Seconds without requests after a rate limit of unknown length; doubled while further ones follow."""


class LimitKey(NamedTuple):
    """Whose limits they are.

    Attributes:
        address: The API's base URL.
        key: A digest of the key, or who has it.
        model: The model's name.
    """

    address: str
    key: Hashable
    model: str


Turn: TypeAlias = "asyncio.Future[Permit]"


class ServerLimiter:
    """Decides when requests are sent: how many at once, and none before a rate limit has passed.

    Attributes:
        concurrency: How many may be under way.
        held: How many are under way, or about to be.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.concurrency = Concurrency()
        self.held = 0
        self._clock: Clock = clock or LoopClock()
        self._blocked_until = self._blocked_at = float("-inf")
        self._pause = FIRST_PAUSE
        self._turns: deque[Turn] = deque()
        self._returning: deque[asyncio.Future[None]] = deque()
        self._jobs: list[Callable[[], None]] = []
        self._timer: Timer | None = None

    @property
    def has_room(self) -> bool:
        """Whether another call may start; not while one waits for its turn, because it would wait, too."""
        return self.held < self.concurrency.limit and not self._turns and not self._returning

    def join(self, start_more: Callable[[], None]) -> None:
        """Call a job's function whenever there may be room."""
        self._jobs.append(start_more)

    def leave(self, start_more: Callable[[], None]) -> None:
        """Forget a job."""
        with suppress(ValueError):  # it has left already
            self._jobs.remove(start_more)

    def time(self) -> float:
        """Return the time of this limiter's clock."""
        return self._clock.time()

    def hold(self) -> None:
        """Count a call."""
        self.held += 1

    def release(self) -> None:
        """Count a call no longer, and let others start."""
        self.held -= 1
        while self._returning and self.held < self.concurrency.limit:
            turn = self._returning.popleft()
            if not turn.done():
                self.hold()
                turn.set_result(None)
        self._start_more()

    async def hold_again(self) -> None:
        """Count a call that has paused, as soon as there is room; it goes before new ones."""
        if self.held < self.concurrency.limit:
            self.hold()
            return
        turn = asyncio.get_running_loop().create_future()
        self._returning.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            raise

    async def admit(self) -> Permit:
        """Wait until a request would not certainly be refused."""
        if not self._turns and self._delay() <= 0:
            return self._permit()
        turn: Turn = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        self._serve()
        return await turn

    def succeeded(self) -> None:
        """An answer came."""
        self._pause = FIRST_PAUSE
        if self.held >= self.concurrency.limit:
            self.concurrency.succeeded()

    def refused(self, sent: float, retry_after: float | None) -> None:
        """A request was rate-limited: fewer at once, and none until the limit has passed."""
        now = self._clock.time()
        self.concurrency.refused(sent, now)
        if retry_after is None:
            if sent < self._blocked_at:
                return
            retry_after, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
        self._blocked_at = now
        self._blocked_until = max(self._blocked_until, now + retry_after)

    def _permit(self) -> Permit:
        return Permit(self, self._clock.time())

    def _delay(self) -> float:
        """Return the seconds until a request may be sent."""
        return self._blocked_until - self._clock.time()

    def _serve(self) -> None:
        """Let those go whose turn it is; set a timer for the others."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._turns:
            if (delay := self._delay()) > 0:
                self._timer = self._clock.call_later(delay, self._serve)
                return
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(self._permit())
        self._start_more()

    def _start_more(self) -> None:
        """Let the jobs start further calls, each one first in its turn."""
        if not self.has_room:
            return
        for start_more in list(self._jobs):
            start_more()
        if len(self._jobs) > 1:  # another one is first next time
            self._jobs.append(self._jobs.pop(0))


class Permit:
    """The leave to send one request, and what its response says about the limits.

    Attributes:
        slot: The call that sends it.
    """

    __slots__ = ("_sent", "_server", "slot")

    def __init__(self, server: ServerLimiter, sent: float) -> None:
        self._server = server
        self._sent = sent
        self.slot: Slot | None = None

    def heed(self, headers: Mapping[str, str]) -> None:
        """Read what a response says about the limits, whatever its status."""

    def settle(self, usage: Usage | None, error: LLMClientError | None) -> None:
        """The request is over: with its usage if it was answered, or with an error, perhaps a rate limit."""
        if isinstance(error, RateLimitError) and not isinstance(error, QuotaExceededError):
            self._server.refused(self._sent, error.retry_after)
        elif error is None and usage is not None:
            self._server.succeeded()
            if self.slot is not None:
                self.slot.answered = True


_limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[LimitKey, ServerLimiter]] = WeakKeyDictionary()
_lock = threading.Lock()


def server_limiter(key: LimitKey) -> ServerLimiter:
    """Return the running event loop's limiter for a server, key and model."""
    loop = asyncio.get_running_loop()
    with _lock:
        of_loop = _limiters.get(loop)
        if of_loop is None:
            of_loop = _limiters[loop] = {}
    found = of_loop.get(key)
    if found is None:
        found = of_loop[key] = ServerLimiter()
    return found
