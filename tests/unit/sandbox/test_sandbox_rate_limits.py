from datetime import datetime, timedelta

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors

from llmkit import sandbox
from llmkit.sandbox import SandboxServer
from llmkit.sandbox.clock import Clock
from llmkit.sandbox.rate_limits import Limits, RateLimiter

QUESTION = [{"role": "user", "content": "echo: one two three"}]
START = 1_800_000_000.0


def limited(**limits):
    """A server on whose clock no time passes by itself."""
    return SandboxServer(rate=0, first_token=0, clock=lambda: START, **limits)


def chat(client, **settings):
    return client.chat.completions.with_raw_response.create(model="sandbox", messages=QUESTION, **settings)


def message(client, **settings):
    settings = {"model": "sandbox", "max_tokens": 50, "messages": QUESTION, **settings}
    return client.messages.with_raw_response.create(**settings)


def of_openai(server, key="x"):
    return openai.OpenAI(api_key=key, base_url=server.url("openai"), max_retries=0)


def of_anthropic(server):
    return anthropic.Anthropic(api_key="x", base_url=server.url("anthropic"), max_retries=0)


def test_openai_says_what_is_left_in_its_headers():
    with limited(requests_per_minute=10, tokens_per_minute=6000) as server, of_openai(server) as client:
        headers = chat(client).headers
        assert {name: value for name, value in headers.items() if name.startswith("x-ratelimit")} == {
            "x-ratelimit-limit-requests": "10",
            "x-ratelimit-remaining-requests": "9",
            "x-ratelimit-reset-requests": "6s",
            "x-ratelimit-limit-tokens": "6000",
            "x-ratelimit-remaining-tokens": "5995",
            "x-ratelimit-reset-tokens": "50ms",
        }


def test_openai_counts_max_tokens_when_it_is_larger_than_the_prompt():
    with limited(tokens_per_minute=6000) as server, of_openai(server) as client:
        assert chat(client, max_tokens=600).headers["x-ratelimit-remaining-tokens"] == "5400"


def test_openai_refuses_the_request_above_the_limit_and_names_the_wait():
    with limited(requests_per_minute=2) as server, of_openai(server) as client:
        for _ in range(2):
            chat(client)
        with pytest.raises(openai.RateLimitError, match=r"RPM\): Limit 2, Used 2, Requested 1") as caught:
            chat(client)
        headers = caught.value.response.headers
        assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "requests")
        assert (headers["retry-after"], headers["retry-after-ms"]) == ("30", "30000")
        assert headers["x-ratelimit-reset-requests"] == "1m0s"


def test_an_openai_request_that_no_wait_allows_gets_no_wait():
    with limited(tokens_per_minute=100) as server, of_openai(server) as client:
        with pytest.raises(openai.RateLimitError, match="Request too large") as caught:
            chat(client, max_tokens=101)
        assert caught.value.type == "tokens"
        assert "retry-after" not in caught.value.response.headers


def test_the_buckets_refill_continuously():
    with limited(requests_per_minute=2) as server, of_openai(server) as client:
        for _ in range(2):
            chat(client)
        server.advance(30)
        assert chat(client).headers["x-ratelimit-remaining-requests"] == "0"
        with pytest.raises(openai.RateLimitError):
            chat(client)


def test_each_key_and_each_model_has_its_own_limits():
    with limited(requests_per_minute=1) as server, of_openai(server) as one, of_openai(server, "y") as other:
        chat(one)
        chat(other)
        one.chat.completions.create(model="sandbox-mini", messages=QUESTION)
        with pytest.raises(openai.RateLimitError):
            chat(one)


def test_streams_and_responses_have_the_headers_too():
    with limited(requests_per_minute=10) as server, of_openai(server) as client:
        stream = chat(client, stream=True)
        assert stream.headers["x-ratelimit-remaining-requests"] == "9"
        list(stream.parse())
        answer = client.responses.with_raw_response.create(model="sandbox", input="echo: hi")
        assert answer.headers["x-ratelimit-remaining-requests"] == "8"


def test_anthropic_has_resets_in_rfc_3339_and_rounds_tokens():
    with limited(requests_per_minute=60, tokens_per_minute=60_000) as server, of_anthropic(server) as client:
        headers = message(client).headers
    at = datetime.fromtimestamp(START).astimezone()
    assert datetime.fromisoformat(headers["anthropic-ratelimit-requests-reset"]) == at + timedelta(seconds=1)
    assert headers["anthropic-ratelimit-requests-remaining"] == "59"
    assert headers["anthropic-ratelimit-input-tokens-limit"] == "60000"
    assert headers["anthropic-ratelimit-input-tokens-remaining"] == "60000"
    assert headers["anthropic-ratelimit-output-tokens-remaining"] == "60000"
    assert headers["anthropic-ratelimit-tokens-limit"] == "60000"


def test_anthropic_refuses_by_the_output_that_was_produced_not_by_max_tokens():
    with limited(tokens_per_minute=60) as server, of_anthropic(server) as client:
        message(client, model="sandbox!tokens=90", max_tokens=1000)
        with pytest.raises(anthropic.RateLimitError, match="rate limit of 60 output tokens") as caught:
            message(client)
        assert caught.value.body["error"]["type"] == "rate_limit_error"
        assert caught.value.response.headers["retry-after"] == "31"
        server.advance(31)
        message(client)


def test_google_names_the_wait_in_the_body_only():
    with limited(requests_per_minute=1) as server:
        options = {"base_url": server.url("google"), "retry_options": {"attempts": 1}}
        with genai.Client(api_key="x", http_options=options) as client:
            client.models.generate_content(model="sandbox", contents="echo: hi")
            with pytest.raises(errors.ClientError) as caught:
                client.models.generate_content(model="sandbox", contents="echo: hi")
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
    details = caught.value.details["error"]["details"]
    assert details[1] == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "60s"}
    assert "retry-after" not in caught.value.response.headers


def test_without_limits_there_are_no_headers():
    with sandbox.start(rate=0, first_token=0) as server, of_openai(server) as client:
        assert not [name for name in chat(client).headers if "ratelimit" in name]


def test_counting_tokens_and_listing_models_cost_nothing():
    with limited(requests_per_minute=1) as server, of_anthropic(server) as client:
        for _ in range(3):
            client.messages.count_tokens(model="sandbox", messages=QUESTION)
            client.models.list()
        message(client)


def test_a_refused_request_takes_nothing_from_the_other_limits():
    limiter = RateLimiter(Limits(requests=10, tokens=100), Clock(lambda: START))
    assert limiter.take(("a",), {"requests": 1, "tokens": 101}).is_too_large
    assert limiter.levels(("a",), {"requests": 1})["requests"].remaining == 10


def test_a_clock_that_goes_back_takes_nothing_away():
    now = [START]
    limiter = RateLimiter(Limits(requests=10), Clock(lambda: now[0]))
    now[0] -= 3600
    assert limiter.take(("a",), {"requests": 10}) is None
    assert limiter.take(("a",), {"requests": 1}).wait == 6


@pytest.mark.parametrize("limits", [{"requests_per_minute": 0}, {"tokens_per_minute": -5}])
def test_a_limit_below_one_is_refused(limits):
    with pytest.raises(ValueError, match="per_minute must be at least 1"):
        sandbox.start(**limits)


def test_time_does_not_go_back():
    with limited() as server, pytest.raises(ValueError, match="must not be negative"):
        server.advance(-1)
