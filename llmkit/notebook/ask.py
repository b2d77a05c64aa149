"""`llmkit.ask` and `llmkit.run`: one line of Python, without `await`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.clients.base import BaseLLMClient
from llmkit.clients.registry import recorded, shared_client
from llmkit.clients.tools.loop import Loop
from llmkit.clients.tools.runner import finish
from llmkit.content.attachments import attach as attached
from llmkit.content.messages import LLMMessage, LLMResponse, messages_of
from llmkit.content.parsing import parse, repair
from llmkit.content.schema import schema_of
from llmkit.content.tools import spread
from llmkit.core.bridge import bridge
from llmkit.core.errors import BadResponseError, InvalidRequestError
from llmkit.notebook.display.footer import build_footer
from llmkit.notebook.reply import Reply, explain_empty
from llmkit.notebook.tool_runs import run_here
from llmkit.transport.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llmkit.clients.tools.execution import Approval
    from llmkit.clients.tools.run import Run, Step
    from llmkit.clients.tools.runner import ToolRunner
    from llmkit.content.schema import SchemaLike

RUN_OPTIONS = ("max_steps", "max_cost", "approve", "on_step")
"""Options of a run with tools, which are not those of its requests."""


def ask(
    question: str | list[LLMMessage],
    model: str | BaseLLMClient | None = None,
    *,
    system: str | None = None,
    schema: SchemaLike = None,
    tools: Iterable[Any] = (),
    attach: Any = (),
    **options: Any,
) -> Reply:
    """Ask a model, and wait for its answer.

    Args:
        question: The question, or a conversation.
        model: A name as for `llmkit.client`, or a client; by default that of `%llm model` or of the settings.
        system: The system prompt.
        schema: The form of the answer: a pydantic model, a dataclass, a `TypedDict`, a JSON schema, or
            `"json"`. `reply.value` is then an instance of that class, or JSON. An answer that does not fit
            is asked for once more.
        tools: Functions that the model may call, as for `llmkit.run`; `reply.run` is the run.
        attach: A file, an image or a figure to send along, or a list of them, as for `llmkit.attach`.
        **options: As for `stream_text`: `temperature`, `max_tokens`, and the provider's own parameters;
            with tools also `max_steps`, `max_cost`, `approve` and `on_step`.

    Returns:
        The answer: `.text`, `.value`, `.json()`, `.df`, `.cost`, `.usage`, `.response`.

    Raises:
        BadResponseError: If the answer does not fit the schema; the text is in `.partial`.
        LLMClientError: If there is no complete answer; the subclass says why.

    Example:
        >>> print(ask("repeat exactly: Rhine", "sandbox"))
        Rhine
    """
    asked = _Asked(question, model, options, system=system, schema=schema, files=attach)
    offered = spread(tools)
    if not offered:
        return bridge.run(asked.reply())
    loop = asked.loop(offered)
    run_here(loop, asked.on_step)
    if asked.asks_again(loop):
        run_here(loop, asked.on_step)
    return asked.reply_of(loop.run)


async def aask(
    question: str | list[LLMMessage],
    model: str | BaseLLMClient | None = None,
    *,
    system: str | None = None,
    schema: SchemaLike = None,
    tools: Iterable[Any] = (),
    attach: Any = (),
    **options: Any,
) -> Reply:
    """Do what `ask` does, on the running event loop.

    Args:
        question: The question, or a conversation.
        model: As for `ask`.
        system: The system prompt.
        schema: As for `ask`.
        tools: As for `ask`; plain functions run in a thread.
        attach: As for `ask`.
        **options: As for `ask`.

    Returns:
        The answer.

    Raises:
        BadResponseError: As for `ask`.
        LLMClientError: As for `ask`.

    Example:
        ```python
        reply = await llmkit.aask("Name a river.", "sandbox")
        ```
    """
    asked = _Asked(question, model, options, system=system, schema=schema, files=attach)
    offered = await in_thread(spread, tools)  # an MCP server may have to start first
    if not offered:
        return await asked.reply()
    loop = asked.loop(offered)
    await finish(loop, asked.on_step)
    if asked.asks_again(loop):
        await finish(loop, asked.on_step)
    return asked.reply_of(loop.run)


def run(
    prompt: str | list[LLMMessage],
    model: str | BaseLLMClient | None = None,
    *,
    tools: Iterable[Any],
    system: str | None = None,
    max_steps: int = 8,
    max_cost: float | None = None,
    approve: Approval = None,
    on_step: Callable[[Step], Any] | None = None,
    **options: Any,
) -> Run:
    """Let a model call Python functions until it is done, and wait for it.

    The functions run on the calling thread. In the main thread, one that takes too long is stopped where the
    system can. Ctrl+C inside a function ends the run; during a request it cancels the request.

    Args:
        prompt: The task, or a conversation.
        model: A name as for `llmkit.client`, or a client; by default that of `%llm model` or of the settings.
        tools: Functions, tools made by `llmkit.tool`, and the provider's own tools as dicts.
        system: The system prompt.
        max_steps: Maximum number of requests to the model.
        max_cost: Maximum price of all requests, in US dollars.
        approve: Answers for the tools that need approval: `True`, `False`, or a function that gets the
            `ToolCall` and returns whether it may run, or a changed `ToolCall`; `None` asks the user.
        on_step: Called after each step.
        **options: As for `stream_text`: `temperature`, `max_tokens`, `tool_choice`, …

    Returns:
        The run: `.text`, `.steps`, `.cost`, `.stopped`; at a limit, with what it has so far.

    Raises:
        InvalidRequestError: If `tools` or a limit is invalid.
        LLMClientError: If a request fails; `.run` is the run so far.
        KeyboardInterrupt: If the user interrupts a request; `.run` is the run so far.

    Example:
        ```python
        done = llmkit.run("What is 17 times 23?", "sonnet", tools=[multiply], max_cost=0.05)
        print(done.text, done.steps)
        ```
    """
    limits = {"max_steps": max_steps, "max_cost": max_cost, "approve": approve, "on_step": on_step}
    asked = _Asked(prompt, model, {**options, **limits}, system=system)
    return run_here(asked.loop(spread(tools)), asked.on_step)


class _Asked:
    """One question of `ask` or `run`: its client, its messages, and what its answer has to be."""

    def __init__(
        self,
        question: str | list[LLMMessage],
        model: str | BaseLLMClient | None,
        options: dict[str, Any],
        *,
        system: str | None = None,
        schema: SchemaLike = None,
        files: Any = (),
    ) -> None:
        self.client: ToolRunner = (
            recorded(model) if isinstance(model, BaseLLMClient) else shared_client(model)
        )
        self.messages = _messages(question, system, files)
        self.limits = {name: options.pop(name) for name in RUN_OPTIONS if name in options}
        self.on_step = self.limits.get("on_step")
        if self.on_step is not None and not callable(self.on_step):
            raise InvalidRequestError("on_step must be a function.")
        self._schema = schema_of(schema)
        self.options = options if self._schema is None else {**options, "schema": self._schema}

    def loop(self, tools: Sequence[Any]) -> Loop:
        """Return a run that has not begun."""
        limits = {name: value for name, value in self.limits.items() if name != "on_step"}
        return Loop(self.client, self.messages, tools=tools, options=self.options, **limits)

    async def reply(self) -> Reply:
        """Return the answer; if it does not fit, ask for it once more."""
        response = await self._answer(self.messages)
        try:
            return self._reply(response)
        except BadResponseError as error:
            further = repair(response.content, error)
            if not further:
                raise
        return self._reply(await self._answer([*self.messages, *further]), before=response)

    def asks_again(self, loop: Loop) -> bool:
        """Whether the last answer of a run does not fit; the run can then go on with what is wrong."""
        done = loop.run
        if self._schema is None or done.response is None or done.stopped != "done":
            return False
        try:
            _read(done.response, self._schema)
        except BadResponseError as error:
            further = repair(done.response.content, error)
            if further:
                loop.ask_again(further[-1])
            return bool(further)
        return False

    def reply_of(self, done: Run) -> Reply:
        """Return the answer of a run."""
        try:
            return self._reply(done.response or LLMResponse("", self.client.provider_name, ""), done)
        except BadResponseError as error:
            error.run = done
            raise

    async def _answer(self, messages: list[LLMMessage]) -> LLMResponse:
        stream = self.client.stream_text(messages, **self.options)
        async for _ in stream:
            pass
        assert stream.response is not None
        return stream.response

    def _reply(
        self, response: LLMResponse, done: Run | None = None, before: LLMResponse | None = None
    ) -> Reply:
        value, form, ended = None, "md", done is None or done.stopped == "done"
        if self._schema is not None and ended:
            value, form = _read(response, self._schema), "json"
        reply = Reply(response, form=form, value=value, ended=ended, before=before)
        reply.run = done
        reply.footer = build_footer(response)
        return reply


def _read(response: LLMResponse, schema: SchemaLike) -> Any:
    try:
        return parse(response.content, "json", schema)
    except BadResponseError as error:
        error.provider, error.model = response.provider, response.model
        explain_empty(error, response)
        raise


def _messages(question: str | list[LLMMessage], system: str | None, files: Any) -> list[LLMMessage]:
    """Return the conversation; files go with a question, not with a conversation."""
    sources = list(files) if isinstance(files, (list, tuple)) else [files]
    if not isinstance(question, str):
        if sources:
            raise InvalidRequestError(
                "attach goes with a question, not with a conversation.",
                hint="Put the attachments into its last message.",
            )
        messages = messages_of(question)
    else:
        if not question.strip():
            raise InvalidRequestError("The question is empty.", hint='Write llmkit.ask("Name a river.").')
        messages = [LLMMessage("user", question, attachments=tuple(map(attached, sources)))]
    return messages if system is None else [LLMMessage("system", system), *messages]
