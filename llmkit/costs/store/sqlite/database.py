"""Creating and opening the ledger's SQLite file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from llmkit.core import filesystems, sqlite
from llmkit.core.errors import ConfigurationError
from llmkit.costs.store.sqlite import schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def open_file(path: Path, *, timeout: float) -> sqlite3.Connection:
    """Open a ledger for writing; create it, readable by its owner only, if it does not exist."""
    sqlite.create(path)
    network = filesystems.network_type(path)
    if network is not None:
        _check_locks(path, network)
    connection = _connect(str(path), timeout=timeout)
    try:
        if network is not None:
            # Lets SQLite read a file that has a write-ahead log without sharing memory, see `_use_journal`.
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        schema.check(connection)
        if network is not None or _has_journal(connection):
            _use_journal(connection, timeout)
        else:
            _use_log(connection, timeout)
        schema.migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_memory() -> sqlite3.Connection:
    """Open a ledger in memory."""
    connection = _connect(":memory:", timeout=0)
    schema.migrate(connection)
    return connection


def open_temporary(*, timeout: float) -> sqlite3.Connection:
    """Open a ledger in an unnamed file, which disappears when it is closed or the process dies."""
    connection = _connect("", timeout=timeout, uri=True)
    schema.migrate(connection)
    return connection


def attach(connection: sqlite3.Connection, path: Path, name: str) -> None:
    """Attach another ledger to a connection, for reading."""
    statement = f"ATTACH ? AS {name}"
    try:
        connection.execute(statement, (f"{path.as_uri()}?mode=ro",))
    except sqlite3.OperationalError as error:
        if not _nobody_writes(path, error):
            raise
        connection.execute(statement, (f"{path.as_uri()}?mode=ro&immutable=1",))
    schema.check(connection, name)


def open_reader(path: Path, *, timeout: float) -> sqlite3.Connection | None:
    """Open a ledger for reading only."""
    if not path.exists():
        return None
    try:
        return _checked(f"{path.as_uri()}?mode=ro", timeout)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK:
            _roll_back(path, timeout)
            return _checked(f"{path.as_uri()}?mode=ro", timeout)
        if not _nobody_writes(path, error):
            raise
        return _checked(f"{path.as_uri()}?mode=ro&immutable=1", timeout)


def _roll_back(path: Path, timeout: float) -> None:
    """Undo the transaction of a process that died in it, for a reader may not."""
    with contextlib.closing(_connect(f"{path.as_uri()}?mode=rw", timeout=timeout, uri=True)) as connection:
        connection.execute("PRAGMA user_version").fetchone()


def _nobody_writes(path: Path, error: sqlite3.OperationalError) -> bool:
    """Whether a file has no writer, so that it is safe to read it without the write-ahead log.

    A reader needs the log or a folder in which it can create one.
    """
    if error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK:
        return False  # half of a transaction is in the file
    unmakeable = error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
    return unmakeable and not path.with_name(f"{path.name}-wal").exists()


def _checked(uri: str, timeout: float) -> sqlite3.Connection:
    connection = _connect(uri, timeout=timeout, uri=True)
    try:
        schema.check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def patient(connection: sqlite3.Connection, seconds: float) -> Iterator[sqlite3.Connection]:
    """Wait at most some seconds for locks, and as usual afterwards."""
    (usual,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {round(1000 * seconds)}")
    try:
        yield connection
    finally:
        connection.execute(f"PRAGMA busy_timeout = {usual}")


@contextlib.contextmanager
def explained(path: Path, what: str) -> Iterator[None]:
    """Raise SQLite's errors as ours: the ledger cannot be read, written, …."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise ConfigurationError(
            f"The ledger {path} cannot be {what}: {error}.",
            hint="If the file is damaged, move it; the next call creates a new one.",
        ) from error


@contextlib.contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Run several queries on the same state."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.rollback()


def identity(path: Path) -> tuple[int, int] | None:
    """Return the identity of a file, to detect its replacement; `None` if it does not exist."""
    try:
        status = os.stat(path)  # noqa: PTH116 - asked for every batch, and three times as fast
    except OSError:
        return None
    return status.st_dev, status.st_ino


class _Connection(sqlite3.Connection):
    """A connection that closes itself when it is dropped; Python 3.13 would warn otherwise."""

    def __del__(self) -> None:
        with contextlib.suppress(sqlite3.ProgrammingError):  # it could not be opened
            self.close()


def _connect(name: str, *, timeout: float, uri: bool = False) -> sqlite3.Connection:
    return sqlite3.connect(
        name, timeout=timeout, isolation_level=None, check_same_thread=False, uri=uri, factory=_Connection
    )


def has_log(connection: sqlite3.Connection) -> bool:
    """Whether commits go to a write-ahead log, rather than to the file with an `fsync` each."""
    return str(connection.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"


@lru_cache(maxsize=8)
def _check_locks(path: Path, network: str) -> None:
    """Raise if processes would write at the same time; asked once for each file that can be used."""
    if problem := filesystems.lock_problem(path):
        raise OSError(
            f"{path.parent} is on a network drive ({network}), and {problem}; set LLMKIT_LEDGER to a file on"
            " a local disk"
        )


def _has_journal(connection: sqlite3.Connection) -> bool:
    """Whether another machine, to which this is a network drive, has put a rollback journal in use."""
    return not has_log(connection) and connection.execute("PRAGMA page_count").fetchone()[0] > 0


def _use_log(connection: sqlite3.Connection, timeout: float) -> None:
    """Enable the write-ahead log."""
    _switch(connection, "WAL", timeout)
    connection.execute("PRAGMA synchronous = NORMAL")
    # The writing thread checkpoints long before this limit; large transactions such as corrections need it.
    connection.execute("PRAGMA wal_autocheckpoint = 10000")


def _use_journal(connection: sqlite3.Connection, timeout: float) -> None:
    """Use a rollback journal: a write-ahead log needs memory that all its processes share.

    The journal is truncated, not deleted: some drives keep deleted files in a bin.
    """
    _switch(connection, "TRUNCATE", timeout)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA locking_mode = NORMAL")
    connection.execute("PRAGMA user_version").fetchone()  # gives the lock back


def _switch(connection: sqlite3.Connection, mode: str, timeout: float) -> None:
    """Set the journal's mode; retried, because SQLite does not wait for another process that does so."""
    end = time.monotonic() + timeout
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return
