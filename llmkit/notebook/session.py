"""The state of a notebook session, which the magics, their subcommands and the chat share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit import records
from llmkit.core import origin
from llmkit.notebook.defaults import Defaults
from llmkit.notebook.shell import current_shell, execution_number

if TYPE_CHECKING:
    from llmkit.content.messages import LLMMessage
    from llmkit.notebook.commands.last_error import LastError
    from llmkit.notebook.compare.comparison import Comparison
    from llmkit.notebook.reply import Reply
    from llmkit.notebook.request import Prompt
    from llmkit.notebook.session_log import LogEntry


class Session:
    """The state of a notebook session.

    Attributes:
        shell: The IPython shell; `None` outside IPython.
        defaults: The defaults of its cells.
        threads: Messages of the conversations of `%%llm -t`, by name.
        log: All questions and answers of the magics, in order.
        last_reply: What `%llm last` shows.
        last_error: The cell that failed last; `None` if none failed since the extension was loaded.
        made_cells: Identifiers of the cells that have created a next cell.
        allowed_tools: Tools that the user has allowed for the session; see `tools.asking`.
        was_free: Whether the last question that named no model was free.
    """

    def __init__(self, shell: Any = None, defaults: Defaults | None = None) -> None:
        self.shell = shell
        self.defaults = Defaults() if defaults is None else defaults
        self.threads: dict[str, list[LLMMessage]] = {}
        self.log: list[LogEntry] = []
        self.last_reply: Reply | Comparison | None = None
        self.last_error: LastError | None = None
        self.made_cells: set[str] = set()
        self.was_free = False
        self.allowed_tools: set[str] = set()

    @property
    def variables(self) -> dict[str, Any]:
        """The user's variables, and IPython's."""
        return {} if self.shell is None else self.shell.user_ns

    @property
    def own_variables(self) -> dict[str, Any]:
        """The user's variables without IPython's own."""
        # IPython lists here what it has put into the namespace itself.
        hidden = self.shell.user_ns_hidden
        return {name: value for name, value in self.variables.items() if hidden.get(name) is not value}

    @property
    def context(self) -> records.CallContext:
        """The running cell and its notebook, as far as the kernel knows them, and the tags of its calls."""
        # JupyterLab sends the cell's id in the metadata of each execution request.
        parent = getattr(self.shell, "parent_header", None) or {}
        return records.CallContext(
            notebook=origin.notebook_name(self.variables),
            cell_id=parent.get("metadata", {}).get("cellId"),
            execution_count=execution_number(self.shell),
            tags=self.defaults.tags,
        )

    def add(self, label: str, prompt: Prompt, reply: Reply) -> None:
        """Add a question and its answer to the log; `%llm last` shows the answer."""
        from llmkit.notebook.session_log import log_entry

        self.log.append(log_entry(execution_number(self.shell), label, prompt, reply))
        self.last_reply = reply

    def extend_thread(self, name: str, prompt: Prompt, reply: Reply) -> None:
        """Add a question and its answer to a conversation."""
        from llmkit.notebook.session_log import answer_messages

        if answers := answer_messages(reply, len(prompt.messages)):
            self.threads[name] = [*prompt.history, prompt.question, *answers]

    def note_failure(self, result: Any) -> None:
        """Store a failed cell for `%llm fix`; IPython calls this after each cell."""
        from llmkit.notebook.commands.last_error import describe_error, failed, is_about_last_error

        error, source = failed(result), result.info.raw_cell if result.info else ""
        # A failing `%llm fix` must not replace the error that it is about.
        if error is not None and not is_about_last_error(source):
            self.last_error = describe_error(source, error, result.execution_count)


def find_session(shell: Any = None) -> Session | None:
    """Return the session of the loaded extension; `None` without `%load_ext llmkit`."""
    shell = current_shell() if shell is None else shell
    magics = None if shell is None else shell.magics_manager.registry.get("LLMMagics")
    return None if magics is None else magics.session


def keep_last(answer: Reply | Comparison) -> bool:
    """Store an answer for `%llm last`; return whether there is a session to store it in."""
    session = find_session()
    if session is not None:
        session.last_reply = answer
    return session is not None
