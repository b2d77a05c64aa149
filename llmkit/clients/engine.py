"""The one way a call is made: encode, carry, decode, price, record, for every provider alike."""

from __future__ import annotations

import asyncio
import warnings
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from llmkit import catalog, settings
from llmkit.clients.base import TEMPERATURE, BaseLLMClient, ContractTemperature
from llmkit.clients.call import Call, booked, finished
from llmkit.clients.codec import Codec, Request, refused_parameter
from llmkit.clients.health import Health, check
from llmkit.clients.keys import redact_error
from llmkit.clients.retry import RetryPolicy
from llmkit.clients.stream import TextStream
from llmkit.errors import (
    BadResponseError,
    ConfigurationError,
    InvalidRequestError,
    LLMClientError,
    LLMTimeoutError,
    StreamInterruptedError,
)
from llmkit.messages import LLMMessage
from llmkit.wire.carrier import CONNECT_TIMEOUT, Carrier, Exchange, WireRequest
from llmkit.wire.sse import SSEReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable

    from llmkit.messages import LLMResponse

T = TypeVar("T")

LIST_TIMEOUT = 30.0
"""Seconds to wait for a list of models."""

SANDBOX_HEADER = "x-llmkit-sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Deadlines of a call, in seconds; `None` is no limit.

    Attributes:
        connect: For a connection.
        first_token: From sending to the first text or reasoning.
        idle: From one text to the next; pings and empty pieces do not count.
        total: For the whole call, retries included.
    """

    connect: float = CONNECT_TIMEOUT
    first_token: float | None = 300.0
    idle: float | None = 120.0
    total: float | None = 600.0


class ProviderClient(BaseLLMClient):
    """A client whose calls are metered; a provider adds a codec and a carrier.

    Args:
        provider_name: Name of the provider.
        codec: Its wire format.
        carrier: How its requests travel.
        model: Model to use where a call names none; by default the provider's first in the catalogue.
        timeout: Seconds for a whole call, or all the deadlines; by default the settings' or 600 s.
        max_retries: Tries after the first one.
        simulated: Whether the sandbox answers.

    Raises:
        ConfigurationError: If a number makes no sense.
    """

    def __init__(
        self,
        provider_name: str,
        *,
        codec: Codec,
        carrier: Carrier,
        model: str | None = None,
        timeout: float | Timeouts | None = None,
        max_retries: int = 2,
        simulated: bool = False,
    ) -> None:
        super().__init__(provider_name)
        if max_retries < 0:
            raise ConfigurationError(f"max_retries={max_retries} cannot be: 0 or more is expected.")
        self.model = model
        self.retry = RetryPolicy(max_retries=max_retries)
        self.simulated = simulated
        self._codec = codec
        self._carrier = carrier
        self._timeouts = _timeouts(timeout)
        self._refused: dict[str, frozenset[str]] = {}

    async def generate_text(
        self,
        messages: list[LLMMessage],
        model: str | None = None,
        temperature: float = TEMPERATURE,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> LLMResponse:
        """Generate a whole answer; see `BaseLLMClient.generate_text`."""
        call = self._call(messages, model, temperature, max_tokens, kwargs, stream=False)
        return await finished(call, self._attempts(call))

    def stream_text(
        self,
        messages: list[LLMMessage],
        model: str | None = None,
        temperature: float = TEMPERATURE,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> TextStream:
        """Generate an answer as it is written; see `BaseLLMClient.stream_text`.

        Returns:
            A stream that also has `.response`, `.usage` and `.finish_reason`.
        """
        call = self._call(messages, model, temperature, max_tokens, kwargs, stream=True)
        return TextStream(booked(call, self._attempts(call)), call)

    async def list_models(self) -> list[str]:
        """Ask the provider for its models: a call that costs nothing.

        Returns:
            The names, as the provider orders them.

        Raises:
            LLMClientError: If the key is refused or the provider is not available.
        """
        try:
            async with asyncio.timeout(LIST_TIMEOUT):
                exchange = await self._send(self._codec.models_request())
                try:
                    return self._codec.decode_models(await _read(exchange))
                finally:
                    await exchange.aclose()
        except TimeoutError as error:
            raise LLMTimeoutError(f"{self._carrier.address} did not list its models in time.") from error
        except LLMClientError as error:
            redact_error(error)
            error.provider = error.provider or self.provider_name
            raise

    async def health_check(self) -> Health:
        """Find out whether the provider answers and how fast, with a call that costs nothing.

        Returns:
            What was found: true if it answers; nothing is raised if it does not.
        """
        return await check(self.provider_name, self.list_models)

    async def close(self) -> None:
        """Close the connections of the running event loop; the client can be used again."""
        await self._carrier.aclose()

    def default_model(self) -> str:
        """Return the model that a call uses when it names none.

        Raises:
            ConfigurationError: If the client has none and the catalogue lists none.
        """
        if self.model is not None:
            return self.model
        known = catalog.providers().get(self.provider_name)
        if known is None or not known.models:
            raise ConfigurationError(
                f"No model was named for {self.provider_name}.",
                hint=f'Name one: model="…", or llmkit.client("{self.provider_name}:…").',
            )
        return known.models[0]

    def _call(
        self,
        messages: list[LLMMessage],
        model: str | None,
        temperature: float,
        max_tokens: int | None,
        extra: dict[str, Any],
        *,
        stream: bool,
    ) -> Call:
        """Check the arguments and open the books."""
        defaults = settings.load()
        model = model or self.default_model()
        chosen = not isinstance(temperature, ContractTemperature)
        if not chosen and defaults.temperature is not None:
            temperature = defaults.temperature
        known = catalog.providers().get(self.provider_name)
        refused = self._refused.get(model, frozenset()) | (known.refused(model) if known else frozenset())
        if chosen and "temperature" in refused:
            _warn_dropped("temperature", model)
        request = Request(
            messages=_checked(messages),
            model=model,
            temperature=temperature,
            max_tokens=defaults.max_tokens if max_tokens is None else max_tokens,
            stream=stream,
            extra=extra,
            without=refused,
        )
        return Call(request, self.provider_name, simulated=self.simulated)

    async def _attempts(self, call: Call) -> AsyncGenerator[str, None]:
        """Try until there is text or no hope; the deadline of the whole runs through."""
        clock = asyncio.get_running_loop().time
        end = None if self._timeouts.total is None else clock() + self._timeouts.total
        while True:
            call.again()
            try:
                async with aclosing(self._attempt(call, end)) as pieces:
                    async for piece in pieces:
                        yield piece
            except LLMClientError as error:
                redact_error(error)
                wait = 0.0 if self._without_refused(call, error) else self._wait(call, error)
                if wait is None:
                    raise
                if end is not None and clock() + wait > end:
                    raise
            else:
                return
            if wait:
                self.logger.warning("Trying %s again in %.1f s", call.request.model, wait)
                await asyncio.sleep(wait)

    def _wait(self, call: Call, error: LLMClientError) -> float | None:
        return None if call.started else self.retry.wait(error, call.attempts)

    def _without_refused(self, call: Call, error: LLMClientError) -> bool:
        """Leave out a parameter that the server refused, and remember that for this model."""
        request = call.request
        sent = self._codec.encode(request).body or {}
        name = refused_parameter(error, {**sent, **_flat(sent.get("generationConfig"))})
        if call.started or name is None or name in request.without:
            return False
        if name in {"temperature", *request.extra}:
            _warn_dropped(name, request.model)
        without = request.without | {name}
        self._refused[request.model] = without
        call.request = _without(request, without)
        return True

    async def _attempt(self, call: Call, end: float | None) -> AsyncGenerator[str, None]:
        """Send once and yield the text of the answer."""
        clock = Deadlines(self._timeouts, end, call)
        wire = self._codec.encode(call.request)
        exchange = await clock.within(self._send(wire))
        try:
            call.accepted = True
            call.request_id = exchange.headers.get("x-request-id") or exchange.headers.get("request-id")
            call.simulated = call.simulated or SANDBOX_HEADER in exchange.headers
            body = Body(exchange, clock)
            whole = not call.request.stream or await body.is_document()
            async with aclosing((self._document if whole else self._events)(body, call)) as texts:
                async for text in texts:
                    yield text
                    clock.moved()
            if not call.answer.ended:
                raise StreamInterruptedError("The answer stopped without the provider's end marker.")
        finally:
            await exchange.aclose()

    async def _send(self, wire: WireRequest) -> Exchange:
        """Send a request; an error status becomes its exception."""
        exchange = await self._carrier.send(wire)
        if 200 <= exchange.status < 300:
            return exchange
        try:
            body = await _read(exchange)
        finally:
            await exchange.aclose()
        error = self._codec.classify(exchange.status, exchange.headers, body)
        raise error from exchange.cause

    async def _document(self, body: Body, call: Call) -> AsyncGenerator[str, None]:
        """Yield the text of an answer that came as one document."""
        pieces = [chunk async for chunk in body]
        if text := self._codec.decode_body(b"".join(pieces), call.answer):
            yield text

    async def _events(self, body: Body, call: Call) -> AsyncGenerator[str, None]:
        """Yield the texts of an answer that comes as events."""
        reader, decode, answer, seen = SSEReader(), self._codec.decode, call.answer, False
        async for chunk in body:
            for _, event in reader.feed(chunk):
                seen = True
                if text := decode(event, answer):
                    yield text
            if answer.thinking:
                answer.thinking = False
                body.clock.moved()
        for _, event in reader.close():
            seen = True
            if text := self._last(event, call):
                yield text
        if not seen:
            raise BadResponseError("The server sent no events where a stream was expected.")

    def _last(self, event: bytes, call: Call) -> str:
        """Read an event that the end of the stream cut off: whole or not there."""
        try:
            return self._codec.decode(event, call.answer)
        except BadResponseError:
            return ""


class Body:
    """The chunks of an answer's body, each one within its deadline.

    Args:
        exchange: The answer.
        clock: The deadlines.
    """

    def __init__(self, exchange: Exchange, clock: Deadlines) -> None:
        self.clock = clock
        self._chunks = aiter(exchange.chunks())
        self._ahead = b""

    async def is_document(self) -> bool:
        """Look ahead: does it begin as JSON or a page, rather than as a stream of events?"""
        while not self._ahead.strip() and (chunk := await self._next()) is not None:
            self._ahead += chunk
        return self._ahead.lstrip()[:1] in {b"{", b"[", b"<"}

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        chunk = await self._next()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def _next(self) -> bytes | None:
        return await self.clock.within(anext(self._chunks, None))


class Deadlines:
    """The clock of one attempt: it says which deadline is next, and raises when that has passed.

    Args:
        timeouts: The limits.
        end: When the whole call must be over, in the loop's time.
        call: The call, to know whether text has arrived.
    """

    def __init__(self, timeouts: Timeouts, end: float | None, call: Call) -> None:
        self._clock = asyncio.get_running_loop().time
        self._timeouts = timeouts
        self._end = end
        self._call = call
        self._since = self._clock()
        self._moving = False

    def moved(self) -> None:
        """Note that text came, or that the reader is back for more: the idle time begins anew."""
        self._since = self._clock()
        self._moving = True

    async def within(self, awaitable: Awaitable[T]) -> T:
        """Wait for something until the next deadline.

        Args:
            awaitable: What to wait for.

        Raises:
            LLMTimeoutError: If the deadline came first; the message names it.
        """
        limit = self._timeouts.idle if self._moving else self._timeouts.first_token
        if not self._call.request.stream:
            limit = None  # a whole answer has no first token: only the total counts
        step = None if limit is None else self._since + limit
        when = min((t for t in (step, self._end) if t is not None), default=None)
        scope = asyncio.timeout_at(when)
        try:
            async with scope:
                return await awaitable
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise self._passed(total=when == self._end, limit=limit) from error

    def _passed(self, *, total: bool, limit: float | None) -> LLMTimeoutError:
        if total:
            text = f"the total timeout of {self._timeouts.total:g} s passed"
        elif self._moving:
            text = f"the idle timeout passed: no text for {limit:g} s"
        else:
            text = f"the first-token timeout of {limit:g} s passed"
        name = f"{self._call.provider}:{self._call.request.model}"
        return LLMTimeoutError(f"{name}: {text}.", retryable=not (total or self._call.started))


async def _read(exchange: Exchange) -> bytes:
    return b"".join([chunk async for chunk in exchange.chunks()])


def _checked(messages: list[LLMMessage]) -> tuple[LLMMessage, ...]:
    if not messages:
        raise InvalidRequestError("There are no messages to send.", hint="Give at least one user message.")
    for message in messages:
        if not isinstance(message, LLMMessage):
            raise InvalidRequestError(
                f"A message must be an LLMMessage, not {type(message).__name__}.",
                hint='Write LLMMessage(role="user", content="…").',
            )
    return tuple(messages)


def _timeouts(timeout: float | Timeouts | None) -> Timeouts:
    if isinstance(timeout, Timeouts):
        return timeout
    total = settings.load().timeout if timeout is None else timeout
    if total is None:
        return Timeouts()
    if not total > 0:
        raise ConfigurationError(f"timeout={total} cannot be: seconds above 0 are expected.")
    return Timeouts(connect=min(CONNECT_TIMEOUT, total), total=total)


def _warn_dropped(name: str, model: str) -> None:
    warnings.warn(f"{model} does not take {name}: it was left out.", UserWarning, stacklevel=4)


def _flat(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _without(request: Request, without: frozenset[str]) -> Request:
    return replace(request, without=without)
