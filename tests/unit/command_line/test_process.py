"""The command as a process: pipes, signals, what it loads."""

import os
import signal
import subprocess
import sys
import urllib.request

import pytest

LLMKIT = (sys.executable, "-m", "llmkit")

LOADED = """
import sys
from llmkit.command_line.main import main
main(["ask", "repeat exactly: Rhine"])
print(sorted({"IPython", "pandas", "matplotlib", "ipywidgets", "argcomplete"} & set(sys.modules)))
"""


def surroundings(tmp_path):
    return os.environ | {"LLMKIT_LEDGER": str(tmp_path / "ledger.sqlite"), "LLMKIT_SANDBOX": "1"}


def test_a_question_loads_no_notebook_and_is_in_the_ledger(tmp_path):
    own = surroundings(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        input="",
        env=own,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    assert done.stdout == "Rhine\n[]\n"
    assert "simulated" in done.stderr
    cost = subprocess.run(
        [*LLMKIT, "cost", "surface", "--csv"],
        env=own,
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    assert cost.stdout.splitlines()[1].startswith("cli,1,0,")


@pytest.mark.full
def test_metrics_are_served_until_the_command_is_interrupted(tmp_path):
    own = surroundings(tmp_path)
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
