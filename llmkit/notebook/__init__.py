"""The only floor that knows IPython: magics, rendering, the display of streams."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from llmkit import records
from llmkit.core import origin

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from llmkit.notebook.magics import LLMMagics


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register `%llm` and `%%llm`; called by `%load_ext llmkit`.

    Args:
        shell: The IPython shell.
    """
    from llmkit.notebook.cell.completer import add_matcher
    from llmkit.notebook.cell.input_transformer import keep_questions
    from llmkit.notebook.display.tracebacks import install
    from llmkit.notebook.magics import LLMMagics
    from llmkit.notebook.warm import warm_up_soon

    unload_ipython_extension(shell)
    magics = LLMMagics(shell=shell)
    shell.register_magics(magics)
    add_matcher(shell, magics)
    install(shell, lambda: magics.short_errors)
    shell.events.register("post_run_cell", magics.note_failure)
    shell.input_transformers_cleanup.append(keep_questions)
    records.set_ambient(lambda: _where(shell, magics))
    if magics.warm_up and getattr(shell, "kernel", None) is not None:
        warm_up_soon(lambda: magics.model or None)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take back what `load_ipython_extension` did to the shell's input; the magics stay.

    Args:
        shell: The IPython shell.
    """
    from llmkit.notebook.cell.completer import remove_matchers
    from llmkit.notebook.display.tracebacks import uninstall

    remove_matchers(shell)
    uninstall(shell)
    if (magics := shell.magics_manager.registry.get("LLMMagics")) is not None:
        with contextlib.suppress(ValueError):  # it was unloaded before
            shell.events.unregister("post_run_cell", magics.note_failure)
    kept = [t for t in shell.input_transformers_cleanup if getattr(t, "__name__", "") != "keep_questions"]
    shell.input_transformers_cleanup[:] = kept
    records.set_ambient(records.outside_cells)


def _where(shell: InteractiveShell, magics: LLMMagics) -> records.CallContext:
    """Say which cell of which notebook is running, as far as the kernel knows, and with which labels."""
    from llmkit.notebook.reply import execution_number

    parent = getattr(shell, "parent_header", None) or {}
    return records.CallContext(
        notebook=origin.notebook_name(shell.user_ns),
        cell_id=parent.get("metadata", {}).get("cellId"),
        execution_count=execution_number(shell),
        tags=magics.tags,
    )
