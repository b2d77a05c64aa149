"""`%%llm` in a real kernel: one saved output, the reply, errors, interrupts, the ledger's rows."""

from __future__ import annotations

import contextlib
import sqlite3
import time

import pytest

from tests.support.billing import charging
from tests.support.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.full]
FACTS = "application/vnd.llmkit.v1+json"

BROKEN_CLIENT = """
import llmkit
class Broken(llmkit.BaseLLMClient):
    def __init__(self):
        super().__init__("broken")
    async def generate_text(self, messages, **kwargs):
        raise LookupError("no")
    async def stream_text(self, messages, **kwargs):
        yield "some text"
        raise LookupError("no")
    async def close(self):
        pass
llmkit.register("broken", Broken)
"""

LOOP = """
for q in "ab":
    print("before", q)
    get_ipython().run_cell_magic("llm", "", f"repeat exactly: {q}")
"""


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def kernel(tmp_path, ledger):
    kernel = Kernel(
        tmp_path, LLMKIT_LEDGER=str(ledger), LLMKIT_SANDBOX_RATE="0", LLMKIT_SANDBOX_FIRST_TOKEN="0"
    )
    kernel.run("%load_ext llmkit")
    yield kernel
    kernel.close()


def rows(path, columns="status"):
    with sqlite3.connect(path) as connection:
        found = connection.execute(f"SELECT {columns} FROM calls ORDER BY id").fetchall()
    connection.close()
    return found


def row_of_the_stop(path, columns="status"):
    """Wait for the row of a cancelled call: on a slow machine it comes after the cell has ended."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(sqlite3.OperationalError):  # the file, or its table, is not there yet
            if (found := rows(path, columns)) and rows(path)[-1] == ("cancelled",):
                return found[-1]
        time.sleep(0.05)
    raise AssertionError(f"no row of a cancelled call, but {rows(path, columns)}")


def test_on_a_machine_that_vanishes_the_first_paid_call_from_python_says_so(kernel, ledger):
    loss = f"The ledger {ledger} is deleted with this Colab machine. Mount Google Drive"
    with charging() as provider:
        address = f"OPENAI_BASE_URL={provider.url!r}, OPENAI_API_KEY='k'"
        kernel.run(f"import os, llmkit\nos.environ.update(COLAB_RELEASE_TAG='x', {address})")
        call = "print(llmkit.ask('Hello', 'openai:gpt-4o-mini', max_tokens=9).cost > 0)"
        first, second = kernel.run(call), kernel.run(call)
    assert first.text.count(loss) == 1
    assert "True\n" in first.text
    assert second.text == "True\n"


def test_a_finished_cell_holds_one_output_with_html_text_and_facts(kernel):
    result = kernel.run("%%llm\nExplain generators.")
    (output,) = result.outputs
    assert set(output["data"]) == {"text/html", "text/plain", FACTS}
    assert "sandbox" in output["data"]["text/html"]
    assert output["data"][FACTS]["simulated"] is True
    assert "Explain generators" not in str(output["data"][FACTS])


def test_the_footer_says_tokens_and_cost_and_that_it_is_simulated(kernel):
    (html,) = kernel.run("%%llm\nExplain generators.").data("text/html")
    assert "tok" in html
    assert "$0.0" in html
    assert "· simulated<" in html


def test_the_reply_is_in_underscore_and_out_without_a_second_display(kernel):
    kernel.run("%%llm\nrepeat exactly: hello")
    result = kernel.run("print(_, Out[max(Out)].text, _.cost > 0)")
    assert result.text == "hello hello True\n"


def test_out_option_assigns_the_reply_and_the_line_magic_returns_it(kernel):
    kernel.run("%%llm -o first\nrepeat exactly: one")
    kernel.run("second = %llm repeat exactly: two?")
    assert kernel.run("print(first, second)").text == "one two?\n"


def test_a_reply_shows_itself_in_a_later_cell(kernel):
    kernel.run("%%llm -q -o quiet\nrepeat exactly: **bold**")
    (html,) = kernel.run("quiet").data("text/html")
    assert "<strong>bold</strong>" in html


def test_variables_fill_the_prompt_and_keys_stay_out(kernel):
    kernel.run("name, token = 'Ada', 'sk-proj-abcdefghijklmnopqrstuvwxyz'")
    result = kernel.run("%%llm -o r\nrepeat exactly: {{name}} {{token}}")
    assert kernel.run("print(r)").text == "Ada [redacted]\n"
    assert "looks like a key: token" in result.data("text/html")[0]


def test_a_thread_remembers_and_new_starts_it_afresh(kernel):
    for options in ("-t -n", "-t", "-t -n"):
        kernel.run(f"%%llm {options} -o r\nrepeat exactly: hi")
        kernel.run("print(r.usage.input_tokens)")
    counts = kernel.run("import llmkit\nprint(*llmkit.ledger.df.input_tokens)").text.split()
    assert counts[0] == counts[2]
    assert int(counts[1]) > int(counts[0])


def test_rows_name_surface_cell_and_execution(kernel, ledger):
    kernel.run("%%llm\nHello")
    kernel.run(
        "import llmkit\nawait llmkit.client('sandbox').generate_text([llmkit.LLMMessage('user', 'Hi')])"
    )
    assert rows(ledger, "surface, execution_count, status") == [("magic", 2, "ok"), ("api", 3, "ok")]


def test_an_unknown_model_is_one_red_line_and_stops_run_all(kernel):
    result = kernel.run("%%llm sonet\nHello")
    assert result.status == "error"
    assert len(result.reply["traceback"]) == 1
    assert "sonnet" in result.reply["evalue"]
    assert len(kernel.run("%tb").outputs[0]["traceback"]) > 1


def test_a_bad_option_is_a_usage_error(kernel):
    result = kernel.run("%%llm --modle sonnet\nHello")
    assert (result.status, result.reply["ename"]) == ("error", "UsageError")
    assert "--model" in result.text


def test_a_failed_call_keeps_the_text_so_far_and_leaves_a_row(kernel, ledger):
    result = kernel.run("%%llm sandbox:sandbox!cut=5\nExplain generators.")
    assert (result.status, result.reply["ename"]) == ("error", "StreamInterruptedError")
    assert len(result.data("text/plain")[0]) > 5
    assert rows(ledger, "status, error") == [("interrupted", "StreamInterruptedError")]


def test_an_interrupt_stops_the_call_and_keeps_the_text(kernel, ledger):
    fired = []

    def stop(kernel, result):
        if not fired and "generators" in str(result.outputs):
            fired.append(True)
            kernel.interrupt()

    cell = "%%llm sandbox:sandbox!stall=5\nrepeat exactly: generators yield one value at a time"
    result = kernel.run(cell, during=stop)
    assert result.reply["ename"] == "Stopped"
    (text,) = result.data("text/plain")
    assert "generators" in text
    assert "stopped" in result.data("text/html")[0]
    row = row_of_the_stop(ledger, "status, input_tokens, output_tokens, usage_source")
    assert len(rows(ledger)) == 1
    assert row[0] == "cancelled"
    assert row[2] > 0
    assert row[3] == "estimated"
    seen = kernel.run("import llmkit\nprint(llmkit.sandbox.server().requests[-1].outcome)")
    assert seen.text == "aborted\n"


SLOW_TO_CLOSE = """
import asyncio, llmkit
from llmkit.core import bridge
bridge.CLOSE_GRACE, released = 0.1, asyncio.Event()
class Slow(llmkit.BaseLLMClient):
    def __init__(self):
        super().__init__("slow")
    async def generate_text(self, messages, **kwargs):
        raise NotImplementedError
    async def stream_text(self, messages, **kwargs):
        try:
            yield "some text"
            await asyncio.Event().wait()
        finally:
            await asyncio.shield(asyncio.ensure_future(released.wait()))
    async def close(self):
        pass
llmkit.register("slow", Slow)
"""


def once(texts):
    """Interrupt a cell once, as soon as the text of so many answers is on display."""
    fired = []

    def stop(kernel, result):
        if not fired and " ".join(result.data("text/html")).count("some text") == texts:
            fired.append(True)
            kernel.interrupt()

    return stop


def test_a_call_that_is_slow_to_close_counts_as_stopped_and_gets_its_row_later(kernel, ledger):
    kernel.run(SLOW_TO_CLOSE)
    one = kernel.run("%%llm slow:slow\nHello", during=once(1))
    assert one.reply["ename"] == "Stopped"
    assert one.data("text/plain") == ["some text"]
    assert "slow:slow · $? · " in one.data("text/html")[0]
    assert "⏹ stopped" in one.data("text/html")[0]
    two = kernel.run("%%llm slow:slow,slow:slow\nHello", during=once(2))
    assert two.reply["ename"] == "Stopped"
    assert two.data("text/html")[0].count("⏹ stopped<") == 2
    kernel.run("bridge.bridge.loop().call_soon_threadsafe(released.set)")
    assert row_of_the_stop(ledger) == ("cancelled",)


def test_an_interrupt_before_the_first_token_leaves_a_row(kernel, ledger):
    drawn, fired = set(), []

    def stop(kernel, result):
        drawn.add(" ".join(result.data("text/html")))
        if not fired and len(drawn) == 4:  # the line's time goes on: it is waiting by now
            fired.append(True)
            kernel.interrupt()

    kernel.run("%%llm -o warm\nHi")
    result = kernel.run("%%llm sandbox:sandbox!delay=90\nHello", during=stop)
    assert result.reply["ename"] == "Stopped"
    assert row_of_the_stop(ledger) == ("cancelled",)


def test_the_kernel_goes_on_after_an_interrupt(kernel):
    fired = []

    def stop(kernel, result):
        if not fired and result.data("text/html"):
            fired.append(True)
            kernel.interrupt()

    kernel.run("%%llm sandbox:sandbox!stall=40\nExplain generators.", during=stop)
    assert kernel.run("print(1 + 1)").text == "2\n"
    assert kernel.run("%%llm\nrepeat exactly: again").data("text/plain") == ["again"]


def test_subcommands_answer(kernel):
    assert kernel.run("%llm model sandbox:sandbox-mini").text == "Model: sandbox:sandbox-mini\n"
    assert "sandbox:sandbox-mini" in kernel.run("%llm models mini").data("text/plain")[0]
    assert "over 0 calls" in kernel.run("%llm cost").text
    assert "· openai" in kernel.run("%llm doctor").text
    assert "--temperature" in kernel.run("%llm help").text


def test_config_lists_and_sets(kernel):
    kernel.run("%config LLMMagics.footer = False")
    (html,) = kernel.run("%%llm\nrepeat exactly: hi").data("text/html")
    assert "tok" not in html.partition("</style>")[2]


def test_help_with_a_question_mark_is_still_help(kernel):
    payload = kernel.run("%llm?").reply["payload"]
    assert "Copy one of these" in payload[0]["data"]["text/plain"]


WAIT_FOR_IMPORTS = """
import sys, time
end = time.time() + 90
while not {"aiohttp", "llmkit.notebook.dispatch"} <= set(sys.modules) and time.time() < end:
    time.sleep(0.1)
print({"aiohttp", "llmkit.notebook.dispatch"} <= set(sys.modules), "openai" in sys.modules)
"""


def test_what_a_call_needs_is_loaded_in_the_background_before_the_first_question(kernel):
    assert kernel.run(WAIT_FOR_IMPORTS).text == "True False\n"  # and no SDK


def test_a_line_fills_double_braces_only(kernel):
    kernel.run("n, secret = 5, 'sk-abcdefghijklmnop1234567890'")
    kernel.run("r = %llm repeat exactly: {{n}} {n} $n {secret}")
    assert kernel.run("print(r)").text == "5 {n} $n {secret}\n"


def test_a_cell_magic_in_a_loop_keeps_what_the_cell_has_shown(kernel):
    result = kernel.run(LOOP)
    assert result.text == "before a\nbefore b\n"
    assert result.data("text/plain") == ["a", "b"]


def test_several_models_are_asked_side_by_side(kernel, ledger):
    result = kernel.run("%%llm sandbox,sandbox-mini -o both -T 0.5\nrepeat exactly: hi")
    assert result.status == "ok"
    assert kernel.run("print([str(both[m]) for m in both.models])").text == "['hi', 'hi']\n"
    assert sorted(rows(ledger, "model, surface")) == [("sandbox", "magic"), ("sandbox-mini", "magic")]


def test_one_unknown_model_among_several_is_reported_before_anything_is_sent(kernel, ledger):
    result = kernel.run("%%llm sandbox,sonet\nHello")
    assert (result.status, result.reply["ename"]) == ("error", "ConfigurationError")
    assert not ledger.exists()


def test_another_packages_exception_ends_the_display_and_is_one_line(kernel):
    kernel.run(BROKEN_CLIENT)
    result = kernel.run("%%llm broken\nHello")
    assert result.reply["ename"] == "LLMClientError"
    assert len(result.reply["traceback"]) == 1
    (html,) = result.data("text/html")
    assert "some text" in html
    assert "●" not in html


def test_a_ledger_that_cannot_be_written_is_reported_under_the_answer(tmp_path):
    kernel = Kernel(
        tmp_path, LLMKIT_LEDGER="/dev/full", LLMKIT_SANDBOX_RATE="0", LLMKIT_SANDBOX_FIRST_TOKEN="0"
    )
    try:
        kernel.run("%load_ext llmkit")
        result = kernel.run("%%llm\nrepeat exactly: hi")
        assert result.data("text/plain") == ["hi"]
        assert "cannot be written" in result.data("text/html")[0]
        assert "✗ ledger" in kernel.run("%llm doctor").text
    finally:
        kernel.close()


def test_a_question_without_a_key_leaves_no_row(kernel, ledger):
    result = kernel.run("%%llm sonnet\nHello")
    assert result.reply["ename"] == "AuthenticationError"
    assert not ledger.exists() or rows(ledger) == []


def test_a_retry_counts_down_and_can_be_interrupted(kernel, ledger):
    shown, times = [], []

    def stop(kernel, result):
        shown.append(" ".join(result.data("text/html")))
        if not times and "attempt 2 in 5" in shown[-1]:
            times.append(time.monotonic())
            kernel.interrupt()

    kernel.run("%%llm -o warm\nHi")
    result = kernel.run("%%llm sandbox:sandbox!429;retry-after=59\nHello", during=stop)
    assert times
    assert time.monotonic() - times[0] < 40  # it does not sit the wait out
    assert any("rate limited (HTTP 429): attempt 2 in" in html for html in shown)
    assert result.reply["ename"] == "Stopped"
    assert not result.text  # no log line beside the countdown
    assert row_of_the_stop(ledger) == ("cancelled",)


def test_a_longer_wait_than_a_minute_is_refused_with_the_time_to_come_back(kernel):
    result = kernel.run("%%llm sandbox:sandbox!429;retry-after=3600\nHello")
    assert result.reply["ename"] == "RateLimitError"
    assert "asks to wait 60 min: try again after" in result.reply["evalue"]


def test_another_model_stands_in_and_is_named(kernel, ledger):
    kernel.run("%config LLMMagics.fallback = ['sandbox:second']")
    result = kernel.run("%%llm sandbox:sandbox!401\nrepeat exactly: hello")
    assert result.data("text/plain") == ["hello"]
    assert "sandbox:sandbox!401 failed; sandbox:second answered." in result.data("text/html")[0]
    assert rows(ledger, "model, fallback_from, attempts") == [("second", "sandbox:sandbox!401", 2)]


def test_a_replayed_answer_costs_nothing_and_says_so(kernel, ledger, tmp_path):
    assert "auto" in kernel.run("%llm replay auto demo.replay").text
    for _ in range(2):
        result = kernel.run("%%llm\nExplain generators.")
    assert "↺ replayed · saved $" in result.data("text/html")[0]
    assert [row[0] for row in rows(ledger)] == ["ok", "replayed"]
    assert rows(ledger, "cost_nanos")[1] == (0,)
    assert (tmp_path / "demo.replay").stat().st_mode & 0o777 == 0o600
    kernel.run("%%llm -r\nExplain generators.")
    kernel.run("%%llm --no-cache\nExplain generators.")
    assert [row[0] for row in rows(ledger)] == ["ok", "replayed", "ok", "ok"]
    kernel.run("%llm replay only demo.replay")
    result = kernel.run("%%llm\nSomething else.")
    assert result.reply["ename"] == "ReplayMissError"
    assert len(rows(ledger)) == 4


OPENAI = """
import os, llmkit
os.environ.update(OPENAI_BASE_URL=llmkit.sandbox.server().url("openai"), OPENAI_API_KEY="no-real-key")
"""


def test_a_cell_over_budget_is_refused_before_anything_leaves(kernel, ledger):
    kernel.run(OPENAI)
    result = kernel.run("%%llm openai:gpt-4o-mini -b 0.0000001\nHello")
    assert result.reply["ename"] == "BudgetExceededError"
    assert "imit of this call $0.0000001" in result.reply["evalue"]
    kernel.run("%llm budget daily=0.00001 per_call=1")
    result = kernel.run("%%llm openai:gpt-4o-mini\nHello")
    assert "aily budget $0.00001: $0.00 spent" in result.reply["evalue"]
    assert rows(ledger) == []
    assert kernel.run("print(len(llmkit.sandbox.server().requests))").text == "0\n"
    shown = kernel.run("%llm budget off").data("text/plain")[0]
    assert "daily        no limit" in shown
    assert kernel.run("%%llm openai:gpt-4o-mini -q\nHello").status == "ok"
    assert len(rows(ledger)) == 1


def test_the_sandbox_passes_every_budget(kernel):
    kernel.run("%llm budget 0")
    assert kernel.run("%%llm\nHello").status == "ok"


def test_a_model_without_a_price_is_asked_about_where_somebody_can_answer(kernel, ledger):
    kernel.run(OPENAI)
    kernel.run("%llm budget daily=5 unpriced=ask")
    result = kernel.run("%%llm openai:nobody-knows\nHello")  # the test's client takes no questions
    assert result.reply["ename"] == "BudgetExceededError"
    assert "allow_model" in result.reply["evalue"]
    kernel.run('llmkit.budget().allow_model("openai:nobody-knows")')
    assert kernel.run("%%llm openai:nobody-knows\nHello").status == "ok"


@pytest.mark.parametrize(("answer", "status", "count"), [("y", "ok", 2), ("n", "error", 0)])
def test_who_is_asked_may_say_yes_for_the_rest_of_the_session(kernel, ledger, answer, status, count):
    kernel.run(OPENAI)
    kernel.run("%llm budget daily=5 unpriced=ask")
    request = kernel.client.execute("%%llm openai:nobody-knows\nHello", allow_stdin=True)
    question = kernel.client.get_stdin_msg(timeout=100)["content"]["prompt"]
    assert question == "The price of openai:nobody-knows is unknown. Send the request anyway? [y/N] "
    kernel.client.input(answer)
    assert kernel._reply(request)["status"] == status
    kernel.run("%%llm openai:nobody-knows\nHello")
    assert len(rows(ledger)) == count


def test_an_alert_is_shown_once(kernel, ledger):
    with charging() as provider:
        kernel.run(f"import os\nos.environ.update(OPENAI_BASE_URL={provider.url!r}, OPENAI_API_KEY='k')")
        kernel.run("%llm budget daily=0.001")
        shown, refused = "", 0
        while not refused:
            result = kernel.run("%%llm openai:gpt-4o-mini -k 60\nCount.")
            shown += " ".join(result.data("text/html"))
            refused += result.status == "error"
    assert shown.count("80% of the daily budget is used") == 1
    assert {row[0] for row in rows(ledger, "simulated")} == {0}


def test_a_server_that_charges_more_than_its_bound_is_reported_once(kernel):
    with charging() as provider:
        kernel.run(f"import os\nos.environ.update(OPENAI_BASE_URL={provider.url!r}, OPENAI_API_KEY='k')")
        kernel.run("%llm budget daily=5")
        kernel.run(
            "from llmkit.clients.accounting import bound_ratio\n"
            "bound_ratio.notice('openai:gpt-4o-mini', 10, 30)"
        )
        results = [kernel.run("%%llm openai:gpt-4o-mini -k 60\nCount.") for _ in range(2)]
    shown = " ".join(text for result in results for text in result.data("text/html"))
    assert shown.count("openai:gpt-4o-mini charged 3.0 times its limit") == 1


def test_the_configuration_turns_replay_on(kernel, ledger, tmp_path):
    kernel.run(f"import os; os.environ['LLMKIT_REPLAY_FILE'] = {str(tmp_path / 'r.replay')!r}")
    kernel.run("%config LLMMagics.replay = 'auto'")
    for _ in range(2):
        kernel.run("%%llm\nHello")
    assert [row[0] for row in rows(ledger)] == ["ok", "replayed"]
