"""`%llm chat`: opens a chat, maybe with a model, variables, tools, and in a thread."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.content.template import CellError
from llmkit.core.naming import is_model, is_provider
from llmkit.notebook.cell.reader import OptionReader
from llmkit.notebook.cell.subcommands import THREAD
from llmkit.notebook.chat.chat import Chat
from llmkit.notebook.request import look_up
from llmkit.notebook.scope import Scope, caller
from llmkit.notebook.tools.names import named_tools

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from llmkit.notebook.session import Session


def open_chat(session: Session, argument: str) -> Chat:
    """Open a chat as the words after `%llm chat` say: a model or a thread, and options of cells.

    Raises:
        CellError: If a name is not defined or not a tool, a limit comes without tools, or two models or
            threads are named.
        ConfigurationError: If the model is not known.
    """
    given = _read(argument)
    scope = Scope(session.variables, caller())
    names = [name for listed in given.pop("tools", ()) for name in listed.split(",")]
    if not names and not given.keys().isdisjoint({"max_steps", "max_cost"}):
        raise CellError("A limit of steps or costs needs tools.", hint="Name them: %llm chat -x NAME.")
    return Chat(
        vars=_variables(given.pop("variables", ()), scope),
        tools=named_tools(names, scope, session.shell),
        **given,
    )


def _read(argument: str) -> dict[str, Any]:
    """Read the options, and the word that is a model, as everywhere, or else the name of a thread."""
    reader = OptionReader(argument, detached=True)
    reader.read()
    word = reader.take_word()
    reader.read()
    given = dict(reader.values)
    if not word:
        return given
    named = is_model(word) or is_provider(word) or re.fullmatch(THREAD, word) is None
    field = "model" if named else "thread"
    if field in given:
        raise CellError(f"Two {field}s: {word} and {given[field]}.", hint="Keep one of them.")
    return {**given, field: word}


def _variables(names: tuple[str, ...], scope: Scope) -> list[str] | Mapping[str, Any]:
    """Return the variables to describe; those with an attribute in their name have their value of now."""
    values = {name: look_up(name, scope, "-v") for name in names}
    return list(names) if all(map(str.isidentifier, names)) else values
