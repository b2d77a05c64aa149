"""`llmkit.Chat` from Python: what is asked, kept, paid and refused, and what the views are told."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest

import llmkit
from llmkit import (
    BudgetExceededError,
    Chat,
    ConfigurationError,
    LLMResponse,
    RateLimitError,
    StreamInterruptedError,
    attach,
    sandbox,
)
from llmkit.core.bridge import bridge
from llmkit.notebook.chat.conversation import Conversation
from llmkit.notebook.chat.header import shown_cost
from llmkit.notebook.chat.runner import ChatRunner, ChatSettings
from llmkit.notebook.chat.text import message_form, saved_html
from llmkit.notebook.model_list import context_window, model_menu
from llmkit.notebook.session import Session

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\n\n[a](javascript:alert(1)) ![i](http://x.invalid/y.png)"
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000000000500017a5eab3f0000000049454e44ae426082"
)


ADDRESS = {}


class Broken(llmkit.BaseLLMClient):
    """Another package's client, which raises what it likes."""

    def __init__(self):
        super().__init__("broken-in-chat")

    async def generate_text(self, messages, **kwargs):
        raise LookupError("no")

    async def stream_text(self, messages, **kwargs):
        yield "some text"
        raise LookupError("no")

    async def close(self):
        pass


llmkit.register("broken-in-chat", Broken)
llmkit.register("paid-in-chat", lambda **_: llmkit.OpenAIClient("any", base_url=ADDRESS["paid"]))


class Views:
    """Takes what a session publishes, and waits for some of it."""

    def __init__(self):
        self.messages = []
        self._new = threading.Condition()

    def publish(self, message, buffers):
        with self._new:
            self.messages.append((message, buffers))
            self._new.notify_all()

    def wait(self, kind, condition=lambda message: True, seconds=20):
        """Return the first message of a kind that has not been waited for."""

        def found():
            return next((m for m, _ in self.messages if m["type"] == kind and condition(m)), None)

        with self._new:
            assert self._new.wait_for(found, seconds), f"no {kind} in {[m['type'] for m, _ in self.messages]}"
            message = found()
            del self.messages[: [m for m, _ in self.messages].index(message) + 1]
            return message


class Front:
    """A session with a view, driven as a front end does it."""

    def __init__(self, **settings):
        self.views = Views()
        self.saved = 0
        self.session = ChatRunner(ChatSettings(**settings), Session(), self.views.publish, self.save)

    def save(self):
        self.saved += 1

    def send(self, kind, *buffers, **fields):
        bridge.loop().call_soon_threadsafe(self.session.receive, {"type": kind, **fields}, buffers)

    def ask(self, text, *buffers, **fields):
        """Ask, and return the message that ends the turn."""
        self.send("ask", *buffers, text=text, **fields)
        return self.end()

    def end(self):
        return self.views.wait("message", lambda m: m["message"]["role"] == "assistant")["message"]

    @property
    def shown(self):
        return [node.text for node in self.session.talk.branch]


async def until(condition):
    """Wait for what happens on the bridge's thread."""
    while not condition():  # noqa: ASYNC110 - nothing there tells this loop
        await asyncio.sleep(0.01)


@pytest.fixture
def front():
    return Front(model="sandbox")


def test_an_answer_is_a_reply_and_its_row_says_chat(recorder):
    chat = Chat("sandbox")
    reply = chat.ask("repeat exactly: one")
    assert (str(reply), reply.response.simulated) == ("one", True)
    assert (recorder.last.surface, recorder.last.status) == ("chat", "ok")
    assert [(m.role, m.content) for m in chat.messages] == [
        ("user", "repeat exactly: one"),
        ("assistant", "one"),
    ]


async def test_a_chat_remembers_what_was_said_also_when_it_is_awaited():
    chat = Chat("sandbox", system="Be brief.")
    await chat.aask("My name is Ada")
    assert str(await chat.aask("What is my name?")) == "Your name is Ada."
    assert [m.role for m in chat.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert list(chat.df["role"]) == ["user", "assistant"] * 2
    assert chat.cost == sum(chat.df["cost"].dropna()) > 0  # as the header shows: nothing real was paid


async def test_one_question_at_a_time():
    chat = Chat("sandbox:sandbox!stall=2")
    asked = asyncio.ensure_future(chat.aask("Explain generators."))
    await until(lambda: len(chat.df))
    with pytest.raises(ConfigurationError, match="still answering"):
        await chat.aask("And this?")
    chat.stop()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert len(chat.df) == 2


async def test_a_stopped_answer_keeps_its_text_and_its_row_says_cancelled(recorder):
    chat = Chat("sandbox:sandbox!stall=3")
    asked = asyncio.ensure_future(chat.aask("repeat exactly: one two three four"))
    await until(lambda: "".join(chat._runner.views.growing or ()))
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    await until(lambda: chat.df["state"].iloc[-1] != "open")
    assert chat.df["state"].iloc[-1] == "cancelled"
    assert recorder.statuses == ["cancelled"]


def test_a_turn_that_is_stopped_before_its_first_step_ends_all_the_same(front):
    async def ask_and_stop():
        asked = asyncio.ensure_future(front.session.ask("repeat exactly: one"))
        await asyncio.sleep(0)
        front.session.stop()
        with pytest.raises(asyncio.CancelledError):
            await asked

    bridge.run(ask_and_stop())
    assert [node.state for node in front.session.talk.branch] == ["ok", "cancelled"]
    assert front.end()["state"] == "cancelled"
    assert front.ask("repeat exactly: two")["text"] == "two"


def test_an_edited_question_is_a_branch_and_the_old_one_comes_back(front):
    front.ask("repeat exactly: one")
    front.ask("repeat exactly: two")
    front.ask("repeat exactly: ONE", node=1)
    assert front.shown == ["repeat exactly: ONE", "ONE"]
    front.send("step", node=5, by=-1)
    branch = front.views.wait("branch", lambda m: len(m["messages"]) == 4)
    assert [(m["version"], m["versions"]) for m in branch["messages"]] == [(1, 2), (1, 1), (1, 1), (1, 1)]
    assert front.shown[-1] == "two"


def test_another_answer_by_another_model_keeps_the_first(front):
    front.ask("repeat exactly: one")
    front.send("again", node=2, model="sandbox:sandbox-mini")
    end = front.end()
    assert (end["version"], end["versions"], end["model"]) == (2, 2, "sandbox:sandbox-mini")
    assert front.session.model == "sandbox"
    assert [node.model for node in front.session.talk][1:] == ["sandbox", "sandbox:sandbox-mini"]


def test_what_is_hidden_is_not_sent(front):
    front.ask("My name is Ada")
    assert front.ask("What is my name?")["text"] == "Your name is Ada."
    front.send("hide", node=2, hidden=True)
    assert front.views.wait("message")["message"]["hidden"]
    assert front.views.wait("message")["message"]["hidden"]
    assert front.ask("And what is my name?")["text"] == "You have not told me your name yet."


def test_an_error_is_one_line_and_another_try_answers(front):
    sandbox.server().fail_next("429;code=insufficient_quota")
    end = front.ask("repeat exactly: one")
    assert end["state"] == "error"
    assert "\n" not in end["error"]
    assert len(end["error"]) <= 600
    front.send("again", node=end["node"])
    assert front.end()["text"] == "one"
    assert front.session.talk.messages()[-1].content == "one"


def test_from_python_an_error_is_raised_and_stays_in_the_chat():
    chat = Chat("sandbox:sandbox!429;retry-after=0")
    with pytest.raises(RateLimitError):
        chat.ask("repeat exactly: one")
    assert list(chat.df["state"]) == ["ok", "error"]
    assert chat.messages == []
    chat.model = "sandbox:sandbox!cut=2"
    with pytest.raises(StreamInterruptedError):
        chat.ask("repeat exactly: one two three four")
    assert chat.df["text"].iloc[-1]


def test_a_pause_before_a_retry_is_shown(front):
    front.send("model", name="sandbox:sandbox!503;retry-after=1")
    front.send("ask", text="repeat exactly: one")
    assert "attempt 2 in" in front.views.wait("notice")["text"]
    front.send("stop")
    assert front.end()["state"] == "cancelled"


def test_a_budget_refuses_what_might_be_above_it_and_nothing_is_sent(server, tmp_path, monkeypatch):
    monkeypatch.setitem(ADDRESS, "paid", server.url("openai"))
    chat = Chat("paid-in-chat", budget=0.000001)
    with pytest.raises(BudgetExceededError, match="budget"):
        chat.ask("Explain generators.")
    assert not server.requests
    assert "state" in chat.df
    assert list(chat.df["state"]) == ["ok", "error"]


def test_files_go_with_the_question_and_stay_with_its_new_version(front):
    end = front.ask("What is this?", PIXEL, b"a,b\n1,2", names=["dot.png", "table.csv"])
    assert end["state"] == "ok"
    question = front.session.talk.branch[0]
    assert [one.media_type for one in question.attachments] == ["image/png", "text/csv"]
    front.ask("And this?", node=1, keep=True)
    assert front.session.talk.branch[0].attachments == question.attachments
    form, buffers = message_form(question, None, 3)
    assert (form["files"][0]["buffer"], buffers) == (3, [PIXEL])
    assert "buffer" not in form["files"][1]


def test_a_file_that_no_provider_takes_is_refused_in_words(front):
    front.send("ask", b"PK\x03\x04...", text="Read it.", names=["x.zip"])
    assert "x.zip" in front.views.wait("say")["text"]
    assert front.shown == []


def test_a_new_view_gets_everything_in_the_middle_of_an_answer(front):
    front.send("model", name="sandbox:sandbox!stall=4")
    front.send("ask", text="repeat exactly: one two three four five six")
    front.views.wait("grow")
    front.send("hello", view="second")
    head = front.views.wait("head", lambda m: m.get("view") == "second")
    assert head["menu"]
    branch = front.views.wait("branch", lambda m: m["view"] == "second")
    assert [m["state"] for m in branch["messages"]] == ["ok", "open"]
    assert branch["messages"][1]["tail"] == front.session.views.growing[1] != ""
    front.send("stop")
    front.end()


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"type": "nonsense"},
        {"type": "step"},
        {"type": "hide", "node": 99},
        {"type": "again", "node": "x"},
    ],
)
def test_what_is_not_understood_is_passed_over(front, message):
    front.send(
        **{"kind": None, **{k: v for k, v in message.items() if k != "type"}} | {"kind": message.get("type")}
    )
    assert front.ask("repeat exactly: one")["text"] == "one"


def test_a_conversation_that_a_view_kept_goes_on(front):
    said = [{"role": "user", "text": "My name is Ada"}, {"role": "assistant", "text": "Hello Ada"}]
    front.send("restore", messages=said)
    assert front.ask("What is my name?")["text"] == "Your name is Ada."
    front.send("restore", messages=said[:1])  # too late: there is a conversation
    front.send("hello", view="v")
    assert len(front.views.wait("branch", lambda m: m["view"] == "v")["messages"]) == 4


@pytest.mark.parametrize("messages", [None, 5, ["x"], [{"role": "user"}], [{"role": "bad", "text": "x"}]])
def test_what_a_view_gets_wrong_is_said(front, messages):
    front.send("restore", messages=messages)
    assert "malformed" in front.views.wait("say")["text"]
    assert front.shown == []


def test_an_unknown_model_is_said_and_nothing_changes(front):
    front.send("model", name="no-such-thing-at-all")
    assert "no-such-thing-at-all" in front.views.wait("say")["text"]
    assert front.session.model == "sandbox"


def test_an_exception_of_a_foreign_client_is_an_error_of_the_turn(front):
    front.send("model", name="broken-in-chat")
    end = front.ask("Hi")
    assert (end["state"], end["text"]) == ("error", "some text")
    assert "LookupError: no" in end["error"]


def test_what_a_model_writes_cannot_run_in_any_form():
    talk = Conversation()
    node = talk.answer(talk.ask(HOSTILE), HOSTILE, model=HOSTILE)
    node.error = HOSTILE
    html = message_form(node)[0]["sealed"] + saved_html(talk.branch, HOSTILE, "name")
    for bad in ("<script", "<img", 'href="javascript', "onerror=alert(1)>"):
        assert bad not in html


def test_an_export_is_markdown_that_only_its_owner_reads(tmp_path):
    chat = Chat("sandbox")
    chat.ask("repeat exactly: **one**")
    path = chat.export(tmp_path / "x.md")
    mark, _, text = path.read_text().partition("\n\n")
    assert mark == "<!-- exported by llmkit -->"
    assert text.startswith("## You\n\n> repeat exactly: **one**\n\n## sandbox\n\n**one**\n\n<sub>")
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_model_gets_variables_as_they_are_when_it_is_called():
    rivers = ["Rhine"]
    chat = Chat("sandbox", system="Be brief.", vars={"rivers": rivers})
    rivers.append("Elbe")
    chat.ask("repeat exactly: one", attachments=[attach(b"text", "a.txt")])
    first = sandbox.server().requests[-1].body["messages"][0]
    assert first["role"] == "system"
    assert "Be brief." in str(first["content"])
    assert "rivers" in str(first["content"])
    assert "Elbe" in str(first["content"])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"model": "no-such-thing-at-all"}, "no-such-thing"),
        ({"budget": -1}, "budget"),
        ({"budget": float("nan")}, "budget"),
        ({"thread": "a"}, "load_ext"),
        ({"vars": ["nowhere"]}, "no variable"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(arguments, word):
    with pytest.raises(ConfigurationError, match=word):
        Chat(**arguments)


def test_the_menu_begins_with_what_has_a_key(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-xxxxxxxx")
    groups = [group["group"] for group in model_menu() if not group["lacks"]]
    assert groups[0] == "aliases"
    assert groups.index("anthropic") < groups.index("sandbox")
    assert next(g for g in model_menu() if g["group"] == "openai")["lacks"] == "no key"
    assert context_window("openai", "gpt-4o-mini") == 128_000
    assert context_window("sandbox", "sandbox") is None


def test_the_cost_is_a_sum_of_amounts_not_of_floats():
    nodes = [
        SimpleNamespace(response=LLMResponse("", "openai", "m", cost_estimate=usd)) for usd in (0.1, 0.2)
    ]
    assert shown_cost(nodes) == 0.3


def test_counts_are_whole_numbers():
    chat = Chat("sandbox")
    for _ in range(2):
        chat.ask("repeat exactly: hi there")
    assert chat.df["follows"].dtype == chat.df["output_tokens"].dtype == "Int64"
    assert chat.df["follows"].isna().tolist() == [True, False, False, False]


FLEET = {"ships": 3}


def test_a_variable_of_the_module_is_described_to_a_chat_that_a_function_opens():
    described = [message.content for message in Chat("sandbox", vars=["FLEET"]).messages]
    assert len(described) == 1
    assert described[0].startswith("FLEET: dict")
