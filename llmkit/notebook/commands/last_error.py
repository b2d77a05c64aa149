"""The last error, for `%llm fix` and `%llm explain`."""

from __future__ import annotations

import linecache
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from llmkit.core.errors import LLMClientError
from llmkit.core.redaction import redact
from llmkit.notebook.display.error_messages import error_text
from llmkit.notebook.display.plain_text import plain
from llmkit.notebook.request import fenced

if TYPE_CHECKING:
    from types import TracebackType

MAX_SOURCE = 12_000
"""Longer cells are sent without their middle, in characters."""

MAX_TRACEBACK = 6_000
"""Maximum length of the traceback in characters; its end is kept."""

MAX_ERROR = 200_000
"""Only this many characters at the end of a traceback are searched for keys."""

FRAMES = 12
"""Maximum number of frames in the traceback; the last ones are kept."""

_ABOUT = re.compile(r"\s*(?:[\w.]+\s*=\s*)?%llm\s+(?:fix|explain)\s*\??\s*$")

FIX = """\
This notebook cell failed. Say in one sentence what was wrong. Then give the whole corrected cell in one \
Python code block, with as few changes as possible."""

EXPLAIN = """\
This notebook cell failed. Explain the error: what happened, why, and how to fix it. Be brief and \
concrete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastError:
    """A cell that failed."""

    source: str  # as typed
    error: str  # traceback without variables and without IPython's frames
    number: int | None = None  # n of `In[n]`
    redacted: bool = False  # what looked like a key was removed
    advice: str = ""  # message of llmkit's own error, which needs no model to explain it

    @property
    def announcement(self) -> str:
        """One line that says what is sent."""
        cell = "the failing cell" if self.number is None else f"In[{self.number}]"
        left = " Text that looks like a key was left out." if self.redacted else ""
        return f"Sent along: {cell} and its traceback.{left}"

    def prompt(self, wish: str) -> str:
        """Return the prompt that asks about it."""
        return f"{wish}\n\nThe cell:\n{fenced(self.source, 'python')}\n\nThe error:\n{fenced(self.error)}"


def describe_error(source: str, error: BaseException, number: int | None = None) -> LastError:
    """Describe a failed cell as text, so that no frame is kept alive."""
    cell, text = source.strip("\n"), _described(error)
    safe_cell, safe_error = redact(cell), redact(text)  # before truncating: half a key is not recognised
    return LastError(
        source=_middle_out(safe_cell, MAX_SOURCE),
        error=safe_error if len(safe_error) <= MAX_TRACEBACK else f"…\n{safe_error[-MAX_TRACEBACK:]}",
        number=number,
        redacted=(safe_cell, safe_error) != (cell, text),
        advice=_advice(cell, error),
    )


def last_error() -> LastError | None:
    """Return the last error from before llmkit was loaded, if Python has it in `sys.last_value`."""
    error = getattr(sys, "last_value", None)
    if error is None or isinstance(error, KeyboardInterrupt):
        return None
    trace = _own(error.__traceback__)
    source = "" if trace is None else "".join(linecache.getlines(trace.tb_frame.f_code.co_filename))
    return describe_error(source, error)


def is_about_last_error(source: str) -> bool:
    """Whether a cell asks about the last error; if it fails, the last error stays the same."""
    return _ABOUT.match(source) is not None


def failed(result: Any) -> BaseException | None:
    """Return what a cell raised."""
    error: BaseException | None = result.error_before_exec or result.error_in_exec
    return None if isinstance(error, (KeyboardInterrupt, SystemExit)) else error


def _advice(cell: str, error: BaseException) -> str:
    if isinstance(error, UsageError) and "%llm" in cell:  # what the magics raise for a wrong option
        return redact(plain(str(error)))
    return redact(plain(error_text(error))) if isinstance(error, LLMClientError) else ""


def _described(error: BaseException) -> str:
    lines = traceback.format_exception(type(error), error, _own(error.__traceback__), limit=-FRAMES)
    text = "".join(lines).strip()
    # The first word is dropped with the cut: it may be half a key, which would not be recognised.
    return text if len(text) <= MAX_ERROR else re.sub(r"\A\S*", "", text[-MAX_ERROR:])


def _own(trace: TracebackType | None) -> TracebackType | None:
    """Return the traceback from the first frame that is not IPython's."""
    while trace is not None and "IPython" in Path(trace.tb_frame.f_code.co_filename).parts:
        trace = trace.tb_next
    return trace


def _middle_out(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}\n# … cut here …\n{text[-most // 2 :]}"
