"""JupyterLab without the extension for widgets, as where a kernel has an environment of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmkit.notebook.chat.chat import INSTEAD
from tests.support.lab import browse, expect, run_cell, serve_lab, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.full, pytest.mark.timeout(600)]

ARTEFACTS = Path(__file__).parents[2] / "test-artifacts"


def test_a_jupyterlab_without_widgets_says_how_to_go_on_and_shows_the_conversation(tmp_path):
    ARTEFACTS.mkdir(exist_ok=True)
    config = tmp_path / ".own" / "jupyter_config_dir" / "labconfig" / "page_config.json"
    config.parent.mkdir(parents=True)
    config.write_text('{"disabledExtensions": {"@jupyter-widgets/jupyterlab-manager": true}}')
    made = "import llmkit\nchat = llmkit.Chat('sandbox')\nchat.ask('repeat exactly: Hello')\nchat"
    write_notebook(
        tmp_path / "plain.ipynb", made, "chat.ask('repeat exactly: again')", "llmkit.ledger.dashboard()"
    )
    with serve_lab(tmp_path, LLMKIT_SANDBOX_RATE="0") as address, browse(address, "plain.ipynb") as page:
        for number in range(3):
            run_cell(page, number)
        cells = page.locator(".jp-Notebook .jp-Cell")
        cells.nth(2).locator("img").wait_for()
        expect(cells.nth(1).locator(".jp-OutputArea").get_by_text("again")).to_have_count(1)
        chat, board = (cells.nth(number).locator(".jp-OutputArea") for number in (0, 2))
        expect(chat.get_by_text(INSTEAD)).to_be_visible()
        expect(chat.get_by_text("again", exact=True)).to_be_visible()
        expect(board.get_by_text("This front end shows no widgets")).to_be_visible()
        page.screenshot(path=ARTEFACTS / "no-widgets.png")
