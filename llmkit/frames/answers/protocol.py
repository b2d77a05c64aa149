"""The interface of a store of answers.

`tests/contract/test_answers_contract.py` checks it for every store in its `BACKENDS`. Methods raise
`ConfigurationError` if existing data cannot be read or written now. A store handles forks itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection
    from concurrent.futures import Future

OK = "ok"
"""Status of an answer that can be used."""

PAGE = 1000
"""Answers that are read at once."""

UNANSWERED = frozenset(
    {"rate_limit", "timeout", "connection", "server", "interrupted", "replay", "lost", "expired", "cancelled"}
)
"""Statuses of rows that were not answered: they are asked again by default."""


class Answer(NamedTuple):
    """What came of one request.

    Attributes:
        key: The request; see `frames.key`.
        status: `"ok"`, or the kind of the error, which is the first word of the row's error.
        text: The answer's text, also a cut or refused one.
        value: What the verb reads from it, as JSON, if that is not the text itself.
        error: The rest of the row's error; empty if there is none.
        max_tokens: The output limit that it was asked with.
        model: The model that answered, in the provider's spelling.
        input_tokens: Tokens of all its requests, repairs included.
        output_tokens: Tokens of all its answers.
        cost_nanos: Price of all its requests; `None` if unknown.
        uid: Identifier of the last request's row in the ledger; empty if nothing was sent.
        time: When it was stored, in microseconds since 1970 (UTC).
        job: Identifier of the job that asked.
    """

    key: bytes
    status: str
    text: str = ""
    value: str | None = None
    error: str = ""
    max_tokens: int | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_nanos: int | None = None
    uid: str = ""
    time: int = 0
    job: str = ""

    def __repr__(self) -> str:
        shown = ("status", "text", "error", "model", "input_tokens", "output_tokens", "uid")
        return f"Answer({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"

    @property
    def message(self) -> str | None:
        """What the error column says; `None` if all is well."""
        return None if self.status == OK else f"{self.status}: {self.error}" if self.error else self.status


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """One use of a verb.

    Attributes:
        id: Its identifier.
        label: The name that the user gave it, or its verb and column.
        verb: Name of the verb.
        mode: `"now"`, `"flex"` or `"batch"`.
        provider: Name of the provider.
        model: Model that is asked.
        state: `"running"`, `"done"`, `"stopped"`; of a batch also what its provider says.
        rows: Number of rows.
        done: Number of rows that have an answer.
        failed: Number of rows with an error.
        submitted: When it began, in microseconds since 1970 (UTC).
        changed: When this record was written.
        expires: When a batch expires; `None` otherwise.
        cost_nanos: Price of what it asked; `None` if unknown.
        state_json: State of a batch, as JSON, for the provider's side.
    """

    id: str
    label: str
    verb: str
    mode: str
    provider: str
    model: str
    state: str
    rows: int
    done: int = 0
    failed: int = 0
    submitted: int
    changed: int
    expires: int | None = None
    cost_nanos: int | None = None
    state_json: str | None = None


class Room(NamedTuple):
    """Whether a call fits into the most that a job may cost.

    Attributes:
        fits: Whether its cost is reserved.
        spent: What the job has cost so far, in nano-dollars.
        running: Whether calls are under way that may cost less than they reserve.
    """

    fits: bool
    spent: int
    running: bool = False


class AnswerStore(Protocol):
    """Answers by their keys, and the jobs that asked for them."""

    @property
    def name(self) -> str:
        """Name for display: the path of a file, or an address without its password."""
        ...

    @property
    def problem(self) -> str | None:
        """Why the last answers could not be written; `None` if all is well."""
        ...

    def get(self, keys: Collection[bytes]) -> dict[bytes, Answer]:
        """Return the answers to some requests, those that are there."""
        ...

    def of_call(self, uid: str) -> Answer | None:
        """Return the answer that a call gave, by its row in the ledger; `None` if it is not there."""
        ...

    def page(self, after: bytes = b"") -> list[Answer]:
        """Return the stored answers that come next in the order of their keys; none after the last."""
        ...

    def put(self, answer: Answer) -> Future[bool]:
        """Queue an answer; never blocks, never raises.

        The future is `True` once it is committed, `False` if it stays in memory; answers that are committed
        together may share a future. A later answer replaces an earlier one, but an error never replaces an
        answer that can be used.
        """
        ...

    def save(self, job: JobRecord) -> None:
        """Write a job's record, which replaces an earlier one."""
        ...

    def jobs(self) -> list[JobRecord]:
        """Return all jobs, the latest first."""
        ...

    def claim(self, keys: Collection[bytes], job: str) -> set[bytes]:
        """Claim requests for a job of this process; return those that it may ask for.

        The others are claimed by another job, whose process lives as far as can be known.
        """
        ...

    def release(self, job: str) -> None:
        """End the claims of a job, once its answers are stored."""
        ...

    def reserve(self, job: str, uid: str, nanos: int, most: int) -> Room:
        """Reserve what a call of a job may cost, in place of what it reserved before.

        The check and the reservation are atomic for all processes: together they never exceed `most`. What
        a process that died has reserved counts as spent.
        """
        ...

    def settle(self, job: str, uid: str, nanos: int | None) -> None:
        """End a reservation: the call cost so much; `None` for all that it reserved."""
        ...

    def forget(self, before: int | None = None) -> int:
        """Delete the answers and jobs from before a time, or all; return the number of answers."""
        ...

    def size(self) -> int:
        """Return the size on disk in bytes; 0 if it is nowhere."""
        ...

    def flush(self, timeout: float | None = None) -> bool:
        """Write queued answers for at most `timeout` seconds; return whether all are committed."""
        ...

    def close(self) -> None:
        """Write queued answers and close the database; the next use opens it again."""
        ...
