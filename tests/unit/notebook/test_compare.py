"""Several models asked at once: what is shown, what is known before, what can be done with the answers."""

from __future__ import annotations

import _thread
import asyncio
import io
import json
import threading
import time

import html5lib
import pytest

import llmkit
from llmkit import BudgetExceededError, ConfigurationError, LLMClientError, sandbox
from llmkit.clients.registry import resolve
from llmkit.content.messages import LLMMessage
from llmkit.notebook.compare.compare import run_compare
from llmkit.notebook.compare.comparison import Comparison, ModelAnswer
from llmkit.notebook.compare.drawing import final, grid
from llmkit.notebook.compare.live_columns import LiveColumns, PlainColumns
from llmkit.notebook.compare.measures import tokens_per_second
from llmkit.notebook.compare.merged_streams import ModelRun, merge_streams
from llmkit.notebook.compare.rich_columns import RichColumns
from llmkit.notebook.display.error_messages import Stopped
from tests.kernel.test_live import Clock, Front, long_answer
from tests.support.billing import charging
from tests.support.kernels import Kernel
from tests.support.shells import opened

ONE, TWO, BROKEN = "sandbox:sandbox", "sandbox:sandbox!finish=stop", "sandbox:sandbox!status=401"


class Meeting(llmkit.BaseLLMClient):
    """Writes on only when another call is under way, too."""

    gate = threading.Barrier(2, timeout=20)

    def __init__(self):
        super().__init__("meeting")

    async def generate_text(self, messages, model=None, **options):
        raise NotImplementedError

    async def stream_text(self, messages, model=None, **options):
        yield "here "
        await asyncio.to_thread(self.gate.wait)
        yield "there"

    async def close(self):
        pass


class Odd(Meeting):
    async def stream_text(self, messages, model=None, **options):
        yield "some text"
        raise LookupError("no")


llmkit.register("meeting", Meeting)
llmkit.register("odd", Odd)


def answer(label, **changes):
    facts = {"prompt_tokens": 10, "completion_tokens": 90, "cost_estimate": 0.01, "response_time": 2.0}
    outcome = llmkit.LLMResponse("Hi", "openai", "gpt", **{**facts, "first_token_s": 0.5, **changes})
    return ModelAnswer(label=label, provider="openai", model="gpt", status="ok", text="Hi", outcome=outcome)


def under_way():
    """How many answers of the sandbox have begun and are not over."""
    return sum(request.outcome == "open" and request.chunks > 1 for request in sandbox.server().requests)


def failed(label, message="No such model.", text=""):
    error = LLMClientError(message)
    return ModelAnswer(label=label, provider="openai", model="gpt", status="error", text=text, error=error)


class TestAsking:
    def test_every_model_answers_and_leaves_a_row(self, recorder):
        found = llmkit.compare("repeat exactly: hello", [ONE, TWO])
        assert [str(found[model]) for model in found] == ["hello", "hello"]
        assert recorder.statuses == ["ok", "ok"]

    def test_models_can_be_one_text_with_commas(self, recorder):
        assert llmkit.compare("Hi", f"{ONE}, {TWO}").models == [ONE, TWO]

    def test_one_failure_does_not_stop_the_others(self, recorder):
        found = llmkit.compare("Hi", [ONE, BROKEN, TWO])
        assert found.df["status"].tolist() == ["ok", "error", "ok"]
        assert isinstance(found[BROKEN], llmkit.AuthenticationError)
        assert found.df.loc[BROKEN, "error"] == "AuthenticationError"

    def test_a_failure_in_the_middle_keeps_the_partial_text(self, recorder):
        found = llmkit.compare("Hi", ["sandbox:sandbox!cut=3", ONE])
        assert found.entries[0].status == "error"
        assert found.entries[0].text == found[found.models[0]].partial != ""

    def test_the_models_answer_side_by_side(self, recorder):
        found = llmkit.compare("Hi", ["meeting:a", "meeting:b"])
        assert [str(found[model]) for model in found] == ["here there", "here there"]

    def test_what_another_packages_client_raises_is_that_models_error(self, recorder):
        found = llmkit.compare("Hi", ["odd:x", ONE])
        assert "LookupError: no" in str(found["odd:x"])
        assert found.entries[0].text == "some text"

    def test_a_typing_error_is_refused_before_anything_is_sent(self, recorder):
        with pytest.raises(ConfigurationError, match="nonet"):
            llmkit.compare("Hi", [ONE, "nonet"])
        assert recorder.records == []

    @pytest.mark.parametrize("models", ["", "a,,b", [], [ONE] * 13])
    def test_no_name_and_too_many_are_refused(self, models):
        with pytest.raises(ConfigurationError):
            llmkit.compare("Hi", models)

    def test_a_model_may_be_asked_twice(self, recorder):
        assert llmkit.compare("Hi", [ONE, ONE]).models == [ONE, f"{ONE} #2"]

    def test_the_most_it_can_cost_is_known_and_holds(self, recorder):
        found = llmkit.compare("Hi", [ONE, TWO], max_tokens=100)
        assert 0 < found.cost < found.most_usd < 0.01

    def test_an_unknown_price_makes_the_sum_unknown(self):
        assert Comparison([answer("a"), answer("b", cost_estimate=None)]).cost is None

    def test_a_limit_holds_for_each_call(self):
        with pytest.MonkeyPatch.context() as patch, charging() as provider:
            patch.setenv("OPENAI_API_KEY", "no-real-key")
            patch.setenv("OPENAI_BASE_URL", provider.url)
            context = {"cap_nanos": 1}
            found = run_compare([LLMMessage("user", "Hi")], ["openai:gpt-4o-mini", ONE], context=context)
            assert provider.requests == 0
        assert isinstance(found["openai:gpt-4o-mini"], BudgetExceededError)
        assert found.entries[1].status == "ok"

    async def test_it_can_be_awaited(self, recorder):
        found = await llmkit.acompare("repeat exactly: hello", [ONE, BROKEN])
        assert str(found[ONE]) == "hello"

    async def test_a_cancelled_comparison_cancels_every_call(self, recorder):
        task = asyncio.create_task(llmkit.acompare("Hi", ["sandbox:sandbox!stall=2"] * 2))
        while under_way() < 2:  # noqa: ASYNC110 - the server runs in a thread of its own
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert recorder.statuses == ["cancelled", "cancelled"]

    @pytest.mark.parametrize("turns", range(8))
    async def test_a_cancellation_that_comes_together_with_text_is_not_lost(self, turns):
        class Stream:
            text, response, gate = "", None, asyncio.Event()

            async def __aiter__(self):
                while True:
                    await self.gate.wait()
                    self.gate.clear()
                    yield "text"

            async def aclose(self):
                pass

        async def read():
            run = ModelRun(label="a", name=resolve("sandbox"), stream=Stream())
            async for _ in merge_streams([run]):
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.01)  # it waits for text by now
        Stream.gate.set()
        for _ in range(turns):  # of the loop, until the text has arrived
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


class TestResult:
    def test_the_best_by_each_measure(self):
        found = Comparison(
            [
                answer("dear", cost_estimate=0.5, response_time=1.0),
                answer("slow", first_token_s=0.1),
                failed("x"),
            ]
        )
        assert [found.best(by) for by in ("cost", "time", "first_token", "tokens_per_s")] == [
            "slow", "dear", "slow", "dear"
        ]  # fmt: skip

    def test_a_replayed_answer_counts_with_the_price_it_saved_and_without_a_time(self):
        replayed = answer("replayed", cost_estimate=0.0, replayed=True, saved_cost=0.3, response_time=0.001)
        found = Comparison([replayed, answer("asked")])
        assert found.best("cost") == found.best("time") == "asked"
        assert found.df.loc["replayed", "status"] == "replayed"

    def test_an_unknown_and_a_missing_measure_say_what_to_do(self):
        with pytest.raises(ConfigurationError, match="Use one of: cost, time"):
            Comparison([answer("a")]).best("beauty")
        with pytest.raises(ConfigurationError, match="No answer has a known cost"):
            Comparison([failed("a")]).best("cost")

    def test_the_frame_has_numbers_and_gaps_for_unknown_values(self):
        frame = Comparison([answer("a"), failed("b")]).df
        assert frame["cost_usd"].dtype == "float64"
        assert frame["output_tokens"].dtype == "Int64"
        assert frame.loc["b", ["cost_usd", "output_tokens"]].isna().all()
        assert list(frame["error"]) == [None, "LLMClientError"]

    def test_only_an_unusual_end_is_mentioned(self):
        assert "finish" not in str(final(Comparison([answer("a")]))["text/plain"])
        odd = answer("a", finish_reason="tool_calls")
        assert "finish: tool_calls" in str(final(Comparison([odd]))["text/plain"])

    def test_in_a_terminal_the_last_line_of_a_cell_is_not_empty(self):
        with opened() as shell:
            shell.do("import llmkit")
            said = shell.do(f"llmkit.compare('repeat exactly: hi', ['{ONE}', '{TWO}'])").text
        assert said.rstrip().endswith(f"<Comparison of {ONE}, {TWO}>")

    def test_keeping_an_answer_tells_who_wants_to_know(self):
        kept = []
        found = Comparison([answer("a"), failed("b")], on_keep=kept.append)
        assert found.keep("a") is kept[0] is found["a"]
        with pytest.raises(LLMClientError, match="No such model"):
            found.keep("b")
        with pytest.raises(KeyError, match="is not in this comparison of a, b"):
            found.keep("c")

    def test_a_stopped_answer_is_an_error_with_its_partial_text(self):
        entry = ModelAnswer(label="a", provider="p", model=None, status="cancelled", text="half")
        assert Comparison([entry])["a"].partial == "half"

    def test_the_chart_shows_what_is_known_and_says_what_is_not(self):
        axes = Comparison([answer("a$b"), failed("b"), answer("c", cost_estimate=None)]).plot()
        axes.figure.canvas.draw()
        assert [text.get_text().split("  ")[0] for text in axes.get_legend().get_texts()] == ["a$b"]
        assert "3 answers; left out: 2 without a known price" in axes.texts[0].get_text()

    def test_the_chart_counts_simulated_answers_apart_from_paid_ones(self):
        paid, free = answer("a"), answer("b", simulated=True)
        mixed, simulated = ([paid, free, free], [free, free])
        mixed, simulated = (Comparison(answers).plot().texts[0].get_text() for answers in (mixed, simulated))
        assert mixed.startswith("3 answers, 2 of them simulated: not real money")
        assert simulated.startswith("2 answers: not real money")

    def test_the_chart_names_every_model_apart_from_the_dots(self):
        axes = Comparison([answer(f"model-{number}") for number in range(12)]).plot()
        axes.figure.draw_without_rendering()
        legend = axes.get_legend().get_window_extent()
        assert len(axes.get_legend().get_texts()) == 12
        assert axes.transData.transform(axes.collections[0].get_offsets())[:, 0].max() < legend.x0
        words = [label for label in axes.get_xticklabels() if label.get_text()]
        assert max(word.get_window_extent().x1 for word in words) < legend.x0

    def test_the_chart_of_answers_without_a_price_says_so(self):
        axes = Comparison([answer("a", cost_estimate=None)]).plot()
        assert axes.texts[0].get_text() == "No answer has a known price."

    def test_text_that_comes_all_at_once_has_no_speed(self):
        assert tokens_per_second(answer("a", response_time=0.51).outcome) is None
        assert tokens_per_second(answer("a").outcome) == 60


def runs(*labels):
    return [ModelRun(label=label, name=resolve("sandbox")) for label in labels]


def stream(texts, *, alone=True, rate=80):
    """Let answers arrive in turn at so many tokens a second each; return the front end and the comparison."""
    front, clock = Front(), Clock()
    live = RichColumns(front, alone=alone, clock=clock)
    live.start(runs(*map(str, range(len(texts)))), "3 models · at most $1 in all")
    for start in range(0, max(map(len, texts)), 4):
        clock.now += 1 / rate
        for number, text in enumerate(texts):
            live.feed(number, text[start : start + 4])
    entries = [
        ModelAnswer(label=str(n), provider="p", model="m", status="ok", text=text)
        for n, text in enumerate(texts)
    ]
    return front, live, Comparison(entries)


class TestColumns:
    @pytest.mark.parametrize("alone", [True, False])
    @pytest.mark.parametrize("size", [4_000, 16_000, 64_000])
    def test_what_travels_is_linear_in_the_answers(self, alone, size):
        texts = [long_answer(size), long_answer(size // 2), long_answer(size)]
        front, live, comparison = stream(texts, alone=alone)
        live.finish(comparison)
        assert front.sent < 25 * sum(map(len, texts)) + 24_000
        assert len(front.outputs) == 1

    def test_the_columns_grow_and_the_price_stands_under_them(self):
        front, _, _ = stream(["Hello **wor", "Second"], rate=2)
        assert "<strong>wor</strong>" in front.shown
        assert "Second" in front.shown
        assert "at most $1 in all" in front.shown

    def test_updates_come_at_most_twelve_times_a_second(self):
        front, live, _ = stream(["short " * 40] * 2, rate=200)
        assert front.messages <= 4 + 12 * live._clock.now

    def test_waiting_costs_little(self):
        front, clock = Front(), Clock()
        live = RichColumns(front, alone=True, clock=clock)
        live.start(runs("a", "b", "c"), "x")
        for _ in range(6_000):
            clock.now += 0.01
            live.tick()
        assert front.messages < 130
        assert front.sent < 40_000

    def test_a_failed_column_says_why_and_is_marked(self):
        html = final(Comparison([answer("a"), failed("b", "It\nbroke <b>.", "half **wor")]))["text/html"]
        assert "LLMClientError: It broke &lt;b&gt;." in html
        assert "<strong>wor</strong>" in html
        assert html.count("llmkit-column llmkit-cut") == 1

    def test_what_is_saved_holds_no_text_besides_html_and_plain(self):
        data = final(Comparison([answer("a"), failed("b")]))
        assert set(data) == {"text/html", "text/plain", "application/vnd.llmkit.v1+json"}
        facts = json.dumps(data["application/vnd.llmkit.v1+json"])
        assert "Hi" not in facts
        assert "0.01" in facts

    @pytest.mark.parametrize("count", [2, 4])
    def test_columns_that_scroll_can_be_reached_with_the_keyboard(self, count):
        html = html5lib.parse(grid(["a"] * count, ""), namespaceHTMLElements=False)
        (region,) = html.findall(".//div[@tabindex='0'][@role='region'][@aria-label='Answers']")
        assert ("llmkit-many" in region.get("class")) == (count > 3)

    def test_a_script_shows_nothing(self, capsys):
        llmkit.compare("Hi", [ONE])
        assert capsys.readouterr().out == ""
        LiveColumns().finish(Comparison([]))


class TestTerminal:
    def test_sections_come_one_after_the_other(self):
        out = io.StringIO()
        live = PlainColumns(out)
        live.start(runs("a", "b"), "2 models · at most $1 in all")
        live.feed(1, "se\x1b[31mcond")
        live.feed(0, "fir")
        live.feed(0, "st")
        live.end(1, failed("b", text="second"))
        live.end(0, answer("a"))
        live.finish(Comparison([answer("a"), failed("b")]))
        lines = [line for line in out.getvalue().splitlines() if line]
        assert lines[:3] == ["2 models · at most $1 in all", "── a ──", "first"]
        assert lines[4:6] == ["── b ──", "se[31mcond"]
        assert "LLMClientError: No such model." in lines[6]


def test_an_interrupt_ends_in_stopped_and_cancels_every_call(recorder):
    def interrupt():
        while under_way() < 2:
            time.sleep(0.01)
        _thread.interrupt_main()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Stopped):
        run_compare([LLMMessage("user", "Hi")], ["sandbox:sandbox!stall=2", "sandbox:sandbox!stall=3"])
    thread.join()
    assert recorder.statuses == ["cancelled", "cancelled"]


@pytest.mark.kernel
def test_in_a_kernel_columns_are_one_output_and_an_interrupt_keeps_their_texts(tmp_path):
    kernel = Kernel(tmp_path, LLMKIT_LEDGER=":memory:", LLMKIT_SANDBOX_FIRST_TOKEN="0")
    kernel.run("%load_ext llmkit\nimport llmkit")
    both = "sandbox:sandbox!rate=0,sandbox:sandbox!rate=0"
    done = kernel.run(f"found = llmkit.compare('repeat exactly: **hi**', '{both}')\nfound")
    assert len(done.outputs) == 1
    assert done.data("text/html")[0].count("<strong>hi</strong>") == 2
    assert kernel.run("found").data("text/html")[0].count("<strong>hi</strong>") == 2

    def stop(kernel, result):
        text = "".join(result.data("text/html"))
        if not asked and text.count("Hello!") == 2:
            asked.append(True)
            kernel.interrupt()

    asked = []
    stopped = kernel.run("%%llm sandbox:sandbox!stall=9,sandbox:sandbox!stall=8\nHello", during=stop)
    kernel.close()
    assert stopped.reply["ename"] == "Stopped"
    (html,) = [output["data"]["text/html"] for output in stopped.outputs if "data" in output]
    assert html.count("Hello!") == html.count("⏹ stopped") == 2
