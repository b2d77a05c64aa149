"""Access to IPython's shell."""

from __future__ import annotations

from typing import Any


def current_shell() -> Any:
    """Return the running IPython shell; `None` outside IPython."""
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if shell is not None:  # the terminal of IPython 7 would not ask a chat how to show itself
        shell.display_formatter.ipython_display_formatter.enabled = True
    return shell


def has_kernel(shell: Any) -> bool:
    """Return whether a front end shows outputs; a terminal's shell and plain Python have no kernel."""
    return getattr(shell, "kernel", None) is not None


def execution_number(shell: Any) -> int | None:
    """Return n of the `In [n]` that is running.

    Some releases of IPython count up before a cell runs and some after, but all of them have stored
    its input by then.
    """
    return None if shell is None else len(shell.history_manager.input_hist_parsed) - 1


def say(text: object, *, quiet: bool = False) -> None:
    """Print a message of a magic or a subcommand."""
    if not quiet:
        print(text)  # noqa: T201 - a magic's output
