"""Which store a ledger has: a file, or a PostgreSQL database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.core import postgres
from llmkit.costs.store.sqlite.location import ENVIRONMENT, default_path, file_of

if TYPE_CHECKING:
    import os

    from llmkit.costs.store.protocol import Store


def open_store(given: str | os.PathLike[str] | None) -> Store:
    """Return the store of a place, or of the default one; nothing is created yet."""
    where = given or default_path()
    if isinstance(where, str) and postgres.is_address(where):
        from llmkit.costs.store.postgres.postgres_store import PostgresStore

        return PostgresStore(where, "Ledger(path)" if given else ENVIRONMENT)
    from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore

    return SQLiteStore(file_of(given))
