"""An answer that broke off has two amounts: the best estimate, and the most that it may have cost.

Totals show the first, budgets count the second. A server on loopback answers in each protocol, plain and
streamed; it is no sandbox, so its answers count as money.
"""

import asyncio
import contextlib
from dataclasses import replace

import pytest

import llmkit
from llmkit import (
    AnthropicClient,
    BudgetExceededError,
    GoogleAIClient,
    Ledger,
    LLMClientError,
    LLMMessage,
    LLMTimeoutError,
    OpenAIClient,
    RetryPolicy,
    Timeouts,
    Usage,
    prices,
    records,
)
from llmkit.clients.accounting import bound_ratio
from tests.support.dialects import DIALECTS, dump
from tests.support.peer import RESET, SILENCE, Peer, events, http, opening

QUESTION = [LLMMessage("user", "Hello, how are you?")]
LIMIT = 20_000
CLIENTS = {
    "openai": (OpenAIClient, "gpt-4o-mini", "/v1"),
    "anthropic": (AnthropicClient, "claude-sonnet-5-5", ""),
    "google": (GoogleAIClient, "gemini-2.5-flash", ""),
}
WAYS = ("plain", "streamed")


@pytest.fixture
def ledger(tmp_path):
    """The ledger that receives the calls."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    before = records.set_recorder(lambda: ledger)
    yield ledger
    records.set_recorder(before)
    ledger.close()


@pytest.fixture(autouse=True)
def _nobody_exceeded_anything(monkeypatch):
    monkeypatch.setattr(bound_ratio, "_worst", {})
    monkeypatch.setattr(bound_ratio, "_unreported", [])


@pytest.fixture(params=CLIENTS)
def protocol(request):
    return request.param


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


TOO_MUCH = {
    "openai": {"prompt_tokens": 5, "completion_tokens": 3000, "total_tokens": 3005},
    "anthropic": {"input_tokens": 5, "output_tokens": 3000},
    "google": {"promptTokenCount": 5, "candidatesTokenCount": 3000, "totalTokenCount": 3005},
}
"""Usage of a server that was told to write 1,000 tokens at most."""


def begun(protocol, way):
    """What has arrived when an answer breaks off: a part of a document, or of a stream."""
    dialect = DIALECTS[protocol]
    if way == "plain":
        return dump(dialect.whole("Half of an answer"))[:-40]
    return dialect.start() + dialect.piece("Half of ") + dialect.piece("an answer")


def whole(protocol, way, usage=None):
    dialect = DIALECTS[protocol]
    if way == "plain":
        return http(200, dump(dialect.whole("A whole answer", usage=usage)))
    return events(dialect.start() + dialect.piece("A whole answer") + dialect.end(usage=usage))


def overloaded(protocol):
    """Accepted, and given up before the first text: another try may help."""
    words = {"openai": "server_error", "anthropic": "overloaded_error", "google": "UNAVAILABLE"}
    dialect = DIALECTS[protocol]
    error = dialect.in_band(dialect.error(503, "Overloaded.", words[protocol]))
    return (head("streamed"), dialect.start() + error)


def head(way):
    return opening(kind="application/json" if way == "plain" else "text/event-stream")


@contextlib.asynccontextmanager
async def asking(protocol, *script, retries=0, **timeouts):
    """A client whose server answers each request with the next steps."""
    factory, model, path = CLIENTS[protocol]
    async with Peer() as peer:
        peer.scripts[model] = list(script)
        times = Timeouts(**{"total": 60} | timeouts)
        client = factory("k", peer.url + path, model=model, max_retries=retries, timeout=times)
        client._endpoint = replace(client._endpoint, retry=RetryPolicy(max_retries=retries, base_delay=0.01))
        async with client:
            yield client


async def ask(client, way, **options):
    options = {"max_tokens": LIMIT, **options}
    if way == "plain":
        return await client.generate_text(QUESTION, **options)
    stream = client.stream_text(QUESTION, **options)
    async for _ in stream:
        pass
    return stream.response


def at_least(protocol, tokens=LIMIT):
    """What the output limit alone costs, in US dollars."""
    usage = Usage(input_tokens=0, output_tokens=tokens)
    return prices.price(protocol, (CLIENTS[protocol][1],), usage).nanos / 1e9


def last(ledger):
    ledger.flush(10)
    return ledger.df.iloc[-1]


def check(ledger, protocol, attempts=1):
    """The row has both amounts; totals show one, budgets the other."""
    row, state = last(ledger), ledger.budget()
    assert row["usage_source"] in {"estimated", "partial"}
    assert 0 < row["cost_usd"] < at_least(protocol) / 10
    most = at_least(protocol) * attempts
    assert most < row["at_most_usd"] < 1.5 * most + 0.01
    assert ledger.total().usd == pytest.approx(row["cost_usd"])
    assert state.spent == pytest.approx(row["cost_usd"])
    assert state.uncertain == pytest.approx(row["at_most_usd"] - row["cost_usd"])
    assert state.reserved == 0
    return row


async def test_a_cut_answer(ledger, protocol, way):
    async with asking(protocol, (head(way), begun(protocol, way), RESET)) as client:
        with pytest.raises(LLMClientError):
            await ask(client, way)
    assert check(ledger, protocol)["status"] in {"interrupted", "error"}


async def test_an_answer_that_ends_without_its_end(ledger, protocol):
    async with asking(protocol, (head("streamed"), begun(protocol, "streamed"))) as client:
        with pytest.raises(LLMClientError):
            await ask(client, "streamed")
    check(ledger, protocol)


@pytest.mark.product
async def test_an_answer_that_stalls(ledger, protocol, way):
    script = (head(way), begun(protocol, way), SILENCE)
    async with asking(protocol, script, total=2) as client:
        with pytest.raises(LLMTimeoutError):
            await ask(client, way)
    check(ledger, protocol)


@pytest.mark.product
async def test_an_answer_whose_task_is_cancelled(ledger, protocol, way):
    sent = asyncio.Event()
    async with asking(protocol, (head(way), begun(protocol, way), sent, SILENCE)) as client:
        task = asyncio.create_task(ask(client, way))
        await asyncio.wait_for(sent.wait(), 60)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert check(ledger, protocol)["status"] == "cancelled"


async def test_an_answer_that_its_reader_stopped(ledger, protocol):
    async with asking(protocol, (head("streamed"), begun(protocol, "streamed"), SILENCE)) as client:
        stream = client.stream_text(QUESTION, max_tokens=LIMIT)
        async for _ in stream:
            break
        await stream.aclose()
    assert check(ledger, protocol)["status"] == "cancelled"


async def test_an_error_inside_an_answer(ledger, protocol):
    dialect = DIALECTS[protocol]
    words = {"openai": "server_error", "anthropic": "api_error", "google": "INTERNAL"}
    error = dialect.in_band(dialect.error(500, "It broke.", words[protocol]))
    async with asking(protocol, (head("streamed"), begun(protocol, "streamed") + error)) as client:
        with pytest.raises(LLMClientError):
            await ask(client, "streamed")
    check(ledger, protocol)


async def test_an_answer_of_headers_alone(ledger, protocol, way):
    async with asking(protocol, (head(way), RESET)) as client:
        with pytest.raises(LLMClientError):
            await ask(client, way)
    check(ledger, protocol)


async def test_an_attempt_that_broke_before_its_text_counts_beside_the_one_that_came_after(ledger, protocol):
    script = overloaded(protocol), (whole(protocol, "streamed"),)
    async with asking(protocol, *script, retries=1) as client:
        answer = await ask(client, "streamed")
    row = check(ledger, protocol)
    assert (answer.attempts, row["status"]) == (2, "ok")
    assert row["input_tokens"] > 5, "both prompts"
    assert answer.usage_source == "partial"


async def test_an_attempt_counts_once_if_the_next_one_is_refused(ledger, protocol):
    """The budget has room for one bound."""
    ledger.budget(daily=1.5 * at_least(protocol))
    async with asking(protocol, overloaded(protocol), retries=1) as client:
        with pytest.raises(BudgetExceededError):
            await ask(client, "streamed")
    assert check(ledger, protocol)["attempts"] == 1


async def test_an_attempt_counts_once_if_its_user_leaves_before_the_next_one(ledger, protocol):
    async with asking(protocol, overloaded(protocol), retries=1, total=300) as client:
        client._endpoint = replace(client._endpoint, retry=RetryPolicy(max_retries=1, base_delay=60))
        task = asyncio.create_task(ask(client, "streamed"))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert check(ledger, protocol)["attempts"] == 1


async def test_what_broke_before_a_fallback_counts_at_its_own_price(ledger):
    dialect = DIALECTS["openai"]
    async with Peer() as peer:
        peer.scripts["gpt-5.4-mini"] = [overloaded("openai")]
        peer.scripts["gpt-4o-mini"] = [(events(dialect.start() + dialect.piece("Hi") + dialect.end()),)]
        cheap = OpenAIClient("k", peer.url + "/v1", model="gpt-4o-mini")
        async with (
            cheap,
            OpenAIClient(
                "k", peer.url + "/v1", model="gpt-5.4-mini", max_retries=0, fallback=[cheap]
            ) as client,
        ):
            answer = await ask(client, "streamed", max_tokens=None)
    row = last(ledger)
    assert (answer.model, row["status"]) == ("gpt-4o-mini", "ok")
    assert row["at_most_usd"] > 0.5 > 100 * row["cost_usd"], "128,000 tokens of the first model"


async def test_two_attempts_that_broke_have_two_bounds(ledger, protocol):
    async with asking(protocol, overloaded(protocol), retries=1) as client:
        with pytest.raises(LLMClientError):
            await ask(client, "streamed")
    assert check(ledger, protocol, attempts=2)["attempts"] == 2


async def test_a_whole_answer_gives_back_what_it_did_not_use(ledger, protocol, way):
    ledger.budget(daily=2 * at_least(protocol))
    async with asking(protocol, (whole(protocol, way),)) as client:
        for _ in range(5):
            await ask(client, way)
    assert ledger.df["at_most_usd"].isna().all()
    state = ledger.budget()
    assert (state.uncertain, state.reserved) == (0, 0)
    assert 0 < state.spent < at_least(protocol) / 10


@pytest.mark.product
@pytest.mark.parametrize("status", [400, 401, 429, 500, 503])
async def test_what_was_never_accepted_costs_nothing(ledger, protocol, way, status):
    error = dump(DIALECTS[protocol].error(status, "No.", "x"))
    async with asking(protocol, (http(status, error),)) as client:
        with pytest.raises(LLMClientError):
            await ask(client, way)
    row = last(ledger)
    assert row[["cost_usd", "at_most_usd"]].isna().all()
    assert ledger.budget().uncertain == 0


async def test_every_answer_of_a_batch_that_was_cut_has_both_amounts(ledger, protocol):
    script = (opening(kind="application/json"), begun(protocol, "plain"), RESET)
    async with asking(protocol, script) as client:
        answers = await llmkit.batch(["One?", "Two?", "Three?"], client, max_tokens=LIMIT, progress=False)
    assert len(answers) == 3
    ledger.flush(10)
    assert (ledger.df["at_most_usd"] > at_least(protocol)).tolist() == [True] * 3
    assert ledger.budget().uncertain > 2.9 * at_least(protocol)


async def test_hidden_reasoning_that_was_cut_is_not_given_back(ledger, protocol):
    ledger.budget(daily=1.5 * at_least(protocol))
    script = (head("streamed"), DIALECTS[protocol].start() + DIALECTS[protocol].thinking, RESET)
    async with asking(protocol, script) as client:
        with pytest.raises(LLMClientError):
            await ask(client, "streamed")
        with pytest.raises(BudgetExceededError, match="more for partial answers"):
            await ask(client, "streamed")
        ledger.settle(last(ledger)["uid"])
        with pytest.raises(LLMClientError) as caught:
            await ask(client, "streamed")
    assert not isinstance(caught.value, BudgetExceededError), "settled, there is room again"


async def test_a_stopped_line_of_a_model_with_a_large_limit_costs_what_came(ledger):
    """gpt-5.4-mini may write 128,000 tokens: half a dollar, of which a line is nearly nothing."""
    dialect = DIALECTS["openai"]
    async with Peer() as peer:
        peer.scripts["gpt-5.4-mini"] = [(opening(), dialect.start() + dialect.piece("A line."), SILENCE)]
        async with OpenAIClient("k", peer.url + "/v1", model="gpt-5.4-mini") as client:
            stream = client.stream_text(QUESTION)
            async for _ in stream:
                break
            await stream.aclose()
    row = last(ledger)
    assert row["cost_usd"] < 0.001
    assert row["at_most_usd"] > 0.5
    assert ledger.total().usd < 0.001


async def test_the_sandbox_costs_nothing_even_if_it_is_stopped(ledger, server):
    ledger.budget(daily=100)
    async with OpenAIClient("k", server.url("openai"), model="gpt-5.4-mini") as client:
        for _ in range(3):
            stream = client.stream_text([LLMMessage("user", "echo: one two three")])
            async for _ in stream:
                break
            await stream.aclose()
    state = ledger.budget()
    assert len(ledger.df) == 3
    assert (state.spent, state.uncertain, state.reserved) == (0, 0, 0)


class TestAServerThatExceedsItsBound:
    """It reports three times the output that it was limited to."""

    async def test_the_next_reservations_allow_for_it(self, ledger, protocol, way):
        cap = 8 * at_least(protocol, 1000)
        ledger.budget(daily=cap)
        script = (whole(protocol, way, TOO_MUCH[protocol]),)
        async with asking(protocol, script) as client:
            for _ in range(2):
                await ask(client, way, max_tokens=1000)
            with pytest.raises(BudgetExceededError):
                await ask(client, way, max_tokens=1000)
        assert ledger.budget().spent <= cap

    async def test_a_cut_answer_is_bounded_by_it_as_well(self, ledger, protocol):
        ledger.budget(daily=100)
        script = (
            (whole(protocol, "streamed", TOO_MUCH[protocol]),),
            (head("streamed"), begun(protocol, "streamed"), RESET),
        )
        async with asking(protocol, *script) as client:
            await ask(client, "streamed", max_tokens=1000)
            with pytest.raises(LLMClientError):
                await ask(client, "streamed", max_tokens=1000)
        assert last(ledger)["at_most_usd"] > 2.5 * at_least(protocol, 1000)

    async def test_it_is_reported_once(self, ledger, protocol, way, caplog):
        ledger.budget(daily=100)
        script = (whole(protocol, way, TOO_MUCH[protocol]),)
        async with asking(protocol, script) as client:
            for _ in range(3):
                await ask(client, way, max_tokens=1000)
        (told,) = bound_ratio.take()
        assert f"{protocol}:{CLIENTS[protocol][1]} charged" in told
        assert bound_ratio.take() == []
        assert caplog.text.count("its limit") == 1, "a script has no footer"

    async def test_a_server_that_keeps_to_its_bound_changes_nothing(self, ledger, protocol, way):
        ledger.budget(daily=100)
        async with asking(protocol, (whole(protocol, way),)) as client:
            await ask(client, way, max_tokens=1000)
        assert bound_ratio.grown(f"{protocol}:{CLIENTS[protocol][1]}", 7) == 7
        assert bound_ratio.take() == []
