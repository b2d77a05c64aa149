"""How long reservations and intents of calls last, and which of them are over."""

from __future__ import annotations

from llmkit.core import processes

MARGIN = 30 * 1_000_000
"""Microseconds that a reservation or an intent outlives its call: its row may wait 30 seconds for a lock."""

LONGEST = 365 * 86400.0
"""Longest lease in seconds: times must fit into 64 bits."""


def micros_of(lease_s: float) -> int:
    """Return the microseconds after which a call that starts now has ended, and its row is written."""
    return round(min(lease_s, LONGEST) * 1_000_000) + MARGIN


def latest_end(owner: str, now: int) -> int | None:
    """Return until when the leases of a process must have ended for its calls to be lost; `None`: all are."""
    if owner == processes.owner():
        return -1
    process = processes.Process.parse(owner)
    alive = None if process is None else processes.is_alive(process)
    if alive is None:
        return now
    return -1 if alive else None
