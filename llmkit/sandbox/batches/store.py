"""Batches and files of a server.

A batch takes `batch_seconds`; its requests end one after another in this time. What is not done when the
batch is cancelled, or at the end of the provider's window, is cancelled or has expired. The state of a batch
follows from the clock, so that `SandboxServer.advance` finishes or expires it at once.
"""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.sandbox.clock import Clock

WINDOW = 24 * 3600.0
"""Seconds after which a batch expires at OpenAI and Anthropic."""

BATCH_SECONDS = 5.0
"""Seconds that a batch takes, by default."""

Outcome = Literal["succeeded", "errored", "canceled", "expired"]
"""How a request of a batch ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file that was uploaded or made by a batch."""

    id: str
    owner: str  # the key; another key does not see the file
    name: str
    purpose: str
    mime_type: str
    created: float
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Item:
    """One request of a batch."""

    id: str  # the caller's identifier of the request
    body: dict[str, Any]
    model: str = ""
    metadata: dict[str, Any] | None = None  # Google: what the caller attached


@dataclass(frozen=True, slots=True)
class Ended:
    """One request of a batch that is over."""

    item: Item
    outcome: Outcome
    status: int = 200  # HTTP status that the request alone would have had
    body: dict[str, Any] = field(default_factory=dict)  # the answer, or the provider's error


@dataclass(slots=True, kw_only=True, eq=False)
class Batch:
    """One batch, which knows its state at any time."""

    id: str
    owner: str
    clock: Clock
    seconds: float
    window: float = WINDOW  # seconds after which it expires
    items: list[Item] = field(repr=False)
    fields: dict[str, Any] = field(default_factory=dict)  # what the protocol needs besides
    problems: list[dict[str, Any]] = field(default_factory=list)  # why nothing of it was processed
    created: float = field(init=False)
    cancelled: float | None = None
    ended: list[Ended] | None = field(default=None, repr=False)
    outputs: dict[str, str] = field(default_factory=dict)  # identifiers of the files it made

    def __post_init__(self) -> None:
        self.created = self.clock.now()

    @property
    def expires(self) -> float:
        """When it expires."""
        return self.created + self.window

    @property
    def end(self) -> float:
        """When it is over, as far as is known now."""
        if self.problems:
            return self.created
        due = min(self.created + self.seconds, self.expires)
        return due if self.cancelled is None else min(due, self.cancelled)

    @property
    def is_over(self) -> bool:
        """Whether every request has ended."""
        return self.clock.now() >= self.end

    @property
    def reason(self) -> Literal["completed", "failed", "canceled", "expired"]:
        """Why it is over, or will be."""
        if self.problems:
            return "failed"
        if self.cancelled is not None and self.cancelled < min(self.created + self.seconds, self.expires):
            return "canceled"
        return "expired" if self.seconds > self.window else "completed"

    def cancel(self) -> None:
        """Cancel it; a batch that is over stays as it is."""
        if not self.is_over:
            self.cancelled = self.clock.now()

    def done(self) -> int:
        """Return how many of its requests have been processed."""
        until = min(self.clock.now(), self.end)
        if self.problems or not self.items:
            return 0
        # Compared as `end` is computed: a difference of two times is rounded.
        if until >= self.created + self.seconds:
            return len(self.items)
        return int(len(self.items) * (until - self.created) / self.seconds)

    def finish(self, process: Callable[[Item], Ended]) -> list[Ended]:
        """Process the requests that were in time; return how all of them ended."""
        if self.ended is None:
            done = self.done()
            late: Outcome = "canceled" if self.reason == "canceled" else "expired"
            self.ended = [process(item) for item in self.items[:done]]
            self.ended += [Ended(item, late) for item in self.items[done:]]
        return self.ended

    def count(self, outcome: Outcome) -> int:
        """Return how many requests ended in a way; 0 before all have ended."""
        return sum(one.outcome == outcome for one in self.ended or ())


@dataclass(slots=True, kw_only=True)
class BatchStore:
    """What a server keeps for the Batch APIs; used from the server's thread only."""

    clock: Clock
    seconds: float = BATCH_SECONDS
    # specifications for the next requests inside batches, one each
    failures: deque[str] = field(default_factory=deque)
    files: dict[str, StoredFile] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    uploads: dict[str, dict[str, Any]] = field(default_factory=dict)  # Google's, begun and not ended

    def next_failure(self) -> str:
        """Take the next queued specification, `""` if there is none."""
        return self.failures.popleft() if self.failures else ""

    def keep(
        self, data: bytes, *, file_id: str, owner: str, name: str, purpose: str, mime_type: str = ""
    ) -> StoredFile:
        """Store a file."""
        made = StoredFile(
            id=file_id,
            owner=owner,
            name=name,
            purpose=purpose,
            mime_type=mime_type or "application/jsonl",
            created=self.clock.now(),
            data=data,
        )
        self.files[file_id] = made
        return made

    def add(self, items: list[Item], *, batch_id: str, owner: str, **more: Any) -> Batch:
        """Store a new batch."""
        made = Batch(id=batch_id, owner=owner, clock=self.clock, seconds=self.seconds, items=items, **more)
        self.batches[batch_id] = made
        return made

    def file(self, file_id: str, owner: str) -> StoredFile | None:
        """Return a file of this owner."""
        found = self.files.get(file_id)
        return found if found and found.owner == owner else None

    def batch(self, batch_id: str, owner: str) -> Batch | None:
        """Return a batch of this owner."""
        found = self.batches.get(batch_id)
        return found if found and found.owner == owner else None

    def of(self, owner: str, prefix: str) -> list[Batch]:
        """Return the batches of this owner, the latest first."""
        found = [one for one in self.batches.values() if one.owner == owner and one.id.startswith(prefix)]
        return found[::-1]


def new_id(prefix: str) -> str:
    """Make an identifier."""
    return prefix + uuid.uuid4().hex[:24]
