"""Several models asked at once: their pieces of text as one stream."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from llmkit.core.errors import LLMClientError
from llmkit.notebook.display.error_messages import foreign
from llmkit.notebook.display.footer import outcome_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from llmkit.clients.registry import ModelName
    from llmkit.clients.stream import TextStream
    from llmkit.content.messages import LLMResponse
    from llmkit.records import CallStatus

TICK = 0.08
"""Seconds between two looks at the clock while nothing arrives."""


class Step(NamedTuple):
    """What happened in one run."""

    run: int  # index of the run
    text: str = ""
    over: bool = False
    error: BaseException | None = None


@dataclass(slots=True, kw_only=True)
class ModelRun:
    """One model of a comparison."""

    label: str  # as the user named it
    name: ModelName
    stream: TextStream | None = None  # `None` if its client could not be created
    error: LLMClientError | None = None
    over: bool = False  # ended without being stopped

    def end(self, error: BaseException | None) -> None:
        """Note that it ended, and why; another package's client may have raised anything."""
        self.over = True
        if error is None or isinstance(error, LLMClientError):
            self.error = error
        else:
            self.error = foreign(error, self.name.provider)

    @property
    def status(self) -> CallStatus:
        """How it ended; what was still under way counts as cancelled."""
        if self.error is not None:
            return "error"
        whole = self.stream is not None and self.stream.response is not None
        return "ok" if self.over or whole else "cancelled"

    @property
    def text(self) -> str:
        """The text so far."""
        return "" if self.stream is None else self.stream.text

    @property
    def outcome(self) -> LLMResponse | None:
        """The answer as far as it came, once it is over; `None` if nothing was sent."""
        return None if self.stream is None else outcome_of(self.stream)


async def merge_streams(runs: Sequence[ModelRun]) -> AsyncGenerator[Step | None, None]:
    """Yield the steps of all runs as they happen."""
    steps: asyncio.Queue[Step] = asyncio.Queue()
    running = [(number, run.stream) for number, run in enumerate(runs) if run.stream is not None]
    tasks = [_start(number, stream, steps) for number, stream in running]
    left = len(tasks)
    try:
        while left:
            try:
                # Python 3.11's `wait_for` ignores a cancellation that comes together with the item.
                async with asyncio.timeout(TICK):
                    step = await steps.get()
            except TimeoutError:
                yield None
                continue
            left -= step.over
            yield step
    finally:
        for task in tasks:
            task.cancel()
        # Cancelled calls still close their connections and write their rows.
        await asyncio.gather(*tasks, return_exceptions=True)


def _start(number: int, stream: TextStream, steps: asyncio.Queue[Step]) -> asyncio.Task[None]:
    async def move() -> None:
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                steps.put_nowait(Step(number, piece))

    def done(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            steps.put_nowait(Step(number, over=True, error=task.exception()))

    task = asyncio.create_task(move())
    task.add_done_callback(done)
    return task
