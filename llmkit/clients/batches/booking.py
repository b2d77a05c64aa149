"""The record of one request of a batch, its reservation, and the answer to it.

A row is told from others by its time and identifier, and both follow from the batch: a result that is read
twice, by one process or by two, is in the books once.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from llmkit.clients.accounting import bound_ratio
from llmkit.clients.accounting.cost_bound import cost_bound
from llmkit.clients.engine.call import Call
from llmkit.core.errors import LLMClientError, ProviderNotAvailableError
from llmkit.providers.codec import Request
from llmkit.records import CostReservation, current_context, current_recorder

if TYPE_CHECKING:
    from concurrent.futures import Future
    from datetime import datetime

    from llmkit.clients.batches.state import BatchState
    from llmkit.content.messages import LLMResponse
    from llmkit.content.schema import Schema
    from llmkit.providers.batches import BatchResult, Ending
    from llmkit.providers.codec import Codec

TIER = "batch"

LEASE = 4 * 24 * 3600.0
"""Seconds that a reservation lasts: the longest batch (Google's: 48 hours), and time to fetch it."""


def uid_of(job: str, identifier: str) -> str:
    """Return the identifier of a request's row in the ledger.

    Example:
        >>> uid_of("j1", "row-1") == uid_of("j1", "row-1") != uid_of("j2", "row-1")
        True
    """
    return hashlib.sha256(f"{job}-{identifier}".encode()).hexdigest()[:32]


def reservation(request: Request, provider: str, uid: str, when: datetime) -> CostReservation:
    """Return the maximum cost of a request in a batch."""
    most = cost_bound(request, provider, when=when, tier=TIER)
    context = current_context()
    nanos = None if most.nanos is None else bound_ratio.grown(f"{provider}:{request.model}", most.nanos)
    return CostReservation(
        uid=uid,
        time=when,
        provider=provider,
        model=request.model,
        nanos=nanos,
        input_tokens=most.input_tokens,
        output_tokens=most.output_tokens,
        lease_s=LEASE,
        notebook=context.notebook,
        cap_nanos=context.cap_nanos,
    )


class BatchCall(Call):
    """One request of a batch, from its result to its row."""

    def __init__(self, state: BatchState, identifier: str, schema: Schema | None) -> None:
        request = Request(messages=(), model=state.model, schema=schema)
        uid = uid_of(state.job, identifier)
        super().__init__(request, state.provider, simulated=state.simulated, uid=uid)
        self.time = state.created
        self.attempts = 1

    def read(self, result: BatchResult, codec: Codec) -> None:
        """Read a result; the answer, or the provider's error as an exception."""
        if result.ending is not None:
            raise never_processed(result.ending)
        if result.status != 200:
            raise codec.classify(result.status, {}, result.body)
        self.accepted = True
        self.answer.codec = codec
        try:
            text = codec.decode_body(result.body, self.answer)
        finally:
            self.answer.tier = TIER
        self.answer.texts += [text] if text else []
        self.add(text)
        if self.answer.broken is not None:
            raise self.answer.broken

    def book(self) -> tuple[LLMResponse, Future[bool] | None]:
        """Price the request and hand over its row; return the response, and when the row is committed."""
        spent = self._charge()
        spent.tier = TIER
        # When its answer was made is unknown, so that it has no duration.
        self._first = None
        record = self._record(None, spent)
        self.outcome = self._response(record, spent)
        recorder = current_recorder()
        future = None if recorder is None else recorder.record(record)
        self._observe()
        self._observed(record, self.outcome)
        return self.outcome, future


def never_processed(ending: Ending) -> LLMClientError:
    """Return the error of a request that was not answered because of how its batch ended."""
    if ending == "expired":
        return ProviderNotAvailableError(
            "The batch expired before this request was answered.", retryable=True, hint="Ask it again."
        )
    return LLMClientError(
        "The batch was cancelled before this request was answered.", retryable=True, hint="Ask it again."
    )
