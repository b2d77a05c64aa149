"""One call of a tool: is it known, are its arguments right, may it run, what does it return."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import signal
import threading
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

from llmkit.clients.tools.results import failed, raised, result_of
from llmkit.content.parts import ToolCall, ToolResult
from llmkit.core.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping

    from llmkit.content.tools import Tool

logger = logging.getLogger("llmkit.tools")


Approval: TypeAlias = "bool | Callable[[ToolCall], Any] | None"
"""Answers for all calls that need approval, or decides on each; `None` asks."""


class ToolTimeoutError(Exception):
    """A tool took longer than it may."""


@dataclass(slots=True)
class Question:
    """Asks a person whether a call may run; whoever reads the events of a run answers.

    Attributes:
        call: The call, as it will run.
        tool: The tool.
        answer: `True` to run it, `False` to refuse, or a changed call.
    """

    call: ToolCall
    tool: Tool
    answer: bool | ToolCall = False


@dataclass(slots=True)
class Job:
    """A tool to run; whoever reads the events of a run calls `run` where the tool belongs.

    Attributes:
        tool: The tool.
        arguments: Its arguments, checked.
        value: What it returned.
        error: What it raised.
    """

    tool: Tool
    arguments: Mapping[str, Any]
    value: Any = None
    error: BaseException | None = field(default=None, repr=False)

    def run(self) -> None:
        """Run a plain function on this thread, within its time if that is the main one."""
        try:
            with _alarm(self.tool):
                self.value = self.tool.function(**self.arguments)
        except KeyboardInterrupt as error:
            self.error = error
        except SystemExit as error:
            self.error = RuntimeError(f"SystemExit: {error}")
        except Exception as error:  # noqa: BLE001 - a tool's mistake goes to the model
            self.error = error

    async def run_async(self) -> None:
        """Run the function: an `async` one here, within its time, a plain one in a thread.

        One with a method `run_async` has both forms: it runs where it can be cancelled.
        """
        function = getattr(self.tool.function, "run_async", self.tool.function)
        if not inspect.iscoroutinefunction(function):
            await self._in_thread()
            return
        try:
            async with asyncio.timeout(self.tool.timeout):
                self.value = await function(**self.arguments)
        except TimeoutError:
            self.error = _too_slow(self.tool)
        except Exception as error:  # noqa: BLE001 - as above
            self.error = error

    async def _in_thread(self) -> None:
        work = asyncio.ensure_future(asyncio.to_thread(self.run))
        done, _ = await asyncio.wait([work], timeout=self.tool.timeout)
        if not done:
            logger.warning(
                "The tool %s runs for more than %g s; a thread cannot be stopped, so the run waits for it.",
                self.tool.name,
                self.tool.timeout,
            )
        await work


@dataclass(slots=True)
class Executed:
    """A call that was dealt with.

    Attributes:
        call: The call as it ran: a person may have changed it.
        result: What the model gets.
        approved: Whether somebody allowed it; `None` if nobody had to.
        seconds: How long it took.
        error: Why there is no proper result; `""` if there is.
        interrupted: Whether a person interrupted it.
        recorded: Whether the result comes from a recording.
    """

    call: ToolCall
    result: ToolResult
    approved: bool | None = None
    seconds: float = 0.0
    error: str = ""
    interrupted: bool = False
    recorded: bool = False


class Execution:
    """Deals with the calls of one run.

    Args:
        tools: The tools, by name.
        approve: Answers for all calls that need approval, or decides on each; `None` asks by a `Question`.
    """

    def __init__(self, tools: Mapping[str, Tool], approve: Approval) -> None:
        self._tools = tools
        self._approve = approve
        self.done: Executed | None = None

    async def execute(self, call: ToolCall) -> AsyncGenerator[Question | Job, None]:
        """Deal with one call; yields what others have to do for it, and leaves the outcome in `done`."""
        tool, problem = self._tools.get(call.name), ""
        if tool is None:
            others = f"The tools are: {', '.join(self._tools)}."
            problem = f"There is no tool {call.name!r:.80}. {did_you_mean(call.name, self._tools, others)}"
        elif call.arguments is None:
            problem = "The arguments are not a JSON object."
        if tool is None or problem:
            self.done = Executed(call, failed(call, problem), error=problem)
            return
        approved: bool | None = None
        if tool.approve != "never":
            question = Question(call, tool)
            decided = await self._decided(question)
            if decided is None:
                yield question
                decided = question.answer
            if isinstance(decided, ToolCall):
                call, decided = decided, True
            approved = bool(decided)
            if not approved:
                refusal = "The user did not allow this call."
                self.done = Executed(call, failed(call, refusal), approved=False, error=refusal)
                return
        async for job in self._run(call, tool, approved=approved):
            yield job

    async def _decided(self, question: Question) -> bool | ToolCall | None:
        """Return what was decided beforehand; `None` if a person has to be asked."""
        rule, answer = question.tool.approve, self._approve
        if answer is None and callable(rule):
            answer = rule
        if answer is True and rule == "person":
            return None
        if answer is None or isinstance(answer, bool):
            return answer
        given = answer(question.call)
        if inspect.isawaitable(given):
            given = await given
        return given if isinstance(given, ToolCall) else bool(given)

    async def _run(self, call: ToolCall, tool: Tool, *, approved: bool | None) -> AsyncGenerator[Job, None]:
        try:
            arguments = tool.validated(call.arguments or {})
        except ValueError as error:
            problem = f"Invalid arguments: {error}"
            self.done = Executed(call, failed(call, problem), approved=approved, error=problem)
            return
        job, begun = Job(tool, arguments), perf_counter()
        yield job
        seconds = perf_counter() - begun
        failure = job.error
        if failure is None:
            result = result_of(call, job.value, tool.max_result)
        elif isinstance(failure, KeyboardInterrupt):
            result = failed(call, "The user interrupted the tool.")
        else:
            result = raised(call, failure)
        self.done = Executed(
            call,
            result,
            approved=approved,
            seconds=seconds,
            error=result.content if result.is_error else "",
            interrupted=isinstance(failure, KeyboardInterrupt),
        )


def _too_slow(tool: Tool) -> ToolTimeoutError:
    return ToolTimeoutError(f"The tool {tool.name} took more than {tool.timeout:g} s and was stopped.")


@contextlib.contextmanager
def _alarm(tool: Tool) -> Iterator[None]:
    """Stop a tool that takes too long, where a signal can: on the main thread of a Unix system."""
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer") or signal.getitimer(signal.ITIMER_REAL)[0]:
        yield
        return

    def ring(*_: object) -> None:
        raise _too_slow(tool)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, tool.timeout)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
