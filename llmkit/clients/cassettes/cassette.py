"""The file of recorded answers: one SQLite table, small enough to commit.

A file contains answers **and their requests**, including prompts, so replay is off until
it is switched on. It contains no keys or headers: what looks like a key in a request is redacted.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

from llmkit.clients.cassettes.recording import UNREADABLE, Recording, pack, unpack
from llmkit.core import sqlite
from llmkit.core.errors import ConfigurationError
from llmkit.core.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLICATION_ID = 0x6C6C6D72
"""`PRAGMA application_id` of a file of recordings: `llmr`."""

# Repeated here, because clients must not import the ledger.
LEDGER_ID = 0x6C6C6D6B
VERSION = 2
"""Version of the format: 2 keeps all parts of an answer; answers of text alone are as in 1."""

PAGE_SIZE = 1024
"""Bytes per page: an answer takes one to three pages, of which half a page is unused on average."""

NEAREST = 50
"""Number of requests that are compared to explain a miss."""

COLUMNS = (
    "key TEXT PRIMARY KEY",  # SHA-256 of the request, in hexadecimal
    "recorded_at TEXT NOT NULL",  # ISO 8601
    "provider TEXT NOT NULL",
    "model TEXT NOT NULL",
    "answer BLOB NOT NULL",  # JSON, compressed by zlib, whose checksum detects damage
    "request BLOB NOT NULL",  # in the same format
)

TABLE = (
    f"CREATE TABLE recordings ({', '.join(COLUMNS)})",
    f"PRAGMA application_id = {APPLICATION_ID}",
    "PRAGMA user_version = 1",  # until an answer is more than text
)


class DamagedRecordingError(ConfigurationError):
    """A single recording is damaged; the rest of the file is readable."""

    default_hint = 'Record it again with llmkit.replay(mode="auto").'


class Cassette:
    """A file of recorded answers. Every operation reopens it, so that forks and replaced files work."""

    def __init__(self, path: Path, *, timeout: float = 10.0) -> None:
        self.path = path
        self._timeout = timeout

    def check(self) -> None:
        """Check that the file, if it exists, is a file of recordings."""
        with self._reading():
            pass

    def read(self, key: str) -> Recording | None:
        """Return the recording of a request."""
        with self._reading() as file:
            wanted = "SELECT answer FROM recordings WHERE key = ?"
            row = None if file is None else file.execute(wanted, (key,)).fetchone()
        return None if row is None else self._recording(row[0])

    def write(self, key: str, recording: Recording, *, provider: str, model: str, request: Any) -> None:
        """Store a recording; it replaces an earlier one of the same request."""
        answer = recording.values
        row = (key, answer["recorded_at"], provider, model, pack(answer), pack(_without_keys(request)))
        with self._writing() as file:
            if "content" in answer:
                # Only now, so that an older llmkit can read the file as long as all answers are text.
                file.execute(f"PRAGMA user_version = {VERSION}")
            file.execute("INSERT OR REPLACE INTO recordings VALUES (?, ?, ?, ?, ?, ?)", row)

    def has_former(self) -> bool:
        """Return whether there are recordings with version 1 keys, which are plain hexadecimal digits."""
        with self._reading() as file:
            wanted = "SELECT EXISTS (SELECT 1 FROM recordings WHERE key < 'g')"
            return file is not None and bool(file.execute(wanted).fetchone()[0])

    def count(self) -> int:
        """Return the number of recordings."""
        with self._reading() as file:
            return 0 if file is None else int(file.execute("SELECT count(*) FROM recordings").fetchone()[0])

    def nearest(self, provider: str, model: str, *requests: Any) -> str:
        """Explain a miss: how the most similar recording differs from a request."""
        total = self.count()
        if not total:
            return "the file is empty or missing"
        known = self._requests(provider, model)
        wanted = [_fields(_without_keys(request)) for request in requests]
        changes = [_changed(one, found) for one in wanted for found in known]
        if not changes:
            return f"its {total} recordings are of other models"
        names = min(changes, key=lambda names: (len(names), names))
        return (
            f"the most similar of its {total} recordings differs in"
            f" {', '.join(names) or 'a key or the server'}"
        )

    def _requests(self, provider: str, model: str) -> list[dict[str, Any]]:
        """Return the last recorded requests to a model that can be read."""
        query = "SELECT request FROM recordings WHERE provider = ? AND model = ? ORDER BY rowid DESC LIMIT ?"
        with self._reading() as file:
            rows = [] if file is None else file.execute(query, (provider, model, NEAREST)).fetchall()
        return [_fields(found) for found in map(_readable, rows) if found is not None]

    def clear(self) -> int:
        """Remove all recordings and free their space."""
        if self.count() == 0:
            return 0
        with self._writing() as file:
            number = file.execute("DELETE FROM recordings").rowcount
        # SQLite refuses VACUUM inside a transaction.
        with self._writing(transaction=False) as file:
            file.execute("VACUUM")
        return number

    def _recording(self, data: Any) -> Recording:
        try:
            return Recording.of(unpack(data))
        except UNREADABLE as error:
            raise DamagedRecordingError(f"A recording in {self.path} is damaged: {error}.") from error

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """Open the file for reading; `None` if it has no recordings."""
        with self._telling("read"):
            if not self.path.exists():
                yield None
                return
            with contextlib.closing(self._opened()) as file:
                yield file if self._is_ours(file) else None

    def _opened(self) -> sqlite3.Connection:
        """Connect for reading; first roll back an incomplete write of a dead process."""
        file = sqlite.connect(self.path, timeout=self._timeout)
        try:
            file.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
        except sqlite3.OperationalError as error:
            file.close()
            # A read-only connection fails with these if there is a journal to roll back.
            if sqlite.code(error) not in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}:
                raise
            return sqlite.connect(self.path, timeout=self._timeout, write=True)
        except BaseException:
            file.close()
            raise
        return file

    @contextlib.contextmanager
    def _writing(self, *, transaction: bool = True) -> Iterator[sqlite3.Connection]:
        self.check()  # read-only, because opening another application's file for writing might change it
        with self._telling("written"):
            sqlite.create(self.path)
            with contextlib.closing(sqlite.connect(self.path, timeout=self._timeout, write=True)) as file:
                file.execute(f"PRAGMA page_size = {PAGE_SIZE}")  # only applies to a new file
                with sqlite.transaction(file) if transaction else contextlib.nullcontext():
                    if not self._is_ours(file):
                        for statement in TABLE:
                            file.execute(statement)
                    yield file

    def _is_ours(self, file: sqlite3.Connection) -> bool:
        """Return whether a file is a file of recordings; an empty file is not."""
        # In this order, because another thread may create the file meanwhile, and its commit adds table,
        # identifier and version at once.
        tables = file.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
        application = file.execute("PRAGMA application_id").fetchone()[0]
        version = file.execute("PRAGMA user_version").fetchone()[0]
        if application == APPLICATION_ID:
            if version > VERSION:
                raise ConfigurationError(
                    f"{self.path} was written by a newer llmkit (format {version}, supported: {VERSION}).",
                    hint="Update llmkit, or use another file.",
                )
            return True
        if application == 0 and tables is None:
            return False
        what = "the ledger" if application == LEDGER_ID else "a database of another application"
        raise self._foreign(what)

    def _foreign(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"{self.path} is not a file of recordings but {what}; it was not changed.",
            hint='Use another file: llmkit.replay("demo.replay").',
        )

    @contextlib.contextmanager
    def _telling(self, done: str) -> Iterator[None]:
        """Convert SQLite and OS errors to ours."""
        try:
            yield
        except sqlite3.Error as error:
            raise self._reason(error, done) from error
        except OSError as error:
            raise ConfigurationError(
                f"{self.path} cannot be {done}: {error.strerror or error}.",
                hint="Check the folder and its permissions, or use another file.",
            ) from error

    def _reason(self, error: sqlite3.Error, done: str) -> ConfigurationError:
        code = sqlite.code(error)
        if code == sqlite3.SQLITE_NOTADB:
            return self._foreign("something else")
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return ConfigurationError(
                f"{self.path} was locked by another process for {self._timeout:g} s.",
                hint="Stop that process, or use another file.",
            )
        # SQLITE_ERROR means that the table is missing or has other columns.
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR}:
            return ConfigurationError(
                f"{self.path} is damaged ({error}).",
                hint="Restore it from a backup, or delete it and record again.",
            )
        return ConfigurationError(
            f"{self.path} cannot be {done}: {error}.",
            hint="Check the file, its folder and their permissions, or use another file.",
        )


def _without_keys(value: Any) -> Any:
    """Return JSON values with everything that looks like a key redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(name): _without_keys(item) for name, item in value.items()}
    return [_without_keys(item) for item in value] if isinstance(value, list) else value


def _readable(row: tuple[Any]) -> Any:
    """Return a stored request; `None` if it is damaged."""
    try:
        return unpack(row[0])
    except UNREADABLE:
        return None


def _fields(request: Any) -> dict[str, Any]:
    """Return the parts of a request by name, with parameters or the body flattened."""
    if not isinstance(request, dict):
        return {}
    packed = {name: request[name] for name in ("extra", "body") if isinstance(request.get(name), dict)}
    plain = {name: value for name, value in request.items() if name not in packed and value is not None}
    return {**plain, **{name: value for inner in packed.values() for name, value in inner.items()}}


def _changed(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
