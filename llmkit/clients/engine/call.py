"""The state of one call: requests, answer and record."""

from __future__ import annotations

import contextlib
import os
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, Any

from llmkit.clients.accounting import bound_ratio, charge
from llmkit.clients.accounting.cost_bound import cost_bound, usage_bound
from llmkit.content import tokens
from llmkit.content.messages import LLMResponse, Usage
from llmkit.content.parsing import value_of
from llmkit.content.parts import Other, Text
from llmkit.core.errors import LLMClientError, StreamInterruptedError
from llmkit.core.money import from_nanos
from llmkit.hooks import UNTRACED, Started, observation
from llmkit.providers.assembly import assembled
from llmkit.providers.codec import Answer, Request, kind_of
from llmkit.providers.formats import codec_of
from llmkit.providers.json_fields import dollars
from llmkit.providers.raw_parts import gathered, sentence
from llmkit.records import (
    CallIntent,
    CallRecord,
    CallStatus,
    CostReservation,
    current_context,
    current_recorder,
    session_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

    from llmkit.clients.cassettes.recording import Recording
    from llmkit.content.parts import Part
    from llmkit.core.redaction import Secret
    from llmkit.hooks import Observation
    from llmkit.records import BudgetGuard, Recorder
    from llmkit.transport.base import WireRequest

UNSAID = "The server sent no finish reason; the answer may be incomplete."

ENDLESS = 3600.0
"""Seconds that a reservation lasts for a call without a total timeout."""


_under_way: set[str] = set()
"""Identifiers of this process's calls that were sent and are not over."""

# Not `os.urandom` for each call, which gives the interpreter's lock away.
_numbers = random.Random(os.urandom(32))  # noqa: S311 - for identifiers, which are no secrets

with contextlib.suppress(AttributeError):  # Windows does not fork
    os.register_at_fork(after_in_child=_under_way.clear)
    os.register_at_fork(after_in_child=_numbers.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A pause before a retry.

    Attributes:
        until: When it ends, in `time.monotonic` time.
        error: Reason of the last failure.
        attempt: Number of the next attempt.
    """

    until: float
    error: LLMClientError
    attempt: int


class Call:
    """One call from its start to its row in the ledger.

    Attributes:
        context: Origin of the call and its settings.
        answer: The answer's metadata so far.
        attempts: Number of requests sent.
        accepted: Whether the provider accepted the last request (status 200) and may charge for it.
        waited_for: The last request, until its headers have arrived.
        request_id: The provider's request identifier, from the headers.
        key: The key of the last request.
        end: Deadline of the call, in `time.monotonic` time.
        fallback_from: `provider:model` that was tried first, if a fallback is in use.
        waiting: The current pause.
        replayed: Whether the answer is replayed.
        outcome: The complete or partial response, once the call has ended.
        watched: Whether somebody wants the parts of the answer as they come.
    """

    def __init__(
        self, request: Request, provider: str, *, simulated: bool = False, uid: str | None = None
    ) -> None:
        self.request = request
        self.provider = provider
        self.simulated = simulated
        self.uid = uid or f"{_numbers.getrandbits(128):032x}"
        self.time = datetime.now(UTC)
        # Taken now, because the answer may be read in a task or thread with another context.
        self.context = current_context()
        self.answer = Answer()
        self.attempts = 0
        self.accepted = False
        self.waited_for: WireRequest | None = None
        self.request_id: str | None = None
        self.key: Secret | None = None
        self.end: float | None = None
        self.fallback_from: str | None = None
        self.waiting: Waiting | None = None
        self.replayed = False
        self.outcome: LLMResponse | None = None
        self.watched = False
        self._parts: list[str] = []
        self._status: CallStatus = "ok"
        self._error: BaseException | None = None
        self._start = perf_counter()
        self._first: float | None = None
        self._charges: list[charge.Charge] = []
        self._guard: BudgetGuard | None = None
        self._reserved = -1
        self._bound: int | None = None
        self._changed = False  # whether the intent that was stored does not say what is asked now
        self._observation: Observation | None = None

    @property
    def name(self) -> str:
        """The current model as `provider:model`."""
        return f"{self.provider}:{self.request.model}"

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._parts)

    @property
    def started(self) -> bool:
        """Whether any text has arrived."""
        return bool(self._parts)

    @property
    def response(self) -> LLMResponse | None:
        """The complete response; `None` before the end and if the call failed."""
        return self.outcome if self._status == "ok" else None

    def add(self, text: str) -> None:
        """Add a chunk of text that arrived; an empty one says that another part did."""
        if not text:
            return
        if self._first is None:
            self._first = perf_counter() - self._start
        self._parts.append(text)

    async def begin(self) -> None:
        """Start an attempt if the budgets allow it."""
        recorder = current_recorder()
        # Before the call counts as sent: one that a budget refuses leaves no row.
        stored = await self._admit(recorder)
        if not self.attempts:
            _under_way.add(self.uid)
            self._observe()
        if recorder is not None and not stored and (not self.attempts or self._changed):
            recorder.intend(self._intent())
        self._changed = False
        self.attempts += 1
        if self.watched:
            self.answer.events = []
        self._not_accepted()

    def heed(self, headers: Mapping[str, str]) -> None:
        """Read the headers of an accepted response.

        LiteLLM's proxy reports a price (none or zero before a stream); Gemini reports the service tier.
        """
        self.accepted = True
        # OpenAI and most compatible servers use the first name, Anthropic the second.
        self.request_id = headers.get("x-request-id") or headers.get("request-id")
        if usd := dollars(headers.get("x-litellm-response-cost")):
            self.answer.cost_usd, self.answer.cost_source = usd, "proxy"
        self.answer.tier = headers.get("x-gemini-service-tier")

    def answered_by_sandbox(self) -> None:
        """Note that the sandbox answers, which only its response tells where an address leads to it."""
        if not self.simulated:
            self.simulated = True
            if (recorder := current_recorder()) is not None:
                recorder.intend(self._intent())

    def give_up_attempt(self) -> None:
        """Store the usage of an attempt that will be followed by another."""
        if self.attempts:
            spent = self._last_charge(parts=(), whole=False)
            self._charges.append(spent)
            self._changed = self._changed or spent.usage is not None
            self.answer = Answer()
            self._not_accepted()  # the next one may be refused or not happen

    def fall_back(self, request: Request, provider: str, *, simulated: bool) -> None:
        """Switch to another model, possibly of another provider."""
        self.give_up_attempt()
        # The first model is kept, because the user asked for that one, however many were tried.
        self.fallback_from = self.fallback_from or self.name
        self.request, self.provider, self.simulated = request, provider, simulated
        self._changed = True
        # Otherwise the row would name the source of the first provider's key.
        self.key = None

    def replay(self, recording: Recording) -> None:
        """Take over the data of a recorded answer; nothing is sent or paid."""
        self.replayed = True
        self.simulated = recording.simulated
        self.answer = Answer(
            finish_reason=recording.finish_reason,
            model=recording.model,
            request_id=recording.request_id,
            ended=True,
            tier=recording.tier,
            cost_usd=recording.cost_usd,
            parts=list(recording.parts),
            whole=recording.content or _without_order(recording, self.provider),
        )
        self.answer.usage = recording.usage
        self._observe()

    def fail(self, error: BaseException) -> None:
        """Store the failure, and add the partial text, provider and model to the exception.

        Other `BaseException`s come from the caller: a cancelled task, a closed generator,
        an interrupt.
        """
        self._error = error
        if not isinstance(error, Exception):
            self._status = "cancelled"
            return
        self._status = "interrupted" if isinstance(error, StreamInterruptedError) else "error"
        if isinstance(error, LLMClientError):
            error.provider = error.provider or self.provider
            error.model = error.model or self.request.model
            error.request_id = error.request_id or self.request_id
            error.partial = error.partial or self.text

    def abandon(self) -> None:
        """Complete the record of an abandoned call; a call that was never started has none."""
        if self.attempts and self.outcome is None:
            self.fail(GeneratorExit())
            self.settle()

    def settle(self) -> Future[bool] | None:
        """End the call: price it, build the response, hand over the record.

        Does not await, so that it also works during cancellation.
        """
        if self.outcome is not None:
            return None
        # Before the record is handed over, so that `alone` below is about other calls only.
        _under_way.discard(self.uid)
        duration = perf_counter() - self._start
        spent = self._charge()
        record = self._record(duration, spent)
        self.outcome = self._response(record, spent)
        if not (self.attempts or self.replayed):  # a call that was never sent leaves no record
            if self._guard is not None:
                # The reservation of a call that was never sent must not hold back other calls.
                self._guard.release(self.uid)
            if self._observation is not None and self._error is not None:  # a hook was interrupted
                self._observation.leave(self._error)
            return None
        recorder = current_recorder()
        future = None if recorder is None else recorder.record(record, alone=not _under_way)
        self._observed(record, self.outcome)
        return future

    def sending(
        self, address: Callable[[], str], *, foreign: bool
    ) -> AbstractContextManager[Mapping[str, str]]:
        """Return what is around the sending of a request: its trace, as the headers to send."""
        seen = self._observation
        return UNTRACED if seen is None else seen.sending(address(), foreign=foreign)

    def _observe(self) -> None:
        """Tell the hooks that the call starts."""
        self._observation = observation(self._started)
        if self._observation is not None:
            self._observation.start()

    def _observed(self, record: CallRecord, response: LLMResponse) -> None:
        """Tell the hooks that the call has ended."""
        error, self._error = self._error, None  # its frames hold this call
        if self._observation is not None:
            self._observation.end(record, response if error is None else error)

    def _started(self) -> Started:
        """Return what hooks get when the call starts."""
        return Started(
            uid=self.uid,
            time=self.time,
            provider=self.provider,
            model=self.request.model,
            context=self.context,
            messages=self.request.messages,
            replayed=self.replayed,
            simulated=self.simulated,
        )

    async def _admit(self, recorder: Recorder | None) -> bool:
        """Ask the budget guard, if there is one; return whether the intent of the call is stored.

        The sandbox costs nothing.
        """
        guard = None if recorder is None or self.simulated else recorder.guard(self.context.cap_nanos)
        if guard is None:
            return False
        self._guard = guard
        reservation = self._reservation()
        # An attempt that costs no more than an earlier one is covered by its reservation.
        if reservation.nanos is not None and reservation.nanos <= self._reserved:
            return False
        stored = await guard.admit(reservation)
        self._reserved = -1 if reservation.nanos is None else reservation.nanos
        return stored

    def _intent(self, at_most: int | None = None) -> CallIntent:
        """Return what the ledger needs if this process dies before the call ends."""
        request, provider = self.request, self.provider
        before = charge.total(self._charges) if self._charges else None
        return CallIntent(
            uid=self.uid,
            time=self.time,
            provider=provider,
            model=request.model,
            context=self.context,
            input_tokens=tokens.estimate_prompt(
                request.messages, codec_of(provider).image_tokens, request.model
            ),
            most=usage_bound(request, provider, tokens.size),
            lease_s=self._lease(),
            session=session_id(),
            simulated=self.simulated,
            fallback_from=self.fallback_from,
            at_most_nanos=at_most,
            spent_nanos=0 if before is None or before.price is None else before.price.nanos,
        )

    def _lease(self) -> float:
        """Return the seconds after which the call is over, also if this process dies."""
        return ENDLESS if self.end is None else max(0.0, self.end - monotonic())

    def _reservation(self) -> CostReservation:
        """Return the maximum cost of the call: the cost so far plus the worst case of the next attempt."""
        most = cost_bound(self.request, self.provider)
        before = charge.total(self._charges)
        spent, self._bound = before.worst, most.nanos
        nanos = None if most.nanos is None else bound_ratio.grown(self.name, most.nanos)
        at_most = None if nanos is None or spent is None else spent + nanos
        return CostReservation(
            uid=self.uid,
            time=self.time,
            provider=self.provider,
            model=self.request.model,
            nanos=at_most,
            input_tokens=most.input_tokens,
            output_tokens=most.output_tokens,
            lease_s=self._lease(),
            notebook=self.context.notebook,
            cap_nanos=self.context.cap_nanos,
            intent=self._intent(at_most),
        )

    def _charge(self) -> charge.Charge:
        last = self._last_charge(parts=self._parts, whole=self._status == "ok")
        # An estimated count says nothing about what the server charges.
        if self._bound is not None and last.source in {"reported", "incomplete"} and last.price is not None:
            # Cells and chats show the message themselves; a log line would show it twice.
            quiet = self.context.surface in {"magic", "chat"}
            bound_ratio.notice(self.name, self._bound, last.price.nanos, quiet=quiet)
        return charge.total([*self._charges, last]) if self._charges else last

    def _last_charge(self, *, parts: Sequence[str], whole: bool) -> charge.Charge:
        return charge.final(
            self.request,
            self.provider,
            self.answer,
            self.time,
            parts=parts,
            # Without an answer nobody knows: the request may have arrived.
            accepted=self.accepted or (self.waited_for is not None and self.waited_for.left),
            whole=whole,
        )

    def _not_accepted(self) -> None:
        self.accepted, self.waited_for = False, None

    def _response(self, record: CallRecord, spent: charge.Charge) -> LLMResponse:
        found = gathered(self.answer)
        return LLMResponse(
            content=self.text,
            provider=self.provider,
            model=self.answer.model or self.request.model,
            prompt_tokens=record.input_tokens,
            completion_tokens=record.output_tokens,
            cost_estimate=from_nanos(record.cost_nanos),
            response_time=record.duration_s,
            finish_reason=record.finish_reason,
            usage=spent.usage,
            usage_source=spent.source,
            price_source=record.price_source,
            request_id=self.request_id or self.answer.request_id,
            attempts=record.attempts,
            first_token_s=record.first_token_s,
            uid=record.uid,
            simulated=record.simulated,
            replayed=self.replayed,
            saved_cost=from_nanos(record.saved_nanos),
            fallback_from=self.fallback_from,
            note=self._note(found) if self._status == "ok" else "",
            raw_parts=found,
            parts=assembled(self.answer, self.provider),
            reader=None if self.request.schema is None else partial(value_of, schema=self.request.schema),
        )

    def _note(self, found: tuple[dict[str, Any], ...]) -> str:
        """Return a note on what the text does not show: other parts, or a missing finish reason."""
        unsaid = self.answer.ended and self.answer.finish_reason is None and not self.replayed
        return " ".join(filter(None, (sentence(found, self.text), UNSAID if unsaid else "")))

    def _record(self, duration: float | None, spent: charge.Charge) -> CallRecord:
        context, price = self.context, spent.price
        usage = spent.usage or Usage()
        nanos = None if price is None else price.nanos
        status, cost, saved, at_most = self._status, nanos, None, spent.at_most
        if self.replayed:
            # Nothing is paid for a replay; the price of the recorded tokens is what it saves.
            status, cost, saved, at_most = "replayed", 0, nanos, None
        return CallRecord(
            time=self.time,
            uid=self.uid,
            status=status,
            surface=context.surface,
            provider=self.provider,
            model=self.request.model,
            model_served=self.answer.model,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            cost_nanos=cost,
            saved_nanos=saved,
            price_source=None if price is None else price.source,
            price_date=None if price is None else price.date,
            usage_source=spent.source,
            first_token_s=self._first,
            duration_s=duration,
            attempts=self.attempts,
            finish_reason=self.answer.finish_reason,
            error=type(self._error).__name__ if isinstance(self._error, Exception) else None,
            notebook=context.notebook,
            cell_id=context.cell_id,
            execution_count=context.execution_count,
            session=session_id(),
            tags=context.tags,
            simulated=self.simulated,
            fallback_from=self.fallback_from,
            key_source=None if self.key is None else self.key.source,
            cache_write_1h_tokens=usage.cache_write_1h_tokens,
            service_tier=spent.tier,
            at_most_nanos=at_most,
            units=usage.units,
            parent_uid=context.parent_uid,
            step=context.step,
        )


def _without_order(recording: Recording, provider: str) -> tuple[Part, ...]:
    """Return the parts of a recording that does not tell their order."""
    text = (Text(recording.text),) if recording.text else ()
    return (*text, *(Other(kind_of(part), part, provider=provider) for part in recording.parts))
