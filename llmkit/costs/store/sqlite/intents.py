"""SQL of calls under way: their intents, and the rows of those whose process died."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from llmkit.core import processes, sqlite
from llmkit.costs.store import lost
from llmkit.costs.store.rows import encode, salvage
from llmkit.costs.store.sqlite import schema

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from llmkit.costs.store.rows import Row
    from llmkit.records import CallIntent

MARGIN = 30 * 1_000_000
"""Microseconds that a reservation or an intent outlives its call: its row may wait 30 seconds for a lock."""

LONGEST = 365 * 86400.0
"""Longest lease in seconds: times must fit into 64 bits."""

RECENT = 2000
"""Number of rows from which the usual length of an answer is learned."""

_WRITE = sqlite.Insert("INSERT OR REPLACE INTO intents", 4)

_USUAL = (
    "SELECT avg(output_tokens) FILTER (WHERE model = ?), avg(output_tokens) FROM (SELECT * FROM calls"
    " ORDER BY id DESC LIMIT ?) WHERE provider = ? AND status = 'ok'"
)

logger = logging.getLogger(__name__)


def write(connection: sqlite3.Connection, intents: Iterable[CallIntent], *, now: int) -> None:
    """Store intents; each replaces an earlier one of the same call."""
    _WRITE.run(
        connection, [(each.uid, each.owner, ends(each.lease_s, now), lost.encode(each)) for each in intents]
    )


def ends(lease_s: float, now: int) -> int:
    """Return when a call that starts now has ended in any case, and its row is written."""
    return now + round(min(lease_s, LONGEST) * 1_000_000) + MARGIN


def abandoned(connection: sqlite3.Connection, *, now: int) -> list[tuple[str, str]]:
    """Return identifier and JSON of calls whose process is dead, or which must be over if nobody can tell."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'intents'").fetchone():
        return []
    found = []
    owners = connection.execute("SELECT owner, min(expires) FROM intents GROUP BY owner").fetchall()
    for owner, first in owners:
        latest = _latest(owner, now)
        if latest is None or first <= latest:
            query = "SELECT uid, call FROM intents WHERE owner = ? AND expires <= coalesce(?, expires)"
            found += connection.execute(query, (owner, latest)).fetchall()
    return found


def _latest(owner: str, now: int) -> int | None:
    """Return until when the leases of a process must have ended for its calls to be lost; `None`: all are."""
    if owner == processes.owner():
        return -1
    process = processes.Process.parse(owner)
    alive = None if process is None else processes.is_alive(process)
    if alive is None:
        return now
    return -1 if alive else None


def recover(connection: sqlite3.Connection, *, now: int) -> int:
    """Write the rows of lost calls, each once whoever else does; return their number."""
    calls = abandoned(connection, now=now)
    if not calls:
        return 0
    # Before the transaction, because the first look into the prices takes long.
    usual: dict[tuple[str, str], int | None] = {}
    rows = [(uid, _row(connection, text, usual)) for uid, text in calls]
    count = 0
    with sqlite.transaction(connection):
        for uid, row in rows:
            # Another process may have written the row meanwhile, and its trigger has removed the intent.
            if row is not None and connection.execute("DELETE FROM intents WHERE uid = ?", (uid,)).rowcount:
                count += connection.execute(schema.INSERT, row).rowcount
    return count


def _row(connection: sqlite3.Connection, text: str, usual: dict[tuple[str, str], int | None]) -> Row | None:
    intent = lost.decode(text)
    if intent is None:
        logger.debug("The intent of a call is damaged: %.200s", text)
        return None
    key = (intent.provider, intent.model)
    if key not in usual:
        usual[key] = _usual_output(connection, *key)
    return salvage(encode(lost.record_of(intent, usual[key])))


def _usual_output(connection: sqlite3.Connection, provider: str, model: str) -> int | None:
    of_model, of_provider = connection.execute(_USUAL, (model, RECENT, provider)).fetchone()
    found = of_provider if of_model is None else of_model
    return None if found is None else round(found)
