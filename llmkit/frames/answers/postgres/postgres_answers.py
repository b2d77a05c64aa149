"""A store of answers in a PostgreSQL database."""

from __future__ import annotations

import os
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from llmkit.core.errors import ConfigurationError
from llmkit.core.postgres import SCHEMA, Database, upgrade
from llmkit.core.postgres_errors import ServerUnavailableError
from llmkit.costs.store.writer import Writer, warn
from llmkit.frames.answers import claims
from llmkit.frames.answers.encodable import encodable
from llmkit.frames.answers.postgres import job_leases
from llmkit.frames.answers.postgres.answer_tables import ANSWER, JOB, PUT, SAVE, STEPS, TABLES
from llmkit.frames.answers.postgres.waiting_answers import WaitingAnswers, waiting_path
from llmkit.frames.answers.protocol import OK, PAGE, Answer, JobRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from concurrent.futures import Future

    from llmkit.core.postgres import Address, Connection
    from llmkit.frames.answers.protocol import Room

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds for which a job waits for a server that was there when it began."""

LOCK_TIMEOUT = "30s"
"""How long a statement waits for others, such as one of an administrator who changes a table."""

CLOSE_TIMEOUT = 10.0
"""Seconds that a server has to take queued answers at the end; then they wait here."""

RETRY = 5.0
"""Seconds for which answers wait here without another try to reach a server that is away."""

_FORGOTTEN = (("jobs", "changed"), ("job_costs", "time"), ("job_reservations", "time"), ("answers", "time"))
"""Tables of which old rows are deleted, and the columns with their times; answers are counted."""

NUL, REPLACEMENT = "\0", "\ufffd"
"""What PostgreSQL cannot store in a text, and what stands for it."""


class PostgresAnswers:
    """A store in a PostgreSQL database, in which each user sees their own answers only.

    While the server is away, answers wait in a local file, and the calls go on.

    Args:
        address: The address of the database.
    """

    def __init__(self, address: Address) -> None:
        self._database = Database(address, self._prepare)
        self._waiting = WaitingAnswers(waiting_path(address.name))
        self._leases = job_leases.LeaseKeeper(lambda: self._database.run(job_leases.renew))
        self._writer = Writer(self._commit, self.name, what="answers to the store")
        self._pid = os.getpid()
        self._problem: str | None = None
        self._is_away = False
        self._again = 0.0
        self._unsaid: str | None = None

    @property
    def name(self) -> str:
        """The address without its password."""
        return self._database.name

    @property
    def problem(self) -> str | None:
        """Why the last answers could not be written."""
        return self._problem

    def get(self, keys: Collection[bytes]) -> dict[bytes, Answer]:
        """Return the answers to some requests."""
        wanted = list(keys)
        query = f"SELECT {ANSWER} FROM {SCHEMA}.answers WHERE username = session_user AND key = ANY(%s)"  # noqa: S608 - names
        found = {one.key: one for one in self._run(lambda connection: _answers(connection, query, wanted))}
        for one in self._under_way(set(wanted)):
            if one.status == OK or one.key not in found:
                found[one.key] = one
        return found

    def _under_way(self, keys: set[bytes]) -> Iterator[Answer]:
        """Yield answers to some requests that have not reached the server."""
        yield from self._waiting.get(list(keys)).values()
        yield from (Answer._make(one) for one in self._writer.unwritten() if one[0] in keys)

    def of_call(self, uid: str) -> Answer | None:
        """Return the answer that a call gave."""
        query = f"SELECT {ANSWER} FROM {SCHEMA}.answers WHERE username = session_user AND uid = %s"  # noqa: S608 - names
        found = self._run(lambda connection: _answers(connection, query, uid))
        return found[0] if found else None

    def page(self, after: bytes = b"") -> list[Answer]:
        """Return the answers that come next in the order of their keys."""
        self.flush()
        query = (
            f"SELECT {ANSWER} FROM {SCHEMA}.answers WHERE username = session_user AND key > %s"  # noqa: S608 - names
            f" ORDER BY key LIMIT {PAGE}"
        )
        return self._run(lambda connection: _answers(connection, query, after))

    def put(self, answer: Answer) -> Future[bool]:
        """Queue an answer."""
        self._renewed()
        self._say()
        return self._writer.submit(_storable(answer))

    def save(self, job: JobRecord) -> None:
        """Write a job's record."""
        values = [getattr(job, name) for name in JOB]
        self._run(lambda connection: connection.execute(SAVE, values))

    def jobs(self) -> list[JobRecord]:
        """Return all jobs, the latest first."""
        query = (
            f"SELECT {', '.join(JOB)} FROM {SCHEMA}.jobs WHERE username = session_user"  # noqa: S608 - names
            " ORDER BY submitted DESC, id"
        )
        rows = self._run(lambda connection: connection.execute(query).fetchall())
        return [JobRecord(**dict(zip(JOB, row, strict=True))) for row in rows]

    def claim(self, keys: Collection[bytes], job: str) -> set[bytes]:
        """Claim requests for a job."""
        with self._leases.holding(job):
            return self._run(lambda connection: job_leases.claim(connection, keys, job))

    def release(self, job: str) -> None:
        """End the claims of a job."""
        claims.end(job)
        self._leases.drop(job)
        self._run(lambda connection: job_leases.release(connection, job))

    def reserve(self, job: str, uid: str, nanos: int, most: int) -> Room:
        """Reserve what a call of a job may cost."""
        with self._leases.holding(f"{job}:{uid}"):
            room = self._run(lambda connection: job_leases.reserve(connection, job, uid, nanos, most))
        if not room.fits:
            self._leases.drop(f"{job}:{uid}")
        return room

    def settle(self, job: str, uid: str, nanos: int | None) -> None:
        """End a reservation."""
        self._leases.drop(f"{job}:{uid}")
        self._run(lambda connection: job_leases.settle(connection, job, uid, nanos))

    def forget(self, before: int | None = None) -> int:
        """Delete answers and jobs."""
        self.flush()
        end = 2**63 - 1 if before is None else before

        def delete(connection: Connection) -> int:
            with connection.transaction():
                for table, column in _FORGOTTEN:
                    query = f"DELETE FROM {SCHEMA}.{table} WHERE username = session_user AND {column} < %s"  # noqa: S608 - names
                    count = connection.execute(query, [end]).rowcount
            return count

        return self._run(delete)

    def size(self) -> int:
        """Return the size of this user's rows in bytes."""
        query = " + ".join(
            f"(SELECT coalesce(sum(pg_column_size(one)), 0) FROM {SCHEMA}.{table} AS one"  # noqa: S608 - names
            " WHERE username = session_user)"
            for table in TABLES
        )
        row = self._run(lambda connection: connection.execute(f"SELECT {query}").fetchone())
        return int(row[0]) if row else 0

    def flush(self, timeout: float | None = None) -> bool:
        """Write queued answers."""
        self._renewed()
        flushed = self._writer.flush(timeout)
        self._say()
        return flushed

    def close(self) -> None:
        """Write queued answers and close the connection."""
        self._renewed()
        if not self._writer.stop(CLOSE_TIMEOUT) and not self._writer.is_failing:
            with suppress(ConfigurationError):  # else the server never answers, and the process may end now
                self._waiting.add([Answer._make(row) for row in self._writer.unwritten()])
        self._leases.close()
        self._waiting.close()
        self._database.close()
        self._say()

    def _run(self, work: Callable[[Connection], T]) -> T:
        self._renewed()
        return self._database.run(work, patience=PATIENCE)

    def _renewed(self) -> None:
        """Forget the parent's queue in a forked child."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._writer.reset()

    def _prepare(self, connection: Connection) -> None:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [LOCK_TIMEOUT])
        upgrade(connection, "answers", STEPS, self.name)
        self._send(connection)

    def _commit(self, answers: Sequence[Any]) -> None:
        """Write a group of answers; called by the writing thread."""
        if self._is_away and monotonic() < self._again:
            self._waiting.add(answers)
            return
        try:
            self._database.run(lambda connection: _write(connection, answers, always=True))
            if self._is_away:
                self._database.run(self._send)
        except ServerUnavailableError as error:
            self._keep(answers, error)
        except ConfigurationError as error:
            self._problem = error.message
            raise
        else:
            self._is_away, self._problem = False, None

    def _keep(self, answers: Sequence[Any], why: ServerUnavailableError) -> None:
        """Keep answers here until the server is back."""
        self._again = monotonic() + RETRY
        try:
            self._waiting.add(answers)
        except ConfigurationError as error:
            self._problem = f"{why.message} {error.message}"
            raise
        if not self._is_away:  # once per outage
            self._unsaid = (
                f"{why.message} Answers wait in {self._waiting.path}, and are written when the store is used"
                " again."
            )
        self._is_away, self._problem = True, None

    def _send(self, connection: Connection) -> None:
        """Write what waited for the server."""
        self._waiting.send(lambda answers: _write(connection, answers, always=False))

    def _say(self) -> None:
        """Issue a pending warning on the caller's thread, where a notebook shows it."""
        text, self._unsaid = self._unsaid, None
        if text is not None:
            warn(text)


def _storable(answer: Answer) -> Answer:
    """Return an answer whose texts the database can hold."""
    answer = encodable(answer)
    return Answer._make(one.replace(NUL, REPLACEMENT) if isinstance(one, str) else one for one in answer)


def _answers(connection: Connection, query: str, value: Any) -> list[Answer]:
    rows = connection.execute(query, [value], binary=True).fetchall()
    return [Answer._make(row)._replace(key=bytes(row[0])) for row in rows]


def _write(connection: Connection, answers: Sequence[Any], *, always: bool) -> None:
    """Write answers in one statement; it can meet a row only once."""
    latest: dict[bytes, Any] = {}
    for one in answers:
        before = latest.get(one[0])
        if before is None or one[1] == OK or before[1] != OK:
            latest[one[0]] = one
    # In the same order everywhere, so that nobody waits for one another.
    columns = zip(*(latest[key] for key in sorted(latest)), strict=True)
    connection.execute(PUT, [*map(list, columns), always])
