"""What a type checker knows about the public names; mypy reads this file, nothing runs it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, assert_type

import pandas as pd
from matplotlib.axes import Axes

import llmkit
from llmkit.clients.engine.recorded import RecordedClient
from llmkit.costs.calls import Calls
from llmkit.notebook.reply import Reply


async def calls(messages: list[llmkit.LLMMessage]) -> None:
    found = llmkit.client("openai:gpt-4o-mini")
    assert_type(found, llmkit.ProviderClient | RecordedClient)
    assert_type(await found.generate_text(messages), llmkit.LLMResponse)
    assert_type(await found.safe_generate_text(messages), llmkit.LLMResponse | None)
    async for piece in found.stream_text(messages, max_tokens=9):
        assert_type(piece, str)
    async with llmkit.OpenAIClient("key", model="gpt-4o-mini") as own:
        assert_type(own, llmkit.OpenAIClient)
        stream = own.stream_text(messages)
        assert_type(stream, llmkit.TextStream)
        assert_type(stream.response, llmkit.LLMResponse | None)
        assert_type(stream.usage, llmkit.Usage | None)
    answers = await llmkit.batch(["one", "two"], "sandbox")
    assert_type(answers, list[llmkit.LLMResponse | llmkit.LLMClientError])
    assert_type(await llmkit.acompare("Hi", ["sandbox"]), llmkit.Comparison)


def answers(response: llmkit.LLMResponse, reply: Reply) -> None:
    assert_type(response.content, str)
    assert_type(response.cost_estimate, float | None)
    assert_type(response.usage, llmkit.Usage | None)
    assert_type(reply.text, str)
    assert_type(reply.code, str)
    assert_type(reply.cost, float | None)
    assert_type(reply.df, pd.DataFrame)
    assert_type(reply.response, llmkit.LLMResponse)
    assert_type(reply.json(), Any)


def messages() -> None:
    assert_type(llmkit.LLMMessage("user", "Hi").role, str)
    assert_type(llmkit.attach("photo.jpg"), llmkit.Attachment)
    assert_type(llmkit.build_conversation("Be brief.", ["Hi"]), list[llmkit.LLMMessage])


def ledger() -> None:
    assert_type(llmkit.ledger, llmkit.Ledger)
    assert_type(llmkit.ledger.df, pd.DataFrame)
    assert_type(llmkit.ledger.query(model="m"), pd.DataFrame)
    assert_type(llmkit.ledger.summary("model"), pd.DataFrame)
    assert_type(llmkit.ledger.total().usd, float)
    assert_type(llmkit.ledger.plot("model"), Axes)
    some = llmkit.ledger.where(provider="openai", since="2026-10-01").where(model=["m", "n"])
    assert_type(some, Calls)
    assert_type(some.df, pd.DataFrame)
    assert_type(some.summary(["day", "model"]), pd.DataFrame)
    assert_type(llmkit.budget(daily=5), llmkit.Budget)
    with llmkit.tags(project="thesis") as nothing:
        assert_type(nothing, None)


def replay() -> None:
    with llmkit.replay("answers.replay", mode="only") as state:
        assert_type(state, llmkit.Replay)


class Echo(llmkit.BaseLLMClient):
    """A client of another package fulfils the contract with these signatures."""

    async def generate_text(
        self,
        messages: list[llmkit.LLMMessage],
        model: str | None = None,
        temperature: float = 0.7,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> llmkit.LLMResponse:
        return llmkit.LLMResponse(messages[-1].content, "echo", model or "echo")

    async def stream_text(
        self,
        messages: list[llmkit.LLMMessage],
        model: str | None = None,
        temperature: float = 0.7,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> AsyncGenerator[str, None]:
        yield messages[-1].content

    async def close(self) -> None: ...


def registering() -> None:
    llmkit.register("echo", Echo)
    llmkit.register("echo", lambda: Echo("echo"))
    llmkit.register("echo", dict)  # type: ignore[arg-type]


def errors(error: llmkit.LLMClientError) -> None:
    assert_type(error.retryable, bool)
    assert_type(error.partial, str)
    assert_type(error.hint, str)
