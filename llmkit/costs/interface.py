"""What the ledger asks of a database; another one may stand behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from llmkit.costs.schema import Row
    from llmkit.costs.totals import Sums
    from llmkit.records import CallRecord


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


class Store(Protocol):
    """What the ledger asks of a database."""

    @property
    def path(self) -> Path:
        """Where the rows are."""
        ...

    @property
    def in_trouble(self) -> bool:
        """Whether the last attempt to write failed."""
        ...

    def append(self, record: CallRecord) -> Future[bool]:
        """Take a record; never blocks, never raises.

        Args:
            record: A finished call.

        Returns:
            A future: `True` once the row is committed, `False` if it waits in memory.
        """
        ...

    def unwritten(self) -> list[Row]:
        """Return the rows that are not known to be committed; `read` may return some of them, too."""
        ...

    def read(self, after: int = 0) -> Page:
        """Return committed rows; a row must never appear behind one that was read already.

        Args:
            after: Last `id` that is known.

        Returns:
            The next rows.

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

    def delete(self, before: int | None = None) -> int:
        """Delete rows.

        Args:
            before: Only rows before this time (microseconds).

        Returns:
            How many are gone.

        Raises:
            ConfigurationError: If that is impossible now.
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
