"""The books of one call: what it sent, what came back, and the row it leaves."""

from __future__ import annotations

import asyncio
import logging
import uuid
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from llmkit import prices, tokens
from llmkit.clients.codec import Answer, Request
from llmkit.errors import ConfigurationError, LLMClientError, StreamInterruptedError
from llmkit.messages import LLMResponse, Usage, UsageSource
from llmkit.records import CallRecord, Status, current_context, current_recorder, session_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from concurrent.futures import Future
    from types import TracebackType

logger = logging.getLogger(__name__)


class Call:
    """One call from its start to its row in the ledger, whatever its end.

    Args:
        request: What is asked.
        provider: Name of the provider.
        simulated: Whether the sandbox answers.

    Attributes:
        answer: What the provider said about the answer so far.
        attempts: Requests that were sent.
        accepted: Whether the provider took a request (status 200), so that it may charge for it.
        request_id: The provider's identifier, from the headers.
        outcome: The answer as far as it came, once the call is over, however it ended.
    """

    def __init__(self, request: Request, provider: str, *, simulated: bool = False) -> None:
        self.request = request
        self.provider = provider
        self.simulated = simulated
        self.uid = uuid.uuid4().hex
        self.time = datetime.now(UTC)
        self.answer = Answer()
        self.attempts = 0
        self.accepted = False
        self.request_id: str | None = None
        self.outcome: LLMResponse | None = None
        self._context = current_context()
        self._parts: list[str] = []
        self._status: Status = "ok"
        self._error: BaseException | None = None
        self._start = perf_counter()
        self._first: float | None = None

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
        """The whole answer; `None` before the end, and for a call that failed."""
        return self.outcome if self._status == "ok" else None

    def add(self, text: str) -> None:
        """Note a piece of text that arrived."""
        if self._first is None:
            self._first = perf_counter() - self._start
        self._parts.append(text)

    def again(self) -> None:
        """Begin a new attempt."""
        self.attempts += 1
        self.answer = Answer()

    def fail(self, error: BaseException) -> None:
        """Note how the call failed, and put the text so far and the names on the exception.

        Anything but an `Exception` is the caller's doing: a cancelled task, a generator that was left,
        an interrupt.
        """
        self._error = error
        if not isinstance(error, Exception):
            self._status, self._error = "cancelled", None
            return
        self._status = "interrupted" if isinstance(error, StreamInterruptedError) else "error"
        if isinstance(error, LLMClientError):
            error.provider = error.provider or self.provider
            error.model = error.model or self.request.model
            error.request_id = error.request_id or self.request_id
            error.partial = error.partial or self.text

    def abandon(self) -> None:
        """Close the books of a call that nobody reads any more; one that never began has none."""
        if self.attempts and self.outcome is None:
            self.fail(GeneratorExit())
            self.settle()

    def settle(self) -> Future[bool] | None:
        """Close the books: price the call, build the response, hand over the record.

        Returns:
            The recorder's acknowledgement; `None` if nobody keeps books, or they are closed already.
        """
        if self.outcome is not None:
            return None
        duration = perf_counter() - self._start
        usage, source = self._usage()
        record = self._record(duration, usage or Usage(), source, self._price(usage))
        self.outcome = self._response(record, usage, source)
        recorder = current_recorder() if self.attempts else None  # what was never sent is no call
        return None if recorder is None else recorder.record(record)

    def _usage(self) -> tuple[Usage | None, UsageSource | None]:
        """Return the tokens: as reported, completed by estimates where the report never came."""
        reported, text = self.answer.usage, self.text
        whole = (
            reported is not None and reported.input_tokens is not None and reported.output_tokens is not None
        )
        if whole and (self._status == "ok" or self.answer.ended):
            return reported, "reported"
        if not (text or self.accepted or reported):
            return None, None
        reported = reported or Usage()
        written = max(tokens.estimate(text), 1) if text else 0
        guess = Usage(
            input_tokens=_or(reported.input_tokens, tokens.estimate_prompt(self.request.messages)),
            output_tokens=max(reported.output_tokens or 0, written),
            cache_read_tokens=reported.cache_read_tokens,
            cache_write_tokens=reported.cache_write_tokens,
            cache_write_1h_tokens=reported.cache_write_1h_tokens,
            reasoning_tokens=reported.reasoning_tokens,
        )
        return guess, "estimated" if reported == Usage() else "partial"

    def _price(self, usage: Usage | None) -> prices.Price | None:
        if usage is None:
            return None
        if (cost := self.answer.cost_usd) is not None:
            date = self.time.date().isoformat()
            return prices.Price(nanos=prices.to_nanos(cost), source="provider", date=date)
        names = dict.fromkeys(name for name in (self.answer.model, self.request.model) if name)
        try:
            return prices.price(self.provider, tuple(names), usage, when=self.time, tier=self.answer.tier)
        except ConfigurationError as error:  # the file was changed while the call ran
            logger.warning("The call has no price: %s", error)
            return None

    def _response(self, record: CallRecord, usage: Usage | None, source: UsageSource | None) -> LLMResponse:
        return LLMResponse(
            content=self.text,
            provider=self.provider,
            model=self.answer.model or self.request.model,
            prompt_tokens=record.input_tokens,
            completion_tokens=record.output_tokens,
            cost_estimate=None if record.cost_nanos is None else record.cost_nanos / prices.NANO,
            response_time=record.duration_s,
            finish_reason=record.finish_reason,
            usage=usage,
            usage_source=source,
            price_source=record.price_source,
            request_id=self.request_id or self.answer.request_id,
            attempts=record.attempts,
            first_token_s=record.first_token_s,
            uid=record.uid,
            simulated=record.simulated,
        )

    def _record(
        self, duration: float, usage: Usage, source: UsageSource | None, price: prices.Price | None
    ) -> CallRecord:
        context = self._context
        return CallRecord(
            time=self.time,
            uid=self.uid,
            status=self._status,
            surface=context.surface,
            provider=self.provider,
            model=self.request.model,
            model_served=self.answer.model,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            cost_nanos=None if price is None else price.nanos,
            price_source=None if price is None else price.source,
            price_date=None if price is None else price.date,
            usage_source=source,
            first_token_s=self._first,
            duration_s=duration,
            attempts=self.attempts,
            finish_reason=self.answer.finish_reason,
            error=None if self._error is None else type(self._error).__name__,
            notebook=context.notebook,
            cell_id=context.cell_id,
            execution_count=context.execution_count,
            session=session_id(),
            tags=context.tags,
            simulated=self.simulated,
        )


class Source(Protocol):
    """Where a call's text comes from."""

    async def next(self) -> list[str] | None:
        """Wait for the next pieces; `None` at the end."""
        ...

    async def aclose(self) -> None:
        """Stop."""
        ...


class Books:
    """Closes a call's books and its source at the end of an `async with` block, however it ends.

    Args:
        call: The call.
        source: Where its text comes from.
    """

    def __init__(self, call: Call, source: Source) -> None:
        self._call = call
        self._source = source

    async def __aenter__(self) -> None:
        """Begin."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._call.fail(error)
        # The record is handed over before anything is awaited: a second interrupt cannot lose it.
        future = self._call.settle()
        await self._source.aclose()
        if future is not None and not isinstance(error, GeneratorExit):
            await _acknowledged(future)


async def booked(call: Call, source: Source) -> AsyncGenerator[str, None]:
    """Yield an answer's pieces and close the call's books, however it ends.

    Args:
        call: The books.
        source: The pieces of text.
    """
    async with Books(call, source):
        while (texts := await source.next()) is not None:
            for text in texts:
                call.add(text)
                yield text


async def finished(call: Call, source: Source) -> LLMResponse:
    """Read an answer to its end, keep its books and return it.

    Args:
        call: The books.
        source: The pieces of text.

    Returns:
        The answer.
    """
    async with Books(call, source):
        while (texts := await source.next()) is not None:
            for text in texts:
                call.add(text)
    assert call.response is not None
    return call.response


async def _acknowledged(future: Future[bool]) -> None:
    """Wait until a record is safe; that it could not be written does not cost the answer."""
    if not future.done():
        await asyncio.wait([asyncio.wrap_future(future)])
    if (trouble := future.exception()) is not None:
        logger.warning("The call was not recorded: %s", trouble)


def _or(value: int | None, other: int) -> int:
    return other if value is None else value
