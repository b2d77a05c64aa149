"""`BatchServer`: sends the requests of a Batch API for one client."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from llmkit.clients.credentials.access import blame_address
from llmkit.clients.engine.attempts import SANDBOX_HEADER
from llmkit.clients.engine.engine import ProviderClient
from llmkit.clients.engine.response_reader import accepted, read
from llmkit.clients.local_servers import explain_down
from llmkit.clients.registry import recorded
from llmkit.core.errors import InvalidRequestError, LLMClientError, LLMTimeoutError
from llmkit.core.redaction import redact_error
from llmkit.hooks import trace_headers
from llmkit.providers.batches import Reply
from llmkit.providers.openai_chat import OpenAICodec
from llmkit.transport.aiohttp import DirectTransport
from llmkit.transport.base import WireRequest
from llmkit.transport.json_lines import JSONLinesReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from llmkit.clients.base import BaseLLMClient
    from llmkit.clients.engine.attempts import Endpoint
    from llmkit.providers.batches import BatchFormat, Steps
    from llmkit.transport.base import Chunks, StreamedResponse

T = TypeVar("T")

TIMEOUT = 600.0
"""Seconds for one request to a Batch API, uploads included, and between two pieces of the results."""


@dataclass(slots=True, kw_only=True)
class BatchServer:
    """A client's Batch API.

    Attributes:
        client: The client.
        format: The wire format.
        endpoint: Sends the requests.
        simulated: Whether the sandbox answers.
    """

    client: ProviderClient
    format: BatchFormat
    endpoint: Endpoint
    simulated: bool

    async def run(self, steps: Steps[T]) -> T:
        """Send the requests of several steps, and return what they say together."""
        wire = next(steps)
        while True:
            reply = await self.ask(wire)
            try:
                wire = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result

    async def ask(self, wire: WireRequest) -> Reply:
        """Send one request and read its answer."""
        repeats = 0
        while True:
            try:
                async with asyncio.timeout(TIMEOUT):
                    response = await self._send(wire)
                    return Reply(await read(response), response.headers)
            except TimeoutError as error:
                raise self._too_slow() from error
            except LLMClientError as error:
                repeats += 1
                pause = self.endpoint.retry.wait(error, repeats) if _may_repeat(wire, error) else None
                if pause is None:
                    raise self._explained(error) from error.__cause__
            await asyncio.sleep(pause)

    async def lines(self, path: str) -> AsyncGenerator[bytes, None]:
        """Yield the lines of a file of results; only one of them is in memory."""
        reader = JSONLinesReader()
        try:
            async with asyncio.timeout(TIMEOUT):
                response = await self._send(WireRequest(path=path, stream=True))
            try:
                async with aclosing(_in_time(response.chunks())) as chunks:
                    async for chunk in chunks:
                        for _, line in reader.feed(chunk):
                            yield line
            finally:
                await response.aclose()
        except TimeoutError as error:
            raise self._too_slow() from error
        except LLMClientError as error:
            raise self._explained(error) from error.__cause__
        for _, line in reader.close():
            yield line

    @property
    def _address(self) -> str:
        return self.endpoint.transport.address

    def _too_slow(self) -> LLMTimeoutError:
        return LLMTimeoutError(f"{self._address} did not answer in {TIMEOUT:.0f} s.")

    async def _send(self, wire: WireRequest) -> StreamedResponse:
        endpoint = self.endpoint
        endpoint.transport.load()
        if endpoint.credentials is not None:
            await endpoint.credentials.obtain()
        traced = {**(wire.headers or {}), **trace_headers()} or None
        wire = replace(wire, connect_timeout=endpoint.timeouts.connect, headers=traced)
        response = await endpoint.transport.send(wire)
        self.simulated = self.simulated or SANDBOX_HEADER in response.headers
        return await accepted(response, endpoint.codec)

    def _explained(self, error: LLMClientError) -> LLMClientError:
        redact_error(error)
        blame_address(error, self._address)
        explain_down(error, self.client.provider_name, self._address)
        error.provider = error.provider or self.client.provider_name
        return error.with_traceback(None)


async def _in_time(chunks: Chunks) -> AsyncGenerator[bytes, None]:
    """Yield chunks; a silence longer than the timeout raises `TimeoutError`."""
    async with aclosing(chunks):
        while True:
            async with asyncio.timeout(TIMEOUT):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            yield chunk


def _may_repeat(wire: WireRequest, error: LLMClientError) -> bool:
    """Whether a request may be sent again: never one that may have made a batch already."""
    return wire.body is None and wire.content is None if error.status_code is None else True


def _format(client: ProviderClient) -> BatchFormat | None:
    """Return the format of a client's Batch API; the sandbox has OpenAI's for every server."""
    found = client.endpoint.codec.batches
    return OpenAICodec.batches if found is None and client.simulated else found


def server_of(client: BaseLLMClient) -> BatchServer:
    """Return a client's Batch API.

    Raises:
        InvalidRequestError: If it has none.
    """
    made = client if isinstance(client, ProviderClient) else recorded(client)
    found = _format(made) if isinstance(made, ProviderClient) else None
    if not isinstance(made, ProviderClient) or found is None:
        raise InvalidRequestError(
            f"{client.provider_name} has no Batch API that llmkit knows.",
            hint='Use mode="now", or a model of OpenAI, Anthropic or Google.',
        )
    if not isinstance(made.endpoint.transport, DirectTransport):
        raise InvalidRequestError(
            "Your own SDK client cannot send batches through llmkit.",
            hint='Use llmkit.client("provider:model") with a key, or mode="now".',
        )
    return BatchServer(client=made, format=found, endpoint=made.endpoint, simulated=made.simulated)
