"""Run the notebooks and keep what they show: `python notebooks/run.py [NAME …]`.

A reader on GitHub sees the outputs that this writes. They come from the sandbox, at its own pace, in an empty folder
and with an empty ledger; the dashboard shows made-up calls.
The digest of a notebook's cells goes into its metadata, so that a test finds outputs of former cells.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from llmkit.costs import demo
from llmkit.costs.ledger import Ledger

FOLDER = Path(__file__).parent
WIDGET = "application/vnd.jupyter.widget-view+json"
SECONDS = 120  # for one cell
UNSET = ("LLMKIT_REPLAY", "LLMKIT_MODEL", "LLM_DEFAULT_MODEL")


def digest(notebook: nbformat.NotebookNode) -> str:
    """Return what changes when a cell does."""
    text = "\0".join(f"{cell.cell_type}\0{cell.source}" for cell in notebook.cells)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def is_bar(output: nbformat.NotebookNode) -> bool:
    """Whether an output is a progress bar: saved, it says how far it was at the start."""
    data = output.get("data", {})
    return WIDGET in data and "text/html" not in data


def fill(path: Path) -> None:
    """Write made-up calls of this month and the last one, up to now."""
    now = datetime.now(UTC)
    months = {f"{day:%Y-%m}" for day in (now, now - timedelta(days=31))}
    books = Ledger(path)
    for record in (record for month in sorted(months) for record in demo.records(month)):
        if record.time < now:
            books.record(record)
    books.close()


def run(path: Path) -> None:
    notebook = nbformat.read(path, 4)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as books:
        client = NotebookClient(
            notebook,
            timeout=SECONDS,
            resources={"metadata": {"path": folder}},
            record_timing=False,
            store_widget_state=False,
            coalesce_streams=True,
        )
        ledger = Path(books, "ledger.sqlite")  # never your own
        if path.stem == "dashboard":
            fill(ledger)
        client.execute(env={**os.environ, "LLMKIT_NOTEBOOK": path.name, "LLMKIT_LEDGER": str(ledger)})
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "llmkit": {"cells": digest(notebook)},
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_bar(output)]
    path.write_text(nbformat.writes(notebook, 4) + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size / 1_000:.0f} kB")


if __name__ == "__main__":
    for name in UNSET:
        os.environ.pop(name, None)
    for each in sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.ipynb")):
        run(FOLDER / f"{each}.ipynb")
