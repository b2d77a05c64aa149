"""SQL of budgets: limits, reservations and spending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.core.timestamps import micros
from llmkit.costs.budgets import rules as arithmetic
from llmkit.costs.budgets.rules import Amounts, BudgetRules
from llmkit.costs.store import leases
from llmkit.costs.store.sqlite import intents, schema

if TYPE_CHECKING:
    import sqlite3

    from llmkit.records import CostReservation

LARGEST = 10**18
"""Maximum reservation, a billion dollars: sums of reservations must fit into 64 bits."""

DAY = schema.local_day("?")

_RESERVED = (
    f"SELECT substr(uid, 1, 1) = '{schema.OPEN}', sum(nanos),"  # noqa: S608 - names
    " coalesce(sum(nanos) FILTER (WHERE notebook = ?), 0)"
    " FROM holds WHERE day = ? AND expires > ? AND uid <> ? GROUP BY 1"
)


def rules(connection: sqlite3.Connection) -> BudgetRules:
    """Read the budgets."""
    return arithmetic.read(_text(connection))


def change(connection: sqlite3.Connection, changes: dict[str, Any]) -> BudgetRules:
    """Change budgets; return all of them."""
    text = arithmetic.write(_text(connection), changes)
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('budget', ?)", (text,))
    return arithmetic.read(text)


def amounts(
    connection: sqlite3.Connection, time: int, notebook: str | None, *, now: int, without: str = ""
) -> Amounts:
    """Return the amounts used of the budgets."""
    older = not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'spending'").fetchone()
    (day,) = connection.execute(f"SELECT {DAY}", (time,)).fetchone()
    total = "SELECT coalesce(sum(nanos), 0), coalesce(sum(nanos) FILTER (WHERE notebook = ?), 0) FROM"
    table = f"({schema.SPENT})" if older else "spending"
    spent, mine = connection.execute(f"{total} {table} WHERE day = ?", (notebook or "", day)).fetchone()
    if older:  # a file of schema version 1 has calls but no budgets
        return Amounts(spent=spent, notebook_spent=mine)
    values = (notebook or "", day, now, without)
    sums = dict.fromkeys((False, True), (0, 0)) | {
        bool(open_): (nanos, my_nanos) for open_, nanos, my_nanos in connection.execute(_RESERVED, values)
    }
    (reserved, my_reserved), (uncertain, my_uncertain) = sums[False], sums[True]
    return Amounts(spent, reserved, mine, my_reserved, uncertain, my_uncertain)


def reserve(connection: sqlite3.Connection, reservation: CostReservation, *, now: int) -> None:
    """Reserve the maximum cost of a call, replacing its earlier reservation."""
    assert reservation.nanos is not None
    connection.execute("DELETE FROM holds WHERE expires <= ?", (now,))
    limits, time = rules(connection), micros(reservation.time)
    used = amounts(connection, time, reservation.notebook, now=now, without=reservation.uid)
    if (error := arithmetic.refusal(limits, used, reservation)) is not None:
        raise error
    expires = now + leases.micros_of(reservation.lease_s)
    row = (reservation.uid, time, reservation.notebook or "", min(reservation.nanos, LARGEST), expires)
    connection.execute(f"INSERT OR REPLACE INTO holds VALUES (?, {DAY}, ?, ?, ?)", row)  # noqa: S608 - names
    if reservation.intent is not None:
        intents.write(connection, [reservation.intent], now=now)


def release(connection: sqlite3.Connection, uid: str) -> None:
    """Release a reservation, and the intent that was stored with it."""
    connection.execute("DELETE FROM holds WHERE uid = ?", (uid,))
    connection.execute("DELETE FROM intents WHERE uid = ?", (uid,))


def _text(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE key = 'budget'").fetchone()
    return None if row is None else str(row[0])
