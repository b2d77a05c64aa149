"""Costs of a job whose calls several processes make, in an SQLite store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from llmkit.core import processes
from llmkit.core.timestamps import micros
from llmkit.frames.answers.protocol import Room

if TYPE_CHECKING:
    import sqlite3

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS job_costs (
        job TEXT PRIMARY KEY, nanos INTEGER NOT NULL, time INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS job_reservations (
        job TEXT NOT NULL, uid TEXT NOT NULL, nanos INTEGER NOT NULL, waits INTEGER NOT NULL,
        owner TEXT NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (job, uid)) WITHOUT ROWID""",
)


def reserve(connection: sqlite3.Connection, job: str, uid: str, nanos: int, most: int) -> Room:
    """Reserve what a call may cost, in a transaction that writes; see `AnswerStore.reserve`."""
    row = connection.execute("SELECT nanos FROM job_costs WHERE job = ?", (job,)).fetchone()
    spent = 0 if row is None else int(row[0])
    others = connection.execute(
        "SELECT nanos, waits, owner FROM job_reservations WHERE job = ? AND uid <> ?", (job, uid)
    ).fetchall()
    if spent + sum(amount for amount, _, _ in others) + nanos <= most:
        connection.execute(
            "INSERT OR REPLACE INTO job_reservations VALUES (?, ?, ?, 0, ?, ?)",
            (job, uid, nanos, processes.owner(), _now()),
        )
        return Room(fits=True, spent=spent)
    connection.execute("UPDATE job_reservations SET waits = 1 WHERE job = ? AND uid = ?", (job, uid))
    # A call that waits itself, or whose process is dead, gives nothing back.
    owners = {owner for _, waits, owner in others if not waits}
    return Room(fits=False, spent=spent, running=any(map(_lives, owners)))


def settle(connection: sqlite3.Connection, job: str, uid: str, nanos: int | None) -> None:
    """End a reservation in a transaction that writes; see `AnswerStore.settle`."""
    where = "WHERE job = ? AND uid = ?"
    row = connection.execute(f"SELECT nanos FROM job_reservations {where}", (job, uid)).fetchone()  # noqa: S608 - text of our own
    connection.execute(f"DELETE FROM job_reservations {where}", (job, uid))  # noqa: S608 - the same
    reserved = 0 if row is None else int(row[0])
    connection.execute(
        """INSERT INTO job_costs (job, nanos, time) VALUES (?, ?, ?)
        ON CONFLICT (job) DO UPDATE SET nanos = nanos + excluded.nanos, time = excluded.time""",
        (job, reserved if nanos is None else nanos, _now()),
    )


def forget(connection: sqlite3.Connection, before: int) -> None:
    """Delete the costs of jobs that ended before a time."""
    connection.execute("DELETE FROM job_costs WHERE time < ?", (before,))
    connection.execute("DELETE FROM job_reservations WHERE time < ?", (before,))


def _lives(owner: str) -> bool:
    process = processes.Process.parse(owner)
    return process is not None and processes.is_alive(process) is not False


def _now() -> int:
    return micros(datetime.now(UTC))
