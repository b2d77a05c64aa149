"""Who is asked whether a tool may run: the notebook layer names somebody, a terminal is asked on its own."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from llmkit.content.parts import json_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.clients.tools.execution import Question

_asker: Callable[[Question], None] | None = None


def set_asker(asker: Callable[[Question], None] | None) -> None:
    """Set who is asked, on the thread that waits for the answer; `None` goes back to the terminal."""
    global _asker  # noqa: PLW0603 - one process has one person before it
    _asker = asker


async def ask(question: Question) -> None:
    """Let a person answer; without one, the call is denied."""
    if _asker is not None:
        _asker(question)  # the thread is the notebook's, whose cell waits
    else:
        await asyncio.to_thread(ask_here, question)


def ask_here(question: Question) -> None:
    """Let the person answer, on this thread; without one, the call is denied."""
    if _asker is not None:
        _asker(question)
        return
    if sys.stdin is None or not sys.stdin.isatty():
        return
    call = question.call
    shown = json_text(call.arguments).encode("unicode_escape").decode()
    answer = input(f"Run the tool {question.tool.name} with {shown}? [y/N] ")
    question.answer = answer.strip().lower() in {"y", "yes"}
