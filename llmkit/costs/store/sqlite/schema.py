"""The ledger's schema; the columns of `calls` are the fields of `CallRecord`.

Schema versions are additive: a new version only adds nullable columns, and tables that triggers keep up to
date. An older llmkit can therefore read and extend the file of a newer one, and a newer one migrates an
older file.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from llmkit.core import sqlite
from llmkit.core.errors import ConfigurationError
from llmkit.costs.price_rules import UNPRICED, estimated_sql
from llmkit.costs.store.groups import COUNTER_KEYS, COUNTERS
from llmkit.costs.store.rows import COLUMNS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator


APPLICATION_ID = 0x6C6C6D6B
"""The `PRAGMA application_id` of a ledger: `llmk`."""

SQL_TYPES: dict[type, str] = {int: "INTEGER", float: "REAL", str: "TEXT"}

ADDED: tuple[tuple[str, ...], ...] = (
    ("fallback_from", "key_source"),
    (),
    ("cache_write_1h_tokens", "service_tier"),
    (),
    ("at_most_nanos", "units"),
    (),
    (),
    ("parent_uid", "step"),
    (),
    (),
    ("user",),
)
"""Columns added after version 1, one tuple per version. Add new fields of `CallRecord` here."""


def estimated(names: Collection[str] = COLUMNS) -> str:
    """Return SQL for whether a price is an estimate, in a table with these columns."""
    return estimated_sql("at_most_nanos" if "at_most_nanos" in names else "NULL")


REPLACES_LOST = (
    f" ON CONFLICT (time, uid) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in COLUMNS)}"
    " WHERE calls.status = 'lost' AND excluded.status <> 'lost'"
)
"""Other duplicates are skipped. A call that was taken for lost and ends after all has the later row."""

# `INSERT OR IGNORE` would drop a row that violates any constraint.
_INTO = f"INSERT INTO calls ({', '.join(COLUMNS)})"
INSERT = f"{_INTO} VALUES ({', '.join('?' * len(COLUMNS))}){REPLACES_LOST}"
INSERT_MANY = sqlite.Insert(_INTO, len(COLUMNS), REPLACES_LOST)


def _create() -> Iterator[str]:
    later = {name for names in ADDED for name in names}
    rules = {"time": " NOT NULL", "uid": " NOT NULL"}
    body = ", ".join(
        f"{name} {SQL_TYPES[kind]}{rules.get(name, '')}"
        for name, kind in COLUMNS.items()
        if name not in later
    )
    yield f"CREATE TABLE calls (id INTEGER PRIMARY KEY, {body})"
    # A uid alone is unique but random: each row would touch another page, which doubles the cost of a row.
    yield "CREATE UNIQUE INDEX calls_time_uid ON calls (time, uid)"
    # The epoch changes when rows are deleted, so that readers with cached rows read all of them again.
    yield "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)"
    yield "INSERT INTO meta VALUES ('epoch', lower(hex(randomblob(8))))"
    yield f"PRAGMA application_id = {APPLICATION_ID}"


def _added(names: tuple[str, ...]) -> Iterator[str]:
    return (f"ALTER TABLE calls ADD COLUMN {name} {SQL_TYPES[COLUMNS[name]]}" for name in names)


def local_day(time: str) -> str:
    """Return SQL for the local day of a time, e.g. `2026-11-22`."""
    return f"date({time} / 1000000, 'unixepoch', 'localtime')"


# Cost of real calls since yesterday's local midnight, by local day and notebook ('' for none).
SPENT = (
    f"SELECT {local_day('time')} AS day, coalesce(notebook, '') AS notebook, sum(cost_nanos) AS nanos"  # noqa: S608 - names
    " FROM calls WHERE cost_nanos > 0 AND NOT coalesce(simulated, 0)"
    " AND time >= strftime('%s', 'now', 'localtime', 'start of day', '-1 day', 'utc') * 1000000 GROUP BY 1, 2"
)

BUDGETS = (
    # Reservations of running calls; `expires` (microseconds) is for processes that died.
    (
        "CREATE TABLE holds (uid TEXT PRIMARY KEY, day TEXT NOT NULL, notebook TEXT NOT NULL,"
        " nanos INTEGER NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID"
    ),
    (
        "CREATE TABLE spending (day TEXT NOT NULL, notebook TEXT NOT NULL, nanos INTEGER NOT NULL,"
        " PRIMARY KEY (day, notebook)) WITHOUT ROWID"
    ),
    f"INSERT INTO spending {SPENT}",
    # Triggers, so that a row settles its call whichever llmkit version writes it.
    (
        "CREATE TRIGGER calls_spent AFTER INSERT ON calls"  # noqa: S608 - names
        " WHEN new.cost_nanos > 0 AND NOT coalesce(new.simulated, 0) BEGIN"
        f" INSERT INTO spending VALUES ({local_day('new.time')}, coalesce(new.notebook, ''), new.cost_nanos)"
        " ON CONFLICT (day, notebook) DO UPDATE SET nanos = nanos + excluded.nanos; END"
    ),
    "CREATE TRIGGER calls_settled AFTER INSERT ON calls BEGIN DELETE FROM holds WHERE uid = new.uid; END",
)

# Keys of the sums; an empty blob, which equals no text, stands for NULL.
ROLLUP_KEYS = {"day": local_day("time")}
ROLLUP_KEYS |= {name: f"coalesce({name}, x'')" for name in ("provider", "model", "notebook", "status")}
ROLLUP_KEYS["simulated"] = "coalesce(simulated, 0)"

NEW_EPOCH = "UPDATE meta SET value = lower(hex(randomblob(8))) WHERE key = 'epoch'"
ON_DELETE = f"CREATE TRIGGER calls_deleted AFTER DELETE ON calls BEGIN {NEW_EPOCH}; END"

ROLLUPS = (
    # Only corrections and other programs change rows; cached rows and sums are then invalid.
    f"CREATE TRIGGER calls_changed AFTER UPDATE ON calls BEGIN {NEW_EPOCH}; END",
    ON_DELETE,
)

# The change of a day's spending when the cost of a real call is corrected.
_GROWTH = "max(coalesce(new.cost_nanos, 0), 0) - max(coalesce(old.cost_nanos, 0), 0)"

CORRECTIONS = (
    # `what` is the column that was corrected, `run` is shared by all rows of one correction.
    (
        "CREATE TABLE corrections (id INTEGER PRIMARY KEY, run TEXT NOT NULL, corrected INTEGER NOT NULL,"
        " time INTEGER NOT NULL, uid TEXT NOT NULL, what TEXT NOT NULL, old_nanos INTEGER, old_source TEXT,"
        " old_date TEXT, new_nanos INTEGER, new_source TEXT, new_date TEXT, reason TEXT)"
    ),
    (
        "CREATE TRIGGER calls_corrected AFTER UPDATE OF cost_nanos ON calls"  # noqa: S608 - names
        f" WHEN NOT coalesce(new.simulated, 0) AND {_GROWTH} <> 0 BEGIN"
        f" INSERT INTO spending VALUES ({local_day('new.time')}, coalesce(new.notebook, ''),"
        f" max({_GROWTH}, 0)) ON CONFLICT (day, notebook) DO UPDATE SET nanos = max(nanos + {_GROWTH}, 0);"
        " END"
    ),
)

# The smallest first: with dozens of notebooks a day, the last has fifty times the rows of the first.
ROLLUP_TABLES: dict[str, tuple[str, ...]] = {
    "daily_sums": ("day", "provider", "model", "status", "simulated"),
    "monthly_sums": ("month", "provider", "model", "notebook", "status", "simulated"),
    "detailed_sums": tuple(ROLLUP_KEYS),
}

ROLLUP_MEASURES = (
    "calls",
    "priced",
    "unpriced",
    "input_known",
    "input_tokens",
    "output_known",
    "output_tokens",
    "nanos",
    "saved_nanos",
    "first",
    "last",
)

GRAINS = (
    "DROP TABLE IF EXISTS rollups",  # the sums of versions 3 and 4
    "DELETE FROM meta WHERE key = 'rolled'",
    *(
        f"CREATE TABLE {table} ({', '.join(f'{key} NOT NULL' for key in keys)},"
        f" {', '.join(ROLLUP_MEASURES)}, PRIMARY KEY ({', '.join(keys)})) WITHOUT ROWID"
        for table, keys in ROLLUP_TABLES.items()
    ),
)

OPEN = "?"
"""Prefix of the reservation of a call that may have cost more than its price."""

_BEYOND = "max(coalesce(new.at_most_nanos, 0), 0) - max(coalesce(new.cost_nanos, 0), 0)"

# It lasts until the call's day has ended in every time zone.
_HOLD_OPEN = (
    f"INSERT INTO holds SELECT '{OPEN}' || new.uid, {local_day('new.time')}, coalesce(new.notebook, ''),"
    f" min({_BEYOND}, {10**18}), new.time + 3 * 86400 * 1000000"
    f" WHERE {_BEYOND} > 0 AND NOT coalesce(new.simulated, 0)"
    " ON CONFLICT (uid) DO UPDATE SET nanos = excluded.nanos;"
)

# What a call may have cost beyond its price is stored as a reservation, which older versions also count.
UNCERTAIN = (
    f"CREATE TRIGGER calls_open AFTER INSERT ON calls WHEN new.at_most_nanos > 0 BEGIN {_HOLD_OPEN} END",
    (
        "CREATE TRIGGER calls_closed AFTER UPDATE OF cost_nanos, at_most_nanos ON calls"  # noqa: S608 - names
        " WHEN old.at_most_nanos > 0 OR new.at_most_nanos > 0 BEGIN"
        f" DELETE FROM holds WHERE uid = '{OPEN}' || new.uid; {_HOLD_OPEN} END"
    ),
)

# Estimates are rare, so they are counted on request. An older llmkit maintains this index, but would not
# update a new column in the tables of sums.
ESTIMATES = (f"CREATE INDEX calls_estimated ON calls (time) WHERE {estimated()}",)

INTENTS = (
    # Calls under way, as JSON; `expires` (microseconds) is for processes of other hosts. They are not in
    # `holds`, because older versions insert there by position, and delete what has expired.
    (
        "CREATE TABLE intents (uid TEXT PRIMARY KEY, owner TEXT NOT NULL, expires INTEGER NOT NULL,"
        " call TEXT NOT NULL) WITHOUT ROWID"
    ),
    "CREATE TRIGGER calls_ended AFTER INSERT ON calls BEGIN DELETE FROM intents WHERE uid = new.uid; END",
    (
        "CREATE TRIGGER calls_found AFTER UPDATE OF status ON calls BEGIN"
        " DELETE FROM intents WHERE uid = new.uid; DELETE FROM holds WHERE uid = new.uid; END"
    ),
)

_WORDS = ("provider", "model", "status")
_COUNTED = {name: f"coalesce({name}, '')" for name in _WORDS} | {"simulated": "coalesce(simulated, 0)"}
_COUNTED |= {name: f"max(coalesce({name}, 0), 0)" for name in COUNTERS if name in COLUMNS}
_COUNTED |= {
    "calls": "1",
    "unpriced": UNPRICED,
    "nanos": "max(coalesce(cost_nanos, 0), 0)",
    "saved_nanos": "max(coalesce(saved_nanos, 0), 0)",
}


def counted(where: str = "1") -> str:
    """Return the query of `Store.counters` over some rows."""
    sums = (f"sum({_COUNTED[name]})" for name in COUNTERS)
    keys = (_COUNTED[name] for name in COUNTER_KEYS)
    return f"SELECT {', '.join([*keys, *sums])} FROM calls WHERE {where} GROUP BY 1, 2, 3, 4"  # noqa: S608 - names


# Without GROUP BY, which would build a table for the one row.
_COUNT_ON = (
    f"INSERT INTO counters SELECT {', '.join(_COUNTED[name] for name in (*COUNTER_KEYS, *COUNTERS))}"  # noqa: S608 - names
    f" FROM calls WHERE id = new.id ON CONFLICT ({', '.join(COUNTER_KEYS)}) DO UPDATE SET"
    f" {', '.join(f'{name} = {name} + excluded.{name}' for name in COUNTERS)};"
)

SHARED = (
    # What is done once for everyone, such as an alert; `expires` is in microseconds.
    (
        "CREATE TABLE claims (name TEXT PRIMARY KEY, owner TEXT NOT NULL, expires INTEGER NOT NULL)"
        " WITHOUT ROWID"
    ),
    # Only these triggers change the counters, so that a deletion or a correction does not lower them.
    (
        f"CREATE TABLE counters ({', '.join(f'{name} NOT NULL' for name in (*COUNTER_KEYS, *COUNTERS))},"
        f" PRIMARY KEY ({', '.join(COUNTER_KEYS)})) WITHOUT ROWID"
    ),
    f"INSERT INTO counters {counted()}",
    f"CREATE TRIGGER calls_counted AFTER INSERT ON calls BEGIN {_COUNT_ON} END",
    (
        "CREATE TRIGGER calls_counted_again AFTER UPDATE OF status ON calls"
        f" WHEN old.status = 'lost' AND new.status <> 'lost' BEGIN {_COUNT_ON} END"
    ),
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    tuple(_create()),
    (*_added(ADDED[0]), *BUDGETS),
    (*_added(ADDED[1]), *ROLLUPS),
    (*_added(ADDED[2]), *CORRECTIONS),
    (*_added(ADDED[3]), *GRAINS),
    tuple(_added(ADDED[4])),
    (*_added(ADDED[5]), *UNCERTAIN),
    (*_added(ADDED[6]), *ESTIMATES),
    tuple(_added(ADDED[7])),
    (*_added(ADDED[8]), *INTENTS),
    (*_added(ADDED[9]), *SHARED),
    tuple(_added(ADDED[10])),
)
"""Statements that migrate a file from version n to n + 1, one tuple per version."""


def check(connection: sqlite3.Connection, name: str = "main") -> int:
    """Return the schema version, 0 for an empty file; raise if it is not a ledger. Changes nothing."""
    # In this order, because another process may create the ledger meanwhile, with tables, identifier and
    # version in one commit.
    (tables,) = connection.execute(f"SELECT count(*) FROM {name}.sqlite_master").fetchone()  # noqa: S608 - a name
    (application,) = connection.execute(f"PRAGMA {name}.application_id").fetchone()
    if application == APPLICATION_ID:
        (version,) = connection.execute(f"PRAGMA {name}.user_version").fetchone()
        return int(version)
    if application or tables:
        paths = {row[1]: row[2] for row in connection.execute("PRAGMA database_list")}
        raise ConfigurationError(
            f"{paths[name]} is an SQLite database of another application, not a ledger of llmkit.",
            hint="Set LLMKIT_LEDGER or Ledger(path) to another file.",
        )
    return 0


def migrate(connection: sqlite3.Connection, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> None:
    """Migrate a file in one transaction; a newer file is not changed."""
    if check(connection) < len(migrations) or _lacks_budgets(connection):
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = check(connection)  # again: another process may have migrated it meanwhile
            steps = [BUDGETS] if _lacks_budgets(connection) else []
            for statement in itertools.chain(*steps, *migrations[version:]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {max(version, len(migrations))}")
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise
    if missing := COLUMNS.keys() - present(connection):
        raise ConfigurationError(
            f"The ledger has no column {', '.join(sorted(missing))}: another version of llmkit changed it.",
            hint='Upgrade with: pip install -U "llmkit"',
        )


def _lacks_budgets(connection: sqlite3.Connection) -> bool:
    """Return whether the file is of the first llmkit with version 2, which had no budgets yet."""
    query = "SELECT 1 FROM sqlite_master WHERE name = 'holds'"
    return check(connection) > 1 and connection.execute(query).fetchone() is None


def present(connection: sqlite3.Connection) -> set[str]:
    """Return the names of the file's columns."""
    return {str(row[1]) for row in connection.execute("PRAGMA table_info(calls)")}


def delete(connection: sqlite3.Connection, before: int | None) -> int:
    """Delete rows and start a new epoch; their spending still counts for budgets."""
    connection.execute("DROP TRIGGER calls_deleted")  # it would fire for each row; once is enough
    if before is None:
        count = connection.execute("DELETE FROM calls").rowcount
    else:
        count = connection.execute("DELETE FROM calls WHERE time < ?", (before,)).rowcount
    connection.execute("DELETE FROM corrections WHERE time < coalesce(?, time + 1)", (before,))
    connection.execute(NEW_EPOCH)
    connection.execute(ON_DELETE)
    return count
