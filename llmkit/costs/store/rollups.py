"""Daily sums of the ledger's rows, kept in its file, so that ten million rows are added up at once.

A mark says up to which row they go; whoever writes rows moves it on every now and then, in the same
transaction, and whoever reads adds the rows behind it. So it does not matter which llmkit writes, and a
file without sums gains them by and by. The mark names the epoch: when rows go, the sums are void.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.costs.store import schema
from llmkit.costs.totals import Sums

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

STEP = 20_000
"""Rows that one transaction adds at most: others wait for it."""

KEYS = schema.ROLLUP_KEYS

# No sum may fail: that of billions (whole dollars) and that of the rest stay within 64 bits.
_SUM = "CAST(coalesce(sum({0} / 1000000000), 0) * 1000000000 + coalesce(sum({0} % 1000000000), 0) AS INTEGER)"
_MEASURES = {
    "calls": "count(*)",
    "priced": "count(cost_nanos)",
    "unpriced": f"count(*) FILTER (WHERE {schema.UNPRICED})",
    "input_known": "count(input_tokens)",
    "input_tokens": _SUM.format("input_tokens"),
    "output_known": "count(output_tokens)",
    "output_tokens": _SUM.format("output_tokens"),
    "nanos": _SUM.format("cost_nanos"),
    "saved_nanos": _SUM.format("saved_nanos"),
    "first": "min(time)",
    "last": "max(time)",
}
_DAILY = ", ".join(f"{sql} AS {name}" for name, sql in (KEYS | _MEASURES).items())
_ADD = {"first": "min(first, excluded.first)", "last": "max(last, excluded.last)"}
_ROLL = (
    f"INSERT INTO rollups ({', '.join([*KEYS, *_MEASURES])})"  # noqa: S608 - names
    f" SELECT {_DAILY} FROM calls WHERE id > ? AND id <= ? GROUP BY {', '.join(KEYS.values())}"
    f" ON CONFLICT ({', '.join(KEYS)}) DO UPDATE SET "
    + ", ".join(f"{name} = {_ADD.get(name, f'{name} + excluded.{name}')}" for name in _MEASURES)
)

MEASURES = {
    "calls": "sum(calls)",
    "errors": "coalesce(sum(calls) FILTER (WHERE status IN ('error', 'interrupted')), 0)",
    "priced": "sum(priced)",
    "unpriced": "sum(unpriced)",
    "input_tokens": f"CASE WHEN sum(input_known) THEN {_SUM.format('input_tokens')} END",
    "output_tokens": f"CASE WHEN sum(output_known) THEN {_SUM.format('output_tokens')} END",
    "nanos": _SUM.format("nanos"),
    "saved_nanos": _SUM.format("saved_nanos"),
    "first": "min(first)",
    "last": "max(last)",
}
"""What `groups` returns behind the keys; tokens that nobody knows are NULL."""


def roll(connection: sqlite3.Connection) -> int:
    """Add rows to the sums, and move the mark.

    Args:
        connection: An open ledger, in a writing transaction.

    Returns:
        How many rows are still behind the mark.
    """
    epoch, mark = _state(connection)
    if not mark:
        connection.execute("DELETE FROM rollups")
    newest = _newest(connection)
    upto = min(newest, mark + STEP)
    if upto > mark:
        connection.execute(_ROLL, (mark, upto))
        _note(connection, epoch, upto)
    return newest - upto


def behind(connection: sqlite3.Connection) -> int:
    """Return how many rows the sums lack, about; 0 if the file keeps none."""
    if not _kept(connection):
        return 0
    return _newest(connection) - _state(connection)[1]


def groups(connection: sqlite3.Connection, by: Sequence[str], since: int | None = None) -> list[Any] | None:
    """Add rows up in groups.

    Args:
        connection: An open ledger.
        by: Names of `KEYS`.
        since: Only rows of this time or later (microseconds).

    Returns:
        Per group the keys and `MEASURES`; `None` if only the rows themselves can tell.
    """
    kept = _kept(connection)
    mark = _state(connection)[1] if kept else 0
    limit = "" if since is None else " AND time >= :since"
    tail = f"SELECT {_DAILY} FROM calls WHERE id > :mark{limit} GROUP BY {', '.join(KEYS.values())}"  # noqa: S608
    values = {"since": since, "mark": mark}
    if mark and since is not None:
        divided = "SELECT 1 FROM rollups WHERE first < :since AND last >= :since LIMIT 1"
        if connection.execute(divided, values).fetchone():
            return None
    where = "" if since is None else " WHERE first >= :since"
    names = ", ".join([*KEYS, *_MEASURES])
    source = f"SELECT {names} FROM rollups{where} UNION ALL {tail}" if mark else tail  # noqa: S608 - names
    keys = ", ".join(by)
    query = f"SELECT {keys}, {', '.join(MEASURES.values())} FROM ({source}) GROUP BY {keys}"  # noqa: S608 - names
    return connection.execute(query, values).fetchall()


def sums(found: Sequence[Any]) -> dict[bool, Sums]:
    """Turn groups by `simulated` into sums."""
    places = [1 + list(MEASURES).index(n) for n in ("calls", "unpriced", "priced", "nanos", "saved_nanos")]
    return {bool(row[0]): Sums(*(row[place] for place in places)) for row in found}


def forget(connection: sqlite3.Connection, before: int | None) -> int:
    """Take away the sums of rows that are about to be deleted.

    Args:
        connection: An open ledger, in a writing transaction.
        before: Rows before this time (microseconds); `None` are all.

    Returns:
        The mark, for `keep`; 0 if the sums are void.
    """
    mark = _state(connection)[1]
    divided = "SELECT 1 FROM rollups WHERE first < ? AND last >= ? LIMIT 1"
    if before is None or connection.execute(divided, (before, before)).fetchone():
        return 0
    connection.execute("DELETE FROM rollups WHERE last < ?", (before,))
    return mark


def keep(connection: sqlite3.Connection, mark: int) -> None:
    """Say that the sums hold in the new epoch, too.

    Args:
        connection: An open ledger, in a writing transaction.
        mark: What `forget` returned.
    """
    if mark:  # the next row may take the number of one that is gone
        _note(connection, _state(connection)[0], min(mark, _newest(connection)))


def _kept(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'rollups'").fetchone() is not None


def _state(connection: sqlite3.Connection) -> tuple[str, int]:
    """Return the epoch and the mark, 0 if there are no sums of this epoch."""
    values = dict(connection.execute("SELECT key, value FROM meta WHERE key IN ('epoch', 'rolled')"))
    epoch, _, mark = str(values.get("rolled", "")).partition(" ")
    return str(values["epoch"]), int(mark) if epoch == values["epoch"] and mark.isdecimal() else 0


def _newest(connection: sqlite3.Connection) -> int:
    (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM calls").fetchone()
    return int(newest)


def _note(connection: sqlite3.Connection, epoch: str, mark: int) -> None:
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('rolled', ?)", (f"{epoch} {mark}",))
