"""The versions of the ledger's schema, and what its roles may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.core import postgres
from llmkit.costs.store.postgres.functions import CALLABLE, FUNCTIONS, PRIVATE
from llmkit.costs.store.postgres.tables import (
    ADMIN,
    PROTECTION,
    SCHEMA,
    TABLES,
    TRIGGER,
    TRIGGERS,
    USER,
    VISIBLE,
    ZONE_GUARD,
    ZONE_TRIGGER,
)

if TYPE_CHECKING:
    from llmkit.core.postgres import Connection

PART = "ledger"
"""Name of these tables among the versions in the database."""

# A role that may not create others can have a ledger of its own, or lets an administrator create them before.
_ROLES = tuple(
    f"""
    DO $body$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
            CREATE ROLE {role} NOLOGIN;
        END IF;
    EXCEPTION WHEN insufficient_privilege OR duplicate_object OR unique_violation THEN
        NULL;
    END $body$
    """
    for role in (ADMIN, USER)
)


def _granted(role: str) -> str:
    """Return the statement that lets a role, if it exists, read what is its own and call the functions."""
    functions = ", ".join(f"{SCHEMA}.{name}" for name in CALLABLE)
    tables = ", ".join(f"{SCHEMA}.{name}" for name in (*VISIBLE, "state"))
    policies = "".join(
        f"CREATE POLICY administration ON {SCHEMA}.{table} FOR SELECT TO {ADMIN} USING (true);"
        for table in VISIBLE
        if role == ADMIN
    )
    return f"""
    DO $body$ BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
            GRANT USAGE ON SCHEMA {SCHEMA} TO {role};
            GRANT SELECT ON {tables} TO {role};
            GRANT EXECUTE ON FUNCTION {functions} TO {role};
            {policies}
        END IF;
    END $body$
    """


_PRIVATE = tuple(f"REVOKE ALL ON FUNCTION {SCHEMA}.{name} FROM PUBLIC" for name in (*CALLABLE, *PRIVATE))

STEPS = (
    (
        *_ROLES, *TABLES, *FUNCTIONS, TRIGGER, *TRIGGERS, ZONE_TRIGGER, ZONE_GUARD, *PROTECTION, *_PRIVATE,
        _granted(USER), _granted(ADMIN),
    ),
)  # fmt: skip
"""Statements that bring the schema from one version to the next."""


def upgrade(connection: Connection, name: str) -> None:
    """Create the tables, or bring them to the newest version; see `core.postgres.upgrade`."""
    postgres.upgrade(connection, PART, STEPS, name)


def exists(connection: Connection) -> bool:
    """Return whether the tables are there."""
    return connection.execute(f"SELECT to_regclass('{SCHEMA}.state') IS NOT NULL").fetchone() == (True,)
