"""Parts as they come: `stream.events()`, live and replayed, and a conversation that goes on with them."""

import json

import pytest

import llmkit
from llmkit import AnthropicClient, LLMMessage, OpenAIClient
from llmkit.parts import Other, Reasoning, Text, ToolCall
from tests.support.peer import Pause, Peer, events, http, opening

QUESTION = [LLMMessage("user", "What is 1 + 2?")]
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "add", "arguments": ""}}


def sse(*deltas, finish="tool_calls"):
    chunks = [{"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 9}})
    return (
        b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    )


STREAM = sse(
    {"reasoning_content": "H"},
    {"reasoning_content": "m."},
    {"content": "Let "},
    {"content": "me add."},
    {"tool_calls": [CALL]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '{"a": 1'}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": ', "b": 2}'}}]},
)


@pytest.fixture
async def peer():
    async with Peer() as server:
        yield server


def client(peer):
    return OpenAIClient(api_key="k" * 20, base_url=f"{peer.url}/v1", model="m", max_retries=0)


async def seen(stream):
    return [part async for part in stream.events()]


def check(parts):
    texts = [part.text for part in parts if isinstance(part, Text)]
    thoughts = [part.text for part in parts if isinstance(part, Reasoning)]
    assert "".join(texts) == "Let me add."
    assert "".join(thoughts) == "Hm."
    assert [part.arguments for part in parts if isinstance(part, ToolCall)] == [{"a": 1, "b": 2}]
    kinds = [type(part) for part in parts]
    assert kinds == sorted(kinds, key=[Reasoning, Text, ToolCall].index)


async def test_parts_come_in_order(peer):
    peer.scripts["m"] = [[one] for one in (events(STREAM),)]
    async with client(peer) as asked:
        stream = asked.stream_text(QUESTION)
        parts = await seen(stream)
    check(parts)
    assert len([part for part in parts if isinstance(part, Text | Reasoning)]) == 4
    assert [type(part) for part in stream.response.parts] == [Reasoning, Text, ToolCall]


async def test_reasoning_comes_before_the_first_text(peer):
    first, rest = STREAM.split(b"\n\n", 1)
    peer.scripts["m"] = [[opening(), first + b"\n\n", Pause(30), rest]]
    async with client(peer) as asked:
        stream = asked.stream_text(QUESTION)
        parts = stream.events()
        assert await anext(parts) == Reasoning("H")
        assert stream.text == ""
        await stream.aclose()


async def test_anthropics_reasoning_and_tools_come_between_the_texts(peer):
    search = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}
    blocks = [
        ({"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "Hm."}),
        ({"type": "text", "text": ""}, {"type": "text_delta", "text": "Let me look."}),
        (search, {"type": "input_json_delta", "partial_json": '{"query": "x"}'}),
        ({"type": "text", "text": ""}, {"type": "text_delta", "text": "Found."}),
    ]
    sent = [{"type": "message_start", "message": {"id": "m", "model": "m"}}]
    for index, (start, delta) in enumerate(blocks):
        sent.append({"type": "content_block_start", "index": index, "content_block": start})
        sent.append({"type": "content_block_delta", "index": index, "delta": delta})
    sent.append(
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}}
    )
    sent.append({"type": "message_stop"})
    peer.scripts["m"] = [[events(b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in sent))]]
    async with AnthropicClient(api_key="k" * 20, base_url=peer.url, model="m", max_retries=0) as one:
        stream = one.stream_text(QUESTION)
        found = await seen(stream)
    kinds = [type(part) for part in found]
    assert kinds == [Reasoning, Text, Other, Text] == [type(part) for part in stream.response.parts]
    assert found[0].text == "Hm."
    assert found[2].data["input"] == {"query": "x"}


async def test_a_document_instead_of_a_stream_has_its_text_in_order(peer):
    call = {**CALL, "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
    message = {
        "role": "assistant",
        "reasoning_content": "Hm.",
        "content": "Let me add.",
        "tool_calls": [call],
    }
    body = {"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    peer.scripts["m"] = [[http(200, json.dumps(body).encode())]]
    async with client(peer) as one:
        stream = one.stream_text(QUESTION)
        check(await seen(stream))
        check(stream.response.parts)


async def test_the_text_alone_is_as_before(peer):
    peer.scripts["m"] = [[one] for one in (events(STREAM),)]
    async with client(peer) as asked:
        assert [piece async for piece in asked.stream_text(QUESTION)] == ["Let ", "me add."]


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_recording_has_all_parts(peer, tmp_path, streamed):
    peer.scripts["m"] = [[one] for one in (events(STREAM),)]
    with llmkit.replay(tmp_path / "r.replay"):
        async with client(peer) as asked:
            live = asked.stream_text(QUESTION)
            await seen(live)
    with llmkit.replay(tmp_path / "r.replay", mode="only"):
        async with client(peer) as asked:
            if streamed:
                stream = asked.stream_text(QUESTION)
                check(await seen(stream))
                played = stream.response
            else:
                played = await asked.generate_text(QUESTION)
    assert played.replayed
    assert played.parts == live.response.parts


async def test_a_conversation_goes_on_with_an_answer(peer, tmp_path):
    peer.scripts["m"] = [
        [one]
        for one in (
            events(STREAM),
            http(
                200,
                json.dumps({"choices": [{"message": {"content": "3"}, "finish_reason": "stop"}]}).encode(),
            ),
        )
    ]
    with llmkit.replay(tmp_path / "r.replay"):
        async with client(peer) as asked:
            stream = asked.stream_text(QUESTION)
            await seen(stream)
            result = llmkit.parts.ToolResult("call_1", "add", "3")
            conversation = [*QUESTION, stream.response.message, LLMMessage("user", parts=(result,))]
            answer = await asked.generate_text(conversation)
    assert answer.content == "3"
    assert peer.bodies[-1]["messages"][1:] == [
        {
            "role": "assistant",
            "content": "Let me add.",
            "reasoning_content": "Hm.",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "3"},
    ]
    with llmkit.replay(tmp_path / "r.replay", mode="only"):
        async with client(peer) as asked:
            assert (await asked.generate_text(conversation)).content == "3"
