"""The answer's code in a cell of its own: the next one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit import records

if TYPE_CHECKING:
    from collections.abc import MutableSet

MARK = "# made by %%llm, cell "
"""Begins the first line of a cell that was made, so that a later session knows it."""


def put_next(shell: Any, code: str, made: MutableSet[str]) -> str:
    """Put code into the next cell, or into the next prompt of a terminal.

    A cell that runs again gets no second one: which cells have one is remembered, and read from the saved
    notebook after a restart.

    Args:
        shell: The IPython shell.
        code: The code.
        made: Identifiers of the cells that have a next cell already; this one is added.

    Returns:
        What the user should know; empty if the code is there.
    """
    if not code.strip():
        return "The answer has no code: there is no new cell."
    if getattr(shell, "kernel", None) is None:
        shell.set_next_input(code, replace=False)
        return ""
    cell = records.current_context().cell_id
    if cell is not None and (cell in made or _in_notebook(f"{MARK}{cell}")):
        made.add(cell)
        return "This cell has made a next cell before, so there is no second one: the code is in _.code."
    if cell is not None:
        made.add(cell)
        code = f"{MARK}{cell}\n{code}"
    shell.set_next_input(code, replace=False)
    return ""


def _in_notebook(mark: str) -> bool:
    """Whether a cell of the saved notebook begins with a line; `False` where it cannot be read."""
    name = os.environ.get("JPY_SESSION_NAME", "")
    path = Path(name)
    if not name.endswith(".ipynb") or not path.is_file():
        return False
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return any(_first_line(cell) == mark for cell in cells)
    except (OSError, ValueError, LookupError, TypeError):
        return False  # another program's file, or one that is being written: it is only a courtesy


def _first_line(cell: Any) -> str:
    source = cell["source"]
    text = source if isinstance(source, str) else "".join(source)
    return text.partition("\n")[0].rstrip()
