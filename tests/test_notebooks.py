"""The notebooks run from clean without a key, and are committed without outputs."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a notebook in a folder and with a ledger of its own; return the outputs."""
    monkeypatch.setenv("LLMKIT_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.setenv("LLMKIT_SANDBOX_RATE", "0")

    def execute(path):
        notebook = nbformat.read(path, 4)
        NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
        return [output for cell in notebook.cells for output in cell.get("outputs", [])]

    return execute


@pytest.mark.kernel
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_warns_of_nothing(path, run):
    outputs = run(path)
    html = " ".join(output.get("data", {}).get("text/html", "") for output in outputs)
    assert not [output.text for output in outputs if output.get("name") == "stderr"]
    if path.stem == "quickstart":
        assert "llmkit-footer" in html
        assert "surface" in html
    if path.stem == "cost_analysis":
        assert len([output for output in outputs if "image/png" in output.get("data", {})]) == 9
        assert "ProviderNotAvailableError" in html


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_pictures_of_a_notebook_are_there_and_small(path):
    text = " ".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown")
    for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", text):
        assert (path.parent / name).stat().st_size < 100_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_committed_without_outputs(path):
    cells = nbformat.read(path, 4).cells
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
