"""One metered call, in every protocol, through the official SDKs, against the sandbox."""

import asyncio
import threading

import openai
import pytest

from llmkit import LLMMessage, OpenAIClient, ProviderNotAvailableError
from llmkit.core import settings
from tests.support.callers import QUESTION, TEXT, make, opened, read

pytestmark = pytest.mark.usefixtures("quiet")
OURS = ["openai", "anthropic", "google", "google-legacy"]


async def test_a_whole_answer_has_text_usage_finish_and_price(kind, server, recorder):
    async with opened(kind, server) as client:
        response = await client.generate_text(QUESTION)
    assert (response.content, response.finish_reason, response.usage_source) == (TEXT, "stop", "reported")
    assert response.completion_tokens == 5
    assert response.cost_estimate == pytest.approx((response.prompt_tokens + 4 * 5) / 1e6, abs=1e-12)


async def test_a_stream_brings_the_same_as_a_whole_answer(kind, server, recorder):
    async with opened(kind, server) as client:
        whole = await client.generate_text(QUESTION)
        stream = client.stream_text(QUESTION)
        pieces = await read(stream)
    assert "".join(pieces) == whole.content == stream.response.content
    for name in ("usage", "finish_reason", "cost_estimate", "model", "usage_source", "tokens_used"):
        assert getattr(stream.response, name) == getattr(whole, name)


async def test_a_stream_comes_in_pieces(kind, server, recorder):
    async with opened(kind, server) as client:
        assert await read(client.stream_text(QUESTION)) == ["one", " two", " three", " four", " five"]


async def test_a_stream_knows_what_has_come_while_it_runs(protocol, server, recorder):
    async with opened(protocol, server) as client:
        stream = client.stream_text(QUESTION)
        assert (stream.text, stream.waiting, stream.response, stream.outcome) == ("", None, None, None)
        await anext(stream)
        assert stream.text == "one"
        assert stream.simulated
        assert stream.response is None
        await read(stream)
    assert stream.text == stream.response.content == stream.outcome.content == TEXT
    assert stream.finish_reason == "stop"
    assert stream.usage == stream.response.usage


async def test_a_stream_that_waits_for_another_try_says_until_when(server, recorder):
    server.fail_next("429;retry-after=0.4")
    async with opened("openai", server) as client:
        stream = client.stream_text(QUESTION)
        task = asyncio.create_task(read(stream))
        while stream.waiting is None:  # noqa: ASYNC110 - it is what a display does
            await asyncio.sleep(0.005)
        pause = stream.waiting
        assert (pause.attempt, pause.error.status_code) == (2, 429)
        assert "".join(await task) == TEXT
    assert stream.waiting is None


async def test_a_price_that_cannot_be_looked_up_any_more_is_unknown(server, recorder, tmp_path, caplog):
    async with opened("openai", server) as client:
        stream = client.stream_text(QUESTION)
        await anext(stream)
        (tmp_path / "llmkit.toml").write_text("nonsense = 1")
        settings._load.cache_clear()
        await read(stream)
    assert recorder.last.cost_nanos is None
    assert recorder.last.output_tokens == 5
    assert "Cannot price the call" in caplog.text


async def test_a_finished_call_leaves_one_row(kind, server, recorder):
    async with opened(kind, server) as client:
        response = await client.generate_text(QUESTION)
    row = recorder.last
    assert recorder.statuses == ["ok"]
    assert (row.uid, row.input_tokens, row.output_tokens) == (response.uid, response.prompt_tokens, 5)
    assert row.cost_nanos == row.input_tokens * 1000 + 5 * 4000
    assert row.duration_s >= row.first_token_s >= 0


async def test_an_answer_of_the_sandbox_is_marked_as_simulated(protocol, server, recorder):
    async with opened(protocol, server) as client:
        assert (await client.generate_text(QUESTION)).simulated
    assert recorder.last.simulated


async def test_a_refusal_by_the_sandbox_is_no_real_call_either(protocol, server, recorder):
    server.fail_next("503")
    async with opened(protocol, server, max_retries=0) as client:
        with pytest.raises(ProviderNotAvailableError):
            await client.generate_text(QUESTION)
    assert recorder.last.simulated


async def test_the_request_id_of_the_provider_is_kept(protocol, server, recorder):
    async with opened(protocol, server) as client:
        assert (await client.generate_text(QUESTION)).request_id.startswith("req_")


async def test_a_long_answer_that_is_cut_by_its_limit_says_length(kind, server, recorder):
    async with opened(kind, server) as client:
        response = await client.generate_text(QUESTION, max_tokens=2)
    assert (response.content, response.finish_reason) == ("one two", "length")


async def test_counts_of_caches_and_reasoning_arrive(kind, server, recorder):
    server.fail_next("cached=3;reasoning=7")
    async with opened(kind, server) as client:
        usage = (await client.generate_text(QUESTION)).usage
    assert (usage.cache_read_tokens, usage.reasoning_tokens, usage.output_tokens) == (3, 7, 12)


async def test_without_reported_usage_the_counts_are_estimated(protocol, server, recorder):
    server.fail_next("no-usage")
    async with opened(protocol, server) as client:
        response = await client.generate_text(QUESTION)
    assert (response.usage_source, response.completion_tokens) == ("estimated", len(TEXT) // 4)
    assert recorder.last.usage_source == "estimated"


@pytest.mark.parametrize("ours", OURS)
def test_a_client_works_in_one_asyncio_run_after_another(ours, server, recorder):
    client = make(ours, server)
    for _ in range(3):
        assert asyncio.run(client.generate_text(QUESTION)).content == TEXT
    assert recorder.statuses == ["ok"] * 3


def test_a_client_works_in_several_threads_at_once(protocol, server, recorder):
    client = make(protocol, server)
    texts = []

    def ask():
        texts.append(asyncio.run(client.generate_text(QUESTION)).content)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [TEXT] * 4


@pytest.mark.parametrize("ours", OURS)
async def test_a_client_works_again_after_it_was_closed(ours, server, recorder):
    async with opened(ours, server) as client:
        await client.generate_text(QUESTION)
        await client.close()
        assert (await client.generate_text(QUESTION)).content == TEXT


async def test_a_hundred_streams_at_once_are_all_whole(protocol, server, recorder):
    async with opened(protocol, server) as client:

        async def text(number):
            message = [LLMMessage("user", f"echo: {number} " + "word " * 30)]
            return "".join(await read(client.stream_text(message)))

        texts = await asyncio.gather(*map(text, range(100)))
    assert texts == [f"{number} " + "word " * 30 for number in range(100)]
    assert recorder.statuses == ["ok"] * 100


async def test_an_own_sdk_client_stays_open(server, recorder):
    async with openai.AsyncOpenAI(api_key="k", base_url=server.url("openai")) as sdk:
        async with OpenAIClient(client=sdk, model="sandbox") as client:
            await client.generate_text(QUESTION)
        assert not sdk.is_closed()


async def test_a_cancellation_while_the_ledger_writes_still_leaves_the_row(server, recorder):
    held = recorder.hold()
    async with opened("openai", server) as client:
        task = asyncio.create_task(client.generate_text(QUESTION))
        while not held:  # noqa: ASYNC110 - the record comes when it comes
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert recorder.statuses == ["ok"]


async def test_a_recorder_whose_future_fails_does_not_cost_the_answer(server, recorder):
    held = recorder.hold()
    async with opened("openai", server) as client:
        task = asyncio.create_task(client.generate_text(QUESTION))
        while not held:  # noqa: ASYNC110 - the record comes when it comes
            await asyncio.sleep(0.005)
        held[0].set_exception(OSError("disk full"))
        assert (await task).content == TEXT


async def test_a_loop_without_async_is_told_what_to_write(protocol, server, recorder):
    async with opened(protocol, server) as client:
        stream = client.stream_text(QUESTION)
        with pytest.raises(TypeError, match=r"`async for text in stream:`.*llmkit\.ask"):
            for _ in stream:
                pass
        await stream.aclose()
