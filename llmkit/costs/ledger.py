"""The ledger: it records calls and enforces budgets; `calls` reports on them."""

from __future__ import annotations

import html
import logging
import threading
import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Unpack

from llmkit.core import forks
from llmkit.core.errors import ConfigurationError
from llmkit.costs import ledger_loss
from llmkit.costs.alerting.announcer import targets_of
from llmkit.costs.alerting.watcher import Watcher
from llmkit.costs.budgets.budget import KEEP, Budgets
from llmkit.costs.calls import SETTLE, Calls
from llmkit.costs.store.filters import FilterOptions, with_filters
from llmkit.costs.sums import Tally, total_of
from llmkit.hooks import Hook, Hooks

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from concurrent.futures import Future
    from datetime import date, datetime
    from decimal import Decimal

    import pandas as pd

    from llmkit.core.postgres import Address
    from llmkit.costs.alerting.announcer import Targets
    from llmkit.costs.alerting.rule import Per, RuleAlert
    from llmkit.costs.budgets.alerts import Alert
    from llmkit.costs.budgets.budget import Amount, Budget, Keep
    from llmkit.costs.budgets.rules import Offline, UnknownNotebook, Unpriced
    from llmkit.costs.frame.frame import Frame
    from llmkit.costs.pricing.corrections import Corrected
    from llmkit.costs.store.protocol import Store
    from llmkit.costs.sums import Total
    from llmkit.records import BudgetGuard, CallIntent, CallRecord

logger = logging.getLogger(__name__)


class Ledger(Calls, forks.ForkAware):
    """The record of calls, shared by all notebooks and processes that write to one file or database.

    Args:
        path: The file, or the address of a PostgreSQL database (`postgresql://user@host/name`); by default
            the value of `LLMKIT_LEDGER` at the first use, else a file in the user's data folder.
            `":memory:"` keeps the rows in this process.
        store: The store to use instead: an object with the methods of `costs.store.protocol.Store`.

    Raises:
        ConfigurationError: If both are given.

    Example:
        >>> Ledger(":memory:").total()
        $0.00 over 0 calls
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, store: Store | None = None) -> None:
        if path is not None and store is not None:
            raise ConfigurationError(
                f"Ledger got the path {str(path)!r} and a store, which has its own.",
                hint="Pass only one.",
            )
        self._given = path
        self._opened = store
        self._hooks = Hooks()
        self._watcher: Watcher | None = None
        self.in_child()
        forks.watch(self)

    def __copy__(self) -> Ledger:
        return self  # its file, writer and subscribers are shared

    def __deepcopy__(self, memo: dict[int, Any]) -> Ledger:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A ledger cannot be pickled, because it holds an open database. Pass ledger.path, and open it in"
            " the other process with Ledger(path)."
        )

    @classmethod
    def merged(cls, *paths: str | os.PathLike[str]) -> Ledger:
        """Read several ledgers as one, e.g. a laptop's and a server's, or copies of one.

        A call that is in several of them counts once, with its latest correction. Calls that are added
        later are included. Rows are copied to a temporary file (some 300 MB for a million) until
        `close` or the end of the process.

        Args:
            *paths: The ledgers' files, or addresses of PostgreSQL databases.

        Returns:
            A read-only ledger: it records no calls and has no budgets.

        Raises:
            ConfigurationError: If a file is missing or a database cannot be read, also later.

        Example:
            >>> from pathlib import Path
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as folder:
            ...     for name in ("laptop.sqlite", "server.sqlite"):
            ...         Path(folder, name).touch()
            ...     Ledger.merged(f"{folder}/laptop.sqlite", f"{folder}/server.sqlite").total()
            $0.00 over 0 calls
        """
        from llmkit.core.postgres import is_address
        from llmkit.costs.store.factory import open_store
        from llmkit.costs.store.sqlite.merged import MergedStore

        return cls(store=MergedStore([open_store(path) if is_address(path) else path for path in paths]))

    @property
    def ledger(self) -> Ledger:
        """The ledger itself."""
        return self

    @property
    def path(self) -> Path | str:
        """The file, or the address of a store that is not a file; fixed at the first use."""
        name = self._store.name
        return name if "://" in name else Path(name)  # Path would reduce the slashes to one

    @property
    def database(self) -> Address | None:
        """The address of the database that has the rows, also for the answers of tables; `None` for a file.

        Example:
            >>> Ledger(":memory:").database is None
            True
        """
        return getattr(self._store, "address", None)

    def record(self, record: CallRecord, *, alone: bool = False) -> Future[bool]:
        """Store the record of a call; never blocks, never raises.

        Args:
            record: The finished call.
            alone: Whether no other call is running, so that the row need not wait for others.

        Returns:
            A future: `True` once the row is committed, `False` if it has to wait in memory.
        """
        future = self._budgets.watch(record, self._store.append(record, alone=alone))
        try:
            self._tally.add(record)
        except TypeError:  # an amount that is no number; its column has it as unknown
            logger.exception("Cannot count a call: %r", record)
        self._hooks.end(record, None)
        return future

    def intend(self, intent: CallIntent) -> None:
        """Take a call that is about to be sent; see `llmkit.records.Recorder`."""
        self._store.intend(intent)

    def guard(self, cap_nanos: int | None) -> BudgetGuard | None:
        """Return the guard of the budgets; see `llmkit.records.Recorder`."""
        return self._budgets.guard(cap_nanos)

    def budget(
        self,
        daily: Amount = KEEP,
        *,
        per_notebook: Amount = KEEP,
        per_call: Amount = KEEP,
        unpriced: Unpriced | Literal[Keep.KEEP] = KEEP,
        unknown_notebook: UnknownNotebook | Literal[Keep.KEEP] = KEEP,
        per_user: Amount = KEEP,
        offline: Offline | Literal[Keep.KEEP] = KEEP,
        on_alert: Targets | Literal[Keep.KEEP] | None = KEEP,
    ) -> Budget:
        """Set or return the budgets of everyone who shares this ledger's file.

        The limits are stored in the file and apply to all notebooks and processes that use it, within a
        second, until they are changed. A call counts for the local day on which it begins. Deleting calls
        (`clear`) does not restore a budget.

        Args:
            daily: Limit of all calls of a day, in US dollars; `None` removes the limit. Omitted arguments
                keep their values.
            per_notebook: Limit of one notebook's calls of a day, in US dollars. Jupyter, VS Code and
                papermill (`--inject-paths`) set its name; elsewhere, set `LLMKIT_NOTEBOOK`.
            per_call: Limit of one call, in US dollars.
            unpriced: Whether to `"refuse"` (the default) or `"allow"` a call whose price is unknown, or to
                `"ask"`: refuse it until `Budget.allow_model` allows its model.
            unknown_notebook: Whether to `"refuse"` (the default) or `"allow"` a call without a notebook's
                name while there is a limit per notebook.
            per_user: Limit of each user's calls of a day, in US dollars, for a ledger in PostgreSQL. There,
                only members of the role `llmkit_admin` may change limits.
            offline: Whether to `"refuse"` (the default) or `"allow"` calls while the server of a ledger in
                PostgreSQL cannot be asked.
            on_alert: What gets an `Alert` when 80 % and when 100 % of a day's budget are spent: a function,
                which is called on a thread of its own, an address (`"https://…"`, see `llmkit.Webhook`), or a
                list of them. Each gets an alert once, whichever process is the first. It replaces what was
                given before, in this process; it is not stored.

        Returns:
            The limits and their use.

        Raises:
            ConfigurationError: If a value is invalid, or the file cannot be read or written.

        Example:
            >>> ledger = Ledger(":memory:")
            >>> ledger.budget(daily=5, per_call=0.10).left
            5.0
            >>> ledger.budget(per_call=None).daily
            5.0
        """
        targets = () if on_alert is KEEP else targets_of(on_alert)
        self._budgets.change(
            daily=daily,
            per_notebook=per_notebook,
            per_call=per_call,
            unpriced=unpriced,
            unknown_notebook=unknown_notebook,
            per_user=per_user,
            offline=offline,
        )
        if on_alert is not KEEP:
            self._budgets.alerts.targets = targets
        self.flush(SETTLE)
        return self._budgets.status()

    @with_filters
    def alert(
        self,
        to: Targets,
        *,
        spent: float | Decimal | None = None,
        per: Per = "day",
        error_rate: float | None = None,
        minutes: float = 60,
        at_least: int = 10,
        **filters: Unpack[FilterOptions],
    ) -> Callable[[], None]:
        """Send an alert when calls cost more than a limit, or when too many of them fail.

        The rule is checked after the calls of this process, on another thread, and counts the calls of all
        processes. Each function or address in `to` gets the alert once in its period, whichever process is
        the first; a function is known by its name. Notebooks also show it. The rule ends with the process;
        it is not stored.

        Args:
            to: A function that gets a `RuleAlert`, an address (`"https://…"`, see `llmkit.Webhook`), or a
                list of them.
            spent: Limit of the cost in a period, in US dollars.
            per: The period of `spent`: `"day"` or `"month"`, in local time.
            error_rate: Limit of the failed calls, in percent of those that succeeded or failed.
            minutes: The latest minutes whose calls count for `error_rate`; the alert is sent once in them.
            at_least: Number of calls below which there is no rate.
            **filters: As in `where`, without `since` and `until`; without `simulated`, real calls count.

        Returns:
            A function that removes the rule.

        Raises:
            ConfigurationError: If there is no limit, or an argument is invalid.

        Example:
            >>> ledger = Ledger(":memory:")
            >>> stop = ledger.alert(print, spent=50, per="month", tag="project=thesis")
            >>> stop()
        """
        from llmkit.costs.alerting.rule import rules_of

        chosen = self.where(**filters).filters
        rules = rules_of(
            chosen, spent=spent, per=per, error_rate=error_rate, minutes=minutes, at_least=at_least
        )
        targets = targets_of(to)
        with self._opening:
            if self._watcher is None:
                self._watcher = Watcher(self, lambda: self._budgets.announcer)
                self.subscribe(self._watcher.notice)
        return self._watcher.add(rules, targets)

    def take_alerts(self) -> list[Alert | RuleAlert]:
        """Return the alerts of this process since the last time, for display."""
        return self._budgets.announcer.take()

    def spent_nanos(self, time: datetime) -> int:
        """Return what the real calls of a local day cost, as budgets count it.

        Args:
            time: Any time of the day; one without a zone is local.

        Returns:
            Billionths of a US dollar. Deleted calls still count.

        Raises:
            ConfigurationError: If the file cannot be read.
        """
        from llmkit.core.timestamps import micros

        self.flush(SETTLE)
        return self._store.amounts(micros(time.astimezone()), None).spent

    def uncertain_nanos(self, time: datetime) -> int:
        """Return what the calls of a local day may have cost beyond `spent_nanos`, in nano-dollars."""
        from llmkit.core.timestamps import micros

        self.flush(SETTLE)
        return self._store.amounts(micros(time.astimezone()), None).uncertain

    @property
    def waiting(self) -> int:
        """Number of calls in memory because the ledger could not be written."""
        return len(self._store.unwritten()) if self._store.is_failing else 0

    def subscribe(self, callback: Callable[[CallRecord], object]) -> Callable[[], None]:
        """Call a function with every record that this process adds here, on the thread where the call ends.

        `llmkit.on_call` also sees the start of calls, and their answers.

        Args:
            callback: The function; its exceptions are logged.

        Returns:
            A function that ends the subscription.
        """
        return self._hooks.add(Hook(end=partial(_told, callback)))

    def session_total(self, *, simulated: bool | None = None) -> Total:
        """Return what the calls of this process cost so far, without reading the file.

        Args:
            simulated: As in `total`.

        Returns:
            The total.
        """
        return total_of(self._tally.sums(), simulated)

    def settle(self, uid: str, cost_usd: float | Decimal | None = None) -> Corrected:
        """Set the actual cost of a call whose answer broke off or was stopped.

        `cost_usd` of such a call is an estimate, and `at_most_usd` its maximum. Totals count the estimate;
        budgets count the maximum until local midnight or until the call is settled. The old price is kept,
        as in `correct`.

        Args:
            uid: The call's identifier, from `ledger.df` or `LLMResponse.uid`.
            cost_usd: Its cost in US dollars, as the provider reports it; by default the estimate.

        Returns:
            What has changed; `correct(undo=run)` undoes it.

        Raises:
            ConfigurationError: If the call does not exist or was replayed, the amount is invalid, or the
                file cannot be written now.

        Example:
            ```python
            for uid in ledger.df.dropna(subset="at_most_usd")["uid"]:
                ledger.settle(uid)
            ```
        """
        from llmkit.costs.pricing import corrections

        return corrections.settle(self._store, uid, cost_usd)

    @property
    def corrections(self) -> pd.DataFrame:
        """The changes of `correct` in order, one row per call.

        Columns: corrected, time, uid, provider, model, what (`"cost"`; for replayed calls `"saved"`; for
        answers that broke off also `"at_most"`; `"usage_source"` if a price is no longer an estimate),
        old_usd, old_source, old_date, new_usd, new_source, new_date, reason, run. Times are UTC. `clear`
        also deletes the corrections of the calls that it deletes.
        """
        from llmkit.costs.pricing import corrections

        return corrections.table(self._store)

    def clear(self, before: date | str | None = None) -> int:
        """Delete calls for all notebooks; their cost still counts for budgets.

        Args:
            before: Only calls before this date or time; one without a zone is local.

        Returns:
            The number of deleted calls.

        Raises:
            ConfigurationError: If the file cannot be written now, or the time is invalid.
        """
        from llmkit.core.timestamps import moment
        from llmkit.costs.frame.snapshot import Snapshot

        count = self._store.delete(moment(before))
        if self._store.snapshot is not None:  # the copy has the deleted rows, too
            Snapshot(self._store.snapshot).clear()
        return count

    def flush(self, timeout: float | None = None) -> bool:
        """Write the calls that are still in memory.

        Args:
            timeout: Maximum wait in seconds.

        Returns:
            Whether everything is committed.
        """
        return self._store.flush(timeout)

    def close(self) -> None:
        """Write the calls in memory and close the file; the next use opens it again."""
        if self._opened is not None:
            self._opened.close()

    def flushed_store(self) -> Store:
        """Return the store after queued rows have had time to be written."""
        self.flush(SETTLE)
        return self._store

    def rows_of(self, calls: Calls, *, dollars: bool) -> pd.DataFrame:
        """Return some calls, of which only the new ones are read; see `Calls.df` and `Calls.exact`."""
        from llmkit.costs.frame.frame import Frame

        store = self.flushed_store()
        with self._reading:
            if calls not in self._frames:
                self._frames[calls] = Frame(store, calls.filters)
            return self._frames[calls].refresh(dollars=dollars)

    def before_fork(self) -> None:
        """Wait for another thread's first use: a child would wait forever for its import lock."""
        self._opening.acquire()

    def after_fork(self) -> None:
        """Let other threads continue, in the parent."""
        self._opening.release()

    def in_child(self) -> None:
        """Reset the tally, the cached rows and the alerts."""
        self._opening = threading.RLock()
        self._reading = threading.RLock()
        self._tally = Tally()
        # By the object that reads, so that its rows are released with it.
        self._frames: weakref.WeakKeyDictionary[Calls, Frame] = weakref.WeakKeyDictionary()
        self._guards: Budgets | None = None

    def __repr__(self) -> str:
        return f"Ledger({self._place()!r}): {self._describe()}"

    def _repr_html_(self) -> str:
        return (
            f'<div class="mathjax_ignore tex2jax_ignore"><b>Ledger</b> {html.escape(self._describe())}'
            f"<br><small>{html.escape(self._place())}</small></div>"
        )

    def _place(self) -> str:
        try:
            return self._store.name
        except ConfigurationError:  # which `_describe` says
            return "?"

    def _describe(self) -> str:
        try:
            waiting = "" if self.flush(SETTLE) else f"; {len(self._store.unwritten())} waiting to be written"
            return f"{self.total()}{waiting}"
        except ConfigurationError as error:
            return str(error)

    @property
    def _budgets(self) -> Budgets:
        if self._guards is None:
            with self._opening:
                if self._guards is None:
                    self._guards = Budgets(self._store)
        return self._guards

    @property
    def _store(self) -> Store:
        if self._opened is None:
            with self._opening:
                if self._opened is None:
                    from llmkit.costs.store.factory import open_store

                    self._opened = open_store(self._given)
        return self._opened


def _told(callback: Callable[[CallRecord], object], record: CallRecord, _outcome: object) -> None:
    callback(record)


ledger = Ledger()
"""The default ledger."""

ledger.subscribe(partial(ledger_loss.notice, ledger))
