"""What every SQLite file of ours shares: how it is created, opened and written to."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def create(path: Path) -> None:
    """Create an empty file that only its owner can read, unless there is one; its folders, too."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Never open a file that exists: closing it again would drop the locks that SQLite holds on it in
    # this process. SQLite gives its journal the same permissions as the file.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def connect(path: Path, *, timeout: float, write: bool = False) -> sqlite3.Connection:
    """Connect to a file that exists."""
    uri = f"{path.as_uri()}?mode={'rw' if write else 'ro'}"
    return sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run statements as one writing transaction."""
    # A deferred BEGIN could not wait for the lock once it has read: it would fail at once.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; what only Python noticed, a broken text, counts as corruption."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)) & 0xFF
