"""Calls that fail: each failure its exception, tried again where that may help."""

import openai
import pytest

from llmkit import (
    AuthenticationError,
    BadResponseError,
    ContextLengthError,
    InvalidRequestError,
    LLMClientError,
    ModelNotFoundError,
    OpenAIClient,
    PermissionDeniedError,
    ProviderNotAvailableError,
    QuotaExceededError,
    RateLimitError,
    StreamInterruptedError,
)
from tests.support.callers import QUESTION, SDKS, TEXT, hurry, opened, read

pytestmark = pytest.mark.usefixtures("quiet")


FAILURES = {
    "401": AuthenticationError,
    "403": PermissionDeniedError,
    "404": ModelNotFoundError,
    "402": QuotaExceededError,
    "429": RateLimitError,
    "413": ContextLengthError,
    "400": InvalidRequestError,
    "422": InvalidRequestError,
    "408": ProviderNotAvailableError,
    "409": ProviderNotAvailableError,
    "500": ProviderNotAvailableError,
    "503": ProviderNotAvailableError,
    "529": ProviderNotAvailableError,
}


@pytest.mark.product
@pytest.mark.parametrize("status", FAILURES)
async def test_each_status_is_its_own_exception(kind, server, recorder, status):
    server.fail_next(status, times=9)
    async with opened(kind, server, max_retries=0) as client:
        with pytest.raises(LLMClientError) as caught:
            await client.generate_text(QUESTION)
    assert type(caught.value) is FAILURES[status]
    assert (caught.value.status_code, caught.value.model) == (int(status), "sandbox")
    assert recorder.last.attempts == 1
    # google-auth itself sends a refused key three times.
    assert len(server.requests) == (3 if (kind, status) == ("google-legacy", "401") else 1)
    assert (recorder.last.status, recorder.last.error) == ("error", FAILURES[status].__name__)
    assert (recorder.last.cost_nanos, recorder.last.input_tokens) == (None, None)


@pytest.mark.product
@pytest.mark.parametrize("fault", ["400", "401", "403", "404", "422", "402"])
async def test_what_cannot_succeed_is_not_tried_again(kind, server, recorder, fault):
    server.fail_next(fault, times=9)
    async with opened(kind, server) as client:
        with pytest.raises(LLMClientError):
            await read(client.stream_text(QUESTION))
    assert recorder.last.attempts == 1
    # The former SDK cannot read errors of streams: it is asked once more, plainly.
    assert kind == "google-legacy" or len(server.requests) == 1


@pytest.mark.product
@pytest.mark.parametrize("fault", ["429", "503", "500"])
async def test_what_may_succeed_is_tried_again_as_often_as_allowed(kind, server, recorder, fault):
    server.fail_next(fault, times=9)
    async with opened(kind, server) as client:
        hurry(client)
        with pytest.raises(LLMClientError):
            await client.generate_text(QUESTION)
    assert len(server.requests) == 3
    assert recorder.statuses == ["error"]
    assert recorder.last.attempts == 3


async def test_a_stream_whose_request_failed_is_tried_again(kind, server, recorder):
    server.fail_next("503")
    async with opened(kind, server) as client:
        hurry(client)
        assert "".join(await read(client.stream_text(QUESTION))) == TEXT


async def test_an_answer_after_two_failures_is_an_answer(kind, server, recorder):
    server.fail_next("503", times=2)
    async with opened(kind, server) as client:
        hurry(client)
        response = await client.generate_text(QUESTION)
    assert (response.content, response.attempts, recorder.last.attempts) == (TEXT, 3, 3)
    assert recorder.statuses == ["ok"]


async def test_what_a_failed_attempt_used_is_counted_and_paid(server, recorder):
    """Anthropic counts the prompt before the first text; what fails after that is charged.

    What it generated unseen nobody knows: the sum is partial, and has a bound.
    """
    async with opened("anthropic", server) as client:
        hurry(client)
        once = await read_all(client)
        server.fail_next("error=0")
        twice = await read_all(client)
    assert (twice.attempts, twice.prompt_tokens) == (2, 2 * once.prompt_tokens)
    assert twice.completion_tokens >= once.completion_tokens
    assert twice.usage_source == "partial"
    assert recorder.last.at_most_nanos > recorder.last.cost_nanos
    assert recorder.last.cost_nanos > recorder.records[0].cost_nanos


async def read_all(client):
    stream = client.stream_text(QUESTION)
    assert "".join(await read(stream)) == TEXT
    return stream.response


async def test_retry_after_is_never_undercut(protocol, server, recorder):
    server.fail_next("429;retry-after=0.3")
    async with opened(protocol, server) as client:
        hurry(client)
        await client.generate_text(QUESTION)
    first, second = server.requests
    assert second.started_at - first.ended_at >= 0.3


async def test_a_long_retry_after_raises_at_once(protocol, server, recorder):
    server.fail_next("429;retry-after=3600")
    async with opened(protocol, server) as client:
        with pytest.raises(RateLimitError) as caught:
            await client.generate_text(QUESTION)
    assert caught.value.retry_after == 3600
    assert len(server.requests) == 1


async def test_a_wait_that_would_pass_the_total_timeout_is_not_begun(protocol, server, recorder):
    server.fail_next("429;retry-after=30")
    async with opened(protocol, server, timeout=5) as client:
        with pytest.raises(RateLimitError):
            await client.generate_text(QUESTION)
    assert len(server.requests) == 1


@pytest.mark.product
@pytest.mark.parametrize("fault", ["cut=2", "reset=2", "end=2"])
async def test_an_answer_that_breaks_off_raises_with_its_text(kind, server, recorder, fault):
    server.fail_next(fault)
    pieces = []
    async with opened(kind, server) as client:
        stream = client.stream_text(QUESTION)
        with pytest.raises(StreamInterruptedError) as caught:
            await read(stream, pieces)
    assert pieces == ["one", " two"]
    assert caught.value.partial == stream.text == "one two"
    assert stream.response is None
    assert recorder.statuses == ["interrupted"]
    assert recorder.last.usage_source in {"estimated", "partial"}
    assert recorder.last.cost_nanos > 0
    assert len(server.requests) == 1


@pytest.mark.product
@pytest.mark.parametrize("fault", ["cut=1", "reset=1", "end=1"])
async def test_a_whole_answer_that_is_cut_is_an_error(kind, server, recorder, fault):
    server.fail_next(fault, times=9)
    async with opened(kind, server, max_retries=0) as client:
        with pytest.raises((StreamInterruptedError, BadResponseError, ProviderNotAvailableError)):
            await client.generate_text(QUESTION)
    assert recorder.last.status in {"error", "interrupted"}


async def test_an_error_inside_the_stream_is_raised_by_its_type(kind, server, recorder):
    server.fail_next("error=2")
    async with opened(kind, server) as client:
        with pytest.raises(ProviderNotAvailableError) as caught:
            await read(client.stream_text(QUESTION))
    assert caught.value.partial == "one two"
    assert len(server.requests) == 1
    # The former SDK reads past the error and finds no end.
    expected = "StreamInterruptedError" if kind == "google-legacy" else "ProviderNotAvailableError"
    assert recorder.last.error == expected


async def test_an_error_inside_the_stream_before_any_text_is_tried_again(protocol, server, recorder):
    server.fail_next("error=0")
    async with opened(protocol, server) as client:
        hurry(client)
        assert "".join(await read(client.stream_text(QUESTION))) == TEXT
    assert len(server.requests) == 2


@pytest.mark.product
@pytest.mark.parametrize("fault", ["html", "empty", "malformed=2"])
async def test_what_is_not_the_protocol_is_a_bad_response(kind, server, recorder, fault):
    server.fail_next(fault, times=9)
    async with opened(kind, server, max_retries=0) as client:
        with pytest.raises((BadResponseError, StreamInterruptedError)):
            await read(client.stream_text(QUESTION))
    assert recorder.last.status in {"error", "interrupted"}


@pytest.mark.product
@pytest.mark.parametrize("fault", ["html", "empty"])
async def test_a_whole_answer_that_is_not_the_protocol_is_a_bad_response(kind, server, recorder, fault):
    server.fail_next(fault, times=9)
    async with opened(kind, server) as client:
        with pytest.raises(BadResponseError):
            await client.generate_text(QUESTION)
    assert len(server.requests) == 1


async def test_a_proxys_error_page_is_reported_in_short(kind, server, recorder):
    server.fail_next("html;status=502", times=9)
    async with opened(kind, server, max_retries=0) as client:
        with pytest.raises(ProviderNotAvailableError, match="502") as caught:
            await client.generate_text(QUESTION)
    assert "<html" not in str(caught.value)


async def test_a_server_that_is_not_there_is_not_available(kind, server, recorder):
    server.stop()
    async with opened(kind, server, max_retries=0) as client:
        with pytest.raises(ProviderNotAvailableError):
            await client.generate_text(QUESTION)
    assert (recorder.last.status, recorder.last.attempts) == ("error", 1)


async def test_a_host_that_does_not_exist_is_not_available(recorder):
    async with OpenAIClient("k", "http://nowhere.invalid/v1", model="m", max_retries=0) as client:
        with pytest.raises(ProviderNotAvailableError, match=r"nowhere\.invalid"):
            await client.generate_text(QUESTION)


async def test_a_refused_key_is_an_authentication_error(protocol, server, recorder):
    factory = SDKS[protocol]
    async with factory("invalid", server.url(protocol), model="sandbox") as client:
        with pytest.raises(AuthenticationError):
            await client.generate_text(QUESTION)
    assert len(server.requests) == 1


async def test_the_exception_of_the_sdk_is_the_cause(server, recorder):
    server.fail_next("400")
    async with opened("own openai", server) as client:
        with pytest.raises(InvalidRequestError) as caught:
            await client.generate_text(QUESTION)
    assert isinstance(caught.value.__cause__, openai.BadRequestError)
