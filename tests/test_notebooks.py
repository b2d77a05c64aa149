"""The notebooks run from clean without a key, and are committed without outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.kernel
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_shows_streamed_html_footers_and_rows(path, tmp_path, monkeypatch):
    monkeypatch.setenv("LLMKIT_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.setenv("LLMKIT_SANDBOX_RATE", "0")
    notebook = nbformat.read(path, 4)
    NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    html = [
        o.data["text/html"]
        for c in notebook.cells
        for o in c.get("outputs", [])
        if "text/html" in o.get("data", {})
    ]
    assert any("llmkit-footer" in page for page in html)
    assert any("surface" in page for page in html)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_without_outputs(path):
    cells = nbformat.read(path, 4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
