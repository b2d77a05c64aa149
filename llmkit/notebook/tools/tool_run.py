"""A question to a model that may call tools: each step is shown in the cell, and tools run on its thread."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from llmkit import records
from llmkit.clients.registry import shared_client
from llmkit.clients.tools.execution import Job, Question
from llmkit.clients.tools.loop import Loop
from llmkit.clients.tools.run import Step
from llmkit.content.parts import Reasoning, Text
from llmkit.core.errors import BadResponseError, BudgetExceededError
from llmkit.notebook.display.error_messages import countdown
from llmkit.notebook.display.parts import one_line, signature_of
from llmkit.notebook.display.thinking import THINKING, Spoken
from llmkit.notebook.reply import ShownRun
from llmkit.notebook.single import SingleRun
from llmkit.notebook.streams import call_context, open_stream
from llmkit.notebook.tool_runs import events as events_of
from llmkit.notebook.tools.asking import ask_person
from llmkit.notebook.tools.steps import run_footer
from llmkit.notebook.tools.stream import ToolStream

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.content.messages import LLMMessage, LLMResponse
    from llmkit.content.tools import Tool
    from llmkit.notebook.cell.parser import CellRequest
    from llmkit.notebook.display.footer import Footer
    from llmkit.notebook.display.live import LiveAnswer
    from llmkit.notebook.display.parts import Beside
    from llmkit.notebook.reply import Reply
    from llmkit.notebook.request import Prompt
    from llmkit.notebook.session import Session
    from llmkit.records import CallStatus


class ToolRun(SingleRun):
    """Send a question with tools, and show the steps and the answer."""

    stream: ToolStream

    def __init__(
        self,
        session: Session,
        request: CellRequest,
        prompt: Prompt,
        model: str,
        tools: tuple[Tool | Mapping[str, Any], ...],
    ) -> None:
        self._tools = tools
        super().__init__(session, request, prompt, model)

    def run(self, *, alone: bool) -> Reply:  # noqa: ARG002 - what a tool prints stays, so the output is shared
        """Ask, show the steps as they come, and return the last answer."""
        return super().run(alone=False)

    def _open(self, further: tuple[LLMMessage, ...] = ()) -> ToolStream:
        """Prepare the run; a repair goes on with it."""
        if further:
            self.stream.loop.ask_again(further[-1])
            return self.stream
        asked = self._request
        options = dict(self._prompt.options)
        client = shared_client(str(self.name), tuple(self._session.defaults.fallback))
        loop = Loop(
            client,
            list(self._prompt.messages),
            tools=self._tools,
            max_steps=asked.max_steps or 8,
            max_cost=asked.max_cost,
            approve=True if asked.yes else None,
            options={"model": self.name.model, **options},
        )
        context = call_context(self._session, asked)
        fallback = self._session.defaults.fallback
        request = open_stream(self.name, self._prompt.messages, options, context, fallback).request
        return ToolStream(loop, request)

    def _repair(self, display: LiveAnswer, error: BadResponseError) -> Any:
        """Let the model correct its last answer, unless the run was stopped at a limit."""
        if self.stream.run.stopped != "done":
            raise error
        return super()._repair(display, error)

    def _repeated(self, first: LLMResponse | None) -> str:  # noqa: ARG002 - the footer has the sum
        return "The answer had the wrong format, so the model was asked once more."

    def _show(self, display: LiveAnswer, notice: str = "") -> None:
        """Show what happens, and do here what the run needs: answers of a person, and tools."""
        context = asdict(records.current_context()) | call_context(self._session, self._request)
        shown = _Progress(self, display, notice)
        try:
            with records.calling(**context), closing(events_of(self.stream.loop)) as events:
                for event in events:
                    shown.take(event)
        except KeyboardInterrupt:
            self.stream.run.stopped = "interrupted"
            raise
        finally:
            self.stream.end()
        run = self.stream.run
        if run.stopped == "interrupted":
            raise KeyboardInterrupt
        if run.response is None:
            raise BudgetExceededError(
                "The first request may cost more than --max-cost, so nothing was sent.",
                needed=self._request.max_cost,
                hint="Raise it, or shorten the answer with -k.",
            )

    def do(self, task: Question | Job) -> None:
        """Answer a question, or run a tool, on this thread."""
        if isinstance(task, Question):
            ask_person(task, self._session.allowed_tools)
        else:
            task.run()
            self.stream.ran(task)

    @property
    def _tool_run(self) -> ShownRun:
        return ShownRun(self.stream.run, self.stream.beside)

    def _beside(self) -> Beside:
        return self.stream.beside

    def _footer(self, status: CallStatus) -> Footer | None:
        footer = super()._footer(status)
        if footer is None:
            return None
        return run_footer(footer, self.stream.history, self.stream.run.stopped)


class _Progress:
    """Shows the events of a run in a cell."""

    def __init__(self, run: ToolRun, display: LiveAnswer, notice: str) -> None:
        self._run = run
        self._display = display
        self._notice = notice
        self._begin()

    def _begin(self) -> None:
        self._filter = Spoken()
        self._feed = self._run.feeder(self._display, silent=bool(self._notice))

    def take(self, event: object) -> None:
        """Show one event; `None` is a tick of the clock."""
        stream = self._run.stream
        if isinstance(event, Question | Job):
            self._announce(event)
            self._run.do(event)
        elif isinstance(event, Text):
            self._feed(self._filter.feed(event.text))
        elif (done := stream.note(event)) is not None:
            self._display.insert(done.html, done.text)
        elif isinstance(event, Step):
            self._feed(self._filter.rest())
            self._begin()
        thinks = isinstance(event, Reasoning) or self._filter.thinking or stream.thinking
        self._display.tick(countdown(stream.waiting) or self._notice or (THINKING if thinks else ""))

    def _announce(self, task: Question | Job) -> None:
        """Say what runs now: a tool keeps this thread, so nothing is drawn until it is over."""
        if isinstance(task, Job):
            call = signature_of(task.tool.name, task.arguments)
            self._display.tick(f"running {one_line(call, 60)}", at_once=True)
