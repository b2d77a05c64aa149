"""What a person sees: JupyterLab in a real Chromium."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import nbformat
import pytest
from lab import browse, run_cell, serve_lab, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

ARTEFACTS = Path(__file__).parents[1] / "test-artifacts"
HOSTILE = """<img src=x onerror="document.title='HACKED'"><script>document.title='HACKED'</script>
[link](javascript:document.title='HACKED') ![remote](http://127.0.0.1:9/x.png)"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    ARTEFACTS.mkdir(exist_ok=True)
    with serve_lab(
        folder, LLMKIT_LEDGER=str(folder / "ledger.sqlite"), LLMKIT_SANDBOX_FIRST_TOKEN="0"
    ) as address:
        yield address, folder


def test_an_answer_streams_and_ends_with_its_cost(lab):
    address, folder = lab
    write_notebook(
        folder / "stream.ipynb",
        "%load_ext llmkit",
        "%%llm sandbox:sandbox!rate=60\nPlan a survey. Use a table.",
    )
    with browse(address, "stream.ipynb") as page:
        run_cell(page, 0)
        run_cell(page, 1)
        page.get_by_text("● sandbox").wait_for(timeout=30_000)
        page.locator(".jp-OutputArea h1").wait_for(timeout=30_000)
        page.screenshot(path=ARTEFACTS / "streaming.png")
        page.get_by_text("Σ $").wait_for(timeout=60_000)
        assert page.locator(".jp-OutputArea-child").count() == 1
        assert page.locator(".jp-OutputArea table").count() == 1
        assert page.locator(".jp-OutputArea mjx-container").count() >= 1
        page.screenshot(path=ARTEFACTS / "finished.png")
        page.keyboard.press("Control+s")
        page.locator(".jp-DirListing-item[title*='stream.ipynb']").wait_for()
        saved = read_when_saved(folder / "stream.ipynb")
    (output,) = saved.cells[1].outputs
    assert set(output.data) == {"text/html", "text/plain", "application/vnd.llmkit.v1+json"}


def test_the_stop_button_keeps_the_text_and_frees_the_kernel(lab):
    address, folder = lab
    write_notebook(
        folder / "stop.ipynb",
        "%load_ext llmkit",
        "%%llm sandbox:sandbox!rate=15\nPlan a survey. Use a table.",
        "40 + 2",
    )
    with browse(address, "stop.ipynb", dark=True) as page:
        run_cell(page, 0)
        run_cell(page, 1)
        page.locator(".jp-OutputArea h1").wait_for(timeout=30_000)
        page.locator(
            "[data-command='notebook:interrupt-kernel'], [data-jp-item-name=interrupt]"
        ).first.click()
        page.get_by_text("⏹ stopped").wait_for(timeout=5_000)
        assert page.locator(".jp-OutputArea h1").count() == 1
        page.screenshot(path=ARTEFACTS / "stopped-dark.png")
        run_cell(page, 2)
        page.get_by_text("42", exact=True).wait_for(timeout=10_000)


def test_nothing_a_model_writes_runs_in_the_page(lab):
    address, folder = lab
    control = f"from IPython.display import HTML\nHTML({HOSTILE.replace('HACKED', 'CONTROL')!r})"
    write_notebook(
        folder / "hostile.ipynb",
        f"%load_ext llmkit\nhostile = {HOSTILE!r}",
        "%%llm\nrepeat exactly: {{hostile}}",
        control,
    )
    with browse(address, "hostile.ipynb") as page:
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        run_cell(page, 0)
        run_cell(page, 1)
        page.get_by_text("Σ $").wait_for(timeout=60_000)
        time.sleep(0.5)
        assert "HACKED" not in page.title()
        assert not [url for url in requests if "x.png" in url]
        run_cell(page, 2)
        page.wait_for_function("document.title.includes('CONTROL')", timeout=10_000)


def read_when_saved(path, seconds=10):
    """Read a notebook once JupyterLab has written all of it, with its outputs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(nbformat.reader.NotJSONError):  # it is being written
            notebook = nbformat.read(path, 4)
            if notebook.cells[1].outputs:
                return notebook
        time.sleep(0.2)
    pytest.fail("the notebook was not saved")
