"""`mode="batch"`: the provider answers within a day, at half price.

The first use of a verb sends the requests and returns; rows without an answer say `pending`. Each further
use, in any process, reads what has ended. What is sent is noted before, so that a batch of a process that
died is found at the provider.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from llmkit.clients.accounting.cost_bound import cost_bound
from llmkit.clients.batches import jobs
from llmkit.clients.batches.booking import TIER
from llmkit.clients.batches.server import server_of
from llmkit.clients.batches.state import BatchRequest
from llmkit.clients.registry import shared_client
from llmkit.core.bridge import bridge
from llmkit.core.errors import (
    ConfigurationError,
    InvalidRequestError,
    LLMClientError,
    LLMTimeoutError,
    ProviderNotAvailableError,
)
from llmkit.core.money import format_money, to_nanos
from llmkit.core.timestamps import micros
from llmkit.frames.answers.encodable import encodable
from llmkit.frames.answers.location import answer_store
from llmkit.frames.answers.protocol import OK, Answer, JobRecord
from llmkit.frames.failures import kind_of, message_of
from llmkit.frames.options import TAG
from llmkit.frames.submission import OPEN, PENDING, Submission
from llmkit.records import calling, current_context
from llmkit.transport.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.clients.base import BaseLLMClient
    from llmkit.clients.batches.state import BatchState
    from llmkit.content.messages import LLMResponse
    from llmkit.frames.answers.protocol import AnswerStore
    from llmkit.frames.job import Job

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two looks at a batch that is waited for."""

EARLIER = timedelta(minutes=5)
"""How far the clocks of this machine and of the provider may differ."""

_FLUSHED = 2000
"""Answers that are handed to the store before their commit is waited for."""


class BatchMode:
    """The run of a job with `mode="batch"`.

    Args:
        job: The job, after `prepare`.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._client = job.model.client
        self._has_asked = False
        self._pending: set[bytes] = set()
        self._read: set[bytes] = set()
        self._nanos: dict[str, int] = {}

    async def run(self) -> Any:
        """Read what has ended, send what was not sent; return the frame.

        Raises:
            JobStopped: If requests cannot be sent, or one has failed and `on_error` is `"raise"`.
        """
        job = self._job
        tags = {**current_context().tags, **job.options.tags, TAG: job.label}
        try:
            await self._look()
            # What failed just now is asked again by the next use, not by this one.
            await self._ask(
                [key for key in job.wanted if key not in self._pending and key not in self._read], tags
            )
            if job.options.wait:
                await self._wait(tags)
        finally:
            self._count()
        failed = next((one for one in map(job.answers.get, self._read) if one and one.status != OK), None)
        if failed is not None and job.options.on_error == "raise":
            raise job.stopped(failed.message or failed.status, failed.status)
        return job.frame()

    async def _look(self) -> None:
        """Look at the open jobs with requests of this frame, and read the results of those that ended."""
        waited, self._pending = self._pending, set()
        for record in await in_thread(self._open):
            one = Submission.of(record)
            if one.is_being_sent:
                self._pending |= one.keys
                continue
            with calling(surface="table", tags=one.tags):
                if not one.complete:
                    await self._find(one, record)
                for place, state in enumerate(one.states):
                    if state.batch not in one.read:
                        one.states[place] = await self._updated(one, state)
            self._pending |= one.pending()
            await in_thread(self._keep, one, record)
        if elsewhere := waited - self._pending - self._read:
            await self._reread(elsewhere)
        self._count()

    async def _reread(self, keys: set[bytes]) -> None:
        """Look up what another process may have read or stored."""
        answers = self._job.answers
        for key in keys:
            answers.pop(key, None)
        answers.update(await in_thread(self._job.store.get, keys))

    def _open(self) -> list[JobRecord]:
        job = self._job
        found = [one for one in job.store.jobs() if one.mode == "batch" and one.state in OPEN]
        mine = job.requests.first.keys()
        return [one for one in found if not mine.isdisjoint(Submission.of(one).keys)]

    async def _find(self, one: Submission, record: JobRecord) -> None:
        """Find the batches of a process that died before it noted them."""
        since = datetime.fromtimestamp(record.submitted / 1_000_000, UTC) - EARLIER
        known = {state.batch for state in one.states}
        found = [state for state in await jobs.find(self._client, one.id, since) if state.batch not in known]
        one.states += [state for state in found if state.is_certain]
        if all(state.is_certain for state in found):  # else its requests may be among those that still run
            one.end()

    async def _updated(self, one: Submission, state: BatchState) -> BatchState:
        """Return a batch's state; read its results if it has ended."""
        state = await jobs.look(self._client, state)
        if state.ending is not None:
            await self._take(one, state)
            one.read.add(state.batch)
        return state

    async def _take(self, one: Submission, state: BatchState) -> None:
        """Put the results of a batch into the store."""
        job, count = self._job, 0
        schema = job.question.schema
        async with aclosing(jobs.results(self._client, state, schema=schema)) as results:
            async for identifier, result in results:
                key = bytes.fromhex(identifier)
                answer = self._answer(key, result, state)._replace(job=one.id)
                job.store.put(answer)
                job.answers[key] = answer
                self._read.add(key)
                self._nanos[one.id] = self._nanos.get(one.id, 0) + (answer.cost_nanos or 0)
                count += 1
                if count % _FLUSHED == 0:
                    await self._flush()
        await self._flush()

    def _answer(self, key: bytes, result: LLMResponse | LLMClientError, state: BatchState) -> Answer:
        if isinstance(result, LLMClientError):
            late = state.ending in {"expired", "cancelled"} and result.retryable and not result.status_code
            kind = str(state.ending) if late else kind_of(result)
            answer = Answer(key, kind, text=result.partial, error=message_of(result))
        else:
            answer = self._job.question.read(result)
        now, most = micros(datetime.now(UTC)), self._job.model.max_tokens
        return encodable(answer._replace(key=key, time=now, max_tokens=most))

    async def _flush(self) -> None:
        store = self._job.store
        if not await in_thread(store.flush):
            raise ConfigurationError(
                store.problem or f"Cannot write the answers to {store.name}.",
                hint="Free space and run the cell again: the provider keeps the results for some days.",
            )

    async def _ask(self, asked: list[bytes], tags: dict[str, str]) -> None:
        """Send requests, but for those that another job sends at this moment."""
        if not asked:
            return
        # What is sent later, in place of a process that died, is a job of its own.
        store, identifier = self._job.store, os.urandom(8).hex() if self._has_asked else self._job.id
        self._has_asked = True
        try:
            claimed = await in_thread(store.claim, asked, identifier)
            unsent = await self._unsent(asked, claimed)
            if unsent:
                with calling(surface="table", tags=tags):
                    await self._send(identifier, unsent, tags)
        finally:
            await in_thread(store.release, identifier)

    async def _unsent(self, asked: list[bytes], claimed: set[bytes]) -> list[bytes]:
        """Return the claimed requests that no job has sent between the look at the jobs and the claim."""
        job = self._job
        sent = {key for record in await in_thread(self._open) for key in Submission.of(record).pending()}
        found = await in_thread(job.store.get, claimed - sent)
        read = {key: one for key, one in found.items() if one != job.answers.get(key)}
        job.answers.update(read)
        self._pending |= {key for key in asked if key not in claimed or key in sent}
        return [key for key in asked if key not in self._pending and key not in read]

    async def _send(self, identifier: str, asked: list[bytes], tags: dict[str, str]) -> None:
        """Send requests, as many as `max_cost` allows."""
        job = self._job
        affordable = asked if job.options.max_cost is None else list(self._affordable(asked))
        one = Submission(id=identifier, place=self._client.place, tags=tags, keys=frozenset(affordable))
        if affordable:
            await self._submit(one, affordable)
        if len(affordable) < len(asked):
            most = format_money(job.options.max_cost)
            raise job.stopped(
                f"max_cost of {most} is enough for {len(affordable):,} of {len(asked):,} requests",
                "max_cost",
                hint="Raise max_cost, or lower max_tokens.",
            )

    async def _submit(self, one: Submission, asked: list[bytes]) -> None:
        job = self._job
        record = self._record(one)
        await in_thread(self._keep, one, record)  # before anything leaves
        try:
            async with aclosing(jobs.submit(self._client, one.id, self._requests(asked))) as states:
                async for state in states:
                    one.states.append(state)
                    await in_thread(self._keep, one, record)
        except LLMClientError as error:
            if not _may_exist(error):
                one.end()
                await in_thread(self._keep, one, record)
            self._pending |= one.pending()
            self._count()
            raise job.stopped(error.message, type(error).__name__, hint=error.hint) from error
        one.end()
        await in_thread(self._keep, one, record)
        self._pending |= one.pending()
        self._count()

    def _requests(self, asked: list[bytes]) -> Iterator[BatchRequest]:
        job = self._job
        for key in asked:
            yield BatchRequest(id=key.hex(), messages=job.requests.messages(key), options=job.model.options)

    def _affordable(self, asked: list[bytes]) -> Iterator[bytes]:
        """Yield the first requests whose maximal costs fit into `max_cost` together."""
        job = self._job
        left, now = to_nanos(job.options.max_cost or 0), datetime.now(UTC)
        for key in asked:
            request = self._client.prepared(job.requests.messages(key), **job.model.options)
            most = cost_bound(request, job.model.provider, when=now, tier=TIER).nanos
            if most is None or most > left:
                return
            left -= most
            yield key

    async def _wait(self, tags: dict[str, str]) -> None:
        """Look again and again until nothing is pending."""
        pause = FIRST_PAUSE
        while waited := self._pending:
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            await self._look()
            # A process that was about to send them has died.
            await self._ask([key for key in waited - self._pending if key not in self._job.answers], tags)

    def _count(self) -> None:
        """Say of the rows that are pending that they are, and count the others."""
        job, counts = self._job, self._job.requests.counts
        for key in self._pending & counts.keys():
            job.answers[key] = Answer(key, PENDING)
        ended = [one for key, one in job.answers.items() if key in counts and one.status != PENDING]
        progress = job.progress
        progress.pending = sum(counts[key] for key in self._pending & counts.keys())
        progress.done = progress.rows - sum(counts.values()) + sum(counts[one.key] for one in ended)
        progress.failed = len(job.requests.errors) + sum(counts[one.key] for one in ended if one.status != OK)
        progress.nanos = sum(self._nanos.values())
        progress.asked = len(self._read)

    def _record(self, one: Submission) -> JobRecord:
        job, now = self._job, micros(datetime.now(UTC))
        return JobRecord(
            id=one.id,
            label=job.label,
            verb=job.question.verb,
            mode="batch",
            provider=job.model.provider,
            model=job.model.request.model,
            state=one.state,
            rows=sum(job.requests.counts[key] for key in one.keys),
            submitted=now,
            changed=now,
        )

    def _keep(self, one: Submission, record: JobRecord) -> None:
        """Write what is known of a job; blocks."""
        counted = replace(
            record,
            done=record.rows if one.complete and not one.unread else 0,
            failed=sum(self._job.answers[key].status != OK for key in self._read & one.keys),
            cost_nanos=self._nanos.get(one.id, record.cost_nanos),
        )
        keep(self._job.store, one, counted)


def keep(store: AnswerStore, one: Submission, record: JobRecord) -> None:
    """Write a job's record with the state of its batches."""
    now = micros(datetime.now(UTC))
    store.save(replace(record, state=one.state, changed=now, expires=one.expires, state_json=one.text()))


def check(client: BaseLLMClient, *, stored: bool) -> None:
    """Check that a model can be asked in batches.

    Raises:
        InvalidRequestError: If its provider has no Batch API, or nothing is kept.
    """
    server_of(client)
    if not stored:
        raise InvalidRequestError(
            'mode="batch" needs the store of answers: the results come later.', hint="Leave store=False out."
        )


def _may_exist(error: LLMClientError) -> bool:
    """Whether the provider may have made a batch all the same; the next use asks it then."""
    return error.status_code is None and isinstance(error, (ProviderNotAvailableError, LLMTimeoutError))


def cancel(job: str) -> None:
    """Cancel a job that runs in batches.

    What was answered before is paid; the next use of the verb reads it, and asks again for the rest.

    Args:
        job: The job's `id`, from `jobs()`.

    Raises:
        InvalidRequestError: If there is no such job, or it is not a batch that runs.
        LLMClientError: If the provider does not answer.

    Example:
        ```python
        running = llmkit.frames.jobs().query("state == 'pending'")
        for job in running["id"]:
            llmkit.frames.cancel(job)
        ```
    """
    store = answer_store()
    record = next((one for one in store.jobs() if one.id == job), None)
    if record is None:
        raise InvalidRequestError(f"There is no job {job!r:.40}.", hint="llmkit.frames.jobs() lists them.")
    if record.mode != "batch" or record.state not in OPEN:
        raise InvalidRequestError(
            f"The job {record.label!r:.60} is no batch that runs: {record.state}.", hint=""
        )
    bridge.run(_cancel(store, record))


async def _cancel(store: AnswerStore, record: JobRecord) -> None:
    one = Submission.of(record)
    client = shared_client(f"{record.provider}:{record.model}")
    for place, state in enumerate(one.states):
        if state.ending is None:
            one.states[place] = await jobs.cancel(client, state)
    await in_thread(keep, store, one, record)
