"""The command as a process: what it loads, Ctrl+C, a reader that leaves, a shell that completes."""

import signal
import subprocess
import sys
import urllib.request
from contextlib import closing

import pytest

from llmkit.costs.ledger import Ledger
from tests.support.processes import unmeasured

LLMKIT = (sys.executable, "-m", "llmkit")
LONG = "Write a long story about the rivers of the world"

LOADED = """
import sys
from llmkit.command_line.main import main
try:
    main({words})
except SystemExit:
    pass
heavy = "IPython pandas matplotlib ipywidgets argcomplete aiohttp llmkit.notebook sqlite3"
print(*sorted({{*heavy.split()}} & {{*sys.modules}}))
"""


@pytest.fixture
def own(tmp_path):
    return unmeasured() | {
        "LLMKIT_LEDGER": str(tmp_path / "ledger.sqlite"),
        "LLMKIT_SANDBOX": "1",
        "PYTHONIOENCODING": "ascii",
    }


def loaded(own, *words):
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(words=words)],
        input="", env=own, capture_output=True, text=True, encoding="utf-8", check=True, timeout=250,
    )  # fmt: skip
    return done.stdout.splitlines()


def status_of_the_only_call(tmp_path):
    with closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        (status,) = ledger.df["status"]
    return status


def test_the_version_loads_nothing_heavy(own):
    _, heavy = loaded(own, "--version")
    assert heavy == ""


@pytest.mark.full
def test_a_question_loads_no_notebook_and_a_pipe_is_utf_8(own):
    answer, heavy = loaded(own, "ask", "repeat exactly: Köln", "-q")
    assert answer == "Köln"
    assert heavy == "aiohttp llmkit.notebook sqlite3", "of the notebook only what needs no IPython"


def test_ctrl_c_keeps_the_text_so_far(own, tmp_path):
    slow = own | {"LLMKIT_SANDBOX_RATE": "10", "LLMKIT_SANDBOX_FIRST_TOKEN": "0"}
    with subprocess.Popen(
        [*LLMKIT, "ask", LONG],
        env=slow,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        first = process.stdout.read(5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=250)
    assert process.returncode == 130, err
    assert len(first) == 5
    assert out.endswith(b"\n")
    assert "stopped" in err.decode()
    assert b"Traceback" not in err
    assert status_of_the_only_call(tmp_path) == "cancelled"


@pytest.mark.full
def test_a_reader_that_leaves_ends_the_call_quietly(own, tmp_path):
    slow = own | {"LLMKIT_SANDBOX_RATE": "10", "LLMKIT_SANDBOX_FIRST_TOKEN": "0"}
    with subprocess.Popen(
        [*LLMKIT, "ask", LONG],
        env=slow,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.read(5)
        process.stdout.close()
        err = process.stderr.read()
        process.wait(250)
    assert (process.returncode, err) == (141, b"")
    assert status_of_the_only_call(tmp_path) == "cancelled"


@pytest.mark.full
def test_a_shell_completes_commands_options_and_models(own, tmp_path):
    def completed(line):
        file = tmp_path / "completions"
        asked = own | {
            "_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(file), "_ARGCOMPLETE_IFS": "\n",
            "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        }  # fmt: skip
        subprocess.run([*LLMKIT], env=asked, check=True, capture_output=True, timeout=250)
        return file.read_text(encoding="utf-8").split("\n")

    assert completed("llmkit dash") == ["dashboard"]
    assert "--simulated" in completed("llmkit cost --si")
    assert "haiku" in completed("llmkit ask -m hai")


@pytest.mark.full
def test_metrics_are_served_until_the_command_is_interrupted(own):
    subprocess.run([*LLMKIT, "ask", "hi"], env=own, input="", capture_output=True, text=True, check=True)
    words = [*LLMKIT, "metrics", "--port", "0"]
    with subprocess.Popen(words, env=own, stdout=subprocess.PIPE, text=True) as server:
        address = server.stdout.readline().strip()
        with urllib.request.urlopen(address, timeout=60) as response:
            text = response.read().decode()
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
    assert address.startswith("http://127.0.0.1:")
    assert 'provider="sandbox",simulated="true",status="ok"} 1.0' in text


@pytest.mark.full
def test_a_call_that_cannot_be_written_is_one_message_after_the_answer(own, tmp_path):
    place = tmp_path / "file"
    place.write_text("no folder")
    done = subprocess.run(
        [*LLMKIT, "ask", "repeat exactly: Rhine"], env=own | {"LLMKIT_LEDGER": str(place / "ledger.sqlite")},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, encoding="utf-8", check=True, timeout=250,
    )  # fmt: skip
    answer, price, message = done.stdout.splitlines()
    assert (answer, "simulated" in price) == ("Rhine", True)
    assert message.startswith("1 call could not be written to the ledger ")
