"""SQL that writes: each statement calls a function of the schema, and is a transaction of its own.

All but corrections and deletions may be repeated, as when a connection breaks in the middle.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson

from llmkit.core.postgres_errors import load
from llmkit.core.timestamps import micros
from llmkit.costs.budgets import rules as arithmetic
from llmkit.costs.budgets.rules import Amounts, BudgetRules
from llmkit.costs.store import leases, lost
from llmkit.costs.store.rows import COLUMNS, salvage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmkit.core.errors import BudgetExceededError
    from llmkit.core.postgres import Connection
    from llmkit.costs.store.protocol import Change
    from llmkit.costs.store.rows import Row
    from llmkit.records import CallIntent, CostReservation

LARGEST = 10**18
"""Maximum reservation, a billion dollars: amounts must fit into 64 bits."""


def append(connection: Connection, rows: Sequence[Row], intents: Iterable[CallIntent] = ()) -> None:
    """Store intents, then rows."""
    under_way = _of_intents(intents)
    try:
        _append(connection, _of_rows(rows), under_way)
    except (TypeError, load().DataError):  # one value that cannot be stored must not keep the others out
        _append(connection, _of_rows(map(_storable, rows)), under_way)


def _append(connection: Connection, rows: str, intents: str) -> None:
    connection.execute("SELECT llmkit.append(%s, %s)", (rows, intents))


def lose(connection: Connection, rows: Iterable[Row]) -> int:
    """Write the rows of lost calls, each once; return their number."""
    return int(_value(connection, "SELECT llmkit.lose(%s)", _of_rows(map(_storable, rows))))


def reserve(connection: Connection, reservation: CostReservation) -> BudgetExceededError | None:
    """Reserve the maximum cost of a call, replacing its earlier reservation; return why that is refused."""
    assert reservation.nanos is not None
    intents = () if reservation.intent is None else (reservation.intent,)
    values = (
        reservation.uid,
        micros(reservation.time),
        reservation.notebook,
        min(reservation.nanos, LARGEST),
        reservation.cap_nanos,
        leases.micros_of(reservation.lease_s),
        _of_intents(intents),
    )
    query = "SELECT refused, amounts, rules::text FROM llmkit.reserve(%s, %s, %s, %s, %s, %s, %s)"
    (refused, amounts, rules) = connection.execute(query, values).fetchone() or (True, (), None)
    if not refused:
        return None
    return arithmetic.refusal(arithmetic.read(rules), used(amounts), reservation)


def used(amounts: Iterable[Any]) -> Amounts:
    """Return amounts as the functions of the schema list them."""
    return Amounts(*map(int, amounts))


def release(connection: Connection, uid: str) -> None:
    """Release a reservation, and the intent that was stored with it."""
    connection.execute("SELECT llmkit.release(%s)", (uid,))


def change_rules(connection: Connection, changes: dict[str, Any]) -> BudgetRules:
    """Change budgets; return all of them."""
    return arithmetic.read(_value(connection, "SELECT llmkit.change_rules(%s)::text", json.dumps(changes)))


def claim(connection: Connection, name: str, *, owner: str, expires: int) -> bool:
    """Claim a name for one of the user's processes; return whether it has the name."""
    return bool(_value(connection, "SELECT llmkit.claim(%s, %s, %s)", name, owner, expires))


def correct(connection: Connection, changes: Iterable[Change], *, run: str, reason: str | None) -> int:
    """Replace prices that still have their expected value; return their number."""
    given = [each._asdict() | {"place": place} for place, each in enumerate(changes)]
    return int(_value(connection, "SELECT llmkit.correct(%s, %s, %s)", json.dumps(given), run, reason))


def delete(connection: Connection, before: int | None) -> int:
    """Delete rows; return their number."""
    return int(_value(connection, "SELECT llmkit.forget(%s)", before))


def _value(connection: Connection, query: str, *values: object) -> Any:
    row = connection.execute(query, values).fetchone()
    assert row is not None
    return row[0]


def _of_rows(rows: Iterable[Row]) -> str:
    """Return rows as JSON, without the values that are unknown."""
    named = [
        {name: value for name, value in zip(COLUMNS, row, strict=True) if value is not None} for row in rows
    ]
    return orjson.dumps(named).decode()


def _of_intents(intents: Iterable[CallIntent]) -> str:
    named = [
        {
            "uid": each.uid,
            "owner": each.owner,
            "lease": leases.micros_of(each.lease_s),
            "call": _text(lost.encode(each)),
        }
        for each in intents
    ]
    return orjson.dumps(named).decode()


def _storable(row: Row) -> Row:
    return tuple(_text(value) if isinstance(value, str) else value for value in salvage(row))


def _text(value: str) -> str:
    """Return text as PostgreSQL stores it: without the character NUL."""
    return value.replace("\0", "\ufffd")
