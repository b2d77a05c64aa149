"""From a provider's error to ours: by code, message and status."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llmkit.clients.codec import loads
from llmkit.clients.keys import redact
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


def same_name(one: str, other: str) -> bool:
    """Whether two spellings name the same parameter.

    Example:
        >>> same_name("top_p", "topP")
        True
    """
    return one.replace("_", "").lower() == other.replace("_", "").lower()


def classify(status: int, headers: Mapping[str, str], message: str, code: str = "") -> LLMClientError:
    """Return the exception for an error, by its code where that is telling, else by its status.

    Args:
        status: HTTP status; 0 for an error inside a stream.
        headers: The answer's headers.
        message: The provider's own words.
        code: The provider's codes or types of the error.

    Returns:
        The exception, without provider and model.

    Example:
        >>> type(classify(400, {}, "prompt is too long: 250000 tokens")).__name__
        'ContextLengthError'
    """
    said = message or f"HTTP status {status}"
    return _kind(status, code.lower(), message.lower())(
        said if not status else f"{said.rstrip('.')} (HTTP {status}).",
        status_code=status or None,
        retry_after=retry_after(headers),
        request_id=headers.get("x-request-id") or headers.get("request-id"),
    )


def _kind(status: int, code: str, message: str) -> type[LLMClientError]:
    """Decide: a telling code, a telling message, the status, and inside a stream a general code."""
    if not status:  # some servers put it into the error
        status = next((int(word) for word in code.split() if re.fullmatch("[45][0-9][0-9]", word)), 0)
    ours = status == 0 or 400 <= status < 500  # what a server says of its own trouble tells nothing of us
    for pattern, kind in _TELLING:
        if ours and (pattern.search(code) or pattern.search(message[:300])):
            return kind
    return _find(_NAMED, code if ours else "") or _by_status(status) or _find(_GENERAL, code) or _BY_DEFAULT


def _find(table: _Table, code: str) -> type[LLMClientError] | None:
    return next((kind for pattern, kind in table if pattern.search(code)), None)


def _by_status(status: int) -> type[LLMClientError] | None:
    if status in _STATUSES:
        return _STATUSES[status]
    if 400 <= status < 500:
        return InvalidRequestError
    return ProviderNotAvailableError if status >= 500 else None


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


_Table = tuple[tuple[re.Pattern[str], type[LLMClientError]], ...]

# Sought in the message as well: a general code such as invalid_request hides them. Not "billing": Gemini's
# passing limits name it, too.
_TELLING: _Table = (
    (
        _words(
            "insufficient_quota",
            "billing_error",
            "payment_required",
            "credit balance",
            "insufficient (balance|credit)",
        ),
        QuotaExceededError,
    ),
    (
        _words(
            "context_length",
            "prompt is too long",
            "maximum context",
            "request_too_large",
            "input token count.*exceeds",
            "context window",
        ),
        ContextLengthError,
    ),
    (
        _words(
            "invalid_api_key",
            "authentication_error",
            "api_key_invalid",
            "api key not valid",
            "unauthenticated",
            "incorrect api key",
        ),
        AuthenticationError,
    ),
)
_NAMED: _Table = (
    (_words("permission"), PermissionDeniedError),
    (_words("not_found"), ModelNotFoundError),
    (_words("rate_limit", "resource_exhausted"), RateLimitError),
)
_GENERAL: _Table = (
    (
        _words("invalid_request", "invalid_argument", "failed_precondition", "bad_request"),
        InvalidRequestError,
    ),
)
_BY_DEFAULT = ProviderNotAvailableError
"""What an error inside a stream is that says no more: overloaded, internal, timeout."""

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


def error_parts(body: bytes) -> tuple[str, str]:
    """Return message and code of an error body in any of the providers' formats.

    Args:
        body: The body of an answer with an error status: JSON, or whatever a proxy wrote.
    """
    try:
        data = loads(body)
    except BadResponseError:
        return _plain(body.decode("utf-8", "replace")), ""
    return decoded_parts(data)


def decoded_parts(data: Any) -> tuple[str, str]:
    """Return message and code of an error that is decoded already, as `error_parts` does.

    Args:
        data: The JSON value: an object with an `error`, the error itself, or a list of them.
    """
    if isinstance(data, list) and data:  # Gemini's streaming endpoint wraps its error
        data = data[0]
    error = data.get("error", data) if isinstance(data, dict) else data
    if not isinstance(error, dict):
        return _plain(str(error)), ""
    details = error.get("details")
    details = details if isinstance(details, list) else []
    reasons = [str(d["reason"]) for d in details if isinstance(d, dict) and d.get("reason")]
    codes = [*reasons, *(str(error[key]) for key in ("code", "type", "status") if error.get(key))]
    said = error.get("message") or error.get("detail") or data.get("message") or ""
    return _plain(str(said)), " ".join(codes)


def _plain(said: str) -> str:
    """Return what a text or a page of HTML says, shortly; a key in it is blanked out before it is cut."""
    said = redact(said[:100_000])[:5000]
    if re.search(r"(?i)<(html|!doctype|body)", said):
        said = re.sub(r"(?is)<(script|style).*?</\1>|<[^>]*>", " ", said)
    return " ".join(said.split())[:400]
