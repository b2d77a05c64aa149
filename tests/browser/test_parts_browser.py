"""Reasoning, sources, an image and steps of tools in cells: JupyterLab in a real Chromium, light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.lab import browse, run_cell, scroll_to, serve_lab, violations, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.full, pytest.mark.timeout(240)]

ARTEFACTS = Path(__file__).parents[2] / "test-artifacts"
SETUP = """
%load_ext llmkit
import llmkit
search = {"type": "web_search_20250305", "name": "web_search"}
cleared = []
@llmkit.tool(approve="always")
def clear_month(month: str):
    "Clear the counts of a month."
    cleared.append(month)
    return f"{month} is cleared."
"""
SOURCES = "%%llm sonnet -e high -x search\nTides? Cite sources."
IMAGE = '%%llm google:gemini-2.5-flash-image -p responseModalities=["TEXT","IMAGE"]\nDraw a red boat.'
STEPS = '%%llm sonnet -x clear_month\nClear the month "April".'


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    ARTEFACTS.mkdir(exist_ok=True)
    environment = {"LLMKIT_SANDBOX": "1", "LLMKIT_SANDBOX_RATE": "0", "LLMKIT_SANDBOX_FIRST_TOKEN": "0"}
    with serve_lab(folder, LLMKIT_LEDGER=str(folder / "ledger.sqlite"), **environment) as address:
        yield address, folder


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_parts_can_be_read_and_opened_by_keyboard_and_a_cell_asks_before_a_tool_runs(lab, dark):
    address, folder = lab
    name, theme = f"parts-{dark}.ipynb", "dark" if dark else "light"
    write_notebook(folder / name, SETUP, SOURCES, IMAGE, STEPS, "print(cleared)")
    with browse(address, name, dark=dark) as page:
        cells = page.locator(".jp-Notebook .jp-Cell")
        run_cell(page, 0)
        run_cell(page, 1)
        reasoning = cells.nth(1).locator("summary", has_text="Reasoning")
        reasoning.wait_for(timeout=60_000)
        cells.nth(1).get_by_text("Sources", exact=True).wait_for()
        assert cells.nth(1).locator("ol a[href^='https://example.org/']").count() == 2
        page.screenshot(path=ARTEFACTS / f"parts-folded-{theme}.png")
        assert cells.nth(1).locator("details[open]").count() == 0
        reasoning.focus()
        page.keyboard.press("Enter")
        cells.nth(1).get_by_text("I recall the facts first").wait_for()
        page.screenshot(path=ARTEFACTS / f"parts-reasoning-{theme}.png")

        run_cell(page, 2)
        cells.nth(2).get_by_alt_text("Image 1 by the model").wait_for(timeout=60_000)
        scroll_to(cells.nth(2).get_by_alt_text("Image 1 by the model"))
        page.screenshot(path=ARTEFACTS / f"parts-image-{theme}.png")

        run_cell(page, 3)
        box = cells.nth(3).locator(".jp-Stdin-input")
        box.wait_for(timeout=60_000)
        cells.nth(3).get_by_text("The model wants to run clear_month.").wait_for()
        page.screenshot(path=ARTEFACTS / f"parts-approval-{theme}.png")
        box.fill("y")
        box.press("Enter")
        step = cells.nth(3).locator("summary", has_text="clear_month(month='April') → April is cleared.")
        step.wait_for(timeout=60_000)
        step.focus()
        page.keyboard.press("Enter")
        cells.nth(3).get_by_text('{"month": "April"}').last.wait_for()
        scroll_to(step)
        page.screenshot(path=ARTEFACTS / f"parts-steps-{theme}.png")
        assert violations(page, ".jp-Notebook .llmkit") == []
        run_cell(page, 4)
        cells.nth(4).get_by_text("['April']").wait_for(timeout=60_000)
