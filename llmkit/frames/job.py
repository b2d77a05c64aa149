"""One use of a verb: from the rows of a frame to its new columns."""

from __future__ import annotations

import os
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmkit.clients.accounting.accounting import ended
from llmkit.clients.limiter import answered, limiter_of
from llmkit.core import processes
from llmkit.core.errors import ConfigurationError, LLMClientError
from llmkit.core.money import to_nanos
from llmkit.core.timestamps import micros
from llmkit.frames.answers.encodable import encodable
from llmkit.frames.answers.location import MEMORY, answer_store
from llmkit.frames.answers.protocol import OK, UNANSWERED, Answer, JobRecord
from llmkit.frames.asked_model import AskedModel
from llmkit.frames.cost_wall import CostWall, MaxCostReachedError, SharedCostWall, walled
from llmkit.frames.failures import STOPS, Refusals, kind_of, message_of
from llmkit.frames.options import TAG
from llmkit.frames.progress import Progress
from llmkit.frames.prompts import Prompt, Prompts
from llmkit.frames.requests import Requests
from llmkit.frames.results import Layout
from llmkit.frames.shared_job import SharedRequests, current_shared_job
from llmkit.frames.stopped import AGAIN, UNSTORED, JobStopped
from llmkit.frames.table import Table
from llmkit.hooks import job_span
from llmkit.records import calling, current_context, recording_to
from llmkit.transport.threads import in_thread

if TYPE_CHECKING:
    from llmkit.frames.options import Options
    from llmkit.frames.question import Question


class Job:
    """One use of a verb; making it checks everything and sends nothing.

    Args:
        frame: The frame.
        prompt: What to send for each row.
        question: What the verb asks.
        options: Its options.

    Raises:
        InvalidRequestError: If the frame, the prompt or an option is not possible.
        ConfigurationError: If there is no such model.
    """

    def __init__(self, frame: Any, prompt: Prompt, question: Question, options: Options) -> None:
        self.id = os.urandom(8).hex()
        self.shared = current_shared_job()
        self.options = options
        self.question = question
        self.table = Table(frame)
        self.layout = Layout(self.table, question, options)
        self.prompts = Prompts(self.table, prompt, options.system, options.attach)
        self.model = AskedModel(options, question)
        self.label = options.job or _label(question.verb, question.prefix(options.out))
        self.store = answer_store(options.store)
        self.answers: dict[bytes, Answer] = {}
        rows = len(self.table) if options.limit is None else min(options.limit, len(self.table))
        self.progress = Progress(rows=rows)
        self._begun = _now()

    def prepare(self) -> None:
        """Make the rows' requests, and look up which of them are answered; blocks.

        Raises:
            ConfigurationError: If the store cannot be used.
        """
        self.requests = Requests(
            self.prompts,
            self.question.messages,
            self.model.keys,
            rows=self.progress.rows,
            dedupe=self.options.dedupe,
        )
        self.answers = self.store.get(self.requests.first)
        self.wanted = [key for key in self.requests.first if self._asks(self.answers.get(key))]
        self._count()
        self.progress.simulated = bool(getattr(self.model.client, "simulated", False))
        limited = self.options.max_cost is not None and self.options.mode != "batch"
        self.progress.unlimited = self.progress.simulated and limited

    def _count(self) -> None:
        """Count what is done before anything is asked."""
        counts, wanted = self.requests.counts, set(self.wanted)
        kept = [key for key, one in self.answers.items() if one.status != OK and key not in wanted]
        self.progress.requests = len(self.wanted)
        self.progress.done = self.progress.rows - sum(counts[key] for key in self.wanted)
        self.progress.failed = sum(counts[key] for key in kept)
        self.progress.failed += len(self.requests.errors)

    def _asks(self, answer: Answer | None) -> bool:
        """Whether to ask for something that may have been answered before."""
        again = self.options.retry_failed
        if answer is None:
            return True
        if answer.status == OK:
            return not self.question.is_enough(answer)
        if answer.status == "length" and (answer.max_tokens or 0) < self.model.max_tokens:
            return True
        return again == "all" or (again is True and answer.status in UNANSWERED)

    async def run(self) -> Any:
        """Ask for what is wanted; return the frame.

        Raises:
            JobStopped: If the job ends before its last row.
        """
        with job_span(self.label):
            return await self._run()

    async def _run(self) -> Any:
        if self.options.mode == "batch":
            from llmkit.frames.batch_mode import BatchMode

            return await BatchMode(self).run()
        if self.wanted:
            state = "stopped"
            await self._begin()
            try:
                await self._ask_all()
                state = "done"
            finally:
                with suppress(
                    ConfigurationError
                ):  # the answers are what counts, and the job says what failed
                    await in_thread(self._save, state)
        return self.frame()

    async def _begin(self) -> None:
        """Note that the job runs; a store that cannot be written stops it before anything is sent."""
        try:
            await in_thread(self._save, "running")
        except ConfigurationError as error:
            raise self.stopped(error.message, type(error).__name__, hint=error.hint) from error

    def frame(self) -> Any:
        """Return the frame with what is answered so far."""
        return self.layout.frame(self.requests, self.answers)

    async def _ask_all(self) -> None:
        if self.shared is None:
            await self._ask_some(self.wanted, self._wall())
            return
        wall = self._wall()
        requests = SharedRequests(self.store, self.id, self.answers)
        try:
            await requests.ask(self.wanted, lambda keys: self._ask_some(keys, wall), self._take)
        finally:
            if isinstance(wall, SharedCostWall):
                await in_thread(wall.close)

    def _wall(self) -> CostWall | SharedCostWall | None:
        if self.options.max_cost is None:
            return None
        most = to_nanos(self.options.max_cost)
        if self.shared is None:
            return CostWall(most)
        if self.store.name == MEMORY and self.shared.owner != processes.owner():
            raise self.stopped(
                "max_cost over several processes needs a ledger in a file",
                "max_cost",
                hint="Set LLMKIT_LEDGER.",
            )
        return SharedCostWall(self.store, self.shared.id, most)

    def _take(self, answer: Answer) -> None:
        """Count an answer that another part of the job has asked for."""
        rows = self.requests.counts[answer.key]
        self.progress.requests -= 1
        self.progress.done += rows
        self.progress.failed += rows if answer.status != OK else 0

    async def _ask_some(self, keys: list[bytes], wall: CostWall | SharedCostWall | None) -> None:
        limiter = limiter_of(self.model.client, self.model.request.model, self.options.max_concurrent)
        self.progress.in_flight = lambda: limiter.in_flight
        self.progress.pause = lambda: limiter.server.pause
        refusals, reason = Refusals(), None
        labels = {**current_context().tags, **self.options.tags, TAG: self.label}
        recorder = None if wall is None else walled(wall)
        with calling(surface="table", tags=labels), recording_to(recorder):
            async with aclosing(answered(keys, self._ask, limiter=limiter)) as results:
                async for key, result in results:
                    reason = await self._reason_to_stop(key, result, refusals)
                    if reason is not None:
                        break
        if reason is not None:  # only now, because calls under way may have been answered meanwhile
            word = "max_cost" if isinstance(reason, MaxCostReachedError) else type(reason).__name__
            raise self.stopped(reason.message, word, hint=reason.hint) from reason

    async def _reason_to_stop(
        self, key: bytes, result: tuple[Answer, Exception | None] | Exception, refusals: Refusals
    ) -> LLMClientError | None:
        """Return why the job has to stop after this result; `None` if it goes on."""
        if isinstance(result, LLMClientError):
            return result
        if isinstance(result, Exception):  # a client of another package raises what it likes
            answer = await self._stored(Answer(key, kind_of(result), error=message_of(result)))
            error: Exception | None = result
        else:
            answer, error = result
        if self.options.on_error == "raise" and answer.status != OK:
            return (
                error if isinstance(error, LLMClientError) else LLMClientError(answer.message or "", hint="")
            )
        return error if refusals.note(error) and isinstance(error, LLMClientError) else None

    async def _ask(self, key: bytes) -> tuple[Answer, Exception | None]:
        """Ask for one request and store what came of it; raise what would fail for each row."""
        error: Exception | None = None
        messages = (
            await in_thread(self.requests.messages, key)
            if self.prompts.reads_files
            else self.requests.messages(key)
        )
        try:
            answer = await self.question.ask(self.model.client, messages, self.model.options)
        except STOPS:
            raise
        except LLMClientError as failed:
            error = failed
            answer = Answer(key, kind_of(failed), text=failed.partial, error=message_of(failed))
        return await self._stored(answer._replace(key=key)), error

    async def _stored(self, answer: Answer) -> Answer:
        """Store an answer, and only then count it; if it cannot be written, the job keeps it and stops."""
        answer = encodable(answer._replace(time=_now(), job=self.id, max_tokens=self.model.max_tokens))
        future = self.store.put(answer)
        if not future.done():
            await ended(future)
        self.answers[answer.key] = answer
        self.progress.note(answer, self.requests.counts[answer.key])
        if not future.result():
            raise ConfigurationError(
                self.store.problem or f"Cannot write the answers to {self.store.name}.",
                hint="Free space, or use store=False, which keeps nothing.",
            )
        self.requests.forget(answer.key)
        return answer

    def stopped(
        self, why: str, reason: str, *, hint: str = "", kind: type[JobStopped] = JobStopped
    ) -> JobStopped:
        """Return the exception of a job that ends now."""
        again = AGAIN if self.options.store is not False else UNSTORED
        after = f"Stopped after {self.progress.done:,} of {self.progress.rows:,} rows: {why.rstrip('.:')}."
        return kind(after, frame=self.frame(), reason=reason, hint=f"{hint} {again}".strip())

    def _save(self, state: str) -> None:
        progress = self.progress
        self.store.save(
            JobRecord(
                id=self.id,
                label=self.label,
                verb=self.question.verb,
                mode=self.options.mode,
                provider=self.model.provider,
                model=self.model.request.model,
                state=state,
                rows=progress.rows,
                done=progress.done,
                failed=progress.failed,
                submitted=self._begun,
                changed=_now(),
                cost_nanos=progress.nanos if progress.exact else None,
            )
        )


def _label(verb: str, prefix: str) -> str:
    return verb if prefix == verb else f"{verb} {prefix}"


def _now() -> int:
    return micros(datetime.now(UTC))
