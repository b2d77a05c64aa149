"""Leases of a process on what it has claimed and reserved, renewed as long as it works."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from llmkit.core import processes
from llmkit.core.errors import ConfigurationError
from llmkit.core.postgres import CLOSE_TIMEOUT, SCHEMA
from llmkit.frames.answers import claims
from llmkit.frames.answers.protocol import Room

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from llmkit.core.postgres import Connection

LEASE = timedelta(seconds=60)
"""How long claims and reservations last without being renewed, by the server's clock."""

_RENEW = "UPDATE {}.{} SET until = clock_timestamp() + %s WHERE username = session_user AND owner = %s"

_MINE = f"{SCHEMA}.request_claims WHERE username = session_user AND"
_CLAIM = f"""
INSERT INTO {SCHEMA}.request_claims (key, job, owner, until)
SELECT key, %s, %s, clock_timestamp() + %s FROM unnest(%s::bytea[]) AS key ON CONFLICT DO NOTHING
"""  # noqa: S608 - names


class LeaseKeeper:
    """Renews the leases of this process while there are any, on a thread of its own.

    Args:
        renew: Renews them all; what it raises is tried again.
    """

    def __init__(self, renew: Callable[[], object]) -> None:
        self._renew = renew
        self.reset()

    def reset(self) -> None:
        """Hold nothing."""
        self._pid = os.getpid()
        self._held: set[str] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def hold(self, name: str) -> None:
        """Note that something is held."""
        self._renewed()
        with self._lock:
            self._held.add(name)
            if self._thread is None:
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stop,), daemon=True, name="llmkit-leases"
                )
                self._thread.start()

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Hold something while it is claimed, and from then on unless that fails."""
        self._renewed()
        held_before = name in self._held  # a job claims several times
        self.hold(name)
        try:
            yield
        except BaseException:
            if not held_before:
                self.drop(name)
            raise

    def drop(self, name: str) -> None:
        """Note that something is held no longer."""
        self._renewed()
        with self._lock:
            self._held.discard(name)

    def close(self) -> None:
        """End the thread."""
        self._renewed()
        with self._lock:
            thread, self._thread = self._thread, None
            self._held.clear()
            self._stop.set()
        if thread is not None:
            thread.join(CLOSE_TIMEOUT)

    def _renewed(self) -> None:
        """Forget the parent's thread and lock in a forked child."""
        if self._pid != os.getpid():
            self.reset()

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(LEASE.total_seconds() / 4):
            with self._lock:
                if not self._held:
                    self._thread = None
                    return
            with suppress(ConfigurationError):
                self._renew()


def renew(connection: Connection) -> None:
    """Renew all leases of this process."""
    for table in ("request_claims", "job_reservations"):
        connection.execute(_RENEW.format(SCHEMA, table), [LEASE, processes.owner()])


def claim(connection: Connection, keys: Collection[bytes], job: str) -> set[bytes]:
    """Claim requests; return those that are the job's now."""
    claims.begin(job)
    wanted = sorted(keys)  # in the same order everywhere, so that nobody waits for one another
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext(session_user))")
        holders = connection.execute(
            f"SELECT job, owner, max(until) > clock_timestamp() FROM {_MINE} key = ANY(%s) GROUP BY 1, 2",  # noqa: S608 - names
            [wanted],
        )
        gone = [one for one, owner, leased in holders if not claims.is_held(one, owner, leased=leased)]
        connection.execute(f"DELETE FROM {_MINE} job = ANY(%s)", [gone])  # noqa: S608 - names
        connection.execute(_CLAIM, [job, processes.owner(), LEASE, wanted])
        mine = connection.execute(f"SELECT key FROM {_MINE} job = %s AND key = ANY(%s)", [job, wanted])  # noqa: S608 - names
        return {bytes(key) for (key,) in mine}


def release(connection: Connection, job: str) -> None:
    """End the claims of a job."""
    connection.execute(f"DELETE FROM {_MINE} job = %s", [job])  # noqa: S608 - names


def reserve(connection: Connection, job: str, uid: str, nanos: int, most: int) -> Room:
    """Reserve what a call may cost; see `AnswerStore.reserve`."""
    row = connection.execute(
        f"SELECT * FROM {SCHEMA}.reserve_for_job(%s, %s, %s, %s, %s, %s)",  # noqa: S608 - names
        [job, uid, nanos, most, processes.owner(), LEASE],
    ).fetchone()
    assert row is not None
    fits, spent, owners, leased = row
    running = any(map(_lives, owners or (), leased or ()))
    return Room(fits=fits, spent=spent, running=running)


def settle(connection: Connection, job: str, uid: str, nanos: int | None) -> None:
    """End a reservation; see `AnswerStore.settle`."""
    connection.execute(f"SELECT {SCHEMA}.settle_for_job(%s, %s, %s)", [job, uid, nanos])


def _lives(owner: str, leased: bool) -> bool:  # noqa: FBT001 - as the server returns it
    """Whether a process may still give something back: on this machine for certain, else by its lease."""
    process = processes.Process.parse(owner)
    alive = False if process is None else processes.is_alive(process)
    return leased if alive is None else alive
