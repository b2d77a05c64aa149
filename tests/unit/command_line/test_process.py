"""The command as a process: pipes, signals, what it loads."""

import os
import subprocess
import sys

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
