"""One answer on the screen: in a real kernel, in a terminal, and on paper."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from llmkit.notebook.display.footer import Footer
from llmkit.notebook.display.live import MIME_TYPE, LiveAnswer, PlainAnswer
from llmkit.notebook.display.rich_answer import FinalAnswer, InlineAnswer, RichAnswer, live_answer
from tests.support.kernels import RUNNING, start_kernel

ROOT = str(Path(__file__).parents[2])
FOOTER = Footer(facts=("sonnet", "$0.0056"))
WORDS = ["the", "model", "writes", "about", "frames", "and", "bold", "ideas", "in", "python", "notebooks"]


def long_answer(size: int) -> str:
    """Markdown as models write it: prose, lists, tables, code."""
    rng = random.Random(1)
    parts: list[str] = []
    while sum(map(len, parts)) < size:
        prose = " ".join(rng.choice(WORDS) for _ in range(rng.randint(30, 110)))
        code = "\n".join(f"    x_{i} = compute({i}, 'abc')  # note" for i in range(rng.randint(4, 25)))
        items = "\n".join("- **item** " + " ".join(rng.choice(WORDS) for _ in range(12)) for _ in range(6))
        rows = "".join(f"| {i} | {rng.choice(WORDS)} |\n" for i in range(8))
        table = f"| a | b |\n|---|---|\n{rows}"
        parts += rng.choices(
            [f"{prose}.\n\n", f"```python\n{code}\n```\n\n", f"{items}\n\n", f"{table}\n"], [6, 2, 1, 1]
        )
    return "".join(parts)


class Front:
    """What a notebook's front end does with the messages."""

    def __init__(self):
        self.outputs: dict[str, dict] = {}
        self.sent = self.messages = self.most = 0
        self.clearing = False

    def publish(self, data, metadata=None, *, transient=None, update=False):
        content = {"data": data, "metadata": metadata or {}, "transient": transient}
        self.sent += len(json.dumps(content, ensure_ascii=False).encode())
        self.messages += 1
        if self.clearing and not update:
            self.outputs, self.clearing = {}, False
        place = transient["display_id"]
        if update == (place in self.outputs):
            self.outputs[place] = data
        self.most = max(self.most, len(self.outputs))

    def clear_output(self, wait):
        assert wait
        self.clearing = True

    @property
    def shown(self):
        return "".join(data["text/html"] for data in self.outputs.values())


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def stream(kind, text, *, rate=80, size=4):
    """Let an answer arrive at so many tokens a second; return the front end and the answer."""
    front, clock = Front(), Clock()
    live = kind(front, clock)
    live.start("sonnet")
    for i in range(0, len(text), size):
        clock.now += 1 / rate
        live.feed(text[i : i + size])
        live.tick()
    return front, live, clock


class TestGrowing:
    @pytest.mark.parametrize("kind", [RichAnswer, InlineAnswer])
    def test_the_status_line_stands_under_the_growing_text(self, kind):
        front, _, _ = stream(kind, "Hello **world**, how", rate=10)
        assert "<strong>world</strong>, how" in front.shown.replace("</p>", "")
        assert "● sonnet · 0.5 s · ≈" in front.shown
        assert front.shown.index("sonnet") > front.shown.index("world")

    @pytest.mark.parametrize("kind", [RichAnswer, InlineAnswer])
    def test_a_pause_counts_down_in_the_status_line(self, kind):
        front, clock = Front(), Clock()
        live = kind(front, clock)
        live.start("sonnet")
        for left in (3, 2, 1):
            clock.now += 1
            live.tick(f"rate limited (HTTP 429): attempt 2 in {left} s")
            assert f"● sonnet · rate limited (HTTP 429): attempt 2 in {left} s" in front.shown
        clock.now += 1
        live.feed("Hello")
        assert "rate limited" not in front.shown

    @pytest.mark.parametrize("kind", [RichAnswer, InlineAnswer])
    @pytest.mark.parametrize("rate", [20, 80, 400])
    def test_what_travels_is_linear_in_the_answer(self, kind, rate):
        text = long_answer(16_000)
        front, live, _ = stream(kind, text, rate=rate)
        live.finish(text, FOOTER, {})
        assert front.sent < 25 * len(text)

    @pytest.mark.parametrize("kind", [RichAnswer, InlineAnswer])
    @pytest.mark.parametrize(
        "text", ["word " * 6_000, "```python\n" + "x = 1\n" * 4_000, "- item\n" * 2_000, "x\n\n" * 6_000]
    )
    def test_an_endless_block_stays_linear_too(self, kind, text):
        front, live, _ = stream(kind, text, rate=1_000, size=16)
        live.finish(text, FOOTER, {})
        assert front.sent < 35 * len(text)  # one span of markup for every two characters, at the worst

    def test_jupyterlab_is_never_given_more_outputs_than_it_shows(self):
        front, _, _ = stream(RichAnswer, "A line.\n\n" * 5_000, rate=300, size=9)
        assert 10 < front.most <= 45

    def test_updates_come_at_most_twelve_times_a_second(self):
        front, live, clock = stream(InlineAnswer, "short " * 10, rate=100)
        assert front.messages <= 2 + 12 * clock.now + 5 * clock.now
        live.finish("x", FOOTER, {})

    @pytest.mark.parametrize("kind", [RichAnswer, InlineAnswer])
    def test_text_flows_after_a_long_wait_and_when_it_comes_slowly(self, kind):
        front, clock = Front(), Clock()
        live = kind(front, clock)
        live.start("sonnet")
        for _ in range(600):
            clock.now += 0.1
            live.tick()
        for number in range(40):
            live.feed(f"word{number}. ")
            for _ in range(21):
                clock.now += 0.1
                live.tick()
            assert f"word{number}" in front.shown

    def test_waiting_costs_little(self):
        front, clock = Front(), Clock()
        live = RichAnswer(front, clock)
        live.start("sonnet")
        for _ in range(600):
            clock.now += 0.1
            live.tick()
        assert front.messages < 120
        assert "● sonnet · 1 min 0 s" in front.shown

    def test_everything_that_was_streamed_is_on_the_screen(self):
        text = long_answer(8_000)
        front, live, clock = stream(RichAnswer, text, rate=50)
        clock.now += 60
        live.tick()
        assert front.shown.count("<strong>item</strong>") == text.count("**item**")


class TestFinal:
    @pytest.mark.parametrize("kind", [RichAnswer, InlineAnswer, FinalAnswer])
    def test_one_output_remains_with_three_kinds_of_data(self, kind):
        front, live, _ = stream(kind, "Hello **world**\n\nMore\n\nText")
        live.finish("Hello **world**", FOOTER, {"model": "sonnet"})
        (data,) = front.outputs.values()
        assert sorted(data) == sorted(["text/html", "text/plain", MIME_TYPE])
        assert "<p>Hello <strong>world</strong></p>" in data["text/html"]
        assert "sonnet · $0.0056" in data["text/html"]
        assert data["text/plain"] == "Hello **world**"
        assert data[MIME_TYPE] == {"model": "sonnet"}

    @pytest.mark.parametrize("status", ["cancelled", "error"])
    def test_what_there_is_of_a_cut_answer_stays_and_is_marked(self, status):
        front, live, _ = stream(RichAnswer, "Hello **wor")
        live.finish("Hello **wor", FOOTER, {}, status)
        assert "<strong>wor</strong>" in front.shown
        assert "llmkit-cut" in front.shown

    def test_a_call_stopped_before_its_first_word_shows_the_footer(self):
        front, live, _ = stream(RichAnswer, "")
        live.finish("", FOOTER, {}, "cancelled")
        (data,) = front.outputs.values()
        assert data["text/plain"] == "sonnet · $0.0056"

    @pytest.mark.parametrize("kind", [RichAnswer, InlineAnswer])
    def test_an_answer_that_never_streamed_is_shown_whole(self, kind):
        front = Front()
        kind(front).finish("All at once", None, {})
        assert len(front.outputs) == 1

    def test_text_that_cannot_be_encoded_does_not_stop_the_display(self):
        front, live, _ = stream(RichAnswer, "a\ud800b\x00")
        live.finish("a\ud800b\x00", FOOTER, {})
        assert front.shown.encode()


class Terminal(io.StringIO):
    def isatty(self):
        return True


class TestTerminal:
    @pytest.fixture(autouse=True)
    def _colours(self, monkeypatch):
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")

    def test_text_is_printed_as_it_comes_and_the_footer_under_it(self):
        out = io.StringIO()
        live = PlainAnswer(out)
        live.start("sonnet")
        live.feed("Hel")
        assert out.getvalue() == "Hel"
        live.feed("lo")
        live.tick()
        live.finish("Hello", FOOTER, {})
        assert out.getvalue() == "Hello\nsonnet · $0.0056\n"

    def test_text_that_did_not_stream_is_printed_once(self):
        out = io.StringIO()
        PlainAnswer(out).finish("Replayed\n", None, {})
        assert out.getvalue() == "Replayed\n"

    def test_a_terminal_shows_the_footer_dimmed(self):
        out = Terminal()
        PlainAnswer(out).finish("x", FOOTER, {})
        assert out.getvalue() == "x\n\x1b[2msonnet · $0.0056\x1b[0m\n"

    def test_a_pause_counts_down_on_one_line_of_a_terminal_and_goes_away(self):
        out = Terminal()
        live = PlainAnswer(out)
        for notice in ("attempt 2 in 2 s", "attempt 2 in 2 s", "attempt 2 in 1 s"):
            live.tick(notice)
        live.feed("Hello")
        erase = "\r\x1b[2K"
        assert out.getvalue() == f"{erase}attempt 2 in 2 s{erase}attempt 2 in 1 s{erase}Hello"

    @pytest.mark.parametrize("variable", [("NO_COLOR", "1"), ("TERM", "dumb")])
    def test_a_terminal_whose_user_wants_no_colours_gets_no_escape_sequences(self, monkeypatch, variable):
        monkeypatch.setenv(*variable)
        out = Terminal()
        live = PlainAnswer(out)
        for notice in ("attempt 2 in 2 s", "attempt 2 in 1 s", ""):
            live.tick(notice)
        live.finish("x", FOOTER, {})
        assert out.getvalue() == "attempt 2 in 2 s\nx\nsonnet · $0.0056\n"

    def test_a_pause_is_one_line_in_a_file(self):
        out = io.StringIO()
        live = PlainAnswer(out)
        for notice in ("attempt 2 in 2 s", "attempt 2 in 1 s", "", "attempt 3 in 1 s"):
            live.tick(notice)
        assert out.getvalue() == "attempt 2 in 2 s\nattempt 3 in 1 s\n"

    def test_a_model_cannot_command_the_terminal(self):
        out = io.StringIO()
        live = PlainAnswer(out)
        live.feed("a\x1b]52;c;cm0gLXJm\x07b\r\x9bc\x08\td")
        assert out.getvalue() == "a]52;c;cm0gLXJmbc\td"

    def test_ipython_in_a_terminal_prints(self):
        code = f"""
            import sys; sys.path.insert(0, {ROOT!r})
            from IPython.terminal.interactiveshell import TerminalInteractiveShell
            from llmkit.notebook.display.rich_answer import live_answer
            live = live_answer(TerminalInteractiveShell.instance(term_title=False))
            live.start("m"); live.feed("Hello"); live.finish("Hello", None, {{}})
        """
        run = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
        )
        assert run.stdout == "Hello\n"


class TestChoice:
    @pytest.fixture
    def shell(self):
        yield InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
        InteractiveShell.clear_instance()

    def test_a_terminal_gets_plain_text(self, shell):
        assert isinstance(live_answer(shell), PlainAnswer)

    def test_quiet_shows_nothing(self, shell, capsys):
        live = live_answer(shell, quiet=True)
        live.start("m")
        live.feed("x")
        live.tick()
        live.finish("x", FOOTER, {})
        assert type(live) is LiveAnswer
        assert capsys.readouterr().out == ""

    def test_a_kernel_gets_a_rich_answer_and_capture_only_its_end(self, shell):
        shell.kernel = object()
        assert isinstance(live_answer(shell), RichAnswer)
        assert isinstance(live_answer(shell, alone=False), InlineAnswer)
        shell.display_pub = CapturingDisplayPublisher()
        live = live_answer(shell)
        live.start("m")
        live.feed("x")
        live.finish("x", FOOTER, {})
        assert len(shell.display_pub.outputs) == 1


CELL = """
import time
from llmkit.notebook.display.footer import Footer
from llmkit.notebook.display.rich_answer import live_answer
text = open({path!r}).read()
live = live_answer(get_ipython(), alone={alone})
live.start("sonnet")
for i in range(0, len(text), 4):
    live.feed(text[i : i + 4])
    time.sleep(0.001)
live.finish(text, Footer(facts=("sonnet",)), {{"model": "sonnet"}})
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    env = {
        "PATH": str(Path(sys.executable).parent),
        "HOME": str(home),
        "IPYTHONDIR": str(home),
        "PYTHONPATH": ROOT,
    }
    manager, client = start_kernel(env=env)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def run_cell(client, code):
    """Run a cell; return its outputs as a notebook would keep them, and the bytes that they took."""
    front, wrong = Front(), []

    def take(message):
        kind, content = message["msg_type"], message["content"]
        if kind in ("display_data", "update_display_data"):
            transient = content.get("transient") or {"display_id": message["header"]["msg_id"]}
            front.publish(
                content["data"], content["metadata"], transient=transient, update=kind.startswith("update")
            )
        elif kind == "clear_output":
            front.clear_output(**content)
        elif kind in ("error", "stream"):
            wrong.append(content)

    reply = client.execute_interactive(code, output_hook=take, timeout=90)
    assert (reply["content"]["status"], wrong) == ("ok", [])
    return front


@pytest.mark.kernel
class TestKernel:
    @pytest.mark.full
    def test_a_long_answer_ends_as_one_output_and_stays_linear(self, kernel, tmp_path):
        text = long_answer(16_000)
        (tmp_path / "answer.md").write_text(text)
        front = run_cell(kernel, CELL.format(path=str(tmp_path / "answer.md"), alone=True))
        (data,) = front.outputs.values()
        assert data["text/plain"] == text
        assert data[MIME_TYPE] == {"model": "sonnet"}
        assert front.messages > 20
        assert front.sent <= 25 * len(text)

    def test_an_answer_among_other_outputs_leaves_them_alone(self, kernel, tmp_path):
        (tmp_path / "answer.md").write_text("Hello **world**\n\nagain")
        before = "from IPython.display import HTML; display(HTML('mine'))"
        front = run_cell(kernel, before + CELL.format(path=str(tmp_path / "answer.md"), alone=False))
        mine, answer = front.outputs.values()
        assert mine["text/html"] == "mine"
        assert answer["text/plain"] == "Hello **world**\n\nagain"

    def test_a_saved_notebook_holds_one_output(self, tmp_path, monkeypatch):
        monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
        import nbformat
        from nbclient import NotebookClient

        (tmp_path / "answer.md").write_text(long_answer(1_500))
        path = f"import sys; sys.path.insert(0, {ROOT!r})"
        cell = nbformat.v4.new_code_cell(path + CELL.format(path=str(tmp_path / "answer.md"), alone=True))
        notebook = NotebookClient(nbformat.v4.new_notebook(cells=[cell]), **RUNNING).execute()
        (output,) = notebook.cells[0].outputs
        assert output.output_type == "display_data"
        assert 'class="llmkit' in output.data["text/html"]
