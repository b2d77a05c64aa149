"""One call of a tool: is it known, are its arguments right, may it run, what does it return."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import signal
import threading
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeAlias

from llmkit.clients.tools.results import failed, raised, result_of
from llmkit.content.parts import ToolCall, ToolResult, json_text
from llmkit.core.errors import InvalidRequestError
from llmkit.core.suggestions import did_you_mean
from llmkit.hooks import tool_span

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator, Mapping

    from llmkit.content.tools import Tool
    from llmkit.hooks import ToolSpan

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
        span: Its span, if it is traced.
    """

    tool: Tool
    arguments: Mapping[str, Any]
    value: Any = None
    error: BaseException | None = field(default=None, repr=False)
    span: ToolSpan | None = field(default=None, repr=False)

    def run(self) -> None:
        """Run a plain function on this thread, within its time if that is the main one."""
        try:
            with self._traced(), _alarm(self.tool):
                self.value = self.tool.function(**self.arguments)
                if inspect.isgenerator(self.value):
                    self.value = list(self.value)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - a tool's mistake goes to the model
            self.error = error
        except BaseException as error:  # noqa: BLE001 - `sys.exit` in a tool must not end the program
            self.error = _harmless(error)

    async def run_async(self) -> None:
        """Run the function: an `async` one here, within its time, a plain one in a thread.

        One with a method `run_async` has both forms: it runs where it can be cancelled.
        """
        both = getattr(self.tool.function, "run_async", None)
        if inspect.iscoroutinefunction(both):
            self.value = both(**self.arguments)
        elif inspect.iscoroutinefunction(self.tool.function):
            self.run()  # which only makes the coroutine
        else:
            await self._in_thread()
        await self.settle()

    async def settle(self) -> None:
        """Wait for the value of a function that returned an awaitable, within the tool's time."""
        if self.error is not None or not inspect.isawaitable(self.value):
            return
        try:
            with self._traced():
                async with asyncio.timeout(self.tool.timeout) as limit:
                    self.value = await self.value
        except TimeoutError as error:
            self.error = _too_slow(self.tool) if limit.expired() else error
        except Exception as error:  # noqa: BLE001 - as above
            self.error = error
        except (SystemExit, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # somebody else cancels the run
                raise
            self.error = _harmless(error)

    def _traced(self) -> contextlib.AbstractContextManager[object]:
        """Make its span the current one where it runs."""
        return contextlib.nullcontext() if self.span is None else self.span.current()

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
        run: Identifier of the run.

    Raises:
        InvalidRequestError: If `approve` is something else.
    """

    def __init__(self, tools: Mapping[str, Tool], approve: Approval, run: str = "") -> None:
        if not (approve is None or isinstance(approve, bool) or callable(approve)):
            raise InvalidRequestError(f"approve must be True, False or a function, got {approve!r:.40}.")
        self._tools = tools
        self._approve = approve
        self._run_uid = run
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
                call, decided = _edited(call, decided), True
            approved = decided is True
            if not approved:
                refusal = "The user did not allow this call."
                self.done = Executed(call, failed(call, refusal), approved=False, error=refusal)
                return
        async with contextlib.aclosing(self._run(call, tool, approved=approved)) as jobs:
            async for job in jobs:
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
        if not isinstance(given, bool | ToolCall):  # e.g. "no", the truthy answer of `input`
            raise InvalidRequestError(f"approve must return True, False or a ToolCall, got {given!r:.40}.")
        return given

    async def _run(self, call: ToolCall, tool: Tool, *, approved: bool | None) -> AsyncGenerator[Job, None]:
        try:
            arguments = tool.validated(call.arguments)
        except ValueError as error:
            problem = f"Invalid arguments: {error}"
            self.done = Executed(call, failed(call, problem), approved=approved, error=problem)
            return
        span, begun = tool_span(self._run_uid, call), perf_counter()
        job = Job(tool, arguments, span=span)
        result: ToolResult | None = None
        try:
            yield job
            seconds, failure = perf_counter() - begun, job.error
            if failure is None:
                result = result_of(call, job.value, tool.max_result)
            elif isinstance(failure, KeyboardInterrupt):
                result = failed(call, "The user interrupted the tool.")
            else:
                result = raised(call, failure)
        finally:
            if span is not None:
                span.end("" if result is None else result.content, job.error)
        self.done = Executed(
            call,
            result,
            approved=approved,
            seconds=seconds,
            error=result.content if result.is_error else "",
            interrupted=isinstance(failure, KeyboardInterrupt),
        )


def _edited(call: ToolCall, given: ToolCall) -> ToolCall:
    """Return a call with the arguments that somebody gave it.

    Raises:
        InvalidRequestError: If it is a call of another tool, whose approval nobody checked.
    """
    if given.name != call.name:
        raise InvalidRequestError(
            f"approve returned a call of {given.name!r:.80} instead of {call.name!r:.80}.",
            hint="Change the arguments only, or return False.",
        )
    if given.raw != call.raw and given.arguments == call.arguments:  # `replace(call, raw=…)`
        return replace(call, arguments=None, raw=given.raw)
    raw = given.raw if given.arguments is None else json_text(given.arguments)
    return replace(call, arguments=given.arguments, raw=raw)


def _harmless(error: BaseException) -> RuntimeError:
    return RuntimeError(f"{type(error).__name__}: {error}".rstrip(": "))


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
