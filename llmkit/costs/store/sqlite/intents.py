"""SQL of calls under way: their intents, and the rows of those whose process died."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from llmkit.core import sqlite
from llmkit.costs.store import leases, lost
from llmkit.costs.store.sqlite import schema

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from llmkit.records import CallIntent

RECENT = 2000
"""Number of rows from which the usual length of an answer is learned."""

_WRITE = sqlite.Insert("INSERT OR REPLACE INTO intents", 4)

_USUAL = (
    "SELECT avg(output_tokens) FILTER (WHERE model = ?), avg(output_tokens) FROM (SELECT * FROM calls"
    " ORDER BY id DESC LIMIT ?) WHERE provider = ? AND status = 'ok'"
)


def write(connection: sqlite3.Connection, intents: Sequence[CallIntent], *, now: int) -> None:
    """Store intents; each replaces an earlier one of the same call."""
    _WRITE.run(
        connection,
        [(each.uid, each.owner, now + leases.micros_of(each.lease_s), lost.encode(each)) for each in intents],
    )


def abandoned(connection: sqlite3.Connection, *, now: int) -> list[tuple[str, str]]:
    """Return identifier and JSON of calls whose process is dead, or which must be over if nobody can tell."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'intents'").fetchone():
        return []
    found = []
    owners = connection.execute("SELECT owner, min(expires) FROM intents GROUP BY owner").fetchall()
    for owner, first in owners:
        latest = leases.latest_end(owner, now)
        if latest is None or first <= latest:
            query = "SELECT uid, call FROM intents WHERE owner = ? AND expires <= coalesce(?, expires)"
            found += connection.execute(query, (owner, latest)).fetchall()
    return found


def recover(connection: sqlite3.Connection, *, now: int) -> int:
    """Write the rows of lost calls, each once whoever else does; return their number."""
    calls = abandoned(connection, now=now)
    if not calls:
        return 0
    # Before the transaction, because the first look into the prices takes long.
    usual = cache(partial(_usual_output, connection))
    rows = [(uid, lost.row_of(text, usual)) for uid, text in calls]
    count = 0
    with sqlite.transaction(connection):
        for uid, row in rows:
            # Another process may have written the row meanwhile, and its trigger has removed the intent.
            if row is not None and connection.execute("DELETE FROM intents WHERE uid = ?", (uid,)).rowcount:
                count += connection.execute(schema.INSERT, row).rowcount
    return count


def _usual_output(connection: sqlite3.Connection, provider: str, model: str) -> int | None:
    of_model, of_provider = connection.execute(_USUAL, (model, RECENT, provider)).fetchone()
    found = of_provider if of_model is None else of_model
    return None if found is None else round(found)
