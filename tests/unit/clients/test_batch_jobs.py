"""Jobs at the three Batch APIs: each request in the books once, at half price."""

import asyncio
import math
from datetime import UTC, datetime, timedelta

import pytest

import llmkit
from llmkit import (
    AnthropicClient,
    BudgetExceededError,
    GoogleAIClient,
    InvalidRequestError,
    Ledger,
    LLMClientError,
    LLMMessage,
    LLMResponse,
    LLMTimeoutError,
    ModelNotFoundError,
    OpenAIClient,
    ProviderNotAvailableError,
    RateLimitError,
    records,
)
from llmkit.clients.batches.jobs import cancel, find, look, results, submit
from llmkit.clients.batches.server import BatchServer
from llmkit.clients.batches.state import BatchRequest, BatchState
from llmkit.providers.batch_openai import OpenAIBatches
from llmkit.sandbox import SandboxServer

DAY = 24 * 3600
CLIENTS = {"openai": OpenAIClient, "anthropic": AnthropicClient, "google": GoogleAIClient}
NOW = datetime.now(UTC).timestamp()


@pytest.fixture
def server():
    """A server on whose clock no time passes by itself; a batch takes an hour."""
    with SandboxServer(rate=0, first_token=0, batch_seconds=3600, clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    before = records.set_recorder(lambda: ledger)
    yield ledger
    records.set_recorder(before)
    ledger.close()


@pytest.fixture
async def client(protocol, server):
    async with CLIENTS[protocol]("k", server.url(protocol), model="sandbox", max_retries=0) as made:
        yield made


def row(number, **options):
    asked = [LLMMessage("user", f"echo: answer {number}")]
    return BatchRequest(id=f"row-{number}", messages=asked, options={"max_tokens": 50, **options})


async def submitted(client, requests, job="job1"):
    return [state async for state in submit(client, job, requests)]


async def freed(ledger):
    """Wait until nothing is reserved: the writing thread releases after what was queued before."""
    async with asyncio.timeout(60):
        while ledger.budget().reserved:  # noqa: ASYNC110 - the ledger tells nobody
            await asyncio.sleep(0.01)


async def read(client, state, **options):
    return {identifier: found async for identifier, found in results(client, state, **options)}


async def test_a_job_is_submitted_looked_at_and_read(client, server, recorder):
    (state,) = await submitted(client, map(row, range(3)))
    assert (state.ending, state.total, state.ids) == (None, 3, ("row-0", "row-1", "row-2"))
    assert (await look(client, state)).ending is None
    server.advance(3600)
    state = await look(client, state)
    assert (state.ending, state.done, state.failed) == ("completed", 3, 0)
    answers = await read(client, state)
    assert {name: answer.content for name, answer in answers.items()} == {
        f"row-{n}": f"answer {n}" for n in range(3)
    }
    assert answers["row-0"].uid in {record.uid for record in recorder.records}
    assert {(r.status, r.service_tier, r.duration_s, r.attempts) for r in recorder.records} == {
        ("ok", "batch", None, 1)
    }


async def test_a_request_in_a_batch_costs_half(client, server, recorder):
    alone = await client.generate_text([LLMMessage("user", "echo: answer 1")], max_tokens=50)
    (state,) = await submitted(client, [row(1)])
    server.advance(3600)
    answer = (await read(client, await look(client, state)))["row-1"]
    assert answer.usage.output_tokens == alone.usage.output_tokens
    assert math.isclose(answer.cost_estimate, alone.cost_estimate / 2)


@pytest.mark.parametrize(
    ("protocol", "model"),
    [("openai", "gpt-4o-mini"), ("anthropic", "claude-haiku-5-5"), ("google", "gemini-2.5-flash")],
)
async def test_half_of_a_real_price_is_exact(protocol, model, client, server, recorder):
    alone = await client.generate_text([LLMMessage("user", "echo: answer 1")], model, max_tokens=50)
    (state,) = await submitted(client, [row(1, model=model)])
    server.advance(3600)
    answer = (await read(client, await look(client, state)))["row-1"]
    assert (answer.usage_source, answer.price_source) == ("reported", "genai-prices")
    assert math.isclose(answer.cost_estimate, alone.cost_estimate / 2)


async def test_what_fails_is_an_error_of_its_row_and_costs_nothing(client, server, recorder):
    server.fail_in_batch("429")
    (state,) = await submitted(client, map(row, range(2)))
    server.advance(3600)
    state = await look(client, state)
    answers = await read(client, state)
    assert (state.done, state.failed) == (1, 1)
    assert isinstance(answers["row-0"], RateLimitError)
    assert isinstance(answers["row-1"], LLMResponse)
    rows = {record.status: record.cost_nanos for record in recorder.records}
    assert (rows["error"], rows["ok"] > 0) == (None, True)


async def test_a_model_that_does_not_exist_is_an_error_of_each_row(client, server, recorder):
    (state,) = await submitted(client, [row(1, model="no-such-model")])
    server.advance(3600)
    assert isinstance((await read(client, await look(client, state)))["row-1"], ModelNotFoundError)


async def test_a_batch_that_expires_leaves_an_error_for_what_was_not_answered(protocol, recorder):
    with SandboxServer(rate=0, first_token=0, batch_seconds=100 * DAY, clock=lambda: NOW) as server:
        async with CLIENTS[protocol]("k", server.url(protocol), model="sandbox") as client:
            (state,) = await submitted(client, map(row, range(200)))
            server.advance(2 * DAY)
            state = await look(client, state)
            answers = await read(client, state)
    assert (state.ending, len(answers)) == ("expired", 200)
    late = [one for one in answers.values() if isinstance(one, ProviderNotAvailableError)]
    # Google keeps nothing of a batch that expired.
    assert len(late) == (200 if protocol == "google" else 198)
    assert all(one.retryable and "expired" in one.message for one in late)
    assert len(recorder.records) == 200


async def test_a_cancelled_batch_keeps_what_was_answered(client, server, recorder):
    (state,) = await submitted(client, map(row, range(4)))
    server.advance(1800)
    state = await cancel(client, state)
    assert state.ending == "cancelled"
    answers = await read(client, state)
    assert sum(isinstance(one, LLMResponse) for one in answers.values()) == 2
    assert sum("cancelled" in str(one) for one in answers.values()) == 2
    assert (await cancel(client, state)).ending == "cancelled"


async def test_reading_twice_records_once(client, server, ledger):
    (state,) = await submitted(client, map(row, range(3)))
    server.advance(3600)
    state = await look(client, state)
    first = await read(client, state)
    again = await read(client, BatchState.of(state.as_dict()))
    assert {one.uid for one in first.values()} == {one.uid for one in again.values()}
    assert sorted(ledger.df["uid"]) == sorted(one.uid for one in first.values())
    assert set(ledger.df["service_tier"]) == {"batch"}


async def test_a_batch_whose_state_was_lost_is_found_by_its_job(client, server, recorder):
    await submitted(client, [row(0)], job="other")
    (kept,) = await submitted(client, [row(1)], job="mine")
    server.advance(3600)
    (found,) = await find(client, "mine", since=datetime.fromtimestamp(NOW, UTC))
    assert (found.batch, found.ending, found.is_certain) == (kept.batch, "completed", True)
    answers = await read(client, found)
    assert answers["row-1"].uid == recorder.last.uid
    assert (recorder.last.model, recorder.last.time) == ("sandbox", kept.created)
    assert await find(client, "mine", since=datetime.fromtimestamp(NOW, UTC) + timedelta(days=1)) == []


async def test_anthropic_tells_the_job_of_a_batch_only_when_it_has_ended(server):
    async with AnthropicClient("k", server.url("anthropic"), model="sandbox") as client:
        await submitted(client, [row(0)], job="other")
        (mine,) = await submitted(client, [row(1)], job="mine")
        assert [one.is_certain for one in await find(client, "mine")] == [False, False]
        server.advance(3600)
        assert [one.batch for one in await find(client, "mine")] == [mine.batch]


async def test_a_job_is_divided_at_the_limits_and_by_model(server, monkeypatch):
    monkeypatch.setattr(OpenAIBatches, "most_requests", 2)
    requests = [row(0), row(1), row(2), row(3, model="sandbox-mini")]
    async with OpenAIClient("k", server.url("openai"), model="sandbox") as client:
        states = await submitted(client, requests)
        assert [(state.model, state.ids) for state in states] == [
            ("sandbox", ("row-0", "row-1")),
            ("sandbox", ("row-2",)),
            ("sandbox-mini", ("row-3",)),
        ]
        assert {one.batch for one in await find(client, "job1")} == {one.batch for one in states}


async def test_the_responses_api_has_batches_too(server, recorder):
    async with OpenAIClient("k", server.url("openai"), model="sandbox", api="responses") as client:
        (state,) = await submitted(client, [row(1)])
        assert state.path == "/responses"
        server.advance(3600)
        (found,) = await find(client, "job1")
        assert (await read(client, found))["row-1"].content == "answer 1"


async def test_a_schema_is_sent_and_its_answer_parsed(client, server, recorder):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    asked = [LLMMessage("user", "Which city is the capital of France?")]
    (state,) = await submitted(
        client, [BatchRequest(id="a", messages=asked, options={"max_tokens": 50, "schema": schema})]
    )
    server.advance(3600)
    answer = (await read(client, await look(client, state), schema=schema))["a"]
    assert isinstance(answer.value["city"], str)


async def test_a_budget_holds_the_whole_batch_until_it_is_read(client, server, ledger):
    ledger.budget(daily=1)
    (state,) = await submitted(client, map(row, range(3)))
    held = ledger.budget().reserved
    server.advance(3600)
    answers = await read(client, await look(client, state))
    assert held > sum(one.cost_estimate for one in answers.values()) > 0
    assert ledger.budget().reserved == 0


async def test_a_batch_above_the_budget_is_not_sent_and_holds_nothing(client, server, ledger):
    ledger.budget(daily=0.0005)
    with pytest.raises(BudgetExceededError):
        await submitted(client, map(row, range(50)))
    assert not [one for one in server.requests if one.method == "POST"]
    await freed(ledger)


async def test_a_batch_that_the_provider_refuses_holds_nothing(client, server, ledger):
    ledger.budget(daily=1)
    server.fail_next("400")
    with pytest.raises(InvalidRequestError):
        await submitted(client, [row(1)])
    await freed(ledger)
    assert len(ledger.df) == 0


async def test_a_lost_answer_to_a_submission_is_not_repeated(server, ledger):
    ledger.budget(daily=1)
    async with AnthropicClient("k", server.url("anthropic"), model="sandbox") as client:
        server.fail_next("cut=0")
        with pytest.raises(LLMClientError):
            await submitted(client, [row(1)], job="mine")
        # The batch exists: its money stays reserved, and its job finds it.
        assert ledger.budget().reserved > 0
        server.advance(3600)
        (found,) = await find(client, "mine")
        assert isinstance((await read(client, found))["row-1"], LLMResponse)
        assert ledger.budget().reserved == 0


async def test_a_look_is_repeated_when_the_server_is_busy(server):
    async with OpenAIClient("k", server.url("openai"), model="sandbox", max_retries=2) as client:
        (state,) = await submitted(client, [row(1)])
        server.fail_next("503;retry-after=0")
        assert (await look(client, state)).ending is None


async def test_a_whole_batch_that_failed_says_why(server, recorder, monkeypatch):
    monkeypatch.setattr(OpenAIBatches, "line", lambda *_: b'{"custom_id": 5}')
    async with OpenAIClient("k", server.url("openai"), model="sandbox") as client:
        (state,) = await submitted(client, [row(1)])
        state = await look(client, state)
        answers = await read(client, state)
    assert state.ending == "failed"
    assert "refused the whole batch: Missing required parameter: 'body' (line 1)." in str(answers["row-1"])


@pytest.mark.parametrize("identifier", ["a b", "x" * 64, "ü"])
async def test_an_identifier_that_cannot_be_sent_is_refused(server, identifier):
    async with OpenAIClient("k", server.url("openai"), model="sandbox") as client:
        wrong = BatchRequest(id=identifier, messages=[LLMMessage("user", "Hi")])
        with pytest.raises(InvalidRequestError, match="cannot be sent in a batch"):
            await submitted(client, [wrong])
        with pytest.raises(InvalidRequestError, match="Two requests"):
            await submitted(client, [row(1), row(1)])
    assert not server.requests


async def test_a_batch_that_runs_has_no_results(client, server):
    (state,) = await submitted(client, [row(1)])
    with pytest.raises(InvalidRequestError, match="has not ended"):
        await read(client, state)


async def test_the_sandbox_has_batches_by_name(recorder):
    client = llmkit.client("sandbox")
    (state,) = await submitted(client, [row(1)])
    llmkit.sandbox.server().advance(3600)
    answer = (await read(client, await look(client, state)))["row-1"]
    await client.close()
    assert (answer.content, answer.simulated) == ("answer 1", True)


async def test_a_server_without_a_batch_api_is_refused():
    async with llmkit.client("groq:llama", api_key="k", base_url="http://127.0.0.1:9") as client:
        with pytest.raises(InvalidRequestError, match="no Batch API that llmkit knows"):
            await submitted(client, [row(1)])


async def test_a_users_own_sdk_client_is_refused(server):
    import openai

    async with openai.AsyncOpenAI(api_key="k", base_url=server.url("openai")) as own:
        with pytest.raises(InvalidRequestError, match="Your own SDK client"):
            await submitted(OpenAIClient(client=own, model="sandbox"), [row(1)])


async def test_a_reader_that_leaves_early_leaves_nothing_open(client, server, recorder, quiet):
    (state,) = await submitted(client, map(row, range(50)))
    server.advance(3600)
    state = await look(client, state)
    found = results(client, state)
    await anext(found)
    await found.aclose()
    await asyncio.sleep(0)
    assert len(await read(client, state)) == 50


async def test_a_line_that_cannot_be_read_hides_no_other(client, server, recorder, monkeypatch, caplog):
    (state,) = await submitted(client, map(row, range(3)))
    server.advance(3600)
    state = await look(client, state)
    lines = BatchServer.lines

    async def broken(self, path):
        yield b"{half a line"
        async for line in lines(self, path):
            if b"row-1" not in line:
                yield line
                yield line  # twice, as no provider should

    monkeypatch.setattr(BatchServer, "lines", broken)
    answers = await read(client, state)
    assert [answers[f"row-{n}"].content for n in (0, 2)] == ["answer 0", "answer 2"]
    assert "ended without a result" in str(answers["row-1"])
    assert len(recorder.records) == 3
    assert "cannot be read" in caplog.text


async def test_results_that_never_come_are_a_timeout(client, server, monkeypatch):
    (state,) = await submitted(client, [row(1)])
    server.advance(3600)
    state = await look(client, state)
    server.fail_next("slow=30")
    monkeypatch.setattr("llmkit.clients.batches.server.TIMEOUT", 0.05)
    with pytest.raises(LLMTimeoutError, match="did not answer"):
        await read(client, state)
    server.fail_next("slow=30")
    with pytest.raises(LLMTimeoutError, match="did not answer"):
        await look(client, state)
