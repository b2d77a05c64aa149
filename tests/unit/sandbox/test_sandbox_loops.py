"""Our clients run tools at the sandbox, in all four wire formats."""

import pytest

import llmkit
from llmkit import AnthropicClient, GoogleAIClient, InvalidRequestError, LLMMessage, OpenAIClient, sandbox
from llmkit.parts import Reasoning, ToolCall


@pytest.fixture(scope="module")
def server():
    with sandbox.start(rate=0, first_token=0) as running:
        yield running


CLIENTS = {
    "chat": lambda server, **options: OpenAIClient(base_url=server.url("openai"), api="chat", **options),
    "responses": lambda server, **options: OpenAIClient(
        base_url=server.url("openai"), api="responses", **options
    ),
    "messages": lambda server, **options: AnthropicClient(base_url=server.url("anthropic"), **options),
    "gemini": lambda server, **options: GoogleAIClient(base_url=server.url("google"), **options),
}


@pytest.fixture(params=list(CLIENTS))
def connect(request, server):
    def made(model="sandbox-thinking"):
        return CLIENTS[request.param](server, api_key="k" * 20, model=model, max_retries=0)

    return made


def multiply(a: int, b: int) -> int:
    """Multiply two numbers."""
    return a * b


def divide(a: int, b: int) -> float:
    """Divide a number by another."""
    return a / b


async def test_a_model_calls_a_function_and_answers_with_its_result(connect):
    async with connect("sandbox") as client:
        run = await client.run("What is 17 * 23?", tools=[multiply])
    assert (run.text, run.stopped) == ("multiply(a=17, b=23) gives 391.", "done")
    assert list(run.steps.kind) == ["model", "tool", "model"]
    assert run.cost > 0


async def test_reasoning_goes_back_unchanged_through_a_loop(connect):
    async with connect() as client:
        run = await client.run("Multiply 17 and 23, then divide 9 by 2", tools=[multiply, divide])
        assert run.text == "- multiply(a=17, b=23) gives 391.\n- divide(a=9, b=2) gives 4.5."
        assert run.response.reasoning.startswith(
            "The result for “Multiply 17 and 23, then divide 9 by 2” is there"
        )
        more = await client.run([*run.messages, LLMMessage("user", "What is 3 * 4?")], tools=[multiply])
    assert more.text == "multiply(a=3, b=4) gives 12."


async def test_several_calls_in_one_answer_and_an_exception_in_one(connect):
    async with connect() as client:
        run = await client.run("What is 17 * 23 and 1 / 0?", tools=[multiply, divide])
    assert [step.name for step in run.trace if step.kind == "tool"] == ["multiply", "divide"]
    assert run.text == (
        "- multiply(a=17, b=23) gives 391.\n- divide(a=1, b=0) failed: ZeroDivisionError: division by zero"
    )


async def test_a_model_that_calls_without_end_is_stopped(connect):
    async with connect("sandbox") as client:
        run = await client.run("Call multiply with a=3 and b=4 again and again", tools=[multiply])
        capped = await client.run(
            "Call multiply with a=3 and b=4 again and again", tools=[multiply], max_steps=2
        )
    assert (run.stopped, capped.stopped) == ("repeated", "max_steps")


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_call_is_the_same_streamed_and_plain(connect, streamed):
    async with connect() as client:
        if streamed:
            source = client.stream_text("What is 17 * 23?", tools=[multiply])
            assert [piece async for piece in source] == []
            answer = source.response
        else:
            answer = await client.generate_text("What is 17 * 23?", tools=[multiply])
    kinds = [type(part) for part in answer.parts]
    assert kinds in ([Reasoning, ToolCall], [ToolCall])  # Gemini shows thoughts only if asked
    assert dict(answer.tool_calls[0].arguments) == {"a": 17, "b": 23}
    assert answer.finish_reason == "tool_calls"


async def test_what_the_tools_of_the_server_did_is_in_the_price(server):
    async with CLIENTS["responses"](server, api_key="k" * 20, model="sandbox") as client:
        drawn = await client.generate_text(
            [LLMMessage("user", "Draw a red boat")], tools=[{"type": "image_generation"}]
        )
        found = await client.generate_text(
            [LLMMessage("user", "Search the web for rivers")], tools=[{"type": "web_search"}]
        )
    tokens = [(one.prompt_tokens * 1 + one.completion_tokens * 4) / 1e6 for one in (drawn, found)]
    assert drawn.cost_estimate == pytest.approx(tokens[0] + (4 * 1 + 1290 * 30) / 1e6)
    assert found.cost_estimate == pytest.approx(tokens[1] + 0.01)
    assert (drawn.usage_source, found.usage_source) == ("reported", "reported")


async def test_a_signature_that_was_changed_is_refused(server):
    async with CLIENTS["messages"](server, api_key="k" * 20, model="sandbox-thinking") as client:
        answer = await client.generate_text("What is 17 * 23?", tools=[multiply])
        changed = [
            Reasoning("Hm.", {**part.opaque, "thinking": "Hm."}, part.provider)
            if type(part) is Reasoning
            else part
            for part in answer.parts
        ]
        with pytest.raises(InvalidRequestError, match="Invalid `signature`"):
            await client.generate_text(
                [
                    LLMMessage("user", "Hello"),
                    LLMMessage("assistant", parts=changed),
                    LLMMessage("user", "Bye"),
                ]
            )


async def test_the_sandbox_client_itself_runs_tools():
    async with llmkit.client("sandbox") as client:
        run = await client.run("What is 17 * 23?", tools=[multiply])
    assert run.text == "multiply(a=17, b=23) gives 391."
    assert run.response.simulated


@pytest.mark.parametrize(("api", "path"), [("auto", "/chat/completions"), ("responses", "/responses")])
async def test_a_simulated_provider_speaks_chat_completions_unless_told_otherwise(monkeypatch, api, path):
    monkeypatch.setenv("LLMKIT_SANDBOX", "1")
    async with OpenAIClient(model="gpt-6-luna", api=api) as client:
        answer = await client.generate_text("echo: Hi")
    assert (answer.content, answer.simulated) == ("Hi", True)
    assert sandbox.server().requests[-1].path.endswith(path)
