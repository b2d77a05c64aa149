"""What travels, byte for byte: odd but legal answers, redirects, proxies, other transports."""

import asyncio
import contextlib
import gzip
import json
import warnings
from types import SimpleNamespace

import httpx
import openai
import pytest

from llmkit import (
    AnthropicClient,
    AuthenticationError,
    BadResponseError,
    GoogleAIClient,
    GoogleGenerativeAIClient,
    LLMClientError,
    LLMMessage,
    OpenAIClient,
    ProviderNotAvailableError,
    StreamInterruptedError,
    sandbox,
)
from tests.support.callers import read

QUESTION = [LLMMessage("user", "Hello")]
CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
WHOLE = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":null}'
EVENTS = "Content-Type: text/event-stream"
FACTORIES = {"openai": OpenAIClient, "anthropic": AnthropicClient, "google": GoogleAIClient}


def answer(body, *headers, status="200 OK", length=True):
    size = [f"Content-Length: {len(body)}"] if length else ["Connection: close"]
    head = "\r\n".join([f"HTTP/1.1 {status}", *size, *headers])
    return head.encode() + b"\r\n\r\n" + body


@contextlib.asynccontextmanager
async def server(raw, *, hold=False):
    """A server that gives every request the same bytes, and keeps the socket open if told to."""
    seen, tasks = [], []

    async def serve(reader, writer):
        tasks.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            seen.append(head.decode())
            size = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            await reader.readexactly(int(size[0].split(b":")[1]) if size else 0)
            writer.write(raw)
            await writer.drain()
            if hold:
                await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", seen
        await asyncio.gather(*tasks)


async def text(client):
    async with client:
        return "".join([piece async for piece in client.stream_text(QUESTION)])


def client(url, **options):
    return OpenAIClient("sk-test", url, **{"model": "m", "max_retries": 0, **options})


async def test_a_json_document_in_place_of_a_stream_is_read(recorder):
    async with server(answer(WHOLE, "Content-Type: application/json")) as (url, _):
        assert await text(client(url)) == "Hi"
    assert recorder.statuses == ["ok"]


async def test_a_compressed_stream_is_read(recorder):
    body = gzip.compress(CHUNK + STOP)
    async with server(answer(body, EVENTS, "Content-Encoding: gzip")) as (url, _):
        assert await text(client(url)) == "Hi"


async def test_a_broken_compression_is_a_bad_response(recorder):
    async with server(answer(b"no gzip at all", EVENTS, "Content-Encoding: gzip")) as (url, _):
        with pytest.raises((BadResponseError, StreamInterruptedError)):
            await text(client(url))


async def test_an_error_with_the_status_200_is_raised(recorder):
    body = b'{"error":{"message":"no such key","type":"invalid_request_error","code":"invalid_api_key"}}'
    for stream in (True, False):
        async with server(answer(body)) as (url, _):
            one = client(url)
            with pytest.raises(AuthenticationError, match="no such key"):
                await (text(one) if stream else one.generate_text(QUESTION))
            await one.close()


async def test_a_body_that_ends_with_its_connection_is_read(recorder):
    async with server(answer(CHUNK + STOP, EVENTS, length=False)) as (url, _):
        assert await text(client(url)) == "Hi"


async def test_a_server_that_does_not_close_after_the_end_does_not_fail_the_answer(recorder, monkeypatch):
    monkeypatch.setattr("llmkit.clients.engine.response_reader.CLOSE_GRACE", 0.1)
    async with server(answer(CHUNK + STOP, EVENTS, length=False), hold=True) as (url, _):
        assert await text(client(url)) == "Hi"
    assert recorder.statuses == ["ok"]


async def test_a_connection_that_breaks_after_the_end_does_not_fail_the_answer(recorder):
    body = answer(CHUNK + STOP, EVENTS).replace(b"Content-Length: ", b"Content-Length: 9")
    async with server(body) as (url, _):
        assert await text(client(url)) == "Hi"
    assert recorder.statuses == ["ok"]


async def test_a_connection_that_breaks_before_the_end_is_interrupted(recorder):
    body = answer(CHUNK, EVENTS).replace(b"Content-Length: ", b"Content-Length: 9")
    async with server(body) as (url, _):
        with pytest.raises(StreamInterruptedError) as caught:
            await text(client(url))
    assert caught.value.partial == "Hi"


async def test_a_connection_that_breaks_before_the_headers_is_not_available(recorder):
    async with server(b"") as (url, _):
        with pytest.raises(ProviderNotAvailableError, match="No answer from"):
            await text(client(url))


async def test_what_is_not_http_is_an_error_of_ours(recorder):
    async with server(b"SSH-2.0-OpenSSH_9.6\r\n\r\n") as (url, _):
        for factory in FACTORIES.values():
            one = factory("k", url, model="m", max_retries=0)
            with pytest.raises(LLMClientError):
                await one.generate_text(QUESTION)
            await one.close()


async def test_a_last_event_that_is_cut_off_is_left_out(recorder):
    async with server(answer(CHUNK + STOP + b'data: {"usage":{"prom', EVENTS)) as (url, _):
        assert await text(client(url)) == "Hi"


async def test_a_text_and_an_error_in_one_piece_both_arrive(recorder):
    body = CHUNK + b'data: {"error":{"message":"overloaded","code":503}}\n\n'
    async with server(answer(body, EVENTS)) as (url, _):
        with pytest.raises(ProviderNotAvailableError, match="overloaded") as caught:
            await text(client(url))
    assert caught.value.partial == "Hi"


@pytest.mark.parametrize("provider", FACTORIES)
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent"])
async def test_a_redirect_is_reported_and_the_key_is_not_sent(recorder, provider, status):
    async with server(answer(WHOLE)) as (elsewhere, seen):
        moved = answer(b"", f"Location: {elsewhere}/v1", status=status)
        async with server(moved) as (url, _):
            one = FACTORIES[provider]("sk-test", url, model="m")
            with pytest.raises(BadResponseError, match=r"redirects to http://127\.0\.0\.1") as caught:
                await one.generate_text(QUESTION)
            await one.close()
    assert not seen
    assert caught.value.status_code == int(status[:3])


@pytest.mark.parametrize("through", ["aiohttp", "httpx"])
@pytest.mark.parametrize("way", ["whole", "streamed", "models"])
async def test_a_users_own_genai_client_follows_no_redirect_with_its_key(recorder, monkeypatch, way, through):
    from google import genai
    from google.genai import _api_client

    if through == "httpx":
        monkeypatch.setattr(_api_client, "has_aiohttp", False)
    async with server(answer(b"{}")) as (elsewhere, seen):
        moved = answer(b"", f"Location: {elsewhere}/x", status="307 Temporary Redirect")
        async with server(moved) as (url, heads):
            own = genai.Client(api_key="sk-test-0123456789", http_options={"base_url": url})
            one = GoogleAIClient(client=own, model="m", max_retries=0)
            ways = {
                "whole": lambda: one.generate_text(QUESTION),
                "streamed": lambda: read(one.stream_text(QUESTION)),
                "models": one.list_models,
            }
            with pytest.raises(LLMClientError):
                await ways[way]()
            await own.aio.aclose()
    assert len(heads) == 1
    assert not seen


@pytest.mark.parametrize("way", ["whole", "streamed", "models"])
async def test_a_users_own_generative_model_follows_no_redirect_with_its_key(recorder, way):
    from llmkit.transport.genai_legacy import load_sdk

    async with server(answer(b"{}")) as (elsewhere, seen):
        moved = answer(b"", f"Location: {elsewhere}/x", status="307 Temporary Redirect")
        async with server(moved) as (url, heads):
            options = {"api_endpoint": url}
            load_sdk().configure(api_key="sk-test-0123456789", transport="rest", client_options=options)
            model = load_sdk().GenerativeModel("m")
            one = GoogleGenerativeAIClient(client=model, model="m", max_retries=0)
            ways = {
                "whole": lambda: one.generate_text(QUESTION),
                "streamed": lambda: read(one.stream_text(QUESTION)),
                "models": one.list_models,
            }
            with pytest.raises(LLMClientError):
                await ways[way]()
            load_sdk().configure(api_key="", transport="rest")
    assert heads
    assert not seen


async def test_a_redirect_does_not_show_what_its_address_carries(recorder):
    moved = answer(b"", "Location: http://me:secret@else.invalid/x?key=secret", status="307 X")
    async with server(moved) as (url, _):
        one = client(url)
        with pytest.raises(BadResponseError) as caught:
            await one.generate_text(QUESTION)
        await one.close()
    assert "secret" not in str(caught.value)


async def test_a_users_sdk_on_the_former_httpx_works(sandbox_server, recorder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDK may say that httpx2 is the one to take
        http = httpx.AsyncClient()
        own = openai.AsyncOpenAI(api_key="k", base_url=sandbox_server.url("openai"), http_client=http)
    one = OpenAIClient(client=own, model="sandbox")
    question = [LLMMessage("user", "echo: one two")]
    assert (await one.generate_text(question)).content == "one two"
    assert [piece async for piece in one.stream_text(question)] == ["one", " two"]
    sandbox_server.fail_next("cut=1")
    with pytest.raises(StreamInterruptedError) as caught:
        [piece async for piece in one.stream_text(question)]
    assert caught.value.partial == "one"
    await own.close()


@pytest.mark.parametrize("way", ["the bytes", "the SDK's chunks"])
async def test_a_users_own_genai_client_streams(sandbox_server, recorder, monkeypatch, way):
    from google import genai

    from llmkit.transport import genai as transport

    if way == "the SDK's chunks":
        other_version = SimpleNamespace(_api_client=object())
        assert transport._sender(other_version) is None
        monkeypatch.setattr(transport, "_sender", lambda _: None)
    own = genai.Client(api_key="k", http_options={"base_url": sandbox_server.url("google")})
    one = GoogleAIClient(client=own, model="sandbox", max_retries=0)
    question = [LLMMessage("user", "echo: one two")]
    stream = one.stream_text(question)
    assert [piece async for piece in stream] == ["one", " two"]
    assert stream.usage.output_tokens
    sandbox_server.fail_next("cut=1")
    with pytest.raises(StreamInterruptedError) as caught:
        await read(one.stream_text(question))
    assert caught.value.partial == "one"
    await own.aio.aclose()


@pytest.fixture
def sandbox_server():
    with sandbox.start(rate=0, first_token=0) as running:
        yield running


async def test_what_somebody_put_on_a_users_google_client_is_called(recorder, sandbox_server):
    genai = pytest.importorskip("google.genai")
    own = genai.Client(api_key="k", http_options={"base_url": sandbox_server.url("google")})
    called, plain = [], own.aio.models.generate_content

    async def wrapped(**arguments):
        called.append(arguments["model"])
        return await plain(**arguments)

    own.aio.models.generate_content = wrapped
    client = GoogleAIClient(client=own, model="sandbox", max_retries=0)
    assert (await client.generate_text([LLMMessage("user", "echo: one")])).content == "one"
    assert called == ["sandbox"]
    await own.aio.aclose()


async def test_a_users_http_client_with_its_own_proxy_is_kept(recorder):
    async with server(answer(WHOLE)) as (url, seen):
        own = openai.AsyncOpenAI(
            api_key="k",
            base_url="http://api.invalid/v1",
            http_client=openai.DefaultAsyncHttpxClient(proxy=url),
        )
        assert (await OpenAIClient(client=own, model="m").generate_text(QUESTION)).content == "Hi"
        await own.close()
    assert seen[0].startswith("POST http://api.invalid/v1/chat/completions")


@pytest.mark.parametrize("provider", FACTORIES)
async def test_the_environments_proxy_is_used(recorder, monkeypatch, provider):
    bodies = {
        "openai": WHOLE,
        "anthropic": b'{"type":"message","content":[{"type":"text","text":"Hi"}]}',
        "google": b'{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}]}',
    }
    async with server(answer(bodies[provider])) as (url, seen):
        monkeypatch.setenv("http_proxy", url)
        one = FACTORIES[provider]("k", "http://api.invalid", model="m")
        assert (await one.generate_text(QUESTION)).content == "Hi"
        await one.close()
    assert seen[0].startswith("POST http://api.invalid/")


async def test_a_body_is_sent_as_json_in_utf_8(sandbox_server, recorder):
    for provider, factory in FACTORIES.items():
        async with factory("k", sandbox_server.url(provider), model="sandbox") as one:
            answered = await one.generate_text([LLMMessage("user", "echo: Grüße 🌍 \u2028")])
        assert answered.content == "Grüße 🌍 \u2028"
        assert "Grüße 🌍" in json.dumps(sandbox_server.requests[-1].body, ensure_ascii=False)


@pytest.fixture
def generative_model(sandbox_server):
    """A user's own model of the former SDK, with an instruction of its own."""
    from llmkit.transport.genai_legacy import load_sdk

    genai = load_sdk()  # without its warnings
    options = {"api_endpoint": sandbox_server.url("google")}
    genai.configure(api_key="k", transport="rest", client_options=options)
    yield genai.GenerativeModel("sandbox", system_instruction="Be brief.")
    genai.configure(api_key="", transport="rest")


async def test_a_users_own_generative_model_works(sandbox_server, recorder, generative_model):
    client = GoogleGenerativeAIClient(client=generative_model, model="sandbox")
    question = [LLMMessage("user", "echo: one two three")]
    assert (await client.generate_text(question, max_tokens=2)).content == "one two"
    stream = client.stream_text(question)
    assert [piece async for piece in stream] == ["one", " two", " three"]
    assert (stream.finish_reason, stream.response.usage_source) == ("stop", "reported")
    assert sandbox_server.requests[-1].body["systemInstruction"]


@pytest.mark.parametrize(
    ("fault", "expected"), [("401", AuthenticationError), ("503", ProviderNotAvailableError)]
)
async def test_the_errors_of_a_users_own_generative_model_are_distinguished(
    sandbox_server, recorder, generative_model, fault, expected
):
    client = GoogleGenerativeAIClient(client=generative_model, model="sandbox", max_retries=0)
    sandbox_server.fail_next(fault, times=9)
    for call in (client.generate_text, lambda messages: read(client.stream_text(messages))):
        with pytest.raises(expected):
            await call(QUESTION)


async def test_a_client_of_the_former_sdk_leaves_the_users_configuration_alone(
    sandbox_server, recorder, generative_model
):
    async with GoogleGenerativeAIClient("other", "http://127.0.0.1:1", model="m", max_retries=0) as other:
        with pytest.raises(ProviderNotAvailableError):
            await other.generate_text(QUESTION)
    assert generative_model.generate_content("echo: yes").text == "yes"


async def test_a_blocked_prompt_is_an_answer_to_the_former_sdk_too(recorder):
    blocked = b'[{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":3}}]'
    async with server(answer(blocked, "Content-Type: application/json")) as (url, _):
        client = GoogleGenerativeAIClient("k", url, model="m")
        stream = client.stream_text(QUESTION)
        assert await read(stream) == []
    assert stream.finish_reason == "content_filter"
    assert recorder.statuses == ["ok"]
