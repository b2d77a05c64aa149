"""SQL of claims: what is done once for everyone who shares the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_CLAIM = (
    "INSERT INTO claims VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET expires = excluded.expires"
    " WHERE owner = excluded.owner"
)


def claim(connection: sqlite3.Connection, name: str, *, owner: str, expires: int, now: int) -> bool:
    """Claim a name unless another owner has it; see `Store.claim`."""
    connection.execute("DELETE FROM claims WHERE expires <= ?", (now,))
    return connection.execute(_CLAIM, (name, owner, expires)).rowcount == 1
