"""What a person sees: JupyterLab in a real Chromium."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbconvert import HTMLExporter

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
from tests.support.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

ARTEFACTS = Path(__file__).parents[2] / "test-artifacts"
HOSTILE = """<img src=x onerror="window.__ran=1"><script>window.__ran=1</script>
[link](javascript:window.__ran=1) ![remote](http://evil.example/x.png)"""
CONTROL = """<img src="http://evil.example/control.png"><img src="data:,x"
onerror="window.__control = (window.__control || 0) + 1">"""
TOPS = "columns => columns.map((column) => column.getBoundingClientRect().y)"
SHOW_ALL = """
from tests.support.attacks import attacks
from tests.faults.test_xss import SINKS, SLOW
payloads = attacks(800, seed=11)
def show(found):
    display({"text/html": "".join(found), "text/plain": ""}, raw=True)
show(html for text in payloads for html in SINKS["answer"](text))
ways = [html for text in payloads[::20] for sink in SLOW.values() for html in sink(text)]
show([*ways, "the last payload"])
"""


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
        "%%llm sandbox:sandbox!rate=30\nPlan a survey. Use a table.",
    )
    with browse(address, "stream.ipynb") as page:
        run_cell(page, 0)
        run_cell(page, 1)
        page.get_by_text("● sandbox").wait_for()
        page.locator(".jp-OutputArea h1").wait_for()
        page.screenshot(path=ARTEFACTS / "streaming.png")
        page.get_by_text("Σ $").wait_for()
        expect(page.locator(".jp-OutputArea-child")).to_have_count(1)
        expect(page.locator(".jp-OutputArea table")).to_have_count(1)
        page.locator(".jp-OutputArea mjx-container").first.wait_for()
        page.screenshot(path=ARTEFACTS / "finished.png")
        page.locator(".jp-DirListing-item[title*='stream.ipynb']").wait_for()
        saved = saved_when(page, folder / "stream.ipynb", lambda notebook: "Σ $" in str(notebook))
    (output,) = saved.cells[1].outputs
    assert set(output.data) == {"text/html", "text/plain", "application/vnd.llmkit.v1+json"}


def test_the_stop_button_keeps_the_text_and_frees_the_kernel(lab):
    address, folder = lab
    write_notebook(
        folder / "stop.ipynb",
        "%load_ext llmkit",
        "%%llm sandbox:sandbox!stall=60\nPlan a survey. Use a table.",
        "40 + 2",
    )
    with browse(address, "stop.ipynb", dark=True) as page:
        run_cell(page, 0)
        run_cell(page, 1)
        page.locator(".jp-OutputArea h1").wait_for()
        interrupt(page)
        page.get_by_text("⏹ stopped").wait_for()
        expect(page.locator(".jp-OutputArea h1")).to_have_count(1)
        page.screenshot(path=ARTEFACTS / "stopped-dark.png")
        run_cell(page, 2)
        page.get_by_text("42", exact=True).wait_for()


@pytest.mark.full
def test_nothing_a_model_writes_runs_or_is_fetched(lab):
    """Hundreds of payloads: as they come, in the notebook opened afresh, and after nbconvert."""
    address, folder = lab
    control = f"display(HTML({CONTROL!r}))"
    write_notebook(
        folder / "hostile.ipynb",
        f"%load_ext llmkit\nimport sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        f"from IPython.display import HTML, display\nhostile = {HOSTILE!r}",
        control,
        "%%llm sandbox!rate=0\nrepeat exactly: {{hostile}}",
        SHOW_ALL,
        control,
    )
    with browse(address, "hostile.ipynb") as page:
        tried = watch(page)
        for number in range(5):
            run_cell(page, number)
        page.wait_for_function("window.__control === 2", timeout=100_000)
        until(lambda: page.evaluate("true") and len(tried) >= 2)
        assert page.evaluate("window.__ran") is None
        assert [url for url in tried if "control" not in url] == []
        saved = saved_when(page, folder / "hostile.ipynb", lambda notebook: notebook.cells[4].outputs)
    assert len(saved.cells[3].outputs) == len(saved.cells[3].outputs[0].data) == 2
    with browse(address, "hostile.ipynb") as page:
        tried = watch(page)
        page.locator(".jp-OutputArea").get_by_text("the last payload").wait_for()
        assert page.evaluate("window.__ran") is None
        assert [url for url in tried if "control" not in url] == []
        html = HTMLExporter().from_notebook_node(saved)[0]
        (folder / "hostile.html").write_text(html, encoding="utf-8")
        tried.clear()
        page.goto(f"file://{folder}/hostile.html")
        page.wait_for_function("window.__control === 2")
        assert page.evaluate("window.__ran") is None
        assert [url for url in tried if "control" not in url] == []


def watch(page):
    """Note what the page tries to fetch from the hostile host."""
    tried = []
    page.on("request", lambda request: tried.append(request.url) if "evil.example" in request.url else None)
    return tried


@pytest.mark.full
def test_three_models_are_compared_side_by_side_and_one_may_fail(lab):
    address, folder = lab
    models = "sandbox:sandbox!rate=80,sandbox:sandbox!status=401,sandbox:sandbox!rate=120"
    write_notebook(
        folder / "compare.ipynb",
        "%load_ext llmkit",
        f"%%llm {models} -o three\nPlan a survey. Use a table.",
        "three.keep(three.best())",
    )
    with browse(address, "compare.ipynb", dark=True) as page:
        run_cell(page, 0)
        run_cell(page, 1)
        page.get_by_text("at most $").first.wait_for()
        page.locator(".llmkit-column h1").first.wait_for()
        expect(page.locator(".llmkit-column")).to_have_count(3)
        page.get_by_text(" of at most ").wait_for()
        expect(page.locator(".llmkit-column")).to_have_count(3)
        tops = page.locator(".llmkit-column").evaluate_all(TOPS)
        assert len(tops) == 3
        assert len(set(tops)) == 1
        expect(page.locator(".llmkit-failed")).to_have_count(1)
        assert violations(page, ".llmkit") == []
        page.screenshot(path=ARTEFACTS / "compare-dark.png")
        run_cell(page, 2)
        page.locator(".jp-Cell").nth(2).locator(".jp-OutputArea h1").wait_for()


@pytest.mark.full
def test_notebook_7_streams_stops_saves_and_shows_it_again(lab):
    address, folder = lab
    write_notebook(
        folder / "classic.ipynb",
        "%load_ext llmkit",
        "%%llm sandbox:sandbox!stall=60\nPlan a survey. Use a table.",
        "%%llm\nPlan a survey. Use a table.",
    )
    with browse(address, "classic.ipynb", classic=True) as page:
        run_cell(page, 0)
        run_cell(page, 1)
        page.locator(".jp-OutputArea h1").wait_for()
        stopped = page.get_by_text("⏹ stopped")
        until(lambda: press_twice(page, "i") or stopped.count())
        stopped.wait_for()
        run_cell(page, 2)
        page.get_by_text("Σ ").nth(1).wait_for()  # the first one is an estimate: Σ ≈$
        expect(page.locator(".jp-Cell").nth(2).locator(".jp-OutputArea-child")).to_have_count(1)
        page.screenshot(path=ARTEFACTS / "notebook7.png")
        saved_when(page, folder / "classic.ipynb", lambda notebook: "Σ " in str(notebook.cells[2].outputs))
    with browse(address, "classic.ipynb", classic=True) as page:
        page.get_by_text("Σ ").nth(1).wait_for()
        expect(page.get_by_text("⏹ stopped")).to_have_count(1)


def press_twice(page, key):
    """Press a key of the notebook twice; on a slow machine too slowly at times."""
    page.keyboard.press("Escape")
    page.keyboard.press(key)
    page.keyboard.press(key)
    page.wait_for_timeout(1_000)
