import asyncio
import json
import time
from contextlib import suppress

import aiohttp
import pytest

from llmkit import sandbox

MESSAGES = [{"role": "user", "content": "echo: one two three four five"}]
CALLS = {
    "openai": ("/chat/completions", {"model": "sandbox", "messages": MESSAGES}),
    "anthropic": ("/v1/messages", {"model": "sandbox", "messages": MESSAGES, "max_tokens": 100}),
    "google": (
        "/v1beta/models/sandbox:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": MESSAGES[0]["content"]}]}]},
    ),
}
MARKERS = {"openai": b"[DONE]", "anthropic": b"message_stop", "google": b'"finishReason"'}
ERRORS = {"openai": b'data: {"error"', "anthropic": b"overloaded_error", "google": b'"UNAVAILABLE"'}
KEEP_ALIVES = {"openai": b": keep-alive\n", "anthropic": b'{"type":"ping"}', "google": b": keep-alive\r\n"}


@pytest.fixture
def server():
    with sandbox.start(rate=0, first_token=0) as running:
        yield running


@pytest.fixture(params=list(CALLS))
def protocol(request):
    return request.param


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as made:
        yield made


def post(session, server, protocol, fault="", *, stream=True):
    path, body = CALLS[protocol]
    if protocol == "google" and stream:
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
    elif stream:
        body = body | {"stream": True}
    headers = {"x-llmkit-fault": fault, "anthropic-version": "2023-06-01"}
    return session.post(server.url(protocol) + path, json=body, headers=headers)


async def read_until(response, enough):
    seen = b""
    async for data in response.content.iter_any():
        seen += data
        if enough(seen):
            break
    return seen


def texts(raw):
    return [word for word in (b"one", b" two", b" three", b" four", b" five") if b'"' + word + b'"' in raw]


async def outcome(server, wanted="aborted"):
    deadline = time.monotonic() + 5
    while server.requests[-1].outcome != wanted and time.monotonic() < deadline:  # noqa: ASYNC110 - the server's thread writes it
        await asyncio.sleep(0.005)
    return server.requests[-1]


async def test_without_a_fault_the_stream_is_whole(session, server, protocol):
    async with post(session, server, protocol) as response:
        raw = await response.read()
    assert len(texts(raw)) == 5
    assert MARKERS[protocol] in raw
    assert response.content_type == "text/event-stream"
    assert (await outcome(server, "done")).chunks == 5


async def test_every_response_says_who_answered(session, server, protocol):
    for fault in ("", "500", "html", "empty", "bogus"):
        async with post(session, server, protocol, fault) as response:
            assert response.headers["x-llmkit-sandbox"] == "1"
            assert {"x-request-id", "request-id"} & {name.lower() for name in response.headers}


async def test_a_stall_keeps_the_socket_open(session, server, protocol):
    async with post(session, server, protocol, "stall=3") as response:
        raw = await read_until(response, lambda seen: len(texts(seen)) == 3)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(response.content.readany(), 0.2)
    assert MARKERS[protocol] not in raw


async def test_a_client_that_leaves_is_noticed_within_a_second(session, server, protocol):
    async with post(session, server, protocol, "stall=2") as response:
        await read_until(response, lambda seen: len(texts(seen)) == 2)
        response.close()
    left = time.monotonic()
    seen = await outcome(server)
    assert seen.outcome == "aborted"
    assert seen.ended_at - left < 1


async def test_a_client_that_leaves_while_tokens_are_paced_is_noticed(session, server, protocol):
    async with post(session, server, protocol, "tokens=1000;rate=20") as response:
        await read_until(response, lambda seen: b"one" in seen)
        response.close()
    assert (await outcome(server)).outcome == "aborted"


async def test_a_client_that_leaves_before_the_first_byte_is_noticed(session, server, protocol):
    for stream in (True, False):
        with suppress(TimeoutError):
            await asyncio.wait_for(post(session, server, protocol, "slow=30", stream=stream), 0.2)
        assert (await outcome(server)).outcome == "aborted"


@pytest.mark.parametrize("fault", ["cut=3", "reset=3"])
async def test_a_cut_comes_after_the_pieces(session, server, protocol, fault):
    async with post(session, server, protocol, fault) as response:
        raw = await read_until(response, lambda seen: len(texts(seen)) == 3)
        with pytest.raises(aiohttp.ClientError):
            await response.read()
    assert len(texts(raw)) == 3
    assert (await outcome(server, "done")).chunks == 3


async def test_a_reset_is_a_reset(server):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    body = json.dumps(CALLS["openai"][1] | {"stream": True, "model": "sandbox!reset=1"}).encode()
    head = f"POST /openai/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    with pytest.raises(ConnectionResetError):
        await reader.read(-1)
    writer.close()
    with suppress(ConnectionResetError):
        await writer.wait_closed()


async def test_a_clean_end_lacks_only_the_marker(session, server, protocol):
    async with post(session, server, protocol, "end=3") as response:
        raw = await response.read()
    assert len(texts(raw)) == 3
    assert MARKERS[protocol] not in raw


async def test_an_answer_shorter_than_the_count_fails_before_its_marker(session, server, protocol):
    async with post(session, server, protocol, "end=99") as response:
        raw = await response.read()
    assert len(texts(raw)) == 5
    assert MARKERS[protocol] not in raw


async def test_a_malformed_frame_is_followed_by_the_rest(session, server, protocol):
    async with post(session, server, protocol, "malformed=2") as response:
        raw = await response.read()
    lines = [line[6:] for line in raw.splitlines() if line.startswith(b"data: {")]
    broken = [line for line in lines if not line.endswith(b"}")]
    assert len(broken) == 1
    assert len(texts(raw)) == 5
    assert MARKERS[protocol] in raw


async def test_an_error_inside_the_stream_ends_it(session, server, protocol):
    async with post(session, server, protocol, "error=2") as response:
        raw = await response.read()
    assert response.status == 200
    assert ERRORS[protocol] in raw
    assert MARKERS[protocol] not in raw


async def test_pings_go_on_for_ever(session, server, protocol):
    async with post(session, server, protocol, "ping=0.01;after=2") as response:
        raw = await read_until(response, lambda seen: seen.count(KEEP_ALIVES[protocol]) > 5)
    assert len(texts(raw)) == 2
    assert (await outcome(server)).outcome == "aborted"


@pytest.mark.parametrize("stream", [True, False])
async def test_html_and_nothing_can_come_instead_of_an_answer(session, server, protocol, stream):
    async with post(session, server, protocol, "html", stream=stream) as response:
        assert (response.status, response.content_type) == (200, "text/html")
    async with post(session, server, protocol, "html;status=502", stream=stream) as response:
        assert response.status == 502
    async with post(session, server, protocol, "empty", stream=stream) as response:
        assert (response.status, await response.read()) == (200, b"")


@pytest.mark.parametrize("stream", [True, False])
async def test_the_usage_can_be_left_out(session, server, protocol, stream):
    async with post(session, server, protocol, "no-usage", stream=stream) as response:
        assert b"usage" not in await response.read()


@pytest.mark.parametrize("stream", [True, False])
async def test_the_finish_reason_can_be_any_word(session, server, protocol, stream):
    async with post(session, server, protocol, "finish=SAFETY", stream=stream) as response:
        assert b'"SAFETY"' in await response.read()


@pytest.mark.parametrize("fault", ["cut=1", "reset=1", "end=1", "malformed=1"])
async def test_a_plain_answer_breaks_in_its_middle(session, server, protocol, fault):
    with pytest.raises((aiohttp.ClientError, json.JSONDecodeError)):
        async with post(session, server, protocol, fault, stream=False) as response:
            json.loads(await response.read())


async def test_a_plain_answer_can_stall_and_drip(session, server, protocol):
    for fault in ("stall=1", "ping=0.01;after=0"):
        async with post(session, server, protocol, fault, stream=False) as response:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(response.read(), 0.2)


async def test_a_plain_answer_can_be_overloaded(session, server, protocol):
    async with post(session, server, protocol, "error=0", stream=False) as response:
        assert response.status in {503, 529}


async def test_queued_failures_are_used_up_in_turn(session, server, protocol):
    server.fail_next("429;retry-after=2", times=2)
    server.fail_next("500")
    for status, wait in [(429, "2"), (429, "2"), (500, None), (200, None)]:
        async with post(session, server, protocol) as response:
            assert (response.status, response.headers.get("retry-after")) == (status, wait)


async def test_the_header_wins_over_the_queue(session, server, protocol):
    server.fail_next("500")
    async with post(session, server, protocol, "status=429") as response:
        assert response.status == 429


async def test_an_unknown_fault_is_a_bad_request_that_lists_the_known(session, server, protocol):
    async with post(session, server, protocol, "bogus=1") as response:
        assert response.status == 400
        assert "stall=" in await response.text()


async def test_a_delay_and_a_rate_set_the_pace(session, server, protocol):
    start = time.monotonic()
    async with post(session, server, protocol, "delay=0.1;rate=20") as response:
        await response.read()
    assert time.monotonic() - start >= 0.1 + 4 / 20


async def test_a_body_that_is_no_json_is_a_bad_request(session, server, protocol):
    path, _ = CALLS[protocol]
    async with session.post(server.url(protocol) + path, data=b"{nonsense") as response:
        assert response.status == 400
        assert "error" in await response.json()


async def test_an_unknown_path_is_not_found_in_the_protocols_format(session, server, protocol):
    async with session.get(f"{server.url(protocol)}/nowhere") as response:
        assert response.status == 404
        assert "error" in await response.json()
