"""The dashboard as a person uses it: JupyterLab, and Voilà, in a real Chromium."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.lab import (
    FLAGS,
    FOLDERS,
    browse,
    chromium,
    expect,
    interrupt,
    run_cell,
    running,
    saved_when,
    serve_lab,
    some_port,
    violations,
    write_notebook,
)
from tests.support.waiting import SECONDS, until
from tests.unit.notebook.test_dashboard import ANOTHER

pytestmark = [pytest.mark.browser, pytest.mark.full, pytest.mark.timeout(600)]

ARTEFACTS = Path(__file__).parents[2] / "test-artifacts"
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

CUT_OFF = """panel => [...panel.querySelectorAll("select, input, button, svg, dd, p")]
    .filter(one => one.offsetWidth && !one.closest(".llmkit-dash-table"))
    .filter(one => one.getBoundingClientRect().right > panel.getBoundingClientRect().right + 1)
    .map(one => one.outerHTML.slice(0, 100))"""


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
        figure(root, "Calls").wait_for()
        page.get_by_label("Period").select_option("all time")
        figure(root, "Calls").filter(has_text="4,169").wait_for()
        page.get_by_label("Group by").select_option("notebook")
        root.get_by_role("heading", name="Cost by notebook, per day").wait_for()

        # From a bar to its calls, by mouse and by keyboard alone.
        root.get_by_role("button", name="agent_prototype.ipynb, Fri 16 Oct 2026: $").click()
        calls = root.get_by_role("region", name="Calls behind the bar")
        calls.get_by_text("anthropic:claude-opus-5-5").first.wait_for()
        calls.get_by_role("button", name="agent_prototype.ipynb In [5]").nth(1).wait_for()
        root.get_by_role("button", name="most expensive first").click()
        root.locator("[aria-pressed=true]", has_text="most expensive first").wait_for()
        root.get_by_role("button", name="Close").click()
        calls.wait_for(state="hidden")
        expect(page.locator(":focus")).to_have_attribute("aria-label", re.compile("Fri 16 Oct 2026"))
        page.keyboard.press("ArrowRight")
        expect(page.locator(":focus")).to_have_attribute("aria-label", re.compile("Sat 17 Oct 2026"))
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

        # In a narrow window nothing is cut off but tables, which scroll below their first column.
        page.keyboard.press("ControlOrMeta+b")  # hides the list of files
        page.set_viewport_size({"width": 500, "height": 900})
        name, scroller = (
            root.locator(".llmkit-dash-table tbody th").first,
            root.locator(".llmkit-dash-table").first,
        )
        expect(name).to_have_css("position", "sticky")
        assert page.locator(".llmkit-dash-panel").evaluate(CUT_OFF) == []
        before = name.bounding_box()
        scroller.evaluate("place => { place.scrollLeft = 10_000 }")
        assert name.bounding_box() == before
        page.set_viewport_size({"width": 1100, "height": 900})
        page.keyboard.press("ControlOrMeta+b")

        # While a cell keeps the kernel busy, its call shows up; its names are text.
        run_cell(page, 1)
        figure(root, "Calls").filter(has_text="4,170").wait_for()
        page.get_by_label("Group by").select_option("tag:project")
        root.get_by_role("button", name="<img src=x").first.wait_for()
        page.get_by_label("Group by").select_option("model")
        root.get_by_role("button", name="<img src=x").first.click()
        calls.get_by_text("onerror").first.wait_for()
        expect(root.locator("img")).to_have_count(0)
        assert "HACKED" not in page.title()
        interrupt(page)
        # The picture is drawn anew when calls pause.
        saved = saved_when(page, folder / "costs.ipynb", lambda notebook: "4,170" in str(notebook))
        assert "data:image/png" in saved.cells[0].outputs[1]["data"]["text/html"]
        assert "2026-10-16" not in str(saved)
        expect(page.locator("[class*=llmkit-saved-]:visible")).to_have_count(0)
    shutil.copy(folder / "costs.ipynb", folder / "again.ipynb")
    with browse(address, "again.ipynb", dark=True) as page:
        copy = page.locator("[class*=llmkit-saved-]")
        copy.get_by_text("4,170").first.wait_for()
        until(lambda: copy.locator("img").evaluate("image => image.complete && image.naturalWidth > 300"))
        expect(page.get_by_text("Error displaying widget").locator("visible=true")).to_have_count(0)
        assert "HACKED" not in page.title()
        page.screenshot(path=ARTEFACTS / "dashboard-reopened.png")


def test_voila_serves_it_as_an_app_that_follows_other_processes(tmp_path):
    from playwright.sync_api import sync_playwright

    ledger, log = tmp_path / "ledger.sqlite", tmp_path / "voila.log"
    command = [sys.executable, "-m", "voila", str(NOTEBOOK), "--no-browser", f"--port={some_port()}"]
    own = {name: str(tmp_path / ".own" / name.lower()) for name in FOLDERS}
    with running(command, log, **own, LLMKIT_LEDGER=str(ledger)), sync_playwright() as playwright:
        told = until(lambda: re.search(r"running at:\s+http://[^:]+:(\d+)", log.read_text()))
        browser = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(SECONDS * 1_000)
        page.goto(f"http://127.0.0.1:{told[1]}")
        root = page.locator(".llmkit-dash")
        root.get_by_text("No calls yet").wait_for()
        subprocess.run([sys.executable, "-c", ANOTHER, str(ledger)], check=True)
        figure(root, "Calls").filter(has_text="1").wait_for()
        root.get_by_role("button", name="elsewhere").click()
        root.get_by_role("heading", name="elsewhere").wait_for()
        expect(page.locator("[class*=llmkit-saved-]:visible")).to_have_count(0)
        page.screenshot(path=ARTEFACTS / "dashboard-voila.png")
        browser.close()
