"""What a provider is to llmkit: pure functions between our words and its wire format."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from llmkit.clients.retry import retry_after
from llmkit.errors import (
    AuthenticationError,
    BadResponseError,
    ContextLengthError,
    InvalidRequestError,
    LLMClientError,
    ModelNotFoundError,
    PermissionDeniedError,
    ProviderNotAvailableError,
    QuotaExceededError,
    RateLimitError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.messages import LLMMessage, Usage
    from llmkit.wire.carrier import WireRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call in our words.

    Attributes:
        messages: The conversation.
        model: The provider's name of the model.
        temperature: Randomness; `None` leaves it to the provider.
        max_tokens: Limit of the answer; `None` leaves it to the provider.
        stream: Whether the answer is to arrive as it is written.
        extra: Parameters in the provider's own words.
        without: Parameters that this server is known to refuse for this model.
    """

    messages: tuple[LLMMessage, ...]
    model: str
    temperature: float | None = None
    max_tokens: int | None = None
    stream: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    without: frozenset[str] = frozenset()


@dataclass(slots=True)
class Answer:
    """What is known of an answer so far; `decode` fills it in.

    Attributes:
        usage: Tokens as reported so far; `None` if nothing was.
        finish_reason: Why it ended.
        model: Model that answers, in the provider's words.
        request_id: The provider's identifier, from the body.
        ended: Whether the provider's terminal marker was seen.
        thinking: Whether the last event brought reasoning, which is progress without text.
        tier: The provider's service tier.
        cost_usd: Price as the provider itself reports it, in US dollars.
    """

    usage: Usage | None = None
    finish_reason: str | None = None
    model: str | None = None
    request_id: str | None = None
    ended: bool = False
    thinking: bool = False
    tier: str | None = None
    cost_usd: float | None = None


class Codec(Protocol):
    """One provider's wire format: pure functions, no I/O, no state of its own.

    What must hold for every implementation: `decode` returns the text of an event exactly as the
    provider wrote it, `""` if it has none, and never keeps anything outside the `Answer`; an error
    inside the stream is raised as the exception that its type stands for.
    """

    def encode(self, request: Request) -> WireRequest:
        """Return the request as it goes out."""
        ...

    def decode(self, data: bytes, answer: Answer) -> str:
        """Read the data of one server-sent event.

        Args:
            data: The event's data.
            answer: Filled in with what the event says.

        Returns:
            The text it brings.

        Raises:
            BadResponseError: If it is not in the provider's format.
            LLMClientError: If it is an error of the provider's.
        """
        ...

    def decode_body(self, body: bytes, answer: Answer) -> str:
        """Read a whole answer that was not streamed; otherwise like `decode`."""
        ...

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> LLMClientError:
        """Return the exception for an error status."""
        ...

    def models_request(self) -> WireRequest:
        """Return the request for the list of models, which costs nothing."""
        ...

    def decode_models(self, body: bytes) -> list[str]:
        """Read the names from the list of models."""
        ...


def loads(data: bytes) -> Any:
    """Read JSON as lenient as Python does where the fast reader is strict.

    Args:
        data: One JSON document.

    Raises:
        BadResponseError: If it is none.
    """
    try:
        return orjson.loads(data)
    except ValueError:
        return _loads_slowly(data)


def _loads_slowly(data: bytes) -> Any:
    """Read what orjson refuses but servers send: half a surrogate pair, NaN."""
    import json

    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        start = data[:80].decode("utf-8", "replace")
        raise BadResponseError(f"The server did not send JSON but {start!r}.") from error


def obj(value: Any) -> dict[str, Any]:
    """Return a JSON object, an empty one for `null` or what is missing.

    Raises:
        BadResponseError: If it is something else.
    """
    if isinstance(value, dict):
        return value
    if value is None:
        return {}
    raise BadResponseError(f"The server sent {str(value)[:60]!r} where an object belongs.")


def items(value: Any) -> list[Any]:
    """Return a JSON array, an empty one for `null` or what is missing.

    Raises:
        BadResponseError: If it is something else.
    """
    if isinstance(value, list):
        return value
    if value is None:
        return []
    raise BadResponseError(f"The server sent {str(value)[:60]!r} where a list belongs.")


def text(value: Any) -> str:
    """Return a string, an empty one for `null` or what is missing.

    Raises:
        BadResponseError: If it is something else.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise BadResponseError(f"The server sent {str(value)[:60]!r} where text belongs.")


def count(value: Any) -> int | None:
    """Return a number of tokens, or `None` where there is no sensible one.

    Example:
        >>> count("12"), count(-1), count(None)
        (12, None, None)
    """
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def total(*counts: int | None) -> int | None:
    """Return the sum of what is known, `None` if nothing is."""
    known = [n for n in counts if n is not None]
    return sum(known) if known else None


_OPTIONAL = re.compile(
    r"unsupported|not support|n't support|unrecognized|unknown|not permitted|extra inputs|deprecated"
    r"|not allowed"
)


def refused_parameter(error: LLMClientError, sent: Mapping[str, Any]) -> str | None:
    """Return the optional parameter that a server refused, if its message names one that was sent.

    Args:
        error: What the server answered.
        sent: The request's parameters.

    Example:
        >>> e = InvalidRequestError("Unsupported parameter: max_tokens")
        >>> refused_parameter(e, {"max_tokens": 5, "model": "x"})
        'max_tokens'
    """
    if not isinstance(error, InvalidRequestError) or isinstance(error, ContextLengthError):
        return None
    message = error.message.lower()
    if not _OPTIONAL.search(message):
        return None
    named = [
        (match.start(), name)
        for name in sent
        if name not in {"model", "messages", "stream", "contents"}
        and (match := re.search(rf"(?<![a-z_]){re.escape(name.lower())}(?![a-z_])", message))
    ]
    return min(named)[1] if named else None


def classify(status: int, headers: Mapping[str, str], message: str, code: str = "") -> LLMClientError:
    """Return the exception for an error, by its code where there is one, else by its status.

    Args:
        status: HTTP status; 0 for an error inside a stream.
        headers: The answer's headers.
        message: The provider's own words.
        code: The provider's code or type of the error.

    Returns:
        The exception, without provider and model.
    """
    kind = _by_code(code.lower(), message.lower()) or _by_status(status)
    said = message or f"HTTP status {status}"
    return kind(
        said if not status else f"{said.rstrip('.')} (HTTP {status}).",
        status_code=status or None,
        retry_after=retry_after(headers),
        request_id=headers.get("x-request-id") or headers.get("request-id"),
    )


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


_QUOTA = _words("insufficient_quota", "billing", "credit balance", "payment_required", "insufficient balance")
_CONTEXT = _words(
    "context_length",
    "prompt is too long",
    "maximum context",
    "request_too_large",
    "input token count.*exceeds",
    "context window",
)
_KEY = _words(
    "invalid_api_key",
    "authentication",
    "api_key_invalid",
    "api key not valid",
    "unauthenticated",
    "incorrect api key",
)
_CODES: tuple[tuple[re.Pattern[str], type[LLMClientError]], ...] = (
    (_QUOTA, QuotaExceededError),
    (_CONTEXT, ContextLengthError),
    (_KEY, AuthenticationError),
    (_words("permission"), PermissionDeniedError),
    (_words("model_not_found", "not_found"), ModelNotFoundError),
    (_words("rate_limit", "resource_exhausted"), RateLimitError),
    (
        _words(
            "overloaded",
            "unavailable",
            "server_error",
            "api_error",
            "internal",
            "deadline_exceeded",
            "timeout",
        ),
        ProviderNotAvailableError,
    ),
    (
        _words("invalid_request", "invalid_argument", "failed_precondition", "bad_request"),
        InvalidRequestError,
    ),
)


def _by_code(code: str, message: str) -> type[LLMClientError] | None:
    """Match the code first: the message may quote the user's own words."""
    for pattern, kind in _CODES[:3]:  # those that a general code such as invalid_request hides
        if pattern.search(code) or pattern.search(message[:300]):
            return kind
    return next((kind for pattern, kind in _CODES if code and pattern.search(code)), None)


_STATUSES: dict[int, type[LLMClientError]] = {
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: ModelNotFoundError,
    408: ProviderNotAvailableError,
    409: ProviderNotAvailableError,
    413: ContextLengthError,
    429: RateLimitError,
}


def _by_status(status: int) -> type[LLMClientError]:
    if status in _STATUSES:
        return _STATUSES[status]
    if 400 <= status < 500:
        return InvalidRequestError
    return ProviderNotAvailableError if status >= 500 or status == 0 else BadResponseError


def error_parts(body: bytes) -> tuple[str, str]:
    """Return message and code of an error body in any of the providers' formats.

    Args:
        body: The body of an answer with an error status: JSON, or whatever a proxy wrote.
    """
    try:
        data = loads(body)
    except BadResponseError:
        return _plain(body), ""
    if isinstance(data, list) and data:  # Gemini's streaming endpoint wraps its error
        data = data[0]
    error = data.get("error", data) if isinstance(data, dict) else data
    if not isinstance(error, dict):
        return str(error)[:400], ""
    reasons = [
        str(d["reason"]) for d in error.get("details") or () if isinstance(d, dict) and d.get("reason")
    ]
    codes = [*reasons, *(str(error[key]) for key in ("code", "type", "status") if error.get(key))]
    said = error.get("message") or error.get("detail") or data.get("message") or ""
    return str(said)[:400], " ".join(codes)


def _plain(body: bytes) -> str:
    """Return what a page of HTML or plain text says, shortly."""
    words = re.sub(r"(?s)<(script|style).*?</\1>|<[^>]*>", " ", body[:5000].decode("utf-8", "replace"))
    return " ".join(words.split())[:200]
