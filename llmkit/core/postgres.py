"""Databases of PostgreSQL: addresses, connections that come back, errors in our words, versions of tables.

psycopg is loaded at the first use of an address, because it is an extra. A password is kept apart from
everything that is shown: it is in no name, no message and no traceback.
"""

from __future__ import annotations

import importlib
import ipaddress
import os
import threading
import time
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from llmkit.core import postgres_errors
from llmkit.core.errors import ConfigurationError
from llmkit.core.postgres_errors import ServerUnavailableError, load
from llmkit.core.redaction import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import psycopg

    Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

T = TypeVar("T")

SCHEMES = ("postgresql://", "postgres://")
SCHEMA = "llmkit"
"""The schema of all our tables."""

PARTS = {
    "ledger": "llmkit.costs.store.postgres.schema",
    "answers": "llmkit.frames.answers.postgres.answer_tables",
}
"""The modules that have the statements of tables, as `STEPS`; they are loaded by name, for they are above."""

OLDEST = 150000
"""The oldest server, in libpq's numbers: unique keys of the ledger's sums may be unknown."""

PAUSE = 0.25
"""Seconds between two tries to reach a server."""

CLOSE_TIMEOUT = 1.0
"""Seconds to wait for a thread that uses a connection; a server may accept it and never answer."""

_SECRETS = ("password", "sslpassword", "oauth_client_secret")
_LOCK = 0x6C6C6D6B6974
"""Key of the advisory lock under which tables are made."""

_DEFAULTS = {
    "connect_timeout": "5",
    "application_name": "llmkit",
    # A machine that is gone is noticed, whether it is asked or silent.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}

_of_parents: list[Any] = []
"""Connections of parent processes: a forked child must neither use nor close them."""


def is_address(text: object) -> bool:
    """Return whether a text is the address of a PostgreSQL database.

    Example:
        >>> is_address("postgresql://db/llm"), is_address("ledger.sqlite")
        (True, False)
    """
    return isinstance(text, str) and text.strip().startswith(SCHEMES)


class Address:
    """Where a database is, and as whom to connect.

    Args:
        url: `postgresql://user:password@host:port/database?option=value`, as libpq reads it. What it leaves
            out comes from libpq's variables and files, such as `PGPASSWORD` and `~/.pgpass`.
        setting: What the user set, for messages.

    Raises:
        ConfigurationError: If psycopg is not installed, or libpq cannot read the URL.
    """

    def __init__(self, url: str, setting: str = "LLMKIT_LEDGER") -> None:
        given = _parsed(url.strip(), setting)
        self.setting = setting
        self._secrets = {
            name: Secret(given.pop(name), f"the URL in {setting}") for name in _SECRETS if name in given
        }
        self._options = {**_DEFAULTS, **_encryption(given), **given}
        user = f"{given['user']}@" if "user" in given else ""
        port = f":{given['port']}" if "port" in given else ""
        host = given.get("host", given.get("hostaddr", ""))
        self.name = f"postgresql://{user}{host}{port}/{given.get('dbname', '')}"
        """The address without its password."""

    def __repr__(self) -> str:
        return f"Address({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and (self._options, self._digests()) == (
            other._options,
            other._digests(),
        )

    def __hash__(self) -> int:
        return hash(self.name)

    def _digests(self) -> dict[str, bytes]:
        return {name: secret.digest for name, secret in self._secrets.items()}

    def connect(self) -> Connection:
        """Open a connection in autocommit mode.

        Raises:
            ServerUnavailableError: If the server cannot be reached now.
            ConfigurationError: If it refuses, or is too old.
        """
        psycopg = load()
        try:
            # No prepared statements: poolers in front of a server may not know them.
            connection: Connection = psycopg.connect(
                **self._options,
                **{name: secret.reveal() for name, secret in self._secrets.items()},
                autocommit=True,
                prepare_threshold=None,
            )
        except psycopg.Error as error:
            # Frames of psycopg hold the password, and IPython can print variables.
            raise self.refusal(error) from error.with_traceback(None)
        if (version := connection.info.server_version) < OLDEST:
            connection.close()
            raise ConfigurationError(
                f"{self.name} is PostgreSQL {version // 10000}, which is too old.",
                hint=f"Use PostgreSQL {OLDEST // 10000} or later.",
            )
        return connection

    def refusal(self, error: psycopg.Error) -> ConfigurationError:
        """Return our error for one of psycopg's."""
        return postgres_errors.translate(error, self.name, self.setting)


class Database:
    """One connection to a database, for the threads of a process in turn.

    It opens at the first use, and again after it broke or the process forked.

    Args:
        address: The address.
        prepare: Called with each new connection, such as for the versions of tables.
    """

    def __init__(self, address: Address, prepare: Callable[[Connection], object] = id) -> None:
        self.address = address
        self._prepare = prepare
        self._was_there = False
        self._own()

    def _own(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._connection: Connection | None = None

    @property
    def name(self) -> str:
        """The address without its password."""
        return self.address.name

    def run(self, work: Callable[[Connection], T], *, patience: float = 0.0) -> T:
        """Do some work on the connection, which is in autocommit mode.

        The work is done again if the connection breaks, even if it broke at the very end of the work. So it
        must be such that doing it twice is doing it once.

        Args:
            work: A function of the connection.
            patience: Seconds to wait for a server that was there before.

        Raises:
            ServerUnavailableError: If the server cannot be reached.
            ConfigurationError: If it refuses the work.
        """
        end = time.monotonic() + (patience if self._was_there else 0)
        tries = 0
        while True:
            try:
                return self._once(work)
            except ServerUnavailableError:
                tries += 1
                # A connection that rested may be an old one: the second try has a new one.
                if tries > 1 or not self._was_there:
                    if time.monotonic() >= end:
                        raise
                    time.sleep(PAUSE)

    def _once(self, work: Callable[[Connection], T]) -> T:
        if self._pid != os.getpid():
            _of_parents.append(self._connection)
            self._own()
        psycopg = load()
        with self._lock:
            connection = self._opened()
            try:
                return work(connection)
            except psycopg.Error as error:
                if connection.closed:
                    self._connection = None
                raise self.address.refusal(error) from error.with_traceback(None)

    def _opened(self) -> Connection:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        self._connection = None
        connection = self.address.connect()
        try:
            self._prepare(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, load().Error):
                raise self.address.refusal(error) from error.with_traceback(None)
            raise
        self._connection, self._was_there = connection, True
        return connection

    def close(self) -> None:
        """Close the connection, unless a thread waits for the server; the next use opens another."""
        if self._pid != os.getpid():
            return
        if not self._lock.acquire(timeout=CLOSE_TIMEOUT):
            return
        try:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        finally:
            self._lock.release()


def upgrade(connection: Connection, part: str, steps: Sequence[Sequence[str]], name: str) -> None:
    """Bring the tables of a part to the newest version, once for all processes.

    Those of the other `PARTS` are made with them: the users who need them later may not make any.

    Args:
        connection: A connection in autocommit mode.
        part: Name of the part, such as `"answers"`.
        steps: The statements from each version to the next, from an empty schema on.
        name: Name of the database, for messages.

    Raises:
        ConfigurationError: If the tables are of a newer llmkit, or must be made and the role may not.
    """
    behind = _behind(connection, part, steps, name)
    if not behind or (part not in behind and not _may_create(connection)):
        return
    psycopg = load()
    try:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            _create_schema(connection)
            for each, statements in _behind(connection, part, steps, name).items():
                _make(connection, each, statements)
    except psycopg.errors.InsufficientPrivilege as error:
        if part not in behind:
            return
        what = "lacks the tables of llmkit" if len(behind[part]) == len(steps) else "has older tables"
        raise ConfigurationError(
            f"{name} {what}, and its user may not make them.",
            hint="Let its administrator set a budget once, such as `llmkit budget daily=50`.",
        ) from error


def _behind(
    connection: Connection, part: str, steps: Sequence[Sequence[str]], name: str
) -> dict[str, Sequence[Sequence[str]]]:
    """Return the steps that are left to do, by part."""
    versions = _versions(connection)
    if (version := versions.get(part, 0)) > len(steps):
        raise ConfigurationError(
            f"The {part} in {name} are of a newer llmkit (version {version}, this one knows {len(steps)}).",
            hint="Update llmkit.",
        )
    others = {other: importlib.import_module(module).STEPS for other, module in PARTS.items()}
    left = {each: each_steps[versions.get(each, 0) :] for each, each_steps in {**others, part: steps}.items()}
    return {each: each_steps for each, each_steps in left.items() if each_steps}


def _make(connection: Connection, part: str, steps: Sequence[Sequence[str]]) -> None:
    for step in steps:
        for statement in step:
            connection.execute(statement)
    connection.execute(
        f"INSERT INTO {SCHEMA}.versions AS v VALUES (%s, %s)"  # noqa: S608 - text of our own
        " ON CONFLICT (part) DO UPDATE SET version = v.version + excluded.version",
        [part, len(steps)],
    )


def _may_create(connection: Connection) -> bool:
    return _is(connection, f"has_schema_privilege('{SCHEMA}', 'CREATE')")


def _create_schema(connection: Connection) -> None:
    # `IF NOT EXISTS` would ask for the right to create also where nothing is to be created.
    if not _exists(connection, f"to_regnamespace('{SCHEMA}')"):
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
        connection.execute(f"GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC")
    if not _exists(connection, f"to_regclass('{SCHEMA}.versions')"):
        connection.execute(
            f"CREATE TABLE {SCHEMA}.versions (part text PRIMARY KEY, version integer NOT NULL)"
        )
        connection.execute(f"GRANT SELECT ON {SCHEMA}.versions TO PUBLIC")


def _versions(connection: Connection) -> dict[str, int]:
    """Return the versions of the tables by part."""
    if not _exists(connection, f"to_regclass('{SCHEMA}.versions')"):
        return {}
    rows = connection.execute(f"SELECT part, version FROM {SCHEMA}.versions")  # noqa: S608 - text of our own
    return {str(part): int(version) for part, version in rows}


def _exists(connection: Connection, expression: str) -> bool:
    return _is(connection, f"{expression} IS NOT NULL")


def _is(connection: Connection, condition: str) -> bool:
    row = connection.execute(f"SELECT {condition}").fetchone()
    return row is not None and bool(row[0])


def _parsed(url: str, setting: str) -> dict[str, str]:
    """Return what libpq reads in a URL."""
    psycopg = load()
    try:
        return {name: str(value) for name, value in psycopg.conninfo.conninfo_to_dict(url).items() if value}
    except psycopg.ProgrammingError:
        # What libpq says repeats parts of the URL, and a password may be one.
        raise ConfigurationError(
            f"{setting} is a PostgreSQL address that cannot be read.",
            hint="Write postgresql://user:password@host:5432/database; in a password %25 for %, %40 for @.",
        ) from None


def _encryption(given: dict[str, str]) -> dict[str, str]:
    """Ask for TLS to other hosts; whoever sets `sslmode` or has a service file decides otherwise."""
    if "service" in given or "PGSSLMODE" in os.environ or "PGSERVICE" in os.environ:
        return {}
    # As libpq does: an address goes before a name, and the URL before the environment.
    hosts = next(filter(None, (given.get("hostaddr"), os.environ.get("PGHOSTADDR"), given.get("host"))), "")
    hosts = hosts or os.environ.get("PGHOST", "")
    return {} if all(map(_is_here, hosts.split(","))) else {"sslmode": "require"}


def _is_here(host: str) -> bool:
    """Whether a host is this machine: a folder of sockets, or a loopback address."""
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
