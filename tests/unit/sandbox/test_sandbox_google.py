import json

import aiohttp
import pytest
from google import genai
from google.genai import errors, types

from llmkit import sandbox


@pytest.fixture(scope="module")
def server():
    with sandbox.start(rate=0, first_token=0) as running:
        yield running


def connect(server, key="x"):
    # Without retry options the SDK tries a refused connection again after some seconds.
    options = types.HttpOptions(
        base_url=server.url("google"),
        api_version="v1beta",
        retry_options=types.HttpRetryOptions(attempts=1),
    )
    return genai.Client(api_key=key, http_options=options)


@pytest.fixture
async def client(server):
    made = connect(server)
    async with made.aio as asynchronous:
        yield asynchronous
    made.close()


async def ask(client, model="sandbox", contents="Explain the tides", **config):
    return await client.models.generate_content(model=model, contents=contents, config=config)


async def stream(client, model="sandbox", contents="Explain the tides", **config):
    chunks = await client.models.generate_content_stream(model=model, contents=contents, config=config)
    return [chunk async for chunk in chunks]


async def test_the_streamed_text_is_the_plain_text(client):
    plain = await ask(client)
    chunks = await stream(client)
    assert "".join(chunk.text or "" for chunk in chunks) == plain.text
    assert chunks[-1].usage_metadata == plain.usage_metadata
    assert (
        chunks[-1].candidates[0].finish_reason == plain.candidates[0].finish_reason == types.FinishReason.STOP
    )


async def test_the_usage_grows_with_each_chunk(client):
    chunks = await stream(client, contents="echo: one two")
    assert [chunk.usage_metadata.candidates_token_count for chunk in chunks] == [1, 2, 2]
    assert chunks[-1].usage_metadata.total_token_count == 6
    assert [chunk.candidates[0].finish_reason for chunk in chunks[:2]] == [None, None]


async def test_the_limit_cuts_the_answer(client):
    answer = await ask(client, max_output_tokens=5)
    assert answer.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert answer.usage_metadata.candidates_token_count == 5


async def test_candidates_exclude_thoughts_and_the_prompt_includes_the_cache(client):
    usage = (await ask(client, model="sandbox!cached=100;reasoning=7;tokens=3")).usage_metadata
    assert (usage.prompt_token_count, usage.cached_content_token_count) == (100, 100)
    assert (usage.candidates_token_count, usage.thoughts_token_count, usage.total_token_count) == (3, 7, 110)


async def test_counted_tokens_are_those_that_are_billed(client):
    counted = await client.models.count_tokens(model="sandbox", contents="Explain the tides")
    assert counted.total_tokens == (await ask(client)).usage_metadata.prompt_token_count == 3


async def test_a_schema_is_kept(client):
    schema = {"type": "object", "properties": {"sentiment": {"type": "string"}}}
    answer = await ask(
        client, contents="I love it", response_mime_type="application/json", response_json_schema=schema
    )
    assert json.loads(answer.text) == {"sentiment": "positive"}


async def test_the_system_instruction_is_read(client):
    answer = await ask(client, contents="I love it", system_instruction='As JSON: {"mood": "string"}')
    assert json.loads(answer.text) == {"mood": "positive"}


async def test_models_are_listed_and_described(client):
    listed = [model.name async for model in await client.models.list()]
    assert listed == ["models/sandbox", "models/sandbox-mini", "models/sandbox-thinking"]
    assert (await client.models.get(model="anything")).name == "models/anything"


async def test_an_unknown_model_is_not_found(client):
    with pytest.raises(errors.ClientError) as caught:
        await ask(client, model="no-such-model")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


async def test_the_key_invalid_is_a_bad_request(server):
    client = connect(server, key="invalid")
    with pytest.raises(errors.ClientError) as caught:
        await ask(client.aio)
    assert caught.value.code == 400
    assert caught.value.details["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    await client.aio.aclose()
    client.close()


@pytest.mark.parametrize(
    ("fault", "error", "status"),
    [
        ("400", errors.ClientError, "INVALID_ARGUMENT"),
        ("403", errors.ClientError, "PERMISSION_DENIED"),
        ("429;retry-after=2", errors.ClientError, "RESOURCE_EXHAUSTED"),
        ("500", errors.ServerError, "INTERNAL"),
        ("503", errors.ServerError, "UNAVAILABLE"),
        ("504", errors.ServerError, "DEADLINE_EXCEEDED"),
    ],
)
@pytest.mark.parametrize("call", [ask, stream])
async def test_each_status_raises_its_class(client, call, fault, error, status):
    with pytest.raises(error) as caught:
        await call(client, model=f"sandbox!{fault}")
    assert caught.value.status == status


async def test_a_parameter_can_be_refused(client):
    with pytest.raises(errors.ClientError, match="temperature"):
        await ask(client, model="sandbox!refuse=temperature", temperature=1)


async def test_an_error_inside_the_stream_is_a_server_error(client):
    with pytest.raises(errors.ServerError) as caught:
        await stream(client, model="sandbox!error=3")
    assert caught.value.status == "UNAVAILABLE"


async def test_a_clean_end_without_the_marker_has_no_finish_reason(client):
    chunks = await stream(client, model="sandbox!end=3")
    assert len(chunks) == 3
    assert chunks[-1].candidates[0].finish_reason is None


@pytest.mark.parametrize(
    "contents", [None, [], [{"role": "robot", "parts": [{"text": "Hi"}]}], [{"parts": []}]]
)
async def test_a_wrong_request_is_an_invalid_argument(server, contents):
    url = f"{server.url('google')}/v1/models/sandbox:generateContent"
    async with aiohttp.ClientSession() as session, session.post(url, json={"contents": contents}) as response:
        assert response.status == 400
        assert (await response.json())["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("text", ["one two", "one"])
async def test_without_sse_the_stream_is_one_json_array(server, text):
    url = f"{server.url('google')}/v1beta/models/sandbox:streamGenerateContent"
    body = {"contents": [{"parts": [{"text": f"echo: {text}"}]}], "generation_config": {"maxOutputTokens": 9}}
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        chunks = json.loads(await response.text())
    parts = [chunk["candidates"][0]["content"].get("parts", [{"text": ""}]) for chunk in chunks]
    assert "".join(part[0]["text"] for part in parts) == text
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"


async def test_an_error_of_an_array_stream_is_an_array(server):
    url = f"{server.url('google')}/v1beta/models/sandbox!429:streamGenerateContent?key=x"
    async with aiohttp.ClientSession() as session, session.post(url, json={}) as response:
        assert (await response.json())[0]["error"]["code"] == 429


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


def part(data, kind="image/png"):
    return types.Part.from_bytes(data=data, mime_type=kind)


async def test_an_image_and_a_pdf_are_described(client):
    answer = await ask(client, contents=[part(png()), part(PDF, "application/pdf"), "What is it?"])
    assert f"image/png 640x480, {len(png())} bytes" in answer.text
    assert f"application/pdf 1 pages, {len(PDF)} bytes" in answer.text
    assert answer.usage_metadata.prompt_token_count > 2240


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (part(png(), "image/gif"), "Unsupported MIME type: 'image/gif'"),
        (part(png(), "image/webp"), "is image/png, not image/webp"),
        (part(png()[:18]), "Could not process image"),
        (part(b""), "is empty"),
    ],
)
async def test_data_that_the_api_refuses_is_refused(client, one, why):
    with pytest.raises(errors.ClientError, match=why):
        await ask(client, contents=[one, "What is it?"])


async def test_bytes_in_either_alphabet_of_base64_are_read(server):
    url = server.url("google") + "/v1beta/models/sandbox:generateContent"
    for data in ("iVBORw0KGgoAAAANSUhEUgAAAoAAAAHg+/8=", "iVBORw0KGgoAAAANSUhEUgAAAoAAAAHg-_8="):
        parts = [{"inlineData": {"mimeType": "image/png", "data": data}}, {"text": "Hi"}]
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json={"contents": [{"parts": parts}]}) as answer,
        ):
            assert "640x480" in await answer.text()


async def test_a_schema_is_followed(client):
    answer = await ask(client, response_mime_type="application/json", response_json_schema=CITY)
    assert json.loads(answer.text).keys() == {"city"}


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"response_json_schema": CITY}, "only allowed with response mime type"),
        (
            {
                "response_mime_type": "application/json",
                "response_json_schema": CITY,
                "response_schema": {"type": "OBJECT"},
            },
            "Only one of",
        ),
    ],
)
async def test_formats_that_the_api_refuses_are_refused(client, config, why):
    with pytest.raises(errors.ClientError, match=why):
        await ask(client, **config)
