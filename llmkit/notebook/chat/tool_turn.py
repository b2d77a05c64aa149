"""An answer of a chat with tools: what it waits for, and its steps as they come."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from llmkit import records
from llmkit.clients.tools.execution import Job, Question
from llmkit.clients.tools.run import Step
from llmkit.content.parts import Reasoning, Text
from llmkit.notebook.display.parts import one_line, signature_of
from llmkit.notebook.display.thinking import THINKING, Spoken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from llmkit.notebook.chat.feed import Feed
    from llmkit.notebook.tools.executors import Executor
    from llmkit.notebook.tools.stream import ToolStream

PATIENCE = 2.0
"""Seconds that a stopped tool has to end."""


class ToolTurn:
    """Does one run on the bridge's event loop, and shows it while it goes on.

    Args:
        stream: The run.
        feed: Shows its text and its steps.
        executor: Runs its tools.
        ask: Lets a person answer a question.
    """

    def __init__(
        self,
        stream: ToolStream,
        feed: Feed,
        executor: Executor,
        ask: Callable[[Question], Awaitable[None]],
    ) -> None:
        self.stream = stream
        self._feed = feed
        self._executor = executor
        self._ask = ask
        self._filter = Spoken()
        self._thinks = False
        self._stop = asyncio.Event()
        self._doing = ""

    @property
    def notice(self) -> str:
        """What the status line says at present."""
        thinks = self._thinks or self._filter.thinking or self.stream.thinking
        return self._doing or (THINKING if thinks else "")

    def stop(self) -> bool:
        """Stop the tool or the question that the run waits for; `False` if it waits for the model."""
        if not self._doing:
            return False
        self.stream.run.stopped = "interrupted"
        self._stop.set()
        return True

    async def read(self, context: Mapping[str, Any]) -> None:
        """Do the run to its end.

        Args:
            context: That of `records.calling` for its requests.

        Raises:
            LLMClientError: If a request fails.
            CancelledError: If it was stopped.
        """
        run = self.stream.run
        try:
            with records.calling(**context):
                async with aclosing(self.stream.loop.events()) as events:
                    async for event in events:
                        await self._take(event)
        except asyncio.CancelledError:
            run.stopped = "interrupted"
            raise
        finally:
            self.stream.end()
        if run.stopped == "interrupted":
            raise asyncio.CancelledError

    async def _take(self, event: object) -> None:
        if isinstance(event, Question):
            await self._wait("waiting for your answer", self._ask(event))
        elif isinstance(event, Job):
            await self._run(event)
        elif isinstance(event, Text):
            self._feed.feed(self._filter.feed(event.text))
        elif (done := self.stream.note(event)) is not None:
            self._feed.insert(done.html)
        elif isinstance(event, Step):
            self._feed.feed(self._filter.rest())
            self._filter = Spoken()
        self._thinks = isinstance(event, Reasoning)

    async def _run(self, job: Job) -> None:
        call = one_line(signature_of(job.tool.name, job.arguments), 60)
        if await self._wait(f"running {call}", self._executor.run(job)):
            self.stream.ran(job)
        else:
            job.error = KeyboardInterrupt()

    async def _wait(self, doing: str, work: Awaitable[None]) -> bool:
        """Wait for a tool or a person; returns whether it came to its end, and was not stopped."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self._stop.wait())
        self._doing = doing
        try:
            await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._doing = ""
            stop.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait([task], timeout=PATIENCE)
        if self._stop.is_set():
            return False
        await task
        return True
