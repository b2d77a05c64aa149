"""`%llm chat`: opens a chat, maybe with tools and in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.content.template import CellError
from llmkit.notebook.cell.reader import OptionReader
from llmkit.notebook.chat.chat import Chat
from llmkit.notebook.scope import Scope, caller
from llmkit.notebook.tools.names import named_tools

if TYPE_CHECKING:
    from llmkit.notebook.session import Session


def open_chat(session: Session, argument: str) -> Chat:
    """Open a chat as the words after `%llm chat` say: `-x NAMES`, its limits, and a thread.

    Raises:
        CellError: If a name is not defined or not a tool, or a limit comes without tools.
    """
    reader = OptionReader(argument, detached=True)
    reader.read()
    thread = reader.take_word()
    reader.read()
    given = dict(reader.values)
    names = [name for listed in given.pop("tools", ()) for name in listed.split(",")]
    if given and not names:
        raise CellError("A limit of steps or costs needs tools.", hint="Name them: %llm chat -x NAME.")
    tools = named_tools(names, Scope(session.variables, caller()), session.shell)
    return Chat(thread=thread or None, tools=tools, **given)
