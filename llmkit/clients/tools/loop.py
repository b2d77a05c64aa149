"""The loop: ask the model, run the tools that it calls, give it the results, until it is done."""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING, Any

from llmkit.clients.cassettes.replay import current_mode
from llmkit.clients.tools.execution import Approval, Executed, Execution, Job, Question
from llmkit.clients.tools.memory import Memory
from llmkit.clients.tools.results import failed
from llmkit.clients.tools.run import Run, Step
from llmkit.content.messages import LLMMessage, LLMResponse
from llmkit.content.tools import Tool, tools_of
from llmkit.core.errors import BudgetExceededError, InvalidRequestError, LLMClientError
from llmkit.core.money import to_nanos
from llmkit.hooks import run_span
from llmkit.providers.choices import AUTO_CACHE
from llmkit.records import calling, current_context

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    from llmkit.clients.stream import TextStream
    from llmkit.clients.tools.runner import ToolRunner
    from llmkit.content.parts import Part, ToolCall, ToolResult

REPEATED = 3
"""Answers in a row with the same calls that end a run."""


def check_limits(max_steps: int, max_cost: float | None) -> None:
    """Refuse limits of a run that are not positive."""
    if max_steps < 1:
        raise InvalidRequestError(f"max_steps must be 1 or more, got {max_steps}.")
    if max_cost is not None and not max_cost > 0:
        raise InvalidRequestError(f"max_cost must be a positive number of dollars, got {max_cost}.")


class Loop:
    """One run of a model with tools.

    Args:
        client: Asks the model.
        messages: The conversation.
        tools: The tools: functions, `Tool`s, and the provider's own as dicts.
        max_steps: Maximum number of requests to the model.
        max_cost: Maximum price of all steps, in US dollars.
        approve: Answers for the tools that need approval; `None` asks.
        options: Further arguments of `stream_text`; a `tool_choice` that forces a call holds for the first
            request only.

    Attributes:
        run: The run so far.
        stream: The last request.
        outcomes: The answers by their step, complete or not.

    Raises:
        InvalidRequestError: If a limit is not positive, or `tools` is invalid.
    """

    def __init__(
        self,
        client: ToolRunner,
        messages: Sequence[LLMMessage],
        *,
        tools: Iterable[Any],
        max_steps: int = 8,
        max_cost: float | None = None,
        approve: Approval = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        check_limits(max_steps, max_cost)
        self._client = client
        self._options = {"cache": AUTO_CACHE, **(options or {})}
        self._offered = tools_of(tools)
        self._tools = {one.name: one for one in self._offered if isinstance(one, Tool)}
        self._choice = self._options.pop("tool_choice", None) or "auto"
        if not self._offered and self._choice not in {"auto", "none"}:
            raise InvalidRequestError(
                f"tool_choice is {self._choice!r:.80}, but there are no tools.", hint="Pass tools=[…]."
            )
        self._max_steps = max_steps
        self._cap = None if max_cost is None else to_nanos(max_cost)
        self._calls: list[Any] = []
        self.stream: TextStream | None = None  # of the last request
        self.outcomes: dict[int, LLMResponse] = {}
        self._number = 0
        self.run = Run(uid=uuid.uuid4().hex, messages=list(messages), asked=len(messages))
        self._execution = Execution(self._tools, approve, self.run.uid)

    async def events(self) -> AsyncGenerator[Part | Step | Question | Job, None]:
        """Do all steps; yields the parts of answers, the results, each step, and what others have to do.

        Whoever reads this sets `Question.answer` and calls `Job.run` before reading on.
        """
        with run_span(self.run.uid, self._client.provider_name):
            try:
                async with contextlib.aclosing(self._steps()) as steps:
                    async for event in steps:
                        yield event
            except LLMClientError as error:
                self.run.stopped = "error"
                error.run = self.run
                raise

    async def _steps(self) -> AsyncGenerator[Part | Step | Question | Job, None]:
        while self._number < self._max_steps:
            self._number = number = self._number + 1
            async with contextlib.aclosing(self._ask(number)) as asked:
                async for event in asked:
                    yield event
            response = self.run.response
            if response is None or self._has_stopped() or not self._goes_on(response):
                return
            async with contextlib.aclosing(self._answer(number, response)) as answered:
                async for event in answered:
                    yield event
            if self._has_stopped():
                return
        self.run.stopped = "max_steps"

    def ask_again(self, problem: LLMMessage) -> None:
        """Tell the model what is wrong with its last answer; `events` then goes on with one more request."""
        self.run.messages.append(problem)
        self._max_steps = max(self._max_steps, self._number + 1)

    async def _ask(self, number: int) -> AsyncGenerator[Part | Step, None]:
        """Send one request; the parts of its answer are yielded as they come."""
        options = self._options_of(number)
        left = None if self._cap is None else self._cap - self.run.nanos
        if left is not None and not self._affords(left, options):
            self.run.stopped = "max_cost"
            return
        with calling(
            parent_uid=self.run.uid, step=number, cap_nanos=_lower(left, current_context().cap_nanos)
        ):
            stream = self.stream = self._client.stream_text(self.run.messages, **options)
        try:
            async with contextlib.aclosing(stream.events()) as parts:
                async for part in parts:
                    yield part
        except BudgetExceededError:
            if left is None:
                raise
            self.run.stopped = "max_cost"
            return
        finally:
            self._note(number, stream.outcome)
        self._take(stream.response)
        yield self.run.trace[-1]

    def _options_of(self, number: int) -> dict[str, Any]:
        """Return the arguments of a request; a forced call is forced in the first one only."""
        if not self._offered:
            return self._options
        choice = self._choice if number == 1 or self._choice == "none" else "auto"
        chosen = {"tool_choice": choice} if self._tools or choice != "auto" else {}
        return {"tools": list(self._offered), **chosen, **self._options}

    def _take(self, response: LLMResponse | None) -> None:
        """Add a whole answer to the conversation."""
        assert response is not None
        self.run.response = response
        if response.parts:
            self.run.messages.append(response.message)

    def _affords(self, left: int, options: dict[str, Any]) -> bool:
        """Whether a request fits into the rest; a budget guard looks again, but not for the sandbox."""
        if current_mode() == "only":  # nothing is sent
            return True
        if left <= 0:
            return False
        bound = self._client.bound(self.run.messages, **options)
        return bound is None or bound <= left

    def _note(self, number: int, response: LLMResponse | None) -> None:
        """Add a request to the steps, however it ended."""
        if response is None or (response.attempts == 0 and not response.replayed):
            return
        self.outcomes[number] = response
        step = Step(
            step=number,
            kind="model",
            name=response.model,
            result_chars=len(response.content),
            input_tokens=response.prompt_tokens,
            output_tokens=response.completion_tokens,
            cost_usd=response.cost_estimate,
            seconds=response.response_time,
            uid=response.uid,
            replayed=response.replayed,
        )
        self.run.trace.append(step)
        if response.cost_estimate is None:
            self.run.unpriced = True
        else:
            self.run.nanos += to_nanos(response.cost_estimate)

    def _has_stopped(self) -> bool:
        return self.run.stopped != "done"

    def _goes_on(self, response: LLMResponse) -> bool:
        """Whether the model has to be asked again."""
        if response.finish_reason == "pause_turn":  # Anthropic's own tools need more time
            return True
        calls = response.tool_calls
        if not calls or self._choice == "none":
            return False
        self._calls.append(
            [(call.name, call.raw if call.arguments is None else call.arguments) for call in calls]
        )
        if len(self._calls) >= REPEATED and all(one == self._calls[-1] for one in self._calls[-REPEATED:]):
            self.run.stopped = "repeated"
            return False
        return True

    async def _answer(self, number: int, response: LLMResponse) -> AsyncGenerator[Any, None]:
        """Deal with the calls of an answer, in order, and add their results to the conversation."""
        results: list[ToolResult] = []
        memory = Memory(self._client.provider_name, self.run.messages)
        for call in response.tool_calls:
            if self._has_stopped():  # every call needs a result, or the conversation cannot go on
                results.append(failed(call, "Not run: the user interrupted."))
                continue
            place = len(results)
            known = await memory.recorded(call, place) if response.replayed else None
            async with contextlib.aclosing(self._deal_with(call, known)) as asked:
                async for event in asked:
                    yield event
            done = self._execution.done
            assert done is not None
            if known is None:
                await memory.keep(call, place, done)
            if done.interrupted:
                self.run.stopped = "interrupted"
            results.append(done.result)
            step = self._tool_step(number, done)
            self.run.trace.append(step)
            yield done.result
            yield step
        if results:
            self.run.messages.append(LLMMessage("user", parts=tuple(results)))

    async def _deal_with(self, call: ToolCall, known: Executed | None) -> AsyncGenerator[Any, None]:
        """Run a call, or take its recorded result; the outcome is in `done` of the execution."""
        tool = self._tools.get(call.name)
        if known is not None and tool is not None and not tool.rerun:
            self._execution.done = known
            return
        async with contextlib.aclosing(self._execution.execute(call)) as asked:
            async for event in asked:
                yield event
        done = self._execution.done
        if known is not None and done is not None and done.approved is not False and not done.interrupted:
            done.result = known.result  # the next recorded answer is the one to this result

    def _tool_step(self, number: int, done: Executed) -> Step:
        return Step(
            step=number,
            kind="tool",
            name=done.call.name,
            arguments=done.call.raw,
            result_chars=len(done.result.content),
            seconds=done.seconds,
            approved=done.approved,
            error=done.error or None,
            uid=done.call.id,
            replayed=done.recorded,
        )


def _lower(*limits: int | None) -> int | None:
    """Return the lowest of the limits that there are."""
    return min((limit for limit in limits if limit is not None), default=None)
