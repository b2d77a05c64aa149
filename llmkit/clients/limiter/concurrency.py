"""How many requests may be under way: more after answers, half after a rate limit."""

from __future__ import annotations

FIRST = 8
"""Requests at once before anything is known about a server."""

MOST = 256
"""Most requests at once."""


class Concurrency:
    """The number of requests that a server is sent at once: additive increase, multiplicative decrease.

    Before the first rate limit each answer adds one, which doubles the number in a round trip; afterwards
    a round trip adds one.

    Attributes:
        most: The highest limit.

    Example:
        >>> concurrency = Concurrency()
        >>> for _ in range(8):
        ...     concurrency.succeeded()
        >>> concurrency.limit
        16
    """

    def __init__(self) -> None:
        self.most = MOST
        self._limit = float(FIRST)
        self._doubling_until = float("inf")
        self._halved_at = float("-inf")

    @property
    def limit(self) -> int:
        """Requests at once, at least 1."""
        return int(self._limit)

    def succeeded(self) -> None:
        """An answer came while the limit was what held further requests back."""
        step = 1.0 if self._limit < self._doubling_until else 1.0 / self._limit
        self._limit = min(self._limit + step, float(self.most))

    def refused(self, sent: float, now: float) -> None:
        """A request was rate-limited; those that were sent before the last decrease say nothing new.

        Args:
            sent: When that request was sent.
            now: The time.
        """
        if sent < self._halved_at:
            return
        self._halved_at = now
        self._limit = self._doubling_until = max(1.0, self._limit / 2)
