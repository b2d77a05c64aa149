"""SQL that selects and counts rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.costs.price_rules import UNPRICED
from llmkit.costs.store.groups import COUNTER_KEYS, COUNTERS
from llmkit.costs.store.rows import COLUMNS, TIME, UID
from llmkit.costs.store.sqlite.schema import counted, estimated, present
from llmkit.costs.sums import Sums

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from llmkit.costs.store.filters import Filters
    from llmkit.costs.store.rows import Row


def selection(names: Iterable[str]) -> str:
    """Return the columns of a `SELECT`, with NULL for those that an older file lacks.

    Example:
        >>> selection({"time"})[:24]
        'id, time, NULL AS uid, N'
    """
    has = set(names)
    return ", ".join(["id", *(name if name in has else f"NULL AS {name}" for name in COLUMNS)])


def pages(
    connection: sqlite3.Connection, choice: Filters, names: Iterable[str], size: int
) -> Iterator[list[Row]]:
    """Read rows in the order they were written."""
    query, values = statement(choice, names)
    cursor = connection.execute(query, values)
    while rows := cursor.fetchmany(size):
        yield [row[1:] for row in rows]


def statement(choice: Filters, names: Iterable[str], after: int = 0) -> tuple[str, list[Any]]:
    """Return the query of the rows after an `id` that pass filters, and its values."""
    conditions, values = zip(("id > ?", [after]), *_conditions(choice, set(names)), strict=True)
    # Without the hint SQLite scans all rows by `id`, which is faster only for the latest rows.
    timed = not after and (choice.since is not None or choice.until is not None)
    index = "INDEXED BY calls_time_uid" if timed else ""
    query = f"SELECT {selection(names)} FROM calls {index} WHERE {' AND '.join(conditions)} ORDER BY id"  # noqa: S608 - names
    return query, [value for some in values for value in some]


def newest(connection: sqlite3.Connection) -> int:
    """Return the `id` of the last row; 0 if there is none."""
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM calls").fetchone()
    return int(last)


def _conditions(choice: Filters, names: set[str]) -> Iterator[tuple[str, list[Any]]]:
    if choice.since is not None:
        yield "time >= ?", [choice.since]
    if choice.until is not None:
        yield "time < ?", [choice.until]
    for name, words in choice.words.items():
        place = name if name in names else "NULL"  # in an older file
        yield f"{place} IN ({', '.join('?' * len(words))})", list(words)
    if choice.simulated is not None:
        yield "coalesce(simulated, 0) = ?", [int(choice.simulated)]
    for tag in choice.tags:
        # Invalid JSON, which another program may have written, would raise an error.
        yield (
            (
                "CASE WHEN json_valid(tags) THEN EXISTS (SELECT 1 FROM json_each(tags)"
                " WHERE key = ? AND value = coalesce(?, value)) END"
            ),
            list(tag),
        )


def sums(connection: sqlite3.Connection, since: int | None, session: str | None) -> dict[bool, Sums]:
    """Add up the rows of a ledger."""
    limits = {"time >= ?": since, "session = ?": session}
    where = [limit for limit, value in limits.items() if value is not None] or ["1"]
    query = (
        f"SELECT coalesce(simulated, 0), count(*), total({UNPRICED}), count(cost_nanos),"  # noqa: S608 - names
        " coalesce(sum(cost_nanos), 0), coalesce(sum(saved_nanos), 0),"
        f" total({estimated(present(connection))})"
        f" FROM calls WHERE {' AND '.join(where)} GROUP BY 1"
    )
    values = [value for value in limits.values() if value is not None]
    return {bool(row[0]): Sums(*map(int, row[1:])) for row in connection.execute(query, values)}


def missing(connection: sqlite3.Connection, rows: Iterable[Row]) -> list[Row]:
    """Return the rows that are not in the ledger: others may have been committed since they were listed."""
    query = "SELECT 1 FROM calls WHERE time = ? AND uid = ?"
    return [row for row in rows if not connection.execute(query, (row[TIME], row[UID])).fetchone()]


def counters(connection: sqlite3.Connection) -> list[Row]:
    """Return the counters; those of a file that has none yet are the sums of its rows."""
    kept = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'counters'").fetchone()
    names = ", ".join((*COUNTER_KEYS, *COUNTERS))
    return connection.execute(f"SELECT {names} FROM counters" if kept else counted()).fetchall()  # noqa: S608 - names
