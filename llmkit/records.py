"""The record of a call, its recorder, and the context of calls.

Clients write records and the ledger stores them. They do not import each other; both import this module.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, Protocol

from llmkit.core.errors import ConfigurationError
from llmkit.core.origin import notebook_name
from llmkit.core.processes import owner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Future
    from datetime import datetime

    from llmkit.content.usage_bound import UsageBound

CallStatus = Literal["ok", "error", "interrupted", "cancelled", "replayed", "lost"]
"""How a call ended. `interrupted`: its stream was cut; `cancelled`: the caller stopped or left it;
`lost`: its process died before the end."""

FAILED: tuple[CallStatus, ...] = ("error", "interrupted")
"""The ends that count as errors."""

Surface = Literal["magic", "chat", "api", "batch", "table", "cli"]
"""What made the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call, as the ledger keeps it: no prompt, no answer, no key.

    Attributes:
        time: When the call began (aware, UTC).
        uid: Unique identifier, 32 hexadecimal digits.
        status: How it ended.
        surface: What made the call.
        provider: Provider of the request.
        model: Model of the request.
        model_served: Model that answered, in the provider's spelling.
        input_tokens: All tokens of the prompt, cached ones included; `None` if unknown.
        output_tokens: All tokens of the answer, reasoning included; `None` if unknown.
        cache_read_tokens: Input tokens read from the provider's cache.
        cache_write_tokens: Input tokens written to the cache.
        reasoning_tokens: Output tokens used for reasoning.
        cost_nanos: Price in nano-dollars; `None` if unknown, never 0 as a guess.
        saved_nanos: Price that a replayed call would have had, in nano-dollars.
        price_source: Source of the price (`"config"`, `"genai-prices"`, `"local"`, …).
        price_date: Date of the price data (ISO 8601).
        usage_source: Source of the token counts.
        first_token_s: Seconds until the first text.
        duration_s: Seconds until the end.
        attempts: Number of requests sent.
        finish_reason: Why the answer ended.
        error: Class name of the exception, if any.
        notebook: File name of the notebook.
        cell_id: Identifier of the cell.
        execution_count: The cell's number, `In [n]`.
        session: Identifier of the process.
        tags: The user's labels.
        simulated: Whether the sandbox answered, so that no money was spent.
        fallback_from: `provider:model` that was asked first, if that one failed.
        key_source: Source of the key, e.g. `"OPENAI_API_KEY_2"`; never the key itself.
        cache_write_1h_tokens: The part of `cache_write_tokens` cached for an hour, at a higher price.
        service_tier: The provider's service tier, e.g. `"flex"`; it affects the price.
        at_most_nanos: Maximum cost in nano-dollars, if it is more
            than `cost_nanos` because the answer is partial; otherwise `None`.
        units: Other billed units, by their names in genai-prices, e.g. `web_searches`.
        parent_uid: Identifier of the run with tools that this call is a step of.
        step: Number of the step in its run, from 1.
        user: User of a ledger in PostgreSQL whose call it is, as the database knows them; elsewhere `None`.
    """

    time: datetime
    uid: str
    status: CallStatus
    surface: Surface = "api"
    provider: str
    model: str
    model_served: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_nanos: int | None = None
    saved_nanos: int | None = None
    price_source: str | None = None
    price_date: str | None = None
    usage_source: str | None = None
    first_token_s: float | None = None
    duration_s: float | None = None
    attempts: int = 1
    finish_reason: str | None = None
    error: str | None = None
    notebook: str | None = None
    cell_id: str | None = None
    execution_count: int | None = None
    session: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False
    fallback_from: str | None = None
    key_source: str | None = None
    cache_write_1h_tokens: int | None = None
    service_tier: str | None = None
    at_most_nanos: int | None = None
    units: Mapping[str, int] = field(default_factory=dict)
    parent_uid: str | None = None
    step: int | None = None
    user: str | None = None


@dataclass(slots=True, kw_only=True)  # not frozen: every call makes one
class CallIntent:
    """A call that is about to be sent: what its row needs if its process dies before the call ends.

    Attributes:
        uid: Identifier of the call, as in its record.
        time: When the call began (aware, UTC).
        context: Where the call is made.
        input_tokens: Estimated tokens of the prompt.
        most: The most that the request can use.
        lease_s: Seconds after which the call has ended in any case.
        at_most_nanos: The most that the call can cost in nano-dollars, if that was computed.
        spent_nanos: Cost of earlier attempts, in nano-dollars.
        owner: The process, see `core.processes`.
    """

    uid: str
    time: datetime
    provider: str
    model: str
    context: CallContext
    input_tokens: int
    most: UsageBound
    lease_s: float
    session: str | None = None
    simulated: bool = False
    fallback_from: str | None = None
    at_most_nanos: int | None = None
    spent_nanos: int = 0
    owner: str = field(default_factory=owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostReservation:
    """The most that a call can cost, held in the budgets while it runs; amounts in nano-dollars.

    Attributes:
        uid: Identifier of the call, as in its record.
        time: When the call began (aware, UTC); its local day is the day it counts for.
        nanos: Upper bound for the whole call: the known cost of earlier attempts and the worst case of the
            next one. `None` if the model has no known price.
        lease_s: Seconds after which the call has ended in any case.
        cap_nanos: Limit of this call alone (`-b`).
        intent: The call, to be stored with its reservation.
    """

    uid: str
    time: datetime
    provider: str
    model: str
    nanos: int | None
    input_tokens: int
    output_tokens: int
    lease_s: float
    notebook: str | None = None
    cap_nanos: int | None = None
    intent: CallIntent | None = None


class BudgetGuard(Protocol):
    """Decides whether a call may be sent."""

    async def admit(self, reservation: CostReservation) -> bool:
        """Reserve what a call may cost, before each attempt; the last amount replaces the ones before.

        `Recorder.record` releases the reservation, in the transaction that writes the record.

        Returns:
            Whether a reservation was stored, and with it the intent of the call.

        Raises:
            BudgetExceededError: If the amount does not fit into a budget.
            ConfigurationError: If the budget cannot be checked.
        """
        ...

    def release(self, uid: str) -> None:
        """Release the reservation of a call that leaves no record, if any; never blocks or raises."""
        ...


class Recorder(Protocol):
    """Receives the record of every call, before all hooks, and may refuse to let one be made."""

    def guard(self, cap_nanos: int | None) -> BudgetGuard | None:
        """Return the guard to ask before a call is sent; `None` if neither it nor a budget has a limit."""
        ...

    def intend(self, intent: CallIntent) -> None:
        """Take a call that is about to be sent; must not block or raise.

        It is stored while the request travels, and its record takes it away. If the process dies before, the
        ledger writes a record with the status `lost`.
        """
        ...

    def record(self, record: CallRecord, *, alone: bool = False) -> Future[bool]:
        """Take one record; must not block or raise, because calls end here while they are being cancelled.

        Args:
            record: The finished call.
            alone: Whether no other call is under way, so that it need not waiting to be written with others.

        Returns:
            A future: `True` once the record is committed, `False` if it cannot be written now and waits in
            memory.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """Where calls are made, under the names of `CallRecord`, and their options.

    Attributes:
        cap_nanos: The most that each call may cost, in nano-dollars.
        parent_uid: Identifier of the run with tools that the call is a step of.
        step: Number of the step.
        replay: `"refresh"` calls and records again, `"off"` neither replays nor records.
    """

    surface: Surface = "api"
    notebook: str | None = None
    cell_id: str | None = None
    execution_count: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    cap_nanos: int | None = None
    parent_uid: str | None = None
    step: int | None = None
    replay: Literal["refresh", "off"] | None = None


def outside_cells() -> CallContext:
    """Return the context outside of Jupyter: the notebook, if its name is known."""
    return _of_notebook(notebook_name())


@lru_cache(maxsize=8)
def _of_notebook(name: str | None) -> CallContext:
    return CallContext(notebook=name)


_context: ContextVar[CallContext | None] = ContextVar("llmkit_call_context", default=None)
_own_recorder: ContextVar[Recorder | None] = ContextVar("llmkit_recorder", default=None)
_ambient: Callable[[], CallContext] = outside_cells
_recorder: Callable[[], Recorder] | None = None
_session = ""


def current_context() -> CallContext:
    """Return the context of a call made now."""
    return _context.get() or _ambient()


@contextlib.contextmanager
def calling(**changes: object) -> Iterator[CallContext]:
    """Set fields of `CallContext` for the calls made inside the block.

    Example:
        >>> with calling(surface="batch") as context:
        ...     context.surface
        'batch'
    """
    context = replace(current_context(), **changes)  # type: ignore[arg-type]  # checked by the dataclass
    token = _context.set(context)
    try:
        yield context
    finally:
        _context.reset(token)


@contextlib.contextmanager
def tags(**labels: str) -> Iterator[None]:
    """Label the calls made inside the block; labels of outer blocks apply, too.

    Args:
        **labels: Names and values; the innermost value of a name counts.

    Yields:
        Nothing. The ledger's rows have the labels in `tags`.

    Raises:
        ConfigurationError: If a value is not text.

    Example:
        >>> with tags(project="thesis"), tags(step="draft"):
        ...     dict(current_context().tags)
        {'project': 'thesis', 'step': 'draft'}
    """
    for name, value in labels.items():
        if not isinstance(value, str):
            raise ConfigurationError(
                f"The tag {name} must be a string, got {str(value)[:50]!r}.",
                hint=f'Use the form tags({name}="x").',
            )
    with calling(tags={**current_context().tags, **labels}):
        yield


def set_ambient(source: Callable[[], CallContext]) -> None:
    """Set the source of the context where none was set: the notebook layer names the cell."""
    global _ambient  # noqa: PLW0603 - one process has one notebook
    _ambient = source


def set_recorder(source: Callable[[], Recorder]) -> Callable[[], Recorder] | None:
    """Set the function that returns the recorder, and return the one before.

    Each call asks it, so that the ledger loads late.
    """
    global _recorder
    before, _recorder = _recorder, source
    return before


def current_recorder() -> Recorder | None:
    """Return the recorder, if there is one."""
    if (own := _own_recorder.get()) is not None:
        return own
    return _recorder() if _recorder is not None else None


@contextlib.contextmanager
def recording_to(recorder: Recorder | None) -> Iterator[None]:
    """Give the records of the calls made inside the block to another recorder; `None` changes nothing.

    Args:
        recorder: It passes them on to the one that was current before.

    Yields:
        Nothing.
    """
    token = _own_recorder.set(recorder or _own_recorder.get())
    try:
        yield
    finally:
        _own_recorder.reset(token)


def session_id() -> str:
    """Return this process's session identifier; a forked child gets its own."""
    global _session  # noqa: PLW0603 - a cache
    if not _session:
        _session = uuid.uuid4().hex[:12]
    return _session


def _forget_session() -> None:
    global _session  # noqa: PLW0603 - the same
    _session = ""


with contextlib.suppress(AttributeError):  # Windows does not fork
    os.register_at_fork(after_in_child=_forget_session)
