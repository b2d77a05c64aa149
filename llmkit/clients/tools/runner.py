"""`ToolRunner`: the clients whose models can be run with tools."""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from llmkit.clients.accounting.cost_bound import cost_bound
from llmkit.clients.base import BaseLLMClient
from llmkit.clients.tools import approval
from llmkit.clients.tools.execution import Approval, Job, Question
from llmkit.clients.tools.loop import Loop
from llmkit.clients.tools.run import Run, Step
from llmkit.content.messages import messages_of
from llmkit.content.tokens import TokenCount, count_prompt
from llmkit.content.tools import described, spread, tools_of
from llmkit.core.errors import InvalidRequestError
from llmkit.providers.codec import TEMPERATURE
from llmkit.providers.formats import codec_of
from llmkit.transport.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from llmkit.clients.engine.call import Call
    from llmkit.clients.stream import TextStream
    from llmkit.content.messages import LLMMessage
    from llmkit.content.parts import Part
    from llmkit.providers.codec import Request


class ToolRunner(BaseLLMClient):
    """A client whose calls are recorded, and whose models can be run with tools."""

    @abstractmethod
    def stream_text(
        self,
        messages: list[LLMMessage],
        model: str | None = None,
        temperature: float = TEMPERATURE,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> TextStream:
        """Stream an answer; see `BaseLLMClient.stream_text`."""

    @abstractmethod
    def _call(
        self,
        messages: list[LLMMessage],
        model: str | None,
        temperature: float,
        max_tokens: int | None,
        extra: dict[str, Any],
        *,
        stream: bool,
    ) -> Call:
        """Check the arguments and create the call."""

    def prepared(self, messages: list[LLMMessage], **options: Any) -> Request:
        """Return what `generate_text` would send with these arguments; nothing is sent."""
        given = dict(options)
        model, limit = given.pop("model", None), given.pop("max_tokens", None)
        temperature = given.pop("temperature", TEMPERATURE)
        return self._call(messages, model, temperature, limit, given, stream=False).request

    def bound(self, messages: list[LLMMessage], **options: Any) -> int | None:
        """Return the most that a request can cost, in nano-dollars; `None` if its price is unknown."""
        return cost_bound(self.prepared(messages, **options), self.provider_name).nanos

    async def count_tokens(
        self, messages: list[LLMMessage] | str, model: str | None = None, tools: Iterable[Any] = ()
    ) -> TokenCount:
        """Count the tokens of a prompt, by the provider's own free endpoint if it has one.

        Args:
            messages: The conversation, or one question.
            model: The provider's model name; by default the client's model.
            tools: The tools of the request.

        Returns:
            The number; `.exact` says whether the provider counted. Otherwise it is an estimate.

        Raises:
            LLMClientError: If the provider refuses to count.

        Example:
            ```python
            tokens = await llmkit.client("sonnet").count_tokens("Name three rivers.")
            ```
        """
        asked = messages_of(messages)
        name = model or getattr(self, "model", None) or ""
        further = described(tools_of(tools)) if tools else ""
        return count_prompt(asked, name, codec_of(self.provider_name).image_tokens, further)

    async def run(
        self,
        messages: list[LLMMessage] | str,
        tools: Iterable[Any] = (),
        *,
        max_steps: int = 8,
        max_cost: float | None = None,
        approve: Approval = None,
        on_step: Callable[[Step], Any] | None = None,
        **options: Any,
    ) -> Run:
        """Ask a model, run the tools that it calls, and give it their results until it is done.

        Tools run one after the other, plain functions in a thread. An exception of a tool goes to the model
        as its type and message.

        Args:
            messages: The conversation, or one question.
            tools: Functions, tools made by `llmkit.tool`, and the provider's own tools as dicts.
            max_steps: Maximum number of requests to the model.
            max_cost: Maximum price of all requests, in US dollars.
            approve: Answers for the tools that need approval: `True`, `False`, or a function that gets the
                `ToolCall` and returns whether it may run, or a changed `ToolCall`; `None` asks the user.
            on_step: Called after each step.
            **options: As for `stream_text`: `model`, `temperature`, `max_tokens`, `tool_choice`, …

        Returns:
            The run; at a limit, with what it has so far.

        Raises:
            InvalidRequestError: If `tools` or a limit is invalid.
            LLMClientError: If a request fails; `.run` is the run so far.
            asyncio.CancelledError: If the task is cancelled; `.run` is the run so far.
        """
        if on_step is not None and not callable(on_step):
            raise InvalidRequestError("on_step must be a function.")
        loop = Loop(
            self,
            messages_of(messages),
            tools=await in_thread(spread, tools),  # a server may have to start first
            max_steps=max_steps,
            max_cost=max_cost,
            approve=approve,
            options=options,
        )
        return await finish(loop, on_step)

    async def run_stream(
        self,
        messages: list[LLMMessage] | str,
        tools: Iterable[Any] = (),
        *,
        max_steps: int = 8,
        max_cost: float | None = None,
        approve: Approval = None,
        **options: Any,
    ) -> AsyncGenerator[Part | Step | Run, None]:
        """Run a model with tools as `run` does, and yield what happens.

        Yields:
            The parts of the answers as they come, the results of tools, each `Step`; at the end the `Run`.
        """
        loop = Loop(
            self,
            messages_of(messages),
            tools=await in_thread(spread, tools),
            max_steps=max_steps,
            max_cost=max_cost,
            approve=approve,
            options=options,
        )
        async with contextlib.aclosing(_driven(loop)) as events:
            async for event in events:
                yield event
        yield loop.run


async def finish(loop: Loop, on_step: Callable[[Step], Any] | None = None) -> Run:
    """Do a run to its end on the running event loop; what cancels it carries the run so far."""
    try:
        async with contextlib.aclosing(_driven(loop)) as events:
            async for event in events:
                if isinstance(event, Step) and on_step is not None:
                    on_step(event)
    except asyncio.CancelledError as cancelled:
        loop.run.stopped = "interrupted"
        cancelled.run = loop.run  # type: ignore[attr-defined]  # as an error of the provider has it
        raise
    return loop.run


async def _driven(loop: Loop) -> AsyncGenerator[Part | Step, None]:
    """Yield the events of a run; questions are asked and tools run here."""
    async with contextlib.aclosing(loop.events()) as events:
        async for event in events:
            if isinstance(event, Question):
                await approval.ask(event)
            elif isinstance(event, Job):
                await event.run_async()
            else:
                yield event
