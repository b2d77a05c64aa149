"""Every exception that llmkit raises for a call, in one tree.

```
LLMClientError
├── AuthenticationError            401, an invalid or missing key
│   └── PermissionDeniedError      403
├── ModelNotFoundError             404, an unknown model
├── RateLimitError                 429, worth another try
│   └── QuotaExceededError         402 or 429: the money or the quota is used up
├── InvalidRequestError            400, 422: the request itself is wrong
│   └── ContextLengthError         413: the prompt is too long
├── ProviderNotAvailableError      5xx, refused, DNS, TLS
│   ├── LLMTimeoutError            a deadline of ours passed
│   └── StreamInterruptedError     the answer stopped before its end
├── BadResponseError               a 200 that is not the provider's protocol
├── BudgetExceededError            the call might break a budget: it was not sent
├── ReplayMissError                no recorded answer, and only recorded ones are allowed
└── ConfigurationError             a setting, a name or an extra is missing
```

Each one says what happened, why, and what to do next, on one line and in at most
500 characters. The provider's own exception stays reachable as `__cause__`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from datetime import datetime

MAX_MESSAGE = 500
"""Longest text of an error, in characters; a provider's megabyte of HTML is cut to fit."""


class LLMClientError(Exception):
    """Base class of everything that can go wrong with a call.

    Args:
        message: What happened, in one sentence.
        provider: Name of the provider that was asked, e.g. `"openai"`.
        model: Model that was asked for.
        status_code: HTTP status of the answer, if there was one.
        retry_after: Seconds the provider asks to wait before another try.
        request_id: The provider's own identifier of the request, for its support.
        retryable: Whether the same call may succeed if it is made again; by default
            what the class says.
        hint: What to do next; by default what the class says.
        partial: Text that had arrived before the failure.
        params: Places in the request that the provider's error blames, e.g. `("temperature",)`.

    Example:
        >>> error = LLMClientError("It did not work.", provider="openai", hint="Try again.")
        >>> str(error)
        'It did not work. Try again.'
    """

    default_hint: ClassVar[str] = ""
    default_retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str = "",
        *,
        provider: str | None = None,
        model: str | None = None,
        status_code: int | None = None,
        retry_after: float | None = None,
        request_id: str | None = None,
        retryable: bool | None = None,
        hint: str | None = None,
        partial: str = "",
        params: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.provider = provider
        self.model = model
        self.status_code = status_code
        self.retry_after = retry_after
        self.request_id = request_id
        self.retryable = self.default_retryable if retryable is None else retryable
        self.hint = self.default_hint if hint is None else hint
        self.partial = partial
        self.params = params

    def __str__(self) -> str:
        room = MAX_MESSAGE - len(self.hint) - 1
        message = self.message if len(self.message) <= room else self.message[: room - 1] + "…"
        return f"{message} {self.hint}".strip()


class AuthenticationError(LLMClientError):
    """The provider refuses the key (401), or there is no key."""

    default_hint = "Check the key and where it comes from: %llm doctor."


class PermissionDeniedError(AuthenticationError):
    """The key is good but may not do this (403)."""

    default_hint = "Check what the key's project may use."


class ModelNotFoundError(LLMClientError):
    """The provider knows no such model, or not for this key (404)."""

    default_hint = "List the names with %llm models."


class RateLimitError(LLMClientError):
    """Too many requests or tokens for the moment (429)."""

    default_hint = "Wait, or send fewer calls at once."
    default_retryable = True


class QuotaExceededError(RateLimitError):
    """The account has no credit or quota left (402, 429): waiting does not help."""

    default_hint = "Check the account's plan and billing."
    default_retryable = False


class InvalidRequestError(LLMClientError):
    """The request is wrong as it stands (400, 422)."""

    default_hint = "Change the request; the same one will fail again."


class ContextLengthError(InvalidRequestError):
    """Prompt and answer do not fit into the model's context (413)."""

    default_hint = "Shorten the prompt, lower max_tokens, or take a model with a longer context."


class ProviderNotAvailableError(LLMClientError):
    """The provider cannot be reached or is not working (5xx, refused, DNS, TLS)."""

    default_hint = "Try again later, or use another model."
    default_retryable = True


class LLMTimeoutError(ProviderNotAvailableError):
    """One of the call's deadlines passed: connect, first token, idle or total."""

    default_hint = "Try again, or allow more time with timeout=."


class StreamInterruptedError(ProviderNotAvailableError):
    """The answer stopped before the provider said that it was complete.

    `partial` holds, byte for byte, what had arrived. A call that broke off before any text is tried again.
    """

    default_hint = "The text so far is in .partial; run again for a whole answer."
    default_retryable = False

    def before_any_text(self) -> None:
        """Make the error worth another try: nothing was shown, so nothing would be shown twice."""
        self.retryable = True
        if self.hint == self.default_hint:  # there is nothing in .partial
            self.hint = ProviderNotAvailableError.default_hint


class BadResponseError(LLMClientError):
    """The server said 200, but what it sent is not the provider's protocol."""

    default_hint = "Check the base URL: is this the provider's API?"


class BudgetExceededError(LLMClientError):
    """The call was not sent: it might cost more than a budget leaves.

    Args:
        message: What happened, in one sentence.
        cap: The budget, in US dollars.
        spent: What was spent of it.
        reserved: What running calls may still cost.
        uncertain: What calls whose answers broke off may have cost beyond `spent`.
        needed: What this call may cost at most; `None` if its price is unknown.
        resets: When the budget begins anew (local time); `None` if it does not.
        hint: What to do next.
    """

    default_hint = (
        "Ask for a shorter answer (max_tokens=1000, or -k 1000 in a cell), take a cheaper model, or raise the"
        " budget."
    )

    def __init__(
        self,
        message: str = "",
        *,
        cap: float | None = None,
        spent: float | None = None,
        reserved: float | None = None,
        uncertain: float | None = None,
        needed: float | None = None,
        resets: datetime | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.cap = cap
        self.spent = spent
        self.reserved = reserved
        self.uncertain = uncertain
        self.needed = needed
        self.resets = resets


class ReplayMissError(LLMClientError):
    """No answer to this very request was recorded, and the replay mode is `only`: nothing was sent."""

    default_hint = 'Record it once with llmkit.replay(mode="auto"), or check what changed in the request.'


class ConfigurationError(LLMClientError, ValueError):
    """A setting, a provider's name or an optional package is missing or wrong."""
