"""What a failed call means: an error of its row, or the end of the job."""

from __future__ import annotations

from llmkit.core.errors import (
    AuthenticationError,
    BadResponseError,
    BudgetExceededError,
    ConfigurationError,
    ContextLengthError,
    InvalidRequestError,
    LLMClientError,
    LLMTimeoutError,
    ModelNotFoundError,
    ProviderNotAvailableError,
    QuotaExceededError,
    RateLimitError,
    ReplayMissError,
    StreamInterruptedError,
)

STOPS = (AuthenticationError, ModelNotFoundError, QuotaExceededError, BudgetExceededError, ConfigurationError)
"""Errors that every further row would have, too."""

SAME = 5
"""First rows that have to fail with the same invalid request before the job stops."""

_KINDS: tuple[tuple[type[LLMClientError], str], ...] = (
    (RateLimitError, "rate_limit"),
    (LLMTimeoutError, "timeout"),
    (StreamInterruptedError, "interrupted"),
    (ContextLengthError, "context_length"),
    (InvalidRequestError, "invalid"),
    (BadResponseError, "bad_response"),
    (ReplayMissError, "replay"),
)


def kind_of(error: Exception) -> str:
    """Return the first word of a row's error.

    Example:
        >>> kind_of(RateLimitError("slow down")), kind_of(ProviderNotAvailableError("", status_code=503))
        ('rate_limit', 'server')
    """
    for kind, word in _KINDS:
        if isinstance(error, kind):
            return word
    if isinstance(error, ProviderNotAvailableError):
        return "connection" if error.status_code is None else "server"
    return "error"


def message_of(error: Exception) -> str:
    """Return the rest of a row's error, on one line.

    Example:
        >>> message_of(RateLimitError("slow down"))
        'slow down'
    """
    said = error.message if isinstance(error, LLMClientError) else f"{type(error).__name__}: {error}"
    return " ".join(said.split())[:300]


class Refusals:
    """Notices that the first rows all fail with the same invalid request."""

    def __init__(self) -> None:
        self._answered = False
        self._seen: list[str] = []

    def note(self, error: Exception | None) -> bool:
        """Note how a row ended; return whether the job has to stop."""
        same_for_all = isinstance(error, InvalidRequestError) and not isinstance(error, ContextLengthError)
        self._answered = self._answered or not same_for_all
        if self._answered or error is None:
            return False
        self._seen.append(message_of(error))
        return len(self._seen) >= SAME and len(set(self._seen)) == 1
