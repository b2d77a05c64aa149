"""Rows that are not written yet, filtered and added up by the rules for those of a file, in memory."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from llmkit.costs.budgets.rules import Amounts
from llmkit.costs.store.rows import COLUMNS, salvage
from llmkit.costs.store.sqlite import database, queries, reservations, rollups, schema

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from llmkit.costs.store.filters import Filters
    from llmkit.costs.store.rows import Row
    from llmkit.costs.sums import Sums

SIZE = 25_000
"""Maximum number of rows of a page."""


def pages(rows: Sequence[Row], choice: Filters) -> list[list[Row]]:
    """Return the rows that pass filters."""
    with _holding(rows) as memory:
        return list(queries.pages(memory, choice, COLUMNS, SIZE))


def sums(rows: Sequence[Row], since: int | None, session: str | None) -> dict[bool, Sums]:
    """Add up rows."""
    with _holding(rows) as memory:
        return queries.sums(memory, since, session)


def groups(rows: Sequence[Row], by: Sequence[str], since: int | None) -> list[Row]:
    """Add up rows in groups."""
    if not rows:
        return []
    with _holding(rows) as memory:
        return rollups.groups(memory, by, since) or []


def amounts(rows: Sequence[Row], time: int, notebook: str | None, *, now: int) -> Amounts:
    """Return the amounts of the budgets that rows use."""
    if not rows:
        return Amounts()
    with _holding(rows) as memory:
        return reservations.amounts(memory, time, notebook, now=now)


@contextlib.contextmanager
def _holding(rows: Sequence[Row]) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(database.open_memory()) as memory:
        memory.executemany(schema.INSERT, map(salvage, rows))
        yield memory
