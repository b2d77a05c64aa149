"""Subcommands of `%llm` about this session: its last error, its conversations, its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.core.errors import ConfigurationError
from llmkit.core.suggestions import did_you_mean
from llmkit.notebook.cell.parser import CellRequest
from llmkit.notebook.commands.last_error import EXPLAIN, FIX, last_error
from llmkit.notebook.display.plain_text import plain
from llmkit.notebook.scope import Scope
from llmkit.notebook.session_log import IncompleteMessage, session_entries, thread_entries
from llmkit.notebook.shell import has_kernel, say
from llmkit.notebook.transcript import to_markdown, write_transcript

if TYPE_CHECKING:
    from llmkit.content.messages import LLMMessage
    from llmkit.notebook.cell.subcommands import Command
    from llmkit.notebook.session import Session


def fix(session: Session, command: Command) -> Any:  # noqa: ARG001 - what subcommands take
    """Ask for a correction of the last failed cell; its code goes into the next cell."""
    return _ask_about(session, FIX, code=True)


def explain(session: Session, command: Command) -> Any:  # noqa: ARG001 - what subcommands take
    """Ask what the last error means."""
    return _ask_about(session, EXPLAIN)


def _ask_about(session: Session, instruction: str, *, code: bool = False) -> Any:
    from llmkit.notebook import dispatch  # the clients load at the first question

    found = session.last_error or last_error()
    if found is None:
        raise ConfigurationError("No cell has failed so far.", hint="Run the failing cell, then ask again.")
    if found.advice:  # a paid answer could only repeat it, and without a key there is none
        say(f"Nothing was sent: the last error came from llmkit and says what to do. {found.advice}")
        return None
    first = session.defaults.model.partition(",")[0] or None  # one model, even if the default is several
    failed = found.source if code else ""
    request = CellRequest(prompt=found.prompt(instruction), model=first, raw=True, code=code, failed=failed)
    return dispatch.run(session, request, Scope(session.variables), found.announcement)


def thread(session: Session, command: Command) -> None:
    """List the conversations, or show, delete or rename one."""
    match (command.argument or "").split():
        case []:
            lines = [f"{name}: {len(messages)} messages" for name, messages in session.threads.items()]
            say("\n".join(lines) or "There are no conversations yet. %%llm -t starts one.")
        case [name] | ["show", name]:
            found = [each for each in _messages(session, name) if each.content.strip()]
            said = (f"{_speaker(each)}: {each.content.strip()}" for each in found)
            say(plain("\n\n".join(said)))
        case ["delete", name]:
            _messages(session, name)  # raises if there is none
            del session.threads[name]
            say(f"The conversation {name!r} was deleted.")
        case [_, *names]:
            _rename(session, *names)


def _speaker(message: LLMMessage) -> str:
    return f"{message.role} (incomplete)" if isinstance(message, IncompleteMessage) else message.role


def _rename(session: Session, old: str, new: str) -> None:
    _messages(session, old)  # raises if there is none
    if new in session.threads:
        raise ConfigurationError(f"A conversation {new!r} already exists.", hint="Delete it first.")
    session.threads[new] = session.threads.pop(old)
    say(f"The conversation {old!r} is now called {new!r}.")


def _messages(session: Session, name: str) -> list[LLMMessage]:
    if name not in session.threads:
        hint = did_you_mean(name, session.threads, "%llm thread lists them.")
        raise ConfigurationError(f"There is no conversation {name!r}.", hint=hint)
    return session.threads[name]


def last(session: Session, command: Command) -> Any:  # noqa: ARG001 - what subcommands take
    """Show the last answer again."""
    if session.last_reply is None:
        raise ConfigurationError("There are no answers in this session.", hint="Ask something first.")
    if has_kernel(session.shell):
        return session.last_reply
    session.last_reply.show()
    return None


def export(session: Session, command: Command) -> None:
    """Export the session or a conversation to a file, or print it as Markdown."""
    words = (command.argument or "").split()
    if words[:1] == ["thread"]:
        title, entries, words = words[1], thread_entries(_messages(session, words[1])), words[2:]
    elif session.log:
        title, entries = "Questions and answers", session_entries(session.log)
    else:
        raise ConfigurationError("There are no answers in this session.", hint="Ask something first.")
    if words:
        say(f"Written to {write_transcript(words[0], entries, title)}.")
    else:
        say(to_markdown(entries, title).rstrip())
