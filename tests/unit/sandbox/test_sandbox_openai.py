import base64
import json

import openai
import pytest

from llmkit import sandbox
from llmkit.core import compat

QUESTION = [{"role": "user", "content": "Explain the tides"}]


@pytest.fixture(scope="module")
def server():
    with sandbox.start(rate=0, first_token=0) as running:
        yield running


@pytest.fixture
async def client(server):
    async with openai.AsyncOpenAI(api_key="x", base_url=server.url("openai"), max_retries=0) as made:
        yield made


async def ask(client, model="sandbox", messages=QUESTION, **settings):
    return await client.chat.completions.create(model=model, messages=messages, **settings)


async def stream(client, **settings):
    settings.setdefault("stream_options", {"include_usage": True})
    return [chunk async for chunk in await ask(client, stream=True, **settings)]


def text(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


async def test_the_streamed_text_is_the_plain_text(client):
    plain = await ask(client)
    chunks = await stream(client)
    assert text(chunks) == plain.choices[0].message.content
    assert chunks[-1].usage == plain.usage


async def test_a_stream_has_role_text_finish_and_usage_in_this_order(client):
    chunks = await stream(client, messages=[{"role": "user", "content": "echo: one two"}])
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].delta.content for chunk in chunks[1:3]] == ["one", " two"]
    assert chunks[3].choices[0].finish_reason == "stop"
    assert chunks[4].choices == []
    assert (chunks[4].usage.prompt_tokens, chunks[4].usage.completion_tokens) == (4, 2)


async def test_a_stream_has_no_usage_unless_it_is_asked_for(client):
    assert all(chunk.usage is None for chunk in await stream(client, stream_options={}))


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
async def test_both_limits_cut_the_answer(client, limit):
    answer = await ask(client, **{limit: 5})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 5


async def test_cached_and_reasoning_tokens_are_part_of_the_totals(client):
    usage = (await ask(client, model="sandbox!cached=100;reasoning=7;tokens=3")).usage
    assert usage.prompt_tokens_details.cached_tokens == 100
    assert usage.completion_tokens_details.reasoning_tokens == 7
    assert (usage.prompt_tokens, usage.completion_tokens) == (100, 10)


async def test_parts_and_all_roles_are_understood(client):
    parts = [{"type": "text", "text": "echo: a "}, {"type": "text", "text": "b"}]
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    assert (await ask(client, messages=messages)).choices[0].message.content == "a b"


async def test_json_mode_gives_json(client):
    from pydantic import BaseModel

    class Review(BaseModel):
        sentiment: str
        stars: int

    messages = [{"role": "user", "content": "I love it"}]
    parsed = await client.chat.completions.parse(model="sandbox", messages=messages, response_format=Review)
    assert parsed.choices[0].message.parsed.sentiment == "positive"


async def test_any_model_name_is_echoed_without_its_fault(client):
    assert (await ask(client, model="gpt-4o-mini!tokens=1")).model == "gpt-4o-mini"


async def test_models_are_listed_and_described(client):
    assert [model.id async for model in client.models.list()] == [
        "sandbox",
        "sandbox-mini",
        "sandbox-thinking",
    ]
    assert (await client.models.retrieve("anything")).id == "anything"


async def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        await ask(client, model="no-such-model")
    assert caught.value.code == "model_not_found"


async def test_the_key_invalid_is_refused(client):
    with pytest.raises(openai.AuthenticationError) as caught:
        await ask(client.with_options(api_key="invalid"))
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages[0].role"),
        ({"model": ""}, "model"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
async def test_a_wrong_request_names_its_parameter(client, settings, param):
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(client, **settings)
    assert caught.value.param == param


async def test_a_parameter_can_be_refused(client):
    with pytest.raises(openai.BadRequestError) as caught:
        await ask(client, model="sandbox!refuse=max_tokens", max_tokens=5)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", "max_tokens")
    assert await ask(client, model="sandbox!refuse=max_tokens", max_completion_tokens=5)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("401", openai.AuthenticationError),
        ("403", openai.PermissionDeniedError),
        ("404", openai.NotFoundError),
        ("409", openai.ConflictError),
        ("422", openai.UnprocessableEntityError),
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("503", openai.InternalServerError),
    ],
)
async def test_each_status_raises_its_class(client, fault, error):
    with pytest.raises(error) as caught:
        await ask(client, model=f"sandbox!{fault};retry-after=3")
    assert caught.value.response.headers["retry-after"] == "3"
    assert caught.value.request_id.startswith("req_")


async def test_a_used_up_quota_has_its_own_code(client):
    with pytest.raises(openai.RateLimitError) as caught:
        await ask(client, extra_headers={"x-llmkit-fault": "429;code=insufficient_quota"})
    assert caught.value.code == caught.value.type == "insufficient_quota"


@pytest.mark.parametrize("fault", ["cut=3", "reset=3"])
async def test_a_broken_connection_is_a_connection_error(client, fault):
    with pytest.raises((openai.APIConnectionError, *compat.http_errors())):  # the SDK's before release 3
        await stream(client, model=f"sandbox!{fault}")


async def test_an_error_inside_the_stream_is_an_api_error(client):
    with pytest.raises(openai.APIError, match="overloaded"):
        await stream(client, model="sandbox!error=3")


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


def data_url(kind, data):
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def image(url, **more):
    return {"type": "image_url", "image_url": {"url": url, **more}}


def message(*parts, role="user"):
    return [{"role": role, "content": [*parts, {"type": "text", "text": "What is it?"}]}]


async def test_an_image_and_a_pdf_are_described(client):
    file = {"filename": "a.pdf", "file_data": data_url("application/pdf", PDF)}
    parts = (image(data_url("image/png", png()), detail="low"), {"type": "file", "file": file})
    answer = await ask(client, messages=message(*parts))
    said = answer.choices[0].message.content
    assert f"image/png 640x480, {len(png())} bytes" in said
    assert f"application/pdf 1 pages, {len(PDF)} bytes, a.pdf" in said
    assert answer.usage.prompt_tokens > 1000


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        (message(image(data_url("image/bmp", png()))), "Unsupported MIME type"),
        (message(image(data_url("image/jpeg", png()))), "is image/png, not image/jpeg"),
        (message(image("data:image/png;base64,%%%")), "Base64 decoding failed"),
        (message(image(data_url("image/png", png()[:18]))), "Could not process image"),
        (message(image("photo.png")), "expected a base64-encoded data URL"),
        (message({"type": "image_url", "image_url": "x"}), "expected an object"),
        (message({"type": "image", "source": {}}), "Invalid value: 'image'"),
        (message({"type": "file", "file": {"file_data": data_url("application/pdf", PDF)}}), "file.filename"),
        (message(image(data_url("image/png", png())), role="system"), "only allowed for messages with role"),
    ],
)
async def test_parts_that_the_api_refuses_are_refused(client, messages, why):
    with pytest.raises(openai.BadRequestError, match=why):
        await ask(client, messages=messages)


async def test_an_image_on_the_web_is_not_loaded(client):
    answer = await ask(client, messages=message(image("https://example.invalid/a.png")))
    said = "image at https://example.invalid/a.png: an address, from which the sandbox loads nothing"
    assert said in answer.choices[0].message.content


def formatted(schema, **more):
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, **more}}


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"type": "yaml"}, "Supported values are"),
        ({"type": "json_object"}, "must contain the word 'json'"),
        ({"type": "json_schema"}, "json_schema.name"),
        (formatted({"type": "array"}), "must be a JSON Schema of"),
        (
            formatted({**CITY, "additionalProperties": True}, strict=True),
            "'additionalProperties' is required",
        ),
        (formatted({**CITY, "required": []}, strict=True), "including every key in properties"),
        (formatted({**CITY, "allOf": []}, strict=True), "'allOf' is not permitted"),
    ],
)
async def test_formats_that_the_api_refuses_are_refused(client, wanted, why):
    with pytest.raises(openai.BadRequestError, match=why):
        await ask(client, response_format=wanted)


async def test_a_schema_in_the_prompt_is_followed(client):
    talk = [{"role": "system", "content": f"Fit this JSON schema: {json.dumps(CITY)}"}, *QUESTION]
    answer = await ask(client, messages=talk)
    assert json.loads(answer.choices[0].message.content).keys() == {"city"}
