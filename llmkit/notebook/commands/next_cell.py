"""Puts the answer's code into the next cell."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from llmkit import records
from llmkit.core import origin
from llmkit.notebook.shell import has_kernel

if TYPE_CHECKING:
    from llmkit.notebook.session import Session

MARK = "# made by %%llm, cell "
"""First line of a created cell, by which a later session recognises it."""

SAVING = 1.0
"""A notebook saved within this many seconds may not contain the new cell yet."""


def put_next(session: Session, code: str, failed: str = "") -> str:
    """Put code into the next cell, or into the next prompt of a terminal, unless it is the code that failed.

    A cell that runs again creates no second one. The session remembers its cells; for later sessions an empty
    file is kept for each, because a notebook may not be saved yet when its kernel restarts.
    """
    if not code.strip():
        return "The answer has no code, so no cell was created."
    if failed and _lines(code) == _lines(failed):
        return "The proposed code is the code that failed, so no cell was created."
    shell, made = session.shell, session.made_cells
    if not has_kernel(shell):
        shell.set_next_input(code, replace=False)
        return ""
    cell = records.current_context().cell_id
    if cell is not None and (cell in made or _made_before(cell, _notebook(shell))):
        made.add(cell)
        return "This cell has already created a cell, so it creates no second one. The code is in _.code."
    if cell is not None:
        made.add(cell)
        _remember(cell, _notebook(shell))
        code = f"{MARK}{cell}\n{code}"
    shell.set_next_input(code, replace=False)
    return ""


def _lines(code: str) -> list[str]:
    """Return what two cells have in common if they are the same code."""
    return [line.rstrip() for line in code.splitlines() if line.strip() and not line.startswith(MARK)]


def _notebook(shell: Any) -> Path:
    """Return the notebook's file; where its name is unknown, the working folder."""
    name = origin.notebook_file(shell.user_ns)
    return Path.cwd() if name is None else Path(name).absolute()


def _made_before(cell: str, notebook: Path) -> bool:
    """Whether an earlier session created a cell that the saved notebook still has, or may have."""
    if _in_notebook(f"{MARK}{cell}", notebook):
        return True
    try:
        made = _record(cell, notebook).stat().st_mtime
        return not notebook.is_file() or notebook.stat().st_mtime <= made + SAVING
    except OSError:
        return False  # there is no record


def _remember(cell: str, notebook: Path) -> None:
    record = _record(cell, notebook)
    with contextlib.suppress(OSError):  # a read-only home: this session still remembers
        record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        record.touch(mode=0o600)


def _record(cell: str, notebook: Path) -> Path:
    """Return the empty file that marks a cell; its name reveals neither cell nor notebook."""
    name = hashlib.sha256(f"{notebook}\n{cell}".encode()).hexdigest()[:32]
    return platformdirs.user_state_path("llmkit") / "next_cells" / name


def _in_notebook(mark: str, path: Path) -> bool:
    """Whether a cell of the saved notebook begins with a line; `False` where it cannot be read."""
    if not path.is_file():
        return False
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return any(_first_line(cell) == mark for cell in cells)
    except (OSError, ValueError, LookupError, TypeError):
        return False  # not a notebook, or one that is being written


def _first_line(cell: Any) -> str:
    source = cell["source"]
    text = source if isinstance(source, str) else "".join(source)
    return text.partition("\n")[0].rstrip()
