"""generateContent, as Google documents it."""

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
    PermissionDeniedError,
    ProviderNotAvailableError,
    RateLimitError,
)
from llmkit.providers.codec import Answer, Request
from llmkit.providers.google import GoogleCodec
from llmkit.providers.usage_google import read_usage

CODEC = GoogleCodec()
HELLO = (
    LLMMessage("system", "Be brief."),
    LLMMessage("user", "Hi"),
    LLMMessage("assistant", "Yes?"),
    LLMMessage("user", "Bye"),
)


def encode(**fields):
    return CODEC.encode(Request(messages=HELLO, model="gemini-2.5-flash", **fields))


def event(text=None, finish=None, **more):
    parts = [] if text is None else [{"text": text}]
    candidate = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-2.5-flash", "responseId": "r1", **more}


def stream(*events):
    answer = Answer()
    return "".join([CODEC.decode(json.dumps(one).encode(), answer) for one in events]), answer


def whole(data):
    answer = Answer()
    return CODEC.decode_body(json.dumps(data).encode(), answer), answer


# --- requests


def test_a_request_has_contents_and_a_system_instruction():
    wire = encode()
    assert wire.path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert wire.body == {
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Yes?"}]},
            {"role": "user", "parts": [{"text": "Bye"}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
    }


def test_a_stream_is_asked_for_as_events():
    assert encode(stream=True).path.endswith(":streamGenerateContent?alt=sse")


def test_settings_go_where_they_belong_in_either_spelling():
    extra = {
        "top_p": 0.5,
        "topK": 3,
        "stop": "END",
        "safety_settings": [],
        "thinking_config": {"thinkingBudget": 0},
    }
    body = encode(temperature=0.1, max_tokens=9, extra=extra).body
    assert body["generationConfig"] == {
        "temperature": 0.1,
        "maxOutputTokens": 9,
        "topP": 0.5,
        "topK": 3,
        "stopSequences": ["END"],
        "thinkingConfig": {"thinkingBudget": 0},
    }
    assert body["safetySettings"] == []


def test_a_tuned_model_keeps_its_path():
    wire = CODEC.encode(Request(messages=HELLO, model="tunedModels/mine"))
    assert wire.path == "/v1beta/tunedModels/mine:generateContent"


def test_a_model_from_a_list_may_have_its_prefix():
    wire = CODEC.encode(Request(messages=HELLO, model="models/gemini-x"))
    assert wire.path == "/v1beta/models/gemini-x:generateContent"


def test_a_system_prompt_alone_is_refused():
    with pytest.raises(InvalidRequestError):
        CODEC.encode(Request(messages=HELLO[:1], model="m"))


# --- streams


def test_a_stream_of_google_is_read():
    text, answer = stream(
        event("Hel", usageMetadata={"promptTokenCount": 5, "candidatesTokenCount": 1, "totalTokenCount": 6}),
        event("lo", usageMetadata={"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}),
        event(
            "", "STOP", usageMetadata={"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7}
        ),
    )
    assert text == "Hello"
    assert answer.usage == Usage(input_tokens=5, output_tokens=2)
    assert (answer.finish_reason, answer.ended, answer.model) == ("stop", True, "gemini-2.5-flash")


def test_a_stream_without_finish_reason_has_not_ended():
    assert not stream(event("x"))[1].ended
    assert not stream(event("x", "FINISH_REASON_UNSPECIFIED"))[1].ended


def test_a_blocked_prompt_ends_the_stream():
    text, answer = stream({"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": []}})
    assert (text, answer.finish_reason, answer.ended) == ("", "content_filter", True)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "malformed_function_call"),
        ("OTHER", "other"),
    ],
)
def test_finish_reasons_have_one_vocabulary(reason, expected):
    assert stream(event("x", reason))[1].finish_reason == expected


def test_thoughts_are_progress_and_no_text():
    parts = [{"text": "hm", "thought": True}, {"text": "Hi"}]
    text, answer = stream({"candidates": [{"content": {"parts": parts}}]})
    assert (text, answer.thinking) == ("Hi", True)


@pytest.mark.parametrize(
    "one",
    [{}, {"candidates": None}, {"candidates": []}, {"candidates": [{}]}, {"candidates": [{"content": None}]},
     {"candidates": [{"content": {"role": "model"}}]}, {"candidates": [{"content": {"parts": None}}]},
     {"candidates": [{"content": {"parts": [{}]}, "finishReason": None}]}, {"usageMetadata": None},
     {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}}]}, {"promptFeedback": None}],
)  # fmt: skip
def test_events_without_text_are_passed_over(one):
    text, answer = stream(one)
    assert (text, answer.ended) == ("", False)


def test_a_proxys_done_is_passed_over():
    assert CODEC.decode(b"[DONE]", Answer()) == ""


# --- usage


def test_the_output_includes_the_thoughts():
    usage = {
        "promptTokenCount": 10,
        "candidatesTokenCount": 5,
        "thoughtsTokenCount": 20,
        "totalTokenCount": 35,
    }
    assert read_usage(usage) == Usage(input_tokens=10, output_tokens=25, reasoning_tokens=20)


def test_thoughts_that_show_only_in_the_total_are_counted():
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 35}
    assert read_usage(usage) == Usage(input_tokens=10, output_tokens=25, reasoning_tokens=20)


def test_the_input_includes_cache_and_tool_prompts():
    usage = {
        "promptTokenCount": 10,
        "toolUsePromptTokenCount": 4,
        "cachedContentTokenCount": 8,
        "candidatesTokenCount": 1,
    }
    assert read_usage(usage) == Usage(input_tokens=14, output_tokens=1, cache_read_tokens=8)


def test_a_missing_zero_is_zero():
    assert read_usage({"promptTokenCount": 10, "totalTokenCount": 10}).output_tokens == 0


@pytest.mark.parametrize("count", [-1, None, "x", 1.5])
def test_senseless_counts_are_unknown(count):
    assert read_usage({"promptTokenCount": count, "candidatesTokenCount": 2}).input_tokens is None


def test_counts_may_be_strings():
    assert read_usage({"promptTokenCount": "10", "candidatesTokenCount": "2"}) == Usage(
        input_tokens=10, output_tokens=2
    )


# --- whole answers


def test_a_whole_answer_is_read():
    text, answer = whole(
        event("Hello", "STOP", usageMetadata={"promptTokenCount": 1, "candidatesTokenCount": 2})
    )
    assert (text, answer.finish_reason, answer.ended) == ("Hello", "stop", True)


def test_a_stream_in_one_array_is_read():
    text, answer = whole([event("Hel"), event("lo", "STOP")])
    assert (text, answer.ended) == ("Hello", True)


def test_a_whole_answer_may_be_blocked_or_empty():
    assert whole({"promptFeedback": {"blockReason": "OTHER"}})[1].finish_reason == "content_filter"
    assert whole({"candidates": [{"finishReason": "SAFETY"}]})[0] == ""
    assert whole({"usageMetadata": {"promptTokenCount": 3}})[0] == ""


@pytest.mark.parametrize("data", [b"{}", b"null", b"", b"<html>", b'"x"', b"7", b'{"candidates":7}', b"[7]"])
def test_what_is_no_answer_is_a_bad_response(data):
    with pytest.raises(BadResponseError):
        CODEC.decode_body(data, Answer())


# --- errors


def problem(code, status, message="…", **details):
    error = {"code": code, "message": message, "status": status, "details": [details] if details else []}
    return {"error": error}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (problem(400, "INVALID_ARGUMENT"), InvalidRequestError),
        (
            problem(400, "INVALID_ARGUMENT", "API key not valid.", reason="API_KEY_INVALID"),
            AuthenticationError,
        ),
        (
            problem(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum"),
            ContextLengthError,
        ),
        (problem(400, "FAILED_PRECONDITION"), InvalidRequestError),
        (problem(401, "UNAUTHENTICATED"), AuthenticationError),
        (problem(403, "PERMISSION_DENIED"), PermissionDeniedError),
        (problem(404, "NOT_FOUND"), ModelNotFoundError),
        (
            problem(
                429,
                "RESOURCE_EXHAUSTED",
                "You exceeded your current quota, please check your plan and billing details.",
            ),
            RateLimitError,
        ),
        (problem(500, "INTERNAL"), ProviderNotAvailableError),
        (problem(503, "UNAVAILABLE", "The model is overloaded."), ProviderNotAvailableError),
        (problem(504, "DEADLINE_EXCEEDED"), ProviderNotAvailableError),
    ],
)
def test_errors_are_distinguished_by_status_in_a_stream_and_in_a_list(data, expected):
    status = data["error"]["code"]
    assert type(CODEC.classify(status, {}, json.dumps(data).encode())) is expected
    assert type(CODEC.classify(status, {}, json.dumps([data]).encode())) is expected
    for read in (stream, whole):
        with pytest.raises(LLMClientError) as caught:
            read(data)
        assert type(caught.value) is expected


def test_googles_way_to_say_when_to_come_back_is_read():
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7.5s"}
    error = CODEC.classify(429, {}, json.dumps(problem(429, "RESOURCE_EXHAUSTED", **info)).encode())
    assert error.retry_after == 7.5


def test_the_list_of_models_is_read():
    assert CODEC.decode_models(b'{"models":[{"name":"models/a"},{"name":"models/b"}]}') == ["a", "b"]
