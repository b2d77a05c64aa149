"""From a provider's words to a class: each word decides alone."""

import json

import pytest

from llmkit.core.errors import (
    AuthenticationError,
    ContextLengthError,
    InvalidRequestError,
    ModelNotFoundError,
    PermissionDeniedError,
    ProviderNotAvailableError,
    QuotaExceededError,
    RateLimitError,
)
from llmkit.providers.error_mapping import of_event, of_status

CODES = {
    "insufficient_quota": QuotaExceededError,
    "billing_error": QuotaExceededError,
    "billing_hard_limit_reached": QuotaExceededError,
    "billing_not_active": QuotaExceededError,
    "payment_required": QuotaExceededError,
    "context_length_exceeded": ContextLengthError,
    "ContextWindowExceededError": ContextLengthError,
    "request_too_large": ContextLengthError,
    "invalid_api_key": AuthenticationError,
    "authentication_error": AuthenticationError,
    "API_KEY_INVALID": AuthenticationError,
    "UNAUTHENTICATED": AuthenticationError,
    "permission_error": PermissionDeniedError,
    "PERMISSION_DENIED": PermissionDeniedError,
    "model_not_found": ModelNotFoundError,
    "NOT_FOUND": ModelNotFoundError,
    "rate_limit_error": RateLimitError,
    "RESOURCE_EXHAUSTED": RateLimitError,
}

MESSAGES = {
    "Your credit balance is too low": QuotaExceededError,
    "Insufficient Balance": QuotaExceededError,
    "insufficient credits": QuotaExceededError,
    "prompt is too long: 9 tokens": ContextLengthError,
    "Input is too long for requested model.": ContextLengthError,
    "This model's maximum context length is 9 tokens": ContextLengthError,
    "This model's maximum prompt length is 9": ContextLengthError,
    "the request exceeds the available context size": ContextLengthError,
    "input length and `max_tokens` exceed context limit": ContextLengthError,
    "It does not fit the context window": ContextLengthError,
    "The input token count (9) exceeds the maximum": ContextLengthError,
    "Request payload size exceeds the limit": ContextLengthError,
    "Invalid 'messages[0].content': string too long": ContextLengthError,
    "API key not valid.": AuthenticationError,
    "API key expired.": AuthenticationError,
    "Incorrect API key provided": AuthenticationError,
    "Rate limit reached for x": RateLimitError,
    "Rate limit is exceeded": RateLimitError,
    "Too many requests": RateLimitError,
}

GENERAL = (
    "invalid_request_error",
    "INVALID_ARGUMENT",
    "FAILED_PRECONDITION",
    "bad_request",
    "BadRequestError",
)


def answered(status, /, **error):
    return of_status(status, {}, json.dumps({"error": error}).encode())


@pytest.mark.parametrize("code", CODES)
def test_a_telling_code_decides_alone(code):
    for name in ("code", "type", "status"):
        assert type(answered(400, **{name: code})) is CODES[code]
        assert type(of_event({"error": {name: code}})) is CODES[code]
    assert type(answered(400, details=[{"reason": code}])) is CODES[code]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_telling_message_decides_alone(message):
    assert type(answered(400, message=message, type="invalid_request_error")) is MESSAGES[message]
    assert type(of_event({"error": {"message": message}})) is MESSAGES[message]


@pytest.mark.parametrize("code", GENERAL)
def test_a_general_code_decides_where_there_is_no_status(code):
    assert type(of_event({"error": {"type": code}})) is InvalidRequestError
    assert type(answered(429, type=code)) is RateLimitError


@pytest.mark.parametrize("word", [*CODES, *MESSAGES])
def test_a_server_in_trouble_is_believed_its_status(word):
    assert type(answered(500, message=word, code=word)) is ProviderNotAvailableError
    assert type(of_event({"error": {"message": word, "code": 503}})) is ProviderNotAvailableError


def test_another_parameter_that_is_too_long_is_no_context_length():
    error = answered(400, message="Invalid 'user': string too long.", code="string_above_max_length")
    assert type(error) is InvalidRequestError


def test_what_is_far_behind_in_a_message_does_not_decide():
    assert type(answered(400, message="x" * 300 + " prompt is too long")) is InvalidRequestError


def test_the_words_of_several_wrong_fields_are_joined():
    body = b'{"detail": [{"msg": "a field is missing"}, {"msg": "another is too long"}, {"odd": 1}, 7]}'
    assert str(of_status(422, {}, body)).startswith("a field is missing; another is too long (HTTP 422).")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": {"code": "x"}, "message": "outside"}', "outside"),
        (b'{"error": "Unauthorized", "message": "better words"}', "better words"),
        (b'{"error": "only these"}', "only these"),
        (b'{"msg": "short"}', "short"),
        (b'{"detail": "Not Found"}', "Not Found"),
        (b'"text"', "text"),
        (b"[]", "The server gave no reason"),
        (b"null", "The server gave no reason"),
        (b"<html><style>p {}</style><body><h1>Bad</h1>\n<p>Gateway</p></body></html>", "Bad Gateway"),
        (b"ends with a stop.", "ends with a stop"),
    ],
)
def test_the_servers_own_words_are_found(body, said):
    assert str(of_status(404, {}, body)).startswith(f"{said} (HTTP 404).")


def test_an_error_without_words_says_that_it_is_one():
    assert of_event({"error": {}}).message == "The server reported an error."


def test_a_header_comes_before_the_body_when_both_say_how_long_to_wait():
    body = json.dumps({"error": {"details": [{"retryDelay": "7.5s"}]}}).encode()
    assert of_status(429, {}, body).retry_after == 7.5
    assert of_status(429, {"retry-after": "2"}, body).retry_after == 2
    assert of_status(429, {"retry-after": "0"}, body).retry_after == 0


@pytest.mark.parametrize(
    ("body", "params"),
    [
        ({"error": {"message": "No.", "param": "temperature"}}, ("temperature",)),
        ({"object": "error", "message": "No.", "param": "tools"}, ("tools",)),
        ({"detail": [{"loc": ["body", "tools", 0, "type"], "msg": "No."}]}, ("body.tools.0.type",)),
        ({"message": {"detail": [{"loc": ["body", "seed"], "msg": "Extra."}]}}, ("body.seed",)),
        (
            {"error": {"details": [{"fieldViolations": [{"field": "generation_config.top_k"}]}]}},
            ("generation_config.top_k",),
        ),
        ({"error": {"message": "No.", "param": None}}, ()),
        ({"error": {"param": 7, "details": [{"fieldViolations": "x"}], "detail": [{"loc": {}}]}}, ()),
    ],
)
def test_an_error_names_the_places_that_it_blames(body, params):
    assert of_status(400, {}, json.dumps(body).encode()).params == params


def test_the_field_is_in_the_message_where_the_words_are_the_same_for_all():
    body = {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}
    error = of_status(422, {}, json.dumps(body).encode())
    assert error.message == "seed: Extra inputs are not permitted (HTTP 422)."
