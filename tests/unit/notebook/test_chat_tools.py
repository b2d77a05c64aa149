"""A chat with tools: what is run, asked, shown, kept and sent back."""

from __future__ import annotations

import asyncio
import copy
import itertools
import pickle
import threading
import time

import pytest

import llmkit
from llmkit import BudgetExceededError, Chat, InvalidRequestError
from llmkit.core.bridge import bridge
from llmkit.notebook.chat.runner import ChatRunner, ChatSettings
from llmkit.notebook.session import Session
from llmkit.notebook.tools.names import given_tools
from tests.support.peer import SILENCE, events, opening
from tests.support.shells import opened
from tests.support.tool_peer import CHAT, MODEL, script, serving
from tests.support.tool_servers import SERVERS
from tests.unit.notebook.test_chat import Views

LOAD = ("call_1", "load_sales", '{"year": 2026}')
DELETE = ("call_1", "delete", '{"path": "a.csv"}')
HOSTILE = "<img src=x onerror=alert(1)>\u202e"


@pytest.fixture(scope="module")
def server():
    with serving() as made:
        yield made


@pytest.fixture
def peer(server, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "k" * 20)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    return server


class Front:
    """A chat with tools and one view, driven as a front end does it."""

    def __init__(self, *tools, **settings):
        self.views, self.ran = Views(), []
        self.session = Session()
        settings = ChatSettings(model=MODEL, tools=given_tools([*self._tools(), *tools]), **settings)
        self.runner = ChatRunner(settings, self.session, self.views.publish, lambda: None)
        self.send("hello", view="v")

    def _tools(self):
        def load_sales(year: int) -> list[int]:
            "Load the sales of a year."
            self.ran.append(year)
            return [1, 2, 3]

        @llmkit.tool(approve="always")
        def delete(path: str) -> str:
            "Delete a file."
            self.ran.append(path)
            return "deleted"

        return load_sales, delete

    def send(self, kind, **fields):
        bridge.loop().call_soon_threadsafe(self.runner.receive, {"type": kind, "view": "v", **fields}, ())

    def question(self):
        return self.views.wait("message", lambda m: m["message"]["question"])["message"]["question"]

    def answer(self, word, question=None):
        asked = self.question() if question is None else question
        self.send("allow", question=asked["name"], answer=word)

    def end(self):
        return self.views.wait("message", lambda m: m["message"]["state"] not in {"open", ""})["message"]


def test_steps_are_shown_like_a_cells_and_priced_together(peer, recorder):
    script(peer, CHAT.answer("I load them.", [LOAD]), CHAT.answer("There are **3**."))
    front = Front()
    front.send("ask", text="How many?")
    inserted = front.views.wait("grow", lambda m: "load_sales" in m["sealed"])
    assert "load_sales(year=2026) → [1, 2, 3]" in inserted["sealed"]
    end = front.end()
    assert end["text"] == "There are **3**."
    assert (
        end["sealed"].index("I load them.")
        < end["sealed"].index("load_sales")
        < end["sealed"].index("<strong>3")
    )
    assert end["facts"][1:4] == ["2 requests", "1 tool call", "40→20 tok"]
    assert [(row.surface, row.step) for row in recorder.records] == [("chat", 1), ("chat", 2)]
    assert front.ran == [2026]


def test_a_question_shows_exactly_what_will_run_and_a_button_lets_it(peer):
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("Done."))
    front = Front()
    front.send("ask", text="Clean up.")
    asked = front.question()
    assert (asked["title"], asked["code"]) == ("The model wants to run delete.", '{"path": "a.csv"}')
    assert front.ran == []
    front.answer("allow", asked)
    assert front.end()["text"] == "Done."
    assert front.ran == ["a.csv"]
    assert front.runner.talk.branch[-1].run.trace[1].approved is True


@pytest.mark.parametrize("word", ["deny", "", "yes", None, True])
def test_any_other_answer_denies(peer, word):
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("All right."))
    front = Front()
    front.send("ask", text="Clean up.")
    front.answer(word)
    assert "not allowed" in front.end()["sealed"]
    assert front.ran == []
    assert "did not allow" in peer.bodies[1]["messages"][-1]["content"]


def test_an_answer_to_another_question_allows_nothing(peer):
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("All right."))
    front = Front()
    front.send("ask", text="Clean up.")
    asked = front.question()
    front.send("allow", question="other", answer="allow")
    front.send("allow", answer="allow")
    front.answer("deny", asked)
    front.end()
    assert front.ran == []


def test_always_covers_that_tool_in_the_session_and_not_one_that_needs_a_person(peer):
    @llmkit.tool(name="python")
    def python(code: str) -> str:
        "Run code."
        return code

    object.__setattr__(python, "approve", "person")
    code = ("call_1", "python", '{"code": "1"}')
    both = [CHAT.answer("", [DELETE, code]), CHAT.answer("Done.")]
    script(peer, *both)
    front = Front(python)
    front.send("ask", text="Clean up.")
    asked = front.question()
    assert asked["lasts"]
    front.answer("always", asked)
    second = front.views.wait(
        "message", lambda m: m["message"]["question"] and m["message"]["question"]["name"] != asked["name"]
    )["message"]["question"]
    assert (second["lasts"], second["code"]) == (False, "1")
    front.answer("always", second)  # no such button there: a denial
    front.end()
    script(peer, *both)
    front.send("ask", text="Again.")
    front.answer("allow", front.question())  # the first one is that of python
    front.end()
    assert front.ran == ["a.csv", "a.csv"]
    assert [step.approved for step in front.runner.talk.branch[-1].run.trace] == [None, True, True, None]


@pytest.mark.parametrize("how", ["gone", "closed", "time"])
def test_a_question_that_nobody_can_answer_is_a_denial(peer, how):
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("All right."))
    front = Front(patience=0.2 if how == "time" else 600)
    front.send("ask", text="Clean up.")
    front.question()
    if how == "gone":
        front.send("gone")
    elif how == "closed":
        front.send("closed", view=None)
    assert "not allowed" in front.end()["sealed"]
    assert front.ran == []


def test_a_second_view_keeps_the_question_open(peer):
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("Done."))
    front = Front()
    front.send("hello", view="w")
    front.send("ask", text="Clean up.")
    asked = front.question()
    front.send("gone")
    front.send("hello", view="x")  # a page that was loaded anew sees it, too
    shown = front.views.wait("branch", lambda m: m["view"] == "x")["messages"][-1]
    assert shown["question"] == asked
    front.answer("allow", asked)
    front.end()
    assert front.ran == ["a.csv"]


def test_stop_denies_a_question_and_ends_the_answer(peer):
    script(peer, CHAT.answer("I delete.", [DELETE, LOAD]))
    front = Front()
    front.send("ask", text="Clean up.")
    front.question()
    front.send("stop")
    end = front.end()
    assert (end["state"], end["text"], end["question"]) == ("cancelled", "I delete.", None)
    assert front.ran == []
    assert len(peer.bodies) == 1


def test_stop_ends_a_loop_inside_a_tool_and_keeps_it(peer):
    begun, release = threading.Event(), threading.Event()

    def wait() -> str:
        "Wait."
        begun.set()
        release.wait(60)
        return "late"

    script(peer, CHAT.answer("I wait.", [("c", "wait", "{}"), LOAD]), CHAT.answer("Sorry."))
    front = Front(wait)
    front.send("ask", text="Wait.")
    assert begun.wait(60)
    front.send("stop")
    end = front.end()
    release.set()
    assert (end["state"], end["text"]) == ("cancelled", "I wait.")
    assert "The user interrupted" in end["sealed"]
    assert "interrupted in a tool" in end["warning"]
    assert front.ran == []
    front.send("ask", text="And?")
    assert front.end()["text"] == "Sorry."
    said = peer.bodies[1]["messages"]
    assert [one["role"] for one in said] == ["user", "assistant", "tool", "tool", "user"]
    assert "interrupted" in said[2]["content"]


async def test_stop_cancels_a_tool_that_can_be_awaited(peer):
    begun, ended = threading.Event(), threading.Event()

    async def wait() -> str:
        "Wait."
        begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()

    script(peer, CHAT.answer("", [("c", "wait", "{}")]))
    front = Front(wait)
    front.send("ask", text="Wait.")
    assert begun.wait(60)
    front.send("stop")
    assert front.end()["state"] == "cancelled"
    assert ended.wait(60)


def test_stop_in_a_request_keeps_the_steps_before_it(peer):
    script(peer, CHAT.answer("I load.", [LOAD]), [opening(), SILENCE], CHAT.answer("Three."))
    front = Front()
    front.send("ask", text="How many?")
    front.views.wait("grow", lambda m: "load_sales" in m["sealed"])
    deadline = time.monotonic() + 60
    while len(peer.bodies) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    front.send("stop")
    end = front.end()
    assert end["state"] == "cancelled"
    assert "load_sales(year=2026)" in end["sealed"]
    front.send("ask", text="Go on.")
    assert front.end()["text"] == "Three."
    assert [one["role"] for one in peer.bodies[2]["messages"]] == ["user", "assistant", "tool", "user"]


def test_a_budget_is_a_wall_for_all_requests_of_an_answer(peer):
    script(peer, CHAT.answer("Loading.", [LOAD]), CHAT.answer("Three."))
    front = Front(budget=0.0000001)
    front.send("ask", text="How many?")
    assert "may cost more" in front.end()["error"]
    assert peer.bodies == []
    with pytest.raises(BudgetExceededError, match="nothing was sent"):
        Chat(MODEL, tools=front._tools(), max_cost=0.0000001).ask("How many?")


def test_simulated_answers_use_no_budget(monkeypatch):
    monkeypatch.setenv("LLMKIT_SANDBOX", "1")
    assert Chat("sandbox", tools=Front()._tools(), budget=0.01).ask("repeat exactly: yes").text == "yes"


def test_a_run_that_reaches_its_limit_says_so_and_can_go_on(peer):
    script(peer, CHAT.answer("Loading.", [LOAD]), CHAT.answer("Three."))
    chat = Chat(MODEL, tools=Front()._tools(), max_steps=1)
    reply = chat.ask("How many?")
    assert (reply.text, reply.run.stopped) == ("Loading.", "max_steps")
    assert "stopped at max steps" in str(chat._saved()["text/html"])
    assert chat.ask("And?").text == "Three."
    assert [one["role"] for one in peer.bodies[1]["messages"]] == ["user", "assistant", "tool", "user"]


def test_tools_run_on_the_thread_that_asks(peer):
    threads = []

    def where() -> str:
        "Say where."
        threads.append(threading.current_thread())
        return "here"

    script(peer, CHAT.answer("", [("c", "where", "{}")]), CHAT.answer("Here."))
    assert Chat(MODEL, tools=where).ask("Where?").text == "Here."
    assert threads == [threading.current_thread()]


async def test_aask_does_not_block_the_loop_while_a_tool_runs(peer):
    release = threading.Event()

    def wait() -> str:
        "Wait."
        assert release.wait(60)
        return "done"

    async def let_go():
        release.set()

    script(peer, CHAT.answer("", [("c", "wait", "{}")]), CHAT.answer("Done."))
    answer, _ = await asyncio.gather(Chat(MODEL, tools=[wait]).aask("Wait."), let_go())
    assert answer.text == "Done."


def test_an_interrupt_in_a_tool_raises_stopped_and_the_answer_is_kept(peer):
    def stop() -> str:
        "Stop."
        raise KeyboardInterrupt

    script(peer, CHAT.answer("I stop.", [("c", "stop", "{}")]))
    chat = Chat(MODEL, tools=[stop])
    with pytest.raises(KeyboardInterrupt) as stopped:
        chat.ask("Stop.")
    assert stopped.value.reply.run.stopped == "interrupted"
    assert chat.messages[-1].parts[0].is_error


def test_export_and_saved_copy_have_the_steps_as_text(peer, tmp_path):
    name = "<b>x</b>"
    script(peer, CHAT.answer("", [("c", "load_sales", f'{{"year": "{HOSTILE}"}}'), ("d", name, "{}")]))
    script(
        peer,
        CHAT.answer("", [("c", "load_sales", '{"year": "<img src=x onerror=alert(1)>"}'), ("d", name, "{}")]),
        CHAT.answer("Three."),
    )
    chat = Chat(MODEL, tools=Front()._tools())
    chat.ask("How many?")
    saved = chat._saved()
    page = chat.export(tmp_path / "c.html").read_text()
    text = chat.export(tmp_path / "c.md").read_text()
    for html in (saved["text/html"], page):
        assert "&lt;img src=x onerror" in html
        assert "<img src=x" not in html
        assert "<b>" not in html
    assert "▸" in text
    assert "<img" not in text
    assert list(chat.df["role"]) == ["user", "assistant"]


def test_two_tools_of_one_name_and_wrong_limits_are_refused():
    load_sales, _ = Front()._tools()
    with pytest.raises(InvalidRequestError, match="Two tools"):
        Chat("sandbox", tools=[load_sales, load_sales])
    with pytest.raises(InvalidRequestError, match="max_steps"):
        Chat("sandbox", tools=[load_sales], max_steps=0)


def said(body):
    """The conversation in a request, in whatever protocol."""
    return next(body[name] for name in ("messages", "input", "contents") if name in body)


@pytest.fixture(params=SERVERS)
def protocol(request, server):
    """A server of one protocol, with a client that `llmkit.client` knows."""
    kind, name = SERVERS[request.param], f"{request.param}-in-chat-{server.url[-5:]}"
    llmkit.register(name, lambda **_: kind.client(server.url))
    server.asked.clear()
    server.bodies.clear()
    return kind, f"{name}:{kind.model}"


def test_a_thread_goes_from_cell_to_chat_and_back_with_its_steps(server, protocol):
    kind, model = protocol
    once = [kind.answer("I load.", [LOAD]), kind.answer("Three.")]
    server.scripts = {kind.model: [[one] for one in [*once, *once, *once, kind.answer("Sure.")]]}
    with opened() as shell:
        shell.shell.user_ns["load_sales"] = Front()._tools()[0]
        shell.do(f"%%llm {model} -x load_sales -t sales\nHow many?")
        shell.do(f"%llm model {model}")
        chat = shell.do("chat = %llm chat -x load_sales sales\nchat").value
        assert chat.ask("Really?").text == "Three."
        shell.do(f"%%llm {model} -x load_sales -t sales\nReally, really?")
        assert chat.ask("Sure?").text == "Sure."
    assert len(server.bodies) == 7
    assert [content for _, content in kind.results(server.bodies[-1])] == ["[1, 2, 3]"] * 3
    for before, after in itertools.pairwise(server.bodies):  # nothing is said otherwise later on
        assert said(after)[: len(said(before))] == said(before)


def test_what_the_provider_needs_back_comes_back_from_the_chat(server):
    kind = SERVERS["gemini"]
    llmkit.register("signed-in-chat", lambda **_: kind.client(server.url))
    _, _, body = kind.answer("I load.", [LOAD]).partition(b"\r\n\r\n")
    signed = events(body.replace(b'"functionCall"', b'"thoughtSignature": "c2ln", "functionCall"'))
    server.asked.clear()
    server.bodies.clear()
    server.scripts = {kind.model: [[signed], [kind.answer("Three.")], [kind.answer("Sure.")]]}
    chat = Chat("signed-in-chat", tools=Front()._tools())
    chat.ask("How many?")
    chat.ask("Sure?")
    assert "c2ln" in str(server.bodies[2])


def test_a_copy_keeps_the_steps_and_the_tools_and_a_pickle_the_steps(peer):
    script(
        peer, CHAT.answer("", [LOAD]), CHAT.answer("Three."), CHAT.answer("", [LOAD]), CHAT.answer("Four.")
    )
    chat = Chat(MODEL, tools=Front()._tools())
    chat.ask("How many?")
    assert pickle.loads(pickle.dumps(chat)).messages == chat.messages
    assert copy.copy(chat).ask("Now?").run.stopped == "done"
    assert [one["role"] for one in peer.bodies[2]["messages"]] == [
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert len(chat.df) == 2
