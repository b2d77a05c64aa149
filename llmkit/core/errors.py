"""The exceptions that llmkit raises for calls.

```
LLMClientError
├── AuthenticationError            401, an invalid or missing key
│   └── PermissionDeniedError      403
├── ModelNotFoundError             404, an unknown model
├── RateLimitError                 429, retryable
│   └── QuotaExceededError         402 or 429: credit or quota exhausted
├── InvalidRequestError            400, 422: the request is invalid
│   └── ContextLengthError         413: the prompt is too long
├── ProviderNotAvailableError      5xx, refused, DNS, TLS
│   ├── LLMTimeoutError            a timeout expired
│   └── StreamInterruptedError     the answer ended early
├── BadResponseError               a 200 response in another format
├── BudgetExceededError            not sent: the call might exceed a budget
├── ReplayMissError                no recorded answer in mode `only`
└── ConfigurationError             a setting, name or extra is missing or wrong
```

Each message says what happened, why, and what to do next, on one line of at most
500 characters. `__cause__` is the provider's own exception.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from datetime import datetime

MAX_MESSAGE = 500
"""Maximum length of a message, in characters; longer texts from providers are cut."""


class LLMClientError(Exception):
    """Base class of all errors of a call.

    Args:
        message: What happened, in one sentence.
        provider: Name of the provider, e.g. `"openai"`.
        model: Requested model.
        status_code: HTTP status of the response, if any.
        retry_after: Seconds to wait before a retry, if the provider says so.
        request_id: The provider's request identifier, for its support.
        retryable: Whether a retry of the same call may succeed; the default depends on the class.
        hint: What to do next; the default depends on the class.
        partial: Text that arrived before the failure.
        params: Request parameters that the provider's error names, e.g. `("temperature",)`.

    Attributes:
        run: The run with tools so far, if the call was a step of one.

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
        # Providers send line breaks, and a message is one line.
        self.message = " ".join(message.split())
        self.run: object = None
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
        # The message is cut, not the hint, which says what to do.
        room = MAX_MESSAGE - len(self.hint) - 1
        message = self.message if len(self.message) <= room else self.message[: room - 1] + "…"
        return f"{message} {self.hint}".strip()


class AuthenticationError(LLMClientError):
    """The provider refuses the key (401), or no key is set."""

    default_hint = "Check the key and its source: %llm doctor."


class PermissionDeniedError(AuthenticationError):
    """The key is valid but lacks the permission (403)."""

    default_hint = "Check the permissions of the key's project."


class ModelNotFoundError(LLMClientError):
    """The model does not exist, or not for this key (404)."""

    default_hint = "%llm models lists the names."


class RateLimitError(LLMClientError):
    """Too many requests or tokens at the moment (429).

    Attributes:
        quotas: The limits of a minute that the error names, such as `("requests", 10.0)`, as Google does.
    """

    quotas: tuple[tuple[Literal["requests", "input_tokens"], float], ...] = ()
    default_hint = "Wait, or run fewer calls at once."
    default_retryable = True


class QuotaExceededError(RateLimitError):
    """The account has no credit or quota left (402, 429). Waiting does not help."""

    default_hint = "Check the plan and billing of the account."
    default_retryable = False


class InvalidRequestError(LLMClientError):
    """The request is invalid (400, 422)."""

    default_hint = "Change the request; a retry would fail again."


class ContextLengthError(InvalidRequestError):
    """The prompt and answer exceed the model's context (413)."""

    default_hint = "Shorten the prompt, lower max_tokens, or use a model with a longer context."


class ProviderNotAvailableError(LLMClientError):
    """The provider is unreachable or failing (5xx, refused, DNS, TLS)."""

    default_hint = "Try again later, or use another model."
    default_retryable = True


class LLMTimeoutError(ProviderNotAvailableError):
    """A timeout of the call expired: connect, first token, idle or total."""

    default_hint = "Try again, or increase timeout=."


class StreamInterruptedError(ProviderNotAvailableError):
    """The answer ended before the provider marked it as complete.

    `partial` is the exact text that arrived. A call that fails before any text is retried.
    """

    default_hint = "The partial text is in .partial; run the call again for a complete answer."
    default_retryable = False

    def before_any_text(self) -> None:
        """Make the error retryable: no text was shown, so none would be shown twice."""
        self.retryable = True
        if self.hint == self.default_hint:  # .partial is empty
            self.hint = ProviderNotAvailableError.default_hint


class BadResponseError(LLMClientError):
    """The server answered 200, but not in the provider's format."""

    default_hint = "Check that the base URL is the provider's API."


class BudgetExceededError(LLMClientError):
    """The call was not sent: it might cost more than a budget leaves.

    Args:
        message: What happened, in one sentence.
        cap: The budget, in US dollars.
        spent: Amount spent.
        reserved: Amount reserved by running calls.
        uncertain: Amount that partial answers may have cost beyond `spent`.
        needed: Maximum cost of this call; `None` if its price is unknown.
        resets: When the budget resets (local time); `None` if it does not.
        hint: What to do next.
    """

    default_hint = (
        "Limit the answer (max_tokens=1000, or -k 1000 in a cell), use a cheaper model, or raise the budget."
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
    """The request has no recorded answer, and the replay mode is `only`, so nothing was sent."""

    default_hint = 'Record it with llmkit.replay(mode="auto"), or check what changed in the request.'


class ConfigurationError(LLMClientError, ValueError):
    """A setting, provider name or optional package is missing or wrong."""
