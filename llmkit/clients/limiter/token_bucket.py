"""What is left of one rate limit: a bucket that refills continuously, as the providers describe theirs."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, NamedTuple

from llmkit.clients.limiter.rate_headers import seconds_until

if TYPE_CHECKING:
    from llmkit.clients.limiter.rate_headers import RateHeaders

MINUTE = 60.0
_PERIODS = (1.0, MINUTE, 3600.0, 86400.0)
"""Seconds for which limits are stated; the headers do not name them."""

_TELLING = 0.1
"""Share of a limit that must be used before its reset tells the period: resets are rounded to seconds."""

_ODD = 1.5
"""Factor above which a reset does not fit a period: it is about something else, or a clock is wrong."""

_SPAN = 32
"""Responses between two comparisons of what was counted here and at the server."""

_ALMOST_FULL = 0.8
"""Share above which a bucket may have lost what would have made it overflow."""

_PULL = 0.1
"""Share of a difference by which the level is raised at each response."""

_MARGINS = 0.02, 0.16
"""Share of a limit that stays in the bucket, because requests differ and the server may count otherwise."""

_EXTREMES = 0.1, 100.0


class _Anchor(NamedTuple):
    """Where a comparison began: time, what the server had left, and what had been counted here."""

    time: float
    remaining: float
    sent: float


class TokenBucket:
    """One limit of a server, as it is known here.

    Requests take an amount when they are sent, corrected when they are over. The server may count
    otherwise (OpenAI counts `max_tokens`), and others may use the same key: what it says is left
    corrects the level, and over some responses the ratio of its counts to ours.

    Attributes:
        limit: The size of the bucket.
        sent: Everything that was taken here.
    """

    def __init__(self, limit: float, level: float, now: float, period: float | None = None) -> None:
        self.limit = limit
        self.sent = 0.0
        self._level = level
        self._period = period or MINUTE
        self._time = now
        self._ratio = 1.0
        self._margin = _MARGINS[0]
        self._responses = 0
        self._anchor = _Anchor(now, level, 0.0)
        self._fullest = 0.0

    def delay(self, amount: float, now: float) -> float:
        """Return the seconds until an amount is there; one that is never there waits for a full bucket."""
        self._refill(now)
        missing = min(amount * self._ratio + self._margin * self.limit, self.limit) - self._level
        return 0.0 if missing <= 0 else missing * self._period / self.limit

    @property
    def is_brief(self) -> bool:
        """Whether it is full again within a minute."""
        return self._period <= MINUTE

    def take(self, amount: float, now: float) -> float:
        """Take an amount; return everything that was taken so far."""
        self._refill(now)
        self._level -= amount * self._ratio
        self.sent += amount
        return self.sent

    def correct(self, amount: float) -> None:
        """Take more, or less if it is negative, because a request was larger than expected."""
        self._level -= amount * self._ratio
        self.sent += amount

    def refused(self) -> None:
        """A request was refused although there was enough: keep a larger margin."""
        self._margin = min(_MARGINS[1], 2 * self._margin)

    def heed(self, said: RateHeaders, mark: float, elapsed: float, now: float, date: str | None) -> None:
        """Correct the level by a response.

        The server looked at its bucket somewhere between the arrival of the request and the response, so
        what was sent in that time may or may not be counted.

        Args:
            said: The bucket's state at the server.
            mark: What `take` returned for the request.
            elapsed: Seconds since it was sent.
            now: The time.
            date: The response's `date` header.
        """
        self._refill(now)
        self.limit = said.limit
        self._learn_period(said, date)
        later = (self.sent - mark) * self._ratio
        least = said.remaining - said.rounding - later
        most = max(said.remaining, least + elapsed * self.limit / self._period)
        if self._level < least:  # exactly so only if nothing was sent since
            self._level += (_PULL if later else 1.0) * (least - self._level)
        self._level = min(self._level, most)
        self._learn_ratio(said.remaining, now)

    def _refill(self, now: float) -> None:
        # A clock that goes back refills nothing.
        passed = max(0.0, now - self._time)
        self._time = now
        self._level = min(self.limit, self._level + passed * self.limit / self._period)

    def _learn_period(self, said: RateHeaders, date: str | None) -> None:
        if said.period is not None:
            self._period = said.period
            return
        used = said.limit - said.remaining
        if self._responses % _SPAN or used < _TELLING * said.limit:
            return
        reset = seconds_until(said.reset, date)
        if reset:
            whole = reset * said.limit / used
            nearest = min(_PERIODS, key=lambda period: abs(log(whole / period)))
            if 1 / _ODD < whole / nearest < _ODD:
                self._period = nearest

    def _learn_ratio(self, remaining: float, now: float) -> None:
        self._responses += 1
        self._fullest = max(self._fullest, remaining)
        if self._responses % _SPAN:
            return
        start, full = self._anchor, self._fullest > _ALMOST_FULL * self.limit
        self._anchor, self._fullest = _Anchor(now, remaining, self.sent), 0.0
        sent = self.sent - start.sent
        if sent > 0 and not full:
            counted = start.remaining - remaining + (now - start.time) * self.limit / self._period
            least, most = _EXTREMES
            self._ratio = (self._ratio + min(most, max(least, counted / sent))) / 2
