import base64
import io

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from PIL import Image
from pydantic import BaseModel, TypeAdapter

from llmkit import LLMMessage, OpenAIClient, sandbox
from llmkit.parts import Media, Reasoning, Text

EVENTS = TypeAdapter(ResponseStreamEvent)
MULTIPLY = {
    "type": "function",
    "name": "multiply",
    "description": "Multiply two numbers.",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
    "strict": True,
}
SUM = "What is 17 * 23?"
THINK = {"effort": "high", "summary": "auto"}


@pytest.fixture(scope="module")
def server():
    with sandbox.start(rate=0, first_token=0) as running:
        yield running


@pytest.fixture
async def client(server):
    async with openai.AsyncOpenAI(api_key="x", base_url=server.url("openai"), max_retries=0) as made:
        yield made


async def ask(client, question="Explain the tides", model="sandbox", **settings):
    answer = await client.responses.create(model=model, input=question, **settings)
    return Response.model_validate(answer.to_dict())


async def stream(client, question="Explain the tides", model="sandbox", **settings):
    events = await client.responses.create(model=model, input=question, stream=True, **settings)
    return [EVENTS.validate_python(event.to_dict()) async for event in events]


def kinds(answer):
    return [item.type for item in answer.output]


async def test_a_text_has_the_documented_events_in_their_order(client):
    events = await stream(client, "echo: one two")
    assert [event.type.removeprefix("response.") for event in events] == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *("output_text.delta", "output_text.delta", "output_text.done", "content_part.done"),
        *("output_item.done", "completed"),
    ]
    assert [event.sequence_number for event in events] == list(range(10))
    assert (events[-1].response.usage.input_tokens, events[-1].response.usage.output_tokens) == (4, 2)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"question": SUM, "tools": [MULTIPLY], "reasoning": THINK},
        {"question": "Search for the tides", "tools": [{"type": "web_search"}]},
        {"question": "Draw a red boat", "tools": [{"type": "image_generation"}]},
    ],
)
async def test_the_streamed_items_are_the_plain_ones(client, settings):
    plain = await ask(client, **settings)
    events = await stream(client, **settings)
    last = events[-1].response
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert done == last.output
    assert [{**one.to_dict(), "id": 0, "call_id": 0, "encrypted_content": 0} for one in last.output] == [
        {**one.to_dict(), "id": 0, "call_id": 0, "encrypted_content": 0} for one in plain.output
    ]
    assert (last.usage, last.tool_usage) == (plain.usage, plain.tool_usage)


async def test_the_sdk_gathers_a_stream_into_the_same_response(client):
    async with client.responses.stream(
        model="sandbox", input=SUM, tools=[MULTIPLY], reasoning=THINK
    ) as events:
        final = await events.get_final_response()
    assert final.output[-1].parsed_arguments == {"a": 17, "b": 23}


async def test_a_format_is_kept(client):
    class Review(BaseModel):
        sentiment: str
        stars: int

    parsed = await client.responses.parse(model="sandbox", input="I love it", text_format=Review)
    assert parsed.output_parsed.sentiment == "positive"


async def test_the_limit_leaves_a_response_incomplete(client):
    answer = await ask(client, max_output_tokens=5)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert answer.usage.output_tokens == 5
    assert (await stream(client, max_output_tokens=5))[-1].type == "response.incomplete"


async def test_counted_tokens_are_those_that_are_billed(client):
    counted = await client.responses.input_tokens.count(
        model="sandbox", input=SUM, instructions="Be brief.", tools=[MULTIPLY]
    )
    billed = (await ask(client, SUM, instructions="Be brief.", tools=[MULTIPLY])).usage.input_tokens
    assert (counted.object, counted.input_tokens) == ("response.input_tokens", billed)
    assert billed > (await ask(client, SUM, instructions="Be brief.")).usage.input_tokens


# --- tools and reasoning


async def called(client, **settings):
    answer = await ask(client, SUM, "sandbox-thinking", tools=[MULTIPLY], store=False, **settings)
    conversation = [{"role": "user", "content": SUM}, *(item.to_dict() for item in answer.output)]
    result = {"type": "function_call_output", "call_id": answer.output[-1].call_id, "output": "391"}
    return answer, [*conversation, result]


async def test_a_call_and_its_result(client):
    first, conversation = await called(client)
    assert kinds(first) == ["reasoning", "function_call"]
    assert first.output[1].arguments == '{"a": 17, "b": 23}'
    last = await ask(client, conversation, "sandbox-thinking", tools=[MULTIPLY])
    assert last.output_text == "multiply(a=17, b=23) gives 391."


async def test_the_summary_of_reasoning_comes_only_if_asked_for(client):
    told = await ask(client, reasoning={"effort": "low", "summary": "auto"})
    silent = await ask(client, reasoning={"effort": "low"})
    assert told.output[0].summary[0].text == "The question is about “tides”; I recall the facts first."
    assert silent.output[0].summary == []
    assert told.usage.output_tokens_details.reasoning_tokens > 0
    assert kinds(await ask(client, reasoning={"effort": "none"})) == ["message"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda items: items[1].update(encrypted_content="AAAA"), "could not be verified"),
        (lambda items: items[1].update(id="rs_other"), "could not be verified"),
        (lambda items: items[1].pop("summary"), "Missing required parameter: 'input.1..summary'"),
        (lambda items: items[1].pop("encrypted_content"), "Items are not persisted"),
        (lambda items: items.pop(1), "without its required 'reasoning' item"),
        (lambda items: items.pop(3), "No tool output found for function call call_"),
        (lambda items: items.pop(2), "No tool call found for function call output"),
        (lambda items: items.append({"type": "poem"}), "Invalid value: 'poem'"),
        (lambda items: items.append("Hi"), "expected an object"),
        (lambda items: items.append({"role": "robot", "content": "Hi"}), "Invalid value: 'robot'"),
    ],
)
async def test_what_does_not_come_back_as_it_was_is_refused(client, change, why):
    _, conversation = await called(client)
    change(conversation)
    with pytest.raises(openai.APIStatusError, match=why) as caught:
        await ask(client, conversation, "sandbox-thinking", tools=[MULTIPLY])
    assert caught.value.status_code in {400, 404}


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"extra_body": {"messages": []}}, "messages"),
        ({"extra_body": {"max_tokens": 5}}, "max_tokens"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "magic"}]}, "tools[0].type"),
        ({"tools": [MULTIPLY, MULTIPLY]}, "tools"),
        ({"tools": [MULTIPLY], "tool_choice": {"type": "function", "name": "add"}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name"),
        ({"text": {"format": {"type": "yaml"}}}, "text.format.type"),
        ({"model": ""}, "model"),
        ({"question": None}, "input"),
        ({"question": [{"role": "user", "content": [{"type": "image"}]}]}, "input[0].content[0].type"),
    ],
)
async def test_a_wrong_request_names_its_parameter(client, settings, param):
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(client, **settings)
    assert caught.value.param == param


# --- sources and images


async def test_a_search_gives_sources_for_stretches_of_the_text(client):
    answer = await ask(client, "Explain the tides, with sources", tools=[{"type": "web_search"}])
    assert kinds(answer) == ["web_search_call", "message"]
    block = answer.output[1].content[0]
    assert [one.url for one in block.annotations] == [
        "https://example.org/tides",
        "https://example.org/more/tides",
    ]
    assert all(block.text[one.start_index : one.end_index].strip() for one in block.annotations)
    assert answer.to_dict()["tool_usage"]["web_search"]["num_requests"] == 1


async def test_a_search_that_nobody_asks_for_is_not_done(client):
    assert kinds(await ask(client, tools=[{"type": "web_search"}])) == ["message"]


@pytest.mark.parametrize("question", ["Draw a red boat", "Plot a chart of 3, 5 and 9"])
async def test_an_image_is_a_png(client, question):
    answer = await ask(client, question, tools=[{"type": "image_generation"}])
    assert kinds(answer) == ["image_generation_call", "message"]
    data = base64.b64decode(answer.output[0].result)
    assert Image.open(io.BytesIO(data)).size == (256, 192)
    assert len(data) < 5000
    assert answer.to_dict()["tool_usage"]["image_gen"]["output_tokens"] == 1290


async def test_an_image_and_a_pdf_are_described(client):
    pdf = base64.b64encode(b"%PDF-1.4 1 0 obj << /Type /Page >> endobj").decode()
    file = {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{pdf}"}
    image = {"type": "input_image", "image_url": "https://example.invalid/a.png", "detail": "auto"}
    parts = [image, file, {"type": "input_text", "text": "What is it?"}]
    said = (await ask(client, [{"role": "user", "content": parts}])).output_text
    assert "application/pdf 1 pages, 41 bytes, a.pdf" in said
    assert "image at https://example.invalid/a.png" in said


# --- errors and faults


async def test_the_tier_that_was_asked_for_serves(client):
    assert (await ask(client, service_tier="flex")).service_tier == "flex"
    assert (await stream(client, service_tier="priority"))[-1].response.service_tier == "priority"
    assert (await ask(client)).service_tier == "default"
    messages = [{"role": "user", "content": "echo: Hi"}]
    chat = await client.chat.completions.create(model="sandbox", messages=messages, service_tier="flex")
    assert chat.service_tier == "flex"
    with pytest.raises(openai.BadRequestError, match="Supported values are: 'auto'"):
        await ask(client, service_tier="gold")


async def test_an_error_inside_the_stream_is_an_event(client):
    last = (await stream(client, model="sandbox!error=3"))[-1]
    assert (last.type, last.code) == ("error", "server_is_overloaded")


async def test_the_tokens_of_a_fault_are_in_the_usage(client):
    usage = (await ask(client, model="sandbox!cached=100;reasoning=7;tokens=3")).usage
    assert (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens) == (
        100,
        100,
        10,
    )


# --- our own client


@pytest.fixture
async def ours(server):
    made = OpenAIClient(api_key="k" * 20, base_url=server.url("openai"), model="sandbox", api="responses")
    async with made:
        yield made


@pytest.mark.parametrize("streamed", [True, False])
async def test_our_client_reads_all_parts(ours, streamed):
    tools = [{"type": "image_generation"}, {"type": "web_search"}]
    question = [LLMMessage("user", "Draw a blue boat and cite a source")]
    settings = {"tools": tools, "reasoning": THINK}
    if streamed:
        source = ours.stream_text(question, **settings)
        assert "".join([piece async for piece in source]) == "Here is an image of “blue boat”."
        answer = source.response
    else:
        answer = await ours.generate_text(question, **settings)
    assert {Reasoning, Text, Media} <= {type(part) for part in answer.parts}
    assert answer.media[0].media_type == "image/png"
    assert answer.citations[0].url.startswith("https://example.org/")
    assert answer.simulated
    again = await ours.generate_text([*question, answer.message, LLMMessage("user", "echo: thanks")])
    assert again.content == "thanks"
