import base64

import anthropic
import pytest

from llmkit import sandbox

QUESTION = [{"role": "user", "content": "Explain the tides"}]


@pytest.fixture(scope="module")
def server():
    with sandbox.start(rate=0, first_token=0) as running:
        yield running


@pytest.fixture
async def client(server):
    async with anthropic.AsyncAnthropic(api_key="x", base_url=server.url("anthropic"), max_retries=0) as made:
        yield made


async def ask(client, model="sandbox", messages=QUESTION, max_tokens=4000, **settings):
    return await client.messages.create(model=model, messages=messages, max_tokens=max_tokens, **settings)


async def stream(client, **settings):
    return [event async for event in await ask(client, stream=True, **settings)]


async def test_the_streamed_text_is_the_plain_text(client):
    plain = await ask(client)
    async with client.messages.stream(model="sandbox", messages=QUESTION, max_tokens=4000) as streamed:
        final = await streamed.get_final_message()
    assert final.content[0].text == plain.content[0].text
    assert final.usage == plain.usage
    assert final.stop_reason == plain.stop_reason == "end_turn"


async def test_a_stream_has_the_events_in_their_order(client):
    events = await stream(client, messages=[{"role": "user", "content": "echo: one two"}])
    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[0].message.usage.input_tokens == 4
    assert events[5].usage.output_tokens == 2


async def test_the_limit_cuts_the_answer(client):
    answer = await ask(client, max_tokens=5)
    assert (answer.stop_reason, answer.usage.output_tokens) == ("max_tokens", 5)


async def test_a_stop_sequence_is_named(client):
    messages = [{"role": "user", "content": "echo: one END two"}]
    answer = await ask(client, messages=messages, stop_sequences=["END"])
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", "END")


async def test_input_tokens_exclude_the_cache(client):
    usage = (await ask(client, model="sandbox!cached=100;cache-write=20;reasoning=7;tokens=3")).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (
        0,
        100,
        20,
    )
    assert usage.output_tokens == 10
    assert usage.to_dict()["output_tokens_details"]["thinking_tokens"] == 7


async def test_counted_tokens_are_those_that_are_billed(client):
    counted = await client.messages.count_tokens(model="sandbox", messages=QUESTION, system="Be brief.")
    answer = await ask(client, system=[{"type": "text", "text": "Be brief."}])
    assert counted.input_tokens == answer.usage.input_tokens == 6


async def test_models_are_listed_and_described(client):
    assert [model.id async for model in client.models.list()] == [
        "sandbox",
        "sandbox-mini",
        "sandbox-thinking",
    ]
    assert (await client.models.retrieve("anything")).lifecycle == "active"


async def test_an_unknown_model_is_not_found(client):
    with pytest.raises(anthropic.NotFoundError) as caught:
        await ask(client, model="no-such-model")
    assert caught.value.body["error"]["type"] == "not_found_error"


async def test_the_key_invalid_is_refused(client):
    with pytest.raises(anthropic.AuthenticationError) as caught:
        await ask(client.with_options(api_key="invalid"))
    assert caught.value.body["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"model": ""}, "model: Field required"),
        ({"extra_body": {"max_tokens": None}}, "max_tokens: Field required"),
    ],
)
async def test_a_wrong_request_says_what_is_wrong(client, settings, message):
    with pytest.raises(anthropic.BadRequestError, match=message) as caught:
        await ask(client, **settings)
    assert caught.value.body["error"]["type"] == "invalid_request_error"


async def test_a_parameter_can_be_refused(client):
    with pytest.raises(anthropic.BadRequestError, match="temperature: Extra inputs"):
        await ask(client, model="sandbox!refuse=temperature", extra_body={"temperature": 1})


@pytest.mark.parametrize(
    ("fault", "error", "kind"),
    [
        ("402", anthropic.APIStatusError, "billing_error"),
        ("403", anthropic.PermissionDeniedError, "permission_error"),
        ("413", anthropic.APIStatusError, "request_too_large"),
        ("429", anthropic.RateLimitError, "rate_limit_error"),
        ("500", anthropic.InternalServerError, "api_error"),
        ("529", anthropic.InternalServerError, "overloaded_error"),
    ],
)
async def test_each_status_raises_its_class(client, fault, error, kind):
    with pytest.raises(error) as caught:
        await ask(client, model=f"sandbox!{fault};retry-after=3")
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.response.headers["retry-after"] == "3"
    assert caught.value.request_id.startswith("req_")


async def test_a_cut_connection_is_noticed(client):
    with pytest.raises(Exception, match="peer closed connection") as caught:  # of httpx or httpx2
        await stream(client, model="sandbox!cut=3")
    assert type(caught.value).__name__ == "RemoteProtocolError"


async def test_an_error_inside_the_stream_has_its_type(client):
    with pytest.raises(anthropic.APIStatusError) as caught:
        await stream(client, model="sandbox!error=3")
    assert caught.value.body["error"]["type"] == "overloaded_error"


async def test_a_clean_end_without_the_marker_has_no_stop_reason(client):
    events = await stream(client, extra_headers={"x-llmkit-fault": "end=3"})
    assert [event.type for event in events].count("content_block_delta") == 3
    assert events[-1].type == "content_block_delta"


# --- images, PDFs and schemas


def png(width=640, height=480):
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + size + b"\x08\x02\0\0\0"


PDF = b"%PDF-1.4 1 0 obj << /Type /Page >> endobj"
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def block(data, kind="image/png", of="image", **more):
    code = base64.b64encode(data).decode()
    return {"type": of, "source": {"type": "base64", "media_type": kind, "data": code}, **more}


def message(*blocks, role="user"):
    return [{"role": role, "content": [*blocks, {"type": "text", "text": "What is it?"}]}]


async def test_an_image_and_a_pdf_are_described(client):
    paper = block(PDF, "application/pdf", "document", title="a.pdf")
    answer = await ask(client, messages=message(block(png()), paper))
    assert f"image/png 640x480, {len(png())} bytes" in answer.content[0].text
    assert f"application/pdf 1 pages, {len(PDF)} bytes, a.pdf" in answer.content[0].text
    assert answer.usage.input_tokens > 23 * 18


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        (message(block(png(), "image/bmp")), "Unsupported MIME type"),
        (message(block(png(), "image/jpeg")), "is image/png, not image/jpeg"),
        (message(block(PDF, "application/pdf")), "Unsupported MIME type"),
        (message(block(png()[:18])), "Could not process image"),
        (message(block(png() + bytes(4 * 2**20))), "image exceeds 5 MB maximum"),
        (message({"type": "image"}), "source: Field required"),
        (message({"type": "image_url", "image_url": {}}), "Input tag 'image_url' found"),
        (message(block(png()), role="assistant"), "only allowed in `user` messages"),
    ],
)
async def test_blocks_that_the_api_refuses_are_refused(client, messages, why):
    with pytest.raises(anthropic.BadRequestError, match=why):
        await ask(client, messages=messages)


async def test_a_document_of_text_is_taken(client):
    source = {"type": "text", "media_type": "text/plain", "data": "Hello"}
    assert await ask(client, messages=message({"type": "document", "source": source}))


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"type": "json"}, "should be 'json_schema'"),
        ({"type": "json_schema"}, "Field required"),
        ({"type": "json_schema", "schema": {"type": "object"}}, "must be explicitly set to false"),
        ({"type": "json_schema", "schema": {"type": "integer", "minimum": 1}}, "'minimum' is not supported"),
    ],
)
async def test_formats_that_the_api_refuses_are_refused(client, wanted, why):
    with pytest.raises(anthropic.BadRequestError, match=why):
        await ask(client, extra_body={"output_config": {"format": wanted}})


async def test_a_schema_is_followed(client):
    wanted = {"type": "json_schema", "schema": CITY}
    answer = await ask(client, extra_body={"output_config": {"format": wanted}})
    assert '"city"' in answer.content[0].text
