"""What the ledger asks of a store: `Ledger(store=…)` takes any object that has these methods.

`tests/contract/test_store_contract.py` checks all of this for every store in its `BACKENDS`. Rows are those
of `rows`, times are microseconds since 1970 (UTC), and money is billionths of a US dollar. Methods that read
raise `ConfigurationError` if there is something that cannot be read; methods that write raise it if they
cannot write now. A store handles forks itself (`core.forks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from llmkit.costs.store.filters import ALL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from llmkit.costs.budgets.rules import Amounts, BudgetRules
    from llmkit.costs.store.filters import Filters
    from llmkit.costs.store.rows import Row
    from llmkit.costs.sums import Sums
    from llmkit.records import CallRecord, CostReservation


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of the ledger.

    Attributes:
        epoch: Changes when rows are deleted or corrected, or the file is another one; then what was read
            before is void.
        rows: The rows in the order they were written, each with its `id` in front.
        more: Whether further rows may follow.
        last: The `id` up to which all rows were considered; pass it as `after` to read on.
    """

    epoch: str
    rows: list[Row]
    more: bool
    last: int = 0


AMOUNTS = ("cost_nanos", "saved_nanos", "at_most_nanos")
"""Columns of money that can be corrected."""

SOURCE = "usage_source"
"""The column that decides whether a price is an estimate; its notes have no amounts."""

NOTES = (
    "corrected", "time", "uid", "provider", "model", "what", "old_nanos", "old_source", "old_date",
    "new_nanos", "new_source", "new_date", "reason", "run",
)  # fmt: skip
"""Columns of a note that a correction leaves; `provider` and `model` are `None` if the call is gone."""


class Change(NamedTuple):
    """A new price for a call, or a new `usage_source`.

    Attributes:
        time: When the call began.
        uid: Its identifier.
        what: Column that changes, one of `AMOUNTS` or `SOURCE`.
        expected: Its present amount; a call with another amount stays as it is.
        nanos: Its new amount.
        source: Where the new price came from; the new value if `what` is `SOURCE`.
        date: For which date the price was looked up (ISO 8601).
        before: The present value if `what` is `SOURCE`.
    """

    time: int
    uid: str
    what: str
    expected: int | None
    nanos: int | None
    source: str | None
    date: str | None
    before: str | None = None


class Store(Protocol):
    """Rows, corrections, budgets and reservations that everybody who shares the ledger sees."""

    @property
    def name(self) -> str:
        """What users see: the path of a file, or an address without its password."""
        ...

    @property
    def snapshot(self) -> Path | None:
        """Folder for a copy of the rows in columns; `None` if they are not to be copied."""
        ...

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt to write failed."""
        ...

    def append(self, record: CallRecord, *, alone: bool = False) -> Future[bool]:
        """Queue a record; never blocks, never raises.

        The future says `True` once the row is committed, `False` if it waits in memory; rows that are
        committed together may share it. A call that is there already (by `time` and `uid`) is skipped.
        A value that does not fit its column becomes `None` (`rows.salvage`). The same transaction takes
        the call's reservation back and adds a real call's cost to what its local day spent. `alone` says that
        no other call is under way, so that no further rows come to be committed with it.
        """
        ...

    def unwritten(self) -> list[Row]:
        """Return the rows that are not known to be committed; `read` may return some of them, too."""
        ...

    def read(self, after: int = 0, limit: int | None = None, choice: Filters = ALL) -> Page:
        """Return the committed rows after an `id` that pass filters.

        There are at most `limit` rows, or as many as the store prefers; with filters it may return all.
        No row may appear later with an `id` up to `last` of a page that was read.
        """
        ...

    def select(self, choice: Filters) -> list[list[Row]]:
        """Return some rows, unwritten ones included, in the order they came and without their `id`."""
        ...

    def sums(self, *, since: int | None = None, session: str | None = None) -> dict[bool, Sums]:
        """Add up all rows, unwritten ones included, by `simulated`: of one process, or since a time."""
        ...

    def groups(self, by: Sequence[str]) -> list[Row] | None:
        """Add up all rows, unwritten ones included, by some of `groups.KEYS`, without reading each.

        Each row has the keys, an empty blob where there is none, and `groups.MEASURES`; the same keys may
        come twice. `None` if the store cannot: then the ledger reads the rows.
        """
        ...

    def correct(self, changes: Sequence[Change], *, run: str, reason: str | None) -> int:
        """Make changes and note them under `run`, in one transaction; return how many.

        What the days spent, and what is uncertain of them, follows. The epoch changes.
        """
        ...

    def corrections(self, run: str | None = None) -> list[Row]:
        """Return the notes of `correct`, in the order they were made, with the columns `NOTES`."""
        ...

    def delete(self, before: int | None = None) -> int:
        """Delete all rows, or those before a time; return how many. What they spent stays spent."""
        ...

    def rules(self) -> BudgetRules:
        """Return the budgets that hold for everybody; quickly, and without creating anything."""
        ...

    def change_rules(self, changes: dict[str, Any]) -> BudgetRules:
        """Change some budgets, by the names of `BudgetRules`, in one transaction; return all."""
        ...

    def reserve(self, reservation: CostReservation) -> Future[None]:
        """Reserve what a call may cost, in place of what was reserved for it before; never blocks.

        It must be one step for all who share the ledger: two calls that do not fit together must never
        both be admitted, whatever dies in between. Rows that were appended before count. A reservation
        ends with the row of its call, with `release`, or some time after the call's lease.

        The future raises `BudgetExceededError` if the call does not fit, and `ConfigurationError` if the
        store cannot say.
        """
        ...

    def release(self, uid: str) -> None:
        """Take a call's reservation back, after those queued before; never blocks, never raises."""
        ...

    def amounts(self, time: int, notebook: str | None) -> Amounts:
        """Return what is used of the budgets, unwritten rows included.

        The local day of `time` counts, and the calls of `notebook`; `None`: those from outside of one.
        """
        ...

    def settled(self, time: int, notebook: str | None) -> Future[Amounts]:
        """Return `amounts` once the rows that were appended before are committed; never blocks.

        The future raises `ConfigurationError` if the rows cannot be written now.
        """
        ...

    def flush(self, timeout: float | None = None) -> bool:
        """Write what waits, for `timeout` seconds at most; return whether everything is committed."""
        ...

    def close(self) -> None:
        """Write what waits and let go of the database; the next use opens it again."""
        ...
