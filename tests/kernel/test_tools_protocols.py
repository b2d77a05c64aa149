"""`-x` in cells of a real kernel, in four wire formats: forms, replay, fallback, bad input."""

from __future__ import annotations

import json

import pytest

from tests.support.kernels import Kernel
from tests.support.tool_peer import serving
from tests.support.tool_servers import SERVERS, failure

pytestmark = [pytest.mark.kernel, pytest.mark.full]

SETUP = """
import llmkit
from dataclasses import dataclass
%load_ext llmkit
ran = []
def add(a: int, b: int) -> int:
    "Add two numbers."
    ran.append((a, b))
    return a + b
@dataclass
class Total:
    total: int
"""
ADD = ("call_1", "add", '{"a": 1, "b": 2}')
MODELS = {
    "chat": "openai:gpt-4o-mini --api chat",
    "responses": "openai:gpt-4o-mini --api responses",
    "messages": "anthropic:claude-haiku-5-5",
    "gemini": "google:gemini-2.5-flash",
}


@pytest.fixture(scope="module")
def peer():
    with serving() as made:
        yield made


@pytest.fixture(scope="module")
def kernel(peer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tools")
    made = Kernel(
        folder,
        OPENAI_API_KEY="k" * 20,
        OPENAI_BASE_URL=f"{peer.url}/v1",
        ANTHROPIC_API_KEY="k" * 20,
        ANTHROPIC_BASE_URL=peer.url,
        GOOGLE_API_KEY="k" * 20,
        GOOGLE_GEMINI_BASE_URL=peer.url,
        LLMKIT_LEDGER=str(folder / "ledger.sqlite"),
    )
    assert made.run(SETUP).status == "ok"
    yield made
    made.close()


@pytest.fixture(autouse=True)
def fresh(kernel, peer):
    kernel.run("ran.clear()")
    for kept in (peer.asked, peer.bodies, peer.scripts):
        kept.clear()


@pytest.fixture(params=SERVERS)
def name(request):
    return request.param


@pytest.fixture(params=["answer", "whole"], ids=["streamed", "whole"])
def written(request, name):
    return getattr(SERVERS[name], request.param)


def script(peer, name, *answers):
    peer.asked.pop(SERVERS[name].model, None)
    peer.scripts[SERVERS[name].model] = [[one] for one in answers]


def value(kernel, code):
    return kernel.run(f"print({code})").text.strip()


def test_a_call_and_an_answer(kernel, peer, name, written):
    script(peer, name, written("Let me add.", [ADD]), written("It is **3**."))
    result = kernel.run(f"%%llm {MODELS[name]} -x add -o out\nWhat is 1 + 2?")
    html = result.data("text/html")[-1]
    assert html.index("Let me add.") < html.index("add(a=1, b=2) → 3") < html.index("<strong>3</strong>")
    assert "2 requests · 1 tool call · 40→20 tok" in html
    assert SERVERS[name].results(peer.bodies[1]) == [("call_1", "3")]
    assert value(kernel, "ran, out.text, out.run.stopped") == "[(1, 2)] It is **3**. done"


def test_json_and_a_class_are_read_from_the_last_answer(kernel, peer, name, written):
    script(peer, name, written("I add {it}.", [ADD]), written('{"total": 3}'))
    kernel.run(f"%%llm {MODELS[name]} -x add -f json -o out\nWhat is 1 + 2?")
    assert value(kernel, "out.json(), ran") == "{'total': 3} [(1, 2)]"
    script(peer, name, written("", [ADD]), written('{"total": 3}'))
    kernel.run(f"%%llm {MODELS[name]} -x add -f json --schema Total -o out\nWhat is 1 + 2?")
    assert value(kernel, "out.value") == "Total(total=3)"


def test_an_answer_in_another_form_is_asked_for_once_more(kernel, peer, name):
    answer = SERVERS[name].answer
    script(peer, name, answer("", [ADD]), answer("It is three."), answer('{"total": 3}'))
    result = kernel.run(f"%%llm {MODELS[name]} -x add -f json --schema Total -o out\nWhat is 1 + 2?")
    html = result.data("text/html")[-1]
    assert "add(a=1, b=2) → 3" in html
    assert "3 requests · 1 tool call · 60→30 tok" in html
    assert value(kernel, "out.value, ran, list(out.run.steps.kind)") == (
        "Total(total=3) [(1, 2)] ['model', 'tool', 'model', 'model']"
    )
    assert "It is three." in json.dumps(peer.bodies[2])
    assert SERVERS[name].results(peer.bodies[2]) == [("call_1", "3")]
    rows = "llmkit.ledger.df[llmkit.ledger.df.parent_uid == out.run.uid]"
    assert value(kernel, f"{rows}.step.tolist(), abs(sum({rows}.cost_usd) - out.cost) < 1e-12") == (
        "[1, 2, 3] True"
    )


def test_what_is_recorded_plays_back_for_nothing(kernel, peer, name, written):
    script(peer, name, written("Let me add.", [ADD]), written("It is **3**."))
    cell = f"%%llm {MODELS[name]} -x add -o out\nWhat is 1 + 2?"
    kernel.run(f"%llm replay r-{name}-{written.__name__}.replay")
    kernel.run(cell)
    script(peer, name, failure())
    html = kernel.run(cell).data("text/html")[-1]
    kernel.run("%llm replay off")
    assert html.index("Let me add.") < html.index("add(a=1, b=2) → 3") < html.index("<strong>3</strong>")
    assert "replayed" in html
    assert value(kernel, "ran, out.text, out.cost, len(out.run.steps)") == "[(1, 2)] It is **3**. 0.0 3"
    assert len(peer.bodies) == 2


def test_a_fallback_takes_a_step(kernel, peer, name):
    other = "messages" if name != "messages" else "gemini"
    script(peer, name, SERVERS[name].answer("", [ADD]), failure(404))
    script(peer, other, SERVERS[other].answer("It is **3**."))
    kernel.run(f"%config LLMMagics.fallback = [{MODELS[other].split()[0]!r}]")
    result = kernel.run(f"%%llm {MODELS[name]} -x add -o out\nWhat is 1 + 2?")
    kernel.run("%config LLMMagics.fallback = []")
    assert "add(a=1, b=2) → 3" in result.data("text/html")[-1]
    assert value(kernel, "ran, out.text, out.run.stopped") == "[(1, 2)] It is **3**. done"


def test_a_run_that_was_stopped_at_a_limit_is_not_asked_again(kernel, peer, name):
    calls = [(f"call_{n}", "add", f'{{"a": {n}, "b": 2}}') for n in range(2)]
    script(peer, name, *(SERVERS[name].answer("I add.", [call]) for call in calls))
    result = kernel.run(f"%%llm {MODELS[name]} -x add --max-steps 2 -f json -o out\nWhat is 1 + 2?")
    assert result.reply["ename"] == "BadResponseError"
    assert "stopped at max steps" in result.data("text/html")[-1]
    assert value(kernel, "out.run.stopped, len(out.run.steps), ran") == "max_steps 4 [(0, 2), (1, 2)]"
    assert len(peer.bodies) == 2


def test_a_thread_asks_for_a_cache_once_its_prompt_comes_again(kernel, peer):
    script(peer, "messages", *(SERVERS["messages"].answer("Yes.") for _ in range(3)))
    for options in ("-t talk", "-t talk", "-t talk --cache off"):
        kernel.run(f"%%llm anthropic:claude-haiku-5-5 {options}\nSure?")
    assert ["cache_control" in body for body in peer.bodies] == [False, True, False]


def test_a_repair_asks_for_no_cache_because_it_does_not_come_again(kernel, peer):
    script(peer, "messages", SERVERS["messages"].answer("Three."), SERVERS["messages"].answer("3"))
    kernel.run("%%llm anthropic:claude-haiku-5-5 -f json\nWhat is 1 + 2?")
    assert ["cache_control" in body for body in peer.bodies] == [False, False]


def test_a_response_as_the_value_of_a_cell_is_rendered(kernel, peer):
    script(peer, "chat", SERVERS["chat"].whole("It is **3**."))
    code = "await llmkit.client('openai:gpt-4o-mini').generate_text('What is 1 + 2?')"
    result = kernel.run(code)
    assert "<strong>3</strong>" in result.data("text/html")[-1]
    assert result.data("text/plain")[-1].startswith("<LLMResponse openai:gpt-4o-mini")
