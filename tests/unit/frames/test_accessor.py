"""`df.llm` is registered without loading what it is for; an interrupt ends a job with what it has."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

IMPORTS = {
    "nothing is loaded": "import sys, llmkit.frames; assert not {'pandas', 'polars'} & sys.modules.keys()",
    "pandas comes later": "import llmkit.frames, pandas; print(pandas.DataFrame({'a': [1]}).llm)",
    "pandas was there": "import pandas, llmkit.frames; print(pandas.DataFrame({'a': [1]}).llm)",
    "polars comes later": "import llmkit.frames, polars; print(polars.DataFrame({'a': [1]}).llm)",
    "from the package": "import llmkit, pandas; llmkit.frames.map; print(pandas.DataFrame({'a': [1]}).llm)",
    "help": "import llmkit.frames, pandas, inspect; print(inspect.signature(pandas.DataFrame().llm.map))",
}


@pytest.mark.parametrize("case", IMPORTS)
def test_the_accessor_is_there_and_loads_no_frames(case):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORTS[case]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = {"nothing is loaded": "", "help": "(prompt: "}.get(case, "<llmkit on 1 rows: map, ")
    assert done.stdout.startswith(expected)


SCRIPT = """
import sys
import pandas as pd
from llmkit import OpenAIClient
from llmkit.frames import JobStopped, map
client = OpenAIClient("k", sys.argv[1], model="gpt-4o-mini", max_retries=0)
frame = pd.DataFrame({"n": range(500)})
try:
    map(frame, "row {{n}}", model=client, max_concurrent=2, progress=False)
except JobStopped as stopped:
    print(isinstance(stopped, KeyboardInterrupt), stopped.reason, stopped.frame["llm"].notna().sum(), stopped)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
def test_an_interrupt_ends_a_job_with_what_it_has(rows, tmp_path):
    rows.delay, rows.wanted = 0.02, 30
    own = os.environ | {"LLMKIT_LEDGER": str(tmp_path / "ledger.sqlite")}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, rows.url], env=own, stdout=subprocess.PIPE, text=True
    )
    while not rows.enough.wait(0.1):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    is_interrupt, reason, answered, text = said.split(maxsplit=3)
    assert (is_interrupt, reason) == ("True", "interrupted")
    assert 28 <= int(answered) < 500
    assert text.startswith(f"Stopped after {answered} of 500 rows: interrupted.")
    assert "Run the cell again" in text
