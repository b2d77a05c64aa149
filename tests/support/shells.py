"""IPython in the test's own process, with llmkit loaded: quick, and open to a debugger."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from llmkit import sandbox
from llmkit.clients.registry import session_aliases

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass
class Ran:
    """What a cell did: what it printed, what it raised, what it returned."""

    text: str
    error: BaseException | None
    value: Any


class Shell:
    """Runs cells."""

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell

    def run(self, cell: str) -> Ran:
        """Run a cell, whatever comes of it."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            ran = self.shell.run_cell(cell, store_history=True)
        return Ran(out.getvalue(), ran.error_before_exec or ran.error_in_exec, ran.result)

    def do(self, cell: str) -> Ran:
        """Run a cell that must not fail."""
        ran = self.run(cell)
        assert ran.error is None, ran.error
        return ran

    def __getitem__(self, name: str) -> Any:
        return self.shell.user_ns[name]

    def __contains__(self, name: str) -> bool:
        return name in self.shell.user_ns


@contextlib.contextmanager
def opened(*, load: bool = True) -> Iterator[Shell]:
    """Open a shell; it is IPython's one instance until the block ends."""
    options = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
    shell = InteractiveShell.instance(config=options)
    shell.history_manager.enabled = True  # inputs are kept, but in no file
    found = Shell(shell)
    try:
        if load:
            found.do("%load_ext llmkit")
        yield found
    finally:
        session_aliases.clear()
        if load:
            found.run("%unload_ext llmkit")
        InteractiveShell.clear_instance()


def prompts() -> list[str]:
    """Return what the sandbox was asked, as far as it is text: the last message of each request."""
    bodies = [request.body or {} for request in sandbox.server().requests]
    return [str(body["messages"][-1]["content"]) for body in bodies if body.get("messages")]
