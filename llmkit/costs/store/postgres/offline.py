"""A file of this user and machine with what the server has not taken yet, and with the last known budgets.

Rows wait in memory, too, and the server skips a row that it has. So a row may be sent again by whichever
process finds it here, and yet arrives once.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from typing import TYPE_CHECKING, Any

from llmkit.core import sqlite
from llmkit.core.waiting import waiting_file
from llmkit.costs.store.rows import COLUMNS, TIME, UID, salvage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from llmkit.costs.store.rows import Row

WAIT = 5.0
"""Seconds to wait for another process that has locked the file."""

_TABLES = (
    "CREATE TABLE IF NOT EXISTS calls (time INTEGER, uid TEXT, fields TEXT, PRIMARY KEY (time, uid))",
    "CREATE TABLE IF NOT EXISTS budgets (one INTEGER PRIMARY KEY CHECK (one = 1), rules TEXT)",
)

logger = logging.getLogger(__name__)


class OfflineFile:
    """Rows and budgets of one ledger, kept while its server is away.

    What goes wrong with the file is logged: the rows are still in memory.

    Args:
        name: The ledger's address.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def path(self) -> Path:
        """The file of this user and machine."""
        return waiting_file("offline", self._name, ".sqlite")

    def keep(self, rows: Sequence[Row]) -> bool:
        """Add rows; return whether they are on the disk."""
        values = [(row[TIME], row[UID], _text(row)) for row in map(salvage, rows)]
        done = self._run("INSERT OR IGNORE INTO calls VALUES (?, ?, ?)", values)
        return done is not None

    def kept(self) -> list[Row]:
        """Return the rows, also those of processes that have ended."""
        found = self._run("SELECT fields FROM calls ORDER BY rowid") if self.path.exists() else None
        return [_row(text) for (text,) in found or ()]

    def remove(self, rows: Iterable[Row]) -> None:
        """Remove rows that the server has taken."""
        keys = [(row[TIME], row[UID]) for row in map(salvage, rows)]
        self._run("DELETE FROM calls WHERE time = ? AND uid = ?", keys)

    def remember(self, rules: str) -> None:
        """Keep the budgets, as JSON."""
        self._run("INSERT OR REPLACE INTO budgets VALUES (1, ?)", [(rules,)])

    def remembered(self) -> str | None:
        """Return the last known budgets; `None` if there are none."""
        found = self._run("SELECT rules FROM budgets") if self.path.exists() else None
        return str(found[0][0]) if found else None

    def _run(self, statement: str, values: list[tuple[Any, ...]] | None = None) -> list[Any] | None:
        """Run a statement, once for each of `values`; `None` if that fails."""
        try:
            sqlite.create(self.path)
            with contextlib.closing(sqlite.connect(self.path, timeout=WAIT, write=True)) as file:
                for table in _TABLES:
                    file.execute(table)
                if values is None:
                    return file.execute(statement).fetchall()
                with sqlite.transaction(file):
                    file.executemany(statement, values)
                return []
        except (sqlite3.Error, OSError) as error:
            logger.warning("Cannot use %s, where calls wait for %s: %s", self.path, self._name, error)
            return None


def _text(row: Row) -> str:
    return json.dumps({name: value for name, value in zip(COLUMNS, row, strict=True) if value is not None})


def _row(text: str) -> Row:
    """Return a row; one of another llmkit may have other columns."""
    values = json.loads(text)
    return tuple(values.get(name) for name in COLUMNS)
