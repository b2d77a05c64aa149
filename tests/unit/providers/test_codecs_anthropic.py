"""Messages, as Anthropic documents it."""

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
    QuotaExceededError,
    RateLimitError,
)
from llmkit.providers.anthropic import ANTHROPIC_MAX_TOKENS, AnthropicCodec
from llmkit.providers.codec import TEMPERATURE, Answer, Request

CODEC = AnthropicCodec()
HELLO = (LLMMessage("system", "Be brief."), LLMMessage("user", "Hello"))
USAGE = {
    "input_tokens": 25,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 1,
}
STOP = {"type": "message_stop"}


def encode(messages=HELLO, **fields):
    return CODEC.encode(Request(messages=messages, model="claude-haiku-5-5", **fields)).body


def start(**usage):
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-5-5-20260301"}
    return {
        "type": "message_start",
        "message": {**message, "content": [], "stop_reason": None, "usage": USAGE | usage},
    }


def delta(kind, **fields):
    return {"type": "content_block_delta", "index": 0, "delta": {"type": kind, **fields}}


def end(reason="end_turn", **usage):
    changed = {"stop_reason": reason, "stop_sequence": None}
    return {"type": "message_delta", "delta": changed, "usage": {"output_tokens": 15, **usage}}


def stream(*events):
    answer = Answer()
    return "".join([CODEC.decode(json.dumps(event).encode(), answer) for event in events]), answer


def body(**fields):
    answer = Answer()
    data = {
        "id": "msg_1",
        "type": "message",
        "model": "m",
        "content": [],
        "stop_reason": "end_turn",
        **fields,
    }
    return CODEC.decode_body(json.dumps(data).encode(), answer), answer


# --- requests


def test_a_request_has_the_system_prompt_beside_the_messages():
    wire = CODEC.encode(Request(messages=HELLO, model="claude-haiku-5-5"))
    assert wire.path == "/v1/messages"
    assert wire.body == {
        "model": "claude-haiku-5-5",
        "max_tokens": ANTHROPIC_MAX_TOKENS,
        "messages": [{"role": "user", "content": "Hello"}],
        "system": "Be brief.",
    }


def test_several_system_messages_are_joined():
    messages = (LLMMessage("system", "A"), LLMMessage("user", "Hi"), LLMMessage("system", "B"))
    assert encode(messages)["system"] == "A\n\nB"


def test_a_system_prompt_alone_is_refused():
    with pytest.raises(InvalidRequestError):
        encode((LLMMessage("system", "A"),))


def test_only_a_chosen_temperature_is_sent():
    assert "temperature" not in encode(temperature=TEMPERATURE)
    assert encode(temperature=0.7)["temperature"] == 0.7
    assert "temperature" not in encode(temperature=0.7, without=frozenset({"temperature"}))


def test_stop_goes_by_its_name_there():
    assert encode(extra={"stop": "END"})["stop_sequences"] == ["END"]
    assert encode(extra={"stop_sequences": ["A", "B"]})["stop_sequences"] == ["A", "B"]


# --- streams


def test_a_stream_of_anthropic_is_read():
    text, answer = stream(
        start(),
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        delta("text_delta", text="Hel"),
        delta("text_delta", text="lo"),
        {"type": "content_block_stop", "index": 0},
        end(),
        STOP,
    )
    assert text == "Hello"
    assert answer.usage == Usage(input_tokens=25, output_tokens=15, cache_read_tokens=0, cache_write_tokens=0)
    assert (answer.finish_reason, answer.ended) == ("stop", True)
    assert (answer.model, answer.request_id) == ("claude-haiku-5-5-20260301", "msg_1")


def test_only_message_stop_ends_a_stream():
    assert not stream(start(), delta("text_delta", text="x"), end())[1].ended


def test_the_last_usage_replaces_the_first():
    answer = stream(start(), end(input_tokens=472, cache_read_input_tokens=100), STOP)[1]
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (572, 15)


def test_the_input_includes_what_the_cache_read_and_wrote():
    answer = stream(
        start(input_tokens=10, cache_read_input_tokens=200, cache_creation_input_tokens=30), end(), STOP
    )[1]
    assert answer.usage == Usage(
        input_tokens=240, output_tokens=15, cache_read_tokens=200, cache_write_tokens=30
    )


def test_a_later_usage_that_repeats_only_the_fresh_input_keeps_the_cache():
    answer = stream(start(input_tokens=10, cache_read_input_tokens=200), end(input_tokens=10), STOP)[1]
    assert answer.usage.input_tokens == 210


def test_what_is_kept_for_an_hour_is_counted():
    creation = {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}
    usage = stream(start(cache_creation_input_tokens=30, cache_creation=creation), end(), STOP)[1].usage
    assert (usage.cache_write_tokens, usage.cache_write_1h_tokens) == (30, 20)


def test_iterations_are_summed():
    one = {
        "type": "message",
        "input_tokens": 100,
        "output_tokens": 20,
        "cache_read_input_tokens": 5,
        "cache_creation_input_tokens": 0,
    }
    two = {
        "type": "compaction",
        "input_tokens": 50,
        "output_tokens": 7,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 3,
    }
    usage = stream(start(), end(input_tokens=100, iterations=[one, two]), STOP)[1].usage
    assert usage == Usage(input_tokens=158, output_tokens=27, cache_read_tokens=5, cache_write_tokens=3)


def test_iterations_may_be_null_or_empty():
    for iterations in (None, []):
        assert stream(start(iterations=iterations), end(), STOP)[1].usage.input_tokens == 25


def test_thinking_is_progress_and_no_text():
    text, answer = stream(start(), delta("thinking_delta", thinking="Let me see"))
    assert (text, answer.thinking) == ("", True)
    assert stream(delta("signature_delta", signature="x"))[0] == ""
    assert stream(delta("input_json_delta", partial_json="{"))[1].thinking


def test_reasoning_tokens_are_reported():
    details = {"thinking_tokens": 9}
    assert stream(start(), end(output_tokens_details=details), STOP)[1].usage.reasoning_tokens == 9
    one = {"type": "message", "input_tokens": 1, "output_tokens": 12}
    usage = stream(start(), end(output_tokens_details=details, iterations=[one]), STOP)[1].usage
    assert (usage.reasoning_tokens, usage.output_tokens) == (9, 12)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "refusal"),
        ("pause_turn", "pause_turn"),
        ("something_new", "something_new"),
        (None, None),
    ],
)
def test_finish_reasons_have_one_vocabulary(reason, expected):
    assert stream(start(), end(reason), STOP)[1].finish_reason == expected


def test_the_tier_is_reported():
    assert stream(start(service_tier="batch"), end(), STOP)[1].tier == "batch"
    assert stream(start(service_tier="standard", speed="fast"), end(), STOP)[1].tier == "fast"


@pytest.mark.parametrize(
    "event",
    [{"type": "ping"}, {"type": "content_block_stop", "index": 0}, {"type": "brand_new", "text": "x"}, {},
     {"type": "content_block_start", "content_block": {"type": "tool_use", "id": "t", "input": {}}},
     {"type": "content_block_start", "content_block": None}, {"type": "content_block_delta", "delta": None},
     {"type": "content_block_delta", "delta": {"type": "citations_delta", "citation": {}}},
     {"type": "message_delta", "delta": None, "usage": None}, {"type": "message_start", "message": None}],
)  # fmt: skip
def test_events_without_text_are_passed_over(event):
    assert stream(event)[0] == ""


def test_null_counts_do_not_replace_counts():
    nothing = dict.fromkeys(["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"])
    assert stream(start(), end(**nothing), STOP)[1].usage.input_tokens == 25


@pytest.mark.parametrize("count", [-1, "x", 1.5, True, {}])
def test_senseless_counts_are_unknown(count):
    assert stream(start(input_tokens=count), end(), STOP)[1].usage.input_tokens is None


def test_counts_may_be_strings():
    assert stream(start(input_tokens="12"), end(), STOP)[1].usage.input_tokens == 12


# --- whole answers


def test_a_whole_answer_is_read():
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": "Hel", "citations": None},
        {"type": "tool_use", "id": "t", "name": "n", "input": {}},
        {"type": "text", "text": "lo"},
    ]
    text, answer = body(content=content, usage={"input_tokens": 3, "output_tokens": 4})
    assert (text, answer.finish_reason, answer.ended) == ("Hello", "stop", True)
    assert answer.usage == Usage(input_tokens=3, output_tokens=4)


def test_a_whole_refusal_has_no_text():
    text, answer = body(stop_reason="refusal", stop_details={"type": "refusal", "category": "bio"})
    assert (text, answer.finish_reason) == ("", "refusal")


@pytest.mark.parametrize(
    "data", [b"{}", b"[]", b"null", b"", b"<html>", b'{"content":"x"}', b'{"content":[7]}']
)
def test_what_is_no_answer_is_a_bad_response(data):
    with pytest.raises(BadResponseError):
        CODEC.decode_body(data, Answer())


# --- errors


@pytest.mark.parametrize(
    ("status", "kind", "message", "expected"),
    [
        (400, "invalid_request_error", "max_tokens: must be above 0", InvalidRequestError),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 250000 tokens > 200000 maximum",
            ContextLengthError,
        ),
        (
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the API",
            QuotaExceededError,
        ),
        (401, "authentication_error", "invalid x-api-key", AuthenticationError),
        (402, "billing_error", "…", QuotaExceededError),
        (403, "permission_error", "…", PermissionDeniedError),
        (404, "not_found_error", "model: claude-0", ModelNotFoundError),
        (413, "request_too_large", "…", ContextLengthError),
        (429, "rate_limit_error", "…", RateLimitError),
        (500, "api_error", "Internal server error", ProviderNotAvailableError),
        (504, "timeout_error", "…", ProviderNotAvailableError),
        (529, "overloaded_error", "Overloaded", ProviderNotAvailableError),
    ],
)
def test_errors_are_distinguished_by_status_and_in_a_stream(status, kind, message, expected):
    error = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    assert type(CODEC.classify(status, {"request-id": "req_1"}, json.dumps(error).encode())) is expected
    with pytest.raises(LLMClientError) as caught:
        stream(start(), error)
    assert type(caught.value) is expected


def test_an_error_in_place_of_a_whole_answer_is_raised():
    with pytest.raises(ProviderNotAvailableError):
        body(type="error", error={"type": "overloaded_error", "message": "Overloaded"})


def test_the_list_of_models_is_read():
    assert CODEC.decode_models(b'{"data":[{"id":"a"},{"id":"b"}],"has_more":false}') == ["a", "b"]
