"""Many prompts at once."""

import asyncio

import pytest

import llmkit
from llmkit import (
    BaseLLMClient,
    ConfigurationError,
    InvalidRequestError,
    LLMClientError,
    LLMMessage,
    LLMResponse,
    OpenAIClient,
    ProviderNotAvailableError,
)
from llmkit.parts import Reasoning, Text, ToolCall, ToolResult


@pytest.fixture
async def client(server, recorder):
    async with OpenAIClient("k", server.url(), model="sandbox", max_retries=0) as made:
        yield made


async def test_answers_come_in_the_order_of_the_prompts(client):
    prompts = [f"echo: {n}" for n in range(20)]
    answers = await llmkit.batch(prompts, client, progress=False)
    assert [answer.content for answer in answers] == [str(n) for n in range(20)]


async def test_one_failure_does_not_lose_the_others(client, server):
    server.fail_next("500")
    answers = await llmkit.batch([f"echo: {n}" for n in range(5)], client, progress=False)
    assert sum(isinstance(answer, ProviderNotAvailableError) for answer in answers) == 1
    assert sum(isinstance(answer, LLMResponse) for answer in answers) == 4


async def test_only_so_many_run_at_once(client, server):
    await llmkit.batch(["echo: x"] * 12, client, max_concurrent=3, progress=False)
    times = [(request.started_at, request.ended_at) for request in server.requests]
    overlaps = [sum(start <= moment < end for start, end in times) for moment, _ in times]
    assert max(overlaps) <= 3


async def test_rows_say_that_they_are_of_a_batch(client, recorder):
    await llmkit.batch(["echo: x"], client, progress=False)
    assert [row.surface for row in recorder.records] == ["batch"]


async def test_a_system_prompt_and_options_are_passed_on(client, server):
    await llmkit.batch(["echo: x"], client, system="Be brief.", max_tokens=7, progress=False)
    body = server.requests[-1].body
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["max_tokens"] == 7


async def test_a_prompt_may_be_a_conversation(client, server):
    conversation = [LLMMessage("user", "a"), LLMMessage("assistant", "b"), LLMMessage("user", "echo: c")]
    (answer,) = await llmkit.batch([conversation], client, progress=False)
    assert answer.content == "c"


async def test_nothing_is_nothing(client):
    assert await llmkit.batch([], client, progress=False) == []


async def test_a_model_is_named_as_anywhere(recorder):
    (answer,) = await llmkit.batch(["echo: x"], "sandbox", progress=False)
    assert (answer.content, answer.simulated) == ("x", True)


async def test_an_unknown_model_is_an_error_before_anything_is_sent(recorder):
    with pytest.raises(ConfigurationError):
        await llmkit.batch(["echo: x"], "no-such-thing", progress=False)


async def test_a_blank_prompt_is_an_error_in_its_place_and_loses_no_other(client, server):
    blank, answer = await llmkit.batch(["", "repeat exactly: b"], client, progress=False)
    assert isinstance(blank, LLMClientError)
    assert answer.content == "b"
    assert len(server.requests) == 1


async def test_one_text_in_place_of_many_is_refused(client, server):
    with pytest.raises(InvalidRequestError, match="list"):
        await llmkit.batch("Hill", client, progress=False)
    assert not server.requests


async def test_a_progress_bar_counts(client, capsys):
    await llmkit.batch(["echo: x"] * 3, client)
    assert "3/3" in capsys.readouterr().err


async def test_a_cancelled_batch_leaves_rows_and_closes_its_sockets(client, server, recorder):
    server.fail_next("slow=5", times=9)
    task = asyncio.create_task(llmkit.batch(["echo: x"] * 3, client, progress=False))
    while len(server.requests) < 3:  # noqa: ASYNC110 - the server's thread adds to them
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert recorder.statuses == ["cancelled"] * 3


async def test_whatever_another_packages_client_raises_is_one_failure(recorder):
    class Moody(BaseLLMClient):
        async def generate_text(self, messages, **kwargs):
            if messages[-1].content == "b":
                raise RuntimeError("not now")
            return LLMResponse(messages[-1].content, "moody", "m")

        async def stream_text(self, messages, **kwargs):
            yield "x"

        async def close(self):
            pass

    first, second, third = await llmkit.batch(["a", "b", "c"], Moody("moody"), progress=False)
    assert (first.content, third.content) == ("a", "c")
    assert isinstance(second, LLMClientError)
    assert isinstance(second.__cause__, RuntimeError)


class TestDedupe:
    PROMPTS = ("echo: a", "echo: b", "echo: a", "echo: c", "echo: b", "echo: a")

    async def test_identical_prompts_are_one_call(self, client, server, recorder):
        answers = await llmkit.batch(self.PROMPTS, client, progress=False, dedupe=True)
        assert [answer.content for answer in answers] == ["a", "b", "a", "c", "b", "a"]
        assert len(server.requests) == len(recorder.records) == 3
        assert all("dedupe" not in request.body for request in server.requests)

    @pytest.mark.parametrize("options", [{}, {"dedupe": False}])
    async def test_each_prompt_is_a_call_unless_somebody_says_otherwise(self, client, server, options):
        await llmkit.batch(self.PROMPTS, client, progress=False, **options)
        assert len(server.requests) == 6
        assert all("dedupe" not in request.body for request in server.requests)

    async def test_identical_conversations_are_one_call(self, client, server):
        def talk(last, data=b"x"):
            first = LLMMessage("user", "a", (llmkit.attach(data, "t.txt"),))
            return [first, LLMMessage("assistant", "b"), LLMMessage("user", f"echo: {last}")]

        prompts = [
            talk("c"),
            talk("c"),
            talk("d"),
            talk("c", b"y"),
            [LLMMessage("user", "echo: e")],
            "echo: e",
        ]
        answers = await llmkit.batch(prompts, client, progress=False, dedupe=True)
        assert [answer.content for answer in answers] == ["c", "c", "d", "c", "e", "e"]
        assert len(server.requests) == 4

    async def test_the_first_of_the_equals_carries_the_cost(self, server, recorder):
        async with llmkit.OpenAIClient("k", server.url("openai"), model="gpt-4o-mini") as client:
            answers = await llmkit.batch(self.PROMPTS, client, progress=False, dedupe=True)
        costs = [answer.cost_estimate for answer in answers]
        assert [cost > 0 for cost in costs] == [True, True, False, True, False, False]
        assert sum(costs) == pytest.approx(sum(one.cost_nanos for one in recorder.records) / 1e9)
        assert [answers[n].saved_cost for n in (2, 5)] == [costs[0]] * 2
        assert answers[2].uid == answers[0].uid

    async def test_the_system_prompt_belongs_to_a_text_alone(self, client, server):
        prompts = ["echo: a", [LLMMessage("user", "echo: a")]]
        await llmkit.batch(prompts, client, system="Be brief.", progress=False, dedupe=True)
        assert len(server.requests) == 2

    async def test_a_failure_is_that_of_all_its_equals(self, client, server):
        server.fail_next("500")
        answers = await llmkit.batch(self.PROMPTS, client, progress=False, dedupe=True, max_concurrent=1)
        assert [isinstance(answer, ProviderNotAvailableError) for answer in answers] == [
            True, False, True, False, False, True,
        ]  # fmt: skip

    async def test_what_is_no_conversation_fails_alone(self, client, server):
        prompts = [["text"], ["text"], "echo: a", 5]
        answers = await llmkit.batch(prompts, client, progress=False, dedupe=True)
        assert [isinstance(answer, LLMClientError) for answer in answers] == [True, True, False, True]

    async def test_nothing_asked_is_nothing_answered(self, client):
        assert await llmkit.batch([], client, progress=False, dedupe=True) == []


async def test_answers_carry_their_parts_and_calls(server, recorder):
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        raise AssertionError("batch runs nothing")

    async with OpenAIClient("k", server.url(), model="sandbox-thinking", max_retries=0) as client:
        first, second = await llmkit.batch(
            ["What is 17 + 23?", "echo: Hi"], client, tools=[add], progress=False
        )
    assert (first.tool_calls[0].name, dict(first.tool_calls[0].arguments)) == ("add", {"a": 17, "b": 23})
    assert second.reasoning
    assert [type(part) for part in second.parts] == [Reasoning, Text]


async def test_conversations_that_differ_in_their_parts_are_not_the_same(client, server):
    call = LLMMessage("assistant", parts=(ToolCall("1", "add", {"a": 1}),))
    asked = [
        [
            LLMMessage("user", "Add."),
            call,
            LLMMessage("user", "Well?", parts=(ToolResult("1", "add", text), Text("Well?"))),
        ]
        for text in ("3", "4", "3")
    ]
    await llmkit.batch(asked, client, dedupe=True, progress=False)
    assert len(server.requests) == 2
