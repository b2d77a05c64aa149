"""The exception of a job that ended before its last row."""

from __future__ import annotations

from functools import partial
from typing import Any

from llmkit.core.errors import LLMClientError

AGAIN = "Run the cell again to go on: what was answered is not paid again."
UNSTORED = "What was answered is in .frame alone, because of store=False."


class JobStopped(LLMClientError):  # noqa: N818 - it ends a job, which may be no error
    """A job ended before its last row: each further row would have failed, too, or somebody stopped it.

    Args:
        message: What happened.
        frame: The frame with what was answered.
        reason: Why it stopped, in a few words.
        hint: How to go on.

    Attributes:
        frame: The frame with what was answered; rows that were not asked are missing.
        reason: Why it stopped.

    Example:
        >>> JobStopped("Stopped after 2 of 9 rows.", frame=None, reason="interrupted").reason
        'interrupted'
    """

    default_hint = AGAIN

    def __init__(self, message: str, *, frame: Any, reason: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.frame = frame
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        # From a worker to its client: exceptions are made again from their arguments by position.
        made = partial(type(self), frame=None, reason=self.reason)
        return made, (self.message,), self.__dict__


class JobInterrupted(JobStopped, KeyboardInterrupt):
    """A job was interrupted by the user; Run All stops there."""
