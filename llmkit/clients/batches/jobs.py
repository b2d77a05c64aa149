"""Jobs at a provider's Batch API: `submit`, `look`, `results`, `cancel`, `find`.

A *job* is one submission; it may be divided into several batches. The caller keeps each `BatchState`, so that
another process can go on. A batch whose state was not kept, because the process died just then, is found at
the provider by its job.
"""

from __future__ import annotations

import logging
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from llmkit.clients.accounting.accounting import acknowledged
from llmkit.clients.batches.booking import BatchCall, never_processed
from llmkit.clients.batches.server import server_of
from llmkit.clients.batches.state import BatchState, split_id
from llmkit.clients.batches.submission import Reservations, divided, part_of
from llmkit.content.schema import schema_of
from llmkit.core.errors import BadResponseError, InvalidRequestError, LLMClientError
from llmkit.providers.batches import BatchResult
from llmkit.providers.codec import Request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable
    from concurrent.futures import Future
    from datetime import datetime
    from typing import Any

    from llmkit.clients.base import BaseLLMClient
    from llmkit.clients.batches.server import BatchServer
    from llmkit.clients.batches.state import BatchRequest
    from llmkit.content.messages import LLMResponse
    from llmkit.content.schema import Schema
    from llmkit.providers.batches import BatchStatus
    from llmkit.providers.codec import Codec

logger = logging.getLogger("llmkit.clients.batches")

_GROUP = 200
"""Rows that are handed over before their commit is waited for."""


async def submit(
    client: BaseLLMClient, job: str, requests: Iterable[BatchRequest]
) -> AsyncGenerator[BatchState, None]:
    """Send requests as batches, and yield the state of each as soon as the provider has it.

    Args:
        client: The client of a provider with a Batch API.
        job: Identifier of this submission, with letters, digits and `_`; a new one for each.
        requests: The requests, with different identifiers; only those of one batch are in memory.

    Yields:
        The state of each batch; keep it before you ask for the next one.

    Raises:
        InvalidRequestError: If a request cannot be sent, or the provider has no Batch API.
        BudgetExceededError: If a batch does not fit into a budget; nothing of it was sent.
        LLMClientError: If the provider refuses a batch. Without an answer it may exist: see `find`.
    """
    server = server_of(client)
    async with aclosing(divided(server, job, requests)) as batches:
        async for items in batches:
            held = Reservations(server, job)
            await held.hold(items)
            part = part_of(job, items)
            try:
                status = await server.run(server.format.create(part))
            except LLMClientError as error:
                # Without an answer it may exist: then its money stays reserved, and `find` tells.
                if error.status_code is not None:
                    held.release()
                raise
            known = replace(status, path=part.path, model=part.model, total=status.total or len(items))
            yield _state(server, job, known, part.ids)


async def look(client: BaseLLMClient, state: BatchState) -> BatchState:
    """Ask the provider for the state of a batch.

    Args:
        client: A client of the same account.
        state: What was known.

    Returns:
        What is known now.

    Raises:
        LLMClientError: If the provider does not know the batch or does not answer.
    """
    server = server_of(client)
    reply = await server.ask(server.format.look(state.batch))
    return _updated(state, server.format.status(reply.body))


async def cancel(client: BaseLLMClient, state: BatchState) -> BatchState:
    """Cancel a batch; what was answered before stays, and is paid.

    Args:
        client: A client of the same account.
        state: What was known.

    Returns:
        The state afterwards; the batch may still run for some minutes.

    Raises:
        LLMClientError: If the provider does not know the batch or does not answer.
    """
    server = server_of(client)
    with suppress(InvalidRequestError):  # it has ended meanwhile, as `look` tells
        await server.ask(server.format.cancel(state.batch))
    return await look(client, state)


async def results(
    client: BaseLLMClient, state: BatchState, *, schema: Any = None
) -> AsyncGenerator[tuple[str, LLMResponse | LLMClientError], None]:
    """Read the results of a batch that has ended, and record each request once.

    Args:
        client: A client of the same account.
        state: The state, with its `ending`.
        schema: The required form of a JSON answer, for `response.value`.

    Yields:
        The identifier of each request, in any order, with its response or its error. Their rows in the ledger
        have the service tier `batch`; reading twice does not record twice.

    Raises:
        InvalidRequestError: If the batch has not ended.
        LLMClientError: If the provider does not answer; begin again then.
    """
    if state.ending is None:
        raise InvalidRequestError("The batch has not ended.", hint="Wait until look(…).ending says how.")
    server = server_of(client)
    reader = _Results(state, _codec(server, state), schema_of(schema))
    for file in state.files:
        async with aclosing(server.lines(file)) as lines:
            async for line in lines:
                result = _result(server, line)
                job, identifier = split_id(result.id)
                if job == state.job and identifier not in reader.seen:
                    yield identifier, await reader.take(identifier, result)
    for identifier in state.ids:
        if identifier not in reader.seen:
            yield identifier, await reader.take(identifier, None)
    await reader.commit()


async def find(client: BaseLLMClient, job: str, since: datetime | None = None) -> list[BatchState]:
    """Find the batches of a job among those of the account.

    Args:
        client: A client of the same account.
        job: Identifier of the submission.
        since: When it was sent, at the earliest; older batches are not looked at.

    Returns:
        Their states, without the identifiers of their requests. Anthropic tells which requests a batch has
        only when it has ended: those that still run are returned with `is_certain=False`.

    Raises:
        LLMClientError: If the provider does not answer.
    """
    server = server_of(client)
    found = []
    async for status in _listed(server, since):
        state = await _belongs(server, job, status)
        if state is not None:
            found.append(state)
    return found


async def _listed(server: BatchServer, since: datetime | None) -> AsyncGenerator[BatchStatus, None]:
    """Yield the account's batches, the latest first."""
    page: str | None = None
    while True:
        reply = await server.ask(server.format.listing(page))
        statuses, page = server.format.listed(reply.body)
        for status in statuses:
            # Providers round times to seconds.
            if since is not None and status.created.timestamp() < int(since.timestamp()):
                return
            yield status
        if page is None:
            return


async def _belongs(server: BatchServer, job: str, status: BatchStatus) -> BatchState | None:
    """Return the state of a batch if it is, or may be, one of the job."""
    if server.format.keeps_job:
        return _state(server, job, status) if status.job == job else None
    if status.ending is None:
        return replace(_state(server, job, status), is_certain=False)
    for file in status.files:
        async with aclosing(server.lines(file)) as lines:
            async for line in lines:  # the first one tells
                mine = split_id(_result(server, line).id)[0] == job
                return _state(server, job, status) if mine else None
    return None


def _result(server: BatchServer, line: bytes) -> BatchResult:
    """Decode a line of results; one that says nothing has no identifier, and hides no other."""
    try:
        return server.format.result(line)
    except BadResponseError as error:
        logger.warning("A line of the results cannot be read: %s", error)
        return BatchResult("", 0, b"")


class _Results:
    """Turns results into answers and rows."""

    def __init__(self, state: BatchState, codec: Codec, schema: Schema | None) -> None:
        self.seen: set[str] = set()
        self._state = state
        self._codec = codec
        self._schema = schema
        self._futures: set[Future[bool]] = set()

    async def take(self, identifier: str, result: BatchResult | None) -> LLMResponse | LLMClientError:
        """Record one request; `None` is one without a result."""
        self.seen.add(identifier)
        call = BatchCall(self._state, identifier, self._schema)
        error: LLMClientError | None = None
        try:
            if result is None:
                raise _without_result(self._state)
            call.read(result, self._codec)
        except LLMClientError as raised:
            error = raised
            call.fail(raised)
        response, future = call.book()
        if future is not None:
            self._futures.add(future)
        if len(self._futures) >= _GROUP:
            await self.commit()
        return response if error is None else error

    async def commit(self) -> None:
        """Wait until the rows so far are committed."""
        futures, self._futures = self._futures, set()
        for future in futures:
            await acknowledged(future)


def _without_result(state: BatchState) -> LLMClientError:
    """Return the error of a request that a batch ended without mentioning."""
    if state.ending in {"expired", "cancelled"}:
        return never_processed(state.ending)
    if state.error:
        return InvalidRequestError(f"The provider refused the whole batch: {state.error}")
    return LLMClientError("The batch ended without a result for this request.", hint="Ask it again.")


def _codec(server: BatchServer, state: BatchState) -> Codec:
    """Return the wire format of a batch's answers."""
    api = server.format.api(state.path)
    return server.endpoint.codec.chosen(Request(messages=(), model=state.model, api=api))


def _state(server: BatchServer, job: str, status: BatchStatus, ids: tuple[str, ...] = ()) -> BatchState:
    made = BatchState(
        provider=server.client.provider_name,
        model=status.model or server.client.model or "",
        job=job,
        batch=status.id,
        created=status.created,
        path=status.path,
        ids=ids,
        simulated=server.simulated,
    )
    return _updated(made, status)


def _updated(state: BatchState, status: BatchStatus) -> BatchState:
    return replace(
        state,
        expires=status.expires or state.expires,
        ending=status.ending,
        total=status.total or state.total,
        done=status.done,
        failed=status.failed,
        error=status.error,
        files=status.files,
    )
