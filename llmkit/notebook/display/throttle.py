"""How often a growing output is drawn, and how much that may send."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_HZ = 12.0
"""Most updates of a growing output in a second."""

MAX_CPU = 0.2
"""Largest share of the time that may go into drawing it."""

FIRST_BYTES = 8_000
"""What updates may send in advance, in bytes: a short answer flows at the full rate."""


class Throttle:
    """Limits the updates of one growing output.

    Their bytes are limited by an allowance that grows with the text, so that what travels stays linear in
    the answer although an open block is sent again and again.
    """

    def __init__(
        self,
        bytes_per_byte: int,
        *,
        first_bytes: int = FIRST_BYTES,
        message_bytes: int = 0,
        max_hz: float = MAX_HZ,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.clock = clock
        self.pause = 1 / max_hz
        self._bytes_per_byte = bytes_per_byte
        self._allowance = first_bytes
        self._message_bytes = message_bytes
        self._next = clock()

    def earn(self, text: str) -> None:
        """Raise the allowance for text that has arrived."""
        self._allowance += self._bytes_per_byte * len(text.encode(errors="surrogatepass"))

    def affords(self, size: int) -> bool:
        """Return whether the allowance is enough for a message of so many bytes."""
        return self._allowance >= size + self._message_bytes

    def spend(self, *parts: str) -> None:
        """Take a message off the allowance."""
        self._allowance -= sum(len(part.encode()) for part in parts) + self._message_bytes

    def due(self, now: float) -> bool:
        """Return whether it is time to draw."""
        return now >= self._next

    def drew(self, started: float, pause: float = 0.0) -> None:
        """Set when to draw next, after a drawing that was started then."""
        self._next = started + max(pause or self.pause, (self.clock() - started) / MAX_CPU)
