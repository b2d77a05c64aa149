"""Creating and opening the ledger's SQLite file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import TYPE_CHECKING

from llmkit.core import sqlite
from llmkit.costs.store.rows import salvage
from llmkit.costs.store.sqlite import schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from llmkit.costs.store.rows import Row


def open_file(path: Path, *, timeout: float) -> sqlite3.Connection:
    """Open a ledger for writing; create it, readable by its owner only, if it does not exist."""
    sqlite.create(path)
    connection = _connect(str(path), timeout=timeout)
    try:
        schema.check(connection)
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
        if not _nobody_writes(path, error):
            raise
        return _checked(f"{path.as_uri()}?mode=ro&immutable=1", timeout)


def _nobody_writes(path: Path, error: sqlite3.OperationalError) -> bool:
    """Whether a file has no writer, so that it is safe to read it without the write-ahead log.

    A reader needs the log or a folder in which it can create one.
    """
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


def _use_log(connection: sqlite3.Connection, timeout: float) -> None:
    """Enable the write-ahead log; retried, because SQLite does not wait for another process that does so."""
    end = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)
    connection.execute("PRAGMA synchronous = NORMAL")
    # The writing thread checkpoints long before this limit; large transactions such as corrections need it.
    connection.execute("PRAGMA wal_autocheckpoint = 10000")


@contextlib.contextmanager
def holding(rows: Iterable[Row]) -> Iterator[sqlite3.Connection]:
    """Yield a ledger in memory that has only these rows."""
    with contextlib.closing(open_memory()) as memory:
        memory.executemany(schema.INSERT, map(salvage, rows))
        yield memory
