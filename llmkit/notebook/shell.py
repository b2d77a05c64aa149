"""Access to IPython's shell."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_PLACE: ContextVar[Any] = ContextVar("llmkit_place", default=None)
"""The message whose output is shown where a context was made."""


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


def output_context(shell: Any) -> Context:
    """Return a copy of the context that remembers which cell is running."""
    context = copy_context()
    context.run(_PLACE.set, shell.get_parent())
    return context


@contextmanager
def remembered_output(shell: Any) -> Iterator[None]:
    """Send output to the cell that the context remembers; ipykernel 7 does so by itself."""
    place, before = _PLACE.get(), shell.get_parent()
    if place is None or place == before:
        yield
        return
    _flush()
    shell.set_parent(place)
    try:
        yield
    finally:
        _flush()
        shell.set_parent(before)


def _flush() -> None:
    # What is printed goes to where its stream points when the text is sent, a moment later.
    sys.stdout.flush()
    sys.stderr.flush()


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
