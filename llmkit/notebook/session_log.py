"""The log of a session's questions and answers, and its form as entries of a transcript."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.content.messages import LLMMessage, LLMResponse
from llmkit.content.parts import Media, Other, ToolCall, ToolResult
from llmkit.content.reasoning import spoken
from llmkit.notebook.display.footer import NO_FOOTER
from llmkit.notebook.display.parts import NOTHING, beside, results_beside
from llmkit.notebook.transcript import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from llmkit.content.parts import Part
    from llmkit.notebook.display.footer import Footer
    from llmkit.notebook.display.parts import Beside
    from llmkit.notebook.reply import Reply
    from llmkit.notebook.request import Prompt


INCOMPLETE = "This answer is incomplete."
"""Shown under an incomplete answer."""


NOT_RUN = "Not run: the run was stopped."
"""Result of a call that a run did not come to."""


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


def answer_messages(reply: Reply, sent: int) -> list[LLMMessage]:
    """Return an answer as the next messages of a conversation; none if there is nothing to send back.

    Args:
        reply: The answer; that of a run with tools brings its calls and their results along.
        sent: Number of messages that were sent.
    """
    text = spoken(reply.text)
    if reply.run is not None:
        return _run_messages(reply, reply.run.messages[sent:], text)
    if not text.strip():
        return []
    if not reply.complete or reply.response.tool_calls:
        kind = LLMMessage if reply.complete else IncompleteMessage
        return [kind(role="assistant", content=text)]
    if text == reply.text and any(_goes_back(part) for part in reply.response.parts):
        return [reply.response.message]
    return [LLMMessage(role="assistant", content=text)]


def _run_messages(reply: Reply, said: Sequence[LLMMessage], text: str) -> list[LLMMessage]:
    """Return what a run with tools said: its last answer may be cut, or not be among its messages."""
    messages = list(said)
    if not reply.ended:
        messages = [*answered(messages), *([IncompleteMessage("assistant", text)] if text.strip() else [])]
    elif not reply.complete and messages and messages[-1].role == "assistant":
        last = messages[-1]
        messages[-1] = IncompleteMessage(last.role, last.content, last.attachments, last.parts)
    return answered(messages)


def answered(messages: Sequence[LLMMessage]) -> list[LLMMessage]:
    """Return a conversation whose last calls of tools have results, as providers want it to go on.

    Example:
        >>> call = ToolCall("1", "add", {"a": 1})
        >>> [message.role for message in answered([LLMMessage("assistant", parts=(call,))])]
        ['assistant', 'user']
    """
    calls = [part for part in messages[-1].parts if isinstance(part, ToolCall)] if messages else []
    results = tuple(ToolResult(call.id, call.name, NOT_RUN, is_error=True) for call in calls)
    return [*messages, *([LLMMessage("user", parts=results)] if results else [])]


def _goes_back(part: Part) -> bool:
    """Whether the provider needs a part of its answer back, beside the text."""
    return part.opaque is not None or isinstance(part, Media | Other)


def session_entries(log: Iterable[LogEntry]) -> list[Entry]:
    """Return a session as a transcript's entries."""
    return [entry for each in log for entry in _entries(each)]


def thread_entries(messages: Iterable[LLMMessage]) -> list[Entry]:
    """Return a conversation as a transcript's entries."""
    said = list(messages)
    calls = {part.id: part for message in said for part in message.parts if isinstance(part, ToolCall)}
    return [_thread_entry(message, calls) for message in said]


def _thread_entry(message: LLMMessage, calls: Mapping[str, ToolCall]) -> Entry:
    results = [part for part in message.parts if isinstance(part, ToolResult)]
    if results:
        return Entry(text="", beside=results_beside(results, calls))
    answer = LLMResponse(message.content, "", "", parts=message.parts) if message.parts else None
    return Entry(
        text=message.content,
        quoted=message.role == "user",
        notes=(INCOMPLETE,) if isinstance(message, IncompleteMessage) else (),
        beside=beside(answer, frozenset(calls)),
    )


def _entries(each: LogEntry) -> tuple[Entry, Entry]:
    heading = each.label if each.number is None else f"In[{each.number}] · {each.label}"
    along = (f"Sent along: {', '.join(each.along)}",) if each.along else ()
    cut = () if each.complete else (INCOMPLETE,)
    return (
        Entry(text=each.prompt, quoted=True, heading=heading, notes=along),
        Entry(text=each.answer, notes=cut, footer=each.footer, cut=not each.complete, beside=each.beside),
    )
