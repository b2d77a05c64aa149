"""What was asked and answered in this session, and how to write it down."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.errors import ConfigurationError
from llmkit.messages import LLMMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MARK = "<!-- exported by llmkit -->"
"""First line of an export, which a later one may replace."""

INCOMPLETE = "*This answer is incomplete.*"
"""Stands under an answer that was stopped or broke off."""


class IncompleteMessage(LLMMessage):
    """An answer of a conversation that was stopped or broke off; it is sent back as far as it came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One question and its answer.

    Attributes:
        number: The n of its `In[n]`.
        label: What the model was called.
        prompt: The question, its variables filled in.
        along: What was sent with it, by title.
        answer: The answer.
        footer: The line under it.
        complete: Whether it was neither stopped nor cut.
    """

    number: int | None
    label: str
    prompt: str
    answer: str
    footer: str
    along: tuple[str, ...] = ()
    complete: bool = True


def session_markdown(exchanges: Iterable[Exchange]) -> str:
    """Write a session down.

    Args:
        exchanges: What was asked and answered.

    Returns:
        Markdown.
    """
    return "\n\n".join([MARK, "# Questions and answers", *map(_exchange, exchanges)]) + "\n"


def thread_markdown(name: str, messages: Sequence[LLMMessage]) -> str:
    """Write a conversation down.

    Args:
        name: Its name.
        messages: Its messages.

    Returns:
        Markdown.
    """
    return "\n\n".join([MARK, f"# {name}", *map(_turn, messages)]) + "\n"


def write_markdown(path: str, text: str) -> Path:
    """Write an export to a file that only its owner can read.

    Args:
        path: The file; an export that is there is replaced, anything else is not.
        text: The export.

    Returns:
        Where it is.

    Raises:
        ConfigurationError: If it cannot be written, or another file is there.
    """
    file = Path(path).expanduser()
    try:
        if file.exists() and not file.read_text(encoding="utf-8", errors="replace").startswith(MARK):
            raise ConfigurationError(
                f"{file} is there, and is no export of llmkit's: it stays as it is.",
                hint="Take another name.",
            )
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
            stream.write(text)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}.") from error
    return file


def _exchange(exchange: Exchange) -> str:
    title = exchange.label if exchange.number is None else f"In[{exchange.number}] · {exchange.label}"
    along = f"*Sent along: {', '.join(exchange.along)}*" if exchange.along else ""
    footer = f"<small>{' '.join(exchange.footer.split())}</small>" if exchange.footer else ""
    cut = "" if exchange.complete else INCOMPLETE
    blocks = [f"## {title}", _quoted(exchange.prompt), along, exchange.answer.strip(), cut, footer]
    return "\n\n".join(filter(None, blocks))


def _turn(message: LLMMessage) -> str:
    if message.role == "user":
        return _quoted(message.content)
    cut = INCOMPLETE if isinstance(message, IncompleteMessage) else ""
    return "\n\n".join(filter(None, [message.content.strip(), cut]))


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines())
