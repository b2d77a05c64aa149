"""Several ledgers read as one: their rows are copied to a temporary database of this process.

SQLite deletes it when it is closed or the process ends in any way, and only its owner can read it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from llmkit.core import sqlite
from llmkit.core.errors import ConfigurationError
from llmkit.costs.budgets.rules import Amounts
from llmkit.costs.store.rows import COLUMNS
from llmkit.costs.store.sqlite import database, fetched, rollups, schema
from llmkit.costs.store.sqlite.location import MEMORY
from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from llmkit.costs.store.protocol import Store
    from llmkit.costs.store.rows import Row
    from llmkit.records import CallIntent, CallRecord

WAIT = 30.0
"""Seconds to wait for a file that another process has locked."""

NEAR = 36 * 3600 * 1_000_000
"""Microseconds around a time that include its local day in every time zone."""

# A column that an older file lacks resolves to that of `calls` itself, and so keeps its value.
_PRICES = "cost_nanos, saved_nanos, at_most_nanos, price_source, price_date, usage_source"
_NOTES = (
    "run, corrected, time, uid, what, old_nanos, old_source, old_date, new_nanos, new_source, new_date,"
    " reason"
)

_TAKE = (
    f"INSERT INTO main.calls ({', '.join(COLUMNS)}) SELECT {{columns}} FROM source.calls"  # noqa: S608 - names
    f" WHERE id > ? ORDER BY id{schema.REPLACES_LOST}"
)

_CORRECTIONS = "SELECT 1 FROM source.sqlite_master WHERE name = 'corrections'"

# Of two copies of a call, the one with the latest correction is used.
_CORRECT = f"""
    UPDATE main.calls SET ({_PRICES}) = (
        SELECT {_PRICES} FROM source.calls AS theirs
        WHERE theirs.time = calls.time AND theirs.uid = calls.uid
    )
    WHERE (time, uid) IN (
        SELECT time, uid FROM source.corrections AS theirs GROUP BY time, uid
        HAVING max(corrected) > coalesce((
            SELECT max(corrected) FROM main.corrections AS ours
            WHERE ours.time = theirs.time AND ours.uid = theirs.uid
        ), 0)
    )
"""  # noqa: S608 - names
_NOTE = f"""
    INSERT INTO main.corrections ({_NOTES})
    SELECT {_NOTES} FROM source.corrections AS theirs WHERE NOT EXISTS (
        SELECT 1 FROM main.corrections AS ours
        WHERE ours.time = theirs.time AND ours.uid = theirs.uid AND ours.what = theirs.what
            AND ours.run = theirs.run AND ours.corrected = theirs.corrected
    ) ORDER BY id
"""  # noqa: S608 - names

# The copy in a file does not say whose call it is.
_NAME_USERS = """
    UPDATE main.calls SET user = theirs.user FROM source.calls AS theirs
    WHERE theirs.time = calls.time AND theirs.uid = calls.uid AND calls.user IS NULL
        AND theirs.user IS NOT NULL AND theirs.id > ?
"""

_BEYOND = "max(coalesce(at_most_nanos, 0) - max(coalesce(cost_nanos, 0), 0), 0)"
_SPENT = (
    "SELECT coalesce(sum(max(coalesce(cost_nanos, 0), 0)), 0), 0,"  # noqa: S608 - names
    " coalesce(sum(max(coalesce(cost_nanos, 0), 0)) FILTER (WHERE notebook IS ?), 0), 0,"
    f" coalesce(sum({_BEYOND}), 0), coalesce(sum({_BEYOND}) FILTER (WHERE notebook IS ?), 0)"
    " FROM calls WHERE NOT coalesce(simulated, 0) AND time BETWEEN ? AND ?"
    f" AND {schema.local_day('time')} = {schema.local_day('?')}"
)


@dataclass(slots=True)
class Source:
    """A ledger and how far it was copied.

    Attributes:
        place: The file, or the store of a ledger that is no file.
        epoch: Its epoch at that time; empty if nothing was copied.
        last: The `id` of the last row.
        uid: The identifier of the last row's call.
    """

    place: Path | Store
    epoch: str = ""
    last: int = 0
    uid: str | None = None

    def __str__(self) -> str:
        return _name(self.place)

    def attach(self, connection: sqlite3.Connection) -> None:
        """Attach the ledger's tables to a connection as `source`."""
        if isinstance(self.place, Path):
            database.attach(connection, self.place, "source")
        else:
            fetched.attach(connection, self.place, self.epoch, self.last)


class MergedStore(SQLiteStore):
    """The rows of several ledgers, each call once; read-only.

    Each read includes new rows of the files. If rows of a file were deleted or changed, all are copied again.
    """

    def __init__(self, places: Sequence[str | os.PathLike[str] | Store]) -> None:
        if not places:
            raise ConfigurationError("No ledger to read.", hint='Pass files: Ledger.merged("a.sqlite", …).')
        self._places: list[Path | Store] = [
            Path(os.path.expanduser(place)).absolute()  # noqa: PTH111 - as in SQLiteStore
            if isinstance(place, (str, os.PathLike))
            else place
            for place in places
        ]
        self._sources: list[Source] = []
        for place in self._places:
            _find(place)
        super().__init__(MEMORY, busy_timeout=WAIT)
        self.has_users = any(not isinstance(place, Path) and place.has_users for place in self._places)

    @property
    def name(self) -> str:
        """The names of the ledgers; see `Store.name`."""
        return " + ".join(map(_name, self._places))

    def append(self, record: CallRecord, *, alone: bool = False) -> Future[bool]:  # noqa: ARG002 - whatever it is
        """Refuse a record."""
        self._refuse("record calls")

    def intend(self, intent: CallIntent) -> NoReturn:  # noqa: ARG002 - whatever it is
        """Refuse a call."""
        self._refuse("record calls")

    def delete(self, before: int | None = None) -> int:  # noqa: ARG002 - whatever it is
        """Refuse to delete rows."""
        self._refuse("delete calls")

    def correct(self, changes: Sequence[Any], *, run: str, reason: str | None) -> NoReturn:  # noqa: ARG002 - whatever they are
        """Refuse to correct rows."""
        self._refuse("correct prices")

    def claim(self, name: str, *, owner: str, expires: int) -> NoReturn:  # noqa: ARG002 - whatever it is
        """Refuse a claim."""
        self._refuse("take claims")

    def change_rules(self, changes: dict[str, Any]) -> NoReturn:  # noqa: ARG002 - whatever they are
        """Refuse a budget."""
        self._refuse("keep a budget")

    def groups(self, by: Sequence[str], since: int | None = None) -> list[Row] | None:
        """Group all rows; see `Store.groups`. The stored sums are updated first; they know no users."""
        if "user" in by:
            return None
        with self._taken() as connection, sqlite.transaction(connection):
            while rollups.roll(connection):
                pass
        return super().groups(by, since)

    def counters(self) -> list[Row]:
        """Return the sums of the copied rows; see `Store.counters`. Calls that were deleted do not count."""
        with self._reader() as connection:
            assert connection is not None
            return connection.execute(schema.counted()).fetchall()

    def amounts(self, time: int, notebook: str | None) -> Amounts:
        """Return the cost of the day's calls; see `Store.amounts`. There are no reservations."""
        with self._reader() as connection:
            assert connection is not None
            values = (notebook, notebook, time - NEAR, time + NEAR, time)
            return Amounts(*connection.execute(_SPENT, values).fetchone())

    def close(self) -> None:
        """Drop the copied rows; the next use copies them again."""
        super().close()
        self._disconnect()
        for place in self._places:
            if not isinstance(place, Path):
                place.close()

    @contextlib.contextmanager
    def _reader(
        self, lock: threading.RLock | None = None, patience: float | None = None
    ) -> Iterator[sqlite3.Connection | None]:
        with self._taken(), super()._reader(lock, patience) as connection:
            yield connection

    @contextlib.contextmanager
    def _taken(self) -> Iterator[sqlite3.Connection]:
        """Copy what is new in the files, and yield the connection."""
        with self._writer.writing:
            while not all(map(self._take, self._opened())):
                self._disconnect()  # rows were deleted or changed, so another file's copy may now be right
            yield self._connected()

    def _opened(self) -> list[Source]:
        self._connected()
        return self._sources

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = database.open_temporary(timeout=self._busy_timeout)
            _lighten(self._connection)
            self._sources = [Source(place) for place in self._places]
        return self._connection

    def _take(self, source: Source) -> bool:
        """Copy what is new in a file; false if rows that were copied before no longer exist."""
        _find(source.place)
        try:
            connection = self._connected()
            source.attach(connection)
            connection.execute("BEGIN")  # all reads of the file see the same state
            with connection:
                there = _take(connection, source)
            connection.execute("DETACH source")
        except (sqlite3.Error, OSError) as error:
            self._disconnect()
            text = f"The ledger {source} cannot be read: {error}."
            raise ConfigurationError(text, hint=_remedy(error)) from error
        except BaseException:
            self._disconnect()
            raise
        return there

    def _refuse(self, what: str) -> NoReturn:
        raise ConfigurationError(
            f"A merged ledger cannot {what}.",
            hint="Use Ledger(path) with one of the files.",
        )


def _lighten(connection: sqlite3.Connection) -> None:
    """Drop the triggers, which only a writable ledger needs: they take half the time of a row.

    What remains is the one that gives a new epoch where a copy has a call that another copy lost.
    """
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name <> 'calls_changed'"
    for (name,) in connection.execute(query).fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("CREATE INDEX corrections_call ON corrections (time, uid)")


def _remedy(error: Exception) -> str:
    full = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
    if isinstance(error, sqlite3.Error) and sqlite.code(error) in full:
        return "The rows need space in the temporary folder; SQLITE_TMPDIR sets another folder."
    return "Omit the file, or repair it."


def _find(place: Path | Store) -> None:
    """Raise if a file is missing: sums without it would be too small without notice."""
    if isinstance(place, Path) and not place.exists():
        raise ConfigurationError(f"Ledger not found: {place}.", hint="Check the name, or omit the file.")


def _name(place: Path | Store) -> str:
    return str(place) if isinstance(place, Path) else place.name


def _take(connection: sqlite3.Connection, source: Source) -> bool:
    names = {str(row[1]) for row in connection.execute("PRAGMA source.table_info(calls)")}
    if not names:
        return not source.epoch
    (epoch,) = connection.execute("SELECT value FROM source.meta WHERE key = 'epoch'").fetchone()
    if source.epoch and (epoch, _uid(connection, source.last)) != (source.epoch, source.uid):
        return False
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM source.calls").fetchone()
    if last > source.last:
        columns = ", ".join(name if name in names else "NULL" for name in COLUMNS)
        connection.execute(_TAKE.format(columns=columns), (source.last,))
        if not isinstance(source.place, Path) and connection.execute(_NAME_USERS, (source.last,)).rowcount:
            connection.execute(schema.NEW_EPOCH)
    if not source.epoch:  # a correction changes the epoch, so a known file has no new corrections
        _take_corrections(connection)
    source.epoch, source.last, source.uid = epoch, last, _uid(connection, last)
    return True


def _take_corrections(connection: sqlite3.Connection) -> None:
    if connection.execute(_CORRECTIONS).fetchone():
        if connection.execute(_CORRECT).rowcount:
            connection.execute(schema.NEW_EPOCH)
        connection.execute(_NOTE)


def _uid(connection: sqlite3.Connection, number: int) -> str | None:
    row = connection.execute("SELECT uid FROM source.calls WHERE id = ?", (number,)).fetchone()
    return None if row is None else str(row[0])
