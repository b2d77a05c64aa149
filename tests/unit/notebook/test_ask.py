"""`llmkit.ask` and `llmkit.run`: one line of Python, without `await`, on the thread that calls."""

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TypedDict

import pytest
from pydantic import BaseModel, field_validator

import llmkit
from llmkit import BadResponseError, InvalidRequestError, LLMClientError, LLMMessage
from llmkit.core.bridge import bridge
from llmkit.notebook.reply import Reply
from tests.support import shells
from tests.support.peer import SILENCE, Peer
from tests.support.tool_servers import SERVERS, failure

SERVER = SERVERS["chat"]
ADD = ("call_1", "add", '{"a": 1, "b": 2}')


@pytest.fixture
def peer():
    made = Peer()
    bridge.run(made.__aenter__())
    yield made
    bridge.run(made.__aexit__(None, None, None))


@pytest.fixture
def client(peer):
    made = SERVER.client(peer.url)
    yield made
    bridge.run(made.close())


def script(peer, *answers):
    peer.scripts[SERVER.model] = [[one] for one in answers]


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_one_line_of_python_asks():
    reply = llmkit.ask("repeat exactly: Rhine", "sandbox")
    assert isinstance(reply, Reply)
    assert (reply.text, reply.value, reply.complete) == ("Rhine", "Rhine", True)
    assert reply.cost == reply.response.cost_estimate > 0
    assert "simulated" in str(reply.footer)


def test_the_default_model_is_that_of_the_notebook():
    with shells.opened() as shell:
        shell.do("%llm model sandbox:sandbox-mini")
        ran = shell.do("import llmkit\nllmkit.ask('repeat exactly: Rhine').response.model")
    assert ran.value == "sandbox-mini"


def test_the_default_model_of_the_notebook_is_that_of_tables_batches_and_clients_too():
    with shells.opened() as shell:
        shell.do("%llm model sandbox:sandbox-mini")
        shell.do("import pandas, llmkit")
        shell.do("frame = pandas.DataFrame({'a': ['x']}).llm.map('say {{a}}', meta=True, progress=False)")
        shell.do("(answer,) = await llmkit.batch(['Name a river.'], progress=False)")
        assert shell["frame"]["llm_model"].tolist() == ["sandbox-mini"]
        assert shell["answer"].model == "sandbox-mini"
        assert shell.do("llmkit.client().model").value == "sandbox-mini"
        shell.do("%config LLMMagics.model = 'sandbox:sandbox-large,sandbox'")
        assert shell.do("llmkit.client().model").value == "sandbox-large"
    assert llmkit.client().model != "sandbox-large"


async def test_aask_asks_on_the_running_loop():
    assert (await llmkit.aask("repeat exactly: Rhine", "sandbox")).text == "Rhine"


async def test_ask_works_while_a_loop_runs_on_this_thread():
    assert llmkit.ask("repeat exactly: Rhine", "sandbox").text == "Rhine"


class River(BaseModel):
    name: str
    km: int


@dataclass
class Hill:
    name: str
    km: int


class Town(TypedDict):
    name: str
    km: int


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (River, River(name="Elbe", km=1094)),
        (Hill, Hill("Elbe", 1094)),
        (Town, {"name": "Elbe", "km": 1094}),
        (list[Hill], [Hill("Elbe", 1094)]),
        ({"type": "object", "properties": {"km": {"type": "integer"}}}, {"name": "Elbe", "km": 1094}),
        ("json", {"name": "Elbe", "km": 1094}),
    ],
)
def test_the_value_is_what_the_schema_asks_for(peer, client, schema, value):
    document = {"name": "Elbe", "km": 1094}
    text = json.dumps([document] if isinstance(value, list) else document)
    script(peer, SERVER.answer(f"Here it is: {text}"))
    reply = llmkit.ask("A river.", client, schema=schema)
    assert reply.value == reply.response.value == value
    assert type(reply.value) is type(value)
    assert reply.json() == json.loads(text)


async def test_a_response_reads_the_value_that_its_call_asked_for():
    response = await llmkit.client("sandbox").generate_text("A river.", schema=River)
    assert isinstance(response.value, River)
    plain = await llmkit.client("sandbox").generate_text("repeat exactly: Rhine")
    assert plain.value == "Rhine"


class Long(BaseModel):
    km: int

    @field_validator("km")
    @classmethod
    def _long(cls, km):
        if km < 1000:
            raise ValueError("a long river has 1000 km")
        return km


@pytest.mark.parametrize(
    ("first", "problem"),
    [
        ('{"km": "many"}', "is not of type 'integer'"),
        ('{"km": 7}', "a long river has 1000 km"),
        ("Elbe", "not JSON"),
    ],
)
def test_an_answer_that_does_not_fit_is_asked_for_once_more(peer, client, first, problem):
    script(peer, SERVER.answer(first), SERVER.answer('{"km": 1094}'))
    assert llmkit.ask("A river.", client, schema=Long).value == Long(km=1094)
    *_, said, again = peer.bodies[1]["messages"]
    assert (said["role"], said["content"]) == ("assistant", first)
    assert problem in again["content"]


def test_it_is_asked_for_only_once_more(peer, client):
    script(peer, SERVER.answer('{"km": 7}'))
    with pytest.raises(BadResponseError, match="a long river has 1000 km") as caught:
        llmkit.ask("A river.", client, schema=Long)
    assert (len(peer.bodies), caught.value.partial) == (2, '{"km": 7}')


def test_a_system_prompt_and_a_file_go_along(peer, client, tmp_path):
    (tmp_path / "notes.txt").write_text("The Elbe has 1094 km.")
    script(peer, SERVER.answer("1094"))
    llmkit.ask("How long?", client, system="Be brief.", attach=tmp_path / "notes.txt", max_tokens=50)
    system, question = peer.bodies[0]["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    assert "1094 km" in str(question["content"])
    assert peer.bodies[0]["max_tokens"] == 50


def test_what_cannot_be_asked_is_refused(tmp_path):
    with pytest.raises(InvalidRequestError, match="question is empty"):
        llmkit.ask(" ", "sandbox")
    with pytest.raises(InvalidRequestError, match="attach goes with a question"):
        llmkit.ask([LLMMessage("user", "Hi")], "sandbox", attach=tmp_path)


def test_tools_run_on_the_calling_thread(peer, client):
    threads, steps = [], []

    def add(a: int, b: int):
        threads.append(threading.current_thread())
        return a + b

    script(peer, SERVER.answer("", [ADD]), SERVER.answer("Three."))
    done = llmkit.run("What is 1 + 2?", client, tools=[add], on_step=steps.append, system="Be brief.")
    assert (done.stopped, done.text) == ("done", "Three.")
    assert threads == [threading.main_thread()]
    assert [step.name for step in steps] == [SERVER.model, "add", SERVER.model]
    assert SERVER.results(peer.bodies[1]) == [("call_1", "3")]


def test_ask_runs_tools_and_types_what_comes_in_the_end(peer, client):
    script(peer, SERVER.answer("", [ADD]), SERVER.answer("Elbe"), SERVER.answer('{"name": "Elbe", "km": 3}'))
    reply = llmkit.ask("A river.", client, tools=[add], schema=River, max_steps=3)
    assert reply.value == River(name="Elbe", km=3)
    assert [step.kind for step in reply.run.trace] == ["model", "tool", "model", "model"]
    assert [one["role"] for one in peer.bodies[2]["messages"]][-4:] == [
        "assistant", "tool", "assistant", "user",
    ]  # fmt: skip


async def test_aask_runs_tools_too():
    async with Peer() as peer, SERVER.client(peer.url) as client:
        script(peer, SERVER.answer("", [ADD]), SERVER.answer("Three."))
        reply = await llmkit.aask("What is 1 + 2?", client, tools=[add], on_step=print)
    assert (reply.text, reply.run.stopped) == ("Three.", "done")


async def test_an_async_tool_runs_while_the_caller_waits(peer, client):
    async def add(a: int, b: int):
        return a + b

    script(peer, SERVER.answer("", [ADD]), SERVER.answer("Three."))
    assert llmkit.run("What is 1 + 2?", client, tools=[add]).text == "Three."
    assert SERVER.results(peer.bodies[1]) == [("call_1", "3")]


def test_an_awaitable_of_a_plain_function_is_waited_for(peer, client):
    script(peer, SERVER.answer("", [ADD]), SERVER.answer("Three."))
    tool = llmkit.tool(name="add")(lambda a, b: asyncio.sleep(0, a + b))
    llmkit.run("What is 1 + 2?", client, tools=[tool])
    assert SERVER.results(peer.bodies[1]) == [("call_1", "3")]


@pytest.mark.timeout(240, method="thread")  # the other method uses the same signal
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no SIGALRM")
def test_a_slow_tool_is_stopped_in_the_main_thread(peer, client):
    @llmkit.tool(timeout=0.1)
    def add(a: int, b: int):
        time.sleep(90)

    script(peer, SERVER.answer("", [ADD]), SERVER.answer("Sorry."))
    begun = time.monotonic()
    assert llmkit.run("What is 1 + 2?", client, tools=[add]).text == "Sorry."
    assert time.monotonic() - begun < 60
    assert "more than 0.1 s" in SERVER.results(peer.bodies[1])[0][1]


def test_an_interrupt_inside_a_tool_ends_the_run(peer, client):
    def add(a: int, b: int):
        signal.raise_signal(signal.SIGINT)

    script(peer, SERVER.answer("Let me see.", [ADD]))
    done = llmkit.run("What is 1 + 2?", client, tools=[add])
    assert (done.stopped, done.text, len(peer.bodies)) == ("interrupted", "Let me see.", 1)


def test_an_interrupt_during_a_request_cancels_it(peer, client):
    script(peer, SERVER.answer("Let me see.", [ADD]), SILENCE)
    sent = []

    def add(a: int, b: int):
        threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
        sent.append((a, b))

    with pytest.raises(KeyboardInterrupt) as caught:
        llmkit.run("What is 1 + 2?", client, tools=[add])
    assert (caught.value.run.stopped, caught.value.run.text) == ("interrupted", "Let me see.")
    assert (len(peer.bodies), sent) == (2, [(1, 2)])


def test_an_error_carries_the_run_so_far(peer, client):
    script(peer, SERVER.answer("", [ADD]), failure())
    with pytest.raises(LLMClientError) as caught:
        llmkit.run("What is 1 + 2?", client, tools=[add])
    assert [step.kind for step in caught.value.run.trace] == ["model", "tool", "model"]
    assert caught.value.run.stopped == "error"


class Terminal:
    def isatty(self):
        return True


@pytest.mark.parametrize(("answer", "result"), [("y", "3"), ("", "The user did not allow this call.")])
def test_a_question_is_asked_in_the_terminal(peer, client, monkeypatch, answer, result):
    shown = []
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", lambda prompt: shown.append(prompt) or answer)
    script(peer, SERVER.answer("", [ADD]), SERVER.answer("Well."))
    llmkit.run("What is 1 + 2?", client, tools=[llmkit.tool(approve="always")(add)])
    assert SERVER.results(peer.bodies[1]) == [("call_1", result)]
    assert "add" in shown[0]
    assert '"b": 2' in shown[0]


SCRIPT = """
import llmkit, sys

def add(a: int, b: int) -> int:
    return a + b

print(llmkit.ask("repeat exactly: Rhine", "sandbox"))
llmkit.run("repeat exactly: Elbe", "sandbox", tools=[add])
print([name for name in ("IPython", "ipywidgets", "pandas") if name in sys.modules])
"""


def test_a_plain_script_needs_no_ipython():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["Rhine", "[]"]
