"""A request without an answer may have arrived, and be charged; one that never left is free."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import replace
from types import SimpleNamespace

import pytest

from llmkit import LLMClientError, LLMTimeoutError, RetryPolicy, Timeouts
from tests.support.callers import QUESTION, opened
from tests.support.peer import RESET, SILENCE, Peer, http

PRICED = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-5-5", "google": "gemini-2.5-flash"}


@contextlib.asynccontextmanager
async def asking(kind, url, **times):
    """A client of a kind, whose model has a price."""
    timeout = Timeouts(**{"total": 60, **times})
    place = SimpleNamespace(url=lambda _: url)
    model = PRICED[kind.removeprefix("own ").split()[0].split("-")[0]]
    async with opened(kind, place, model=model, max_retries=0, timeout=timeout) as client:
        client._endpoint.transport.load()
        yield client


@contextlib.asynccontextmanager
async def peer_that(*steps):
    async with Peer() as peer:
        peer.scripts["any"] = [steps]
        peer._model = lambda *_: "any"
        yield peer


def check_both_amounts(recorder, status):
    record = recorder.last
    assert record.status == status
    assert record.usage_source == "estimated"
    assert record.input_tokens > 0
    assert 0 < record.cost_nanos < record.at_most_nanos


def check_free(recorder, status):
    record = recorder.last
    assert record.status == status
    assert (record.cost_nanos, record.at_most_nanos, record.usage_source) == (None, None, None)


async def test_a_call_whose_time_is_over_before_an_answer(kind, recorder):
    async with peer_that(SILENCE) as peer, asking(kind, peer.url, total=1.5) as client:
        with pytest.raises(LLMTimeoutError):
            await client.generate_text(QUESTION)
        assert len(peer.heads) == 1
    check_both_amounts(recorder, "error")


@pytest.mark.parametrize("steps", [(), (RESET,), (b"HTTP/1.1 200", RESET)], ids=["end", "reset", "half"])
async def test_a_connection_that_is_lost_after_the_request(kind, steps, recorder):
    async with peer_that(*steps) as peer, asking(kind, peer.url) as client:
        with pytest.raises(LLMClientError):
            await client.generate_text(QUESTION)
    check_both_amounts(recorder, recorder.last.status)


async def test_a_call_that_is_cancelled_before_an_answer(kind, recorder):
    came = asyncio.Event()
    async with peer_that(came, SILENCE) as peer, asking(kind, peer.url) as client:
        task = asyncio.create_task(client.generate_text(QUESTION))
        await asyncio.wait_for(came.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    check_both_amounts(recorder, "cancelled")


async def test_an_error_that_arrives_is_free(kind, recorder):
    async with peer_that(http(503, b"{}")) as peer, asking(kind, peer.url) as client:
        with pytest.raises(LLMClientError):
            await client.generate_text(QUESTION)
    check_free(recorder, "error")


async def test_a_connection_that_is_refused_is_free(kind, recorder, peer_port):
    async with asking(kind, f"http://127.0.0.1:{peer_port}") as client:
        with pytest.raises(LLMClientError):
            await client.generate_text(QUESTION)
    check_free(recorder, "error")


@pytest.fixture
def peer_port():
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.fixture
def busy():
    """A server that takes no further connection: the system leaves them waiting."""
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("times", [{"connect": 0.3}, {"total": 1, "connect": 1}], ids=["connect", "total"])
async def test_a_call_without_a_connection_is_free(kind, times, busy, recorder):
    if kind == "google-legacy" or (kind == "own google" and "total" not in times):
        pytest.skip("the SDK has no time limit for a connection")
    async with asking(kind, busy, **times) as client:
        with pytest.raises(LLMTimeoutError):
            await client.generate_text(QUESTION)
    check_free(recorder, "error")


async def test_a_call_that_is_cancelled_while_it_connects_is_free(busy, recorder):
    async with asking("openai", busy) as client:
        task = asyncio.create_task(client.generate_text(QUESTION))
        while not recorder.intents:  # noqa: ASYNC110 - from then on it connects
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    check_free(recorder, "cancelled")


@pytest.mark.parametrize("answer", [http(407, b""), http(403, b"")])
async def test_a_proxy_that_refuses_is_free(answer, monkeypatch, recorder):
    async with peer_that(answer) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        async with asking("openai", "http://api.invalid/v1") as client:
            with pytest.raises(LLMClientError):
                await client.generate_text(QUESTION)
    check_free(recorder, "error")


async def test_a_proxy_that_leaves_after_the_request_may_have_passed_it_on(monkeypatch, recorder):
    async with peer_that(RESET) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        async with asking("openai", "http://api.invalid/v1") as client:
            with pytest.raises(LLMClientError):
                await client.generate_text(QUESTION)
    check_both_amounts(recorder, "error")


async def test_each_attempt_without_an_answer_counts(recorder):
    async with peer_that(RESET) as peer, asking("openai", peer.url) as client:
        with pytest.raises(LLMClientError):
            await client.generate_text(QUESTION)
        once = recorder.last.at_most_nanos
    async with peer_that(RESET) as peer, asking("openai", peer.url) as client:
        client._endpoint = replace(client._endpoint, retry=RetryPolicy(max_retries=2, base_delay=0.01))
        with pytest.raises(LLMClientError):
            await client.generate_text(QUESTION)
    assert recorder.last.attempts == 3
    assert recorder.last.at_most_nanos == 3 * once
