"""The rows of a store that is no file, as a temporary database with the tables of one.

`MergedStore` attaches it in place of a file, so that one set of statements reads both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.costs.store.protocol import NOTES
from llmkit.costs.store.rows import COLUMNS

if TYPE_CHECKING:
    import sqlite3

    from llmkit.costs.store.protocol import Store

_TABLES = (
    f"CREATE TABLE source.calls (id INTEGER PRIMARY KEY, {', '.join(COLUMNS)})",
    "CREATE UNIQUE INDEX source.calls_time_uid ON calls (time, uid)",
    "CREATE TABLE source.meta (key TEXT PRIMARY KEY, value TEXT)",
    f"CREATE TABLE source.corrections (id INTEGER PRIMARY KEY, {', '.join(NOTES)})",
)
_CALL = f"INSERT INTO source.calls VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"  # noqa: S608 - names
_NOTE = f"INSERT INTO source.corrections ({', '.join(NOTES)}) VALUES ({', '.join('?' * len(NOTES))})"  # noqa: S608 - names


def attach(connection: sqlite3.Connection, store: Store, epoch: str, last: int) -> None:
    """Attach the rows of a store as `source`: the new ones and the last known one, or all in a new epoch."""
    connection.execute("ATTACH '' AS source")  # SQLite deletes it with the connection
    with connection:
        connection.execute("BEGIN")
        for statement in _TABLES:
            connection.execute(statement)
        found = _rows(connection, store, epoch, last)
        connection.execute("INSERT INTO source.meta VALUES ('epoch', ?)", (found,))
        if found != epoch:  # a correction changes the epoch
            connection.executemany(_NOTE, store.corrections())


def _rows(connection: sqlite3.Connection, store: Store, epoch: str, last: int) -> str:
    """Copy rows page by page, and return their epoch; begin anew if it changes."""
    after, more = max(last - 1, 0), True
    while more:
        page = store.read(after)
        if page.epoch != epoch:
            connection.execute("DELETE FROM source.calls")
            page, epoch = store.read(0), page.epoch
            if page.epoch != epoch:
                continue
        connection.executemany(_CALL, page.rows)
        after, more = page.last, page.more
    return epoch
