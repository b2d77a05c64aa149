"""A run with tools as one stream: what a cell needs to know of it while it goes on, and at its end."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

from llmkit.clients.tools.run import Step
from llmkit.content.parts import ToolResult
from llmkit.notebook.tools.steps import Called, Event, around, called

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.clients.engine.call import Waiting
    from llmkit.clients.tools.execution import Job
    from llmkit.clients.tools.loop import Loop
    from llmkit.clients.tools.run import Run
    from llmkit.content.messages import LLMResponse
    from llmkit.notebook.display.parts import Beside
    from llmkit.providers.codec import Request


class ToolStream:
    """One run, and what has happened in it.

    Attributes:
        loop: The run.
        history: The answers, and the calls of tools, in order.
    """

    def __init__(self, loop: Loop, request: Request | None = None) -> None:
        self.loop = loop
        self._request = request
        self.history: list[Event] = []
        self._started = perf_counter()
        self._seconds = 0.0
        self._result: ToolResult | None = None
        self._value: Any = None
        self._cost: float | None = None

    def ran(self, job: Job) -> None:
        """Note what a tool returned; its result comes next."""
        self._value = job.value

    def note(self, event: object) -> Called | None:
        """Remember an event; returns a call that is over."""
        if isinstance(event, ToolResult):
            self._result = event
        elif isinstance(event, Step) and event.kind == "model":
            # Not the last answer of the loop, which may have gone on: it runs on another thread.
            self.history.append(self.loop.outcomes[event.step])
            self._cost = event.cost_usd
        elif isinstance(event, Step):
            assert self._result is not None
            made = called(event, self._result, self._value, self._cost)
            self._value = self._cost = None
            self.history.append(made)
            return made
        return None

    def end(self) -> None:
        """Note the end of the run, however it came."""
        self._keep_answer()
        self._seconds = perf_counter() - self._started

    def _keep_answer(self) -> None:
        """Add the last answer, whole or not, unless it is there."""
        found = None if self.loop.stream is None else self.loop.stream.outcome
        if found is not None and not any(found is one for one in self.history):
            self.history.append(found)

    @property
    def request(self) -> Request:
        """The first request."""
        assert self._request is not None
        return self._request

    @property
    def run(self) -> Run:
        """The run so far."""
        return self.loop.run

    @property
    def text(self) -> str:
        """The text of the last answer so far."""
        return "" if self.loop.stream is None else self.loop.stream.text

    @property
    def thinking(self) -> bool:
        """Whether the model reasons at present."""
        return self.loop.stream is not None and self.loop.stream.thinking

    @property
    def waiting(self) -> Waiting | None:
        """The current pause before a retry, if any."""
        return None if self.loop.stream is None else self.loop.stream.waiting

    @property
    def simulated(self) -> bool:
        """Whether the sandbox answers."""
        return self.loop.stream is not None and self.loop.stream.simulated

    @property
    def response(self) -> LLMResponse | None:
        """The last answer; `None` until it has ended successfully."""
        return None if self.loop.stream is None else self.loop.stream.response

    @property
    def outcome(self) -> LLMResponse | None:
        """The last answer, complete or not, with the sums of all answers."""
        return summed(self._answers, self._seconds)

    @property
    def beside(self) -> Beside:
        """What is shown above and below the text of the last answer."""
        return around(self.history)

    @property
    def _answers(self) -> list[LLMResponse]:
        return [one for one in self.history if not isinstance(one, Called)]


def summed(answers: Sequence[LLMResponse], seconds: float) -> LLMResponse | None:
    """Return the last answer with the tokens and the price of all; a replayed one costs nothing."""
    if not answers:
        return None
    live = [one for one in answers if not one.replayed]
    replayed = not live
    return replace(
        answers[-1],
        prompt_tokens=_sum(answers, "prompt_tokens"),
        completion_tokens=_sum(answers, "completion_tokens"),
        tokens_used=None,
        attempts=_sum(answers, "attempts"),
        cost_estimate=_sum(live or answers, "cost_estimate"),
        saved_cost=_sum(answers, "saved_cost") if replayed else None,
        replayed=replayed,
        note="" if answers[-1].tool_calls else answers[-1].note,  # the calls are shown
        response_time=seconds or answers[-1].response_time,
    )


def _sum(answers: Sequence[LLMResponse], name: str) -> Any:
    """Return the sum of an attribute; `None` if one of the values is unknown."""
    values = [getattr(one, name) for one in answers]
    return None if any(value is None for value in values) else sum(values)
