"""Jobs at servers with rate limits, in virtual time: counts of answers and refusals."""

import asyncio
import random

import pytest

from llmkit import LLMMessage, LLMResponse, QuotaExceededError, RateLimitError
from llmkit.clients.limiter import answered, limiter_of
from tests.support import virtual_time
from tests.support.limited_server import LimitedServer

# Rows are kept in memory: a ledger's thread works in real time.
pytestmark = pytest.mark.usefixtures("recorder")

A_MINUTE = {"requests": 500, "tokens": 100_000}


def job(server, rows, *, client=None, most=None, **options):
    """Ask a server for many answers; return them, and the seconds that it took."""

    async def ask():
        asking, sizes = client or server.client(), random.Random(3)

        def call(_row):
            question = LLMMessage("user", "word " * sizes.randrange(10, 300))
            return asking.generate_text([question], **options)

        begin = asyncio.get_running_loop().time()
        found = [
            result async for _, result in answered(range(rows), call, limiter=limiter_of(asking, None, most))
        ]
        return found, asyncio.get_running_loop().time() - begin

    return virtual_time.run(ask())


@pytest.mark.parametrize("seconds", [(0.05, 0.2), (0.5, 4.0)], ids=["fast", "slow"])
@pytest.mark.parametrize("max_tokens", [None, 600])
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_a_server_that_says_what_is_left_refuses_nothing_and_is_used_whole(dialect, max_tokens, seconds):
    server = LimitedServer(dialect, seconds=seconds, **A_MINUTE)
    results, took = job(server, 1500, max_tokens=max_tokens)
    assert all(isinstance(result, LLMResponse) for result in results)
    first = server.answered[99]
    assert len([time for time in server.refused if time > first]) <= 1
    allowed = 1 + took / 60  # the buckets are full at first
    assert max(server.used[unit] / limit for unit, limit in server.sizes_of_limits.items()) >= 0.9 * allowed


def test_a_server_without_headers_is_learned_from_its_refusals():
    server = LimitedServer("google", **A_MINUTE)
    results, took = job(server, 1500)
    assert all(isinstance(result, LLMResponse) for result in results)
    assert len(server.refused) < 100
    assert server.used["tokens"] >= 0.8 * 100_000 * (1 + took / 60)


@pytest.mark.parametrize("limits", [{"requests": 60}, {"tokens": 20_000}], ids=["requests", "tokens"])
def test_a_refusal_that_names_the_limit_is_followed_by_hardly_any(limits):
    server = LimitedServer("google", seconds=(0.05, 0.2), **limits)
    results, took = job(server, 300)
    assert all(isinstance(result, LLMResponse) for result in results)
    assert 0 < len(server.refused) <= 12  # those that were under way
    assert all(server.used[unit] >= 0.8 * limit * (1 + took / 60) for unit, limit in limits.items())


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "google"])
def test_one_request_a_minute_is_waited_for(dialect):
    server = LimitedServer(dialect, requests=1)
    results, took = job(server, 4)
    assert [type(result) for result in results] == [LLMResponse] * 4
    assert 180 <= took < 330


def test_while_a_server_asks_to_wait_nothing_is_sent():
    server = LimitedServer("google", requests=60)
    job(server, 200)
    for refused in set(server.refused):
        sent = [time for time in server.sent if refused + 0.01 < time < refused + 0.99]
        assert sent == []


def test_a_limit_that_lasts_for_hours_ends_the_calls_without_sending_them():
    server = LimitedServer("openai", **A_MINUTE)
    server.lying = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "23h10m0s"}
    results, _ = job(server, 100)
    sent = [result for result in results if isinstance(result, LLMResponse)]
    refused = [result for result in results if isinstance(result, QuotaExceededError)]
    assert (len(sent), len(refused)) == (len(server.answered), 100 - len(sent))
    assert len(sent) <= 16
    assert "try again after" in str(refused[0])


@pytest.mark.parametrize(
    "lies",
    [
        {"x-ratelimit-limit-requests": "nan"},
        {"x-ratelimit-limit-requests": "-5"},
        {"x-ratelimit-limit-requests": "0"},
        {"x-ratelimit-limit-requests": "many"},
        {"x-ratelimit-limit-requests": "1e999"},
        {"x-ratelimit-remaining-requests": "-1"},
        {"x-ratelimit-remaining-requests": "9" * 400},
        {"x-ratelimit-reset-requests": "-3s"},
        {"x-ratelimit-reset-requests": "2001-01-01T00:00:00Z"},
        {"x-ratelimit-reset-tokens": ""},
        {"x-ratelimit-limit-tokens": "9" * 300},
        {"anthropic-ratelimit-requests-limit": "x"},
        {"date": "yesterday"},
    ],
)
def test_headers_that_make_no_sense_stop_nothing(lies):
    server = LimitedServer("openai", **A_MINUTE)
    server.lying = lies
    results, took = job(server, 300)
    assert [type(result) for result in results] == [LLMResponse] * 300
    assert took < 120


def test_a_server_that_always_refuses_ends_each_call():
    server = LimitedServer("google", tokens=1)  # no request is small enough, and no wait long enough
    results, _ = job(server, 3, client=server.client(max_retries=1))
    assert [type(result) for result in results] == [RateLimitError] * 3
    assert len(server.refused) <= 3 * 6


def test_without_retries_a_refusal_is_the_result():
    server = LimitedServer("google", requests=5)
    results, _ = job(server, 30, client=server.client(max_retries=0))
    assert (
        len(server.refused) == len([result for result in results if isinstance(result, RateLimitError)]) > 0
    )


def test_jobs_at_once_share_the_limits():
    server = LimitedServer("openai", **A_MINUTE)
    client = server.client()

    async def ask(rows):
        def call(_row):
            return client.generate_text([LLMMessage("user", "Hello " * 100)])

        return [one async for _, one in answered(range(rows), call, limiter=limiter_of(client))]

    async def both():
        return await asyncio.gather(ask(500), ask(500))

    first, second = virtual_time.run(both())
    assert [type(result) for result in (*first, *second)] == [LLMResponse] * 1000
    assert server.refused == []


def test_a_cancelled_job_gives_back_what_it_did_not_use():
    server = LimitedServer("openai", requests=60, tokens=10_000_000)
    client = server.client()

    def call(_row):
        return client.generate_text([LLMMessage("user", "Hello")])

    async def consume(found, limiter, rows):
        async for pair in answered(range(rows), call, limiter=limiter):
            found.append(pair)

    async def main():
        limiter = limiter_of(client)
        found = []
        task = asyncio.create_task(consume(found, limiter, 500))
        await asyncio.sleep(70)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (limiter.in_flight, limiter.server.held) == (0, 0)
        assert len(found) >= 60
        await consume(found := [], limiter, 30)
        assert len(found) == 30

    virtual_time.run(main())
    assert server.refused == []


def test_the_wait_for_a_limit_is_not_part_of_a_calls_time():
    server = LimitedServer("openai", requests=1)
    results, took = job(server, 3, client=server.client(timeout=50.0), most=1)
    assert [type(result) for result in results] == [LLMResponse] * 3
    assert (took > 100, server.refused) == (True, [])


def test_a_fallback_waits_for_its_own_limits():
    first, second = LimitedServer("google", requests=1), LimitedServer("openai", **A_MINUTE)
    second.address = "http://other.invalid/v1"
    first.explains = False  # else the job would wait for it
    client = first.client(fallback=[second.client()], max_retries=0)
    results, _ = job(first, 40, client=client)
    assert [type(result) for result in results] == [LLMResponse] * 40
    assert len(second.answered) == 40 - len(first.answered) > 10
    assert second.refused == []


def test_a_job_can_be_cancelled_while_calls_wait_for_their_places():
    server = LimitedServer("google", seconds=(5.0, 9.0), requests=6)
    client = server.client()

    def call(_row):
        return client.generate_text([LLMMessage("user", "Hello")])

    async def consume(limiter, rows):
        return [pair async for pair in answered(range(rows), call, limiter=limiter)]

    async def main():
        limiter = limiter_of(client)
        for seconds in (3, 11.5, 12.5, 31):
            task = asyncio.create_task(consume(limiter, 100))
            await asyncio.sleep(seconds)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (limiter.in_flight, limiter.server.held) == (0, 0)
        assert len(await consume(limiter, 3)) == 3

    virtual_time.run(main())
