"""The fault matrix: whatever a server does, a call ends in one class, one line and one row.

A row of a table is a fault: its name, what the server does, the class that it must become. Every row runs
against a raw server, in each protocol, plain and streamed, through llmkit's own client and through a user's
own SDK client; `complaints` says what must hold in every cell.
"""
# ruff: noqa: E501 - a row of a table is a line

import asyncio
import contextlib
import gzip
import json
import traceback
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import anthropic
import openai
import pytest
from google import genai

from llmkit import (
    AnthropicClient,
    AuthenticationError,
    BadResponseError,
    ContextLengthError,
    GoogleAIClient,
    InvalidRequestError,
    LLMClientError,
    LLMMessage,
    LLMTimeoutError,
    ModelNotFoundError,
    OpenAIClient,
    PermissionDeniedError,
    ProviderNotAvailableError,
    QuotaExceededError,
    RateLimitError,
    StreamInterruptedError,
    Timeouts,
)
from tests.support.dialects import DIALECTS, dump, quota_failure, reason, retry_info
from tests.support.peer import RESET, SILENCE, Forever, Pause, Peer, chunked, events, http, opening

pytestmark = pytest.mark.usefixtures("quiet")

CANARY = "AIzaSy-canary-0123456789abcdefXYZ"
QUESTION = [LLMMessage("user", "Hello")]
PATIENT = Timeouts(connect=100, first_token=100, idle=100, total=100)
SHORT = Timeouts(connect=20, first_token=2, idle=2, total=5)
GUARD = 110
"""Seconds after which a cell counts as hung."""

RETRYABLE = {RateLimitError, ProviderNotAvailableError, LLMTimeoutError}
PLAIN, STREAM = ("plain",), ("stream",)
BOTH = PLAIN + STREAM


@dataclass(frozen=True)
class Fault:
    """One row: what a server answers, and what must become of it.

    Attributes:
        name: Its name in reports.
        answers: What each request is answered with; the last one repeats.
        wants: The class, exactly; `None` if the call must succeed.
        modes: Plain, streamed or both.
        facts: Attributes of the exception, or of the answer.
        text: The text, or what has to be in `.partial`.
        tokens: Input and output tokens in the row of a call that succeeds.
        says: Words in the message.
        genai: Classes that a user's own `genai.Client` may give as well: it reads streams by itself, and
            is stricter with errors' bodies and with events.
        own: The same for every SDK client.
    """

    name: str
    answers: tuple[tuple[object, ...], ...]
    wants: type[LLMClientError] | None
    modes: tuple[str, ...] = BOTH
    facts: dict[str, object] = field(default_factory=dict)
    text: str = ""
    tokens: tuple[int | None, int | None] | None = None
    genai: tuple[type[LLMClientError] | None, ...] = ()
    own: tuple[type[LLMClientError] | None, ...] = ()
    says: str = ""


def fault(name, answer, wants, modes=BOTH, *, text="", tokens=None, genai=(), own=(), says="", **facts):
    steps = answer if isinstance(answer, tuple) else (answer,)
    return Fault(name, (steps,), wants, modes, facts, text, tokens, genai, own, says)


# --- errors with a status, as the providers document them

DOCUMENTED = {
    "openai": [
        ("context length", 400, ("Maximum context length is 8192 tokens.", "invalid_request_error", "context_length_exceeded"), ContextLengthError),
        ("string too long", 400, ("Invalid 'messages[0].content': string too long.", "invalid_request_error", "string_above_max_length"), ContextLengthError),
        ("unknown parameter", 400, ("Unknown parameter: 'foo'.", "invalid_request_error", "unknown_parameter", "foo"), InvalidRequestError),
        ("unsupported value", 400, ("Unsupported value: 'n' does not support 9.", "invalid_request_error", "unsupported_value", "n"), InvalidRequestError),
        ("bad request", 400, ("'messages' is wrong.", "invalid_request_error"), InvalidRequestError),
        ("content filter", 400, ("The prompt was filtered.", None, "content_filter", "prompt"), InvalidRequestError),
        ("hard limit", 400, ("Billing hard limit has been reached", "invalid_request_error", "billing_hard_limit_reached"), QuotaExceededError),
        ("invalid key", 401, (f"Incorrect API key provided: {CANARY}.", "invalid_request_error", "invalid_api_key"), AuthenticationError),
        ("no organization", 401, ("You must be a member of an organization.", "invalid_request_error"), AuthenticationError),
        ("payment", 402, ("Insufficient Balance", "unknown_error", "invalid_request_error"), QuotaExceededError),
        ("country", 403, ("Country, region, or territory not supported", "request_forbidden", "unsupported_country_region_territory"), PermissionDeniedError),
        ("no such model", 404, ("The model `x` does not exist", "invalid_request_error", "model_not_found"), ModelNotFoundError),
        ("model of others", 403, ("Project `p` does not have access to model `x`", "invalid_request_error", "model_not_found"), ModelNotFoundError),
        ("rate limit", 429, ("Rate limit reached for x", "requests", "rate_limit_exceeded"), RateLimitError),
        ("rate limit without code", 429, ("Rate limit reached for x", "tokens", None), RateLimitError),
        ("quota", 429, ("You exceeded your current quota", "insufficient_quota", "insufficient_quota"), QuotaExceededError),
        ("quota by type", 429, ("You exceeded your current quota", "insufficient_quota", None), QuotaExceededError),
        ("inactive billing", 429, ("Your account is not active", "billing_not_active", "billing_not_active"), QuotaExceededError),
        ("server", 500, ("The server had an error", "server_error"), ProviderNotAvailableError),
        ("overloaded", 503, ("The engine is currently overloaded", "server_error"), ProviderNotAvailableError),
        ("too fast", 503, ("Slow down", "server_error", "slow_down"), ProviderNotAvailableError),
    ],
    "anthropic": [
        ("context length", 400, ("prompt is too long: 210000 tokens > 200000 maximum", "invalid_request_error"), ContextLengthError),
        ("context limit", 400, ("input length and `max_tokens` exceed context limit: 9 + 9 > 9", "invalid_request_error"), ContextLengthError),
        ("bad request", 400, ("messages: at least one message is required", "invalid_request_error"), InvalidRequestError),
        ("credit", 400, ("Your credit balance is too low to access the Anthropic API.", "invalid_request_error"), QuotaExceededError),
        ("invalid key", 401, (f"invalid x-api-key {CANARY}", "authentication_error"), AuthenticationError),
        ("billing", 402, ("There is an issue with your billing.", "billing_error"), QuotaExceededError),
        ("permission", 403, ("Your key may not use this.", "permission_error"), PermissionDeniedError),
        ("no such model", 404, ("model: x", "not_found_error"), ModelNotFoundError),
        ("too large", 413, ("Request exceeds the maximum size", "request_too_large"), ContextLengthError),
        ("rate limit", 429, ("Number of requests has exceeded your rate limit", "rate_limit_error"), RateLimitError),
        ("server", 500, ("Internal server error", "api_error"), ProviderNotAvailableError),
        ("timeout", 504, ("The request timed out", "timeout_error"), ProviderNotAvailableError),
        ("overloaded", 529, ("Overloaded", "overloaded_error"), ProviderNotAvailableError),
    ],
    "google": [
        ("context length", 400, ("The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).", "INVALID_ARGUMENT"), ContextLengthError),
        ("too large", 400, ("Request payload size exceeds the limit: 20971520 bytes.", "INVALID_ARGUMENT"), ContextLengthError),
        ("bad request", 400, ("Invalid JSON payload received.", "INVALID_ARGUMENT"), InvalidRequestError),
        ("invalid key", 400, (f"API key not valid. Please pass a valid API key. {CANARY}", "INVALID_ARGUMENT", reason("API_KEY_INVALID")), AuthenticationError),
        ("expired key", 400, ("API key expired. Please renew the API key.", "INVALID_ARGUMENT"), AuthenticationError),
        ("location", 400, ("User location is not supported for the API use.", "FAILED_PRECONDITION"), InvalidRequestError),
        ("unauthenticated", 401, ("Request had invalid authentication credentials.", "UNAUTHENTICATED"), AuthenticationError),
        ("permission", 403, ("Generative Language API has not been used in project 1", "PERMISSION_DENIED", reason("SERVICE_DISABLED")), PermissionDeniedError),
        ("no such model", 404, ("models/x is not found for API version v1beta", "NOT_FOUND"), ModelNotFoundError),
        ("rate limit", 429, ("Resource has been exhausted (e.g. check quota).", "RESOURCE_EXHAUSTED"), RateLimitError),
        ("minute quota", 429, ("You exceeded your current quota, please check your plan and billing details.", "RESOURCE_EXHAUSTED", quota_failure("GenerateRequestsPerMinutePerProjectPerModel"), retry_info("7s")), RateLimitError),
        ("daily quota", 429, ("You exceeded your current quota, please check your plan and billing details.", "RESOURCE_EXHAUSTED", quota_failure("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), retry_info("7s")), QuotaExceededError),
        ("server", 500, ("An internal error has occurred.", "INTERNAL"), ProviderNotAvailableError),
        ("overloaded", 503, ("The model is overloaded. Please try again later.", "UNAVAILABLE"), ProviderNotAvailableError),
        ("deadline", 504, ("Deadline expired before operation could complete.", "DEADLINE_EXCEEDED"), ProviderNotAvailableError),
    ],
}  # fmt: skip

STATUSES = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: QuotaExceededError,
    403: PermissionDeniedError,
    404: ModelNotFoundError,
    405: InvalidRequestError,
    408: ProviderNotAvailableError,
    409: ProviderNotAvailableError,
    413: ContextLengthError,
    422: InvalidRequestError,
    429: RateLimitError,
    500: ProviderNotAvailableError,
    502: ProviderNotAvailableError,
    503: ProviderNotAvailableError,
    504: ProviderNotAvailableError,
    529: ProviderNotAvailableError,
}

ODD_BODIES = {
    "nothing": b"",
    "null": b"null",
    "a string": dump(f"no {CANARY}"),
    "an empty list": b"[]",
    "a list of one": dump([{"error": {"message": f"no {CANARY}"}}]),
    "a list of numbers": b"[1, 2]",
    "a number": b"7",
    "an error that is text": dump({"error": f"no {CANARY}"}),
    "an error that is null": b'{"error": null}',
    "an error that is a list": b'{"error": [1]}',
    "FastAPI's detail": dump({"detail": [{"loc": ["body"], "msg": f"no {CANARY}"}]}),
    "a message": dump({"message": f"no {CANARY}", "object": "error"}),
    "odd types": b'{"error": {"message": 7, "type": [], "code": {}, "status": 1.5, "details": "x"}}',
    "odd details": b'{"error": {"message": {"a": 1}, "details": [1, {"reason": 5}, {"violations": 7}]}}',
    "bad UTF-8": b'{"error": {"message": "\xff\xfe"}}',
    "half a surrogate pair": b'{"error": {"message": "\\ud83c"}}',
    "control characters": b'{"error": {"message": "\\u001b[31m a \\u2028 b \\u0000"}}',
    "deep nesting": b"[" * 50_000,
    "half of a JSON": b'{"error": {"mess',
}


UNREADABLE = ("bad UTF-8", "deep nesting", "half of a JSON")
"""What google-genai cannot read; the status is lost with it."""


def documented(d):
    """Errors with the providers' own bodies."""
    for name, status, words, wants in DOCUMENTED[d.name]:
        body = dump(d.error(status, *words))
        yield fault(f"{status} {name}", http(status, body), wants, status_code=status)
        if d.name == "google":
            yield fault(f"{status} {name} in a list", http(status, b"[" + body + b"]"), wants)


def undocumented(d):
    """Errors with undocumented bodies."""
    for status, wants in STATUSES.items():
        yield fault(f"{status} and nothing", http(status), wants, status_code=status)
        page = (
            f"<!DOCTYPE html><html><head><style>p {{}}</style></head><body><h1>no {CANARY}</h1></body></html>"
        )
        yield fault(f"{status} and a page", http(status, page.encode(), kind="text/html"), wants)
    for name, body in ODD_BODIES.items():
        for status in (400, 429, 500):
            genai = (BadResponseError,) if name in UNREADABLE else ()
            yield fault(
                f"{status} and {name}", http(status, body), STATUSES[status], genai=genai, status_code=status
            )
    page = b"<html><body>" + b"<p>Bad gateway</p>" * 60_000
    yield fault("502 and a megabyte", http(502, page, kind="text/html"), ProviderNotAvailableError)
    cut = http(500, b"{}").replace(b"Length: 2", b"Length: 99")
    # The Anthropic SDK reads errors before it tells their status.
    lost = (ProviderNotAvailableError, StreamInterruptedError, BadResponseError) if d.name != "openai" else ()
    yield fault("500 cut", (cut + b" ", "close"), ProviderNotAvailableError, own=lost)
    rate = http(429, b"{}").replace(b"Length: 2", b"Length: 99")
    yield fault("429 cut", (rate, "close"), RateLimitError, own=lost)
    zipped = http(500, b"no gzip", "Content-Encoding: gzip")
    yield fault("500 in bad gzip", zipped, ProviderNotAvailableError, own=lost)


def hints_to_wait(d):
    """What a provider says about when to come back."""
    _, status, words, _ = next(row for row in DOCUMENTED[d.name] if row[0] == "rate limit")
    body = dump(d.error(status, *words))
    soon = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    for name, header, seconds in [
        ("seconds", "retry-after: 2", 2.0),
        ("a fraction", "Retry-After: 0.5", 0.5),
        ("milliseconds", "retry-after-ms: 1500", 1.5),
        ("an hour", "retry-after: 3600", 3600.0),
        ("garbage", "retry-after: soon", None),
        ("a negative number", "retry-after: -5", None),
        ("not a number", "retry-after: nan", None),
        ("infinity", "retry-after: inf", None),
        ("a past date", "retry-after: Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("a broken date", "retry-after: Wed, 99 Oct 2015 99:28:00 GMT", None),
        ("nothing", "retry-after: ", None),
    ]:
        yield fault(f"429 {name}", http(429, body, header), RateLimitError, retry_after=seconds)
    within = http(429, body, f"retry-after: {soon}")
    yield fault("429 a date", within, RateLimitError, retry_after=pytest.approx(3600, abs=60))
    if d.name == "google":
        told = d.error(429, *words, retry_info("7.5s"))
        yield fault("429 in the body", http(429, dump(told)), RateLimitError, retry_after=7.5)


# --- a 200 that is not the protocol


def no_protocol(d):
    """Answers with the status 200 that are none."""
    for name, body in {
        "nothing": b"",
        "null": b"null",
        "a number": b"42",
        "a string": b'"Hi"',
        "true": b"true",
        "an empty list": b"[]",
        "a list of numbers": b"[1]",
        "a page": b"<html><body>Log in</body></html>",
        "plain text": b"OK",
        "half of a JSON": dump(d.whole("Hi"))[:-20],
        "two JSONs": dump({"a": 1}) * 2,
        "deep nesting": b"[" * 100_000,
        "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        "bad UTF-8": dump(d.whole("Hi")).replace(b"Hi", b"\xff\xfe"),
        "UTF-16": dump(d.whole("Hi")).decode().encode("utf-16"),
        **{json.dumps(value): dump(value) for value in d.no_protocol},
    }.items():
        yield fault(f"200 and {name}", http(200, body), BadResponseError, genai=(StreamInterruptedError,))
    for status, wants in (
        (401, AuthenticationError),
        (400, InvalidRequestError),
        (503, ProviderNotAvailableError),
    ):
        for kind in ("Content-Length: 900", "Transfer-Encoding: chunked"):
            begun = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{kind}\r\n\r\n5\r\n{{".encode()
            yield fault(f"{status} cut after {kind}", (begun, "close"), wants, status_code=status)
        packed = http(status, b"no gzip", "Content-Encoding: gzip")
        yield fault(f"{status} in broken gzip", packed, wants, status_code=status)
    yield fault("204", http(204), BadResponseError, genai=(ProviderNotAvailableError,))
    answer = dump(d.whole("Hi"))
    yield fault("200 in no gzip", http(200, answer, "Content-Encoding: gzip"), BadResponseError)
    half = gzip.compress(answer)[:-30]
    yield fault("200 in half a gzip", http(200, half, "Content-Encoding: gzip"), BadResponseError)
    stream = d.start() + d.piece("Hi") + d.end()
    yield fault("a stream in no gzip", events(stream, "Content-Encoding: gzip"), BadResponseError)
    yield fault("a stream to a plain request", events(stream), BadResponseError, PLAIN)
    yield fault("a page named as a stream", events(b"<html>x</html>"), BadResponseError)
    yield fault("only comments", events(b": ping\n\n" * 5), BadResponseError)
    for name in ("server", "overloaded", "rate limit", "invalid key", "bad request", "context length"):
        _, status, words, wants = next(row for row in DOCUMENTED[d.name] if row[0] == name)
        body = dump(d.error(status, *words))
        yield fault(f"200 and the error {name}", http(200, body), wants)


def fine(d):
    """Answers that are odd but legal: they are no faults."""
    whole, stream = d.whole("Hä 🌍\u2028"), d.start() + d.piece("Hä 🌍\u2028") + d.end()
    good = {"wants": None, "text": "Hä 🌍\u2028", "tokens": (5, 9)}
    yield fault("whole", http(200, dump(whole)), **good)
    yield fault("whole as text", http(200, dump(whole), kind="text/plain"), **good)
    zipped = gzip.compress(dump(whole))
    yield fault("whole in gzip", http(200, zipped, "Content-Encoding: gzip"), **good)
    yield fault("whole in ASCII", http(200, json.dumps(whole).encode()), **good)
    yield fault("whole with a BOM", http(200, b"\xef\xbb\xbf" + dump(whole)), modes=PLAIN, **good)
    yield fault("stream", events(stream), modes=STREAM, **good)
    yield fault("stream as JSON", http(200, stream), modes=STREAM, **good)
    pieces = [stream[n : n + 1] for n in range(len(stream))]
    yield fault("stream byte by byte", chunked(*pieces), modes=STREAM, **good)
    zipped = gzip.compress(stream)
    yield fault("stream in gzip", events(zipped, "Content-Encoding: gzip"), modes=STREAM, **good)
    yield fault("stream to the end of the connection", (opening() + stream,), modes=STREAM, **good)
    if d.name == "google":
        array = dump([d.chunk([{"text": "Hä 🌍"}]), d.chunk([{"text": "\u2028"}], "STOP", tokens=9)])
        yield fault("stream as an array", http(200, array), modes=STREAM, **good)


# --- streams that go wrong

IN_BAND = {
    "openai": ["server", "overloaded", "rate limit", "quota", "invalid key", "bad request", "context length"],
    "anthropic": ["server", "overloaded", "rate limit", "billing", "invalid key", "permission", "bad request", "no such model", "too large", "timeout"],
    "google": ["server", "overloaded", "rate limit", "unauthenticated", "permission", "bad request", "deadline", "invalid key"],
}  # fmt: skip


def broken_streams(d):
    """Streams that end too early, or in an error."""
    begun = d.start() + d.piece("one ") + d.piece("twö")
    kept = {"modes": STREAM, "text": "one twö"}
    cut = StreamInterruptedError
    yield fault("a clean end", events(begun), cut, **kept)
    yield fault("a clean end in chunks", chunked(begun), cut, **kept)
    yield fault("a cut", (events(begun).replace(b"Length: ", b"Length: 9"), "close"), cut, **kept)
    yield fault("a cut in an event", events(begun + b'data: {"choi'), cut, **kept)
    half = begun + d.piece("ä").partition(b"\xa4")[0]
    yield fault("a cut in a character", events(half), cut, **kept)
    yield fault("a reset", (opening() + begun, RESET), cut, STREAM, text=None)
    bad = chunked(begun).removesuffix(b"0\r\n\r\n")
    yield fault("chunks that stop", (bad, "close"), cut, **kept)
    yield fault("a broken chunk at once", (bad + b"xyz\r\nno\r\n", "close"), cut, STREAM, text=None)
    half = gzip.compress(begun)[:-9]
    yield fault("half a gzip", events(half, "Content-Encoding: gzip"), cut, STREAM, text=None)
    yield fault("no text and no end", events(d.start() or d.empty), cut, STREAM)
    for name, event in {
        "bad JSON": b'data: {"choi\n\n',
        "bad UTF-8": b'data: {"x":"\xff\xfe"}\n\n',
        "a list": b"data: [1]\n\n",
        "a number": b"data: 7\n\n",
        "a string": b'data: "Hi"\n\n',
        "deep nesting": b"data: " + b"[" * 50_000 + b"\n\n",
    }.items():
        middle, start = begun + event + d.end(), event + begun + d.end()
        yield fault(f"{name} in the middle", events(middle), BadResponseError, **kept)
        yield fault(f"{name} at the start", events(start), BadResponseError, STREAM)
    _, status, words, wants = next(row for row in DOCUMENTED[d.name] if row[0] == "server")
    bare = dump(d.error(status, *words))
    yield fault("an error without a field name", events(begun + bare), wants, **kept)
    for name in IN_BAND[d.name]:
        _, status, words, wants = next(row for row in DOCUMENTED[d.name] if row[0] == name)
        event = d.in_band(d.error(status, *words))
        yield fault(f"{name} at the start", events(event), wants, STREAM)
        yield fault(f"{name} after text", events(begun + event), wants, **kept)
        yield fault(f"{name} after text and an end", events(begun + event + d.end()), wants, **kept)


def compatible_errors(d):
    """Errors in streams as servers write them that speak OpenAI's protocol."""
    if d.name != "openai":
        return
    begun = d.start() + d.piece("one")
    for name, value, wants in [
        ("vLLM", {"object": "error", "message": "x", "type": "BadRequestError", "code": 400}, InvalidRequestError),
        ("vLLM's newer", {"error": {"message": "x", "type": "InternalServerError", "code": 500}}, ProviderNotAvailableError),
        ("LiteLLM", {"error": {"message": "x", "type": "None", "param": "None", "code": "429"}}, RateLimitError),
        ("OpenRouter", {"error": {"code": 502, "message": "x"}, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]}, ProviderNotAvailableError),
        ("text", {"error": "overloaded"}, ProviderNotAvailableError),
        ("rate limit without code", {"error": {"message": "Rate limit reached for x", "type": "requests", "code": None}}, RateLimitError),
    ]:  # fmt: skip
        yield fault(f"in-band {name}", events(begun + d.event(value)), wants, STREAM, text="one")
        yield fault(f"200 {name}", http(200, dump(value)), wants)


def odd_streams(d):
    """Streams with odd but harmless events: they are answers."""
    begun, end = d.start() + d.piece("one ") + d.piece("twö"), d.end()
    good = {"wants": None, "modes": STREAM, "text": "one twö", "tokens": (5, 9)}
    odd = {
        "an unknown event": b'event: wonder\ndata: {"type":"wonder","x":1}\n\n',
        "null fields": d.null,
        "null": b"data: null\n\n",
        "an empty object": b"data: {}\n\n",
        "an empty event": b"data:\n\n",
        "a blank event": b"data: \ndata: \n\n",
        "a comment": b": ping\n\n",
        "an id": b"id: 1\nretry: 10\n\n",
        "a ping": b'event: ping\ndata: {"type":"ping"}\n\n',
        "an event without data": b"event: ping\n\n",
        "thinking": d.thinking,
        "empty text": d.empty,
    }
    for name, event in odd.items():
        yield fault(f"{name} at the start", events(event + begun + end), **good)
        yield fault(f"{name} in the middle", events(begun + event + end), **good)
        yield fault(f"{name} at the end", events(begun + end + event), **good)
    stream = begun + end
    lf = stream.replace(b"\r\n", b"\n")
    for name, body in {
        "LF": lf,
        "CR": lf.replace(b"\n", b"\r"),
        "CRLF": lf.replace(b"\n", b"\r\n"),
        "a BOM": b"\xef\xbb\xbf" + lf,
        "no blank after the colon": lf.replace(b"data: ", b"data:"),
        "no last blank line": lf.rstrip(b"\n"),
        "data in lines": lf.replace(b',"', b',\ndata: "').replace(b', "', b',\ndata: "'),
        "fields in between": lf.replace(b"data: ", b"id: 7\n: note\nretry: 5\nother: x\ndata: "),
    }.items():
        yield fault(f"framed by {name}", events(body), **good)
        tiny = chunked(*(body[n : n + 3] for n in range(0, len(body), 3)))
        yield fault(f"framed by {name} in pieces", tiny, **good)
    separators = "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"
    raw = d.start() + d.piece(separators) + end
    yield fault("line separators in text", events(raw), None, STREAM, text=separators)
    huge = "ü" * 300_000
    yield fault("a huge line", events(d.start() + d.piece(huge) + end), None, STREAM, text=huge)
    yield fault("no text", events(d.start() + end), None, STREAM)
    if d.name != "google":
        twice = events(begun + end + d.piece("three") + end)
        yield fault("text after the end", twice, **good)
        late = d.in_band(d.error(500, "late", "api_error"))
        yield fault("an error after the end", events(begun + end + late), **good)


USAGES = {
    "openai": ("prompt_tokens", "completion_tokens"),
    "anthropic": ("input_tokens", "output_tokens"),
    "google": ("promptTokenCount", "candidatesTokenCount"),
}


def usages(d):
    """Token counts as they should not be: unknown is unknown."""
    read, written = USAGES[d.name]
    for name, usage, tokens in [
        ("strings", {read: "7", written: "8"}, (7, 8)),
        ("floats", {read: 7.0, written: 8.0}, (7, 8)),
        ("negative", {read: -7, written: -8}, None),
        ("fractions", {read: 7.5, written: 8.5}, None),
        ("words", {read: "many", written: "more"}, None),
        ("lists", {read: [7], written: {"a": 8}}, None),
        ("true", {read: True, written: False}, None),
        ("a number of 5000 digits", {read: "9" * 5000, written: "9" * 5000}, None),
        ("astronomic", {read: 10**30, written: 1e300}, None),
        ("null", {read: None, written: None}, None),
        ("missing", {}, None),
    ]:
        ends = events(d.start() + d.piece("Hi") + d.end(usage=usage))
        yield fault(f"usage in {name}", ends, None, STREAM, text="Hi", tokens=tokens)
        whole = http(200, dump(d.whole("Hi", usage=usage)))
        yield fault(f"usage in {name}", whole, None, PLAIN, text="Hi", tokens=tokens)


ENDINGS = {
    "openai": [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"), ("tool_calls", "tool_calls")],
    "anthropic": [("end_turn", "stop"), ("max_tokens", "length"), ("refusal", "refusal"), ("pause_turn", "pause_turn")],
    "google": [("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("RECITATION", "content_filter")],
}  # fmt: skip


BROKEN = {
    "openai": ["error", "network_error", "insufficient_system_resource", "abort"],
    "anthropic": ["error", "malformed_tool_use"],
    "google": ["MALFORMED_FUNCTION_CALL", "OTHER", "UNEXPECTED_TOOL_CALL", "NO_IMAGE"],
}


def endings(d):
    """How an answer may end: only what the server itself calls broken is an exception."""
    for word, means in ENDINGS[d.name]:
        whole, stream = http(200, dump(d.whole("Hi", word))), events(d.start() + d.piece("Hi") + d.end(word))
        yield fault(f"ends with {word}", whole, None, PLAIN, text="Hi", finish_reason=means)
        yield fault(f"ends with {word}", stream, None, STREAM, text="Hi", finish_reason=means)
    broken = StreamInterruptedError
    for word in BROKEN[d.name]:
        stream = events(d.start() + d.piece("Hi") + d.end(word))
        yield fault(f"ends with {word}", stream, broken, STREAM, text="Hi", says=word.lower())
    if d.name == "google":
        blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}}
        told = {"finish_reason": "content_filter"}
        yield fault("blocked", http(200, dump(blocked)), None, PLAIN, **told)
        yield fault("blocked", events(d.event(blocked)), None, STREAM, **told)
        other = d.event(d.chunk([{"text": "other"}], index=1))
        both = events(d.piece("one") + other + d.end())
        yield fault("a second candidate", both, None, STREAM, text="one", tokens=(5, 9))
    if d.name == "openai":
        other = d.chunk({"content": "other"}, index=1)
        both = events(d.start() + d.piece("one") + other + d.end())
        yield fault("a second choice", both, None, STREAM, text="one", tokens=(5, 9))
        nameless = b'data: {"choices":[{"index":[],"delta":{"content":"x"}}]}\n\n'
        yield fault("an odd index", events(nameless + d.end()), None, STREAM)
        pending = d.chunk({"content": "one"}, finish="")
        yield fault("an empty finish reason", events(pending), StreamInterruptedError, STREAM, text="one")


def connections(d):
    """Connections that break before there is an answer."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    down = ProviderNotAvailableError
    yield fault("closed before the headers", ("close",), down)
    yield fault("reset before the headers", (RESET,), down)
    yield fault("closed in the headers", (head, "close"), down)
    yield fault("reset in the headers", (head, RESET), down)
    yield fault("garbage", (b"\x00\x01\x02garbage\r\n\r\n", "close"), down)
    yield fault("SSH", (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "close"), down)
    yield fault("huge headers", (head + b"X-Big: " + b"x" * 200_000 + b"\r\n\r\n", "close"), down)
    many = b"".join(b"X-%d: x\r\n" % n for n in range(200_000))
    yield fault("many headers", (head + many + b"\r\n", "close"), (down, BadResponseError))
    length = http(200, dump(d.whole("Hi")))
    longer = length.replace(b"Length: ", b"Length: 9")
    yield fault("a length too long", (longer, "close"), StreamInterruptedError, PLAIN)
    shorter = length.replace(b"Length: ", b"Length: 1\r\nX-Was: ")
    # aiohttp reads the rest as the next answer's head, which it is not.
    yield fault("a length too short", (shorter, "close"), (down, BadResponseError))
    words = length.replace(b"Length: ", b"Length: x")
    yield fault("a length in words", (words, "close"), down)
    bad = chunked(dump(d.whole("Hi"))).removesuffix(b"0\r\n\r\n") + b"xyz\r\n"
    yield fault("a broken chunk", (bad, "close"), StreamInterruptedError, PLAIN)


def stalls(d):
    """Servers that fall silent, or only keep the connection alive: a deadline ends it, and names itself.

    The limits are those of `SHORT`.
    """
    begun = opening() + d.start() + d.piece("one")
    first, idle, total = ("first-token timeout", "idle timeout", "total timeout")
    late = LLMTimeoutError
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n"
    yield fault("silence", (SILENCE,), late, STREAM, says=first)
    yield fault("silence", (SILENCE,), late, PLAIN, says=total)
    yield fault("silence in the headers", (head, SILENCE), late, STREAM, says=first)
    yield fault("silence after the headers", (opening(), SILENCE), late, STREAM, says=first)
    yield fault("silence after the start", (opening() + d.start(), SILENCE), late, STREAM, says=first)
    yield fault("silence after text", (begun, SILENCE), late, STREAM, text="one", says=idle)
    yield fault("silence in an event", (begun + b'data: {"a', SILENCE), late, STREAM, text="one", says=idle)
    yield fault("silence in a body", (head + b"\r\n{", SILENCE), late, PLAIN, says=total)
    yield fault("dripping headers", (head, Forever(b"X-A: b\r\n")), late, STREAM, says=first)
    yield fault("a dripping body", (head + b"\r\n{", Forever(b" ")), late, PLAIN, says=total)
    yield fault("a dripping document", (head + b"\r\n{", Forever(b" ")), late, STREAM, says=first)
    yield fault(
        "a dripping error", (head.replace(b"200", b"500") + b"\r\n", Forever(b" ")), late, PLAIN, says=total
    )
    alive = {
        "comments": b": ping\n\n",
        "blank lines": b"\n\n",
        "pings": b'event: ping\ndata: {"type": "ping"}\n\n',
        "empty text": d.empty,
        "null fields": d.null,
        "empty events": b"data:\n\n",
        "the start again": d.start() or d.empty,
        "half a line": b"data",
    }
    for name, data in alive.items():
        yield fault(f"{name} only", (opening(), Forever(data)), late, STREAM, says=first)
        after = (begun, Forever(data))
        yield fault(f"{name} after text", after, late, STREAM, text="one", says=idle)
    thinking = (opening() + d.start(), Forever(d.thinking, every=0.1))
    yield fault("thinking for ever", thinking, late, STREAM, says=total)
    endless = (begun, Forever(d.piece("x"), every=0.1))
    yield fault("text for ever", endless, late, STREAM, text=None, says=total)
    bad = chunked(d.start() + d.piece("one")).removesuffix(b"0\r\n\r\n")
    broken = (bad, Pause(0.1), b"xyz\r\nno\r\n", "close")
    # aiohttp does not report this one.
    yield fault("a broken chunk later", broken, StreamInterruptedError, STREAM, text="one")
    ended = (opening() + d.start() + d.piece("one") + d.end(), SILENCE)
    yield fault("silence after the end", ended, None, STREAM, text="one")


FAMILIES = {
    "documented": documented,
    "undocumented": undocumented,
    "hints to wait": hints_to_wait,
    "no protocol": no_protocol,
    "fine": fine,
    "broken streams": broken_streams,
    "compatible errors": compatible_errors,
    "odd streams": odd_streams,
    "usages": usages,
    "endings": endings,
    "connections": connections,
}


# --- running the rows


def own_client(d, url, **options):
    """A user's own SDK client; what it costs to close it comes second."""
    if d.name == "openai":
        sdk = openai.AsyncOpenAI(api_key=CANARY, base_url=url + "/v1")
        return OpenAIClient(client=sdk, **options), sdk.close
    if d.name == "anthropic":
        sdk = anthropic.AsyncAnthropic(api_key=CANARY, base_url=url)
        return AnthropicClient(client=sdk, **options), sdk.close
    http_options = genai.types.HttpOptions(base_url=url, api_version="v1beta")
    sdk = genai.Client(api_key=CANARY, http_options=http_options)
    return GoogleAIClient(client=sdk, **options), sdk.aio.aclose


@contextlib.asynccontextmanager
async def client_of(d, url, *, own=False, **options):
    options = {"max_retries": 0, "timeout": PATIENT, **options}
    if own:
        client, close = own_client(d, url, **options)
    else:
        factory = {"openai": OpenAIClient, "anthropic": AnthropicClient, "google": GoogleAIClient}[d.name]
        client, close = factory(CANARY, url + "/v1" * (d.name == "openai"), **options), None
    try:
        yield client
    finally:
        await client.close()
        if close is not None:
            await close()


@dataclass
class Outcome:
    """What became of a call."""

    error: BaseException | None = None
    text: str = ""
    answer: object = None


async def call(client, model, mode):
    """Make one call and catch whatever it raises."""
    outcome = Outcome()
    try:
        async with asyncio.timeout(GUARD):
            if mode == "plain":
                outcome.answer = await client.generate_text(QUESTION, model)
                outcome.text = outcome.answer.content
            else:
                stream = client.stream_text(QUESTION, model)
                async for piece in stream:
                    outcome.text += piece
                outcome.answer = stream.response
    except Exception as error:  # noqa: BLE001 - which one it is, is the question
        outcome.error = error
    return outcome


def chain(error):
    found = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def complaints(row, mode, outcome, records):
    """Return what is wrong with one cell, in words."""
    said = [*of_records(row, outcome, records), *of_tokens(records)]
    wants = row.wants if isinstance(row.wants, tuple) else (row.wants,)
    error = outcome.error
    if error is None:
        said += [] if None in wants else [f"succeeded with {outcome.text[:40]!r}"]
        said += [] if row.text in (None, outcome.text) else [f"text {outcome.text[:60]!r}"]
        facts = outcome.answer
    else:
        said += [] if type(error) in wants else [f"{type(error).__name__}: {str(error)[:150]}"]
        said += of_error(error, outcome, row) if isinstance(error, LLMClientError) else ["untyped"]
        facts = error
    if error is not None and row.says not in str(error):
        said.append(f"does not say {row.says!r}: {error}")
    for name, value in row.facts.items():
        if (got := getattr(facts, name, "missing")) != value:
            said.append(f"{name} is {got!r}, not {value!r}")
    return said


def of_error(error, outcome, row):
    """What must hold of every exception."""
    text = str(error)
    if len(text) > 500 or len(text.splitlines()) != 1 or not text.isprintable():
        yield f"{len(text)} characters, not one short line: {text[:80]!r}"
    if not error.hint or error.provider is None or error.model is None:
        yield f"says no next step, provider or model: {text!r}"
    if error.partial != outcome.text or (row.text is not None and error.partial != row.text):
        yield f"partial is {error.partial[:60]!r}, yielded {outcome.text[:60]!r}"
    # It depends on more than the class; tests/test_before_any_text.py has the answers that broke off.
    told = "retryable" in row.facts or type(error) in {LLMTimeoutError, BadResponseError}
    wants = type(error) in RETRYABLE or (type(error) is StreamInterruptedError and not error.partial)
    if not told and error.retryable != wants:
        yield f"retryable is {error.retryable}"
    shown = "".join(traceback.format_exception(error)) + "".join(
        f"{link} {link!r} {link.args}" for link in chain(error)
    )
    if CANARY in shown:
        yield "the key shows"


def of_records(row, outcome, records):
    """There is one row, and it says how the call ended."""
    if len(records) != 1:
        yield f"{len(records)} rows"
        return
    cut = isinstance(outcome.error, StreamInterruptedError)
    status = "ok" if outcome.error is None else "interrupted" if cut else "error"
    if records[0].status != status:
        yield f"the row says {records[0].status}"
    if outcome.error is None and row.tokens:
        got = (records[0].input_tokens, records[0].output_tokens)
        if got != row.tokens:
            yield f"tokens {got}"


def of_tokens(records):
    """Nothing is negative, and what is unknown is not 0."""
    for record in records:
        counts = (record.input_tokens, record.output_tokens, record.reasoning_tokens, record.cost_nanos)
        if any(count is not None and not 0 <= count < 2**53 for count in counts):
            yield f"counts {counts}"
        if record.input_tokens == 0 or record.cost_nanos == 0:
            yield f"unknown is 0: {counts}"


def for_own(rows, d):
    """Return the rows as a user's own SDK client must meet them."""
    more = [row.own + row.genai * (d.name == "google") for row in rows]
    return [relaxed(row, also) if also else row for row, also in zip(rows, more, strict=True)]


def relaxed(row, also):
    """A row for an SDK that may give another class, and then knows less."""
    wants = row.wants if isinstance(row.wants, tuple) else (row.wants,)
    return replace(row, wants=(*wants, *also), facts={}, text=None, tokens=None, says="")


async def run(rows, d, recorder, *, own=False, **options):
    """Run rows at once against one server; return the complaints by name."""
    rows = for_own(rows, d) if own else rows
    cells = [(f"{d.name}-{n}-{mode}", row, mode) for n, row in enumerate(rows) for mode in row.modes]
    async with Peer() as peer, client_of(d, peer.url, own=own, **options) as client:
        peer.scripts = {model: row.answers for model, row, _ in cells}
        outcomes = await asyncio.gather(*(call(client, model, mode) for model, _, mode in cells))
    found = []
    for (model, row, mode), outcome in zip(cells, outcomes, strict=True):
        records = [record for record in recorder.records if record.model == model]
        found += [
            f"{d.name}: {row.name} ({mode}): {said}" for said in complaints(row, mode, outcome, records)
        ]
    assert cells
    return found


def report(found):
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("protocol", DIALECTS)
async def test_every_fault_has_its_class(protocol, family, recorder):
    d = DIALECTS[protocol]
    if family == "compatible errors" and protocol != "openai":
        return
    report(await run(list(FAMILIES[family](d)), d, recorder))


@pytest.mark.product
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("protocol", DIALECTS)
async def test_a_users_own_sdk_client_gives_the_same(protocol, family, recorder):
    d = DIALECTS[protocol]
    if family == "compatible errors" and protocol != "openai":
        return
    report(await run(list(FAMILIES[family](d)), d, recorder, own=True))


@pytest.mark.parametrize(
    "own",
    [
        pytest.param(False, id="llmkit's client"),
        pytest.param(True, id="a user's own", marks=pytest.mark.soak),
    ],
)
async def test_a_deadline_ends_every_stall_and_names_itself(own, recorder):
    options = {"own": own, "timeout": SHORT}
    crowd = [run(list(stalls(d)), d, recorder, **options) for d in DIALECTS.values()]
    said = [line for found in await asyncio.gather(*crowd) for line in found]
    # In the crowd on a slow machine another deadline may pass first: what failed is run with few others.
    again = []
    for d in DIALECTS.values():
        rows = [row for row in stalls(d) if any(line.startswith(f"{d.name}: {row.name} (") for line in said)]
        for few in batched(rows, 5):
            recorder.records.clear()
            again += await run(few, d, recorder, **options)
    report(again)


def batched(rows, size):
    return [rows[start : start + size] for start in range(0, len(rows), size)]
