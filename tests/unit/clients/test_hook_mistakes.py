"""A hook may do anything: what it raises, returns, calls or removes harms no call."""

import asyncio
import concurrent.futures
import contextlib
import functools
import os
import subprocess
import sys
import textwrap

import pandas as pd
import pytest

import llmkit
import llmkit.frames
from llmkit import ConfigurationError, OpenAIClient
from tests.support.callers import QUESTION, TEXT, read


@pytest.fixture
async def client(server, recorder):
    async with OpenAIClient("k", server.url(), model="sandbox", max_retries=0) as made:
        yield made


@contextlib.contextmanager
def hooked(start=None, end=None):
    stop = llmkit.on_call(start, end)
    try:
        yield stop
    finally:
        stop()


@pytest.fixture
def seen():
    """The records of the test's calls, as a hook that came first and is called last gets them."""
    records = []
    with hooked(end=lambda record, outcome: records.append(record)):
        yield records


def raising(error):
    def hook(*arguments):
        raise error

    return hook


@pytest.mark.parametrize("error", [ValueError, SystemExit, GeneratorExit, asyncio.CancelledError])
@pytest.mark.parametrize("place", ["start", "end"])
async def test_what_a_hook_raises_is_logged_and_breaks_nothing(client, seen, caplog, place, error):
    with hooked(**{place: raising(error("a mistake"))}):
        response = await client.generate_text(QUESTION)
    assert (response.content, [record.uid for record in seen]) == (TEXT, [response.uid])
    assert "A hook of calls failed" in caplog.text


async def test_an_interrupt_at_the_end_passes_on_after_the_other_hooks_and_the_books(client, recorder, seen):
    with hooked(end=raising(KeyboardInterrupt())), pytest.raises(KeyboardInterrupt):
        await client.generate_text(QUESTION)
    assert (seen, recorder.last.status) == ([recorder.last], "ok")


async def test_an_interrupt_at_the_start_sends_nothing_and_leaves_what_was_entered(
    client, server, recorder, seen
):
    @contextlib.contextmanager
    def span(call):
        try:
            yield
        except KeyboardInterrupt:
            left.append(call.uid)
            raise

    left = []
    with hooked(span), hooked(raising(KeyboardInterrupt())), pytest.raises(KeyboardInterrupt):
        await client.generate_text(QUESTION)
    assert (len(left), list(server.requests), recorder.records, seen) == (1, [], [], [])


async def test_a_hook_may_remove_itself(client, recorder):
    def once(record, outcome):
        ends.append(record.uid)
        stop()

    ends = []
    stop = llmkit.on_call(end=once)
    for _ in range(2):
        await client.generate_text(QUESTION)
    assert ends == [recorder.records[0].uid]


async def test_a_hook_may_remove_another_which_still_gets_its_end(client, seen, recorder):
    late = []
    stop = llmkit.on_call(end=lambda record, outcome: late.append(record.uid))
    with hooked(lambda call: stop()):
        for _ in range(2):
            await client.generate_text(QUESTION)
    assert late == [recorder.records[0].uid]


async def test_one_function_registered_twice_is_called_twice_and_removed_once(client, recorder):
    ends = []

    def end(record, outcome):
        ends.append(record.uid)

    first, second = llmkit.on_call(end=end), llmkit.on_call(end=end)
    await client.generate_text(QUESTION)
    first()
    first()
    await client.generate_text(QUESTION)
    second()
    assert len(ends) == 3


async def plain(*arguments):
    pass


class Called:
    async def __call__(self, *arguments):
        pass


@pytest.mark.parametrize("function", [plain, functools.partial(plain, 1), Called()])
@pytest.mark.parametrize("place", ["start", "end"])
def test_an_async_function_is_refused(place, function):
    with pytest.raises(ConfigurationError, match=f"{place} of on_call must be .* got the async"):
        llmkit.on_call(**{place: function})


@pytest.mark.parametrize("given", [{}, {"start": None}, {"start": "print"}, {"end": 1}])
def test_what_is_no_function_is_refused(given):
    with pytest.raises(ConfigurationError, match="on_call"):
        llmkit.on_call(**given)


@pytest.mark.parametrize("place", ["start", "end"])
async def test_a_coroutine_that_a_hook_returns_is_closed_and_logged(client, recorder, caplog, place):
    with hooked(**{place: lambda *given: plain(given)}):
        await client.generate_text(QUESTION)
    assert "it returned a coroutine" in caplog.text


async def test_an_async_context_manager_is_logged_and_another_value_is_not(client, recorder, caplog):
    with hooked(lambda call: 1):
        await client.generate_text(QUESTION)
    assert not caplog.records
    with hooked(lambda call: contextlib.AsyncExitStack()):
        await client.generate_text(QUESTION)
    assert "not an async one" in caplog.text


async def test_a_call_that_a_hook_makes_is_recorded_and_has_no_hooks(client, server, recorder, seen):
    def ask(record, outcome):
        answers.append(llmkit.ask("echo: inner", "sandbox").text)

    answers = []
    with hooked(end=ask):
        await client.generate_text(QUESTION)
    assert answers == ["inner"]
    assert [record.provider for record in seen] == ["openai"]
    assert len(recorder.records) == 2


def test_a_hook_may_ask_a_model_during_a_synchronous_call(server, recorder):
    """Such a call runs on the loop that the hook's own call would wait for."""

    def ask(record, outcome):
        answers.append(llmkit.ask("echo: inner", "sandbox").text)

    answers = []
    with hooked(end=ask):
        assert llmkit.ask("echo: outer", "sandbox").text == "outer"
    assert answers == ["inner"]


def test_every_thread_has_its_own_calls(server, recorder):
    starts, ends = [], []

    def ask(number):
        return asyncio.run(asked(number))

    async def asked(number):
        async with OpenAIClient("k", server.url(), model="sandbox") as client:
            for _ in range(5):
                await client.generate_text(f"echo: {number}")

    with (
        hooked(lambda call: starts.append(call.uid), lambda record, _: ends.append(record.uid)),
        concurrent.futures.ThreadPoolExecutor(4) as pool,
    ):
        list(pool.map(ask, range(4)))
    assert len(starts) == len(set(starts)) == 20
    assert sorted(starts) == sorted(ends) == sorted(record.uid for record in recorder.records)


def test_each_request_of_a_table_is_seen(server, recorder, seen):
    frame = pd.DataFrame({"text": ["a", "b", "c"]})
    frame.llm.map("echo: {{text}}", model="sandbox", progress=False, store=False)
    assert [record.surface for record in seen] == ["table"] * 3


def test_each_step_of_a_run_with_tools_is_seen(server, recorder, seen):
    def population(city: str) -> int:
        """Return how many people live in a city."""
        return 2_100_000

    run = llmkit.run("How many people live in Paris?", tools=[population], model="sandbox")
    assert [record.parent_uid for record in seen] == [run.uid, run.uid]
    assert [record.step for record in seen] == [1, 2]


async def test_a_hook_of_the_ledger_sees_calls_that_hooks_make(client, server, seen):
    ledger, uids = llmkit.Ledger(":memory:"), []
    llmkit.records.set_recorder(lambda: ledger)
    stop = ledger.subscribe(lambda record: uids.append(record.uid))
    with hooked(end=lambda record, outcome: llmkit.ask("echo: inner", "sandbox")):
        await read(client.stream_text(QUESTION))
    stop()
    assert len(uids) == 2
    assert [record.uid for record in seen] == [uids[0]]


SCRIPT = """
    import os, sys, llmkit
    seen = []
    llmkit.on_call(end=lambda record, outcome: seen.append(record.uid))
    child = os.fork()
    print(llmkit.ask("echo: yes", "sandbox").text, len(seen), flush=True)
    if child:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.full
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_forked_process_has_its_parents_hooks_and_its_own_calls():
    script = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
    done = subprocess.run(script, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["yes", "1", "yes", "1"]
