"""What one server grants one key for one model: shared by all jobs of an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from llmkit.clients.engine.retry import come_back
from llmkit.clients.limiter.clock import LoopClock
from llmkit.clients.limiter.concurrency import Concurrency
from llmkit.clients.limiter.demand import Expectation
from llmkit.clients.limiter.permit import Permit
from llmkit.core.errors import QuotaExceededError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from llmkit.clients.limiter.clock import Clock, Timer
    from llmkit.clients.limiter.rate_headers import Unit
    from llmkit.clients.limiter.slot import Slot
    from llmkit.clients.limiter.token_bucket import TokenBucket
    from llmkit.providers.codec import Request

LONGEST_WAIT = 65.0
"""Seconds to wait for a limit, those of a whole minute included; a job that waits longer looks frozen."""

SHORTEST_WAIT = 0.001
"""Seconds; so that rounding does not make a timer of no time."""

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


class _Turn(NamedTuple):
    """A request that waits for the limits."""

    permit: Permit
    granted: asyncio.Future[None]


class ServerLimiter:
    """Decides when requests are sent: how many at once, and none before a rate limit has passed.

    Attributes:
        clock: Its time; by default the event loop's.
        concurrency: How many may be under way.
        held: How many are under way, or about to be.
        buckets: What is left of its limits, as far as it tells.
        expected: What its requests need.
        under_way: The requests that were sent and are not over.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.concurrency = Concurrency()
        self.held = 0
        self.buckets: dict[Unit, TokenBucket] = {}
        self.expected = Expectation()
        self.under_way: set[Permit] = set()
        self.clock: Clock = clock or LoopClock()
        self._blocked_until = self._blocked_at = float("-inf")
        self._resumes = float("-inf")  # in real time: the clock has the time of its event loop only
        self._pause = FIRST_PAUSE
        self._turns: deque[_Turn] = deque()
        self._returning: deque[asyncio.Future[None]] = deque()
        self._jobs: list[Callable[[], None]] = []
        self._timer: Timer | None = None

    @property
    def has_room(self) -> bool:
        """Whether another call may start; not while one waits for its turn, because it would wait, too."""
        return self.held < self.concurrency.limit and not self._turns and not self._returning

    @property
    def pause(self) -> float:
        """Seconds until requests are sent again; 0 if none waits. For display, from any thread."""
        return max(0.0, self._resumes - monotonic())

    def join(self, start_more: Callable[[], None]) -> None:
        """Call a job's function whenever there may be room."""
        self._jobs.append(start_more)

    def leave(self, start_more: Callable[[], None]) -> None:
        """Forget a job."""
        with suppress(ValueError):  # it has left already
            self._jobs.remove(start_more)

    def time(self) -> float:
        """Return the time of this limiter's clock."""
        return self.clock.time()

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

    async def admit(self, request: Request, slot: Slot) -> Permit:
        """Wait until a request would not certainly be refused.

        Raises:
            QuotaExceededError: If that will take minutes.
        """
        permit = Permit(self, slot, request)
        if not self._turns and self._delay(permit) <= 0:
            permit.use()
            return permit
        turn = _Turn(permit, asyncio.get_running_loop().create_future())
        self._turns.append(turn)
        self.serve()
        try:
            await turn.granted
        except asyncio.CancelledError:
            if turn.granted.done() and not turn.granted.cancelled():
                permit.give_back()
            raise
        return permit

    def serve(self) -> None:
        """Let those go whose turn it is; set a timer for the next one."""
        if not self._turns:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._turns:
            turn = self._turns[0]
            if not turn.granted.done():  # else its call was cancelled
                delay = self._delay(turn.permit)
                if self._is_hopeless(delay):
                    turn.granted.set_exception(_exhausted(delay))
                elif delay > 0:
                    self._timer = self.clock.call_later(max(delay, SHORTEST_WAIT), self.serve)
                    self._resumes = monotonic() + delay
                    return
                else:
                    turn.permit.use()
                    turn.granted.set_result(None)
            self._turns.popleft()
        self._start_more()

    def succeeded(self) -> None:
        """An answer came."""
        self._pause = FIRST_PAUSE
        if self.held >= self.concurrency.limit:
            self.concurrency.succeeded()

    def refused(self, sent: float, retry_after: float | None) -> None:
        """A request was rate-limited: fewer at once, and none until the limit has passed."""
        now = self.clock.time()
        self.concurrency.refused(sent, now)
        if retry_after is None:
            if sent < self._blocked_at:
                return
            retry_after, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
        self._blocked_at = now
        self._blocked_until = max(self._blocked_until, now + retry_after)
        self._resumes = monotonic() + self._blocked_until - now

    def _delay(self, permit: Permit) -> float:
        """Return the seconds until a request may be sent; not more than 0 for now."""
        now = self.clock.time()
        delay = self._blocked_until - now
        for unit, bucket in self.buckets.items():
            delay = max(delay, bucket.delay(permit.demand.of(unit), now))
        return delay

    def _is_hopeless(self, delay: float) -> bool:
        """Whether a limit is one of hours or days, and used up; what is under way may give back a part."""
        if delay <= LONGEST_WAIT or self.under_way:
            return False
        blocked = self._blocked_until - self.clock.time() > LONGEST_WAIT
        return blocked or not all(bucket.is_brief for bucket in self.buckets.values())

    def _start_more(self) -> None:
        """Let the jobs start further calls, each one first in its turn."""
        if not self.has_room:
            return
        for start_more in list(self._jobs):
            start_more()
        if len(self._jobs) > 1:  # another one is first next time
            self._jobs.append(self._jobs.pop(0))


def _exhausted(delay: float) -> QuotaExceededError:
    return QuotaExceededError(
        "The rate limit is used up, and the request was not sent.",
        retry_after=delay,
        hint=come_back(delay),
    )


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
