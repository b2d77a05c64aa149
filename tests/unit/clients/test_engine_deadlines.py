"""Deadlines: kept, named, and fair to slow readers."""

import asyncio
import socket

import pytest

from llmkit import LLMTimeoutError, OpenAIClient, Timeouts
from tests.support.callers import KINDS, QUESTION, TEXT, at_once, closed, hurry, opened, read

PROTOCOLS = ("openai", "anthropic", "google")

pytestmark = pytest.mark.usefixtures("quiet")


async def test_the_first_token_timeout_is_named(server, recorder):
    async def check(client):
        with pytest.raises(LLMTimeoutError, match="first-token timeout of 0"):
            await read(client.stream_text(QUESTION))

    server.fail_next("stall=0", times=9)
    await at_once(KINDS, server, check, max_retries=0, timeout=Timeouts(first_token=0.6))
    assert [record.error for record in recorder.records] == ["LLMTimeoutError"] * len(KINDS)


async def test_the_idle_timeout_is_named_and_keeps_the_text(protocol, server, recorder):
    server.fail_next("stall=3")
    async with opened(protocol, server, timeout=Timeouts(idle=1.5)) as client:
        with pytest.raises(LLMTimeoutError, match=r"idle timeout expired: no text for 1\.5") as caught:
            await read(client.stream_text(QUESTION))
        assert await closed(server)
    assert caught.value.partial == "one two three"
    assert len(server.requests) == 1


async def test_keep_alives_do_not_count_as_text(server, recorder):
    async def check(client):
        with pytest.raises(LLMTimeoutError, match="idle"):
            await read(client.stream_text(QUESTION))

    server.fail_next("ping=0.02", times=3)
    await at_once(PROTOCOLS, server, check, timeout=Timeouts(idle=0.4))


async def test_the_total_timeout_is_named(server, recorder):
    async def check(client):
        with pytest.raises(LLMTimeoutError, match="total timeout of 3"):
            await read(client.stream_text(QUESTION))

    server.fail_next("rate=20;tokens=200", times=len(KINDS))
    await at_once(KINDS, server, check, timeout=3)


async def test_the_total_timeout_ends_a_whole_call(server, recorder):
    async def check(client):
        with pytest.raises(LLMTimeoutError, match="total timeout of 3"):
            await client.generate_text(QUESTION)

    server.fail_next("slow=9", times=len(KINDS))
    await at_once(KINDS, server, check, timeout=3)
    assert len(server.requests) == len(KINDS)


async def test_the_idle_and_first_token_timeouts_do_not_punish_a_whole_call(server, recorder):
    async def check(client):
        assert (await client.generate_text(QUESTION)).content == TEXT

    server.fail_next("slow=0.5", times=3)
    await at_once(PROTOCOLS, server, check, timeout=Timeouts(first_token=0.1, idle=0.1))


async def test_a_first_token_timeout_is_tried_again(protocol, server, recorder):
    server.fail_next("stall=0")
    async with opened(protocol, server, timeout=Timeouts(first_token=2)) as client:
        hurry(client)
        assert "".join(await read(client.stream_text(QUESTION))) == TEXT


@pytest.mark.full
async def test_a_reader_slower_than_the_idle_timeout_is_not_punished(server, recorder):
    async def check(client):
        pieces = []
        async for piece in client.stream_text(QUESTION):
            pieces.append(piece)
            await asyncio.sleep(1.2)
        assert "".join(pieces) == TEXT

    await at_once(PROTOCOLS, server, check, timeout=Timeouts(idle=1))


async def test_reasoning_counts_as_progress(server, recorder):
    async with opened("openai", server, timeout=Timeouts(first_token=5)) as client:
        server.fail_next("reasoning=5")
        assert "".join(await read(client.stream_text(QUESTION))) == TEXT


async def test_the_connect_timeout_is_named(recorder):
    # A socket that listens but never accepts, its queue full: the kernel answers no more handshakes.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        address = silent.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(address)
        timeouts = Timeouts(connect=0.3)
        async with OpenAIClient(
            "k", f"http://127.0.0.1:{address[1]}/v1", model="m", max_retries=0, timeout=timeouts
        ) as client:
            with pytest.raises(LLMTimeoutError, match="connect timeout"):
                await client.generate_text(QUESTION)
        for one in crowd:
            one.close()
