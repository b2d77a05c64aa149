"""Intents of calls that wait to be stored while the requests travel."""

from __future__ import annotations

import math
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmkit.records import CallIntent

TRAVEL = 0.004
"""Seconds that an intent may wait for others. A provider takes longer to answer, and a call that is over
before needs no intent."""


class PendingIntents:
    """Intents by call, the oldest first. Any thread adds them; the writing thread takes them.

    Single operations on a dictionary are safe between threads, and even if a signal or the garbage collector
    interrupts one of them, which a lock is not.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[float, CallIntent]] = {}

    def add(self, intent: CallIntent) -> None:
        """Add an intent; it replaces an earlier one of the same call."""
        self._waiting[intent.uid] = (monotonic(), intent)

    def forget(self, uid: str) -> None:
        """Drop the intent of a call that is over."""
        self._waiting.pop(uid, None)

    def due(self) -> float | None:
        """Return the seconds until the oldest has to be stored; `None` if there is none."""
        waiting = list(self._waiting.values())
        return max(0.0, waiting[0][0] + TRAVEL - monotonic()) if waiting else None

    def hurry(self) -> None:
        """Let all be stored now."""
        for uid in list(self._waiting):
            if (found := self._waiting.pop(uid, None)) is not None:
                self._waiting[uid] = (-math.inf, found[1])

    def ripe(self) -> list[CallIntent]:
        """Return all once the oldest is due, so that they share a commit; they stay until `stored`."""
        waiting = list(self._waiting.values())
        due = bool(waiting) and waiting[0][0] <= monotonic() - TRAVEL
        return [intent for _, intent in waiting] if due else []

    def stored(self, intents: list[CallIntent]) -> None:
        """Remove intents that are stored, unless others have replaced them."""
        for intent in intents:
            found = self._waiting.pop(intent.uid, None)
            if found is not None and found[1] is not intent:
                self._waiting[intent.uid] = found
