"""Runs of a model with tools, called from Python code that waits: the tools run on the calling thread."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from llmkit.clients.tools.approval import ask_here
from llmkit.clients.tools.execution import Job, Question
from llmkit.clients.tools.run import Run, Step
from llmkit.core.bridge import bridge

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from llmkit.clients.tools.loop import Loop
    from llmkit.content.parts import Part


class Turn:
    """Something that the calling thread has to do before a run goes on."""

    def __init__(self, task: Question | Job) -> None:
        self.task = task
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()

    def end(self) -> None:
        """Let the run go on."""
        self._loop.call_soon_threadsafe(self._over.set)

    async def ended(self) -> None:
        """Wait until the task is done."""
        await self._over.wait()


def events(loop: Loop) -> Generator[Part | Step | Question | Job | None]:
    """Do a run on the bridge, and yield its events here; `None` at each tick without one.

    The caller answers a `Question` and runs a `Job` before it reads on.
    """
    with closing(bridge.stream(_in_turn(loop))) as items:
        for item in items:
            if isinstance(item, Turn):
                yield item.task
                item.end()
            else:
                yield item


async def _in_turn(loop: Loop) -> AsyncGenerator[Part | Step | Turn, None]:
    """Yield the events of a run; it waits for what others have to do. An `async` tool runs on the bridge."""
    async with aclosing(loop.events()) as items:
        async for event in items:
            if isinstance(event, Job) and inspect.iscoroutinefunction(event.tool.function):
                await event.run_async()
            elif isinstance(event, (Question, Job)):
                turn = Turn(event)
                yield turn
                await turn.ended()
                if isinstance(event, Job):
                    await event.settle()
            else:
                yield event


def run_here(loop: Loop, on_step: Callable[[Step], Any] | None = None) -> Run:
    """Do a run; tools, questions and `on_step` are called on this thread.

    An interrupt inside a tool ends the run. During a request it cancels the request and is raised, with the
    run so far as `.run`.
    """
    try:
        # No branches here: on Python 3.12 and later an interrupt between a false branch and the next event
        # skips the handler.
        for event in events(loop):
            _handle(event, on_step)
    except KeyboardInterrupt as interrupt:
        loop.run.stopped = "interrupted"
        interrupt.run = loop.run  # type: ignore[attr-defined]  # as an error of the provider has it
        raise
    return loop.run


def _handle(event: Part | Step | Question | Job | None, on_step: Callable[[Step], Any] | None) -> None:
    if isinstance(event, Question):
        ask_here(event)
    elif isinstance(event, Job):
        event.run()
    elif isinstance(event, Step) and on_step is not None:
        on_step(event)
