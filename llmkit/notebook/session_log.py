"""The log of a session's questions and answers, and its form as entries of a transcript."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.content.messages import LLMMessage
from llmkit.content.reasoning import spoken
from llmkit.notebook.display.footer import NO_FOOTER
from llmkit.notebook.display.parts import NOTHING
from llmkit.notebook.transcript import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.notebook.display.footer import Footer
    from llmkit.notebook.display.parts import Beside
    from llmkit.notebook.reply import Reply
    from llmkit.notebook.request import Prompt


INCOMPLETE = "This answer is incomplete."
"""Shown under an incomplete answer."""


class IncompleteMessage(LLMMessage):
    """An incomplete answer in a conversation; the partial text is part of the next request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One question and its answer."""

    number: int | None  # n of `In[n]`
    label: str  # the model, as the user named it
    prompt: str  # with its variables filled in
    answer: str
    footer: Footer
    along: tuple[str, ...] = ()  # titles of what was sent with it
    complete: bool = True  # neither stopped nor cut off
    beside: Beside = NOTHING


def log_entry(number: int | None, label: str, prompt: Prompt, reply: Reply) -> LogEntry:
    """Return a question and its answer for the session's log."""
    return LogEntry(
        number=number,
        label=label,
        prompt=prompt.parts[-1].text,
        along=tuple(part.title for part in prompt.parts[:-1]),
        answer=spoken(reply.text),
        beside=reply.beside,
        footer=reply.footer or NO_FOOTER,
        complete=reply.complete,
    )


def assistant_message(reply: Reply) -> LLMMessage | None:
    """Return an answer as the next message of a conversation; `None` if it has no text."""
    text = spoken(reply.text)
    kind = LLMMessage if reply.complete else IncompleteMessage
    return kind(role="assistant", content=text) if text.strip() else None


def session_entries(log: Iterable[LogEntry]) -> list[Entry]:
    """Return a session as a transcript's entries."""
    return [entry for each in log for entry in _entries(each)]


def thread_entries(messages: Iterable[LLMMessage]) -> list[Entry]:
    """Return a conversation as a transcript's entries."""
    return [
        Entry(
            text=message.content,
            quoted=message.role == "user",
            notes=(INCOMPLETE,) if isinstance(message, IncompleteMessage) else (),
        )
        for message in messages
    ]


def _entries(each: LogEntry) -> tuple[Entry, Entry]:
    heading = each.label if each.number is None else f"In[{each.number}] · {each.label}"
    along = (f"Sent along: {', '.join(each.along)}",) if each.along else ()
    cut = () if each.complete else (INCOMPLETE,)
    return (
        Entry(text=each.prompt, quoted=True, heading=heading, notes=along),
        Entry(text=each.answer, notes=cut, footer=each.footer, cut=not each.complete, beside=each.beside),
    )
