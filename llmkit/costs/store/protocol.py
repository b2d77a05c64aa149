"""The interface of a store: `Ledger(store=…)` takes any object with these methods.

`tests/contract/test_store_contract.py` checks it for every store in its `BACKENDS`. `rows` defines the rows;
times are microseconds since 1970 (UTC), and money is in nano-dollars. Methods that read raise
`ConfigurationError` if existing data cannot be read; methods that write raise it if they cannot write now. A
store handles forks itself (`core.forks`).
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
    from llmkit.records import CallIntent, CallRecord, CostReservation


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of the ledger.

    Attributes:
        epoch: Changes when rows are deleted or corrected, or the file is replaced; rows that were read
            before are then invalid.
        rows: The rows in the order they were written, each with its `id` first.
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
"""Columns of the note of a correction; `provider` and `model` are `None` if the call was deleted."""


class Change(NamedTuple):
    """A new price for a call, or a new `usage_source`.

    Attributes:
        time: When the call began.
        uid: Its identifier.
        what: Column that changes, one of `AMOUNTS` or `SOURCE`.
        expected: Its current amount; a call with a different amount is not changed.
        nanos: Its new amount.
        source: Source of the new price; the new value if `what` is `SOURCE`.
        date: Date of the price lookup (ISO 8601).
        before: The current value if `what` is `SOURCE`.
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
    """Rows, corrections, budgets and reservations, shared by everyone who uses the ledger."""

    @property
    def name(self) -> str:
        """Name for display: the path of a file, or an address without its password."""
        ...

    @property
    def snapshot(self) -> Path | None:
        """Folder for a copy of the rows in columns; `None` for no copy."""
        ...

    @property
    def has_users(self) -> bool:
        """Whether rows belong to users, and budgets may be set for each."""
        ...

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt to write failed."""
        ...

    def append(self, record: CallRecord, *, alone: bool = False) -> Future[bool]:
        """Queue a record; never blocks, never raises.

        The future is `True` once the row is committed, `False` if it stays in memory; rows that are
        committed together may share a future. A call that exists already (same `time` and `uid`) is
        skipped. A value that does not fit its column becomes `None` (`rows.salvage`). The same transaction
        releases the call's reservation, removes its intent, and adds a real call's cost to its local day.
        `alone` means that no other call is running, so no further rows will be committed with this one.
        """
        ...

    def intend(self, intent: CallIntent) -> None:
        """Take a call that is about to be sent; never blocks, never raises.

        It is stored within milliseconds, and the transaction that writes the call's row removes it. A later
        intent of the call replaces it. A store whose rows end with its process keeps none.
        """
        ...

    def recover(self) -> int:
        """Write a row for each intent whose process is dead; return their number.

        `core.processes` tells who is dead; where it cannot, an intent lasts as long as a reservation. The row
        is `lost.record_of`, and there is exactly one, whoever else does the same. If the call ends after all,
        `append` replaces that row, and spending and uncertain amounts with it. Reading rows, sums or amounts
        does this first; a store that cannot be written now returns 0.
        """
        ...

    def unwritten(self) -> list[Row]:
        """Return the rows that are not known to be committed; `read` may also return some of them."""
        ...

    def read(self, after: int = 0, limit: int | None = None, choice: Filters = ALL) -> Page:
        """Return the committed rows after an `id` that pass filters.

        There are at most `limit` rows, or as many as the store prefers; with filters it may return all.
        No row may appear later with an `id` up to `last` of a page that was read.
        """
        ...

    def select(self, choice: Filters) -> list[list[Row]]:
        """Return the rows that pass filters, including unwritten ones, in order and without their `id`."""
        ...

    def sums(self, *, since: int | None = None, session: str | None = None) -> dict[bool, Sums]:
        """Return the sums by `simulated`, with unwritten rows: of all rows, a session, or since a time."""
        ...

    def groups(self, by: Sequence[str]) -> list[Row] | None:
        """Group all rows, including unwritten ones, by some of `groups.KEYS`, without reading each row.

        Each result has the keys (an empty blob for a missing one) and `groups.MEASURES`; the same keys may
        occur twice. `None` if the store cannot group: the ledger then reads the rows.
        """
        ...

    def counters(self) -> list[Row]:
        """Return `groups.COUNTERS` of all rows that were ever written, by `groups.COUNTER_KEYS`.

        Deleting or correcting rows does not change them, and no value ever falls. A row that replaces that of
        a lost call counts in addition to it. The number of rows must not matter for how long this takes.
        """
        ...

    def claim(self, name: str, *, owner: str, expires: int) -> bool:
        """Claim a name until a time, unless another owner has it; return whether the owner has it now.

        This is atomic for everyone who shares the ledger. An owner may claim again, to set another end. After
        the end, by the store's clock, anybody may claim the name.
        """
        ...

    def may_correct(self) -> bool:
        """Return whether this user may `correct` calls."""
        ...

    def correct(self, changes: Sequence[Change], *, run: str, reason: str | None) -> int:
        """Apply changes and note them under `run`, in one transaction; return their number.

        The spending of the days and its uncertain part are adjusted. The epoch changes.
        """
        ...

    def corrections(self, run: str | None = None) -> list[Row]:
        """Return the notes of `correct` in order, with the columns `NOTES`."""
        ...

    def delete(self, before: int | None = None) -> int:
        """Delete all rows, or those before a time; return their number. Their spending still counts."""
        ...

    def rules(self) -> BudgetRules:
        """Return the shared budgets; quickly, and without creating anything."""
        ...

    def change_rules(self, changes: dict[str, Any]) -> BudgetRules:
        """Change some budgets, by the names of `BudgetRules`, in one transaction; return all."""
        ...

    def reserve(self, reservation: CostReservation) -> Future[None]:
        """Reserve the maximum cost of a call, replacing its earlier reservation; never blocks.

        The check and the reservation must be atomic for everyone who shares the ledger: two calls that do
        not fit together are never both admitted, even if a process dies. Rows that were appended before
        count. A reservation ends with the row of its call, with `release`, or after the call's lease.

        The same transaction stores the intent of the call, if the reservation has one.

        The future raises `BudgetExceededError` if the call does not fit, and `ConfigurationError` if the
        store cannot decide.
        """
        ...

    def release(self, uid: str) -> None:
        """Release reservation and intent of a call after the work that is queued; never blocks or raises."""
        ...

    def amounts(self, time: int, notebook: str | None) -> Amounts:
        """Return the amounts used of the budgets, including unwritten rows.

        They are those of the local day of `time`, and of the calls of `notebook` (`None`: of no notebook).
        """
        ...

    def settled(self, time: int, notebook: str | None) -> Future[Amounts]:
        """Return `amounts` once the rows that were appended before are committed; never blocks.

        The future raises `ConfigurationError` if the rows cannot be written now.
        """
        ...

    def flush(self, timeout: float | None = None) -> bool:
        """Write queued rows for at most `timeout` seconds; return whether all are committed."""
        ...

    def close(self) -> None:
        """Write queued rows and close the database; the next use opens it again."""
        ...
