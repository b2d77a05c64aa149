"""The ledger's rows in a PostgreSQL database that a team shares."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from functools import cache, partial
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from llmkit.core import forks
from llmkit.core.errors import ConfigurationError
from llmkit.core.postgres import Address, Database
from llmkit.core.postgres_errors import ServerUnavailableError, load
from llmkit.costs.budgets import rules as arithmetic
from llmkit.costs.budgets.rules import Amounts, BudgetRules
from llmkit.costs.store import exits, lost
from llmkit.costs.store.filters import ALL
from llmkit.costs.store.groups import sums_in
from llmkit.costs.store.postgres import queries, schema, writes
from llmkit.costs.store.postgres.offline import OfflineFile
from llmkit.costs.store.postgres.tables import ADMIN, MEMBERS_ONLY
from llmkit.costs.store.protocol import Page
from llmkit.costs.store.rows import TIME, UID, encode_safely
from llmkit.costs.store.sqlite import unwritten
from llmkit.costs.store.writer import CHUNK, REFUSED, Writer
from llmkit.costs.sums import added

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from llmkit.core.postgres import Connection
    from llmkit.costs.store.filters import Filters
    from llmkit.costs.store.protocol import Change
    from llmkit.costs.store.rows import Row
    from llmkit.costs.sums import Sums
    from llmkit.records import CallIntent, CallRecord, CostReservation

T = TypeVar("T")

PAGE = 25_000
"""Maximum number of rows per read; limits the memory for Python objects."""

BRIEFLY = 1.0
"""Seconds to wait for rows of this process while calls of dead ones are written."""

SLOW, PAUSE = 0.5, 10.0
"""Seconds after which a vain attempt to reach the server is slow, and then until the next one."""

UNKNOWN = BudgetRules(daily=0)
"""The budgets before any is known: each call has to be asked for, which then fails."""

LOOK = 60.0
"""Seconds after which a process that writes looks again for calls of processes that died."""

logger = logging.getLogger(__name__)


class PostgresStore(forks.ForkAware):
    """Rows in a PostgreSQL database.

    A record's future is `True` when its transaction is committed at the server.

    Args:
        url: The address, `postgresql://user:password@host/database`.
        setting: What the user set, for messages.
        lock_timeout: Seconds to wait for other writers.
    """

    snapshot = None
    has_users = True

    def __init__(self, url: str, setting: str = "LLMKIT_LEDGER", *, lock_timeout: float = 30.0) -> None:
        self.address = address = Address(url, setting)
        self._lock_timeout = lock_timeout
        self._writing = Database(address, self._prepare)
        self._reading = Database(address, self._set_lock_timeout)
        self._checking = Database(
            address, self._set_lock_timeout
        )  # budgets are read while a long reading runs
        self.name = address.name
        self._offline = OfflineFile(self.name)
        fate = f"They wait in {self._offline.path} and arrive later."
        self._writer = Writer(self._commit, self.name, fate=fate)
        self.in_child()
        forks.watch(self)
        exits.at_exit(self)

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt to write failed."""
        return self._writer.is_failing

    def append(self, record: CallRecord, *, alone: bool = False) -> Future[bool]:  # noqa: ARG002 - the thread writes
        """Take a record; see `Store.append`."""
        if (row := encode_safely(record)) is None:
            return REFUSED
        self._mind_multiprocessing()
        self._writer.intents.forget(record.uid)
        return self._writer.submit(row)

    def intend(self, intent: CallIntent) -> None:
        """Take a call that is about to be sent; see `Store.intend`."""
        self._writer.intend(intent)

    def recover(self) -> int:
        """Write the rows of lost calls; see `Store.recover`."""
        if not self._writer.writing.acquire(timeout=BRIEFLY):
            return 0
        try:
            return self._writing.run(_recover) if self._is_there() else 0
        except ConfigurationError:
            logger.debug("Cannot write lost calls to %s.", self.name, exc_info=True)
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
        limit = None if choice != ALL else PAGE if limit is None else limit
        found = self._read(lambda connection: queries.page(connection, choice, after, limit), None)
        if found is None:
            return Page("", [], more=False, last=after)
        last = found.newest if choice != ALL else found.rows[-1][0] if found.rows else after
        return Page(found.epoch, found.rows, more=len(found.rows) == limit, last=last)

    def select(self, choice: Filters) -> list[list[Row]]:
        """Return some rows; see `Store.select`."""
        waiting = self.unwritten()

        def look(connection: Connection) -> tuple[list[Row], list[Row]]:
            rows = queries.page(connection, choice).rows
            return [row[1:] for row in rows], queries.missing(connection, waiting)

        nothing: list[Row] = []
        found, waiting = self._read(look, (nothing, waiting))
        return [found, *unwritten.pages(waiting, choice)]

    def sums(self, *, since: int | None = None, session: str | None = None) -> dict[bool, Sums]:
        """Add up all rows; see `Store.sums`."""
        if session is None and (groups := self.groups(("simulated",), since)) is not None:
            return added({bool(row[0]): sums_in(row[1:])} for row in groups)
        waiting = self.unwritten()

        def look(connection: Connection) -> tuple[dict[bool, Sums], list[Row]]:
            return queries.sums(connection, since, session), queries.missing(connection, waiting)

        nothing: dict[bool, Sums] = {}
        found, waiting = self._read(look, (nothing, waiting))
        return added([found, unwritten.sums(waiting, since, session)])

    def groups(self, by: Sequence[str], since: int | None = None) -> list[Row] | None:
        """Add up all rows in groups; see `Store.groups`."""
        waiting = self.unwritten()

        def look(connection: Connection) -> tuple[list[Row] | None, list[Row]]:
            return queries.groups(connection, by, since), queries.missing(connection, waiting)

        nothing: list[Row] | None = []
        found, waiting = self._read(look, (nothing, waiting))
        if found is None or (waiting and "user" in by):  # the server will know the user
            return None
        return [*found, *unwritten.groups(waiting, by, since)]

    def counters(self) -> list[Row]:
        """Return the counters; see `Store.counters`."""
        return self._read(queries.counters, [])

    def claim(self, name: str, *, owner: str, expires: int) -> bool:
        """Claim a name; see `Store.claim`. Each user has names of their own."""
        with self._writer.writing:
            return self._write(partial(writes.claim, name=name, owner=owner, expires=expires))

    def may_correct(self) -> bool:
        """Return whether this user is an administrator of the ledger; see `Store.may_correct`."""
        with self._writer.writing:
            return self._write(queries.is_admin)

    def correct(self, changes: Sequence[Change], *, run: str, reason: str | None) -> int:
        """Replace prices; see `Store.correct`."""
        with self._writer.writing:
            return self._change(
                "correct calls", partial(writes.correct, changes=changes, run=run, reason=reason)
            )

    def corrections(self, run: str | None = None) -> list[Row]:
        """Return the notes; see `Store.corrections`."""
        return self._read(lambda connection: queries.corrections(connection, run), [])

    def delete(self, before: int | None = None) -> int:
        """Delete rows; see `Store.delete`."""
        self.flush(self._lock_timeout)
        with self._writer.writing:
            count = self._change("delete calls", partial(writes.delete, before=before))
            return count + self._writer.discard(before=before, column=TIME)

    def rules(self) -> BudgetRules:
        """Return the budgets, the last known ones while the server is away; see `Store.rules`."""
        start = monotonic()
        try:
            self._raise_if_away()
            rules = self._checking.run(queries.rules) if self._is_there() else BudgetRules()
        except ServerUnavailableError as error:
            self._note_absence(error, start)
            return self._known_rules()
        self._know(rules)
        return rules

    def change_rules(self, changes: dict[str, Any]) -> BudgetRules:
        """Change budgets; see `Store.change_rules`."""
        with self._writer.writing:
            rules = self._change("change budgets", partial(writes.change_rules, changes=changes))
        self._know(rules)
        return rules

    def reserve(self, reservation: CostReservation) -> Future[None]:
        """Reserve what a call may cost; see `Store.reserve`."""
        self._mind_multiprocessing()

        def work(connection: Connection) -> None:
            if (error := writes.reserve(connection, reservation)) is not None:
                raise error

        return self._job(work, away=partial(self._admit_unchecked, reservation))

    def release(self, uid: str) -> None:
        """Take a reservation back; see `Store.release`."""
        self._job(lambda connection: writes.release(connection, uid))

    def amounts(self, time: int, notebook: str | None) -> Amounts:
        """Return what is used; see `Store.amounts`."""
        waiting = self.unwritten()

        def look(connection: Connection) -> tuple[Amounts, list[Row]]:
            return queries.amounts(connection, time, notebook), queries.missing(connection, waiting)

        used, waiting = self._read(look, (Amounts(), waiting))
        return used + unwritten.amounts(waiting, time, notebook, now=time)

    def settled(self, time: int, notebook: str | None) -> Future[Amounts]:
        """Return what is used later on; see `Store.settled`."""
        return self._job(lambda connection: queries.amounts(connection, time, notebook))

    def flush(self, timeout: float | None = None) -> bool:
        """Write what waits; see `Store.flush`."""
        self._away_until = 0.0
        return self._writer.flush(timeout)

    def close(self) -> None:
        """Write queued rows and close the connections."""
        self._stop()
        self._disconnect()

    def finish(self) -> None:
        """Write queued rows because the process ends; later rows are written immediately."""
        if (are_kept := self._stop(inline=True)) is not None:
            fate = f"They wait in {self._offline.path} and arrive later." if are_kept else "They are lost."
            logger.error("%s %s", self._writer.failure(), fate)
        self._disconnect()

    def _stop(self, *, inline: bool = False) -> bool | None:
        """End the writer; return whether the rows that are left are in the file, `None` if none are."""
        if self._writer.stop(self._lock_timeout + 1, inline=inline):
            return None
        # The server may have never answered, and then nobody has put them there.
        return self._offline.keep(self._writer.unwritten())

    def in_child(self) -> None:
        """Reset: queued rows belong to the parent. Connections know the process that opened them."""
        self._writer.reset()
        self._there = False
        self._finalizer = False
        self._look_after = 0.0  # when to look for lost calls again, in the time of `time.monotonic`
        self._rules: BudgetRules | None = None  # the last known ones
        self._waiting_here: set[str] = set()  # calls that this process put into the file
        self._must_deliver = True  # whether the file may have rows
        self._away_until = 0.0  # until when not to try again, in the same time
        self._away: ServerUnavailableError | None = None
        self._says_unchecked = True

    def _commit(self, rows: list[Row]) -> None:
        recovering, under_way = self._writer.is_failing, self._writer.intents.ripe()
        try:
            if rows or under_way:
                self._write(lambda connection: writes.append(connection, rows, under_way))
        except ConfigurationError:
            self._keep_here()
            raise
        self._writer.intents.stored(under_way)
        self._deliver()
        if rows and not recovering and monotonic() >= self._look_after:  # by then, prices are loaded
            self.recover()

    def _keep_here(self) -> None:
        """Put what the server has not taken into the file, for this process may end first."""
        new = [row for row in self._writer.unwritten() if row[UID] not in self._waiting_here]
        if new and self._offline.keep(new):
            self._waiting_here.update(row[UID] for row in new)
        self._must_deliver = True

    def _deliver(self) -> None:
        """Send what the file has, of this process or another one; the caller holds `writing`."""
        if not self._must_deliver:
            return
        rows = self._offline.kept()
        for start in range(0, len(rows), CHUNK):
            some = rows[start : start + CHUNK]
            self._write(partial(writes.append, rows=some))
            self._offline.remove(some)
        self._must_deliver = False
        self._waiting_here.clear()

    def _job(
        self, work: Callable[[Connection], T], *, away: Callable[[str], T | None] | None = None
    ) -> Future[T]:
        """Run a transaction on the writer's thread, after the rows that came before.

        Args:
            work: The transaction.
            away: Replaces it if the server cannot be asked; it gets the reason.
        """

        def attempt(problem: str | None) -> Any:
            cause = None
            if problem is None:  # else what those rows spent would not count
                try:
                    return self._write(work)
                except ConfigurationError as error:
                    problem, cause = str(error), error
            if away is not None and self._known_rules().offline == "allow":
                return away(problem)
            raise self._uncheckable(problem) from cause

        return self._writer.run(attempt)

    def _admit_unchecked(self, reservation: CostReservation, reason: str) -> None:
        """Check what needs no server, and say once that nothing else is checked."""
        if (error := arithmetic.refusal(self._known_rules(), Amounts(), reservation)) is not None:
            raise error
        if self._says_unchecked:
            logger.warning('Budgets are not checked, because offline="allow" is set: %s', reason)
            self._says_unchecked = False
        if reservation.intent is not None:
            self._writer.intend(reservation.intent)

    def _known_rules(self) -> BudgetRules:
        """Return the last known budgets; before any is known, nothing may be sent."""
        if self._rules is None:
            text = self._offline.remembered()
            self._rules = UNKNOWN if text is None else arithmetic.read(text)
        return self._rules

    def _know(self, rules: BudgetRules) -> None:
        if rules != self._rules:
            text = json.dumps(asdict(rules))
            if self._offline.remembered() != text:
                self._offline.remember(text)
            self._rules = rules

    def _raise_if_away(self) -> None:
        """Raise the last error for a while if it took long to find out that the server is away."""
        if self._away is not None and monotonic() < self._away_until:
            raise ServerUnavailableError(str(self._away))

    def _note_absence(self, error: ServerUnavailableError, start: float) -> None:
        if monotonic() - start > SLOW:
            self._away, self._away_until = error, monotonic() + PAUSE

    def _uncheckable(self, reason: str) -> ConfigurationError:
        return ConfigurationError(
            f"Cannot check the budget, so the call was not sent: the ledger {self.name} cannot be"
            f" written: {reason.rstrip('.')}.",
            hint="Check the server, or set another ledger in LLMKIT_LEDGER.",
        )

    def _write(self, work: Callable[[Connection], T]) -> T:
        """Do work that writes; the caller holds `writing`."""
        self._raise_if_away()
        start = monotonic()
        try:
            result = self._writing.run(partial(self._without_waiting_long, work))
        except ServerUnavailableError as error:
            self._note_absence(error, start)
            raise
        self._there = self._says_unchecked = True
        return result

    def _change(self, what: str, work: Callable[[Connection], T]) -> T:
        """Do what only administrators may."""
        try:
            return self._write(work)
        except ConfigurationError as error:
            refused = error.__cause__
            # The words are those of our function, so that a missing table or grant is told as what it is.
            if isinstance(refused, load().errors.InsufficientPrivilege) and MEMBERS_ONLY in str(refused):
                raise ConfigurationError(
                    f"Only members of {ADMIN} may {what} in {self.name}.",
                    hint="Ask an administrator of the ledger.",
                ) from error
            raise

    def _without_waiting_long(self, work: Callable[[Connection], T], connection: Connection) -> T:
        try:
            return work(connection)
        except load().errors.LockNotAvailable as error:
            raise ConfigurationError(
                f"The ledger {self.name} is locked: another writer has not ended for"
                f" {self._lock_timeout:g} seconds.",
                hint="Look for a long transaction in pg_stat_activity.",
            ) from error

    def _read(self, work: Callable[[Connection], T], nothing: T) -> T:
        """Do work that reads, after the rows of lost calls are written; without tables return nothing."""
        if self._must_deliver and self._offline.path.exists():
            self._deliver_before_reading()
        if not self._is_there():
            return nothing
        if self._reading.run(queries.abandoned):
            self.recover()
        return self._reading.run(work)

    def _deliver_before_reading(self) -> None:
        if self._writer.writing.acquire(timeout=BRIEFLY):
            try:
                self._deliver()
            except ConfigurationError:
                logger.debug("Cannot deliver calls to %s.", self.name, exc_info=True)
            finally:
                self._writer.writing.release()

    def _is_there(self) -> bool:
        self._there = self._there or self._checking.run(schema.exists)
        return self._there

    def _prepare(self, connection: Connection) -> None:
        self._set_lock_timeout(connection)
        schema.upgrade(connection, self.name)

    def _set_lock_timeout(self, connection: Connection) -> None:
        timeout = f"{round(1000 * self._lock_timeout)}ms"
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (timeout,))

    def _disconnect(self) -> None:
        for database in (self._writing, self._reading, self._checking):
            database.close()

    def _mind_multiprocessing(self) -> None:
        if not self._finalizer:
            self._finalizer = exits.at_worker_exit(self)


def _recover(connection: Connection) -> int:
    calls = queries.abandoned(connection)
    usual = cache(partial(queries.usual_output, connection))
    rows = [row for text in calls if (row := lost.row_of(text, usual)) is not None]
    return writes.lose(connection, rows) if rows else 0
