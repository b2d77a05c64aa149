"""The functions of the ledger's schema: all that users may do to its tables.

They run with the rights of the schema's owner (SECURITY DEFINER). The user is `session_user`, which no role
can set, and the time is the server's.
"""

from __future__ import annotations

from llmkit.costs.store.groups import COUNTER_KEYS, COUNTERS
from llmkit.costs.store.postgres.tables import (
    ADMIN,
    MEASURES,
    MEMBERS_ONLY,
    MOMENT,
    MONTH_KEYS,
    SCHEMA,
    STORED,
    TYPES,
)
from llmkit.costs.store.protocol import AMOUNTS, SOURCE

_NAMES = ", ".join(STORED)
_KINDS = {name: TYPES[kind] for name, kind in STORED.items()} | {"simulated": "boolean"}
_RECORD = ", ".join(f"{name} {kind}" for name, kind in _KINDS.items())
_GIVEN = f"ROWS FROM (jsonb_to_recordset(given) AS ({_RECORD})) WITH ORDINALITY AS r({_NAMES}, place)"
_VALUES = ", ".join(
    {"simulated": "r.simulated::int", "tags": f"{SCHEMA}.json_or_null(r.tags)"}.get(name, f"r.{name}")
    for name in STORED
)

# A call that was taken for lost and ends after all has the later row; other duplicates are skipped.
_REPLACES_LOST = f"""
    ON CONFLICT (time, uid) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in STORED if name not in {"time", "uid"})}
    WHERE calls.status = 'lost' AND excluded.status <> 'lost' AND calls.username = excluded.username
"""

_LOCK = f"PERFORM 1 FROM {SCHEMA}.state FOR UPDATE;"

DEFINER = "SECURITY DEFINER SET search_path = pg_catalog, pg_temp"

CLOCK = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.clock() RETURNS bigint LANGUAGE sql VOLATILE AS $body$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
$body$
"""  # noqa: S608 - names
"""The time in microseconds since 1970."""

_IS_ADMIN = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.is_admin() RETURNS boolean LANGUAGE sql STABLE {DEFINER} AS $body$
    SELECT pg_has_role(session_user, nspowner, 'MEMBER')
        OR EXISTS (
            SELECT FROM pg_roles WHERE rolname = '{ADMIN}' AND pg_has_role(session_user, oid, 'MEMBER')
        )
    FROM pg_namespace WHERE nspname = '{SCHEMA}'
$body$
"""  # noqa: S608 - names

_MUST_BE_ADMIN = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.must_be_admin(what text) RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    IF NOT {SCHEMA}.is_admin() THEN
        RAISE insufficient_privilege USING MESSAGE = format(
            '{MEMBERS_ONLY} %s', what
        );
    END IF;
END $body$
"""

_JSON_OR_NULL = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.json_or_null(given text) RETURNS text LANGUAGE plpgsql AS $body$
BEGIN
    IF given IS NOT NULL THEN
        PERFORM given::jsonb;
    END IF;
    RETURN given;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $body$
"""

# Rows of other months, e.g. of a clock that is wrong, are kept in the default partition.
_MAKE_PARTITIONS = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.make_partitions(given jsonb) RETURNS void LANGUAGE plpgsql AS $body$
DECLARE
    month timestamp;
    partition text;
BEGIN
    FOR month IN
        SELECT DISTINCT date_trunc('month', {MOMENT.format("r.time")} AT TIME ZONE 'UTC')
        FROM jsonb_to_recordset(given) AS r(time bigint)
        WHERE r.time BETWEEN 1577836800000000 AND {SCHEMA}.clock() + 5000000000000
    LOOP
        partition := 'calls_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass('{SCHEMA}.' || partition) IS NOT NULL;
        BEGIN
            EXECUTE format(
                'CREATE TABLE {SCHEMA}.%I PARTITION OF {SCHEMA}.calls FOR VALUES FROM (%s) TO (%s)',
                partition,
                (extract(epoch FROM month) * 1000000)::bigint,
                (extract(epoch FROM month + interval '1 month') * 1000000)::bigint
            );
        EXCEPTION WHEN OTHERS THEN
            NULL;  -- the default partition has rows of the month, and takes the others, too
        END;
    END LOOP;
END $body$
"""  # noqa: S608 - names

_INTEND = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.intend(given jsonb) RETURNS void LANGUAGE sql {DEFINER} AS $body$
    INSERT INTO {SCHEMA}.intents (username, uid, owner, expires, call)
    SELECT DISTINCT ON (r.uid) session_user, r.uid, r.owner, {SCHEMA}.clock() + r.lease, r.call
    FROM jsonb_to_recordset(given) AS r(uid text, owner text, lease bigint, call text)
    ORDER BY r.uid
    ON CONFLICT (username, uid)
    DO UPDATE SET owner = excluded.owner, expires = excluded.expires, call = excluded.call
$body$
"""  # noqa: S608 - names

_APPEND = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.append(given jsonb, intents jsonb) RETURNS void
LANGUAGE plpgsql {DEFINER} AS $body$
BEGIN
    IF given = '[]' THEN
        -- They outlive this client in any case; only a crash of the server can take them.
        PERFORM set_config('synchronous_commit', 'off', true);
        PERFORM {SCHEMA}.intend(intents);
        RETURN;
    END IF;
    {_LOCK}
    PERFORM {SCHEMA}.make_partitions(given);
    IF intents <> '[]' THEN
        PERFORM {SCHEMA}.intend(intents);
    END IF;
    INSERT INTO {SCHEMA}.calls (username, {_NAMES})
    SELECT session_user, {_VALUES} FROM (
        SELECT DISTINCT ON (r.time, r.uid) r.*
        FROM {_GIVEN}
        ORDER BY r.time, r.uid, r.status = 'lost', r.place
    ) AS r ORDER BY r.place
    {_REPLACES_LOST};
END $body$
"""  # noqa: S608 - names

# The intent tells whose call it was, and is there only once.
_LOSE = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.lose(given jsonb) RETURNS bigint LANGUAGE plpgsql {DEFINER} AS $body$
DECLARE
    written bigint;
BEGIN
    {_LOCK}
    PERFORM {SCHEMA}.make_partitions(given);
    WITH ended AS (
        DELETE FROM {SCHEMA}.intents AS i USING jsonb_to_recordset(given) AS r(uid text)
        WHERE i.uid = r.uid AND (i.username = session_user OR {SCHEMA}.is_admin())
        RETURNING i.uid, i.username
    )
    INSERT INTO {SCHEMA}.calls (username, {_NAMES})
    SELECT ended.username, {_VALUES} FROM {_GIVEN} JOIN ended ON ended.uid = r.uid ORDER BY r.place
    ON CONFLICT (time, uid) DO NOTHING;
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written;
END $body$
"""  # noqa: S608 - names

_DAY = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.day_of(moment bigint) RETURNS date LANGUAGE sql STABLE AS $body$
    SELECT ({MOMENT.format("moment")} AT TIME ZONE time_zone)::date FROM {SCHEMA}.state
$body$
"""  # noqa: S608 - names


def _sum(column: str, condition: str) -> str:
    return f"coalesce(sum({column}) FILTER (WHERE {condition}), 0)"


# Amounts of everyone, of a notebook of the user, and of the user.
_MINE = "username = session_user"
_NOTEBOOK = f"{_MINE} AND notebook = its_notebook"

_USED = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.used(its_day date, its_notebook text, without text)
RETURNS numeric[] LANGUAGE sql VOLATILE AS $body$
    WITH past AS (
        SELECT {_sum("spent", "scope = 0")} AS spent, {_sum("spent", "scope = 2")} AS notebook_spent,
            {_sum("spent", "scope = 1")} AS user_spent, {_sum("uncertain", "scope = 0")} AS uncertain,
            {_sum("uncertain", "scope = 2")} AS notebook_uncertain,
            {_sum("uncertain", "scope = 1")} AS user_uncertain
        FROM {SCHEMA}.spending
        WHERE day = its_day AND (scope, username, notebook) IN (
            (0, '', ''), (1, session_user::text, ''), (2, session_user::text, its_notebook)
        )
    ), running AS (
        SELECT coalesce(sum(nanos), 0) AS reserved, {_sum("nanos", _NOTEBOOK)} AS notebook_reserved,
            {_sum("nanos", _MINE)} AS user_reserved
        FROM {SCHEMA}.reservations
        WHERE day = its_day AND expires > {SCHEMA}.clock() AND NOT ({_MINE} AND uid = without)
    )
    SELECT ARRAY[spent, reserved, notebook_spent, notebook_reserved, uncertain, notebook_uncertain,
        user_spent, user_reserved, user_uncertain]
    FROM past, running
$body$
"""  # noqa: S608 - names

_AMOUNTS = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.amounts(its_time bigint, its_notebook text) RETURNS numeric[]
LANGUAGE sql VOLATILE {DEFINER} AS $body$
    SELECT CASE WHEN rules->>'per_user' IS NULL THEN amounts[1:6] ELSE amounts END
    FROM {SCHEMA}.state, {SCHEMA}.used({SCHEMA}.day_of(its_time), coalesce(its_notebook, ''), '') AS amounts
$body$
"""  # noqa: S608 - names

# The conditions are those of `budgets.rules.refusal`, which writes the message.
_RESERVE = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.reserve(
    its_uid text, its_time bigint, its_notebook text, its_nanos bigint, its_cap bigint, lease bigint,
    intents jsonb, OUT refused boolean, OUT amounts numeric[], OUT rules jsonb
) LANGUAGE plpgsql {DEFINER} AS $body$
DECLARE
    its_day date := {SCHEMA}.day_of(its_time);
BEGIN
    SELECT state.rules INTO rules FROM {SCHEMA}.state FOR UPDATE;
    DELETE FROM {SCHEMA}.reservations WHERE expires <= {SCHEMA}.clock();
    amounts := {SCHEMA}.used(its_day, coalesce(its_notebook, ''), its_uid);
    refused := its_nanos > 0 AND (
        its_nanos > least(its_cap, (rules->>'per_call')::bigint)
        OR amounts[1] + amounts[2] + amounts[5] + its_nanos > (rules->>'daily')::bigint
        OR amounts[7] + amounts[8] + amounts[9] + its_nanos > (rules->>'per_user')::bigint
        OR CASE WHEN its_notebook IS NOT NULL
            THEN amounts[3] + amounts[4] + amounts[6] + its_nanos > (rules->>'per_notebook')::bigint
            ELSE rules->>'per_notebook' IS NOT NULL
                AND coalesce(rules->>'unknown_notebook', 'refuse') = 'refuse'
        END
    );
    IF refused THEN
        RETURN;
    END IF;
    refused := false;  -- not unknown, as without a limit
    INSERT INTO {SCHEMA}.reservations AS r (username, uid, day, notebook, nanos, expires)
    VALUES (
        session_user, its_uid, its_day, coalesce(its_notebook, ''), greatest(its_nanos, 0),
        {SCHEMA}.clock() + lease
    )
    ON CONFLICT (username, uid) DO UPDATE SET day = excluded.day, notebook = excluded.notebook,
        nanos = excluded.nanos, expires = excluded.expires;
    IF intents <> '[]' THEN
        PERFORM {SCHEMA}.intend(intents);
    END IF;
END $body$
"""  # noqa: S608 - names

_RELEASE = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.release(its_uid text) RETURNS void LANGUAGE sql {DEFINER} AS $body$
    DELETE FROM {SCHEMA}.reservations WHERE {_MINE} AND uid = its_uid;
    DELETE FROM {SCHEMA}.intents WHERE {_MINE} AND uid = its_uid;
$body$
"""  # noqa: S608 - names

_CHANGE_RULES = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.change_rules(changes jsonb) RETURNS jsonb
LANGUAGE plpgsql {DEFINER} AS $body$
DECLARE
    changed jsonb;
BEGIN
    PERFORM {SCHEMA}.must_be_admin('change budgets');
    UPDATE {SCHEMA}.state SET rules = rules || changes RETURNING rules INTO changed;
    RETURN changed;
END $body$
"""  # noqa: S608 - names

# Users group their own rows, administrators those of all, where possible from the table that has few rows.
_TOTALS = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.totals(keys text[], since bigint) RETURNS SETOF jsonb
LANGUAGE plpgsql STABLE {DEFINER} AS $body$
DECLARE
    of_all boolean := {SCHEMA}.is_admin();
    few boolean := of_all AND since IS NULL AND keys <@ ARRAY[{", ".join(map(repr, MONTH_KEYS))}];
    source text := CASE WHEN few THEN 'monthly_sums' ELSE 'sums' END;
    mine text := CASE WHEN of_all THEN 'true' ELSE 'username = session_user' END;
    names text := (SELECT string_agg(CASE key
        WHEN 'day' THEN 'day::text'
        WHEN 'month' THEN CASE WHEN few THEN 'month' ELSE 'to_char(day, ''YYYY-MM'')' END
        WHEN 'user' THEN 'username'
        WHEN 'simulated' THEN 'simulated::int'
        WHEN 'provider' THEN key WHEN 'model' THEN key WHEN 'notebook' THEN key WHEN 'status' THEN key
        END, ', ' ORDER BY place) FROM unnest(keys) WITH ORDINALITY AS given(key, place));
BEGIN
    RETURN QUERY EXECUTE format($query$
        SELECT jsonb_build_array(%1$s, sum(calls),
            coalesce(sum(calls) FILTER (WHERE status IN ('error', 'interrupted')), 0),
            sum(priced), sum(unpriced),
            CASE WHEN sum(input_known) > 0 THEN sum(input_tokens) END,
            CASE WHEN sum(output_known) > 0 THEN sum(output_tokens) END,
            sum(nanos), sum(saved_nanos), min(first), max(last), sum(estimated))
        FROM {SCHEMA}.%2$I WHERE %3$s AND ($1 IS NULL OR first >= $1) GROUP BY %1$s
    $query$, names, source, mine) USING since;
END $body$
"""  # noqa: S608 - names

_sums_of = ", ".join(f"sum({name})" for name in COUNTERS)

_COUNTERS = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.counters() RETURNS SETOF jsonb LANGUAGE sql STABLE {DEFINER} AS $body$
    SELECT jsonb_build_array({", ".join(COUNTER_KEYS)}, {_sums_of}) FROM {SCHEMA}.counters
    WHERE {_MINE} OR {SCHEMA}.is_admin() GROUP BY {", ".join(COUNTER_KEYS)}
$body$
"""  # noqa: S608 - names

_CLAIM = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.claim(its_name text, its_owner text, its_end bigint) RETURNS boolean
LANGUAGE plpgsql {DEFINER} AS $body$
BEGIN
    {_LOCK}
    DELETE FROM {SCHEMA}.claims WHERE {_MINE} AND expires <= {SCHEMA}.clock();
    INSERT INTO {SCHEMA}.claims AS c VALUES (session_user, its_name, its_owner, its_end)
    ON CONFLICT (username, name) DO UPDATE SET expires = excluded.expires WHERE c.owner = excluded.owner;
    RETURN FOUND;
END $body$
"""  # noqa: S608 - names

# Whether a time divides a group, whose sums then cannot be told apart.
_DIVIDES = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.divides(since bigint) RETURNS boolean LANGUAGE sql STABLE {DEFINER}
AS $body$
    SELECT EXISTS (
        SELECT FROM {SCHEMA}.sums WHERE day = {SCHEMA}.day_of(since) AND first < since AND last >= since
    )
$body$
"""  # noqa: S608 - names


def _correct(what: str) -> str:
    """Return the statements that note and replace values of one column."""
    if what == SOURCE:
        old, expected, new = f"NULL, {SOURCE}, NULL", "before", "NULL, given.source, NULL"
        change = f"{SOURCE} = n.new_source"
    else:
        old, expected, new = f"{what}, price_source, price_date", "expected", "nanos, given.source, date"
        change = f"{what} = n.new_nanos"
        if what != "at_most_nanos":  # a bound has no source of its own
            change += ", price_source = n.new_source, price_date = n.new_date"
    return f"""
    INSERT INTO {SCHEMA}.corrections (username, run, corrected, time, uid, what, old_nanos, old_source,
        old_date, new_nanos, new_source, new_date, reason)
    SELECT calls.username, its_run, {SCHEMA}.clock(), calls.time, calls.uid, '{what}', {old},
        {new}, its_reason
    FROM jsonb_to_recordset(changes) AS given(place bigint, time bigint, uid text, what text,
        expected bigint, nanos bigint, source text, date text, before text)
    JOIN {SCHEMA}.calls ON calls.time = given.time AND calls.uid = given.uid
    WHERE given.what = '{what}' AND calls.{what} IS NOT DISTINCT FROM given.{expected}
    ORDER BY given.place;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed > 0 THEN
        UPDATE {SCHEMA}.calls SET {change} FROM {SCHEMA}.corrections AS n
        WHERE n.id > latest AND n.what = '{what}' AND calls.time = n.time AND calls.uid = n.uid;
    END IF;
    total := total + changed;
    """  # noqa: S608 - names


_CORRECT = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.correct(changes jsonb, its_run text, its_reason text) RETURNS bigint
LANGUAGE plpgsql {DEFINER} AS $body$
DECLARE
    latest bigint;
    changed bigint;
    total bigint := 0;
BEGIN
    PERFORM {SCHEMA}.must_be_admin('correct calls');
    {_LOCK}
    latest := (SELECT coalesce(max(id), 0) FROM {SCHEMA}.corrections);
    {"".join(_correct(what) for what in (*AMOUNTS, SOURCE))}
    RETURN total;
END $body$
"""  # noqa: S608 - names

_FORGET = f"""
CREATE OR REPLACE FUNCTION {SCHEMA}.forget(its_before bigint) RETURNS bigint
LANGUAGE plpgsql {DEFINER} AS $body$
DECLARE
    changed bigint;
BEGIN
    PERFORM {SCHEMA}.must_be_admin('delete calls');
    {_LOCK}
    DELETE FROM {SCHEMA}.calls WHERE its_before IS NULL OR time < its_before;
    GET DIAGNOSTICS changed = ROW_COUNT;
    DELETE FROM {SCHEMA}.corrections WHERE its_before IS NULL OR time < its_before;
    -- Sums of months whose partition was dropped go, too.
    DELETE FROM {SCHEMA}.sums WHERE its_before IS NULL OR last < its_before;
    UPDATE {SCHEMA}.sums AS s SET first = (
        SELECT coalesce(min(c.time), s.last) FROM {SCHEMA}.calls AS c
        WHERE c.time BETWEEN its_before AND s.last AND c.username = s.username
            AND ROW(c.provider, c.model, c.notebook, c.status, coalesce(c.simulated, 0) <> 0)
                IS NOT DISTINCT FROM ROW(s.provider, s.model, s.notebook, s.status, s.simulated)
    ) WHERE first < its_before;
    DELETE FROM {SCHEMA}.monthly_sums;
    INSERT INTO {SCHEMA}.monthly_sums ({", ".join(MONTH_KEYS)}, {", ".join(MEASURES)}, first, last)
    SELECT to_char(day, 'YYYY-MM'), provider, model, status, simulated,
        {", ".join(f"sum({name})" for name in MEASURES)}, min(first), max(last)
    FROM {SCHEMA}.sums GROUP BY 1, 2, 3, 4, 5;
    UPDATE {SCHEMA}.state SET epoch = gen_random_uuid();
    RETURN changed;
END $body$
"""  # noqa: S608 - names

FUNCTIONS = (
    CLOCK, _IS_ADMIN, _MUST_BE_ADMIN, _JSON_OR_NULL, _MAKE_PARTITIONS, _INTEND, _APPEND, _LOSE, _DAY, _USED,
    _AMOUNTS, _RESERVE, _RELEASE, _CHANGE_RULES, _TOTALS, _COUNTERS, _CLAIM, _DIVIDES, _CORRECT, _FORGET,
)  # fmt: skip

CALLABLE = (
    "clock()", "is_admin()", "append(jsonb, jsonb)", "lose(jsonb)", "amounts(bigint, text)",
    "reserve(text, bigint, text, bigint, bigint, bigint, jsonb)", "release(text)", "change_rules(jsonb)",
    "totals(text[], bigint)", "counters()", "claim(text, text, bigint)",
    "divides(bigint)", "correct(jsonb, text, text)", "forget(bigint)",
)  # fmt: skip
"""Functions that users may call; they check themselves what only administrators may do."""

PRIVATE = (
    "must_be_admin(text)", "json_or_null(text)", "make_partitions(jsonb)", "intend(jsonb)",
    "day_of(bigint)", "used(date, text, text)", "count_calls()", "keep_zone()",
)  # fmt: skip
