"""The ledger's tables in PostgreSQL, their triggers, and who may read them.

Users read their own rows only (row-level security) and write nothing directly: `functions` has the functions
that write, which run with the rights of the schema's owner. The sums and budgets of all have no grants.

Everything that changes rows first locks the only row of `state`. The identifiers of rows are therefore given
in the order of commits, and a budget is checked by one caller at a time.
"""

from __future__ import annotations

from llmkit.costs.price_rules import UNPRICED, estimated_sql
from llmkit.costs.store.groups import COUNTER_KEYS, COUNTERS
from llmkit.costs.store.rows import COLUMNS

SCHEMA = "llmkit"

ADMIN, USER = "llmkit_admin", "llmkit_user"
"""Roles without login: their members administrate the ledger, or use it."""

MEMBERS_ONLY = f"only members of {ADMIN} may"
"""How the functions that only administrators may use begin their refusals."""

STORED = {name: kind for name, kind in COLUMNS.items() if name != "user"}
"""Columns that callers give; the database itself knows the user."""

TYPES: dict[type, str] = {int: "bigint", float: "double precision", str: "text"}

SUM_KEYS = ("day", "username", "provider", "model", "notebook", "status", "simulated")
MONTH_KEYS = ("month", "provider", "model", "status", "simulated")

SUM_TABLES = {"sums": SUM_KEYS, "monthly_sums": MONTH_KEYS}
"""Keys of the kept sums: each user's by day, and those of all by month, whose number users do not raise."""

MEASURES = (
    "calls", "priced", "unpriced", "estimated", "input_known", "input_tokens", "output_known",
    "output_tokens", "nanos", "saved_nanos",
)  # fmt: skip
"""Sums of the rows of one group; the times of the first and the last row come after them."""

_COUNTED = {
    "calls": "count(*)",
    "priced": "count(cost_nanos)",
    "unpriced": f"count(*) FILTER (WHERE {UNPRICED})",
    "estimated": f"count(*) FILTER (WHERE {estimated_sql()})",
    "input_known": "count(input_tokens)",
    "input_tokens": "coalesce(sum(input_tokens), 0)",
    "output_known": "count(output_tokens)",
    "output_tokens": "coalesce(sum(output_tokens), 0)",
    "nanos": "coalesce(sum(cost_nanos), 0)",
    "saved_nanos": "coalesce(sum(saved_nanos), 0)",
}

MOMENT = "(timestamptz 'epoch' + {} * interval '1 microsecond')"
"""SQL of a time that is stored in microseconds."""

LARGEST = 10**18
"""Maximum uncertain amount of a call, a billion dollars, as in a ledger file."""

_KEYS = {
    "day": f"({MOMENT.format('time')} AT TIME ZONE zone)::date",
    "month": f"to_char({MOMENT.format('time')} AT TIME ZONE zone, 'YYYY-MM')",
    "simulated": "coalesce(simulated, 0) <> 0",
}

_SPENT = "greatest(coalesce(cost_nanos, 0), 0)"
_BEYOND = f"least(greatest(coalesce(at_most_nanos, 0) - {_SPENT}, 0), {LARGEST})"

_EVER = {name: f"sum(greatest(coalesce({name}, 0), 0))" for name in COUNTERS if name in COLUMNS} | {
    "calls": "count(*)",
    "unpriced": f"count(*) FILTER (WHERE {UNPRICED})",
    "nanos": f"sum({_SPENT})",
}

_columns = ", ".join(
    f"{name} {TYPES[kind]}{' NOT NULL' if name in {'time', 'uid'} else ''}" for name, kind in STORED.items()
)
_counters = ", ".join(f"{name} numeric NOT NULL" for name in COUNTERS)
_measures = ", ".join(f"{name} numeric NOT NULL" for name in MEASURES)

TABLES = (
    f"CREATE SEQUENCE {SCHEMA}.call_ids",
    # The time zone decides which day a call counts for, wherever its caller is.
    (
        f"CREATE TABLE {SCHEMA}.state (one boolean PRIMARY KEY DEFAULT true CHECK (one),"
        " epoch text NOT NULL DEFAULT gen_random_uuid(), rules jsonb NOT NULL DEFAULT '{}',"
        " time_zone text NOT NULL)"
    ),
    (
        f"INSERT INTO {SCHEMA}.state (time_zone) SELECT reset_val FROM pg_catalog.pg_settings"  # noqa: S608 - names
        " WHERE name = 'TimeZone'"
    ),
    (
        f"CREATE TABLE {SCHEMA}.calls (id bigint NOT NULL DEFAULT nextval('{SCHEMA}.call_ids'),"
        f" username name NOT NULL, {_columns}, PRIMARY KEY (time, uid)) PARTITION BY RANGE (time)"
    ),
    f"CREATE TABLE {SCHEMA}.calls_other PARTITION OF {SCHEMA}.calls DEFAULT",
    f"CREATE INDEX ON {SCHEMA}.calls (id)",
    f"CREATE INDEX ON {SCHEMA}.calls (username, id)",
    f"CREATE INDEX ON {SCHEMA}.calls USING brin (time)",
    (
        f"CREATE TABLE {SCHEMA}.sums (day date NOT NULL, username name NOT NULL, provider text, model text,"
        f" notebook text, status text, simulated boolean NOT NULL, {_measures}, first bigint NOT NULL,"
        f" last bigint NOT NULL, UNIQUE NULLS NOT DISTINCT ({', '.join(SUM_KEYS)}))"
    ),
    f"CREATE INDEX ON {SCHEMA}.sums (username)",
    (
        f"CREATE TABLE {SCHEMA}.monthly_sums (month text NOT NULL, provider text, model text, status text,"
        f" simulated boolean NOT NULL, {_measures}, first bigint NOT NULL, last bigint NOT NULL,"
        f" UNIQUE NULLS NOT DISTINCT ({', '.join(MONTH_KEYS)}))"
    ),
    # What was ever counted: no deletion or correction lowers it.
    (
        f"CREATE TABLE {SCHEMA}.counters (username name NOT NULL, provider text NOT NULL,"
        f" model text NOT NULL, status text NOT NULL, simulated int NOT NULL, {_counters},"
        f" PRIMARY KEY (username, {', '.join(COUNTER_KEYS)}))"
    ),
    # What a user's processes do once, such as an alert.
    (
        f"CREATE TABLE {SCHEMA}.claims (username name NOT NULL, name text NOT NULL, owner text NOT NULL,"
        " expires bigint NOT NULL, PRIMARY KEY (username, name))"
    ),
    # What counts for budgets, for everyone (scope 0), a user (1) and a user's notebook (2). It stays if rows
    # are deleted.
    (
        f"CREATE TABLE {SCHEMA}.spending (day date NOT NULL, scope smallint NOT NULL, username text NOT NULL,"
        " notebook text NOT NULL, spent numeric NOT NULL, uncertain numeric NOT NULL,"
        " PRIMARY KEY (day, scope, username, notebook))"
    ),
    (
        f"CREATE TABLE {SCHEMA}.reservations (username name NOT NULL, uid text NOT NULL, day date NOT NULL,"
        " notebook text NOT NULL, nanos bigint NOT NULL, expires bigint NOT NULL,"
        " PRIMARY KEY (username, uid))"
    ),
    f"CREATE INDEX ON {SCHEMA}.reservations (expires)",
    (
        f"CREATE TABLE {SCHEMA}.intents (username name NOT NULL, uid text NOT NULL, owner text NOT NULL,"
        " expires bigint NOT NULL, call text NOT NULL, PRIMARY KEY (username, uid))"
    ),
    (
        f"CREATE TABLE {SCHEMA}.corrections (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " username name NOT NULL, run text NOT NULL, corrected bigint NOT NULL, time bigint NOT NULL,"
        " uid text NOT NULL, what text NOT NULL, old_nanos bigint, old_source text, old_date text,"
        " new_nanos bigint, new_source text, new_date text, reason text)"
    ),
    f"CREATE INDEX ON {SCHEMA}.corrections (time, uid)",
)


def _add(source: str, sign: int) -> str:
    """Return the statements that add rows to the kept sums, or subtract them."""
    return "".join(_add_to(table, keys, source, sign) for table, keys in SUM_TABLES.items())


def _add_to(table: str, keys: tuple[str, ...], source: str, sign: int) -> str:
    grown = ", ".join(f"{name} = kept.{name} + excluded.{name}" for name in MEASURES)
    return f"""
    INSERT INTO {SCHEMA}.{table} AS kept ({", ".join(keys)}, {", ".join(MEASURES)}, first, last)
    SELECT {", ".join(_KEYS.get(name, name) for name in keys)},
        {", ".join(f"{sign} * {_COUNTED[name]}" for name in MEASURES)}, min(time), max(time)
    FROM {source} GROUP BY {", ".join(map(str, range(1, len(keys) + 1)))}
    ON CONFLICT ({", ".join(keys)}) DO UPDATE SET {grown},
        first = least(kept.first, excluded.first), last = greatest(kept.last, excluded.last);
    """  # noqa: S608 - names


def _spend(source: str, sign: int) -> str:
    """Return the statement that adds rows to what budgets count, or subtracts them."""
    return f"""
    INSERT INTO {SCHEMA}.spending AS kept (day, scope, username, notebook, spent, uncertain)
    SELECT day, CASE GROUPING(username, notebook) WHEN 3 THEN 0 WHEN 1 THEN 1 ELSE 2 END,
        coalesce(username, ''), coalesce(notebook, ''), {sign} * sum(spent), {sign} * sum(uncertain)
    FROM (
        SELECT ({MOMENT.format("time")} AT TIME ZONE zone)::date AS day, username::text AS username,
            coalesce(notebook, '') AS notebook, {_SPENT} AS spent, {_BEYOND} AS uncertain
        FROM {source} WHERE coalesce(simulated, 0) = 0 AND (cost_nanos > 0 OR at_most_nanos > 0)
    ) AS counted
    GROUP BY GROUPING SETS ((day), (day, username), (day, username, notebook))
    ON CONFLICT (day, scope, username, notebook)
    DO UPDATE SET spent = kept.spent + excluded.spent, uncertain = kept.uncertain + excluded.uncertain;
    """  # noqa: S608 - names


def _count(source: str) -> str:
    """Return the statement that adds rows to the counters."""
    return f"""
    INSERT INTO {SCHEMA}.counters AS kept (username, {", ".join(COUNTER_KEYS)}, {", ".join(COUNTERS)})
    SELECT username, coalesce(provider, ''), coalesce(model, ''), coalesce(status, ''),
        coalesce(simulated, 0), {", ".join(_EVER[name] for name in COUNTERS)}
    FROM {source} GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (username, {", ".join(COUNTER_KEYS)}) DO UPDATE SET
        {", ".join(f"{name} = kept.{name} + excluded.{name}" for name in COUNTERS)};
    """  # noqa: S608 - names


_NO_LONGER_LOST = (
    "(SELECT n.* FROM new_rows AS n JOIN old_rows AS o USING (time, uid)"
    " WHERE o.status = 'lost' AND n.status <> 'lost') AS ended"
)

_END = "".join(
    f"DELETE FROM {SCHEMA}.{table} AS other USING new_rows"  # noqa: S608 - names
    " WHERE other.username = new_rows.username AND other.uid = new_rows.uid;\n"
    for table in ("intents", "reservations")
)

_NEW_EPOCH = f"UPDATE {SCHEMA}.state SET epoch = gen_random_uuid();"  # noqa: S608 - names

# A group that has lost all its rows would count as one with nothing in it.
_PRUNE = "".join(f"DELETE FROM {SCHEMA}.{table} WHERE calls = 0; " for table in SUM_TABLES)  # noqa: S608 - names

TRIGGER = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.count_calls() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    zone text := (SELECT time_zone FROM {SCHEMA}.state);
BEGIN
    IF TG_OP = 'INSERT' THEN
        {_add("new_rows", 1)} {_spend("new_rows", 1)} {_count("new_rows")} {_END}
        RETURN NULL;
    ELSIF NOT EXISTS (SELECT FROM old_rows) THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        {_add("new_rows", 1)} {_spend("new_rows", 1)} {_spend("old_rows", -1)} {_count(_NO_LONGER_LOST)}
        {_END}
    END IF;
    {_add("old_rows", -1)} {_PRUNE} {_NEW_EPOCH}
    RETURN NULL;
END $body$
"""  # noqa: S608 - names

TRIGGERS = tuple(
    f"CREATE TRIGGER count_{event.lower()} AFTER {event} ON {SCHEMA}.calls REFERENCING {tables}"
    f" FOR EACH STATEMENT EXECUTE FUNCTION {SCHEMA}.count_calls()"
    for event, tables in (
        ("INSERT", "NEW TABLE AS new_rows"),
        ("UPDATE", "NEW TABLE AS new_rows OLD TABLE AS old_rows"),
        ("DELETE", "OLD TABLE AS old_rows"),
    )
)


ZONE_TRIGGER = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.keep_zone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    -- A call that is corrected later is subtracted from its day, which must be the one it counts for.
    IF EXISTS (SELECT FROM {SCHEMA}.calls) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format(
                'The time zone of this ledger stays %s, because its calls are counted by the days there.',
                OLD.time_zone
            ),
            HINT = 'Set another one in a new database, before its first call.';
    END IF;
    RETURN NEW;
END $body$
"""

ZONE_GUARD = (
    f"CREATE TRIGGER keep_zone BEFORE UPDATE OF time_zone ON {SCHEMA}.state FOR EACH ROW"
    f" WHEN (OLD.time_zone <> NEW.time_zone) EXECUTE FUNCTION {SCHEMA}.keep_zone()"
)


def _protected(table: str) -> tuple[str, ...]:
    """Return the statements that let users see only their own rows of a table."""
    name = f"{SCHEMA}.{table}"
    return (
        f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY own ON {name} USING (username = session_user) WITH CHECK (username = session_user)",
        # The functions run as the owner, and name the user in their conditions.
        f"CREATE POLICY functions ON {name} TO CURRENT_USER USING (true) WITH CHECK (true)",
    )


VISIBLE = ("calls", "corrections", "intents")
"""Tables that users may read, as far as the rows are theirs."""

PROTECTION = tuple(statement for table in VISIBLE for statement in _protected(table))
