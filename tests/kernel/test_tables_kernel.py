"""Tables in a real kernel: one line that is replaced, an interrupt that says how to go on, a plan."""

from __future__ import annotations

import re

import pytest

from tests.support.kernels import Kernel
from tests.support.rows import StuckServer

pytestmark = [pytest.mark.kernel, pytest.mark.full]

SETUP = """
import sys
import pandas as pd
import llmkit.frames
model = llmkit.OpenAIClient("k", "{url}", model="gpt-4o-mini", max_retries=0)
frame = pd.DataFrame({{"n": range(200)}})
"""
ASK = 'answered = frame.llm.map("row {{n}}", model=model, max_concurrent=4)'


@pytest.fixture
def kernel(tmp_path):
    kernel = Kernel(
        tmp_path,
        LLMKIT_LEDGER=str(tmp_path / "ledger.sqlite"),
        LLMKIT_SANDBOX_RATE="0",
        LLMKIT_SANDBOX_FIRST_TOKEN="0",
    )
    yield kernel
    kernel.close()


@pytest.fixture
def server():
    with StuckServer() as server:
        yield server


def interrupt_when_stuck(kernel, result):
    """Interrupt a job when 40 rows are answered."""
    shown = [message["content"]["data"]["text/plain"] for message in result.messages if is_line(message)]
    if any(line.startswith("40/200") for line in shown) and not getattr(result, "interrupted", False):
        result.interrupted = True
        kernel.interrupt()


def is_line(message):
    kinds = ("display_data", "update_display_data")
    return message["msg_type"] in kinds and "text/plain" in message["content"]["data"]


def test_a_job_shows_one_output_whose_last_state_is_saved(kernel):
    kernel.run("import pandas as pd, llmkit.frames")
    result = kernel.run(
        'pd.DataFrame({"n": range(30)}).llm.map("echo {{n}}", model="sandbox", max_concurrent=2);'
    )
    (output,) = result.outputs
    assert output["data"]["text/plain"].startswith("30/30 · $0.")
    assert "<progress" not in output["data"]["text/html"]
    assert "30/30" in output["data"]["text/html"]


def test_a_job_that_finds_all_answers_shows_no_line(kernel):
    kernel.run("import pandas as pd, llmkit.frames")
    asked = 'pd.DataFrame({"n": range(3)}).llm.map("echo {{n}}", model="sandbox");'
    kernel.run(asked)
    assert kernel.run(asked).outputs == []


@pytest.mark.parametrize("load", ["", "%load_ext llmkit"], ids=["import", "load_ext"])
def test_an_interrupted_job_says_how_to_go_on_and_does_when_the_cell_is_run_again(kernel, server, load):
    kernel.run(f"{load}\n{SETUP.format(url=server.url)}")
    stopped = kernel.run(ASK, during=interrupt_when_stuck)
    assert (stopped.status, stopped.reply["ename"]) == ("error", "JobInterrupted")
    assert stopped.reply["evalue"].startswith("Stopped after 40 of 200 rows: interrupted.")
    assert "Run the cell again to go on: what was answered is not paid again." in stopped.reply["evalue"]
    line = stopped.outputs[0]["data"]["text/plain"]
    assert re.fullmatch(r"40/200 · \$[\d.]+ of ≈\$[\d.]+", line)
    assert kernel.run("print(sys.last_value.frame['llm'].notna().sum())").text == "40\n"
    server.go_on()
    again = kernel.run(ASK)
    assert again.outputs[-1]["data"]["text/plain"].startswith("200/200 · $")
    assert len(set(server.asked)) == 200
    assert len(server.asked) <= 204  # those under way were asked again


def test_the_line_of_a_job_in_a_coroutine_is_one_output_too(kernel):
    kernel.run("import pandas as pd, llmkit.frames")
    result = kernel.run(
        'await pd.DataFrame({"n": range(30)}).llm.amap("echo {{n}}", model="sandbox", max_concurrent=2);'
    )
    assert [output["data"]["text/plain"].split(" ")[0] for output in result.outputs[:1]] == ["30/30"]


def test_a_plan_is_a_table_of_costs_and_its_text_stays(kernel):
    kernel.run("import pandas as pd, llmkit.frames")
    result = kernel.run(
        'frame = pd.DataFrame({"n": ["<b>x</b>"] * 3})\n'
        'frame.llm.map("say {{n}}", model="openai:gpt-5.4-mini", dry_run=True)'
    )
    (text,), (html,) = result.data("text/plain"), result.data("text/html")
    assert text.startswith("Plan: 3 rows, 0 of them paid, 1 request\n")
    assert '<th scope="row">batch</th>' in html
    assert "&lt;b&gt;x&lt;/b&gt;" in html
    assert "<b>x</b>" not in html
