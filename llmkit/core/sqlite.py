"""Creating, opening and writing SQLite files."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def create(path: Path) -> None:
    """Create an empty file that only its owner can read, and its folders, unless it exists."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Never open an existing file: closing it would drop the locks that SQLite holds on it in
    # this process. SQLite gives its journal the same permissions as the file.
    with contextlib.suppress(FileExistsError):
        os.close(os.open(os.path.realpath(path), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def connect(path: Path, *, timeout: float, write: bool = False) -> sqlite3.Connection:
    """Connect to an existing file."""
    # A URI, because only it can forbid to create the file.
    uri = f"{path.as_uri()}?mode={'rw' if write else 'ro'}"
    return sqlite3.connect(uri, uri=True, timeout=timeout, isolation_level=None)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run statements as one writing transaction."""
    # A deferred BEGIN cannot wait for the lock after a read; it would fail immediately.
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code; invalid text, which only Python detects, counts as corruption."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)) & 0xFF
