"""The ways to run a model with tools, in four wire formats, streamed and not: all say and cost the same."""

import asyncio
import json
from dataclasses import dataclass

import pytest

import llmkit
from llmkit import BadResponseError, InvalidRequestError, Ledger, LLMClientError, LLMMessage, records
from llmkit.clients.tools.run import Run
from llmkit.core.money import to_nanos
from tests.support.tool_peer import serving
from tests.support.tool_servers import SERVERS, failure

QUESTION = "What is 1 + 2?"
ADD = ("call_1", "add", '{"a": 1, "b": 2}')

ran = []


def add(a: int, b: int) -> int:
    """Add two numbers."""
    ran.append((a, b))
    return a + b


async def _run(client, tools, **options):
    return await client.run(QUESTION, tools, **options)


async def _run_stream(client, tools, **options):
    async for event in client.run_stream(QUESTION, tools, **options):
        last = event
    assert isinstance(last, Run)
    return last


async def _run_here(client, tools, **options):
    return llmkit.run(QUESTION, client, tools=tools, **options)


async def _ask(client, tools, **options):
    return llmkit.ask(QUESTION, client, tools=tools, **options).run


async def _aask(client, tools, **options):
    return (await llmkit.aask(QUESTION, client, tools=tools, **options)).run


ENTRIES = {
    "client.run": _run,
    "client.run_stream": _run_stream,
    "llmkit.run": _run_here,
    "llmkit.ask": _ask,
    "llmkit.aask": _aask,
}


class Site:
    """A server, its client, and the books."""

    def __init__(self, server, peer, ledger):
        self.server, self.peer, self.ledger = server, peer, ledger
        self.client = server.client(peer.url)

    def script(self, *answers, server=None):
        name = (server or self.server).model
        self.peer.asked.pop(name, None)
        self.peer.scripts[name] = [[one] for one in answers]

    @property
    def bodies(self):
        return self.peer.bodies

    def results(self, number):
        return self.server.results(self.bodies[number])

    def check_amounts(self, done):
        frame = self.ledger.df
        rows = frame[frame["parent_uid"] == done.uid].sort_values("step")
        steps = done.steps[done.steps["kind"] == "model"]
        assert list(rows["uid"]) == list(steps["uid"])
        assert sum(map(to_nanos, rows["cost_usd"].dropna())) == to_nanos(done.cost)


@pytest.fixture(params=ENTRIES)
def entry(request):
    return ENTRIES[request.param]


@pytest.fixture(params=SERVERS)
def server(request):
    return SERVERS[request.param]


@pytest.fixture(params=["answer", "whole"], ids=["streamed", "whole"])
def written(request, server):
    """Writes an answer: as events, or as one document, as some servers do although a stream is asked for."""
    return getattr(server, request.param)


@pytest.fixture(scope="module")
def peer():
    with serving() as made:
        yield made


@pytest.fixture
async def site(server, peer, tmp_path):
    for kept in (peer.asked, peer.bodies, peer.scripts, ran):
        kept.clear()
    ledger = Ledger(tmp_path / "ledger.sqlite")
    before = records.set_recorder(lambda: ledger)
    made = Site(server, peer, ledger)
    async with made.client:
        yield made
    records.set_recorder(before)
    ledger.close()


async def test_a_call_and_an_answer(entry, site, written):
    site.script(written("Let me add.", [ADD]), written("Three."))
    done = await entry(site.client, [add])
    assert (done.stopped, done.text, ran) == ("done", "Three.", [(1, 2)])
    assert site.results(1) == [("call_1", "3")]
    assert [message.role for message in done.messages] == ["user", "assistant", "user", "assistant"]
    site.check_amounts(done)


async def test_what_is_recorded_plays_back_for_nothing(entry, site, written, tmp_path):
    site.script(written("", [ADD]), written("Three."))
    with llmkit.replay(tmp_path / "r.replay"):
        live = await entry(site.client, [add])
    site.script(failure())
    for mode in ("only", "auto"):
        with llmkit.replay(tmp_path / "r.replay", mode=mode):
            played = await entry(site.client, [add])
        assert (played.text, played.stopped, played.cost) == (live.text, "done", 0)
        site.check_amounts(played)
    assert (ran, len(site.bodies)) == ([(1, 2)], 2)


async def test_what_one_way_recorded_any_other_plays_back(site, tmp_path):
    site.script(site.server.answer("", [ADD]), site.server.answer("Three."))
    for name, each in ENTRIES.items():
        with llmkit.replay(tmp_path / "r.replay"):
            done = await each(site.client, [add])
        assert (name, done.text) == (name, "Three.")
    assert (ran, len(site.bodies)) == ([(1, 2)], 2)


async def test_a_fallback_takes_a_step(entry, site):
    other = SERVERS["messages" if site.server.model != "claude-haiku-5-5" else "gemini"]
    site.script(site.server.answer("", [ADD]), failure())
    site.script(other.answer("Three."), server=other)
    options = {"api": "responses"} if site.server is SERVERS["responses"] else {}
    async with other.client(site.peer.url) as second:
        site.client._fallbacks.append(second)
        done = await entry(site.client, [add], **options)
    assert (done.stopped, done.text) == ("done", "Three.")
    assert list(done.steps["name"]) == [site.server.model, "add", other.model]
    assert other.results(site.bodies[-1]) == [("call_1", "3")]
    site.check_amounts(done)


async def test_a_fallback_that_speaks_otherwise_gets_no_tool_of_the_provider(site):
    other = SERVERS["messages" if site.server.model != "claude-haiku-5-5" else "gemini"]
    site.script(failure())
    site.script(other.answer("Three."), server=other)
    async with other.client(site.peer.url) as second:
        site.client._fallbacks.append(second)
        with pytest.raises(LLMClientError, match="It broke") as caught:
            await site.client.run(QUESTION, [add, {"type": "web_search"}])
    assert "was skipped: tools is specific to" in "".join(caught.value.__notes__)
    assert len(site.bodies) == 1


async def test_an_error_carries_the_run_so_far(entry, site):
    site.script(site.server.answer("Let me add.", [ADD]), failure())
    with pytest.raises(LLMClientError, match="It broke") as caught:
        await entry(site.client, [add])
    done = caught.value.run
    assert (done.stopped, done.text, ran) == ("error", "Let me add.", [(1, 2)])


async def test_a_cancelled_run_is_in_the_exception(site):
    reached = asyncio.Event()

    async def wait(seconds: int):
        reached.set()
        await asyncio.sleep(seconds)

    site.script(site.server.answer("I wait.", [("call_1", "wait", '{"seconds": 600}')]))
    task = asyncio.create_task(site.client.run(QUESTION, [wait]))
    await asyncio.wait_for(reached.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    done = caught.value.run
    assert (done.stopped, done.text) == ("interrupted", "I wait.")
    assert [step.kind for step in done.trace] == ["model"]
    site.check_amounts(done)


@dataclass
class Total:
    """A sum."""

    total: int


@pytest.fixture(params=["ask", "aask"])
def ask(request):
    async def asked(client, tools):
        reply = getattr(llmkit, request.param)(QUESTION, client, tools=tools, schema=Total)
        return reply if request.param == "ask" else await reply

    return asked


async def test_the_last_answer_has_the_form_that_was_asked_for(ask, site, written):
    site.script(written("", [ADD]), written('{"total": 3}'))
    reply = await ask(site.client, [add])
    assert (reply.value, reply.run.stopped) == (Total(3), "done")
    site.check_amounts(reply.run)


async def test_an_answer_in_another_form_is_asked_for_once_more_in_the_same_run(ask, site, written):
    site.script(written("", [ADD]), written("It is three."), written('{"total": 3}'))
    reply = await ask(site.client, [add])
    assert reply.value == Total(3)
    assert list(reply.run.steps["step"]) == [1, 1, 2, 3]
    assert "It is three." in json.dumps(site.bodies[2])
    assert [body["tools"] for body in site.bodies[1:]] == [site.bodies[0]["tools"]] * 2  # Anthropic insists
    assert site.results(2) == [("call_1", "3")]
    assert reply.cost == pytest.approx(sum(site.ledger.df["cost_usd"]))
    site.check_amounts(reply.run)


async def test_the_second_answer_in_another_form_is_an_error_with_the_run(ask, site):
    answer = site.server.answer
    site.script(answer("", [ADD]), answer("It is three."), answer("Three, I said."))
    with pytest.raises(BadResponseError) as caught:
        await ask(site.client, [add])
    assert caught.value.partial == "Three, I said."
    assert len(caught.value.run.trace) == len(site.bodies) + 1 == 4


async def test_without_tools_the_price_is_that_of_both_answers(ask, site):
    site.script(site.server.answer("It is three."), site.server.answer('{"total": 3}'))
    reply = await ask(site.client, [])
    assert reply.value == Total(3)
    assert reply.cost == pytest.approx(sum(site.ledger.df["cost_usd"]))
    assert len(site.ledger.df) == 2


async def test_a_question_in_a_form_plays_back_with_its_repair(ask, site, tmp_path):
    answer = site.server.answer
    site.script(answer("", [ADD]), answer("It is three."), answer('{"total": 3}'))
    for _ in range(2):
        with llmkit.replay(tmp_path / "r.replay"):
            reply = await ask(site.client, [add])
        assert reply.value == Total(3)
    assert (len(site.bodies), reply.cost, ran) == (3, 0, [(1, 2)])


class Weird:
    """Nothing that JSON has."""


def odd(thing: Weird):
    """Take a thing."""


BAD = {
    "a number": ([3], {}, "3 is not a tool"),
    "no list": (3, {}, "3 is not a tool"),
    "a name": (["add"], {}, "'add' is not a tool. Pass the function itself"),
    "a name alone": ("add", {}, "'add' is not a tool. Pass the function itself"),
    "nothing in a list": ([None], {}, "None is not a tool"),
    "no schema": ([odd], {}, "The function odd has no JSON schema"),
    "one name twice": ([add, add], {}, "Two tools are named add"),
    "one name twice, once described": (
        [add, {"type": "function", "function": {"name": "add"}}],
        {},
        "Two tools are named add",
    ),
    "another tool chosen": (
        [add],
        {"tool_choice": "subtract"},
        "there is no such tool. Use auto, none, required, add",
    ),
    "a number chosen": ([add], {"tool_choice": 3}, "tool_choice is 3"),
    "an effort that is none": ([add], {"effort": "huge"}, "Use one of none, minimal"),
}


async def _generate(client, tools, **options):
    return await client.generate_text([LLMMessage("user", QUESTION)], tools=tools, **options)


@pytest.mark.product
@pytest.mark.parametrize("way", [*ENTRIES, "generate_text"])
@pytest.mark.parametrize("case", BAD)
async def test_what_is_no_tool_is_one_error_in_every_way_and_nothing_is_sent(site, way, case):
    tools, options, said = BAD[case]
    if way == "generate_text" and case == "no list":
        return  # a dict or list of the provider is not looked into
    with pytest.raises(InvalidRequestError) as caught:
        await {**ENTRIES, "generate_text": _generate}[way](site.client, tools, **options)
    assert said in str(caught.value)
    assert site.bodies == []
    assert site.ledger.df["cost_usd"].sum() == 0


async def test_a_choice_without_tools_is_not_left_out_in_silence(site):
    with pytest.raises(InvalidRequestError, match="there are no tools"):
        await site.client.run(QUESTION, [], tool_choice="required")


@pytest.mark.parametrize("tools", [None, [], ()])
async def test_no_tools_are_no_tools(site, tools):
    site.script(site.server.answer("Three."))
    done = await site.client.run(QUESTION, tools)
    assert (done.text, "tools" in site.bodies[0]) == ("Three.", False)
