"""Mapping of provider errors to our exceptions, by code, message and status."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from llmkit.core.errors import (
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
from llmkit.core.redaction import redact
from llmkit.providers.json_fields import as_name, lenient_object, loads

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_Quota: TypeAlias = tuple[Literal["requests", "input_tokens"], float]
"""What is limited, and how much of it a minute."""

BODY = 100_000
"""Maximum characters of an error that are examined."""

DAILY = "quota_per_day"
"""Our code for an exhausted daily quota."""

WRONG_ADDRESS = "Check the base URL, for example its /v1: the path does not exist."
"""Hint if a server does not know the path; callers that know the address add it."""

_PAGE = re.compile(rb"(?i)<(html|!doctype|body)")
_OF_MODELS = re.compile(r"(?i)model|deployment|engine|endpoints? found")
"""Messages of servers that know the path but not the model."""


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """The parsed parts of an error.

    Attributes:
        message: The provider's message, shortened and redacted.
        code: Its codes, types and reasons, separated by spaces.
        wait: Seconds to wait before a retry.
        params: Request parameters that it names, e.g. `temperature` or `body.tools`.
        quotas: Limits of a minute that it names; see `RateLimitError`.
    """

    message: str
    code: str = ""
    wait: float | None = None
    params: tuple[str, ...] = ()
    quotas: tuple[_Quota, ...] = ()


def of_status(status: int, headers: Mapping[str, str], body: bytes) -> LLMClientError:
    """Return the exception for a response with an error status, by its code if that is specific.

    Example:
        >>> type(of_status(400, {}, b'{"error": {"message": "prompt is too long"}}')).__name__
        'ContextLengthError'
    """
    try:
        said = error_details(loads(body))
    except BadResponseError:
        said = ErrorDetails(_plain(body[:BODY].decode("utf-8", "replace")))
    wait = retry_after(headers)
    # A server that knows the path names the model; others send a page or only "not found".
    astray = status in {404, 405} and (_PAGE.search(body[:BODY]) or not _OF_MODELS.search(f"{said}"))
    error = _kind(status, said)(
        f"{(said.message or 'The server gave no reason').rstrip('.')} (HTTP {status}).",
        status_code=status,
        retry_after=said.wait if wait is None else wait,
        request_id=headers.get("x-request-id") or headers.get("request-id"),
        params=said.params,
        hint=WRONG_ADDRESS if astray else None,
    )
    if isinstance(error, RateLimitError):
        error.quotas = said.quotas
    return error


def of_event(data: Any) -> LLMClientError:
    """Return the exception for an error with status 200, in a stream or a document.

    Example:
        >>> type(of_event({"error": {"type": "rate_limit_error"}})).__name__
        'RateLimitError'
    """
    said = error_details(data)
    message = said.message or "The server reported an error."
    return _kind(0, said)(
        message if message.endswith((".", "!", "?", "…")) else f"{message}.",  # a hint follows it
        retry_after=said.wait,
        params=said.params,
    )


def error_details(data: Any) -> ErrorDetails:
    """Parse an error in any provider's format."""
    if isinstance(data, list):  # Gemini's streaming endpoint wraps its error
        data = data[0] if data else None
    if not isinstance(data, dict):
        return ErrorDetails(_plain(_sentence(data)))
    outer = data.get("error")
    error = outer if isinstance(outer, dict) else data
    details = _objects(error.get("details"))
    lists = [lenient_object(error.get("message")).get("detail"), error.get("detail"), error.get("errors")]
    places = (error.get("message"), *lists, data.get("message"), outer, error.get("msg"))
    said = _plain(next(filter(None, map(_sentence, places)), ""))
    return ErrorDetails(
        message=_with_reason(said, lenient_object(error.get("metadata")).get("raw")),
        code=_code(error, details),
        wait=next((wait for d in details if (wait := _delay(d)) is not None), None),
        quotas=_quotas(details),
        params=_blamed(error.get("param"), details, lists),
    )


def _code(error: Mapping[str, Any], details: list[dict[str, Any]]) -> str:
    """Return the codes, types and reasons of an error as one text."""
    codes = [*(d.get("reason") for d in details), *(error.get(key) for key in ("code", "type", "status"))]
    if any(map(_daily, details)):
        codes.append(DAILY)
    return " ".join(str(code) for code in codes if isinstance(code, (str, int)))


def _quotas(details: list[dict[str, Any]]) -> tuple[_Quota, ...]:
    """Return the limits that Google's error names."""
    return tuple(quota for d in details for one in _objects(d.get("violations")) for quota in _quota(one))


def _blamed(param: Any, details: list[dict[str, Any]], lists: list[Any]) -> tuple[str, ...]:
    """Return the parameters that an error names: OpenAI's `param`, Google's fields, FastAPI's `loc`."""
    fields = (one.get("field") for detail in details for one in _objects(detail.get("fieldViolations")))
    locations = (".".join(map(str, loc)) for one in lists for loc in map(_loc, _objects(one)))
    return tuple(place for place in (param, *fields, *locations) if isinstance(place, str) and place)


def _loc(detail: dict[str, Any]) -> list[str | int]:
    """Return the path of an invalid field, as FastAPI and pydantic report it."""
    loc = detail.get("loc")
    return [step for step in loc if isinstance(step, (str, int))] if isinstance(loc, (list, tuple)) else []


def _with_reason(said: str, raw: Any) -> str:
    """Return a router's message with its provider's reason: OpenRouter's `metadata.raw`."""
    value = raw
    if isinstance(raw, str) and raw.lstrip()[:1] in {"{", "["}:
        with suppress(BadResponseError):
            value = loads(raw[:BODY].encode("utf-8", "replace"))
    try:
        reason = error_details(value).message
    except RecursionError:  # nested reasons
        reason = ""
    if not reason or reason in said:
        return said
    return _plain(f"{said.rstrip('.')}: {reason}" if said else reason)


def _kind(status: int, said: ErrorDetails) -> type[LLMClientError]:
    """Choose by a specific code, then a specific message, the status, and in a stream a general code."""
    # Later parts of a message may quote the prompt.
    code, message = said.code.lower(), said.message.lower()[:300]
    if not status:  # some servers include it in the error
        status = next((int(word) for word in code.split() if re.fullmatch("[45][0-9][0-9]", word)), 0)
    if status >= 500:  # messages of internal errors do not describe the request
        return ProviderNotAvailableError
    telling = _find(_TELLING, code) or _find(_TELLING, message) or _find(_NAMED, code)
    return telling or _by_status(status) or _find(_GENERAL, code) or _BY_DEFAULT


def _find(table: _Table, code: str) -> type[LLMClientError] | None:
    return next((kind for pattern, kind in table if pattern.search(code)), None)


def _by_status(status: int) -> type[LLMClientError] | None:
    if status in _STATUSES:
        return _STATUSES[status]
    return InvalidRequestError if status else None


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


_Table = tuple[tuple[re.Pattern[str], type[LLMClientError]], ...]

# Searched in the message, too, because a general code such as invalid_request hides them. Not "billing":
# Gemini's temporary limits mention it.
_TELLING: _Table = (
    (
        _words(
            "insufficient_quota",
            "billing_(error|hard_limit|not_active)",
            DAILY,
            "models-per-day",  # OpenRouter's free models
            "payment_required",
            "credit balance",
            "insufficient (balance|credit)",
        ),
        QuotaExceededError,
    ),
    (
        _words(
            "context_length",
            "(prompt|input) is too long",
            "maximum (context|prompt)",
            "exceeds? (the )?(available )?context",
            "context_?window",
            "context window",
            "request_too_large",
            "input token count.*exceeds",
            "request payload size exceeds",
            "'messages.*string too long",
        ),
        ContextLengthError,
    ),
    (
        _words(
            "invalid_api_key",
            "authentication_error",
            "api_key_invalid",
            "api key (not valid|expired)",
            "unauthenticated",
            "incorrect api key",
        ),
        AuthenticationError,
    ),
    (_words("rate limit (is )?(reached|exceeded)", "too many requests"), RateLimitError),
)
_NAMED: _Table = (
    (_words("permission"), PermissionDeniedError),
    (_words("not_found"), ModelNotFoundError),
    (_words("rate_limit", "resource_exhausted"), RateLimitError),
)
_GENERAL: _Table = (
    (
        _words("invalid_request", "invalid_argument", "failed_precondition", "bad_?request"),
        InvalidRequestError,
    ),
)
_BY_DEFAULT = ProviderNotAvailableError
"""General codes of errors inside a stream: overloaded, internal, timeout."""

_STATUSES: dict[int, type[LLMClientError]] = {
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: ModelNotFoundError,
    408: ProviderNotAvailableError,
    # A conflict between requests passes; the providers' SDKs retry it, too.
    409: ProviderNotAvailableError,
    413: ContextLengthError,
    429: RateLimitError,
}


def _objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects in a list; none for other values."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _sentence(value: Any) -> str:
    """Return a string, or the messages of a FastAPI list, one per invalid field."""
    if isinstance(value, list):
        texts = (_field_error(one) if isinstance(one, dict) else one for one in value[:5])
        return "; ".join(text for text in texts if isinstance(text, str))
    return value if isinstance(value, str) else ""


def _field_error(one: dict[str, Any]) -> str | None:
    """Return the message for a field with the field's name, because messages are often identical."""
    said = one.get("msg") or one.get("message")
    place = ".".join(str(step) for step in _loc(one) if step != "body")
    return f"{place}: {said}" if isinstance(said, str) and place and place not in said else said


def _delay(detail: dict[str, Any]) -> float | None:
    """Parse Google's RetryInfo, e.g. `"retryDelay": "7.5s"`."""
    delay = detail.get("retryDelay")
    return seconds(delay.removesuffix("s")) if isinstance(delay, str) else None


def _daily(detail: dict[str, Any]) -> bool:
    """Whether Google's QuotaFailure names a daily quota, so that a short wait does not help."""
    return any("PerDay" in (as_name(one.get("quotaId")) or "") for one in _objects(detail.get("violations")))


def _quota(violation: dict[str, Any]) -> Iterator[_Quota]:
    """Yield the limit of a minute that one violation of Google's QuotaFailure names."""
    name, limit = as_name(violation.get("quotaId")) or "", seconds(str(violation.get("quotaValue", "")))
    if "PerMinute" in name and limit:
        yield (
            ("input_tokens" if "token" in f"{name} {violation.get('quotaMetric')}".lower() else "requests"),
            limit,
        )


def _plain(said: str) -> str:
    """Return the text of a message or HTML page, redacted and then shortened."""
    said = redact(said[:BODY])[:5000]
    if re.search(r"(?i)<(html|!doctype|body)", said):
        said = re.sub(r"(?is)<(script|style).*?</\1>|<[^>]*>", " ", said)
    # Messages must not contain lone surrogates or terminal escape codes.
    return " ".join("".join(c if c.isprintable() else " " for c in said).split())[:400]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how long a provider asks to wait, in seconds.

    Example:
        >>> retry_after({"retry-after": "2"}), retry_after({"retry-after-ms": "500"})
        (2.0, 0.5)
    """
    # OpenAI's own header is more exact than the standard one.
    if (ms := seconds(headers.get("retry-after-ms"))) is not None:
        return ms / 1000
    value = headers.get("retry-after")
    if (pause := seconds(value)) is not None or value is None:
        return pause
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    # A zone of -0000 gives a time without zone; HTTP dates are in UTC.
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def seconds(value: str | None) -> float | None:
    """Parse a number of seconds >= 0; `None` if invalid.

    Example:
        >>> seconds("1.5"), seconds("-1"), seconds("soon")
        (1.5, None, None)
    """
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
