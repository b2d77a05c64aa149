"""What is shown of responses, clients, streams, parts and runs: one readable line, no key, no data."""

import pytest

import llmkit
from llmkit import AnthropicClient, LLMMessage, LLMResponse, OpenAIClient, attach
from llmkit.clients.engine.recorded import RecordedClient
from llmkit.clients.tools.run import Run
from llmkit.content.attachments import Attachment
from llmkit.parts import Citation, Media, Other, Reasoning, Text, ToolCall, ToolResult

KEY = "sk-proj-" + "Ab1" * 16
LONG = f"A river\nthat is long. {KEY} " * 60
DATA = "iVBORw0KGgo" * 500
IMAGE = Attachment("image/png", b"\x89PNG\r\n\x1a\n" + bytes(90_000))
PARTS = [
    Text(LONG, {"signature": DATA}, "openai"),
    Reasoning(LONG),
    ToolCall("call_1", "add", {"text": LONG, "image": DATA}),
    ToolResult("call_1", "add", LONG, attachments=(IMAGE,)),
    Citation(LONG, url="https://example.org/" + "a" * 500, quote=LONG),
    Media(IMAGE),
    Other("image_generation_call", {"result": DATA, "prompts": [LONG] * 20}),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_a_part_is_one_short_line(part):
    shown = repr(part)
    assert shown.startswith(type(part).__name__ + "(")
    assert "\n" not in shown
    assert len(shown) < 700
    assert "sk-proj-Ab1" not in shown
    assert "iVBORw0KGgoiVBOR" not in shown


def test_a_message_is_one_line():
    shown = repr(LLMMessage("user", LONG, attachments=(IMAGE,)))
    assert "\n" not in shown
    assert len(shown) < 400
    assert "sk-proj-Ab1" not in shown


def test_a_response_says_what_it_is_and_what_it_cost():
    response = LLMResponse(
        "Rhine, Elbe",
        "openai",
        "gpt-6-luna",
        None,
        12,
        5,
        0.0056,
        finish_reason="stop",
        raw_parts=({"a": DATA},),
    )
    assert repr(response) == "<LLMResponse openai:gpt-6-luna · 'Rhine, Elbe' · 12→5 tok · $0.0056 · stop>"
    assert repr(LLMResponse("Hi", "mine", "echo")) == "<LLMResponse mine:echo · 'Hi'>"
    assert len(repr(LLMResponse(LONG, "mine", "echo"))) < 200


def test_a_response_with_few_counts_shows_those():
    assert repr(LLMResponse("Hi", "mine", "echo", 3)) == "<LLMResponse mine:echo · 'Hi' · 3 tok · $?>"
    assert " tok" not in repr(LLMResponse("Hi", "mine", "echo", prompt_tokens=3))


def test_a_response_without_a_price_says_so():
    assert "$?" in repr(LLMResponse("Hi", "mine", "echo", None, 1, 1))


def test_a_client_names_its_model_and_its_server():
    client = OpenAIClient(api_key=KEY, base_url="http://127.0.0.1:9/v1", model="gpt-6-luna")
    assert repr(client) == "<OpenAIClient openai:gpt-6-luna at http://127.0.0.1:9/v1>"
    assert KEY not in repr(AnthropicClient(api_key=KEY))
    assert repr(llmkit.client("sandbox:sandbox")) == "<CompatibleClient sandbox:sandbox at the sandbox>"


def test_a_wrapped_client_names_its_class():
    class Echo(llmkit.BaseLLMClient):
        async def generate_text(self, messages, model=None, **kwargs):
            return LLMResponse("Hi", "mine", "echo")

        async def stream_text(self, messages, model=None, **kwargs):
            yield "Hi"

        async def close(self):
            pass

    assert repr(RecordedClient(Echo("mine"), model="large")) == "<Echo mine:large, recorded>"


async def test_a_stream_says_how_far_it_is():
    client = llmkit.client("sandbox:sandbox")
    stream = client.stream_text("repeat exactly: Rhine and Elbe")
    assert repr(stream) == "<TextStream sandbox:sandbox: not begun, 0 characters>"
    first = await anext(stream)
    assert repr(stream) == f"<TextStream sandbox:sandbox: running, {len(first)} characters>"
    async for _ in stream:
        pass
    assert repr(stream) == "<TextStream sandbox:sandbox: complete, 14 characters>"
    left = client.stream_text("repeat exactly: Rhine and Elbe")
    await anext(left)
    await left.aclose()
    assert "incomplete" in repr(left)


def test_a_run_is_one_line():
    run = Run(uid="0" * 32, response=LLMResponse(LONG, "mine", "echo"))
    assert "\n" not in repr(run)
    assert "sk-proj-Ab1" not in repr(run)
    assert len(repr(run)) < 250


def test_an_attachment_shows_no_data():
    assert repr(attach(b"GIF89a" + bytes(50), name="a.gif")).startswith("Attachment('image/gif', ")
