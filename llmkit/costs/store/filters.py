"""Which rows of the ledger are meant, and how they are read without the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.costs.store import schema

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from llmkit.costs.store.schema import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Some rows: those for which all of this holds.

    Attributes:
        since: They are of this time or later (microseconds).
        until: They are of an earlier time (microseconds).
        words: By column, what it may say.
        tag: Name of a tag that they have, and its value, if that matters.
        simulated: Whether they are the sandbox's.
    """

    since: int | None = None
    until: int | None = None
    words: dict[str, tuple[str, ...]]
    tag: tuple[str, str | None] | None = None
    simulated: bool | None = None


def pages(
    connection: sqlite3.Connection, choice: Filters, names: Iterable[str], size: int
) -> Iterator[list[Row]]:
    """Read rows in the order they were written."""
    query, values = statement(choice, names)
    cursor = connection.execute(query, values)
    while rows := cursor.fetchmany(size):
        yield [row[1:] for row in rows]


def statement(choice: Filters, names: Iterable[str]) -> tuple[str, list[Any]]:
    """Return the query and its values."""
    conditions = dict(_conditions(choice))
    timed = choice.since is not None or choice.until is not None
    index = "INDEXED BY calls_time_uid" if timed else ""
    where = " AND ".join(conditions) or "1"
    query = f"SELECT {schema.selection(names)} FROM calls {index} WHERE {where} ORDER BY id"  # noqa: S608 - names
    return query, [value for values in conditions.values() for value in values]


def _conditions(choice: Filters) -> Iterator[tuple[str, list[Any]]]:
    if choice.since is not None:
        yield "time >= ?", [choice.since]
    if choice.until is not None:
        yield "time < ?", [choice.until]
    for name, words in choice.words.items():
        yield f"{name} IN ({', '.join('?' * len(words))})", list(words)
    if choice.simulated is not None:
        yield "coalesce(simulated, 0) = ?", [int(choice.simulated)]
    if choice.tag is not None:
        key, value = choice.tag
        # Another hand may have written what is no JSON, which would be an error.
        yield (
            (
                "CASE WHEN json_valid(tags) THEN EXISTS (SELECT 1 FROM json_each(tags)"
                " WHERE key = ? AND value = coalesce(?, value)) END"
            ),
            [key, value],
        )
