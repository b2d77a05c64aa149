"""A chat with tools in a real kernel: where they run, what they print, who stops them, shared threads."""

from __future__ import annotations

import pytest

from tests.kernel.test_chat_kernel import Page
from tests.kernel.test_tools_kernel import CODE, DELETE, LOAD, SETUP, value
from tests.support.kernels import Kernel
from tests.support.tool_peer import CHAT, MODEL, script, serving

pytestmark = [pytest.mark.kernel, pytest.mark.full]


@pytest.fixture(scope="module")
def peer():
    with serving() as made:
        yield made


@pytest.fixture(scope="module")
def kernel(peer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("chat")
    made = Kernel(
        folder,
        OPENAI_API_KEY="k" * 20,
        OPENAI_BASE_URL=f"{peer.url}/v1",
        LLMKIT_LEDGER=str(folder / "ledger.sqlite"),
    )
    assert made.run(SETUP).status == "ok"
    yield made
    made.close()


@pytest.fixture(autouse=True)
def fresh(kernel):
    kernel.run("ran.clear()")


def opened(kernel, tools, **more):
    """Open a chat with these tools; returns its page."""
    options = "".join(f", {name}={value!r}" for name, value in more.items())
    page = Page(kernel, kernel.run(f"chat = llmkit.Chat({MODEL!r}, tools=[{tools}]{options})\nchat"))
    page.send("hello", view="v")
    page.custom("head", lambda c: "menu" in c)
    return page


def allow(page, word="allow"):
    question = page.custom("message", lambda c: c["message"]["question"])["message"]["question"]
    page.send("allow", question=question["name"], answer=word)
    return question


def ended(page):
    return page.custom("message", lambda c: c["message"]["state"] != "open")["message"]


def test_tools_run_on_the_main_thread_and_see_the_users_objects(kernel, peer):
    script(peer, CHAT.answer("", [LOAD]), CHAT.answer("Three."))
    page = opened(kernel, "load_sales")
    page.send("ask", text="How many?")
    end = ended(page)
    assert "load_sales(year=2026) → 3 rows" in end["sealed"]
    assert "2 requests · 1 tool call" in " · ".join(end["facts"])
    assert value(kernel, "ran, chat.df['text'].tolist()") == "[(2026, True)] ['How many?', 'Three.']"


def test_python_asks_with_buttons_and_runs_in_the_kernel_without_history(kernel, peer):
    script(peer, CHAT.answer("", [CODE]), CHAT.answer("It is 42."))
    kernel.run("total = None")
    count = value(kernel, "len(In)")
    page = Page(kernel, kernel.run(f"%llm model {MODEL}\nchat = %llm chat -x python\nchat"))
    page.send("ask", text="Add.", view="v")
    question = allow(page)
    assert question["code"] == "total = 40 + 2\nprint(total)\ntotal + 1"
    assert not question["lasts"]
    assert ended(page)["text"] == "It is 42."
    assert peer.bodies[1]["messages"][-1]["content"] == "42\n43"
    assert value(kernel, "total, len(In)") == f"42 {int(count) + 2}"


def test_what_a_tool_prints_stands_below_the_chat(kernel, peer):
    kernel.run("def shout(word: str):\n    'Shout.'\n    print(word.upper())\n    return 'done'")
    script(peer, CHAT.answer("", [("c", "shout", '{"word": "hello"}')]), CHAT.answer("Done."))
    result = kernel.run(f"chat = llmkit.Chat({MODEL!r}, tools=[shout])\nchat")
    page = Page(kernel, result)
    page.send("ask", text="Shout.", view="v")
    printed = page.wait(lambda m: m["msg_type"] == "stream")
    assert printed["content"]["text"] == "HELLO\n"
    assert printed["parent_header"]["msg_id"] == result.messages[0]["parent_header"]["msg_id"]


BUSY = """
chat._receive({"type": "ask", "text": "How many?", "view": "v"}, [])
while not (turn := chat._runner._tool_turn) or "running" not in turn.notice:
    time.sleep(0.01)
time.sleep(0.3)
before = list(ran)
"""


def test_a_tool_waits_for_the_cell_that_runs(kernel, peer):
    script(peer, CHAT.answer("", [LOAD]), CHAT.answer("Three."))
    opened(kernel, "load_sales")
    result = kernel.run(BUSY)
    assert result.status == "ok"
    kernel.run("import asyncio\nwhile chat._runner._task: await asyncio.sleep(0.01)")
    assert value(kernel, "before, ran") == "[] [(2026, True)]"


def test_jupyters_interrupt_ends_a_tool_between_cells(kernel, peer):
    kernel.run(
        "def nap(seconds: float):\n    'Nap.'\n    print('begun', flush=True)\n    time.sleep(seconds)"
    )
    script(peer, CHAT.answer("I wait.", [("c", "nap", '{"seconds": 25}')]), CHAT.answer("Done."))
    page = opened(kernel, "nap")
    page.send("ask", text="Wait.")
    page.wait(lambda m: m["msg_type"] == "stream")
    kernel.interrupt()
    end = ended(page)
    assert (end["state"], end["text"]) == ("cancelled", "I wait.")
    assert "interrupted in a tool" in end["warning"]
    assert value(kernel, "1 + 1") == "2"


def test_a_slow_tool_is_stopped_by_its_time(kernel, peer):
    kernel.run("quick = llmkit.tool(name='quick', timeout=0.3)(wait)")
    script(peer, CHAT.answer("", [("c", "quick", '{"seconds": 25}')]), CHAT.answer("Too slow."))
    page = opened(kernel, "quick")
    page.send("ask", text="Wait.")
    assert ended(page)["text"] == "Too slow."
    assert "took more than 0.3 s" in peer.bodies[1]["messages"][-1]["content"]


def test_a_question_from_a_cell_asks_there(kernel, peer):
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("Done."))
    kernel.run(f"chat = llmkit.Chat({MODEL!r}, tools=[delete])")
    kernel.run("reply = chat.ask('Clean up.')", answers=["y"])
    assert value(kernel, "reply.text, ran") == "Done. ['a.csv']"
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("Done."))
    kernel.run("reply = await chat.aask('Clean up.')", answers=["y"])
    assert value(kernel, "reply.text, ran") == "Done. ['a.csv', 'a.csv']"
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("No."))
    assert "there is nobody to ask" in kernel.run("reply = chat.ask('Clean up.')").text
    assert value(kernel, "reply.text, ran") == "No. ['a.csv', 'a.csv']"


def test_a_thread_keeps_its_steps_from_cell_to_chat_and_back(kernel, peer):
    script(
        peer,
        CHAT.answer("", [LOAD]),
        CHAT.answer("Three."),
        CHAT.answer("", [LOAD]),
        CHAT.answer("Yes."),
        CHAT.answer("Sure."),
    )
    kernel.run(f"%%llm {MODEL} -x load_sales -t sales\nHow many?")
    page = Page(kernel, kernel.run(f"%llm model {MODEL}\nchat = %llm chat -x load_sales sales\nchat"))
    page.send("hello", view="v")
    shown = page.custom("branch", lambda c: c["messages"])["messages"]
    assert "load_sales(year=2026)" in shown[-1]["sealed"]
    page.send("ask", text="Really?", view="v")
    ended(page)
    kernel.run(f"%%llm {MODEL} -x load_sales -t sales\nSure?")
    roles = [message["role"] for message in peer.bodies[-1]["messages"]]
    turn = ["user", "assistant", "tool", "assistant"]
    assert roles == [*turn, *turn, "user"]
    assert value(kernel, "len(chat.messages)") == "8"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%llm chat -x lode_sales", "Did you mean load_sales"),
        ("%llm chat -x", "-x NAME"),
        ("%llm chat -x ran", "has no tools"),
        ("%llm chat -x load_sales --yes", "does not take"),
    ],
)
def test_a_wrong_name_is_one_line(kernel, line, said):
    result = kernel.run(line)
    assert said in str(result.outputs) + str(result.reply.get("evalue"))
