"""A ledger in PostgreSQL for the contract of stores: a database for each folder, and the time of the test."""

from __future__ import annotations

import contextlib
import os
from functools import partial

from llmkit.core.timestamps import micros
from llmkit.costs.store.postgres.postgres_store import PostgresStore
from tests.support import postgres

ADDRESS = "LLMKIT_TEST_POSTGRES"
"""Variable with the address of the server, for child processes; it ends before the database."""

CLOCK = """
CREATE OR REPLACE FUNCTION llmkit.clock() RETURNS bigint LANGUAGE sql VOLATILE AS $body$
    SELECT current_setting('llmkit.now')::bigint
$body$
"""

EMPTY = """
DO $body$ BEGIN
    IF to_regclass('llmkit.state') IS NOT NULL THEN
        TRUNCATE llmkit.calls, llmkit.sums, llmkit.spending, llmkit.reservations, llmkit.intents,
            llmkit.corrections, llmkit.monthly_sums, llmkit.counters, llmkit.claims;
        UPDATE llmkit.state SET epoch = gen_random_uuid(), rules = '{}';
    END IF;
END $body$
"""


class ClockedStore(PostgresStore):
    """A store whose server has the time of a test."""

    def __init__(self, url, clock, **options):
        super().__init__(url, **options)
        self._clock = clock
        for database in (self._writing, self._reading, self._checking):
            database.run = partial(self._now, database.run)

    def _now(self, run, work, **options):
        def timely(connection):
            now = str(micros(self._clock()))
            connection.execute("SELECT set_config('llmkit.now', %s, false)", (now,))
            return work(connection)

        return run(timely, **options)

    def _prepare(self, connection):
        super()._prepare(connection)
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(1)")
            (body,) = connection.execute(
                "SELECT prosrc FROM pg_proc WHERE oid = 'llmkit.clock()'::regprocedure"
            ).fetchone()
            if "current_setting" not in body:
                connection.execute(CLOCK)


def open_store(folder, clock):
    """Open a store on the database of a folder, and create that one if needed."""
    if ADDRESS not in os.environ:  # else this is a child of the process that has the server
        os.environ[ADDRESS] = postgres.server().url("")
        _here.append(os.getpid())
    if _here == [os.getpid()] and folder not in _databases:
        spare = _spare.pop() if _spare else postgres.server().create_database()
        postgres.server().execute(f'ALTER DATABASE "{spare}" RENAME TO "{folder.name}"')
        _databases.append(folder)
    return ClockedStore(os.environ[ADDRESS] + folder.name, clock, lock_timeout=0.3)


_here, _databases, _spare = [], [], []


def empty(folder):
    """Delete the rows in the database of a folder, which is used again: to create one takes longer."""
    if folder in _databases:
        _databases.remove(folder)
        postgres.server().execute(EMPTY, database=folder.name)
        _spare.append(folder.name)


def damage(folder):
    """Take the database of a folder away."""
    _databases.remove(folder)
    postgres.server().drop_database(f'"{folder.name}"')


@contextlib.contextmanager
def locked(folder):
    """Let nobody write."""
    import psycopg

    with psycopg.connect(os.environ[ADDRESS] + folder.name) as other:
        other.execute("SELECT 1 FROM llmkit.state FOR UPDATE")
        yield
        other.rollback()
    other.close()
