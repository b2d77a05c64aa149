"""Chat Completions, as OpenAI documents it and as compatible servers write it."""

import json

import pytest

from llmkit.content.messages import LLMMessage, Usage
from llmkit.core.errors import (
    AuthenticationError,
    BadResponseError,
    ContextLengthError,
    InvalidRequestError,
    LLMClientError,
    ModelNotFoundError,
    ProviderNotAvailableError,
    QuotaExceededError,
    RateLimitError,
)
from llmkit.providers.codec import Answer, Request
from llmkit.providers.openai_chat import OpenAICodec
from llmkit.providers.usage_openai import read_usage

CODEC = OpenAICodec()
HELLO = (LLMMessage("system", "Be brief."), LLMMessage("user", "Hello"))
BASE = {
    "id": "chatcmpl-9",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "gpt-5.4-mini-2026-03-17",
}


def encode(codec=CODEC, **fields):
    return codec.encode(Request(messages=HELLO, model="m", **fields)).body


def chunk(delta, finish=None, **more):
    return {**BASE, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


def stream(*events):
    answer = Answer()
    raw = (event if isinstance(event, bytes) else json.dumps(event).encode() for event in events)
    return "".join([CODEC.decode(data, answer) for data in raw]), answer


def body(message, finish="stop", **more):
    answer = Answer()
    choice = {"index": 0, "message": message, "finish_reason": finish}
    data = {"id": "chatcmpl-9", "model": "m-1", "choices": [choice], **more}
    return CODEC.decode_body(json.dumps(data).encode(), answer), answer


def fails(error, status=400, headers=None):
    return CODEC.classify(status, headers or {}, json.dumps({"error": error}).encode())


# --- requests


def test_a_request_has_model_and_messages():
    wire = CODEC.encode(Request(messages=HELLO, model="gpt-5.4-mini"))
    assert (wire.path, wire.stream) == ("/chat/completions", False)
    assert wire.body == {
        "model": "gpt-5.4-mini",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
    }


def test_a_stream_asks_for_its_usage():
    assert encode(stream=True)["stream_options"] == {"include_usage": True}


def test_the_limit_has_the_name_that_the_server_knows():
    assert encode(max_tokens=5)["max_completion_tokens"] == 5
    assert encode(OpenAICodec(official=False), max_tokens=5)["max_tokens"] == 5


def test_a_refused_limit_goes_under_its_other_name():
    assert encode(max_tokens=5, without=frozenset({"max_completion_tokens"}))["max_tokens"] == 5


def test_what_is_none_or_refused_is_left_out():
    body = encode(temperature=0.5, extra={"seed": None, "top_p": 1}, without=frozenset({"temperature"}))
    assert body.keys() == {"model", "messages", "top_p"}


def test_what_the_user_adds_wins():
    assert encode(stream=True, extra={"stream_options": {"include_usage": False}})["stream_options"] == {
        "include_usage": False
    }


# --- streams


def test_a_stream_of_openai_is_read():
    text, answer = stream(
        chunk({"role": "assistant", "content": "", "refusal": None}, usage=None),
        chunk({"content": "Hel"}, usage=None, service_tier="flex"),
        chunk({"content": "lo"}, usage=None),
        chunk({}, "stop", usage=None),
        {**BASE, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}},
        b"[DONE]",
    )
    assert text == "Hello"
    assert answer.usage == Usage(input_tokens=9, output_tokens=2)
    assert (answer.finish_reason, answer.ended, answer.tier) == ("stop", True, "flex")
    assert (answer.model, answer.request_id) == ("gpt-5.4-mini-2026-03-17", "chatcmpl-9")


def test_either_marker_ends_a_stream():
    assert stream(chunk({"content": "x"}, "length"))[1].ended
    assert stream(chunk({"content": "x"}), b"[DONE]")[1].ended  # Snowflake sends no finish_reason
    assert not stream(chunk({"content": "x"}))[1].ended


def test_chunks_without_choices_may_come_at_any_place():
    text, answer = stream(
        {**BASE, "choices": [], "prompt_filter_results": []},  # Azure begins so
        chunk({"content": "x"}, "stop"),
        {**BASE, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        {**BASE, "choices": []},
        {**BASE, "choices": None},
    )
    assert text == "x"
    assert answer.usage == Usage(input_tokens=1, output_tokens=1)


@pytest.mark.parametrize("delta", [None, {}, {"content": None}, {"role": "assistant"}, {"tool_calls": None}])
def test_a_delta_may_be_empty(delta):
    assert stream(chunk(delta))[0] == ""


def test_only_the_first_choice_is_read():
    event = {
        **BASE,
        "choices": [{"index": 1, "delta": {"content": "b"}}, {"index": 0, "delta": {"content": "a"}}],
    }
    assert stream(event)[0] == "a"


def test_a_choice_without_index_is_the_first():
    assert stream({"choices": [{"delta": {"content": "a"}}]})[0] == "a"


def test_a_refusal_is_text_and_finish_reason():
    text, answer = stream(
        chunk({"content": None, "refusal": "I cannot"}), chunk({"refusal": " help."}), chunk({}, "stop")
    )
    assert (text, answer.finish_reason) == ("I cannot help.", "refusal")


def test_the_former_function_call_is_a_tool_call():
    assert stream(chunk({}, "function_call"))[1].finish_reason == "tool_calls"
    assert stream(chunk({}, "content_filter"))[1].finish_reason == "content_filter"


def test_reasoning_is_progress_and_no_text():  # DeepSeek, z.ai; OpenRouter
    for name in ("reasoning_content", "reasoning"):
        text, answer = stream(chunk({"content": None, name: "Let me think"}))
        assert (text, answer.thinking) == ("", True)


def test_reasoning_beside_empty_content_is_progress():
    assert stream(chunk({"content": "", "reasoning_content": "Let me think"}))[1].thinking


def test_content_may_be_a_list():  # Mistral
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "Hi"},
    ]
    text, answer = stream(chunk({"content": parts}))
    assert (text, answer.thinking) == ("Hi", True)


# --- usage


def test_usage_in_detail():
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 30, "accepted_prediction_tokens": 0},
    }
    assert read_usage(usage) == Usage(
        input_tokens=100, output_tokens=50, cache_read_tokens=60, cache_write_tokens=10, reasoning_tokens=30
    )


def test_groq_puts_usage_aside():
    answer = stream(
        chunk({}, "stop", x_groq={"id": "r", "usage": {"prompt_tokens": 3, "completion_tokens": 4}})
    )[1]
    assert answer.usage == Usage(input_tokens=3, output_tokens=4)


def test_deepseek_names_its_cache_otherwise():
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 1,
        "prompt_cache_hit_tokens": 8,
        "prompt_cache_miss_tokens": 1,
    }
    assert read_usage(usage).cache_read_tokens == 8


def test_hugging_face_puts_cached_tokens_on_top():
    assert read_usage({"prompt_tokens": 9, "completion_tokens": 1, "cached_tokens": 5}).cache_read_tokens == 5


def test_xai_counts_reasoning_beside_the_completion():
    details = {"completion_tokens_details": {"reasoning_tokens": 200}}
    beside = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 215, **details}
    within = {"prompt_tokens": 10, "completion_tokens": 205, "total_tokens": 215, **details}
    assert read_usage(beside).output_tokens == read_usage(within).output_tokens == 205


def test_openrouter_says_what_it_charged():
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.00014}
    answer = stream({**BASE, "choices": [], "usage": usage})[1]
    assert answer.cost_usd == 0.00014


@pytest.mark.parametrize("cost", [None, -1, "-0.1", "free", "1e400", True, {}, float("inf"), float("nan")])
def test_a_senseless_cost_is_none(cost):
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": cost}
    assert stream({**BASE, "choices": [], "usage": usage})[1].cost_usd is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [("12", 12), (12.0, 12), (None, None), (-3, None), (1.5, None), ("x", None), (True, None), ([], None)],
)
def test_counts_are_numbers_or_unknown(value, expected):
    assert read_usage({"prompt_tokens": value}).input_tokens == expected


def test_usage_without_counts_does_not_replace_counts():
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    answer = stream(
        {**BASE, "choices": [], "usage": usage}, {**BASE, "choices": [], "usage": {}}, chunk({}, usage=None)
    )[1]
    assert answer.usage == Usage(input_tokens=1, output_tokens=2)


def test_details_may_be_null():
    usage = {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "prompt_tokens_details": None,
        "completion_tokens_details": None,
    }
    assert read_usage(usage) == Usage(input_tokens=1, output_tokens=2)


# --- whole answers


def test_a_whole_answer_is_read():
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    text, answer = body({"role": "assistant", "content": "Hello", "refusal": None}, usage=usage)
    assert (text, answer.finish_reason, answer.ended, answer.model) == ("Hello", "stop", True, "m-1")
    assert answer.usage == Usage(input_tokens=9, output_tokens=2)


def test_a_whole_refusal_is_text():
    text, answer = body({"content": None, "refusal": "No."})
    assert (text, answer.finish_reason) == ("No.", "refusal")


def test_a_whole_answer_may_be_empty():
    assert body({"content": None}, "length")[0] == ""
    assert body({"content": ""}, None)[1].finish_reason is None


@pytest.mark.parametrize(
    "data", [b"{}", b'{"choices":[]}', b"[]", b"null", b'"Hi"', b"", b"<html>", b'{"choices":7}']
)
def test_what_is_no_answer_is_a_bad_response(data):
    with pytest.raises(BadResponseError):
        CODEC.decode_body(data, Answer())


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[1]",
        b"7",
        b'{"choices":[7]}',
        b'{"choices":[{"delta":7}]}',
        b'{"choices":[{"delta":{"content":7}}]}',
    ],
)
def test_a_broken_event_is_a_bad_response(data):
    with pytest.raises(BadResponseError):
        CODEC.decode(data, Answer())


def test_half_a_surrogate_pair_is_read():
    assert CODEC.decode(b'{"choices":[{"delta":{"content":"\\ud83c"}}]}', Answer()) == "\ud83c"


@pytest.mark.parametrize("reason", [7, [], {}, ["stop"]])
def test_a_finish_reason_of_another_kind_is_a_bad_response(reason):
    with pytest.raises(BadResponseError):
        stream(chunk({}, reason))


# --- errors


@pytest.mark.parametrize(
    ("status", "code", "kind", "expected"),
    [
        (401, "invalid_api_key", "invalid_request_error", AuthenticationError),
        (403, None, "invalid_request_error", AuthenticationError),
        (404, "model_not_found", "invalid_request_error", ModelNotFoundError),
        (400, "model_not_found", "invalid_request_error", ModelNotFoundError),
        (400, "context_length_exceeded", "invalid_request_error", ContextLengthError),
        (400, "unsupported_parameter", "invalid_request_error", InvalidRequestError),
        (429, "rate_limit_exceeded", "tokens", RateLimitError),
        (429, "insufficient_quota", "insufficient_quota", QuotaExceededError),
        (500, None, "server_error", ProviderNotAvailableError),
        (503, "invalid_request", "invalid_request_error", ProviderNotAvailableError),
    ],
)
def test_errors_are_distinguished(status, code, kind, expected):
    error = fails({"message": "…", "type": kind, "param": None, "code": code}, status)
    assert isinstance(error, expected)
    assert error.retryable == (expected in {RateLimitError, ProviderNotAvailableError})


def test_an_error_keeps_message_status_and_request():
    error = fails({"message": "Too fast."}, 429, {"retry-after-ms": "1500", "x-request-id": "req_1"})
    assert (error.status_code, error.retry_after, error.request_id) == (429, 1.5, "req_1")
    assert "Too fast (HTTP 429)." in str(error)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"error": {"message": "x", "type": "server_error"}}, ProviderNotAvailableError),
        ({"error": {"message": "x", "code": 502}}, ProviderNotAvailableError),  # OpenRouter
        ({"error": {"message": "x", "code": 429}}, RateLimitError),
        ({"error": {"message": "x", "type": "invalid_request_error"}}, InvalidRequestError),
        ({"error": {"message": "x", "code": "rate_limit_exceeded"}}, RateLimitError),
        ({"error": {"message": "x", "code": "invalid_api_key"}}, AuthenticationError),
        ({"error": "overloaded"}, ProviderNotAvailableError),
        ({"error": {"message": "x"}, "choices": []}, ProviderNotAvailableError),
    ],
)
def test_an_error_inside_a_stream_is_raised_by_its_type(event, expected):
    with pytest.raises(LLMClientError) as caught:
        stream(event)
    assert type(caught.value) is expected


def test_an_error_that_is_null_is_none():
    assert stream({**chunk({"content": "x"}), "error": None})[0] == "x"


@pytest.mark.parametrize(
    "raw",
    [b"", b"Bad Gateway", b"<html><body><h1>502</h1></body></html>", b"[]", b"{}",
     b'{"detail":[{"msg":"x"}]}',
     b'{"error":7}', b'{"error":{"details":7}}', b'{"message":"x"}', b'"x"', b"\xff\xfe"],
)  # fmt: skip
def test_any_error_body_makes_an_error(raw):
    error = CODEC.classify(502, {}, raw)
    assert type(error) is ProviderNotAvailableError
    assert "<" not in str(error)
    assert "502" in str(error)


def test_a_megabyte_of_error_is_cut():
    assert len(str(CODEC.classify(500, {}, b"x" * 1_000_000))) <= 500


def test_a_message_that_quotes_the_user_does_not_change_the_kind():
    assert type(fails({"message": "x" * 400 + " invalid_api_key"}, 400)) is InvalidRequestError
    assert type(fails({"message": "authentication backend down"}, 500)) is ProviderNotAvailableError


def test_the_list_of_models_is_read():
    assert CODEC.decode_models(b'{"object":"list","data":[{"id":"a"},{"id":"b"}]}') == ["a", "b"]
