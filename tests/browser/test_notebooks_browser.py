"""The text of our notebooks in JupyterLab: amounts are text, mathematics stands only where it is meant."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from tests.support.lab import browse, expect, serve_lab

pytestmark = [pytest.mark.browser, pytest.mark.full, pytest.mark.timeout(600)]

FOLDER = Path(__file__).parents[2] / "notebooks"
CONTROLS = {
    "a formula": "The area is $x^2$.",
    "amounts whose backslashes Markdown takes away": r"It came to about \$24; it came to \$26.34.",
}


def texts():
    """The Markdown cells of all notebooks, by notebook and cell."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        for cell in nbformat.read(path, 4).cells:
            if cell.cell_type == "markdown":
                yield f"{path.stem}: {cell.id}", cell.source


def test_jupyterlab_typesets_nothing_in_our_notebooks_but_the_controls(tmp_path):
    cells = [*CONTROLS.items(), *texts(), *((f"{name}, last", text) for name, text in CONTROLS.items())]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(text) for _, text in cells])
    nbformat.write(notebook, tmp_path / "all.ipynb")
    # All cells stay in the page; else JupyterLab would draw those near the view again and again.
    settings = tmp_path / ".own" / "jupyterlab_settings_dir" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    with serve_lab(tmp_path) as address, browse(address, "all.ipynb") as page:
        shown = page.locator(".jp-Notebook .jp-Cell")
        assert len(cells) > 40
        expect(shown).to_have_count(len(cells))
        for number in range(len(cells)):
            shown.nth(number).locator(".jp-RenderedMarkdown *").first.wait_for()
        for number in (0, 1, len(cells) - 2, len(cells) - 1):
            shown.nth(number).locator("mjx-container").first.wait_for()
        formulas = shown.evaluate_all("all => all.map((one) => one.querySelector('mjx-container') !== null)")
    typeset = [name for (name, _), formula in zip(cells, formulas, strict=True) if formula]
    assert typeset == [*CONTROLS, *(f"{name}, last" for name in CONTROLS)]
