"""Inserting rows and intents, and adding rows to the stored sums now and then."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

from llmkit.core import sqlite
from llmkit.costs.store.rows import salvage
from llmkit.costs.store.sqlite import intents, rollups, schema

if TYPE_CHECKING:
    from llmkit.costs.store.rows import Row
    from llmkit.records import CallIntent

ROLL = 1000
"""Number of rows after which a process adds them to the daily sums."""

logger = logging.getLogger(__name__)


class Inserts:
    """The inserts of one process; the caller holds the lock of the connection."""

    def __init__(self) -> None:
        self._unrolled = ROLL  # the first rows of a process are added at once, because it may write few

    @property
    def next_adds_up(self) -> bool:
        """Whether sums are due with the next row."""
        return self._unrolled + 1 >= ROLL

    def one(self, connection: sqlite3.Connection, row: Row) -> None:
        """Insert a row; one statement is a transaction."""
        connection.execute(schema.INSERT, row)
        self._unrolled += 1

    def several(
        self,
        connection: sqlite3.Connection,
        rows: list[Row],
        under_way: list[CallIntent],
        *,
        now: int,
    ) -> None:
        """Insert intents and rows in one transaction."""
        try:
            if len(rows) == 1 and not under_way and not self.next_adds_up:
                self.one(connection, rows[0])
                return
            with sqlite.transaction(connection):
                intents.write(connection, under_way, now=now)
                schema.INSERT_MANY.run(connection, rows)
                self._roll(connection, len(rows))
        except (ValueError, OverflowError, sqlite3.InterfaceError, sqlite3.ProgrammingError):
            with sqlite.transaction(connection):  # one value that SQLite refuses must not keep the others out
                intents.write(connection, under_way, now=now)
                connection.executemany(schema.INSERT, map(salvage, rows))

    def _roll(self, connection: sqlite3.Connection, rows: int) -> None:
        """Add rows to the daily sums, now and then; whatever goes wrong with these, the rows are written."""
        self._unrolled += rows
        if self._unrolled < ROLL or not rows:
            return
        connection.execute("SAVEPOINT roll")
        try:
            self._unrolled = ROLL if rollups.roll(connection) else 0
        except sqlite3.Error:
            logger.debug("Cannot write the daily sums.", exc_info=True)
            self._unrolled = 0
            connection.execute("ROLLBACK TO roll")
        connection.execute("RELEASE roll")
