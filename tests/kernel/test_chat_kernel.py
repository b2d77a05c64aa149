"""The chat in a real kernel, driven by the messages that a front end sends."""

from __future__ import annotations

import json
import sqlite3
import time
from queue import Empty

import pytest

from tests.support.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.full]

SECRET = "my very private question"


class Page:
    """A front end with one view of a chat: sends and receives comm messages."""

    def __init__(self, kernel, opened):
        self.client = kernel.client
        (comm,) = [m for m in opened.messages if m["msg_type"] == "comm_open" and "_esm" in state(m)]
        self.comm = comm["content"]["comm_id"]
        self.seen = list(opened.messages)

    def send(self, kind, **fields):
        content = {"comm_id": self.comm, "data": {"method": "custom", "content": {"type": kind, **fields}}}
        self.client.shell_channel.send(self.client.session.msg("comm_msg", content))

    def wait(self, found, seconds=100):
        """Read messages until one is what is looked for, and return it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            self.seen.append(message)
            if found(message):
                return message
        return pytest.fail("it did not come")

    def custom(self, kind, condition=lambda content: True):
        def found(message):
            content = message["content"].get("data", {}).get("content", {})
            return message["msg_type"] == "comm_msg" and content.get("type") == kind and condition(content)

        return self.wait(found)["content"]["data"]["content"]

    def ended(self):
        return self.custom("message", lambda c: c["message"]["role"] == "assistant")["message"]


def state(message):
    return message["content"]["data"].get("state", {})


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def kernel(tmp_path, ledger):
    kernel = Kernel(
        tmp_path,
        LLMKIT_LEDGER=str(ledger),
        LLMKIT_SANDBOX_RATE="0",
        LLMKIT_SANDBOX_FIRST_TOKEN="0",
        JPY_SESSION_NAME=str(tmp_path / "talk.ipynb"),
    )
    kernel.run("%load_ext llmkit\nimport llmkit")
    yield kernel
    kernel.close()


def test_a_conversation_leaves_rows_and_a_copy_to_save_and_nothing_in_the_widgets_state(kernel, ledger):
    opened = kernel.run("chat = llmkit.Chat('sandbox', starters=['Hi'])\nchat")
    widget, copy = opened.outputs
    assert list(widget["data"]) == ["application/vnd.jupyter.widget-view+json", "text/plain"]
    place = copy["transient"]["display_id"]
    page = Page(kernel, opened)
    page.send("hello", view="v")
    assert page.custom("head")["starters"] == ["Hi"]
    page.send("ask", text=f"repeat exactly: {SECRET} **answered**")
    assert "<strong>answered</strong>" in page.ended()["sealed"]
    saved = page.wait(lambda m: m["msg_type"] == "update_display_data")
    assert saved["content"]["transient"]["display_id"] == place
    assert "<strong>answered</strong>" in saved["content"]["data"]["text/html"]
    states = [m for m in page.seen if m["msg_type"] == "comm_open" or "state" in m["content"].get("data", {})]
    assert states
    assert SECRET not in json.dumps([m["content"] for m in states], default=str)
    printed = kernel.run("print(chat.messages[-1].content, len(chat.df))").text
    assert printed == f"{SECRET} **answered** 2\n"
    with sqlite3.connect(ledger) as connection:
        rows = connection.execute("SELECT surface, status, notebook, execution_count FROM calls").fetchall()
    connection.close()
    assert [row[:3] for row in rows] == [("chat", "ok", "talk.ipynb")]
    assert rows[0][3] == opened.reply["execution_count"]


def test_a_handler_returns_at_once_so_that_stop_comes_through(kernel):
    page = Page(kernel, kernel.run("chat = llmkit.Chat('sandbox:sandbox!stall=3')\nchat"))
    page.send("ask", text="repeat exactly: one two three four")
    page.custom("grow")
    page.send("stop")
    end = page.ended()
    assert (end["state"], end["text"][:3]) == ("cancelled", "one")
    assert "stopped" in end["warning"]


def test_a_thread_is_shared_with_cells(kernel):
    kernel.run("%%llm -t talk -m sandbox\nMy name is Ada")
    page = Page(kernel, kernel.run("chat = %llm chat talk\nchat"))
    page.send("ask", text="What is my name?")
    assert page.ended()["text"] == "Your name is Ada."
    kernel.run("%%llm -t talk -m sandbox\nMy name is Bob")
    page.send("ask", text="And what is my name?")
    assert page.ended()["text"] == "Your name is Bob."
    assert kernel.run("print(len(chat.messages))").text == "8\n"
    kernel.run("%%llm -t talk -n -m sandbox\nMy name is Eve")
    assert (
        kernel.run("print(chat.ask('What is my name?'), len(chat.messages))").text == "Your name is Eve. 4\n"
    )


def test_a_question_from_a_cell_can_be_interrupted_and_put_into_a_cell(kernel):
    kernel.run("chat = llmkit.Chat('sandbox:sandbox!stall=3')")
    page = Page(kernel, kernel.run("chat"))
    asked = kernel.client.execute(
        "chat.ask('repeat exactly: one two three four')", allow_stdin=False, stop_on_error=False
    )
    page.custom("grow")
    kernel.interrupt()
    error = page.wait(lambda m: m["msg_type"] == "error" and m["parent_header"]["msg_id"] == asked)
    assert error["content"]["ename"] == "Stopped"
    page.wait(
        lambda m: m["parent_header"]["msg_id"] == asked and m["content"].get("execution_state") == "idle"
    )
    kernel.client.get_shell_msg(timeout=100)
    again = "chat.model = 'sandbox'\nreply = chat.ask('repeat exactly: ```python\\n1 + 1\\n```')"
    answer, end = kernel.run(again), time.monotonic() + 60
    # On a slow machine, the stopped call is closed after its cell has ended.
    while "still answering" in answer.reply.get("evalue", "") and time.monotonic() < end:
        answer = kernel.run(again)
    assert answer.status == "ok", answer.reply
    done = kernel.run("chat.to_cell()")
    (payload,) = done.reply["payload"]
    assert payload["text"] == "1 + 1"
