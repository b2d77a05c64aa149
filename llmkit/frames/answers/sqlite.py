"""Answers in an SQLite file."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from llmkit.core import filesystems, sqlite
from llmkit.core.errors import ConfigurationError
from llmkit.costs.store.writer import Writer
from llmkit.frames.answers import claims, job_costs
from llmkit.frames.answers.encodable import encodable
from llmkit.frames.answers.protocol import PAGE, Answer, JobRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from llmkit.frames.answers.protocol import Room

VERSION = 3
"""Version of the schema; a file of a newer one is refused."""

TIMEOUT = 30.0
"""Seconds to wait for another process that writes."""

_MEMORY = ":memory:"
_KEYS = 500
"""Keys in one query; SQLite allows more, but a longer statement is not faster."""

_ANSWER = ", ".join(Answer._fields)
_REPLACED = ", ".join(f"{name} = excluded.{name}" for name in Answer._fields[1:])
_JOB = tuple(JobRecord.__dataclass_fields__)
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS answers (
        key BLOB PRIMARY KEY, status TEXT NOT NULL, text TEXT NOT NULL, value TEXT, error TEXT NOT NULL,
        max_tokens INTEGER, model TEXT, input_tokens INTEGER, output_tokens INTEGER, cost_nanos INTEGER,
        uid TEXT NOT NULL, time INTEGER NOT NULL, job TEXT NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS jobs (
        id TEXT PRIMARY KEY, label TEXT NOT NULL, verb TEXT NOT NULL, mode TEXT NOT NULL,
        provider TEXT NOT NULL, model TEXT NOT NULL, state TEXT NOT NULL,
        rows INTEGER NOT NULL, done INTEGER NOT NULL, failed INTEGER NOT NULL,
        submitted INTEGER NOT NULL, changed INTEGER NOT NULL, expires INTEGER, cost_nanos INTEGER,
        state_json TEXT)""",
    *claims.SCHEMA,
    *job_costs.SCHEMA,
    f"PRAGMA user_version = {VERSION}",
)
_PUT = sqlite.Insert(
    f"INSERT INTO answers ({_ANSWER})",
    len(Answer._fields),
    f" ON CONFLICT (key) DO UPDATE SET {_REPLACED} WHERE excluded.status = 'ok' OR answers.status <> 'ok'",
)
_SAVE = f"INSERT OR REPLACE INTO jobs ({', '.join(_JOB)}) VALUES ({', '.join('?' * len(_JOB))})"  # noqa: S608 - as above


class SqliteAnswers:
    """A store in one SQLite file, readable by its owner only, or in the memory of this process.

    Args:
        path: The file, which is created at the first answer; `None` for memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = os.getpid()
        self._problem: str | None = None
        self._writer = Writer(self._commit, self.name, what="answers to the store")

    @property
    def name(self) -> str:
        """The path of the file."""
        return _MEMORY if self._path is None else str(self._path)

    @property
    def problem(self) -> str | None:
        """Why the last answers could not be written."""
        return self._problem

    def get(self, keys: Collection[bytes]) -> dict[bytes, Answer]:
        """Return the answers to some requests."""
        if not self._exists():
            return {}
        wanted = list(keys)
        waiting = {answer[0]: Answer._make(answer) for answer in self._writer.unwritten()}
        found = {key: waiting[key] for key in wanted if key in waiting} if waiting else {}
        with self._reading() as connection:
            for start in range(0, len(wanted), _KEYS):
                some = wanted[start : start + _KEYS]
                places = ",".join("?" * len(some))
                rows = connection.execute(f"SELECT {_ANSWER} FROM answers WHERE key IN ({places})", some)  # noqa: S608 - places only
                found.update((row[0], Answer._make(row)) for row in rows)
        return found

    def of_call(self, uid: str) -> Answer | None:
        """Return the answer that a call gave."""
        if not self._exists():
            return None
        with self._reading() as connection:
            row = connection.execute(f"SELECT {_ANSWER} FROM answers WHERE uid = ?", [uid]).fetchone()  # noqa: S608 - as above
        return None if row is None else Answer._make(row)

    def page(self, after: bytes = b"") -> list[Answer]:
        """Return the answers that come next in the order of their keys."""
        self.flush()
        if not self._exists():
            return []
        with self._reading() as connection:
            query = f"SELECT {_ANSWER} FROM answers WHERE key > ? ORDER BY key LIMIT ?"  # noqa: S608 - as above
            return [Answer._make(row) for row in connection.execute(query, [after, PAGE])]

    def put(self, answer: Answer) -> Future[bool]:
        """Queue an answer."""
        self._renewed()
        return self._writer.submit(encodable(answer))

    def write(self, answers: Sequence[Answer]) -> None:
        """Write answers now.

        Raises:
            ConfigurationError: If they cannot be written.
        """
        with self._writing() as connection:
            _PUT.run(connection, answers)

    def oldest(self, count: int) -> list[Answer]:
        """Return some answers, those that were put first."""
        if not self._exists():
            return []
        with self._reading() as connection:
            rows = connection.execute(f"SELECT {_ANSWER} FROM answers ORDER BY time LIMIT ?", [count])  # noqa: S608 - as above
            return [Answer._make(row) for row in rows]

    def remove(self, answers: Sequence[Answer]) -> None:
        """Delete answers, unless others have replaced them."""
        with self._writing() as connection:
            connection.executemany(
                "DELETE FROM answers WHERE key = ? AND time = ?", [(one.key, one.time) for one in answers]
            )

    def save(self, job: JobRecord) -> None:
        """Write a job's record."""
        with self._writing() as connection:
            connection.execute(_SAVE, [getattr(job, name) for name in _JOB])

    def jobs(self) -> list[JobRecord]:
        """Return all jobs, the latest first."""
        if not self._exists():
            return []
        with self._reading() as connection:
            rows = connection.execute(f"SELECT {', '.join(_JOB)} FROM jobs ORDER BY submitted DESC, id")  # noqa: S608 - as above
            return [JobRecord(**dict(zip(_JOB, row, strict=True))) for row in rows]

    def claim(self, keys: Collection[bytes], job: str) -> set[bytes]:
        """Claim requests for a job."""
        with self._writing() as connection:
            return claims.claim(connection, keys, job)

    def release(self, job: str) -> None:
        """End the claims of a job."""
        claims.end(job)
        if self._exists():
            with self._writing() as connection:
                claims.release(connection, job)

    def reserve(self, job: str, uid: str, nanos: int, most: int) -> Room:
        """Reserve what a call of a job may cost."""
        with self._writing() as connection:
            return job_costs.reserve(connection, job, uid, nanos, most)

    def settle(self, job: str, uid: str, nanos: int | None) -> None:
        """End a reservation."""
        with self._writing() as connection:
            job_costs.settle(connection, job, uid, nanos)

    def forget(self, before: int | None = None) -> int:
        """Delete answers and jobs, and give their space back."""
        self.flush()
        if not self._exists():
            return 0
        end = 2**63 - 1 if before is None else before
        with self._writing() as connection:
            count = connection.execute("DELETE FROM answers WHERE time < ?", (end,)).rowcount
            connection.execute("DELETE FROM jobs WHERE changed < ?", (end,))
            job_costs.forget(connection, end)
        with self._reading() as connection, suppress(sqlite3.OperationalError):  # others read it: next time
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return count

    def size(self) -> int:
        """Return the size on disk in bytes, with the write-ahead log."""
        if self._path is None:
            return 0
        files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def flush(self, timeout: float | None = None) -> bool:
        """Write queued answers."""
        self._renewed()
        return self._writer.flush(timeout)

    def close(self) -> None:
        """Write queued answers and close the file."""
        self._renewed()
        self._writer.stop()
        with self._lock:
            if self._connection is not None and self._path is not None:
                self._connection.close()
                self._connection = None

    def _exists(self) -> bool:
        self._renewed()
        return self._connection is not None or (self._path is not None and self._path.exists())

    def _renewed(self) -> None:
        """Forget the parent's connection and queue in a forked child: using them would corrupt the file."""
        if self._pid != os.getpid():
            self._pid, self._lock, self._connection = os.getpid(), threading.RLock(), None
            self._writer.reset()

    def _commit(self, answers: Sequence[Any]) -> None:
        """Write a group of answers; called by the writing thread."""
        try:
            self.write(answers)
        except ConfigurationError as error:
            self._problem = error.message
            raise (error.__cause__ or error) from None  # the writer's warning names the file, too
        self._problem = None

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                yield self._opened()
        except (sqlite3.Error, OSError) as error:
            raise self._unusable("read", error) from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock, sqlite.transaction(self._opened()):
                yield self._opened()
        except (sqlite3.Error, OSError) as error:
            raise self._unusable("write", error) from error

    def _unusable(self, what: str, error: Exception) -> ConfigurationError:
        return ConfigurationError(
            f"Cannot {what} the answers in {self.name}: {error}.",
            hint="Free space or move the file away; store=False keeps nothing.",
        )

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _open(self._path)
            if self._path is None:  # `close` keeps a memory's answers, so it closes with its store
                weakref.finalize(self, self._connection.close)
        return self._connection


def _open(path: Path | None) -> sqlite3.Connection:
    """Open a store; create it, readable by its owner only, if it does not exist."""
    if path is not None:
        sqlite.create(path)
    connection = sqlite3.connect(
        _MEMORY if path is None else path, timeout=TIMEOUT, isolation_level=None, check_same_thread=False
    )
    try:
        version = _version(connection, path)
        if path is not None:
            _journal(connection, path)
        if version < VERSION:
            with sqlite.transaction(connection):
                for statement in _SCHEMA:
                    connection.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection, path: Path | None) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION:
        raise ConfigurationError(
            f"The answers in {path} are of a newer llmkit (version {version}, this one knows {VERSION}).",
            hint="Update llmkit, or move the file away.",
        )
    return version


def _journal(connection: sqlite3.Connection, path: Path) -> None:
    """Use a write-ahead log; on a network drive a rollback journal, because its machines share no memory."""
    network = filesystems.network_type(path) is not None
    mode, safety = ("TRUNCATE", "FULL") if network else ("WAL", "NORMAL")
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
            break
        except sqlite3.OperationalError as error:
            # SQLite does not wait for another process that changes the mode.
            if sqlite.code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
    connection.execute(f"PRAGMA synchronous = {safety}")
