"""Subcommands of `%llm` about this session: its last error, its conversations, its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.core.errors import ConfigurationError
from llmkit.core.suggestions import did_you_mean
from llmkit.notebook.cell.parser import CellRequest
from llmkit.notebook.display.error_messages import plain
from llmkit.notebook.last_error import EXPLAIN, FIX, last_error
from llmkit.notebook.record import IncompleteMessage, session_entries, thread_entries
from llmkit.notebook.transcript import to_markdown, write_transcript

if TYPE_CHECKING:
    from llmkit.content.messages import LLMMessage
    from llmkit.notebook.cell.subcommands import Command
    from llmkit.notebook.last_error import LastError
    from llmkit.notebook.magics import LLMMagics


def fix(magics: LLMMagics, command: Command) -> Any:  # noqa: ARG001 - what subcommands take
    """Ask for the cell that failed last, mended; its code goes into the next cell."""
    return _ask_about(_problem(magics), magics, FIX, code=True)


def explain(magics: LLMMagics, command: Command) -> Any:  # noqa: ARG001 - what subcommands take
    """CellRequest what the last error means."""
    return _ask_about(_problem(magics), magics, EXPLAIN)


def _ask_about(problem: LastError, magics: LLMMagics, wish: str, *, code: bool = False) -> Any:
    if problem.advice:  # a paid answer could only repeat it, and without a key there is none
        _say(f"Nothing was sent: the last error is llmkit's own, and says what to do. {problem.advice}")
        return None
    first = magics.model.partition(",")[0] or None  # where several are the default, one is enough
    ask = CellRequest(prompt=problem.prompt(wish), model=first, raw=True, code=code)
    return magics.ask(ask, problem.announcement)


def _problem(magics: LLMMagics) -> LastError:
    found = magics.problem or last_error()
    if found is None:
        raise ConfigurationError("No cell has failed so far.", hint="Run the failing cell, then ask again.")
    return found


def thread(magics: LLMMagics, command: Command) -> None:
    """List the conversations, or show, delete or rename one."""
    words = (command.argument or "").split()
    if not words:
        lines = [f"{name}: {len(messages)} messages" for name, messages in magics.threads.items()]
        _say("\n".join(lines) or "There are no conversations yet: %%llm -t begins one.")
        return
    action, names = (words[0], words[1:]) if len(words) > 1 else ("show", words)
    messages = _messages(magics, names[0])
    if action == "show":
        said = (f"{_speaker(message)}: {message.content.strip()}" for message in messages)
        _say(plain("\n\n".join(said)))
    elif action == "delete":
        del magics.threads[names[0]]
        _say(f"The conversation {names[0]!r} is deleted.")
    else:
        _rename(magics, *names)


def _speaker(message: LLMMessage) -> str:
    return f"{message.role} (incomplete)" if isinstance(message, IncompleteMessage) else message.role


def _rename(magics: LLMMagics, old: str, new: str) -> None:
    if new in magics.threads:
        raise ConfigurationError(f"There is a conversation {new!r} already.", hint="Delete it first.")
    magics.threads[new] = magics.threads.pop(old)
    _say(f"The conversation {old!r} is called {new!r} now.")


def _messages(magics: LLMMagics, name: str) -> list[LLMMessage]:
    if name not in magics.threads:
        hint = did_you_mean(name, magics.threads, "%llm thread lists them.")
        raise ConfigurationError(f"There is no conversation {name!r}.", hint=hint)
    return magics.threads[name]


def last(magics: LLMMagics, command: Command) -> Any:  # noqa: ARG001 - what subcommands take
    """Show the last answer again."""
    if magics.last is None:
        raise ConfigurationError("Nothing was answered in this session.", hint="CellRequest something first.")
    if getattr(magics.shell, "kernel", None) is not None:
        return magics.last
    magics.last.show()
    return None


def export(magics: LLMMagics, command: Command) -> None:
    """Write the session's questions and answers, or a conversation: into a file, or here as Markdown."""
    words = (command.argument or "").split()
    if words[:1] == ["thread"]:
        title, entries, words = words[1], thread_entries(_messages(magics, words[1])), words[2:]
    elif magics.log:
        title, entries = "Questions and answers", session_entries(magics.log)
    else:
        raise ConfigurationError("Nothing was answered in this session.", hint="CellRequest something first.")
    if words:
        _say(f"Written to {write_transcript(words[0], entries, title)}.")
    else:
        _say(to_markdown(entries, title).rstrip())


def _say(line: object) -> None:
    print(line)  # noqa: T201 - a subcommand answers in words
