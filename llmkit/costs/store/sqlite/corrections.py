"""SQL of price corrections: the old price is noted, then replaced.

Triggers invalidate cached rows and sums (`schema.ROLLUPS`), and adjust the spending of the day
(`schema.CORRECTIONS`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.costs.store.protocol import AMOUNTS, NOTES, SOURCE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from llmkit.costs.store.protocol import Change
    from llmkit.costs.store.rows import Row

_READ = (
    f"SELECT {', '.join('calls.' + name if name in ('provider', 'model') else 'n.' + name for name in NOTES)}"  # noqa: S608 - names
    " FROM corrections AS n LEFT JOIN calls ON calls.time = n.time AND calls.uid = n.uid"
    " WHERE n.run = coalesce(?, n.run) ORDER BY n.id"
)


_MARK_NOTE = (
    "INSERT INTO corrections (run, corrected, what, new_source, reason, time, uid, old_source)"  # noqa: S608 - names
    f" SELECT ?, ?, '{SOURCE}', ?, ?, time, uid, {SOURCE}"
    f" FROM calls WHERE time = ? AND uid = ? AND {SOURCE} IS ?"
)
_MARK = (
    f"UPDATE calls SET {SOURCE} = n.new_source FROM corrections AS n"  # noqa: S608 - names
    f" WHERE n.id > ? AND n.what = '{SOURCE}' AND calls.time = n.time AND calls.uid = n.uid"
)


def write(
    connection: sqlite3.Connection, changes: Iterable[Change], *, run: str, now: int, reason: str | None
) -> int:
    """Replace prices that still have their expected value; return their number."""
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM corrections").fetchone()
    changes, count = list(changes), 0
    for what in AMOUNTS:
        values = [
            (run, now, what, each.nanos, each.source, each.date, reason, each.time, each.uid, each.expected)
            for each in changes
            if each.what == what
        ]
        count += connection.executemany(_note(what), values).rowcount if values else 0
        connection.execute(_replace(what), (last, what))
    marks = [each for each in changes if each.what == SOURCE]
    return count + _mark(connection, marks, run, now, reason)


def _mark(
    connection: sqlite3.Connection, changes: list[Change], run: str, now: int, reason: str | None
) -> int:
    """Change the `usage_source` of calls; return their number."""
    if not changes:
        return 0
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM corrections").fetchone()
    values = [(run, now, each.source, reason, each.time, each.uid, each.before) for each in changes]
    count = connection.executemany(_MARK_NOTE, values).rowcount
    connection.execute(_MARK, (last,))
    return count


def read(connection: sqlite3.Connection, run: str | None) -> list[Row]:
    """Return notes in order."""
    query = "SELECT 1 FROM sqlite_master WHERE name = 'corrections'"
    if not connection.execute(query).fetchone():  # the file is not up to date
        return []
    return connection.execute(_READ, (run,)).fetchall()


def _note(what: str) -> str:
    return (
        "INSERT INTO corrections (run, corrected, what, new_nanos, new_source, new_date, reason,"  # noqa: S608 - names
        " time, uid, old_nanos, old_source, old_date)"
        f" SELECT ?, ?, ?, ?, ?, ?, ?, time, uid, {what}, price_source, price_date"
        f" FROM calls WHERE time = ? AND uid = ? AND {what} IS ?"
    )


def _replace(what: str) -> str:
    # A bound has no source of its own.
    source = "" if what == "at_most_nanos" else ", price_source = n.new_source, price_date = n.new_date"
    return (
        f"UPDATE calls SET {what} = n.new_nanos{source}"  # noqa: S608 - names
        " FROM corrections AS n WHERE n.id > ? AND n.what = ? AND calls.time = n.time AND calls.uid = n.uid"
    )
