"""The leave to send one request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.clients.limiter.rate_headers import MINUTE, RateHeaders, rate_headers
from llmkit.clients.limiter.token_bucket import TokenBucket
from llmkit.content.tokens import estimate_prompt
from llmkit.core.errors import QuotaExceededError, RateLimitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.clients.limiter.demand import Demand
    from llmkit.clients.limiter.rate_headers import Unit
    from llmkit.clients.limiter.server import ServerLimiter
    from llmkit.clients.limiter.slot import Slot
    from llmkit.content.messages import Usage
    from llmkit.core.errors import LLMClientError
    from llmkit.providers.codec import Request


class Permit:
    """The leave to send one request, and what its response tells about the limits."""

    __slots__ = ("_demand", "_estimate", "_request", "_sent", "_server", "_slot", "_taken")

    def __init__(self, server: ServerLimiter, slot: Slot, request: Request) -> None:
        self._server = server
        self._slot = slot
        self._request = request
        self._demand: Demand | None = None
        self._estimate = 0
        self._taken: dict[Unit, float] = {}
        self._sent = float("-inf")

    @property
    def demand(self) -> Demand:
        """What the request will probably take from the limits."""
        if self._demand is None:  # estimated only if there are limits
            self._estimate = estimate_prompt(self._request.messages)
            self._demand = self._server.expected.of(self._estimate, self._request)
        return self._demand

    def use(self) -> None:
        """The request is sent: take what it needs."""
        self._sent = self._server.time()
        self._server.under_way.add(self)
        for unit in self._server.buckets:
            self.take(unit)

    def take(self, unit: Unit) -> None:
        """Take what the request needs from one limit."""
        self._taken[unit] = self._server.buckets[unit].take(self.demand.of(unit), self._server.time())

    def give_back(self) -> None:
        """The request was not sent, or was refused: return what was taken."""
        for unit in self._taken:
            self._server.buckets[unit].correct(-self.demand.of(unit))
        self._taken = {}
        self._server.under_way.discard(self)

    def heed(self, headers: Mapping[str, str]) -> None:
        """Read what a response says about the limits, whatever its status."""
        for said in rate_headers(headers):
            self._heed(said, headers.get("date"))
        self._server.serve()

    def settle(self, usage: Usage | None, error: LLMClientError | None) -> None:
        """The request is over: with its usage if it was answered, or with an error, perhaps a rate limit."""
        self._server.under_way.discard(self)
        if isinstance(error, RateLimitError) and not isinstance(error, QuotaExceededError):
            for unit in self._taken:
                self._server.buckets[unit].refused()
            for unit, limit in error.quotas:
                self._heed(RateHeaders(unit, limit, 0.0, None, MINUTE), None)
            self.give_back()
            self._server.refused(self._sent, error.retry_after)
        elif error is None and usage is not None:
            self._correct(usage)
            self._slot.answered = True
            self._server.succeeded()
        self._server.serve()

    def _heed(self, said: RateHeaders, date: str | None) -> None:
        buckets, now = self._server.buckets, self._server.time()
        bucket = buckets.get(said.unit)
        if bucket is None:
            buckets[said.unit] = TokenBucket(said.limit, said.remaining, now, said.period)
            # What was sent before anything was known may not be counted yet.
            for other in self._server.under_way:
                if other is not self:
                    other.take(said.unit)
        else:
            bucket.heed(said, self._taken.get(said.unit, 0.0), now - self._sent, now, date)

    def _correct(self, usage: Usage) -> None:
        """Replace what was expected by what was needed."""
        if self._demand is None:
            return
        needed = self._server.expected.learn(self._estimate, usage)
        if needed is not None:
            for unit in self._taken:
                self._server.buckets[unit].correct(needed.of(unit) - self._demand.of(unit))
