"""Sums of the ledger's rows by day and month, stored in its file, so that ten million rows add up quickly.

Several tables hold the same sums at different levels of detail. A mark stores the last row that they
include. Writers advance it from time to time, in the transaction of their rows; readers add the rows after
it. Any llmkit version may write, and a file without sums gains them over time. The mark includes the epoch:
when rows are deleted, the sums are invalid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.costs.price_rules import UNPRICED
from llmkit.costs.store.groups import MEASURES, sums_in
from llmkit.costs.store.sqlite import schema
from llmkit.costs.store.sqlite.queries import newest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from llmkit.costs.sums import Sums

STEP = 20_000
"""Maximum number of rows that one transaction adds: other writers wait for it."""

TABLES = schema.ROLLUP_TABLES

_KEYS = schema.ROLLUP_KEYS | {"month": f"substr({schema.ROLLUP_KEYS['day']}, 1, 7)"}

# SQLite's sum() fails beyond 64 bits, so whole dollars and the rest are added separately.
_SUM = "CAST(coalesce(sum({0} / 1000000000), 0) * 1000000000 + coalesce(sum({0} % 1000000000), 0) AS INTEGER)"
_COUNTED = {
    "calls": "count(*)",
    "priced": "count(cost_nanos)",
    "unpriced": f"count(*) FILTER (WHERE {UNPRICED})",
    "input_known": "count(input_tokens)",
    "input_tokens": _SUM.format("input_tokens"),
    "output_known": "count(output_tokens)",
    "output_tokens": _SUM.format("output_tokens"),
    "nanos": _SUM.format("cost_nanos"),
    "saved_nanos": _SUM.format("saved_nanos"),
    "first": "min(time)",
    "last": "max(time)",
}
_JOINED = {name: _SUM.format(name) for name in _COUNTED} | {"first": "min(first)", "last": "max(last)"}


def _select(columns: dict[str, str], source: str, keys: int) -> str:
    names = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
    return f"SELECT {names} FROM {source} GROUP BY {', '.join(map(str, range(1, keys + 1)))}"  # noqa: S608 - names


def _upsert(table: str) -> str:
    """Return the statement that adds a row of `_NEW` to a table of sums."""
    given = [*schema.ROLLUP_KEYS, *_COUNTED]
    keys, names = ", ".join(TABLES[table]), [*TABLES[table], *_COUNTED]
    values = ", ".join("substr(day, 1, 7)" if name == "month" else name for name in names)
    grown = {name: f"{name} + excluded.{name}" for name in _COUNTED}
    grown |= {"first": "min(first, excluded.first)", "last": "max(last, excluded.last)"}
    # Plain question marks: Python 3.12 warns of numbered ones.
    return (
        f"WITH new ({', '.join(given)}) AS (VALUES ({', '.join('?' * len(given))}))"  # noqa: S608 - names
        f" INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM new WHERE 1"
        f" ON CONFLICT ({keys}) DO UPDATE SET {', '.join(f'{name} = {sql}' for name, sql in grown.items())}"
    )


_NEW = _select(schema.ROLLUP_KEYS | _COUNTED, "calls WHERE id > ? AND id <= ?", len(schema.ROLLUP_KEYS))
_UPSERTS = {table: _upsert(table) for table in TABLES}

_MEASURES = dict.fromkeys(MEASURES, "sum({0})") | {
    "errors": "coalesce(sum(calls) FILTER (WHERE status IN ('error', 'interrupted')), 0)",
    "input_tokens": f"CASE WHEN sum(input_known) THEN {_SUM} END",
    "output_tokens": f"CASE WHEN sum(output_known) THEN {_SUM} END",
    "nanos": _SUM,
    "saved_nanos": _SUM,
    "first": "min({0})",
    "last": "max({0})",
}


def roll(connection: sqlite3.Connection) -> int:
    """Add rows to the sums and advance the mark; return how many rows are still missing."""
    epoch, mark = _state(connection)
    if not mark:
        for table in TABLES:
            connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names
    end = newest(connection)
    upto = min(end, mark + STEP)
    if upto > mark:
        new = connection.execute(_NEW, (mark, upto)).fetchall()
        for upsert in _UPSERTS.values():
            connection.executemany(upsert, new)
        _note(connection, epoch, upto)
    return end - upto


def behind(connection: sqlite3.Connection) -> int:
    """Return about how many rows the sums lack; 0 if the file has no sums."""
    if not _kept(connection):
        return 0
    return newest(connection) - _state(connection)[1]


def groups(connection: sqlite3.Connection, by: Sequence[str], since: int | None = None) -> list[Any] | None:
    """Add rows up in groups."""
    mark = _state(connection)[1] if _kept(connection) else 0
    table = _table(by)
    values = {"since": since, "mark": mark}
    rule = schema.estimated(schema.present(connection))
    if mark and since is not None:
        divided = f"SELECT 1 FROM {table} WHERE first < :since AND last >= :since LIMIT 1"  # noqa: S608 - names
        if connection.execute(divided, values).fetchone():
            return None
    query = _query(table if mark else None, by, rule, since=since is not None)
    return connection.execute(query, values).fetchall()


def _table(by: Sequence[str]) -> str:
    """Return the smallest table that has the keys; a month can be derived from a day."""
    return next(name for name, keys in TABLES.items() if {*by} <= {*keys, "month"})


def _query(table: str | None, by: Sequence[str], estimated: str, *, since: bool) -> str:
    """Return the query of the stored sums, the rows after the mark, and all estimated prices."""
    keys = list(dict.fromkeys([*by, "status"]))  # the number of errors depends on it
    rows = f"calls WHERE id > :mark{' AND time >= :since' if since else ''}"
    source = _select({name: _KEYS[name] for name in keys} | _COUNTED | {"estimated": "0"}, rows, len(keys))
    source += f" UNION ALL {_estimates(keys, estimated, since=since)}"
    if table is not None:
        columns = {name: name if name in TABLES[table] else "substr(day, 1, 7)" for name in keys}
        names = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
        where = " WHERE first >= :since" if since else ""
        source = (
            f"SELECT {names}, {', '.join(_COUNTED)}, 0 AS estimated FROM {table}{where} UNION ALL {source}"  # noqa: S608 - names
        )
    return _select(
        {name: name for name in by} | {name: sql.format(name) for name, sql in _MEASURES.items()},
        f"({source})",
        len(by),
    )


def _estimates(keys: Sequence[str], estimated: str, *, since: bool) -> str:
    """Return the query that counts estimated prices, with 0 for every other sum."""
    rows = f"calls WHERE {estimated}{' AND time >= :since' if since else ''}"
    nothing = dict.fromkeys(_COUNTED, "0") | {"estimated": "count(*)"}
    times = {name: _COUNTED[name] for name in ("first", "last")}
    return _select({name: _KEYS[name] for name in keys} | nothing | times, rows, len(keys))


def sums(found: Sequence[Any]) -> dict[bool, Sums]:
    """Turn groups by `simulated` into sums."""
    return {bool(row[0]): sums_in(row[1:]) for row in found}


def forget(connection: sqlite3.Connection, before: int | None) -> int:
    """Delete the sums of rows that will be deleted; return the mark to keep."""
    mark = _state(connection)[1]
    divided = "SELECT 1 FROM detailed_sums WHERE first < ? AND last >= ? LIMIT 1"
    if before is None or connection.execute(divided, (before, before)).fetchone():
        return 0
    connection.execute("DELETE FROM detailed_sums WHERE last < ?", (before,))
    for table in TABLES.keys() - {"detailed_sums"}:
        connection.execute(f"DELETE FROM {table}")  # noqa: S608 - names
        connection.execute(_again(table))
    return mark


def _again(table: str) -> str:
    """Return the statement that derives a table of sums from the most detailed one."""
    keys = {name: name if name in schema.ROLLUP_KEYS else "substr(day, 1, 7)" for name in TABLES[table]}
    names = ", ".join([*keys, *_JOINED])
    return f"INSERT INTO {table} ({names}) {_select(keys | _JOINED, 'detailed_sums', len(keys))}"


def keep(connection: sqlite3.Connection, mark: int) -> None:
    """Keep the sums valid in the new epoch."""
    if mark:  # the next row may reuse the id of a deleted row
        _note(connection, _state(connection)[0], min(mark, newest(connection)))


def _kept(connection: sqlite3.Connection) -> bool:
    names = f"({', '.join('?' * len(TABLES))})"
    query = f"SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN {names}"  # noqa: S608 - names
    return bool(connection.execute(query, list(TABLES)).fetchone() == (len(TABLES),))


def _state(connection: sqlite3.Connection) -> tuple[str, int]:
    """Return the epoch and the mark, 0 if there are no sums of this epoch."""
    values = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('epoch', 'rolled')"))
    epoch, _, mark = str(values.get("rolled", "")).partition(" ")
    return str(values["epoch"]), int(mark) if epoch == values["epoch"] and mark.isdecimal() else 0


def _note(connection: sqlite3.Connection, epoch: str, mark: int) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('rolled', ?)", (f"{epoch} {mark}",))
