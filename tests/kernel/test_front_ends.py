"""Chat and dashboard where widgets need help, or are none: Colab, plain front ends, a terminal."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from llmkit.notebook.display.saved_copies import WIDGET
from tests.support.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.full]

COLAB = {
    "google/__init__.py": "",
    "google/colab/__init__.py": "from google.colab import output",
    "google/colab/output.py": "calls = []\ndef enable_custom_widget_manager():\n    calls.append(1)\n",
}
MADE = "import llmkit\nchat = llmkit.Chat('sandbox')\nboard = llmkit.ledger.dashboard()\n"
SWITCH = "google.colab.output.enable_custom_widget_manager()"
CHAT = 'This front end shows no widgets: use .ask("…"), .df and .export("chat.md").'
BOARD = 'This front end shows no widgets: use .dashboard(by="day"), .df and .export("png").'


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("front_ends")
    for name, code in COLAB.items():
        path = folder / "runtime" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    kernel = Kernel(folder, LLMKIT_SANDBOX_RATE="0", LLMKIT_SANDBOX_FIRST_TOKEN="0")
    kernel.run(f"{MADE}import sys\nsys.path.insert(0, 'runtime')\nsys.modules.pop('google', None)")
    yield kernel
    kernel.close()


def test_a_front_end_without_widgets_shows_one_line_in_their_place_that_says_how_to_go_on(kernel):
    for name, line in {"chat": CHAT, "board": BOARD}.items():
        first = kernel.run(name).outputs[0]["data"]
        assert set(first) == {WIDGET, "text/plain"}
        assert first["text/plain"] == line


def test_what_that_line_names_works_without_a_widget(kernel):
    kernel.run("_ = chat.ask('repeat exactly: Hello')")
    assert "Hello" in kernel.run("chat").data("text/html")[-1]
    done = kernel.run(
        "print(len(chat.messages), len(chat.df), chat.export('chat.md').name)\n"
        "again = llmkit.ledger.dashboard(by='day', metric='calls')\n"
        "print(len(again.df), again.export('png').suffix)"
    )
    assert done.text.split() == ["2", "2", "chat.md", "1", ".png"]


def test_colabs_switch_for_widgets_is_neither_imported_nor_named_where_colab_has_not_loaded_it(kernel):
    assert kernel.run("import google.colab.output; print(google.colab.output.calls)").text == "[]\n"
    kernel.run("for name in [n for n in sys.modules if n.startswith('google.colab')]: del sys.modules[name]")
    assert kernel.run("chat").text == ""
    assert kernel.run("print('google.colab' in sys.modules)").text == "False\n"


def test_colabs_switch_is_turned_on_once_and_said_once_before_the_first_widget(kernel):
    kernel.run("import google.colab")
    first = kernel.run("chat")
    assert first.text == f"llmkit turned on custom widgets in Colab: {SWITCH}.\n"
    assert [output["type"] for output in first.outputs] == ["stream", "display_data", "display_data"]
    assert kernel.run("board").text == ""
    assert kernel.run("chat\nprint(google.colab.output.calls)").text == "[1]\n"


def test_a_terminal_shows_the_conversation_the_figures_and_the_line(tmp_path):
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path), "LLMKIT_SANDBOX_RATE": "0"}
    script = f"{MADE}chat\n_ = chat.ask('repeat exactly: one'); chat\nboard\n"
    command = [sys.executable, "-m", "IPython", "--no-banner", "--simple-prompt", "--no-confirm-exit"]
    done = subprocess.run(
        [*command, "--colors=NoColor", "--TerminalInteractiveShell.term_title=False"],
        input=script,
        capture_output=True,
        text=True,
        timeout=250,
        check=True,
        env=environment,
    )
    assert done.stdout.count(CHAT) == 2
    assert f"<Chat with sandbox: 0 messages>\n{CHAT}" in done.stdout
    assert "one" in done.stdout.split(CHAT)[1]
    assert BOARD in done.stdout
