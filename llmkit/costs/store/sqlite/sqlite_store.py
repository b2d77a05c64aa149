"""The ledger's rows in an SQLite file."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from llmkit.core import forks, sqlite
from llmkit.core.errors import ConfigurationError
from llmkit.core.timestamps import micros
from llmkit.costs.budgets.rules import Amounts, BudgetRules
from llmkit.costs.store import exits
from llmkit.costs.store.filters import ALL
from llmkit.costs.store.protocol import Page
from llmkit.costs.store.rows import TIME, encode_safely
from llmkit.costs.store.sqlite import (
    claims,
    corrections,
    database,
    intents,
    queries,
    reservations,
    rollups,
    schema,
    unwritten,
)
from llmkit.costs.store.sqlite.inserts import Inserts
from llmkit.costs.store.sqlite.location import MEMORY
from llmkit.costs.store.writer import COMMITTED, REFUSED, Writer
from llmkit.costs.sums import added

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

    from llmkit.costs.store.filters import Filters
    from llmkit.costs.store.protocol import Change
    from llmkit.costs.store.rows import Row
    from llmkit.costs.sums import Sums
    from llmkit.records import CallIntent, CallRecord, CostReservation

T = TypeVar("T")

PAGE = 25_000
"""Maximum number of rows per read; limits the memory for Python objects."""

BRIEFLY = 1.0
"""Seconds to wait for a lock while writing fails, so that no call waits half a minute."""

CHECKPOINT = 250
"""Commits after which the writing thread checkpoints the write-ahead log, of some 1,000 pages by then."""

SLOW = 0.02
"""Seconds above which a commit is slow, for example on a network drive."""

PAUSE = 1.0
"""Seconds after a slow commit in which only the writing thread commits."""

AT_ONCE = 0.05
"""Seconds to wait for a lock to read the budgets; it blocks an event loop."""

LOOK = 60.0
"""Seconds after which a process that writes looks again for calls of processes that died."""

logger = logging.getLogger(__name__)


class SQLiteStore(forks.ForkAware):
    """Rows in an SQLite file that many processes share.

    A record's future is `True` when its transaction is in the write-ahead log: it then survives the death
    of the process (`kill -9`). A power failure may lose the last moments.
    """

    has_users = False

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        busy_timeout: float = 30.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._in_memory = str(path) == MEMORY
        # Unlike Path's own, this does not raise without a home directory.
        self.path = Path(path) if self._in_memory else Path(os.path.expanduser(path)).absolute()  # noqa: PTH111
        self._busy_timeout = busy_timeout
        self._clock = clock
        self._writer = Writer(self._commit, str(self.path))
        self.in_child()
        forks.watch(self)
        exits.at_exit(self)

    @property
    def name(self) -> str:
        """The file; see `Store.name`."""
        return str(self.path)

    @property
    def snapshot(self) -> Path | None:
        """Folder of the rows' copy in columns; see `Store.snapshot`."""
        return None if self._in_memory else self.path.with_name(f"{self.path.name}-columns")

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt to write failed."""
        return self._writer.is_failing

    def append(self, record: CallRecord, *, alone: bool = False) -> Future[bool]:
        """Take a record; see `Store.append`."""
        if (row := encode_safely(record)) is None:
            return REFUSED
        self._mind_multiprocessing()
        self._writer.intents.forget(record.uid)
        try:
            if alone and self._commit_here(row):
                return COMMITTED
        except BaseException:  # an interrupt must not lose the row
            self._writer.submit(row)
            raise
        return self._writer.submit(row)

    def intend(self, intent: CallIntent) -> None:
        """Take a call that is about to be sent; see `Store.intend`."""
        if not self._in_memory:
            self._writer.intend(intent)

    def recover(self) -> int:
        """Write the rows of lost calls; see `Store.recover`."""
        if self._in_memory or not self.path.exists() or not self._writer.writing.acquire(timeout=BRIEFLY):
            return 0
        try:
            with database.patient(self._connected(), BRIEFLY) as connection:
                return intents.recover(connection, now=self._now())
        except (sqlite3.Error, OSError, ConfigurationError):
            logger.debug("Cannot write lost calls to %s.", self.path, exc_info=True)
            return 0
        finally:
            self._look_after = monotonic() + LOOK
            self._writer.writing.release()

    def unwritten(self) -> list[Row]:
        """Return the rows that wait; see `Store.unwritten`."""
        return self._writer.unwritten()

    def read(self, after: int = 0, limit: int | None = None, choice: Filters = ALL) -> Page:
        """Return committed rows; see `Store.read`."""
        # With filters, each page would scan the same rows again, so there is only one page.
        limit = -1 if choice != ALL else PAGE if limit is None else limit
        with self._reader() as connection:
            names = schema.present(connection) if connection else set()
            if not connection or not names:
                return Page("", [], more=False, last=after)
            (epoch,) = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
            query, values = queries.statement(choice, names, after)
            rows = connection.execute(f"{query} LIMIT ?", (*values, limit)).fetchall()
            last = queries.newest(connection) if choice != ALL else rows[-1][0] if rows else after
            return Page(epoch, rows, more=len(rows) == limit, last=last)

    def select(self, choice: Filters) -> list[list[Row]]:
        """Return some rows; see `Store.select`."""
        waiting, found = self.unwritten(), []
        with self._reader() as connection:
            if connection and (names := schema.present(connection)):
                found = list(queries.pages(connection, choice, names, PAGE))
                waiting = queries.missing(connection, waiting)
        return [*found, *unwritten.pages(waiting, choice)]

    def sums(self, *, since: int | None = None, session: str | None = None) -> dict[bool, Sums]:
        """Add up all rows; see `Store.sums`."""
        if session is None and (groups := self.groups(("simulated",), since)) is not None:
            return added(rollups.sums([row]) for row in groups)
        waiting = self.unwritten()
        sums: dict[bool, Sums] = {}
        with self._reader() as connection:
            if connection and schema.present(connection):
                sums = queries.sums(connection, since, session)
                waiting = queries.missing(connection, waiting)
        return added([sums, unwritten.sums(waiting, since, session)])

    def groups(self, by: Sequence[str], since: int | None = None) -> list[Row] | None:
        """Add up all rows in groups; see `Store.groups`."""
        waiting, behind = self.unwritten(), 0
        found: list[Row] | None = []
        with self._reader() as connection:
            if connection and schema.present(connection):
                found = rollups.groups(connection, by, since)
                behind = rollups.behind(connection)
                waiting = queries.missing(connection, waiting)
        if behind > rollups.STEP:
            self._catch_up()
        return None if found is None else [*found, *unwritten.groups(waiting, by, since)]

    def counters(self) -> list[Row]:
        """Return the counters; see `Store.counters`."""
        with self._reader() as connection:
            return queries.counters(connection) if connection and schema.present(connection) else []

    def claim(self, name: str, *, owner: str, expires: int) -> bool:
        """Claim a name; see `Store.claim`."""
        with self._writing("written") as connection:
            return claims.claim(connection, name, owner=owner, expires=expires, now=self._now())

    def may_correct(self) -> bool:
        """Everybody who writes the file may."""
        return True

    def correct(self, changes: Sequence[Change], *, run: str, reason: str | None) -> int:
        """Replace prices; see `Store.correct`."""
        with self._writing("corrected") as connection:
            self._logged = CHECKPOINT
            return corrections.write(connection, changes, run=run, now=self._now(), reason=reason)

    def corrections(self, run: str | None = None) -> list[Row]:
        """Return the notes; see `Store.corrections`."""
        with self._reader() as connection:
            return corrections.read(connection, run) if connection else []

    def delete(self, before: int | None = None) -> int:
        """Delete rows; see `Store.delete`."""
        self.flush(self._busy_timeout)
        with self._writer.writing:
            with self._writing("cleared") as connection:
                self._logged = CHECKPOINT
                mark = rollups.forget(connection, before)
                count = schema.delete(connection, before)
                rollups.keep(connection, mark)
            return count + self._writer.discard(before=before, column=TIME)

    def rules(self) -> BudgetRules:
        """Return the budgets; see `Store.rules`."""
        with self._reader(self._checking, AT_ONCE) as connection:
            return (
                reservations.rules(connection) if connection and schema.present(connection) else BudgetRules()
            )

    def change_rules(self, changes: dict[str, Any]) -> BudgetRules:
        """Change budgets; see `Store.change_rules`."""
        with self._writing("written") as connection:
            return reservations.change(connection, changes)

    def reserve(self, reservation: CostReservation) -> Future[None]:
        """Reserve what a call may cost; see `Store.reserve`."""
        self._mind_multiprocessing()
        return self._job(lambda connection: reservations.reserve(connection, reservation, now=self._now()))

    def release(self, uid: str) -> None:
        """Take a reservation back; see `Store.release`."""
        self._job(lambda connection: reservations.release(connection, uid))

    def amounts(self, time: int, notebook: str | None) -> Amounts:
        """Return what is used; see `Store.amounts`."""
        waiting, now, used = self.unwritten(), self._now(), Amounts()
        with self._reader() as connection:
            if connection and schema.present(connection):
                used = reservations.amounts(connection, time, notebook, now=now)
                waiting = queries.missing(connection, waiting)
        return used + unwritten.amounts(waiting, time, notebook, now=now)

    def settled(self, time: int, notebook: str | None) -> Future[Amounts]:
        """Return what is used later on; see `Store.settled`."""
        return self._job(
            lambda connection: reservations.amounts(connection, time, notebook, now=self._now()),
            database.snapshot,
        )

    def flush(self, timeout: float | None = None) -> bool:
        """Write what waits; see `Store.flush`."""
        return self._writer.flush(timeout)

    def close(self) -> None:
        """Write queued rows and close the file; an in-memory store keeps its rows."""
        self._writer.stop(self._busy_timeout + 1)
        if not self._in_memory:
            self._disconnect()

    def finish(self) -> None:
        """Write queued rows because the process ends; later rows are written immediately."""
        if not self._writer.stop(self._busy_timeout + 1, inline=True):
            logger.error("%s", self._writer.failure())
        self._disconnect()

    def before_fork(self) -> None:
        """Wait for the writer and the readers, and close the file."""
        self._reading.acquire()
        self._checking.acquire()
        self._writer.writing.acquire()
        if not self._in_memory:
            self._disconnect()

    def after_fork(self) -> None:
        """Let the writer and the readers continue, in the parent."""
        self._writer.writing.release()
        self._checking.release()
        self._reading.release()

    def in_child(self) -> None:
        """Reset: queued rows and rows in memory belong to the parent."""
        self._writer.reset()
        self._reading = threading.RLock()
        self._checking = threading.RLock()  # budgets are read while a long reading runs
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._waits = True  # whether the connection waits for locks
        # Whether a caller's thread commits: the garbage collector may end a call meanwhile.
        self._here = False
        self._here_after = 0.0  # when callers' threads may commit, in the time of `time.monotonic`
        self._logged = CHECKPOINT  # commits since the last checkpoint
        self._finalizer = False
        self._look_after = 0.0  # when to look for lost calls again, in the time of `time.monotonic`
        self._inserts = Inserts()

    def _commit_here(self, row: Row) -> bool:
        """Commit a row on the caller's thread, if that waits for neither a lock nor the disk.

        A hand-over to the writing thread and back takes more than the commit itself, and only pays off for
        several rows. In `NORMAL` mode SQLite syncs its log at a checkpoint, and with the first commit after
        one, which begins the log anew. Both are left to the writing thread (`_checkpoint`).
        """
        start = monotonic()
        if not self._is_quick(start) or not self._writer.writing.acquire(blocking=False):
            return False
        self._here = True
        try:
            connection = self._connection
            if connection is None or self._file != database.identity(self.path):
                return False
            if self._waits:
                connection.execute("PRAGMA busy_timeout = 0")
                self._waits = False
            self._inserts.one(connection, row)
            self._logged += 1
        except Exception:  # noqa: BLE001 - whatever it is: the writing thread tries again, and says what is wrong
            return False
        finally:
            self._here = False
            self._writer.writing.release()
        if (end := monotonic()) - start > SLOW:
            self._here_after = end + PAUSE
        return True

    def _is_quick(self, now: float) -> bool:
        """Whether the next commit is one row alone, with no sums and no checkpoint due, on a quick disk."""
        due = self._logged >= CHECKPOINT or self._inserts.next_adds_up
        return not (due or self._here or now < self._here_after or self._writer.has_work())

    def _checkpoint(self, connection: sqlite3.Connection, rows: int) -> None:
        """Move the log into the file, now and then, right before a commit of this thread begins it anew."""
        if self._logged >= CHECKPOINT:
            connection.execute("PRAGMA wal_checkpoint")
            self._logged = 0
        self._logged += 1 + rows // 16  # a group has a few pages of its own, and one for each 16 rows or so

    def _commit(self, rows: list[Row]) -> None:
        connection = self._connected()
        recovering, under_way = self._writer.is_failing, self._writer.intents.ripe()
        try:
            self._checkpoint(connection, len(rows) + len(under_way))
            self._inserts.several(connection, rows, under_way, now=self._now())
            self._writer.intents.stored(under_way)
        except sqlite3.Error:
            recovering = True
            raise
        finally:
            if recovering and not self._in_memory:
                self._disconnect()  # the next attempt opens the file anew, with the patience it deserves
        if rows and not recovering and monotonic() >= self._look_after:  # by then, prices are loaded
            self.recover()

    def _catch_up(self) -> None:
        """Add what the daily sums lack, step by step, so that rows can be written in between."""

        def step(connection: sqlite3.Connection) -> None:
            if rollups.roll(connection):
                self._catch_up()

        self._job(step)

    def _job(
        self,
        work: Callable[[sqlite3.Connection], T],
        scope: Callable[[sqlite3.Connection], AbstractContextManager[None]] = sqlite.transaction,
    ) -> Future[T]:
        """Run a transaction on the writer's thread, after the rows that came before."""

        def attempt(problem: str | None) -> T:
            if problem is not None:  # what those rows spent would not count
                raise self._uncheckable(problem)
            try:
                connection = self._connected()
                with scope(connection):
                    return work(connection)
            except (sqlite3.Error, OSError) as error:
                if not self._in_memory:
                    self._disconnect()
                raise self._uncheckable(str(error)) from error

        return self._writer.run(attempt)

    def _uncheckable(self, reason: str) -> ConfigurationError:
        return ConfigurationError(
            f"Cannot check the budget, so the call was not sent: the ledger {self.path} cannot be"
            f" written: {reason.rstrip('.')}.",
            hint="Unlock or repair the file, or set another file in LLMKIT_LEDGER.",
        )

    def _now(self) -> int:
        return micros(self._clock())

    def _connected(self) -> sqlite3.Connection:
        """Return the writing connection; the caller holds `writing`."""
        if self._file not in (None, database.identity(self.path)):
            self._disconnect()  # the file was deleted or replaced: rows for the old one would be lost
        if self._connection is None:
            if self._in_memory:
                self._connection = database.open_memory()
            else:
                self._connection = database.open_file(self.path, timeout=self._patience())
                self._file = database.identity(self.path)
                self._waits = True
                # Without a log each commit waits for the disk, which an event loop must not.
                self._here_after = 0.0 if database.has_log(self._connection) else math.inf
        if not self._waits:
            self._connection.execute(f"PRAGMA busy_timeout = {round(1000 * self._patience())}")
            self._waits = True
        return self._connection

    def _patience(self) -> float:
        return min(BRIEFLY, self._busy_timeout) if self._writer.is_failing else self._busy_timeout

    def _disconnect(self) -> None:
        with self._writer.writing:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    @contextlib.contextmanager
    def _writing(self, what: str) -> Iterator[sqlite3.Connection]:
        """Yield a connection in a transaction that others wait for."""
        with self._writer.writing, database.explained(self.path, what):
            connection = self._connected()
            with sqlite.transaction(connection):
                yield connection

    @contextlib.contextmanager
    def _reader(
        self, lock: threading.RLock | None = None, patience: float | None = None
    ) -> Iterator[sqlite3.Connection | None]:
        """Yield a connection to the committed rows, with those of lost calls; `None` if there is no file."""
        with self._committed(lock, patience) as connection:
            if lock is not None or connection is None or not self._lacks_rows(connection):
                yield connection
                return
        self.recover()
        with self._committed(lock, patience) as connection:
            yield connection

    def _lacks_rows(self, connection: sqlite3.Connection) -> bool:
        return not self._in_memory and bool(intents.abandoned(connection, now=self._now()))

    @contextlib.contextmanager
    def _committed(
        self, lock: threading.RLock | None, patience: float | None
    ) -> Iterator[sqlite3.Connection | None]:
        patience = self._busy_timeout if patience is None else patience
        with contextlib.ExitStack() as stack:
            stack.enter_context(database.explained(self.path, "read"))
            if self._in_memory:
                stack.enter_context(self._writer.writing)
                connection: sqlite3.Connection | None = self._connected()
            else:
                stack.enter_context(lock or self._reading)
                connection = database.open_reader(self.path, timeout=patience)
                if connection is not None:
                    stack.enter_context(contextlib.closing(connection))
            if connection is not None:
                stack.enter_context(database.snapshot(connection))
            yield connection

    def _mind_multiprocessing(self) -> None:
        if not self._finalizer:
            self._finalizer = exits.at_worker_exit(self)
