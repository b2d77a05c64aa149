"""The dashboard as a person uses it: JupyterLab, and Voilà, in a real Chromium."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from tests.browser.test_chat_browser import ARTEFACTS, save
from tests.support.lab import (
    FLAGS,
    FOLDERS,
    browse,
    chromium,
    run_cell,
    serve_lab,
    violations,
    write_notebook,
)
from tests.unit.notebook.test_dashboard import ANOTHER

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "dashboard.ipynb"
MONTH = "from llmkit.costs import demo\nbooks = demo.month('month.sqlite')\nbooks.dashboard()"
HOSTILE = """from datetime import UTC, datetime
from llmkit.records import CallRecord
name = "<img src=x onerror=\\"document.title='HACKED'\\">"
books.record(CallRecord(
    time=datetime.now(UTC), uid="e" * 32, status="ok", provider="openai", model=name, notebook=name,
    tags={"project": name}, simulated=True, cost_nanos=5 * 10**9, input_tokens=1, output_tokens=1,
))
import time; time.sleep(600)"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    ARTEFACTS.mkdir(exist_ok=True)
    with serve_lab(folder, LLMKIT_LEDGER=str(folder / "ledger.sqlite")) as address:
        yield address, folder


def figure(root, label):
    return root.locator(".llmkit-dash-figures div", has_text=label).locator("dd")


def test_the_month_is_looked_into_exported_followed_live_saved_and_read_again(lab):
    address, folder = lab
    write_notebook(folder / "costs.ipynb", MONTH, HOSTILE)
    with browse(address, "costs.ipynb") as page:
        run_cell(page, 0)
        root = page.locator(".llmkit-dash")
        figure(root, "Calls").wait_for(timeout=60_000)
        page.get_by_label("Period").select_option("all time")
        figure(root, "Calls").filter(has_text="4,169").wait_for()
        page.get_by_label("Group by").select_option("notebook")
        root.get_by_role("heading", name="Cost by notebook, per day").wait_for()

        # From a bar to its calls, by mouse and by keyboard alone.
        root.get_by_role("button", name="agent_prototype.ipynb, Fri 16 Oct 2026: $").click()
        calls = root.get_by_role("region", name="Calls behind the bar")
        calls.get_by_text("anthropic:claude-opus-5-5").first.wait_for()
        assert calls.get_by_role("button", name="agent_prototype.ipynb In [5]").count() > 1
        root.get_by_role("button", name="most expensive first").click()
        root.locator("[aria-pressed=true]", has_text="most expensive first").wait_for()
        root.get_by_role("button", name="Close").click()
        calls.wait_for(state="hidden")
        page.keyboard.press("ArrowRight")
        assert "Sat 17 Oct 2026" in page.locator(":focus").get_attribute("aria-label")
        page.keyboard.press("Enter")
        root.get_by_role("heading", name="Sat 17 Oct 2026").wait_for()
        root.get_by_role("button", name="lessons.ipynb", exact=True).click()
        root.get_by_role("heading", name="lessons.ipynb").wait_for()

        root.get_by_label("these calls on").select_option("openai:gpt-6-luna")
        root.locator(".llmkit-dash-answer", has_text="on openai:gpt-6-luna at prices of").wait_for()
        before = root.locator(".llmkit-dash-answer").inner_text()
        root.get_by_label("with this share").check()
        root.get_by_role("slider").fill("90")
        root.locator(".llmkit-dash-answer", has_text="90").filter(has_not_text=before).wait_for()

        page.get_by_role("button", name="CSV").click()
        with page.expect_download() as download:
            root.get_by_role("link", name="Download").click()
        (written,) = folder.glob("llm-calls-*.csv")
        assert Path(download.value.path()).read_bytes() == written.read_bytes()
        assert written.read_text().count("\n") > 500
        page.screenshot(path=ARTEFACTS / "dashboard.png", full_page=True)
        assert violations(page, ".llmkit-dash-panel") == []

        # While a cell keeps the kernel busy, its call shows up; its names are text.
        run_cell(page, 1)
        figure(root, "Calls").filter(has_text="4,170").wait_for(timeout=60_000)
        page.get_by_label("Group by").select_option("tag:project")
        root.get_by_role("button", name="<img src=x").first.wait_for()
        page.get_by_label("Group by").select_option("model")
        root.get_by_role("button", name="<img src=x").first.click()
        calls.get_by_text("onerror").first.wait_for()
        assert root.locator("img").count() == 0
        assert "HACKED" not in page.title()
        page.locator(
            "[data-command='notebook:interrupt-kernel'], [data-jp-item-name=interrupt]"
        ).first.click()
        saved = saved_with(page, folder / "costs.ipynb", "4,170")
        assert "data:image/png" in saved.cells[0].outputs[1]["data"]["text/html"]
        assert "2026-10-16" not in str(saved)
        assert page.locator("[class*=llmkit-saved-]:visible").count() == 0
    shutil.copy(folder / "costs.ipynb", folder / "again.ipynb")
    with browse(address, "again.ipynb", dark=True) as page:
        copy = page.locator("[class*=llmkit-saved-]")
        copy.get_by_text("4,170").first.wait_for(timeout=60_000)
        assert copy.locator("img").evaluate("image => image.complete && image.naturalWidth > 300")
        assert page.get_by_text("Error displaying widget").locator("visible=true").count() == 0
        assert "HACKED" not in page.title()
        page.screenshot(path=ARTEFACTS / "dashboard-reopened.png")


def saved_with(page, path, text, seconds=30):
    """Save until a text stands in the notebook: the picture is drawn anew when calls pause."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        save(page)
        page.locator(".jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        if text in path.read_text():
            return nbformat.read(path, 4)
        time.sleep(0.5)
    return pytest.fail("the picture was not saved")


def wait_for_port(port, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
            return
        time.sleep(0.2)
    pytest.fail("Voilà did not start")


def test_voila_serves_it_as_an_app_that_follows_other_processes(tmp_path):
    from playwright.sync_api import sync_playwright

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ledger, address = tmp_path / "ledger.sqlite", f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "voila", str(NOTEBOOK), "--no-browser", f"--port={port}"]
    own = {name: str(tmp_path / ".own" / name.lower()) for name in FOLDERS}
    environment = {**os.environ, **own, "LLMKIT_LEDGER": str(ledger)}
    with (tmp_path / "voila.log").open("w") as log:
        voila = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_for_port(port)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
            page = browser.new_page(viewport={"width": 1200, "height": 900})
            page.goto(address, timeout=60_000)
            root = page.locator(".llmkit-dash")
            root.get_by_text("No calls yet").wait_for(timeout=60_000)
            subprocess.run([sys.executable, "-c", ANOTHER, str(ledger)], check=True)
            figure(root, "Calls").filter(has_text="1").wait_for(timeout=60_000)
            root.get_by_role("button", name="elsewhere").click()
            root.get_by_role("heading", name="elsewhere").wait_for()
            assert page.locator("[class*=llmkit-saved-]:visible").count() == 0
            page.screenshot(path=ARTEFACTS / "dashboard-voila.png")
            browser.close()
    finally:
        voila.terminate()
        voila.wait(20)
