"""Errors as a cell shows them: one line, with the frames behind `%tb`."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import LLMClientError, LLMTimeoutError, RateLimitError
from llmkit.notebook.display.plain_text import without_controls
from llmkit.notebook.display.terminal_colors import red

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.clients.engine.call import Waiting


class Stopped(KeyboardInterrupt):
    """An answer was interrupted: what had arrived stays, and Run All does not go on."""

    def __init__(self, where: str = "", reply: Any = None) -> None:
        found = f"the text so far is in {where}" if where else "no text had arrived"
        super().__init__(f"the request was cancelled; {found}.")
        self.reply = reply

    def _render_traceback_(self) -> list[str]:
        return [f"{red('Stopped')}: {self}"]


def kept_in(out: str | None) -> str:
    """Say where the last answer of a cell is.

    Example:
        >>> kept_in("plan")
        'plan and %llm last'
    """
    return " and ".join(filter(None, [out, "%llm last"]))


@contextlib.contextmanager
def uninterrupted() -> Iterator[list[int]]:
    """Hold back an interrupt of the main thread until the block is over."""
    late: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield late  # signals go to the main thread
        return
    before = signal.signal(signal.SIGINT, lambda number, _frame: late.append(number))
    try:
        yield late
    finally:
        signal.signal(signal.SIGINT, before)


def countdown(waiting: Waiting | None) -> str:
    """Say why a call pauses and when it goes on; nothing if it does not pause."""
    if waiting is None:
        return ""
    error, reason = waiting.error, "not available"
    if isinstance(error, RateLimitError):
        reason = "rate limited"
    elif isinstance(error, LLMTimeoutError):
        reason = "no answer in time"
    status = "" if error.status_code is None else f" (HTTP {error.status_code})"
    seconds = max(0, math.ceil(waiting.until - monotonic()))
    return f"{reason}{status}: attempt {waiting.attempt} in {seconds} s"


def foreign(error: BaseException, provider: str | None = None) -> LLMClientError:
    """Return what another package's client raised, as one of llmkit's errors."""
    ours = LLMClientError(f"The call failed: {type(error).__name__}: {error}", provider=provider)
    ours.__cause__ = error
    return ours


def error_text(error: BaseException) -> str:
    """Return an error's message, the model that was called, and notes, such as where the partial text is.

    Example:
        >>> error_text(LLMClientError("No answer.", provider="openai", model="gpt-6-luna"))
        'No answer. [openai:gpt-6-luna]'
    """
    name = ":".join(filter(None, (getattr(error, "provider", None), getattr(error, "model", None))))
    said = f"{error} [{name}]" if name else str(error)
    return " ".join([said, *getattr(error, "__notes__", ())])


def shorten(error: LLMClientError) -> LLMClientError:
    """Make an exception of a magic show itself on one line, the first time; `%tb` shows its frames."""
    vars(error)["_render_traceback_"] = partial(_render_once, error)  # a closure could not be pickled
    return error


def _render_once(error: LLMClientError) -> list[str]:
    vars(error).pop("_render_traceback_", None)
    return [headline(error)]


def headline(error: BaseException) -> str:
    """Return an error's class, in red, and its message, on one line."""
    return f"{red(type(error).__name__)}: {without_controls(error_text(error))}"
