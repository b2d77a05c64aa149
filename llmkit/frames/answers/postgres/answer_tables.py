"""The tables of answers, jobs, claims and costs of jobs, and the functions on them.

Everybody who may connect has answers of their own there, and sees no others: a row belongs to `session_user`,
which no statement of a user can change. Times of leases are the server's.
"""

from __future__ import annotations

from llmkit.core.postgres import SCHEMA
from llmkit.frames.answers.protocol import Answer, JobRecord

TABLES = ("answers", "jobs", "request_claims", "job_costs", "job_reservations")

_OWN = "username = session_user"
_USER = "username name NOT NULL DEFAULT session_user"
_NOW = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_WEEK = "7 * 24 * 3600 * 1000000::bigint"

_CREATED = (
    f"""CREATE TABLE {SCHEMA}.answers ({_USER},
        key bytea NOT NULL, status text NOT NULL, text text NOT NULL, value text, error text NOT NULL,
        max_tokens bigint, model text, input_tokens bigint, output_tokens bigint, cost_nanos bigint,
        uid text NOT NULL, time bigint NOT NULL, job text NOT NULL, PRIMARY KEY (username, key))""",
    f"CREATE INDEX answers_of_a_call ON {SCHEMA}.answers (username, uid)",
    f"""CREATE TABLE {SCHEMA}.jobs ({_USER},
        id text NOT NULL, label text NOT NULL, verb text NOT NULL, mode text NOT NULL,
        provider text NOT NULL, model text NOT NULL, state text NOT NULL,
        rows bigint NOT NULL, done bigint NOT NULL, failed bigint NOT NULL,
        submitted bigint NOT NULL, changed bigint NOT NULL, expires bigint, cost_nanos bigint,
        state_json text, PRIMARY KEY (username, id))""",
    f"""CREATE TABLE {SCHEMA}.request_claims ({_USER},
        key bytea NOT NULL, job text NOT NULL, owner text NOT NULL, until timestamptz NOT NULL,
        PRIMARY KEY (username, key))""",
    f"CREATE INDEX request_claims_of_a_job ON {SCHEMA}.request_claims (username, job)",
    f"""CREATE TABLE {SCHEMA}.job_costs ({_USER},
        job text NOT NULL, nanos bigint NOT NULL, time bigint NOT NULL, PRIMARY KEY (username, job))""",
    f"""CREATE TABLE {SCHEMA}.job_reservations ({_USER},
        job text NOT NULL, uid text NOT NULL, nanos bigint NOT NULL, waits boolean NOT NULL,
        settled boolean NOT NULL, owner text NOT NULL, until timestamptz NOT NULL, time bigint NOT NULL,
        PRIMARY KEY (username, job, uid))""",
    f"CREATE INDEX job_reservations_open ON {SCHEMA}.job_reservations (username, job) WHERE NOT settled",
)

_PRIVATE = tuple(
    statement
    for table in TABLES
    for statement in (
        f"ALTER TABLE {SCHEMA}.{table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {SCHEMA}.{table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY own ON {SCHEMA}.{table} USING ({_OWN}) WITH CHECK ({_OWN})",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {SCHEMA}.{table} TO PUBLIC",
    )
)

# The row of a job's costs is locked first, so that its calls are checked one after the other.
_LOCK = f"""
    INSERT INTO {SCHEMA}.job_costs (job, nanos, time) VALUES (of_job, 0, {_NOW}) ON CONFLICT DO NOTHING;
    new := FOUND;
    SELECT nanos INTO spent FROM {SCHEMA}.job_costs
    WHERE username = session_user AND job = of_job FOR UPDATE;
"""  # noqa: S608 - names
_OPEN = "username = session_user AND job = of_job AND uid <> of_call AND NOT settled"

_RESERVE = f"""
CREATE FUNCTION {SCHEMA}.reserve_for_job(
    of_job text, of_call text, amount bigint, most bigint, process text, lease interval,
    OUT fits boolean, OUT spent bigint, OUT owners text[], OUT leased boolean[]
) LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
DECLARE new boolean; others numeric;
BEGIN
    {_LOCK}
    IF new THEN
        DELETE FROM {SCHEMA}.job_reservations
        WHERE username = session_user AND settled AND time < {_NOW} - {_WEEK};
    END IF;
    SELECT coalesce(sum(nanos), 0) INTO others FROM {SCHEMA}.job_reservations WHERE {_OPEN};
    fits := spent + others + amount <= most;
    IF fits THEN
        INSERT INTO {SCHEMA}.job_reservations (job, uid, nanos, waits, settled, owner, until, time)
        VALUES (of_job, of_call, amount, false, false, process, clock_timestamp() + lease, {_NOW})
        ON CONFLICT (username, job, uid) DO UPDATE SET nanos = excluded.nanos, waits = false,
        settled = false, owner = excluded.owner, until = excluded.until, time = excluded.time;
    ELSE
        UPDATE {SCHEMA}.job_reservations SET waits = true
        WHERE username = session_user AND job = of_job AND uid = of_call AND NOT settled;
        SELECT array_agg(owner), array_agg(held) INTO owners, leased FROM (
            SELECT owner, max(until) > clock_timestamp() AS held FROM {SCHEMA}.job_reservations
            WHERE {_OPEN} AND NOT waits GROUP BY owner
        ) AS living;
    END IF;
END $body$
"""  # noqa: S608 - names

# Settling twice is settling once, for a connection that breaks at the end of it makes us ask again.
_SETTLE = f"""
CREATE FUNCTION {SCHEMA}.settle_for_job(of_job text, of_call text, amount bigint)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
DECLARE new boolean; spent bigint; before bigint; reserved bigint; cost bigint;
BEGIN
    {_LOCK}
    SELECT CASE WHEN settled THEN nanos ELSE 0 END, nanos INTO before, reserved
    FROM {SCHEMA}.job_reservations WHERE username = session_user AND job = of_job AND uid = of_call;
    cost := greatest(coalesce(before, 0), coalesce(amount, reserved, 0));
    INSERT INTO {SCHEMA}.job_reservations (job, uid, nanos, waits, settled, owner, until, time)
    VALUES (of_job, of_call, cost, false, true, '', clock_timestamp(), {_NOW})
    ON CONFLICT (username, job, uid) DO UPDATE SET nanos = excluded.nanos, settled = true,
    time = excluded.time;
    UPDATE {SCHEMA}.job_costs SET nanos = nanos + cost - coalesce(before, 0), time = {_NOW}
    WHERE username = session_user AND job = of_job;
END $body$
"""  # noqa: S608 - names

STEPS = ((*_CREATED, *_PRIVATE, _RESERVE, _SETTLE),)
"""The statements of each version of the tables."""

ANSWER = ", ".join(Answer._fields)
JOB = tuple(JobRecord.__dataclass_fields__)

_TYPES = {"key": "bytea"} | dict.fromkeys(
    ("max_tokens", "input_tokens", "output_tokens", "cost_nanos", "time"), "bigint"
)
_ARRAYS = ", ".join(f"%s::{_TYPES.get(name, 'text')}[]" for name in Answer._fields)
_SET = ", ".join(f"{name} = excluded.{name}" for name in Answer._fields[1:])

PUT = f"""
INSERT INTO {SCHEMA}.answers ({ANSWER}) SELECT * FROM unnest({_ARRAYS})
ON CONFLICT (username, key) DO UPDATE SET {_SET}
WHERE (excluded.status = 'ok' OR answers.status <> 'ok')
AND (%s OR answers.time <= excluded.time OR answers.status <> 'ok' AND excluded.status = 'ok')
"""  # noqa: S608 - names
"""Columns of answers, and whether they are later than what is there in any case."""

SAVE = f"""
INSERT INTO {SCHEMA}.jobs ({", ".join(JOB)}) VALUES ({", ".join(["%s"] * len(JOB))})
ON CONFLICT (username, id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in JOB[1:])}
"""  # noqa: S608 - names
