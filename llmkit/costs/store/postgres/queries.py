"""SQL that reads. Users see their own rows only, administrators those of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llmkit.costs.budgets import rules as arithmetic
from llmkit.costs.price_rules import UNPRICED, estimated_sql
from llmkit.costs.store import leases
from llmkit.costs.store.postgres.writes import used
from llmkit.costs.store.protocol import NOTES
from llmkit.costs.store.rows import COLUMNS, TIME, UID
from llmkit.costs.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmkit.core.postgres import Connection
    from llmkit.costs.budgets.rules import Amounts, BudgetRules
    from llmkit.costs.store.filters import Filters
    from llmkit.costs.store.rows import Row

RECENT = 2000
"""Number of rows from which the usual length of an answer is learned."""

_PLACES = {name: f"c.{name}" for name in COLUMNS} | {"user": "c.username::text"}
_NAMES = ", ".join(f'{place} AS "{name}"' for name, place in _PLACES.items())

# The row of `state` comes in any case, and all is of one moment.
_PAGE = (
    "SELECT s.epoch, (SELECT coalesce(max(id), 0) FROM llmkit.calls), c.* FROM llmkit.state AS s LEFT JOIN"  # noqa: S608 - names
    f" LATERAL (SELECT c.id, {_NAMES} FROM llmkit.calls AS c WHERE {{}} ORDER BY c.id LIMIT %s) AS c ON true"
)

_NOTES = (
    f"SELECT {', '.join(('c.' if name in {'provider', 'model'} else 'n.') + name for name in NOTES)}"  # noqa: S608 - names
    " FROM llmkit.corrections AS n LEFT JOIN llmkit.calls AS c ON c.time = n.time AND c.uid = n.uid"
    " WHERE n.run = coalesce(%s, n.run) ORDER BY n.id"
)

_SUMS = (
    "SELECT coalesce(simulated, 0), count(*), count(*) FILTER (WHERE "  # noqa: S608 - names
    f"{UNPRICED}), count(cost_nanos), coalesce(sum(cost_nanos), 0), coalesce(sum(saved_nanos), 0),"
    f" count(*) FILTER (WHERE {estimated_sql()}) FROM llmkit.calls"
    " WHERE time >= coalesce(%s, time) AND (%s::text IS NULL OR session = %s) GROUP BY 1"
)

_USUAL = (
    "SELECT avg(output_tokens) FILTER (WHERE model = %s), avg(output_tokens) FROM (SELECT * FROM llmkit.calls"
    " ORDER BY id DESC LIMIT %s) AS recent WHERE provider = %s AND status = 'ok'"
)


class Found(NamedTuple):
    """Rows with their `id`, and what they are from."""

    epoch: str
    newest: int
    rows: list[Row]


def page(connection: Connection, choice: Filters, after: int = 0, limit: int | None = None) -> Found:
    """Return the rows after an `id` that pass filters."""
    conditions, values = zip(("c.id > %s", [after]), *_conditions(choice), strict=True)
    flat = [value for some in values for value in some]
    found = connection.execute(_PAGE.format(" AND ".join(conditions)), (*flat, limit)).fetchall()
    return Found(found[0][0], found[0][1], [row[2:] for row in found if row[2] is not None])


def _conditions(choice: Filters) -> Iterator[tuple[str, list[Any]]]:
    if choice.since is not None:
        yield "c.time >= %s", [choice.since]
    if choice.until is not None:
        yield "c.time < %s", [choice.until]
    for name, words in choice.words.items():
        yield f"{_PLACES[name]} = ANY(%s)", [list(words)]
    if choice.simulated is not None:
        yield "coalesce(c.simulated, 0) = %s", [int(choice.simulated)]
    for name, value in choice.tags:
        if value is None:
            yield "jsonb_exists(c.tags::jsonb, %s)", [name]
        else:
            yield "c.tags::jsonb ->> %s = %s", [name, value]


def missing(connection: Connection, rows: Sequence[Row]) -> list[Row]:
    """Return the rows that are not in the ledger: others may have been committed since they were listed."""
    if not rows:
        return []
    query = (
        "SELECT time, uid FROM llmkit.calls"
        " JOIN unnest(%s::bigint[], %s::text[]) AS given(time, uid) USING (time, uid)"
    )
    values = ([row[TIME] for row in rows], [row[UID] for row in rows])
    known = set(connection.execute(query, values).fetchall())
    return [row for row in rows if (row[TIME], row[UID]) not in known]


def groups(connection: Connection, by: Sequence[str], since: int | None = None) -> list[Row] | None:
    """Return the kept sums in groups; `None` if a time divides one of them."""
    if since is not None and connection.execute("SELECT llmkit.divides(%s)", (since,)).fetchone() == (True,):
        return None
    found = connection.execute("SELECT llmkit.totals(%s::text[], %s)", (list(by), since)).fetchall()
    keys = len(by)
    return [(*(b"" if key is None else key for key in row[:keys]), *row[keys:]) for (row,) in found]


def counters(connection: Connection) -> list[Row]:
    """Return the counters."""
    return [tuple(row) for (row,) in connection.execute("SELECT llmkit.counters()").fetchall()]


def sums(connection: Connection, since: int | None, session: str | None) -> dict[bool, Sums]:
    """Add up rows one by one."""
    rows = connection.execute(_SUMS, (since, session, session)).fetchall()
    return {bool(row[0]): Sums(*map(int, row[1:])) for row in rows}


def rules(connection: Connection) -> BudgetRules:
    """Read the budgets."""
    row = connection.execute("SELECT rules::text FROM llmkit.state").fetchone()
    return arithmetic.read(None if row is None else row[0])


def is_admin(connection: Connection) -> bool:
    """Return whether the user is an administrator of the ledger."""
    return connection.execute("SELECT llmkit.is_admin()").fetchone() == (True,)


def amounts(connection: Connection, time: int, notebook: str | None) -> Amounts:
    """Return the amounts used of the budgets."""
    row = connection.execute("SELECT llmkit.amounts(%s, %s)", (time, notebook)).fetchone()
    return used([] if row is None else row[0])


def corrections(connection: Connection, run: str | None) -> list[Row]:
    """Return notes in order."""
    return connection.execute(_NOTES, (run,)).fetchall()


def abandoned(connection: Connection) -> list[str]:
    """Return the JSON of calls whose process is dead, or which must be over if nobody can tell."""
    owners = connection.execute(
        "SELECT owner, min(expires), llmkit.clock() FROM llmkit.intents GROUP BY owner"
    ).fetchall()
    found: list[str] = []
    for owner, first, now in owners:
        latest = leases.latest_end(owner, now)
        if latest is None or first <= latest:
            query = "SELECT call FROM llmkit.intents WHERE owner = %s AND expires <= coalesce(%s, expires)"
            found += [call for (call,) in connection.execute(query, (owner, latest)).fetchall()]
    return found


def usual_output(connection: Connection, provider: str, model: str) -> int | None:
    """Return the usual tokens of an answer of a model, or else of its provider."""
    of_model, of_provider = connection.execute(_USUAL, (model, RECENT, provider)).fetchone() or (None, None)
    found = of_provider if of_model is None else of_model
    return None if found is None else round(found)
