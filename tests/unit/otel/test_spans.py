"""One span for each row of the ledger, with its cost, however the call ends; sent to a real collector."""

import asyncio
import contextlib
import functools
import json

import anthropic
import openai
import pandas as pd
import pytest
from google.genai.models import AsyncModels
from opentelemetry import context as contexts

import llmkit
import llmkit.frames
from llmkit import (
    AuthenticationError,
    BaseLLMClient,
    BudgetExceededError,
    LLMMessage,
    LLMResponse,
    OpenAIClient,
    StreamInterruptedError,
    records,
)
from llmkit.clients.cassettes import replay
from llmkit.clients.registry import recorded
from tests.support.callers import KINDS, QUESTION, hurry, opened, read
from tests.support.collector import Collector


@pytest.fixture
def collector(monkeypatch):
    with Collector(monkeypatch) as made:
        yield made


@pytest.fixture
def ledger(recorder):
    """The ledger of the test's calls."""
    made = llmkit.Ledger(":memory:")
    records.set_recorder(lambda: made)
    yield made
    made.close()


@pytest.fixture
async def client(server, ledger):
    async with OpenAIClient("k", server.url(), model="sandbox", max_retries=0) as made:
        yield made


def same(collector, ledger):
    """Check that the spans are the rows, with their costs; return the only one's attributes."""
    rows = ledger.df.set_index("uid")
    spans = {span.attributes["llmkit.uid"]: span for span in collector.calls}
    assert sorted(spans) == sorted(rows.index)
    assert len(spans) == len(collector.calls)
    for uid, span in spans.items():
        row, said = rows.loc[uid], span.attributes
        assert said.get("llmkit.cost.usd") == (None if pd.isna(row.cost_usd) else row.cost_usd)
        assert (said["llmkit.status"], said["gen_ai.request.model"]) == (row.status, row.model)
        assert span.kind == 3  # CLIENT
    return next(iter(spans.values())) if len(spans) == 1 else None


async def test_a_whole_answer(collector, ledger, client):
    response = await client.generate_text(QUESTION)
    span = same(collector, ledger)
    assert (span.name, span.parent, span.failed) == ("chat sandbox", None, False)
    said = span.attributes
    assert said["gen_ai.operation.name"] == "chat"
    assert said["gen_ai.provider.name"] == "openai"
    assert said["gen_ai.response.finish_reasons"] == ["stop"]
    assert said["gen_ai.usage.input_tokens"] == response.prompt_tokens
    assert said["gen_ai.usage.output_tokens"] == response.completion_tokens
    assert said["llmkit.cost.source"] == response.price_source
    assert said["server.address"] == "127.0.0.1"
    assert abs(span.seconds - response.response_time) < 0.5


async def test_a_stream_has_the_time_to_its_first_chunk(collector, ledger, client):
    stream = client.stream_text(QUESTION)
    await read(stream)
    span = same(collector, ledger)
    assert span.attributes["gen_ai.response.time_to_first_chunk"] == stream.response.first_token_s


async def test_a_refused_call(collector, ledger, server, client):
    server.fail_next("401")
    with pytest.raises(AuthenticationError):
        await client.generate_text(QUESTION)
    span = same(collector, ledger)
    assert (span.failed, span.message) == (True, "")
    assert span.attributes["error.type"] == "AuthenticationError"
    assert "gen_ai.usage.input_tokens" not in span.attributes


async def test_a_cut_stream(collector, ledger, server, client):
    server.fail_next("cut=2")
    with pytest.raises(StreamInterruptedError):
        await read(client.stream_text(QUESTION))
    span = same(collector, ledger)
    assert (span.failed, span.attributes["error.type"]) == (True, "StreamInterruptedError")
    assert span.attributes["llmkit.cost.at_most_usd"] > span.attributes["llmkit.cost.usd"]


async def test_a_stream_that_is_left_is_no_error(collector, ledger, client):
    stream = client.stream_text(QUESTION)
    await anext(stream)
    await stream.aclose()
    span = same(collector, ledger)
    assert (span.failed, span.attributes["llmkit.status"]) == (False, "cancelled")


async def test_a_cancelled_task(collector, ledger, server, client):
    server.fail_next("stall=0")
    task = asyncio.create_task(client.generate_text(QUESTION))
    while not server.requests:  # noqa: ASYNC110 - the server's thread writes it
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert same(collector, ledger).attributes["llmkit.status"] == "cancelled"


async def test_retries_are_inside_their_calls_span(collector, ledger, server):
    server.fail_next("503", times=2)
    async with OpenAIClient("k", server.url(), model="sandbox", max_retries=2) as patient:
        hurry(patient)
        await patient.generate_text(QUESTION)
    span = same(collector, ledger)
    assert span.attributes["llmkit.attempts"] == 3
    assert len({request.headers["traceparent"] for request in server.requests}) == 1


async def test_a_fallback_names_both_models(collector, ledger, server, client):
    server.fail_next("503")
    async with OpenAIClient("k", server.url(), model="first", max_retries=0, fallback=[client]) as first:
        await first.generate_text(QUESTION)
    span = same(collector, ledger)
    assert span.name == "chat sandbox"
    assert span.attributes["llmkit.fallback_from"] == "openai:first"


async def test_a_replayed_answer_costs_and_uses_nothing(collector, ledger, client, tmp_path):
    llmkit.replay(tmp_path / "demo.replay")
    try:
        for _ in range(2):
            await client.generate_text(QUESTION)
    finally:
        replay._chosen = None
    same(collector, ledger)
    paid, replayed = collector.calls
    assert (replayed.attributes["llmkit.status"], replayed.attributes["llmkit.cost.usd"]) == ("replayed", 0)
    assert "gen_ai.usage.output_tokens" in paid.attributes
    assert "gen_ai.usage.output_tokens" not in replayed.attributes


async def test_a_call_that_a_budget_refuses_has_neither_span_nor_row(collector, ledger):
    ledger.budget(daily=0)
    with pytest.raises(BudgetExceededError):
        await recorded(Other("openai"), "gpt-4o-mini").generate_text(QUESTION)
    assert collector.spans == []


class Other(BaseLLMClient):
    """A client of another package."""

    async def generate_text(self, messages, model=None, **kwargs):
        return LLMResponse(messages[-1].content, self.provider_name, "other")

    async def stream_text(self, messages, model=None, **kwargs):
        yield messages[-1].content

    async def close(self):
        pass


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_of_another_packages_client(collector, ledger, stream):
    async with recorded(Other("other")) as client:
        if stream:
            await read(client.stream_text(QUESTION))
        else:
            await client.generate_text(QUESTION)
    span = same(collector, ledger)
    assert span.attributes["gen_ai.provider.name"] == "other"
    assert "llmkit.cost.usd" not in span.attributes  # unknown is not 0


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.full) if kind == "google-legacy" else kind for kind in KINDS],
)
async def test_each_kind_of_client_sends_its_spans_identity(collector, ledger, server, kind):
    async with opened(kind, server) as client:
        await client.generate_text(QUESTION)
        await read(client.stream_text(QUESTION))
    same(collector, ledger)
    # Version, trace, span and flags.
    sent = [request.headers.get("traceparent", "").rpartition("-")[0] for request in server.requests]
    spans = [f"00-{span.trace}-{span.id}" for span in collector.calls]
    # The former SDK of Google takes no headers for one request.
    assert sent == (["", ""] if kind == "google-legacy" else spans)


def instrumented(function, made, *, obeys):
    """Wrap an SDK's method as OpenTelemetry's instrumentations do, which use `wrapt`."""

    class FunctionWrapper:
        __module__ = "wrapt.wrappers"

        def __init__(self):
            self.__wrapped__ = function

        def __get__(self, instance, owner):
            return self if instance is None else functools.partial(self, instance)

        def __call__(self, *arguments, **options):
            if not (obeys and contexts.get_value(contexts._SUPPRESS_INSTRUMENTATION_KEY)):
                made.append(function.__qualname__)
            return function(*arguments, **options)

    return FunctionWrapper()


INSTRUMENTED = {
    "own openai": (openai.AsyncOpenAI, ("request",)),
    "own anthropic": (anthropic.AsyncAnthropic, ("request",)),
    "own google": (AsyncModels, ("generate_content", "generate_content_stream")),
}


@pytest.mark.parametrize("kind", INSTRUMENTED)
async def test_an_instrumented_sdk_makes_no_second_span(collector, ledger, server, monkeypatch, kind):
    made, (owner, names) = [], INSTRUMENTED[kind]
    for name in names:  # Google's own instrumentation cannot be asked to make none
        around = instrumented(getattr(owner, name), made, obeys=kind != "own google")
        monkeypatch.setattr(owner, name, around)
    async with opened(kind, server) as client:
        await client.generate_text(QUESTION)
        await read(client.stream_text(QUESTION))
        same(collector, ledger)
        assert made == []
        monkeypatch.setenv("LLMKIT_OTEL", "0")  # then the other's spans are the only ones
        await client.generate_text(QUESTION)
    assert len(made) == 1


def test_tools_are_children_of_their_run_and_hold_what_they_ask(collector, ledger, server):
    def population(city: str) -> int:
        """Return how many people live in a city."""
        llmkit.ask("echo: inner", "sandbox")
        return 2_100_000

    run = llmkit.run("How many people live in Paris?", tools=[population], model="sandbox")
    same(collector, ledger)
    spans = {span.id: span for span in collector.spans}
    shape = [(span.name, spans[span.parent].name if span.parent else None) for span in spans.values()]
    assert shape == [
        ("chat sandbox", "invoke_agent"),
        ("chat sandbox", "execute_tool population"),
        ("execute_tool population", "invoke_agent"),
        ("chat sandbox", "invoke_agent"),
        ("invoke_agent", None),
    ]
    agent = list(spans.values())[-1].attributes
    assert agent["llmkit.run"] == run.uid
    assert not [name for name in agent if "usage" in name or "cost" in name]


def test_a_tool_that_fails_says_so(collector, ledger, server):
    def population(city: str) -> int:
        """Return how many people live in a city."""
        raise LookupError(city)

    llmkit.run("How many people live in Paris?", tools=[population], model="sandbox")
    (tool,) = [span for span in collector.spans if span.name.startswith("execute_tool")]
    assert (tool.failed, tool.attributes["error.type"], tool.message) == (True, "LookupError", "")


def test_a_tool_result_that_cannot_be_shown_is_told_to_the_model_as_without_spans(
    collector, ledger, server, monkeypatch
):
    class Broken:
        def __str__(self):
            raise RuntimeError("no text")

        __repr__ = __str__

    def population(city: str) -> int:
        """Return how many people live in a city."""
        return Broken()

    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    run = llmkit.run("How many people live in Paris?", tools=[population], model="sandbox")
    assert run.stopped == "done"
    (tool,) = [span for span in collector.spans if span.name.startswith("execute_tool")]
    assert "Broken" in tool.attributes["gen_ai.tool.call.result"]


async def test_an_async_tool_is_the_current_span_while_it_runs(collector, ledger, client):
    async def population(city: str) -> int:
        """Return how many people live in a city."""
        await client.generate_text("echo: inner")
        return 2_100_000

    await client.run("How many people live in Paris?", tools=[population])
    spans = {span.id: span for span in collector.spans}
    inner = [span for span in spans.values() if span.parent and spans[span.parent].name.startswith("execute")]
    assert [span.name for span in inner] == ["chat sandbox"]
    same(collector, ledger)


async def test_a_run_that_is_cancelled_in_a_tool_leaves_no_span_open(collector, ledger, client):
    async def population(city: str) -> int:
        """Return how many people live in a city."""
        running.set()
        await asyncio.Event().wait()

    running = asyncio.Event()
    task = asyncio.create_task(client.run("How many people live in Paris?", tools=[population]))
    await asyncio.wait_for(running.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(span.name for span in collector.spans) == [
        "chat sandbox",
        "execute_tool population",
        "invoke_agent",
    ]
    same(collector, ledger)


@pytest.mark.full
def test_what_a_batch_api_answered_is_a_span_of_each_row(collector, ledger, server, monkeypatch):
    monkeypatch.setenv("LLMKIT_SANDBOX", "1")
    frame = pd.DataFrame({"text": ["a", "b", "c"]})
    frame.llm.map(
        "echo: {{text}}", model="openai:sandbox", mode="batch", wait=True, progress=False, job="echoes"
    )
    same(collector, ledger)
    assert len(collector.calls) == 3
    assert {span.attributes["llmkit.status"] for span in collector.calls} == {"ok"}


def test_a_table_is_the_parent_of_its_calls(collector, ledger, server):
    frame = pd.DataFrame({"text": ["a", "b", "c"]})
    frame.llm.map("echo: {{text}}", model="sandbox", job="echoes", progress=False, store=False)
    same(collector, ledger)
    *calls, job = collector.spans
    assert (job.name, job.attributes["gen_ai.workflow.name"]) == ("invoke_workflow echoes", "echoes")
    assert [span.parent for span in calls] == [job.id] * 3
    assert {span.attributes["llmkit.surface"] for span in calls} == {"table"}


async def test_a_batch_is_the_parent_of_its_calls_and_one_may_fail(collector, ledger, server, client):
    server.fail_next("500")
    await llmkit.batch([f"echo: {n}" for n in range(4)], client, progress=False)
    same(collector, ledger)
    *calls, job = collector.spans
    assert [span.parent for span in calls] == [job.id] * 4
    assert sum(span.failed for span in calls) == 1


async def test_a_span_of_the_user_is_the_parent(collector, ledger, client):
    from llmkit.otel import exporting

    tracer = exporting._made().spans.get_tracer("the user's")
    with tracer.start_as_current_span("analysis"):
        await asyncio.gather(client.generate_text(QUESTION), read(client.stream_text(QUESTION)))
    *calls, analysis = collector.spans
    assert [span.parent for span in calls] == [analysis.id] * 2


async def test_where_a_call_was_made_is_in_its_span(collector, ledger, client):
    with (
        llmkit.tags(project="thesis"),
        records.calling(surface="magic", notebook="a.ipynb", cell_id="c1", execution_count=7),
    ):
        await client.generate_text(QUESTION)
    said = same(collector, ledger).attributes
    assert said["llmkit.tag.project"] == "thesis"
    assert (said["llmkit.notebook"], said["llmkit.cell.id"]) == ("a.ipynb", "c1")
    assert (said["llmkit.cell.execution_count"], said["llmkit.surface"]) == (7, "magic")


async def test_without_the_users_wish_no_word_of_prompts_answers_and_errors_is_sent(
    collector, ledger, server, client
):
    await client.generate_text([LLMMessage("user", "echo: confidential")])
    server.fail_next("400")
    with contextlib.suppress(llmkit.InvalidRequestError):
        await client.generate_text([LLMMessage("user", "echo: confidential")])
    assert len(collector.calls) == 2
    assert "confidential" not in str(collector.spans)


async def test_prompts_and_answers_are_sent_if_wanted_and_without_keys(
    collector, ledger, client, monkeypatch
):
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    key = "sk-proj-" + "a1B2" * 8
    await client.generate_text([LLMMessage("user", f"echo: my {key}")])
    said = same(collector, ledger).attributes
    (asked,) = json.loads(said["gen_ai.input.messages"])
    (answer,) = json.loads(said["gen_ai.output.messages"])
    assert asked == {"role": "user", "parts": [{"type": "text", "content": "echo: my [redacted]"}]}
    assert answer["parts"] == [{"type": "text", "content": "my [redacted]"}]
    assert answer["finish_reason"] == "stop"


async def test_metrics_are_those_of_the_rows(collector, ledger, server, client):
    await read(client.stream_text(QUESTION))
    server.fail_next("401")
    with contextlib.suppress(AuthenticationError):
        await client.generate_text(QUESTION)
    rows, metrics = ledger.df, collector.metrics
    durations = {
        said.get("error.type"): count for said, count, _ in metrics["gen_ai.client.operation.duration"]
    }
    assert durations == {None: 1, "AuthenticationError": 1}
    tokens = {said["gen_ai.token.type"]: total for said, _, total in metrics["gen_ai.client.token.usage"]}
    assert tokens == {"input": rows.input_tokens.sum(), "output": rows.output_tokens.sum()}
    ((said, count, seconds),) = metrics["gen_ai.client.operation.time_to_first_chunk"]
    assert (count, said["gen_ai.request.model"]) == (1, "sandbox")
    assert seconds == pytest.approx(rows.first_token_s.sum())
