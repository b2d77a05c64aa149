"""Rate limits: token buckets that refill continuously, one set per protocol, key and model.

A bucket starts full with what a minute allows. Sources: OpenAI, "Rate limits"; Anthropic, "Rate limits" (both
describe continuous replenishment); Google, "Rate limits" (no headers).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.sandbox.clock import Clock

_MINUTE = 60.0


class Level(NamedTuple):
    """The state of one bucket."""

    limit: int
    remaining: float  # negative after an answer that was longer than what was left
    now: float  # seconds since 1970

    @property
    def full_in(self) -> float:
        """Seconds until the bucket is full again."""
        return self.wait_for(self.limit)

    def wait_for(self, amount: float) -> float:
        """Return the seconds until the bucket holds an amount."""
        return max(0.0, (amount - self.remaining) * _MINUTE / self.limit)


class Breach(NamedTuple):
    """A request that a bucket does not allow."""

    unit: str
    requested: int
    level: Level

    @property
    def is_too_large(self) -> bool:
        """Whether no wait is long enough."""
        return self.requested > self.level.limit

    @property
    def wait(self) -> float:
        """Seconds until the request would be allowed."""
        return self.level.wait_for(max(1, self.requested))


class _Bucket:
    """What is left of one limit."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._remaining = float(limit)
        self._at = clock.now()

    def level(self) -> Level:
        now = self._clock.now()
        refilled = max(0.0, now - self._at) * self._limit / _MINUTE
        self._at, self._remaining = now, min(self._limit, self._remaining + refilled)
        return Level(self._limit, self._remaining, now)

    def take(self, amount: float) -> None:
        self.level()
        self._remaining -= amount


@dataclass(frozen=True, slots=True)
class Limits:
    """What a minute allows; `None` is no limit."""

    requests: int | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        for name, limit in (("requests", self.requests), ("tokens", self.tokens)):
            if limit is not None and limit < 1:
                raise ValueError(f"{name}_per_minute must be at least 1, got {limit}.")

    def of(self, unit: str) -> int | None:
        """Return the limit of a unit: `requests`, or some kind of tokens."""
        return self.requests if unit == "requests" else self.tokens


class RateLimiter:
    """The buckets of a server; used from the server's thread only."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._buckets: dict[tuple[str, ...], _Bucket] = {}

    def take(self, scope: tuple[str, ...], amounts: Mapping[str, int]) -> Breach | None:
        """Take amounts from all buckets, or from none: return the breach that must be waited for longest."""
        buckets = self._of(scope, amounts)
        breaches = [
            Breach(unit, amounts[unit], level)
            for unit, level in ((unit, bucket.level()) for unit, bucket in buckets.items())
            # An empty bucket refuses everything, also what costs nothing before its answer is known.
            if level.remaining < max(1, amounts[unit])
        ]
        if breaches:
            return max(breaches, key=lambda breach: (breach.is_too_large, breach.wait))
        self.charge(scope, amounts)
        return None

    def charge(self, scope: tuple[str, ...], amounts: Mapping[str, int]) -> None:
        """Take amounts even if a bucket holds less."""
        for unit, bucket in self._of(scope, amounts).items():
            bucket.take(amounts[unit])

    def levels(self, scope: tuple[str, ...], amounts: Mapping[str, int]) -> dict[str, Level]:
        """Return the state of the buckets."""
        return {unit: bucket.level() for unit, bucket in self._of(scope, amounts).items()}

    def _of(self, scope: tuple[str, ...], units: Mapping[str, int]) -> dict[str, _Bucket]:
        found = {}
        for unit in units:
            limit = self._limits.of(unit)
            if limit is not None:
                found[unit] = self._buckets.setdefault((*scope, unit), _Bucket(limit, self._clock))
        return found
