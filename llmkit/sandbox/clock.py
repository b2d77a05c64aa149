"""The time in a sandbox, which can be set forward."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """Seconds since 1970; `advance` lets time pass at once.

    Example:
        >>> clock = Clock(lambda: 100.0)
        >>> clock.advance(60)
        >>> clock.now()
        160.0
    """

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._ahead = 0.0
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return the time."""
        return self._source() + self._ahead

    def advance(self, seconds: float) -> None:
        """Set the time forward.

        Raises:
            ValueError: If the number of seconds is negative.
        """
        if not seconds >= 0:
            raise ValueError(f"seconds must not be negative, got {seconds}.")
        with self._lock:
            self._ahead += seconds
