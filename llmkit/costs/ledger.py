"""The ledger: it records calls and enforces budgets; `calls` reports on them."""

from __future__ import annotations

import html
import logging
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from llmkit.core import forks
from llmkit.core.errors import ConfigurationError
from llmkit.costs.budgets.budget import KEEP, Budgets
from llmkit.costs.calls import SETTLE, Calls
from llmkit.costs.sums import Tally, total_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from concurrent.futures import Future
    from datetime import date, datetime
    from decimal import Decimal

    import pandas as pd

    from llmkit.costs.budgets.alerts import Alert
    from llmkit.costs.budgets.budget import Amount, Budget, Keep
    from llmkit.costs.budgets.rules import UnknownNotebook, Unpriced
    from llmkit.costs.frame.frame import Frame
    from llmkit.costs.pricing.corrections import Corrected
    from llmkit.costs.store.protocol import Store
    from llmkit.costs.sums import Total
    from llmkit.records import BudgetGuard, CallRecord

logger = logging.getLogger(__name__)


class Ledger(Calls, forks.ForkAware):
    """The record of a user's calls, shared by all notebooks and processes that write to one file.

    Args:
        path: The file; by default what `LLMKIT_LEDGER` says at the first use, else a file among the
            user's data. `":memory:"` keeps the rows in this process.
        store: Where the rows are kept instead: an object with the methods of `costs.store.protocol.Store`.

    Raises:
        ConfigurationError: If both are given.

    Example:
        >>> Ledger(":memory:").total()
        $0.00 over 0 calls
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, store: Store | None = None) -> None:
        if path is not None and store is not None:
            raise ConfigurationError(
                f"Ledger got the path {str(path)!r} and a store, which has a place of its own.",
                hint="Pass only one.",
            )
        self._given = path
        self._opened = store
        self._subscribers: tuple[tuple[Callable[[CallRecord], object]], ...] = ()
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

        A call that is in several of them counts once; where its price was corrected in one, the latest
        correction holds. Calls that are written to the files later on are seen, too. Their rows are kept
        in a temporary file until `close` or the end of the process, some 300 MB for a million.

        Args:
            *paths: The ledgers' files.

        Returns:
            A ledger to read: it records no calls, and keeps no budgets.

        Raises:
            ConfigurationError: If a file is missing; a later reading does so, too.

        Example:
            >>> from pathlib import Path
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as folder:
            ...     for name in ("laptop.sqlite", "server.sqlite"):
            ...         Path(folder, name).touch()
            ...     Ledger.merged(f"{folder}/laptop.sqlite", f"{folder}/server.sqlite").total()
            $0.00 over 0 calls
        """
        from llmkit.costs.store.sqlite.merged import MergedStore

        return cls(store=MergedStore(paths))

    @property
    def ledger(self) -> Ledger:
        """Itself: a ledger is all of its calls."""
        return self

    @property
    def path(self) -> Path | str:
        """The file, or the address of a store that is not a file; fixed at the first use."""
        name = self._store.name
        return name if "://" in name else Path(name)  # Path would reduce the slashes to one

    def record(self, record: CallRecord, *, alone: bool = False) -> Future[bool]:
        """Take the record of a call; never blocks, never raises.

        Args:
            record: The finished call.
            alone: Whether no other call is under way: the row need not wait for others to be committed with.

        Returns:
            A future: `True` once the row is committed, `False` if it has to wait in memory.
        """
        future = self._budgets.watch(record, self._store.append(record, alone=alone))
        for (callback,) in ((self._tally.add,), *self._subscribers):
            try:
                callback(record)
            except Exception:  # a watcher's mistake must not break the call it watches
                logger.exception("A subscriber of the ledger failed: %r", callback)
        return future

    def guard(self, cap_nanos: int | None) -> BudgetGuard | None:
        """Return who guards the budgets; see `llmkit.records.Recorder`."""
        return self._budgets.guard(cap_nanos)

    def budget(
        self,
        *,
        daily: Amount = KEEP,
        per_notebook: Amount = KEEP,
        per_call: Amount = KEEP,
        unpriced: Unpriced | Literal[Keep.KEEP] = KEEP,
        unknown_notebook: UnknownNotebook | Literal[Keep.KEEP] = KEEP,
        on_alert: Callable[[Alert], object] | Literal[Keep.KEEP] | None = KEEP,
    ) -> Budget:
        """Set budgets for everybody who shares this ledger's file, or look at them.

        The limits are kept in the file and hold for all its notebooks and processes, within a second,
        until they are changed. A day is the one on which a call begins, by the local clock. Deleting
        calls (`clear`) does not give money back.

        Args:
            daily: US dollars that all calls of a day may cost; `None` lifts the limit. An argument that
                is not given stays as it is.
            per_notebook: US dollars that the calls of one notebook may cost in a day. Jupyter, VS Code and
                papermill (`--inject-paths`) tell its name; elsewhere `LLMKIT_NOTEBOOK` can.
            per_call: US dollars that one call may cost at most.
            unpriced: What to do with a call whose price is unknown: `"refuse"` it (the default),
                `"allow"` it, or `"ask"`: refuse it until `Budget.allow_model` says yes.
            unknown_notebook: What to do with a call from a notebook whose name is unknown, or from outside
                of one, while there is a limit per notebook: `"refuse"` it (the default), or `"allow"` it.
            on_alert: Called in this process, on a thread of its own, with an `Alert` when 80 % and when
                100 % of a day's budget are spent; it replaces the one before.

        Returns:
            The limits and what is used of them.

        Raises:
            ConfigurationError: If a value makes no sense, or the file cannot be read or written.

        Example:
            >>> ledger = Ledger(":memory:")
            >>> ledger.budget(daily=5, per_call=0.10).left
            5.0
            >>> ledger.budget(per_call=None).daily
            5.0
        """
        self._budgets.change(
            daily=daily,
            per_notebook=per_notebook,
            per_call=per_call,
            unpriced=unpriced,
            unknown_notebook=unknown_notebook,
        )
        if on_alert is not KEEP:
            self._budgets.alerts.callback = on_alert
        self.flush(SETTLE)
        return self._budgets.status()

    def take_alerts(self) -> list[Alert]:
        """Return the budget alerts of this process that were not taken yet, for who shows them."""
        return self._budgets.alerts.take()

    def spent_nanos(self, time: datetime) -> int:
        """Return what the real calls of a local day cost, for who keeps count against a budget.

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
        """Return what the calls of a local day may have cost beyond `spent_nanos`, in its terms."""
        from llmkit.core.timestamps import micros

        self.flush(SETTLE)
        return self._store.amounts(micros(time.astimezone()), None).uncertain

    @property
    def waiting(self) -> int:
        """Calls that wait in memory because the ledger could not be written."""
        return len(self._store.unwritten()) if self._store.is_failing else 0

    def subscribe(self, callback: Callable[[CallRecord], object]) -> Callable[[], None]:
        """Get every record of this process, on the thread its call ends on, after it is queued.

        Args:
            callback: Called with the record; what it raises is logged.

        Returns:
            A function that ends the subscription.
        """
        ticket = (callback,)  # its own identity, so that one callback may subscribe twice

        def unsubscribe() -> None:
            with self._opening:
                self._subscribers = tuple(other for other in self._subscribers if other is not ticket)

        with self._opening:
            self._subscribers = (*self._subscribers, ticket)

        return unsubscribe

    def session_total(self, *, simulated: bool | None = None) -> Total:
        """Add up what this process's calls cost so far, without reading the file.

        Args:
            simulated: As in `total`.

        Returns:
            The total.
        """
        return total_of(self._tally.sums(), simulated)

    def settle(self, uid: str, cost_usd: float | Decimal | None = None) -> Corrected:
        """Say what a call cost whose answer broke off or was stopped: budgets need not hold more for it.

        Such a call has its best estimate in `cost_usd` and the most that it may have cost in
        `at_most_usd`. Totals count the first; budgets count the second until local midnight, or until
        this sets the actual price, and the call is no longer an estimate. The old price is kept, as `correct`
        does.

        Args:
            uid: The call, as `ledger.df` and `LLMResponse.uid` have it.
            cost_usd: What it cost in US dollars, by the provider's own account; without it, the estimate
                holds.

        Returns:
            What has changed; its `run` takes it back: `correct(undo=run)`.

        Raises:
            ConfigurationError: If there is no such call, it was replayed, the amount is not valid, or the
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
        """What `correct` changed, in that order, one row per call.

        Columns: corrected, time, uid, provider, model, what (`"cost"`; of replayed calls `"saved"`; of
        answers that broke off also `"at_most"`; `"usage_source"` where a price is no longer an estimate),
        old_usd, old_source, old_date, new_usd, new_source,
        new_date, reason, run. Times are UTC. `clear` deletes the rows of the calls that it deletes.
        """
        from llmkit.costs.pricing import corrections

        return corrections.table(self._store)

    def clear(self, before: date | str | None = None) -> int:
        """Delete calls, at once and for all notebooks; what they spent of a budget stays spent.

        Args:
            before: Only calls before this date or time; one without a zone is local.

        Returns:
            How many were deleted.

        Raises:
            ConfigurationError: If the file cannot be written now, or the time cannot be read.
        """
        from llmkit.core.timestamps import moment
        from llmkit.costs.frame.snapshot import Snapshot

        count = self._store.delete(moment(before))
        if self._store.snapshot is not None:  # the copy has the deleted rows, too
            Snapshot(self._store.snapshot).clear()
        return count

    def flush(self, timeout: float | None = None) -> bool:
        """Write what waits in memory.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether everything is committed.
        """
        return self._store.flush(timeout)

    def close(self) -> None:
        """Write what waits and let go of the file; the next use opens it again."""
        if self._opened is not None:
            self._opened.close()

    def flushed_store(self) -> Store:
        """Return the store, once the rows on their way have had time to arrive."""
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
        """Wait for another thread's first use: a child would wait for ever for what that is importing."""
        self._opening.acquire()

    def after_fork(self) -> None:
        """Let other threads go on, in the parent."""
        self._opening.release()

    def in_child(self) -> None:
        """Start this process's own tally, cache and alerts."""
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
                    from llmkit.costs.store.sqlite.location import file_of
                    from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore

                    self._opened = SQLiteStore(file_of(self._given))
        return self._opened


ledger = Ledger()
"""The default ledger."""
