"""Keys that take turns: one that is refused, limited or used up gives way to the next."""

import asyncio

import pytest

from llmkit import (
    APIKeyManager,
    AuthenticationError,
    LLMClientError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitError,
)
from llmkit.clients.credentials.keys import keys
from tests.support.callers import QUESTION, SDKS, TEXT, hurry, read

pytestmark = pytest.mark.usefixtures("quiet")

KEYS = ["first-key-000000", "second-key-11111", "third-key-222222"]
HEADERS = {"openai": "authorization", "anthropic": "authorization", "google": "x-goog-api-key"}


def make(protocol, server, keys=KEYS, **options):
    return SDKS[protocol](keys, server.url(protocol), model="sandbox", **options)


def sent(server, protocol):
    return [request.headers[HEADERS[protocol]].removeprefix("Bearer ") for request in server.requests]


@pytest.mark.parametrize("fault", ["401", "429", "402"])
async def test_the_next_key_is_tried_at_once(protocol, server, recorder, fault, caplog):
    server.fail_next(fault)
    async with make(protocol, server, max_retries=0) as client:
        response = await client.generate_text(QUESTION)
    assert response.content == TEXT
    assert sent(server, protocol) == KEYS[:2]
    assert (recorder.last.attempts, recorder.last.key_source) == (2, "an argument, number 2")
    assert not any(key in caplog.text for key in KEYS)
    assert "number 2" in caplog.text


async def test_the_key_that_worked_stays_in_use(protocol, server, recorder):
    server.fail_next("429")
    async with make(protocol, server) as client:
        await client.generate_text(QUESTION)
        await read(client.stream_text(QUESTION))
    assert sent(server, protocol) == [KEYS[0], KEYS[1], KEYS[1]]


async def test_each_key_is_tried_once_and_then_the_error_is_raised(protocol, server, recorder):
    server.fail_next("401", times=9)
    async with make(protocol, server) as client:
        with pytest.raises(AuthenticationError):
            await client.generate_text(QUESTION)
    assert sent(server, protocol) == KEYS
    assert recorder.last.attempts == 3


async def test_a_limit_on_every_key_is_waited_for(protocol, server, recorder):
    server.fail_next("429", times=9)
    async with make(protocol, server) as client:
        hurry(client)
        with pytest.raises(RateLimitError):
            await client.generate_text(QUESTION)
    assert recorder.last.attempts == 5  # each key once, and two more tries after a pause


async def test_a_single_key_is_sent_once_when_it_is_refused(protocol, server, recorder):
    server.fail_next("401", times=9)
    async with make(protocol, server, "the-only-key-0000") as client:
        with pytest.raises(AuthenticationError):
            await client.generate_text(QUESTION)
    assert recorder.last.attempts == 1
    assert recorder.last.key_source == "an argument"


async def test_a_key_without_the_right_is_not_exchanged(protocol, server, recorder):
    server.fail_next("403", times=9)
    async with make(protocol, server) as client:
        with pytest.raises(PermissionDeniedError):
            await client.generate_text(QUESTION)
    assert recorder.last.attempts == 1


async def test_many_calls_leave_a_refused_key_together(protocol, server, recorder):
    server.fail_next("429", times=6)
    async with make(protocol, server) as client:
        hurry(client)
        answers = await asyncio.gather(*(client.generate_text(QUESTION) for _ in range(6)))
    assert {answer.content for answer in answers} == {TEXT}
    used = sent(server, protocol)
    assert used[:6] == [KEYS[0]] * 6
    assert set(used[6:]) == {KEYS[1]}  # nobody skipped a key because the others had turned it, too


async def test_a_manager_of_ones_own_gives_the_keys(server, recorder):
    manager = APIKeyManager({"openai": KEYS})
    server.fail_next("429;code=insufficient_quota")
    async with make("openai", server, manager) as client:
        await client.generate_text(QUESTION)
    assert sent(server, "openai") == KEYS[:2]
    assert manager.get_key("openai") == KEYS[1]


async def test_keys_of_the_environment_take_turns(protocol, server, recorder, monkeypatch):
    name = {"openai": "OPENAI", "anthropic": "ANTHROPIC", "google": "GOOGLE"}[protocol] + "_API_KEY"
    for variable, key in zip((name, f"{name}_1", f"{name}_2"), KEYS, strict=True):
        monkeypatch.setenv(variable, key)
    monkeypatch.setattr(keys, "_current", {})  # other tests may have turned them
    server.fail_next("401", times=2)
    async with make(protocol, server, None) as client:
        await client.generate_text(QUESTION)
    assert sent(server, protocol) == KEYS
    assert recorder.last.key_source == f"{name}_2"


async def test_used_up_quota_on_every_key_is_said(server, recorder):
    server.fail_next("429;code=insufficient_quota", times=9)
    async with make("openai", server) as client:
        with pytest.raises(QuotaExceededError):
            await client.generate_text(QUESTION)
    assert recorder.last.attempts == 3


async def test_a_key_is_not_exchanged_after_the_first_text(protocol, server, recorder):
    server.fail_next("error=2;code=rate_limit_exceeded")
    async with make(protocol, server) as client:
        pieces = []
        with pytest.raises(LLMClientError):
            await read(client.stream_text(QUESTION), pieces)
    assert pieces
    assert len(server.requests) == 1
