"""Claims: which job asks for a request, so that no other one does at the same time; and those in SQLite."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from llmkit.core import processes
from llmkit.core.timestamps import MICROSECOND, micros

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

LEASE = timedelta(hours=1)
"""How long a claim lasts if nobody here can know whether its process lives, as on another machine."""

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS claims (
        key BLOB PRIMARY KEY, job TEXT NOT NULL, owner TEXT NOT NULL, time INTEGER NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS claims_of_a_job ON claims (job)",
)

_active: set[str] = set()
"""Jobs of this process that may have claims."""


def begin(job: str) -> None:
    """Note that a job of this process may have claims from now on."""
    _active.add(job)


def is_active(job: str) -> bool:
    """Whether a job of this process may still have claims."""
    return job in _active


def claim(connection: sqlite3.Connection, keys: Collection[bytes], job: str) -> set[bytes]:
    """Claim requests in a transaction that writes; return those that are the job's now."""
    begin(job)
    now = micros(datetime.now(UTC))
    holders = connection.execute("SELECT job, owner, max(time) FROM claims GROUP BY job, owner").fetchall()
    oldest = now - LEASE // MICROSECOND
    gone = [(holder,) for holder, owner, time in holders if not is_held(holder, owner, leased=time > oldest)]
    connection.executemany("DELETE FROM claims WHERE job = ?", gone)
    own = processes.owner()
    connection.executemany(
        "INSERT OR IGNORE INTO claims (key, job, owner, time) VALUES (?, ?, ?, ?)",
        ((key, job, own, now) for key in keys),
    )
    mine = {key for (key,) in connection.execute("SELECT key FROM claims WHERE job = ?", (job,))}
    return mine.intersection(keys)


def release(connection: sqlite3.Connection, job: str) -> None:
    """End the claims of a job."""
    connection.execute("DELETE FROM claims WHERE job = ?", (job,))


def end(job: str) -> None:
    """Note that a job claims nothing more, even if its claims could not be deleted."""
    _active.discard(job)


def is_held(job: str, owner: str, *, leased: bool) -> bool:
    """Return whether the job of a claim still runs.

    Args:
        job: Identifier of the job.
        owner: Its process.
        leased: Whether the claim's lease has not ended, for a process of which nobody here can know.
    """
    if owner == processes.owner():
        return is_active(job)
    process = processes.Process.parse(owner)
    alive = False if process is None else processes.is_alive(process)
    return leased if alive is None else alive
