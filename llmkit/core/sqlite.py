"""Creating, opening and writing SQLite files."""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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


class Insert:
    """An `INSERT` of many rows, of some in each statement.

    `executemany` gives the interpreter's lock away for each row, and waits to have it back while an event
    loop is busy.

    Args:
        into: The statement up to `VALUES`.
        columns: Number of values of a row.
        after: The rest of the statement.
    """

    MOST = 16
    """Rows in a statement. More are not faster, and older releases of SQLite allow 999 values."""

    def __init__(self, into: str, columns: int, after: str = "") -> None:
        row = f"({', '.join('?' * columns)})"
        # Kept, because the connection finds its compiled statement by the text.
        self._texts = [f"{into} VALUES {', '.join([row] * (n + 1))}{after}" for n in range(self.MOST)]

    def run(self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows."""
        for start in range(0, len(rows), self.MOST):
            some = rows[start : start + self.MOST]
            connection.execute(self._texts[len(some) - 1], tuple(itertools.chain.from_iterable(some)))


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
