"""The attempts of one call: retries, key rotation, dropped parameters."""

from __future__ import annotations

import asyncio
import logging
import warnings
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING

from llmkit.clients.credentials.access import blame_address, blames_key
from llmkit.clients.engine.call import Waiting
from llmkit.clients.engine.deadlines import Deadlines, Timeouts
from llmkit.clients.engine.parameters import is_chosen, without_refused
from llmkit.clients.engine.response_reader import ResponseReader, accepted
from llmkit.clients.engine.retry import come_back
from llmkit.clients.limiter.server import LimitKey
from llmkit.clients.limiter.slot import admitted, current_slot
from llmkit.clients.local_servers import explain_down
from llmkit.core.errors import LLMClientError, RateLimitError, StreamInterruptedError
from llmkit.core.redaction import redact_error
from llmkit.hooks import tracer
from llmkit.providers.attachment_limits import explain, links
from llmkit.providers.decisions import DecisionsCodec

if TYPE_CHECKING:
    from llmkit.clients.credentials.access import Credentials
    from llmkit.clients.engine.call import Call
    from llmkit.clients.engine.retry import RetryPolicy
    from llmkit.clients.limiter.permit import Permit
    from llmkit.core.redaction import Secret
    from llmkit.providers.codec import Codec, Request
    from llmkit.transport.base import StreamedResponse, Transport, WireRequest

SANDBOX_HEADER = "x-llmkit-sandbox"

LIMITED_IN_A_JOB = 5
"""Rate limits that count as one failure in a job."""

logger = logging.getLogger("llmkit.clients.attempts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Everything that a client needs to call its provider.

    Attributes:
        codec: The wire format.
        transport: Sends the requests.
        timeouts: The deadlines.
        retry: The retry policy.
        refused: Parameters that a server refused, by server and model; grows during use.
        warned: Models and parameters that the user was warned about.
        credentials: The keys; `None` if the user's own SDK client has them.
    """

    codec: Codec
    transport: Transport
    timeouts: Timeouts
    retry: RetryPolicy
    refused: dict[str, frozenset[str]]
    warned: set[tuple[str, str]]
    credentials: Credentials | None = None

    def there(self, model: str) -> str:
        """Return the key under which facts about a model on this server are kept."""
        # The same model may accept a parameter on one server and refuse it on another.
        return f"{self.transport.address} {model}"

    def limit_key(self, model: str, key: Secret | None) -> LimitKey:
        """Return whose rate limits apply to a request: a user's own SDK client stands for its key."""
        whose = id(self.transport) if key is None else key.digest
        return LimitKey(self.transport.address, whose, model)


class Attempts:
    """The text of one call, over all its attempts."""

    def __init__(self, endpoint: Endpoint, call: Call) -> None:
        self._endpoint = endpoint
        self._call = call
        self._reading: ResponseReader | None = None
        self._codec = endpoint.codec
        self._key: Secret | None = None
        self._tried: list[Secret] = []
        self._retries = self._limited = 0
        self._permit: Permit | None = None

    async def next(self) -> list[str] | None:
        """Return the next chunks of text; `None` at the end of the answer."""
        while True:
            try:
                if self._reading is None:
                    self._reading = await self._begin()
                texts = await self._reading.next()
            except LLMClientError as error:
                if self._in_another_format(error):
                    await self.aclose()
                    self._call.give_up_attempt()
                    continue
                self._explain(error)
                await self.aclose(error)
                wait = self._wait(error)
                if wait is None:  # frames below hold the server's response, which may echo a key
                    raise error.with_traceback(None) from error.__cause__
                self._call.give_up_attempt()
                if wait:
                    await self._pause(wait, error)
            else:
                if texts is None:
                    await self.aclose()
                return texts

    def _explain(self, error: LLMClientError) -> None:
        """Complete an error: no secrets in it, and what to do next."""
        redact_error(error, links(self._call.request.messages))
        if isinstance(error, StreamInterruptedError) and not self._call.started:
            error.before_any_text()
        blame_address(error, self._endpoint.transport.address)
        explain(error, self._call.request.messages, self._call.request.model)
        explain_down(error, self._call.provider, self._endpoint.transport.address)
        # Chat Completions refuses tools together with reasoning, and names the path that accepts them.
        if "/v1/responses" in error.message and not error.hint:
            error.hint = 'Use the Responses API: OpenAIClient(api="responses").'

    async def aclose(self, error: LLMClientError | None = None) -> None:
        """Close the connection, or return it to the pool if the answer was read to its end."""
        reading, self._reading = self._reading, None
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.settle(self._call.answer.usage, error)
        if reading is not None:
            await reading.aclose()

    async def _begin(self) -> ResponseReader:
        """Send the request and wait for the response headers."""
        call, endpoint = self._call, self._endpoint
        # Before the clock starts, because importing must not use up the timeout.
        endpoint.transport.load()
        tracer()
        key = (
            None if endpoint.credentials is None else await endpoint.credentials.obtain()
        )  # without a key, nothing is sent
        await self._admitted(key)
        # Set once: all attempts, including fallbacks, share the total.
        if call.end is None and endpoint.timeouts.total is not None:
            call.end = monotonic() + endpoint.timeouts.total
        await call.begin()
        if key is not None:
            self._key = call.key = key
        clock = Deadlines(endpoint.timeouts, call.end, call)
        # For each attempt again, because the server may have denied the Responses API meanwhile.
        self._codec = endpoint.codec.chosen(call.request)
        wire = self._codec.encode(call.request)
        if wire.connect_timeout != endpoint.timeouts.connect:
            wire = replace(wire, connect_timeout=endpoint.timeouts.connect)
        response = await clock.within(self._send(wire))
        call.heed(response.headers)
        return ResponseReader(response, self._codec, call, clock)

    async def _admitted(self, key: Secret | None) -> None:
        """Wait for the server's rate limits, if this call is one of many; that time is not the call's."""
        if current_slot.get() is None:
            return
        call, asked = self._call, monotonic()
        self._permit = await admitted(self._endpoint.limit_key(call.request.model, key), call.request)
        if self._permit is not None and call.end is not None:
            call.end += monotonic() - asked

    async def _send(self, wire: WireRequest) -> StreamedResponse:
        self._call.waited_for = wire
        endpoint = self._endpoint
        own = endpoint.credentials is None  # the user's SDK client, which something may instrument
        with self._call.sending(lambda: endpoint.transport.address, foreign=own) as headers:
            wire.headers = {**(wire.headers or {}), **headers} or None
            response = await endpoint.transport.send(wire)
        self._call.waited_for = None
        if self._permit is not None:
            self._permit.heed(response.headers)
        # Before an error is raised, because a call that the sandbox refuses is simulated, too.
        if SANDBOX_HEADER in response.headers:
            self._call.answered_by_sandbox()
        return await accepted(response, self._codec)

    async def _pause(self, seconds: float, error: LLMClientError) -> None:
        """Wait before the next attempt; cells and logs show the pause."""
        call = self._call
        # Cells, chats and tables show the pause themselves; elsewhere the log is the only sign of it.
        level = logging.INFO if self._is_shown(error) else logging.WARNING
        logger.log(
            level, "%s: %s Retrying in %.1f s (%s)", call.name, error.message, seconds, self._count(error)
        )
        call.waiting = Waiting(until=monotonic() + seconds, error=error, attempt=call.attempts + 1)
        if (slot := current_slot.get()) is not None:
            slot.release()  # other calls of the job may use its place
        try:
            await asyncio.sleep(seconds)
        finally:
            call.waiting = None

    def _is_shown(self, error: LLMClientError) -> bool:
        """Whether the place of the call shows a pause; the line of a table shows those for rate limits."""
        surface = self._call.context.surface
        return surface in {"magic", "chat"} or (surface == "table" and isinstance(error, RateLimitError))

    def _count(self, error: LLMClientError) -> str:
        """Return how many failures of this kind there were, of how many at which the call gives up."""
        most = self._endpoint.retry.max_retries
        if isinstance(error, RateLimitError) and current_slot.get() is not None:
            return f"refused {self._limited} times, of at most {LIMITED_IN_A_JOB * most + 1}"
        return f"retry {self._retries} of {most}"

    def _wait(self, error: LLMClientError) -> float | None:
        """Return the seconds before the next attempt; `None` to give up."""
        call = self._call
        # Text that was delivered cannot be taken back; without an attempt, nothing was sent.
        if call.started or not call.attempts:
            return None
        # These do not count as retries and need no pause, because the next request is a different one.
        if self._without_refused(error) or self._with_another_key(error):
            return 0.0
        wait = self._endpoint.retry.wait(error, self._failed(error))
        if wait is not None and self._has_time_for(wait):
            return wait
        if error.retryable and error.retry_after:
            error.hint = come_back(error.retry_after)
        return None

    def _failed(self, error: LLMClientError) -> int:
        """Count a failure and return how many there were."""
        # In a job, the limiter spaces the requests, and a call may meet a limit more often than one alone.
        if isinstance(error, RateLimitError) and current_slot.get() is not None:
            self._limited += 1
            return -(-self._limited // LIMITED_IN_A_JOB)
        self._retries += 1
        return self._retries

    def _has_time_for(self, wait: float) -> bool:
        """Whether the call's total timeout leaves time for another attempt after this pause."""
        end = self._call.end
        return end is None or monotonic() + wait < end

    def _with_another_key(self, error: LLMClientError) -> bool:
        """Switch to a key that this call has not tried, if the error was caused by the last one."""
        credentials, used = self._endpoint.credentials, self._key
        if credentials is None or used is None or not blames_key(error):
            return False
        # Other calls rotate the same keys, so `advance` may return one that already failed here.
        self._tried.append(used)
        other = credentials.advance(used)
        if other is None or any(other is key for key in self._tried):
            return False
        logger.warning("%s: %s Continuing with the key from %s", self._call.name, error.message, other.source)
        return True

    def _in_another_format(self, error: LLMClientError) -> bool:
        """Use the provider's other wire format, if the server does not have this one."""
        codec = self._endpoint.codec
        if self._codec is codec or isinstance(self._codec, DecisionsCodec):
            return False
        if self._call.started or not codec.deny(error):
            return False
        address = self._endpoint.transport.address
        logger.warning("%s has no Responses API; llmkit uses Chat Completions there.", address)
        return True

    def _without_refused(self, error: LLMClientError) -> bool:
        """Drop a parameter that the server refused, and remember it for this model."""
        request, refused = self._call.request, self._endpoint.refused
        self._call.request, names = without_refused(error, request, self._codec)
        if names:
            there = self._endpoint.there(request.model)
            refused[there] = refused.get(there, frozenset()) | names
            warn_refused(self._endpoint, request, names, self._codec)
        return bool(names)


def warn_refused(
    endpoint: Endpoint, request: Request, names: frozenset[str], codec: Codec | None = None
) -> None:
    """Warn the user once about their parameters that a model refuses."""
    codec = codec or endpoint.codec
    for name in sorted(names):
        if (request.model, name) in endpoint.warned:
            continue
        if request.schema is not None and name in codec.schema_fields:
            warn_dropped(name, request.model, "the schema is in the prompt instead")
        elif name not in codec.limit_fields and is_chosen(name, request):
            warn_dropped(name, request.model)
        else:
            continue
        endpoint.warned.add((request.model, name))


def warn_dropped(name: str, model: str, instead: str = "it was left out") -> None:
    """Warn the user that a parameter was not sent."""
    warnings.warn(f"{model} does not support {name}: {instead}.", UserWarning, stacklevel=4)
