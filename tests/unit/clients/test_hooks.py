"""A hook sees the start and the end of every call, whichever way it takes."""

import asyncio
import contextlib
import gc

import pytest

import llmkit
from llmkit import (
    AuthenticationError,
    BaseLLMClient,
    BudgetExceededError,
    LLMMessage,
    LLMResponse,
    OpenAIClient,
    ProviderNotAvailableError,
    StreamInterruptedError,
    hooks,
    records,
)
from llmkit.clients.cassettes import replay
from llmkit.clients.registry import recorded
from llmkit.costs.ledger import Ledger
from tests.support.callers import QUESTION, TEXT, hurry, opened, read


class Witness:
    def __init__(self):
        self.started, self.ended = [], []

    def start(self, call):
        self.started.append(call)

    def end(self, record, outcome):
        self.ended.append((record, outcome))

    @property
    def pairs(self):
        """The calls that started and ended, each once."""
        assert [call.uid for call in self.started] == [record.uid for record, _ in self.ended]
        return list(zip(self.started, *zip(*self.ended, strict=True), strict=True)) if self.ended else []

    @property
    def one(self):
        (pair,) = self.pairs
        return pair


class Other(BaseLLMClient):
    """A client of another package."""

    async def generate_text(self, messages, model=None, **kwargs):
        return LLMResponse(messages[-1].content, self.provider_name, "other")

    async def stream_text(self, messages, model=None, **kwargs):
        yield messages[-1].content

    async def close(self):
        pass


@contextlib.contextmanager
def observing(hook):
    stop = llmkit.on_call(getattr(hook, "start", None), getattr(hook, "end", None))
    try:
        yield hook
    finally:
        stop()


@pytest.fixture
def witness(recorder):
    with observing(Witness()) as made:
        yield made


@pytest.fixture
async def client(server, recorder):
    async with OpenAIClient("k", server.url(), model="sandbox", max_retries=0) as made:
        yield made


@pytest.fixture
def auto(tmp_path):
    yield llmkit.replay(tmp_path / "demo.replay")
    replay._chosen = None


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_of_every_kind_of_client_is_seen(kind, server, witness, recorder, stream):
    async with opened(kind, server) as client:
        if stream:
            answer = client.stream_text(QUESTION)
            await read(answer)
            response = answer.response
        else:
            response = await client.generate_text(QUESTION)
    call, record, outcome = witness.one
    assert record is recorder.last
    assert outcome is response
    assert (call.provider, call.model, call.messages) == (record.provider, "sandbox", tuple(QUESTION))
    assert (record.status, outcome.content, call.time) == ("ok", TEXT, record.time)


async def test_the_start_comes_before_the_request(client, server, recorder):
    class Early:
        def start(self, call):
            seen.append(len(server.requests))

    seen = []
    with observing(Early()):
        await client.generate_text(QUESTION)
    assert seen == [0]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_of_another_packages_client_is_seen(witness, stream):
    async with recorded(Other("other")) as client:
        if stream:
            await read(client.stream_text(QUESTION))
        else:
            await client.generate_text(QUESTION)
    call, record, outcome = witness.one
    assert (call.provider, record.status, outcome.content) == ("other", "ok", QUESTION[-1].content)


async def test_the_ledger_comes_first(client, recorder):
    class Late:
        def end(self, record, outcome):
            kept.append(recorder.last is record)

    kept = []
    with observing(Late()):
        await client.generate_text(QUESTION)
    assert kept == [True]


async def test_where_a_call_was_made_is_known_at_its_start(client, witness):
    with llmkit.tags(project="thesis"), records.calling(surface="chat", cell_id="c1"):
        await client.generate_text(QUESTION)
    call = witness.one[0]
    assert (call.surface, call.cell_id, call.tags) == ("chat", "c1", {"project": "thesis"})


async def test_a_replayed_answer_is_a_call_too(client, auto, witness):
    first = await client.generate_text(QUESTION)
    again = await client.generate_text(QUESTION)
    (call, record, _), (second, other, outcome) = witness.pairs
    assert (call.replayed, record.status, first.replayed) == (False, "ok", False)
    assert (second.replayed, other.status, outcome) == (True, "replayed", again)


async def test_calls_that_share_one_answer_are_seen_each(client, server, auto, witness):
    await asyncio.gather(*(client.generate_text(QUESTION) for _ in range(3)))
    assert len(server.requests) == 1
    ended = {record.uid: record.status for record, _ in witness.ended}
    assert sorted(ended.values()) == ["ok", "replayed", "replayed"]
    assert ended.keys() == {call.uid for call in witness.started}


async def test_a_failed_call_ends_with_its_error(client, server, witness):
    server.fail_next("401")
    with pytest.raises(AuthenticationError) as caught:
        await client.generate_text(QUESTION)
    _, record, outcome = witness.one
    assert (record.status, outcome) == ("error", caught.value)


async def test_a_cut_stream_ends_with_its_error(client, server, witness):
    server.fail_next("cut=2")
    with pytest.raises(StreamInterruptedError) as caught:
        await read(client.stream_text(QUESTION))
    _, record, outcome = witness.one
    assert (record.status, outcome, outcome.partial) == ("interrupted", caught.value, "one two")


async def test_a_stream_that_is_left_ends_cancelled(client, witness):
    stream = client.stream_text(QUESTION)
    await anext(stream)
    await stream.aclose()
    _, record, outcome = witness.one
    assert (record.status, type(outcome)) == ("cancelled", GeneratorExit)


async def test_a_stream_that_is_forgotten_ends_cancelled(client, witness):
    stream = client.stream_text(QUESTION)
    await anext(stream)
    del stream
    gc.collect()
    await asyncio.sleep(0)
    assert witness.one[1].status == "cancelled"


async def test_a_cancelled_task_ends_the_call(client, server, witness):
    server.fail_next("stall=0")
    task = asyncio.create_task(client.generate_text(QUESTION))
    while not server.requests:  # noqa: ASYNC110 - the server's thread writes it
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    _, record, outcome = witness.one
    assert (record.status, record.error, type(outcome)) == ("cancelled", None, asyncio.CancelledError)


async def test_retries_are_one_call(client, server, witness):
    server.fail_next("503", times=2)
    async with OpenAIClient("k", server.url(), model="sandbox", max_retries=2) as patient:
        hurry(patient)
        await patient.generate_text(QUESTION)
    assert witness.one[1].attempts == 3


async def test_a_fallback_is_the_same_call(client, server, witness):
    server.fail_next("503")
    async with OpenAIClient("k", server.url(), model="first", max_retries=0, fallback=[client]) as first:
        await first.generate_text(QUESTION)
    call, record, outcome = witness.one
    assert (call.model, record.model, record.fallback_from) == ("first", "sandbox", "openai:first")
    assert outcome.content == TEXT


async def test_every_call_of_a_batch_is_seen(client, server, witness):
    server.fail_next("500")
    await llmkit.batch([f"echo: {n}" for n in range(5)], client, progress=False)
    assert {call.uid for call in witness.started} == {record.uid for record, _ in witness.ended}
    assert [call.context.surface for call in witness.started] == ["batch"] * 5
    outcomes = [outcome for _, outcome in witness.ended]
    assert sum(isinstance(outcome, ProviderNotAvailableError) for outcome in outcomes) == 1


async def test_a_call_that_a_budget_refuses_never_starts(server, witness):
    ledger = Ledger(":memory:")
    ledger.budget(daily=0)
    records.set_recorder(lambda: ledger)
    with pytest.raises(BudgetExceededError):
        await recorded(Other("openai"), "gpt-4o-mini").generate_text(QUESTION)
    assert (witness.started, witness.ended) == ([], [])


class Failing:
    """A hook that fails at one of its four places."""

    def __init__(self, place):
        self.place, self.passed = place, []

    def at(self, place):
        self.passed.append(place)
        if place == self.place:
            raise ValueError(f"mistake at {place}")

    def start(self, call):
        self.at("start")
        return self

    def __enter__(self):
        self.at("enter")

    def __exit__(self, *error):
        self.at("exit")
        return True

    def end(self, record, outcome):
        self.at("end")


@pytest.mark.parametrize(
    ("place", "passed"),
    [
        ("start", ["start", "end"]),
        ("enter", ["start", "enter", "end"]),
        ("end", ["start", "enter", "end", "exit"]),
        ("exit", ["start", "enter", "end", "exit"]),
    ],
)
async def test_a_mistake_of_a_hook_is_logged_and_breaks_nothing(client, witness, caplog, place, passed):
    with observing(Failing(place)) as failing:
        response = await client.generate_text(QUESTION)
    assert (response.content, failing.passed) == (TEXT, passed)
    assert f"mistake at {place}" in caplog.text
    assert witness.one[2] is response


async def test_a_context_manager_spans_the_call_and_gets_its_error(client, server, recorder):
    class Span:
        @contextlib.contextmanager
        def start(self, call):
            events.append("enter")
            try:
                yield
            except Exception as error:
                events.append(type(error))
                raise
            finally:
                events.append("exit")

        def end(self, record, outcome):
            events.append(record.status)

    events = []
    with observing(Span()):
        await client.generate_text(QUESTION)
        server.fail_next("401")
        with pytest.raises(AuthenticationError):
            await client.generate_text(QUESTION)
    assert events == ["enter", "ok", "exit", "enter", "error", AuthenticationError, "exit"]


async def test_a_context_manager_cannot_hide_the_error_of_a_call(client, server, recorder):
    server.fail_next("401")
    with observing(Failing("nowhere")), pytest.raises(AuthenticationError):
        await client.generate_text(QUESTION)


async def test_a_hook_that_comes_or_goes_during_a_call_sees_all_of_it_or_nothing(client, recorder):
    early, late = Witness(), Witness()
    stop = llmkit.on_call(early.start, early.end)
    stream = client.stream_text(QUESTION)
    await anext(stream)
    stop()
    with observing(late):
        await read(stream)
    assert early.one[1].status == "ok"
    assert (late.started, late.ended) == ([], [])


async def test_hooks_nest_in_the_order_in_which_they_came(client, recorder):
    class Named:
        def __init__(self, name):
            self.name = name

        def start(self, call):
            order.append(f"{self.name} starts")

        def end(self, record, outcome):
            order.append(f"{self.name} ends")

    order = []
    with observing(Named("a")), observing(Named("b")):
        await client.generate_text(QUESTION)
    assert order == ["a starts", "b starts", "b ends", "a ends"]


def test_without_a_hook_nothing_is_made():
    def never():
        raise AssertionError("nobody looks")

    assert hooks.observation(never) is None


async def test_a_hook_may_be_one_function(client, recorder):
    starts, ends = [], []
    stop = [llmkit.on_call(starts.append), llmkit.on_call(end=lambda record, outcome: ends.append(outcome))]
    assert (await client.generate_text([LLMMessage("user", "echo: x")])).content == "x"
    for each in stop:
        each()
    assert ([call.surface for call in starts], [outcome.content for outcome in ends]) == (["api"], ["x"])
