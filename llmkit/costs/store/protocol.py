"""What the ledger asks of a database; another one may stand behind it.

`tests/test_store_contract.py` says all of this in tests, for any store: add it to its `BACKENDS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from llmkit.costs.budgets.rules import Amounts, BudgetRules
    from llmkit.costs.store.filters import Filters
    from llmkit.costs.store.schema import Row
    from llmkit.costs.sums import Sums
    from llmkit.records import CallRecord, CostReservation


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of the ledger.

    Attributes:
        epoch: Changes when rows are deleted or the file is another one; what was read before is void.
        rows: The rows in the order they were written, each with its `id` in front.
        more: Whether further rows may follow.
    """

    epoch: str
    rows: list[Row]
    more: bool


class Change(NamedTuple):
    """Another price for a call.

    Attributes:
        time: When the call began (microseconds).
        uid: Its identifier.
        what: Column that changes: `"cost_nanos"`, `"saved_nanos"` of a replayed call, or `"at_most_nanos"`
            of one whose answer broke off; or `"usage_source"`, which decides whether the price is an
            estimate.
        expected: What it says now, in billionths of a US dollar; another amount is left as it is.
        nanos: What it is to say.
        source: Where that price came from.
        date: For which date it was looked up (ISO 8601).
        before: What `usage_source` says now; `source` is then what it is to say.
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
    """What the ledger asks of a database."""

    @property
    def path(self) -> Path:
        """Where the rows are."""
        ...

    @property
    def snapshot(self) -> Path | None:
        """Folder for a copy of the rows in columns; `None` if they are not to be copied."""
        ...

    @property
    def is_failing(self) -> bool:
        """Whether the last attempt to write failed."""
        ...

    def append(self, record: CallRecord) -> Future[bool]:
        """Take a record; never blocks, never raises.

        A call that is there already (by `time` and `uid`) is passed over. What does not fit its column
        becomes unknown: `schema.encode` and `schema.salvage` say how.

        Args:
            record: A finished call.

        Returns:
            A future, which rows that are committed together may share: `True` once the row is committed,
            `False` if it waits in memory. The commit also takes the call's reservation back and adds a
            real call's cost to what its local day spent.
        """
        ...

    def unwritten(self) -> list[Row]:
        """Return the rows that are not known to be committed; `read` may return some of them, too."""
        ...

    def read(self, after: int = 0, limit: int | None = None) -> Page:
        """Return committed rows; none may appear later with a smaller `id` than one that was read already.

        Args:
            after: Last `id` that is known.
            limit: Rows at most; by default what the store finds handy.

        Returns:
            The next rows.

        Raises:
            ConfigurationError: If there is something that cannot be read.
        """
        ...

    def select(self, choice: Filters) -> list[list[Row]]:
        """Return some rows, the unwritten ones included, in the order they came, without their `id`.

        Args:
            choice: Which rows.

        Raises:
            ConfigurationError: If there is something that cannot be read.
        """
        ...

    def sums(self, *, since: int | None = None, session: str | None = None) -> dict[bool, Sums]:
        """Add up all rows, the unwritten ones included.

        Args:
            since: Only rows of this time or later (microseconds).
            session: Only rows of this process.

        Returns:
            The sums by `simulated`.

        Raises:
            ConfigurationError: If there is something that cannot be read.
        """
        ...

    def groups(self, by: Sequence[str]) -> list[Row] | None:
        """Add up all rows in groups, the unwritten ones included, without reading them one by one.

        Args:
            by: Names of `rollups.KEYS`.

        Returns:
            Keys, an empty blob where there is none, and `rollups.MEASURES`; the same keys may come
            twice. `None` if only the rows themselves can tell.

        Raises:
            ConfigurationError: If there is something that cannot be read.
        """
        ...

    def correct(self, changes: Sequence[Change], *, run: str, reason: str | None) -> int:
        """Replace prices, and note the old ones, in one transaction; what the days spent follows.

        Args:
            changes: The prices.
            run: What they have in common, for `corrections`.
            reason: Why.

        Returns:
            How many were replaced; what is uncertain of the days follows, too, and whoever kept rows or sums
            of them is told by another epoch.

        Raises:
            ConfigurationError: If that is impossible now.
        """
        ...

    def corrections(self, run: str | None = None) -> list[Row]:
        """Return the notes of `correct`, in the order they were made.

        Args:
            run: Only those with this in common.

        Returns:
            Values in the order of `store.corrections.NOTES`.

        Raises:
            ConfigurationError: If there is something that cannot be read.
        """
        ...

    def delete(self, before: int | None = None) -> int:
        """Delete rows.

        Args:
            before: Only rows before this time (microseconds).

        Returns:
            How many are gone; what was spent of the budgets stays spent.

        Raises:
            ConfigurationError: If that is impossible now.
        """
        ...

    def rules(self) -> BudgetRules:
        """Return the budgets that hold for everybody; quickly, and without creating anything.

        Raises:
            ConfigurationError: If there is something that cannot be read.
        """
        ...

    def change_rules(self, changes: dict[str, Any]) -> BudgetRules:
        """Change budgets for everybody, in one transaction.

        Args:
            changes: New values by the names of `BudgetRules`.

        Returns:
            All of them.

        Raises:
            ConfigurationError: If that is impossible now.
        """
        ...

    def reserve(self, reservation: CostReservation) -> Future[None]:
        """Reserve what a call may cost, in place of what was reserved for it before; never blocks.

        It must be one step for all who share the ledger: two calls that do not fit together must never
        both be admitted, whatever dies in between. Rows that were appended before count. A reservation
        ends with the row of its call, with `release`, or some time after the call's lease.

        Args:
            reservation: The call; its `nanos` are known.

        Returns:
            A future, done once the amount is reserved; it raises `BudgetExceededError` if the call does
            not fit, and `ConfigurationError` if nobody can say.
        """
        ...

    def release(self, uid: str) -> None:
        """Take a reservation back, after those that were asked for before; never blocks, never raises.

        Args:
            uid: The call's identifier.
        """
        ...

    def amounts(self, time: int, notebook: str | None) -> Amounts:
        """Return what is used of the budgets, the unwritten rows included.

        Args:
            time: A time of the local day that counts (microseconds).
            notebook: The notebook that counts; `None` stands for the calls from outside of one.

        Raises:
            ConfigurationError: If there is something that cannot be read.
        """
        ...

    def settled(self, time: int, notebook: str | None) -> Future[Amounts]:
        """Return what is used once the rows that were appended before are committed; never blocks.

        Args:
            time: As in `amounts`.
            notebook: As in `amounts`.

        Returns:
            A future; it raises `ConfigurationError` if the rows cannot be written now.
        """
        ...

    def flush(self, timeout: float | None = None) -> bool:
        """Write what waits; say whether everything is committed.

        Args:
            timeout: Seconds to wait at most.
        """
        ...

    def close(self) -> None:
        """Write what waits and let go of the database; the next use opens it again."""
        ...
