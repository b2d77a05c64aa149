"""The tool `python`: runs code in the notebook's kernel, after a person has seen it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from IPython.utils.capture import capture_output

from llmkit.content.tools import Tool, tool
from llmkit.core.errors import ConfigurationError
from llmkit.notebook.cell.values import PYTHON
from llmkit.notebook.display.plain_text import plain
from llmkit.notebook.scope import is_top_level
from llmkit.notebook.session import find_session

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 120.0
"""How long the code of one call may run."""


def python_tool(shell: Any) -> Tool:
    """Return the tool that runs code in a shell; a call always needs a person, `--yes` is not enough."""
    if shell is None:
        raise ConfigurationError("The tool python needs a notebook.", hint="Use it in Jupyter or IPython.")

    def python(code: str) -> str:
        return run_code(shell, code)

    return tool(
        name=PYTHON,
        description="Run Python code in the user's notebook, whose variables it sees and can change. "
        "Returns what it prints, the value of its last expression, and its error.",
        approve="person",
        timeout=SECONDS,
        rerun=True,
    )(python)


def run_code(shell: Any, code: str) -> str:
    """Run code in a shell as a cell without history, and return its output, its value and its error."""
    # The trap is set first: between cells, `run_cell` would set it, and take the values from the capture.
    with _undisturbed(shell), shell.display_trap, capture_output() as captured:
        ran = shell.run_cell(code, store_history=False)
    error = ran.error_before_exec or ran.error_in_exec
    if isinstance(error, KeyboardInterrupt) or _is_timeout(error):
        raise error
    shown = [str(one) for one in map(_text, captured.outputs) if one]
    said = [plain(captured.stdout).strip("\n"), plain(captured.stderr).strip("\n"), *shown]
    if error is not None:
        said.append(_described(shell, error))
    return "\n".join(filter(None, said)) or "Done; the code printed nothing."


def _text(output: Any) -> str:
    return plain(str(output.data.get("text/plain", "")))


def _is_timeout(error: BaseException | None) -> bool:
    from llmkit.clients.tools.execution import ToolTimeoutError

    return isinstance(error, ToolTimeoutError)


def _described(shell: Any, error: BaseException) -> str:
    """Return an error's type, message and line in the code."""
    trace, line = error.__traceback__, getattr(error, "lineno", None)
    while trace is not None:
        if is_top_level(trace.tb_frame, shell.user_ns):
            line = trace.tb_lineno
        trace = trace.tb_next
    place = f" (line {line})" if line else ""
    return f"{type(error).__name__}: {error}{place}"


@contextlib.contextmanager
def _undisturbed(shell: Any) -> Iterator[None]:
    """Keep an error of the code out of the cell's output, and out of what `%llm fix` corrects."""
    session = find_session(shell)
    before = None if session is None else session.last_error
    shell.showtraceback = shell.showsyntaxerror = lambda *_, **__: None
    try:
        yield
    finally:
        del shell.showtraceback, shell.showsyntaxerror
        if session is not None:
            session.last_error = before
