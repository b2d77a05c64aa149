"""A job over a table as a person sees it: its line, Stop, and running the cell again."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

from tests.support.lab import (
    browse,
    expect,
    interrupt,
    run_cell,
    saved_when,
    serve_lab,
    violations,
    write_notebook,
)
from tests.support.rows import StuckServer
from tests.support.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.full, pytest.mark.timeout(600)]

ARTEFACTS = Path(__file__).parents[2] / "test-artifacts"
SETUP = """%load_ext llmkit
import pandas as pd, llmkit
model = llmkit.OpenAIClient("k", "{url}", model="gpt-4o-mini", max_retries=0)
frame = pd.DataFrame({{"n": range(200)}})"""
ASK = 'answered = frame.llm.map("row {{n}}", model=model, max_concurrent=4)'
AFTER = 'print("what comes after the job")'
PLAN = 'frame.llm.map("Say something about {{n}}.", model="openai:gpt-5.4-mini", dry_run=True)'
JOBS = "%llm jobs"


@pytest.fixture
def server():
    with StuckServer() as server:
        yield server


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    ARTEFACTS.mkdir(exist_ok=True)
    with serve_lab(folder, LLMKIT_LEDGER=str(folder / "ledger.sqlite")) as address:
        yield address, folder


def outputs_of(page, number):
    return page.locator(".jp-Notebook .jp-Cell").nth(number).locator(".jp-OutputArea-child")


def run_all(page):
    """Run all cells; again if none started, for JupyterLab takes the focus away while it restores."""
    prompt = page.locator(".jp-Notebook .jp-InputPrompt").first

    def run():
        page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
        page.get_by_text("Run All Cells", exact=True).click()
        with contextlib.suppress(AssertionError):
            return until(lambda: prompt.text_content() != "[ ]:", seconds=5)
        return False

    until(run)


def test_a_job_is_stopped_and_goes_on_when_its_cell_is_run_again(lab, server):
    address, folder = lab
    path = write_notebook(folder / "job.ipynb", SETUP.format(url=server.url), ASK, AFTER)
    with browse(address, "job.ipynb") as page:
        run_all(page)
        line, error = outputs_of(page, 1).first, outputs_of(page, 1).nth(1)
        expect(line.locator("p.llmkit-status")).to_contain_text("40/200 · $")
        expect(line.locator("p.llmkit-status")).to_contain_text("4 at once")
        expect(line.locator("progress")).to_have_attribute("value", "40")
        page.screenshot(path=ARTEFACTS / "job-running.png")
        assert violations(page, ".llmkit") == []
        interrupt(page)
        expect(error).to_contain_text("Stopped after 40 of 200 rows: interrupted.")
        expect(error).to_contain_text("Run the cell again to go on: what was answered is not paid again.")
        expect(outputs_of(page, 1)).to_have_count(2)
        expect(outputs_of(page, 2)).to_have_count(0)  # Run All has stopped
        page.screenshot(path=ARTEFACTS / "job-stopped.png")
        server.go_on()
        run_cell(page, 1)
        expect(line.locator("p.llmkit-status")).to_contain_text("200/200 · $")
        expect(line.locator("progress")).to_have_count(0)
        expect(outputs_of(page, 1)).to_have_count(1)
        page.screenshot(path=ARTEFACTS / "job-done.png")
        notebook = saved_when(page, path, lambda saved: "200/200" in str(saved.cells[1].outputs))
    (output,) = notebook.cells[1].outputs
    assert output.data["text/plain"].startswith("200/200 · $")
    assert "<progress" not in output.data["text/html"]
    assert len(set(server.asked)) == 200
    assert len(server.asked) <= 204  # those under way were asked again


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_plan_and_the_jobs_can_be_read(lab, server, dark):
    address, folder = lab
    name = f"plan-{'dark' if dark else 'light'}"
    write_notebook(
        folder / f"{name}.ipynb", SETUP.format(url=server.url), PLAN, ASK.replace("frame", "frame[:20]"), JOBS
    )
    with browse(address, f"{name}.ipynb", dark=dark) as page:
        for number in range(4):
            run_cell(page, number)
        plan = outputs_of(page, 1).locator(".llmkit")
        expect(plan.locator("tbody tr")).to_have_count(3)
        expect(plan).to_contain_text("200 requests")
        plan.locator("summary").click()
        expect(plan.locator("pre")).to_contain_text("user: Say something about 0.")
        expect(outputs_of(page, 3).locator("table")).to_contain_text("map llm")
        page.screenshot(path=ARTEFACTS / f"{name}.png")
        assert violations(page, ".llmkit") == []
