"""Loops with tools, in four wire formats: every ending, with its steps, rows and amounts."""

import asyncio
import itertools
import json
import random
import threading
from dataclasses import replace

import pytest

import llmkit
from llmkit import InvalidRequestError, Ledger, LLMClientError, LLMMessage, records
from llmkit.core.money import to_nanos
from llmkit.parts import Text, ToolCall, ToolResult
from tests.support.peer import Peer
from tests.support.tool_servers import SERVERS, failure

QUESTION = "What is 1 + 2?"
ADD = ("call_1", "add", '{"a": 1, "b": 2}')


@pytest.fixture(params=SERVERS)
def server(request):
    return SERVERS[request.param]


@pytest.fixture
async def peer():
    async with Peer() as made:
        yield made


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path / "ledger.sqlite")
    before = records.set_recorder(lambda: made)
    yield made
    records.set_recorder(before)
    made.close()


ran = []


def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: The first one.
        b: The second one.
    """
    ran.append((a, b))
    return a + b


@pytest.fixture(autouse=True)
def nothing_ran():
    ran.clear()


async def run(server, peer, answers, tools=(add,), question=QUESTION, **options):
    peer.scripts[server.model] = [[one] for one in answers]
    async with server.client(peer.url) as client:
        return await client.run(question, tools, **options)


def check_amounts(ledger, done):
    """Check that the steps and the rows of a run say the same."""
    frame = ledger.df
    rows = frame[frame["parent_uid"] == done.uid].sort_values("step")
    steps = done.steps[done.steps["kind"] == "model"]
    assert list(rows["step"]) == list(steps["step"])
    assert list(rows["uid"]) == list(steps["uid"])
    assert sum(map(to_nanos, rows["cost_usd"].dropna())) == to_nanos(done.cost)


async def test_one_call(server, peer, ledger):
    done = await run(server, peer, [server.answer("Let me add.", [ADD]), server.answer("Three.")])
    assert (done.stopped, done.text, ran) == ("done", "Three.", [(1, 2)])
    assert list(done.steps["kind"]) == ["model", "tool", "model"]
    assert list(done.steps["name"])[1] == "add"
    assert server.results(peer.bodies[1]) == [("call_1", "3")]
    assert [message.role for message in done.messages] == ["user", "assistant", "user", "assistant"]
    check_amounts(ledger, done)


async def test_parallel_calls_run_in_order(server, peer, ledger):
    calls = [ADD, ("call_2", "add", '{"a": 3, "b": 4}')]
    done = await run(server, peer, [server.answer("", calls), server.answer("Three and seven.")])
    assert ran == [(1, 2), (3, 4)]
    assert server.results(peer.bodies[1]) == [("call_1", "3"), ("call_2", "7")]
    check_amounts(ledger, done)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("call_1", "add", '{"a": 1, '), "not a JSON object"),
        (("call_1", "ad", '{"a": 1}'), "no tool 'ad'. Did you mean add"),
        (("call_1", "add", '{"a": 1}'), "b: Field required"),
        (("call_1", "add", '{"a": 1, "b": 2, "c": 3}'), "c: Extra inputs"),
        (("call_1", "add", '{"a": "x", "b": 2}'), "a: Input should be a valid integer"),
    ],
    ids=["bad JSON", "unknown tool", "missing", "surplus", "wrong type"],
)
async def test_what_does_not_fit_is_told_to_the_model(server, peer, ledger, call, said):
    done = await run(server, peer, [server.answer("", [call]), server.answer("Sorry.")])
    ((_, result),) = server.results(peer.bodies[1])
    assert said in result
    assert (done.stopped, ran) == ("done", [])
    first, failed, last = done.steps["error"]
    assert said in failed
    assert first is last is None
    check_amounts(ledger, done)


async def test_an_exception_is_told_without_its_traceback(server, peer, ledger):
    def add(a: int, b: int):
        raise KeyError("no such column")

    done = await run(server, peer, [server.answer("", [ADD]), server.answer("Sorry.")], [add])
    assert server.results(peer.bodies[1]) == [("call_1", "KeyError: 'no such column'")]
    check_amounts(ledger, done)


async def test_an_async_tool_that_takes_too_long_is_stopped(server, peer, ledger):
    @llmkit.tool(timeout=0.05)
    async def add(a: int, b: int):
        await asyncio.sleep(60)

    done = await run(server, peer, [server.answer("", [ADD]), server.answer("Sorry.")], [add])
    assert "more than 0.05 s" in server.results(peer.bodies[1])[0][1]
    check_amounts(ledger, done)


@pytest.mark.parametrize("approve", [False, None, lambda call: False])
async def test_a_denied_call_runs_nothing(server, peer, ledger, approve):
    guarded = llmkit.tool(approve="always")(add)
    done = await run(
        server, peer, [server.answer("", [ADD]), server.answer("Well.")], [guarded], approve=approve
    )
    assert ran == []
    assert "did not allow" in server.results(peer.bodies[1])[0][1]
    assert done.steps["approved"][1] is False
    check_amounts(ledger, done)


@pytest.mark.parametrize(
    "approve", [True, lambda call: True, lambda call: ToolCall(call.id, call.name, {"a": 1, "b": 2})]
)
async def test_an_allowed_call_runs(server, peer, ledger, approve):
    guarded = llmkit.tool(approve="always")(add)
    done = await run(
        server, peer, [server.answer("", [ADD]), server.answer("Three.")], [guarded], approve=approve
    )
    assert ran == [(1, 2)]
    assert done.steps["approved"][1] is True


async def test_an_edited_call_runs_as_edited(server, peer, ledger):
    guarded = llmkit.tool(approve=lambda call: ToolCall(call.id, call.name, {"a": 5, "b": 6}))(add)
    await run(server, peer, [server.answer("", [ADD]), server.answer("Eleven.")], [guarded])
    assert ran == [(5, 6)]
    assert server.results(peer.bodies[1]) == [("call_1", "11")]


@pytest.mark.parametrize(
    "edit",
    [
        lambda call: ToolCall("another", "add", {"a": 5, "b": 6}),
        lambda call: replace(call, arguments={"a": 5, "b": 6}),
        lambda call: replace(call, raw='{"a": 5, "b": 6}'),
    ],
    ids=["another id", "only arguments", "only text"],
)
async def test_an_edited_call_keeps_its_id_and_its_step_shows_what_ran(server, peer, ledger, edit):
    guarded = llmkit.tool(approve=edit)(add)
    done = await run(server, peer, [server.answer("", [ADD]), server.answer("Eleven.")], [guarded])
    assert server.results(peer.bodies[1]) == [("call_1", "11")]
    assert done.steps["arguments"][1] == '{"a": 5, "b": 6}'


async def test_an_edited_call_without_a_json_object_does_not_run(server, peer, ledger):
    def add(a: int = 1):
        ran.append(a)

    guarded = llmkit.tool(approve=lambda call: ToolCall(call.id, call.name, raw='{"a": '))(add)
    call = ("call_1", "add", '{"a": 1}')
    await run(server, peer, [server.answer("", [call]), server.answer("Well.")], [guarded])
    assert ran == []
    assert "not a JSON object" in server.results(peer.bodies[1])[0][1]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda call: "no", "got 'no'"),
        (lambda call: ToolCall(call.id, "delete", {}), "a call of 'delete' instead of 'add'"),
        ("yes", "got 'yes'"),
    ],
    ids=["truthy text", "another tool", "no function"],
)
async def test_an_approval_that_is_none_runs_nothing(peer, ledger, answer, said):
    server, guarded = SERVERS["chat"], llmkit.tool(approve="always")(add)
    with pytest.raises(InvalidRequestError, match=said):
        await run(server, peer, [server.answer("", [ADD])], [guarded], approve=answer)
    assert ran == []


async def test_true_does_not_answer_for_a_person(server, peer, ledger):
    guarded = llmkit.tool(approve="person")(add)
    await run(server, peer, [server.answer("", [ADD]), server.answer("Well.")], [guarded], approve=True)
    assert ran == []


async def test_an_interrupt_inside_a_tool_ends_the_run_with_what_it_has(server, peer, ledger):
    def add(a: int, b: int):
        raise KeyboardInterrupt

    calls = [ADD, ("call_2", "add", '{"a": 3, "b": 4}')]
    done = await run(server, peer, [server.answer("Let me add.", calls), server.answer("Never.")], [add])
    assert (done.stopped, done.text, len(peer.bodies)) == ("interrupted", "Let me add.", 1)
    results = [part for part in done.messages[-1].parts if isinstance(part, ToolResult)]
    assert [result.is_error for result in results] == [True, True]
    check_amounts(ledger, done)


async def test_a_number_of_steps_ends_it(server, peer, ledger):
    answers = [server.answer("", [(f"call_{n}", "add", f'{{"a": {n}, "b": 2}}')]) for n in range(9)]
    done = await run(server, peer, answers, max_steps=3)
    assert (done.stopped, len(peer.bodies), len(ran)) == ("max_steps", 3, 3)
    check_amounts(ledger, done)


async def test_a_price_ends_it_before_it_is_passed(server, peer, ledger):
    answers = [server.answer("", [(f"call_{n}", "add", f'{{"a": {n}, "b": 2}}')]) for n in range(9)]
    async with server.client(peer.url) as client:
        once = client.bound([LLMMessage("user", QUESTION)], tools=[add], max_tokens=50) / 1e9
    cap = once * 1.5
    done = await run(server, peer, answers, max_cost=cap, max_tokens=50)
    assert done.stopped == "max_cost"
    assert 0 < done.cost <= cap
    assert done.response is not None
    check_amounts(ledger, done)


async def test_a_price_that_not_even_the_first_request_fits_asks_nothing(server, peer, ledger):
    done = await run(server, peer, [server.answer("Three.")], max_cost=1e-9)
    assert (done.stopped, done.response, peer.bodies) == ("max_cost", None, [])


async def test_the_third_same_call_in_a_row_ends_it(server, peer, ledger):
    done = await run(server, peer, [server.answer("", [ADD])] * 9)
    assert (done.stopped, len(peer.bodies), len(ran)) == ("repeated", 3, 2)
    check_amounts(ledger, done)


async def test_arguments_that_were_cut_never_reach_the_tool(server, peer, ledger):
    cut = server.answer("", [("call_1", "add", '{"a": 1, "b"')], finish="length")
    done = await run(server, peer, [cut, server.answer("Sorry.")])
    assert (done.stopped, ran) == ("done", [])
    check_amounts(ledger, done)


async def test_an_error_of_the_provider_carries_the_run(server, peer, ledger):
    with pytest.raises(LLMClientError) as caught:
        await run(server, peer, [server.answer("Let me add.", [ADD]), failure()])
    done = caught.value.run
    assert (done.stopped, done.text, ran) == ("error", "Let me add.", [(1, 2)])
    assert list(done.steps["kind"])[:2] == ["model", "tool"]


async def test_a_loop_plays_back_without_the_server_and_without_the_tools(server, peer, ledger, tmp_path):
    with llmkit.replay(tmp_path / "r.replay"):
        live = await run(server, peer, [server.answer("Let me add.", [ADD]), server.answer("Three.")])
    sent = len(peer.bodies)
    for mode in ("only", "auto"):
        with llmkit.replay(tmp_path / "r.replay", mode=mode):
            played = await run(server, peer, [failure()])
        assert (played.text, played.cost, len(peer.bodies)) == ("Three.", 0, sent)
        assert list(played.steps["replayed"]) == [True] * 3
        assert [message.content for message in played.messages] == [
            message.content for message in live.messages
        ]
    assert ran == [(1, 2)]


async def test_the_same_call_twice_in_one_answer_plays_back(server, peer, ledger, tmp_path):
    twice = [ADD, (ADD[0] if server is SERVERS["gemini"] else "call_2", *ADD[1:])]
    for mode, answers in (("auto", [server.answer("", twice), server.answer("Six.")]), ("only", [failure()])):
        with llmkit.replay(tmp_path / "r.replay", mode=mode):
            done = await run(server, peer, answers)
        assert (done.stopped, done.text) == ("done", "Six.")
    assert ran == [(1, 2), (1, 2)]


async def test_a_tool_that_reruns_does_so_on_replay(server, peer, ledger, tmp_path):
    @llmkit.tool(rerun=True)
    def add(a: int, b: int):
        ran.append((a, b))
        return len(ran)

    for answers in ([server.answer("", [ADD]), server.answer("One.")], [failure()], [failure()]):
        with llmkit.replay(tmp_path / "r.replay"):
            done = await run(server, peer, answers, [add])
        assert done.text == "One."  # the recorded result leads to the recorded answer
    assert ran == [(1, 2)] * 3


async def test_a_failed_call_plays_back_with_its_error(server, peer, ledger, tmp_path):
    answers = [server.answer("", [("call_1", "add", '{"a": 1}')]), server.answer("Sorry.")]
    with llmkit.replay(tmp_path / "r.replay"):
        live = await run(server, peer, answers)
    with llmkit.replay(tmp_path / "r.replay", mode="only"):
        played = await run(server, peer, [failure()], max_cost=1e-9)
    assert (played.text, played.stopped) == ("Sorry.", "done")
    assert played.steps["error"][1] == live.steps["error"][1]


async def test_parts_and_steps_come_while_it_runs(server, peer, ledger):
    peer.scripts[server.model] = [[server.answer("Let me add.", [ADD])], [server.answer("Three.")]]
    async with server.client(peer.url) as client:
        found = [event async for event in client.run_stream(QUESTION, [add])]
    kinds = [type(event).__name__ for event in found]
    assert kinds == ["Text", "ToolCall", "Step", "ToolResult", "Step", "Text", "Step", "Run"]
    assert "".join(event.text for event in found if isinstance(event, Text)) == "Let me add.Three."


async def test_a_fallback_takes_a_step(server, peer, ledger):
    other = SERVERS["messages" if server.model != "claude-haiku-5-5" else "gemini"]
    peer.scripts[server.model] = [[server.answer("", [ADD])], [failure()]]
    peer.scripts[other.model] = [[other.answer("Three.")]]
    async with other.client(peer.url) as second, server.client(peer.url) as first:
        first._fallbacks.append(second)
        done = await first.run(QUESTION, [add])
    assert (done.stopped, done.text) == ("done", "Three.")
    assert other.results(peer.bodies[-1]) == [("call_1", "3")]
    check_amounts(ledger, done)


async def test_calls_are_returned_where_nothing_is_to_run(server, peer, ledger):
    peer.scripts[server.model] = [[server.answer("", [ADD])]]
    async with server.client(peer.url) as client:
        stream = client.stream_text([LLMMessage("user", QUESTION)], tools=[add], tool_choice="required")
        assert [part async for part in stream.events()][-1].arguments == {"a": 1, "b": 2}
    assert ran == []


async def test_a_plain_function_runs_in_a_thread(peer, ledger):
    seen = []

    def add(a: int, b: int):
        seen.append(threading.current_thread())

    await run(
        SERVERS["chat"], peer, [SERVERS["chat"].answer("", [ADD]), SERVERS["chat"].answer("Done.")], [add]
    )
    assert seen[0] is not threading.main_thread()


class Adder:
    __name__ = "add"

    async def __call__(self, a: int, b: int):
        return a + b


async def own_timeout(a: int, b: int):
    raise TimeoutError("The database is slow.")


async def cancels(a: int, b: int):
    raise asyncio.CancelledError


async def exits(a: int, b: int):
    raise SystemExit(3)


def yields(a: int, b: int):
    yield a
    yield b


def returns_a_result(a: int, b: int):
    return ToolResult("another", "subtract", "3")


def returns_a_file(a: int, b: int):
    return llmkit.attach(b"a,b\n1,2\n", name="t.csv")


def returns_half_a_character(a: int, b: int):
    return "a\ud800b"


class Broken:
    def item(self):
        raise KeyError("no such item")


def returns_what_cannot_be_written(a: int, b: int):
    return Broken()


@pytest.mark.parametrize(
    ("function", "result"),
    [
        (Adder(), "3"),
        (lambda a, b: asyncio.sleep(0, a + b), "3"),
        (own_timeout, "TimeoutError: The database is slow."),
        (cancels, "RuntimeError: CancelledError"),
        (exits, "RuntimeError: SystemExit: 3"),
        (yields, "[1, 2]"),
        (returns_a_result, "3"),
        (returns_a_file, "a,b\n1,2\n"),
        (returns_half_a_character, "a?b"),
        (returns_what_cannot_be_written, "KeyError: 'no such item'"),
    ],
)
async def test_whatever_a_tool_is_or_does_the_model_gets_a_result(server, peer, ledger, function, result):
    tool = llmkit.tool(name="add")(function)
    done = await run(server, peer, [server.answer("", [ADD]), server.answer("Done.")], [tool])
    assert server.results(peer.bodies[1]) == [("call_1", result)]
    assert done.stopped == "done"


async def test_the_order_of_arguments_does_not_hide_a_repetition(peer, ledger):
    server = SERVERS["chat"]
    calls = ['{"a": 1, "b": 2}', '{"b": 2, "a": 1}', '{"a":1,"b":2}']
    done = await run(server, peer, [server.answer("", [("call_1", "add", raw)]) for raw in calls])
    assert done.stopped == "repeated"


async def test_a_choice_in_the_providers_form_holds_for_the_first_request(peer, ledger):
    server = SERVERS["chat"]
    choice = {"type": "function", "function": {"name": "add"}}
    answers = [server.answer("", [ADD]), server.answer("Three.")]
    await run(server, peer, answers, tool_choice=choice)
    assert [body["tool_choice"] for body in peer.bodies] == [choice, "auto"]


async def test_the_providers_own_tools_go_out_without_a_choice(server, peer, ledger):
    await run(server, peer, [server.answer("Found.")], [{"type": "web_search"}])
    assert "tool_choice" not in peer.bodies[0]
    assert peer.bodies[0]["tools"] == [{"type": "web_search"}]


@pytest.mark.parametrize("leave", ["early", "error"])
async def test_a_run_that_is_left_leaves_its_row_and_no_task(server, peer, ledger, leave):
    def fail(step):
        raise RuntimeError("A mistake in on_step.")

    before = asyncio.all_tasks()
    if leave == "error":
        with pytest.raises(RuntimeError, match="mistake"):
            await run(server, peer, [server.answer("", [ADD])], on_step=fail)
    else:
        peer.scripts[server.model] = [[server.answer("Let me add.", [ADD])]]
        async with server.client(peer.url) as client:
            stream = client.run_stream(QUESTION, [add])
            await anext(stream)
            await stream.aclose()
            assert len(ledger.df) == 1
    assert list(ledger.df["step"]) == [1]
    assert {task for task in asyncio.all_tasks() - before if "_serve" not in repr(task)} == set()


async def test_anthropic_goes_on_after_a_pause(peer, ledger):
    server = SERVERS["messages"]
    done = await run(server, peer, [server.answer("Looking.", finish="pause_turn"), server.answer("Found.")])
    assert (done.stopped, done.text, len(peer.bodies)) == ("done", "Found.", 2)


@pytest.mark.parametrize("options", [{"max_steps": 0}, {"max_cost": 0}, {"max_cost": -1}, {"on_step": 3}])
async def test_a_limit_that_is_none_is_refused(peer, options):
    with pytest.raises(InvalidRequestError):
        await run(SERVERS["chat"], peer, [], **options)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_a_hundred_loops_never_pass_their_price(peer, ledger):
    server, rng = SERVERS["chat"], random.Random(7)
    count = itertools.count()

    def answer(body):
        """Call a tool with everything that the request allows: the longest answer, and a long prompt."""
        number = next(count)
        spent = (len(json.dumps(body["messages"])) // 3, body.get("max_tokens", 400))
        raw = json.dumps({"a": number, "b": rng.randrange(100)})
        return [server.answer("Let me add.", [(f"call_{number}", "add", raw)], usage=spent)]

    peer.scripts[server.model] = [answer]
    async with server.client(peer.url) as client:
        for _ in range(100):
            limit, cap = rng.randrange(20, 400), rng.uniform(1e-5, 2e-3)
            done = await client.run(QUESTION, [add], max_cost=cap, max_tokens=limit, max_steps=50)
            assert done.stopped in {"max_cost", "max_steps"}
            assert done.cost <= cap
            check_amounts(ledger, done)
