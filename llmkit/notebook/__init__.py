"""The only layer that imports IPython: magics, rendering, display of streams."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from llmkit import records
from llmkit.clients.tools import approval
from llmkit.core import naming

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llmkit.clients.tools.execution import Question


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register `%llm`, `%%llm` and `df.llm`; called by `%load_ext llmkit`.

    Args:
        shell: The IPython shell.
    """
    import llmkit.frames  # noqa: F401 - registers `df.llm`, also if pandas is loaded later
    from llmkit.notebook.cell.completer import add_completions
    from llmkit.notebook.cell.input_transformer import keep_questions
    from llmkit.notebook.display.tracebacks import install
    from llmkit.notebook.magics import LLMMagics
    from llmkit.notebook.shell import has_kernel
    from llmkit.notebook.warm import warm_up_soon

    unload_ipython_extension(shell)
    magics = LLMMagics(shell=shell)
    session = magics.session
    shell.register_magics(magics)
    add_completions(shell, session)
    install(shell, lambda: magics.short_errors)
    shell.events.register("post_run_cell", session.note_failure)
    shell.input_transformers_cleanup.append(keep_questions)
    records.set_ambient(lambda: session.context)
    approval.set_asker(_ask_in_cell)
    if magics.warm_up and has_kernel(shell):
        warm_up_soon(lambda: magics.model or None)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Undo the changes of `load_ipython_extension` to the shell's input; the magics stay.

    Args:
        shell: The IPython shell.
    """
    from llmkit.notebook.cell.completer import remove_completions
    from llmkit.notebook.display.tracebacks import uninstall
    from llmkit.notebook.session import find_session

    remove_completions(shell)
    uninstall(shell)
    if (session := find_session(shell)) is not None:
        with contextlib.suppress(ValueError):  # it was unloaded before
            shell.events.unregister("post_run_cell", session.note_failure)
    kept = [t for t in shell.input_transformers_cleanup if getattr(t, "__name__", "") != "keep_questions"]
    shell.input_transformers_cleanup[:] = kept
    records.set_ambient(records.outside_cells)
    naming.session_model = ""
    approval.set_asker(None)


def _ask_in_cell(question: Question) -> None:
    """Ask whether a tool may run, for runs from Python; what it takes loads with the first question."""
    from llmkit.notebook.tools.asking import ask_in_cell

    ask_in_cell(question)
