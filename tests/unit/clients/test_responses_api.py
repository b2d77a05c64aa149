"""A client that speaks the Responses API, and one whose server does not have it."""

import json
import logging

import pytest

import llmkit
from llmkit import InvalidRequestError, LLMMessage, OpenAIClient
from llmkit.parts import Reasoning, Text, ToolCall, ToolResult
from tests.support.peer import Peer, events, http
from tests.unit.providers.test_responses import CALL, THOUGHT, message, response
from tests.unit.providers.test_responses import events as sse

QUESTION = [LLMMessage("user", "What is 1 + 2?")]
MODEL = "gpt-6-luna"


def body(*output):
    return http(200, json.dumps(response(*output)).encode())


def stream(*output):
    return events(b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in sse(*output)))


def chat(text):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return http(200, json.dumps({"model": MODEL, "choices": [choice]}).encode())


@pytest.fixture
async def peer():
    async with Peer() as server:
        yield server


def client(peer, api="responses"):
    return OpenAIClient(api_key="k" * 20, base_url=f"{peer.url}/v1", model=MODEL, max_retries=0, api=api)


def at_home(made):
    """Make the server stand for the provider's own."""
    made._endpoint.codec._at_home = lambda: True
    return made


@pytest.mark.parametrize("streamed", [True, False])
async def test_an_answer_with_its_price(peer, streamed):
    peer.scripts[MODEL] = [
        [stream(THOUGHT, message("Three."))] if streamed else [body(THOUGHT, message("Three."))]
    ]
    async with client(peer) as asked:
        if streamed:
            source = asked.stream_text(QUESTION)
            assert "".join([piece async for piece in source]) == "Three."
            answer = source.response
        else:
            answer = await asked.generate_text(QUESTION)
    assert "/v1/responses" in peer.heads[0].splitlines()[0]
    assert (answer.content, answer.finish_reason, answer.prompt_tokens) == ("Three.", "stop", 11)
    assert [type(part) for part in answer.parts] == [Reasoning, Text]
    assert answer.cost_estimate > 0


async def test_a_loop_of_two_requests(peer):
    peer.scripts[MODEL] = [[stream(THOUGHT, CALL)], [body(message("Three."))]]
    async with client(peer) as asked:
        source = asked.stream_text(QUESTION)
        (call,) = [part async for part in source.events() if isinstance(part, ToolCall)]
        result = LLMMessage("user", parts=(ToolResult(call.id, call.name, "3"),))
        answer = await asked.generate_text([*QUESTION, source.response.message, result])
    assert answer.content == "Three."
    assert peer.bodies[1]["input"][1:] == [
        THOUGHT,
        CALL,
        {"type": "function_call_output", "call_id": "call_1", "output": "3"},
    ]


async def test_a_recording_does_not_depend_on_the_api(peer, tmp_path):
    peer.scripts[MODEL] = [[body(message("Three."))]]
    with llmkit.replay(tmp_path / "r.replay"):
        async with client(peer) as asked:
            await asked.generate_text(QUESTION)
    with llmkit.replay(tmp_path / "r.replay", mode="only"):
        async with client(peer, api="chat") as asked:
            assert (await asked.generate_text(QUESTION)).replayed


async def test_a_server_without_the_api_is_asked_by_chat_completions(peer, caplog):
    peer.scripts[MODEL] = [[http(404, b"404 page not found", kind="text/plain")], [chat("Three.")]]
    async with at_home(client(peer, "auto")) as asked:
        with caplog.at_level(logging.WARNING):
            assert (await asked.generate_text(QUESTION)).content == "Three."
            assert (await asked.generate_text(QUESTION)).content == "Three."
    paths = [head.split()[1] for head in peer.heads]
    assert paths == ["/v1/responses", "/v1/chat/completions", "/v1/chat/completions"]
    assert sum("no Responses API" in text for text in caplog.messages) == 1


async def test_an_unknown_model_is_an_unknown_model(peer):
    error = {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}
    peer.scripts[MODEL] = [[http(404, json.dumps(error).encode())]]
    async with at_home(client(peer, "auto")) as asked:
        with pytest.raises(llmkit.ModelNotFoundError):
            await asked.generate_text(QUESTION)
    assert len(peer.bodies) == 1


async def test_a_summary_that_a_model_refuses_is_left_out(peer):
    said = {
        "message": "Unsupported parameter: 'reasoning.summary' is not supported.",
        "param": "reasoning.summary",
    }
    peer.scripts[MODEL] = [[http(400, json.dumps({"error": said}).encode())], [body(message("Three."))]]
    async with client(peer) as asked:
        assert (await asked.generate_text(QUESTION)).content == "Three."
    assert "reasoning" in peer.bodies[0]
    assert "reasoning" not in peer.bodies[1]


async def test_a_chosen_effort_is_never_left_out(peer):
    said = {
        "message": "Unsupported parameter: 'reasoning.effort' is not supported.",
        "param": "reasoning.effort",
    }
    peer.scripts[MODEL] = [[http(400, json.dumps({"error": said}).encode())]]
    async with client(peer) as asked:
        with pytest.raises(InvalidRequestError):
            await asked.generate_text(QUESTION, reasoning={"effort": "low"})


def test_another_api_is_refused():
    with pytest.raises(llmkit.ConfigurationError, match="api must be"):
        OpenAIClient(api_key="k" * 20, api="completions")
