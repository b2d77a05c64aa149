"""Tools in cells of a real kernel: steps, approval, interrupts, what is saved."""

from __future__ import annotations

import time

import pytest

from tests.support.kernels import Kernel
from tests.support.peer import SILENCE, opening
from tests.support.tool_peer import CHAT, MODEL, script, serving

pytestmark = [pytest.mark.kernel, pytest.mark.full]

SETUP = """
import threading, time
import llmkit, pandas as pd
%load_ext llmkit
ran = []
def load_sales(year: int):
    "Load the sales of a year."
    ran.append((year, threading.current_thread() is threading.main_thread()))
    return pd.DataFrame({"units": [1, 2, 3]})
def wait(seconds: float):
    "Wait."
    print("waiting")
    time.sleep(seconds)
@llmkit.tool(approve="always")
def delete(path: str):
    "Delete a file."
    ran.append(path)
    return "deleted"
"""
LOAD = ("call_1", "load_sales", '{"year": 2026}')
DELETE = ("call_1", "delete", '{"path": "a.csv"}')
CODE = ("call_1", "python", '{"code": "total = 40 + 2\\nprint(total)\\ntotal + 1"}')


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
        LLMKIT_LEDGER=str(folder / "ledger.sqlite"),
    )
    assert made.run(SETUP).status == "ok"
    yield made
    made.close()


@pytest.fixture(autouse=True)
def fresh(kernel):
    kernel.run("ran.clear()")


def value(kernel, code):
    return kernel.run(f"print({code})").text.strip()


def test_steps_are_shown_on_one_line_each_and_tools_run_on_the_main_thread(kernel, peer):
    script(peer, CHAT.answer("I load them.", [LOAD]), CHAT.answer("There are **3** rows."))
    result = kernel.run(f"%%llm {MODEL} -x load_sales -o out\nHow many?")
    (html,) = result.data("text/html")
    assert "load_sales(year=2026) → 3 rows" in html
    assert html.index("I load them.") < html.index("load_sales(year") < html.index("<strong>3</strong>")
    assert "2 requests · 1 tool call · 40→20 tok" in html
    assert '{"year": 2026}' in html
    assert value(kernel, "ran, out.text, out.run.stopped, len(out.run.steps)") == (
        "[(2026, True)] There are **3** rows. done 3"
    )
    assert value(kernel, "llmkit.ledger.df.tail(2)[['step', 'surface']].values.tolist()") == (
        "[[1, 'magic'], [2, 'magic']]"
    )


def test_python_asks_and_shows_exactly_the_code(kernel, peer):
    script(peer, CHAT.answer("", [CODE]), CHAT.answer("It is 42."))
    result = kernel.run(f"%%llm {MODEL} -x python\nAdd.", answers=["y"])
    assert "total = 40 + 2\nprint(total)\ntotal + 1" in "".join(result.data("text/plain"))
    assert value(kernel, "total") == "42"
    assert peer.bodies[1]["messages"][-1]["content"] == "42\n43"
    assert "In[" not in result.text


def test_an_error_of_the_code_goes_to_the_model_and_not_into_the_cell(kernel, peer):
    script(peer, CHAT.answer("", [("c", "python", '{"code": "x = 1\\n1/0"}')]), CHAT.answer("Sorry."))
    result = kernel.run(f"%%llm {MODEL} -x python\nDivide.", answers=["y"])
    assert result.status == "ok"
    assert [output for output in result.outputs if output["type"] == "error"] == []
    assert peer.bodies[1]["messages"][-1]["content"] == "ZeroDivisionError: division by zero (line 2)"


@pytest.mark.parametrize("answer", ["n", "", "what"])
def test_anything_but_a_yes_denies(kernel, peer, answer):
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("All right."))
    kernel.run(f"%%llm {MODEL} -x delete\nClean up.", answers=[answer, "n"])
    assert value(kernel, "ran") == "[]"
    assert "did not allow" in peer.bodies[1]["messages"][-1]["content"]


def test_arguments_can_be_edited(kernel, peer):
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("Done."))
    kernel.run(f"%%llm {MODEL} -x delete\nClean up.", answers=["e", "b.csv", "e", '{"path": "b.csv"}'])
    assert value(kernel, "ran") == "['b.csv']"


def test_always_covers_that_tool_with_that_description(kernel, peer):
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("Done."))
    kernel.run(f"%%llm {MODEL} -x delete\nClean up.", answers=["a"])
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("Done."))
    kernel.run(f"%%llm {MODEL} -x delete\nClean up.", answers=[])
    assert value(kernel, "ran") == "['a.csv', 'a.csv']"
    options = 'name="delete", description="Delete everything.", approve="always"'
    kernel.run(f"changed = llmkit.tool({options})(delete.function)")
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("Done."))
    kernel.run(f"%%llm {MODEL} -x changed\nClean up.", answers=["n"])
    assert value(kernel, "ran") == "['a.csv', 'a.csv']"


def test_with_nobody_there_a_tool_is_denied_unless_yes(kernel, peer):
    kernel.run(
        "del llmkit.__dict__['nothing']" if False else "%reload_ext llmkit"
    )  # forgets what was allowed
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("Done."))
    result = kernel.run(f"%%llm {MODEL} -x delete\nClean up.")
    assert "there is nobody to ask" in result.text
    assert value(kernel, "ran") == "[]"
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("Done."))
    kernel.run(f"%%llm {MODEL} -x delete --yes\nClean up.")
    assert value(kernel, "ran") == "['a.csv']"


def test_yes_does_not_cover_python_but_the_variable_does(kernel, peer):
    kernel.run("total = None")
    script(peer, CHAT.answer("", [CODE]), CHAT.answer("Done."))
    kernel.run(f"%%llm {MODEL} -x python --yes\nAdd.")
    assert value(kernel, "total") == "None"
    kernel.run('import os; os.environ["LLMKIT_ALLOW_PYTHON"] = "1"')
    script(peer, CHAT.answer("", [CODE]), CHAT.answer("Done."))
    kernel.run(f"%%llm {MODEL} -x python\nAdd.")
    kernel.run('del os.environ["LLMKIT_ALLOW_PYTHON"]')
    assert value(kernel, "total") == "42"


def test_an_interrupt_inside_a_tool_ends_the_run_and_keeps_it(kernel, peer):
    script(peer, CHAT.answer("I wait.", [("c", "wait", '{"seconds": 90}')]), CHAT.answer("Done."))
    drawn, stopped = [], []

    def stop(kernel, result):
        drawn.extend(result.data("text/html"))
        if not stopped and "waiting" in result.text:  # the tool says so
            stopped.append(True)
            kernel.interrupt()

    result = kernel.run(f"%%llm {MODEL} -x wait -o out\nWait.", during=stop)
    assert any("running wait" in html for html in drawn)
    assert result.reply["ename"] == "Stopped"
    assert value(kernel, "out.run.stopped, out.text, len(out.run.steps)") == "interrupted I wait. 2"
    assert "interrupted in a tool" in result.data("text/html")[-1]


def test_an_interrupt_of_a_request_ends_the_run_and_keeps_its_steps(kernel, peer):
    script(peer, CHAT.answer("I load.", [LOAD]), [opening(), SILENCE])
    asked = []

    def stop(kernel, result):
        if len(peer.bodies) == 2 and not asked:
            asked.append(1)
            time.sleep(0.5)
            kernel.interrupt()

    result = kernel.run(f"%%llm {MODEL} -x load_sales -o out\nHow many?", during=stop)
    assert result.reply["ename"] == "Stopped"
    assert value(kernel, "out.run.stopped, ran") == "interrupted [(2026, True)]"
    assert "load_sales(year=2026) → 3 rows" in result.data("text/html")[-1]


def test_a_slow_tool_is_stopped_by_its_time(kernel, peer):
    kernel.run("quick = llmkit.tool(name='quick', timeout=0.3)(wait)")
    script(peer, CHAT.answer("", [("c", "quick", '{"seconds": 90}')]), CHAT.answer("Too slow."))
    assert kernel.run(f"%%llm {MODEL} -x quick\nWait.", seconds=60).status == "ok"
    assert "took more than 0.3 s" in peer.bodies[1]["messages"][-1]["content"]


def test_what_a_tool_prints_and_draws_stays_in_the_cell(kernel, peer):
    kernel.run("def shout(word: str):\n    'Shout.'\n    print(word.upper())\n    return 'done'")
    script(peer, CHAT.answer("", [("c", "shout", '{"word": "hello"}')]), CHAT.answer("Done."))
    assert "HELLO" in kernel.run(f"%%llm {MODEL} -x shout\nShout.").text


def test_await_client_run_in_a_cell_asks_there_too(kernel, peer):
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("Done."))
    code = f"done = await llmkit.client({MODEL!r}).run('Clean up.', [delete]); print(done.text)"
    result = kernel.run(code, answers=["y"])
    assert "Done." in result.text
    assert value(kernel, "ran") == "['a.csv']"


def test_llmkit_run_in_a_cell_asks_there_too(kernel, peer):
    script(peer, CHAT.answer("", [DELETE]), CHAT.answer("Done."))
    kernel.run(f"done = llmkit.run('Clean up.', {MODEL!r}, tools=[delete])", answers=["y"])
    assert value(kernel, "done.text, ran") == "Done. ['a.csv']"


def test_a_thread_carries_the_calls_and_their_results(kernel, peer):
    script(peer, CHAT.answer("", [LOAD]), CHAT.answer("Three."), CHAT.answer("Yes."))
    kernel.run(f"%%llm {MODEL} -x load_sales -t sales\nHow many?")
    kernel.run(f"%%llm {MODEL} -x load_sales -t sales\nSure?")
    roles = [message["role"] for message in peer.bodies[2]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    exported = kernel.run("%llm export thread sales").text
    assert "▸ load\\_sales(year=2026)" in exported or "▸ load_sales(year=2026)" in exported
    assert "Yes." in kernel.run("%llm last").data("text/html")[-1]


def test_a_dry_run_lists_the_tools_and_sends_nothing(kernel, peer):
    script(peer, CHAT.answer("no"))
    text = kernel.run(f"%%llm {MODEL} -x load_sales,python -d\nHow many?").text
    assert "tool load_sales" in text
    assert "tool python" in text
    assert peer.bodies == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-x lode_sales", "Did you mean load_sales"),
        ("-x ran", "has no tools"),
        ("-x time", "is not a tool"),
        ("-x 'load sales'", "names of functions"),
        ("-x load_sales,load_sales2", "UsageError: -x load_sales2: load_sales2 is not defined"),
        ("-x mcp:../x", "names of functions"),
        ("--max-steps 3", "needs tools"),
    ],
)
def test_a_wrong_name_is_one_line_and_sends_nothing(kernel, peer, options, said):
    script(peer, CHAT.answer("no"))
    result = kernel.run(f"%%llm {MODEL} {options}\nHow many?")
    assert said in str(result.outputs) + str(result.reply.get("evalue"))
    assert peer.bodies == []


def test_steps_and_price_have_limits(kernel, peer):
    def load(body):
        return [CHAT.answer("", [("c", "load_sales", f'{{"year": {len(body["messages"])}}}')])]

    script(peer, load)
    html = kernel.run(f"%%llm {MODEL} -x load_sales --max-steps 2\nHow many?").data("text/html")[-1]
    assert "stopped at max steps" in html
    refused = kernel.run(f"%%llm {MODEL} -x load_sales --max-cost 0.0000001\nHow many?")
    assert "may cost more than --max-cost" in refused.reply["evalue"]
