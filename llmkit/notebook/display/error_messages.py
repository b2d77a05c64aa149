"""Errors as a cell shows them: one line, with the frames behind `%tb`."""

from __future__ import annotations

import contextlib
import math
import re
import signal
import threading
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import LLMClientError, LLMTimeoutError, RateLimitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.clients.engine.call import Waiting

RED, PLAIN = "\x1b[31m", "\x1b[0m"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
_SEQUENCE = re.compile(  # ECMA-48: strings with their end, then control sequences, then short escapes
    "(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x00-\x1f\x7f-\x9f]*(?:\x07|\x1b\\\\|\x9c)"
    "|(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|\x1b[ -/]*[0-~]"
)


class Stopped(KeyboardInterrupt):
    """An answer was interrupted: what had arrived stays, and Run All does not go on."""

    def __init__(self, where: str = "", reply: Any = None) -> None:
        found = f"the text so far is in {where}" if where else "no text had arrived"
        super().__init__(f"the request was cancelled; {found}.")
        self.reply = reply

    def _render_traceback_(self) -> list[str]:
        return [f"{RED}Stopped{PLAIN}: {self}"]


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


def without_controls(text: str) -> str:
    r"""Drop control characters: a terminal obeys them, and models and servers write what they like.

    Example:
        >>> without_controls("a\x1b[31mb")
        'a[31mb'
    """
    return _CONTROL.sub("", text)


def plain(text: str) -> str:
    r"""Return text for an output that is saved, which a terminal or a pager may show later.

    Whole control sequences go, and characters that only change the direction of writing, which can make a
    line read as another one.

    Example:
        >>> plain("a\x1b[31mb\x1b]0;title\x07c\td")
        'abc\td'
    """
    return _DIRECTION.sub("", without_controls(_SEQUENCE.sub("", text)))


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


def told(error: LLMClientError) -> str:
    """Return what an error says, who was asked, and what was noted on it, such as where the text so far is.

    Example:
        >>> told(LLMClientError("No answer.", provider="openai", model="gpt-6-luna"))
        'No answer. [openai:gpt-6-luna]'
    """
    name = ":".join(filter(None, (error.provider, error.model)))
    said = f"{error} [{name}]" if name else str(error)
    return " ".join([said, *getattr(error, "__notes__", ())])


def shorten(error: LLMClientError) -> LLMClientError:
    """Make an exception of a magic show itself on one line, the first time; `%tb` shows its frames."""
    vars(error)["_render_traceback_"] = partial(_render_once, error)  # a closure could not be pickled
    return error


def _render_once(error: LLMClientError) -> list[str]:
    vars(error).pop("_render_traceback_", None)
    return [headline(error)]


def headline(error: LLMClientError) -> str:
    """Return an error's class, in red, and what it says, on one line."""
    return f"{RED}{type(error).__name__}{PLAIN}: {without_controls(told(error))}"
