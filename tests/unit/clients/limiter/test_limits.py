"""The parts of the limiter: headers, buckets, concurrency, expectations."""

import asyncio
import gc
import json

import pytest
from multidict import CIMultiDict

from llmkit import BaseLLMClient, OpenAIClient, QuotaExceededError, RateLimitError
from llmkit.clients.limiter import answered, limiter_of
from llmkit.clients.limiter.concurrency import Concurrency
from llmkit.clients.limiter.demand import Expectation, Percentile
from llmkit.clients.limiter.rate_headers import RateHeaders, rate_headers, seconds_until
from llmkit.clients.limiter.server import _limiters
from llmkit.clients.limiter.token_bucket import TokenBucket
from llmkit.content.messages import LLMMessage, LLMResponse, Usage
from llmkit.providers.codec import Request
from llmkit.providers.error_mapping import of_status


class Echo(BaseLLMClient):
    async def generate_text(self, messages, model=None, **kwargs):
        return LLMResponse(messages[-1].content, self.provider_name, "m")

    async def stream_text(self, messages, model=None, **kwargs):
        yield messages[-1].content

    async def close(self):
        pass


def said(remaining, *, limit=100.0, reset=None):
    return RateHeaders("requests", limit, remaining, reset)


def violation(quota, value, metric="generate_content_free_tier_requests"):
    return {
        "quotaMetric": f"generativelanguage.googleapis.com/{metric}",
        "quotaId": quota,
        "quotaValue": value,
    }


class TestErrors:
    @pytest.mark.parametrize(
        ("violations", "found"),
        [
            ([violation("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "10")], (("requests", 10),)),
            (
                [
                    violation(
                        "GenerateContentInputTokensPerModelPerMinute-FreeTier",
                        "250000",
                        "generate_content_free_tier_input_token_count",
                    )
                ],
                (("input_tokens", 250000),),
            ),
            ([violation("GenerateRequestsPerMinutePerProjectPerModel", "0")], ()),
            ([violation("GenerateRequestsPerMinutePerProjectPerModel", None)], ()),
            ([violation("GenerateRequestsPerHour", "5"), "x", {"quotaId": 7}], ()),
        ],
    )
    def test_googles_error_names_the_limit_of_a_minute(self, violations, found):
        details = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}]
        body = {
            "error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Slow.", "details": details}
        }
        error = of_status(429, {}, json.dumps(body).encode())
        assert type(error) is RateLimitError
        assert error.quotas == found

    def test_openrouters_daily_limit_is_a_quota(self):
        body = {"error": {"message": "Rate limit exceeded: free-models-per-day.", "code": 429}}
        assert type(of_status(429, {}, json.dumps(body).encode())) is QuotaExceededError


class TestHeaders:
    def test_anthropics_four_limits_are_read(self):
        units = ("requests", "tokens", "input-tokens", "output-tokens")
        headers = {f"anthropic-ratelimit-{unit}-limit": "100" for unit in units}
        headers |= {f"anthropic-ratelimit-{unit}-remaining": "40" for unit in units}
        found = {one.unit: one.remaining for one in rate_headers(headers)}
        assert found == {unit.replace("-", "_"): 40 for unit in units}

    @pytest.mark.parametrize(
        ("headers", "found"),
        [
            (  # Groq: requests of a day, tokens of a minute
                {
                    "x-ratelimit-limit-requests": "14400",
                    "x-ratelimit-remaining-requests": "14370",
                    "x-ratelimit-reset-requests": "2m59.56s",
                    "x-ratelimit-limit-tokens": "18000",
                    "x-ratelimit-remaining-tokens": "17997",
                    "x-ratelimit-reset-tokens": "7.66s",
                },
                [("requests", 14400, 14370, "2m59.56s", None), ("tokens", 18000, 17997, "7.66s", None)],
            ),
            (  # Azure, where a deployment has no limit of its own
                {
                    "x-ratelimit-limit-requests": "100",
                    "x-ratelimit-remaining-requests": "99",
                    "x-ratelimit-limit-tokens": "-1",
                    "x-ratelimit-remaining-tokens": "-1",
                    "x-ratelimit-reset-tokens": "0",
                },
                [("requests", 100, 99, None, None)],
            ),
            (  # OpenRouter
                {
                    "X-RateLimit-Limit": "20",
                    "X-RateLimit-Remaining": "3",
                    "X-RateLimit-Reset": "1795860030000",
                },
                [("requests", 20, 3, "1795860030000", None)],
            ),
            (  # Mistral
                {
                    "x-ratelimit-limit-req-minute": "60",
                    "x-ratelimit-remaining-req-minute": "59",
                    "x-ratelimit-limit-tokens-minute": "500000",
                    "x-ratelimit-remaining-tokens-minute": "499000",
                },
                [("requests", 60, 59, None, 60), ("tokens", 500000, 499000, None, 60)],
            ),
            (  # Cerebras
                {
                    "x-ratelimit-limit-requests-day": "14400",
                    "x-ratelimit-remaining-requests-day": "14399",
                    "x-ratelimit-reset-requests-day": "33011.382867",
                },
                [("requests", 14400, 14399, "33011.382867", 86400)],
            ),
            (
                {"ratelimit-limit": "100", "ratelimit-remaining": "50", "ratelimit-reset": "30"},
                [("requests", 100, 50, "30", None)],
            ),
            (
                {
                    "RateLimit-Policy": '"burst";q=100;w=60,"daily";q=1000;w=86400',
                    "RateLimit": '"burst";r=50;t=30',
                },
                [("requests", 100, 50, "30", 60)],
            ),
            ({"ratelimit-policy": '"bytes";q=9;qu="content-bytes"', "ratelimit": '"bytes";r=1'}, []),
            ({"ratelimit": ";;=,", "ratelimit-policy": "\x00"}, []),
            ({"x-ratelimit-user": "me"}, []),
        ],
    )
    def test_each_spelling_of_the_limits_is_read(self, headers, found):
        assert [tuple(one) for one in rate_headers(CIMultiDict(headers))] == found

    @pytest.mark.parametrize(
        ("limit", "remaining"), [("nan", "1"), ("-1", "1"), ("0", "0"), ("5", "inf"), ("5", "")]
    )
    def test_what_makes_no_sense_is_left_out(self, limit, remaining):
        headers = {"x-ratelimit-limit-tokens": limit, "x-ratelimit-remaining-tokens": remaining}
        assert list(rate_headers(headers)) == []

    def test_more_left_than_the_limit_is_the_limit(self):
        headers = {"x-ratelimit-limit-tokens": "10", "x-ratelimit-remaining-tokens": "99"}
        assert [one.remaining for one in rate_headers(headers)] == [10]

    @pytest.mark.parametrize(
        ("reset", "seconds"),
        [
            ("1h30m0s", 5400),
            ("7.66s", 7.66),
            ("12", 12),
            ("2026-11-28T10:00:30Z", 30),
            ("2026-11-28T09:00:00Z", 0),
            ("2026-11-28T10:00:30", 30),
            ("1795860030", 30),
            ("1795860030000", 30),
            ("never", None),
            ("", None),
            (None, None),
        ],
    )
    def test_a_reset_is_a_duration_or_a_time_by_the_servers_clock(self, reset, seconds):
        assert seconds_until(reset, "Sat, 28 Nov 2026 10:00:00 GMT") == seconds

    def test_without_the_servers_clock_this_ones_is_used(self):
        assert seconds_until("2001-01-01T00:00:00Z", None) == 0

    def test_a_date_that_cannot_be_read_tells_no_reset(self):
        assert seconds_until("2026-11-28T10:00:30Z", "yesterday") is None

    @pytest.mark.parametrize(("remaining", "rounding"), [(3000, 500), (3001, 0), (0, 0)])
    def test_whole_thousands_of_tokens_may_be_rounded(self, remaining, rounding):
        assert RateHeaders("tokens", 10_000, remaining, None).rounding == rounding


class TestTokenBucket:
    def test_it_refills_with_time(self):
        bucket = TokenBucket(60, 60, now=0)
        for _ in range(58):
            assert bucket.delay(1, now=0) == 0
            bucket.take(1, now=0)
        assert bucket.delay(2, now=0) == pytest.approx(1.2)  # with what stays in it
        assert bucket.delay(2, now=1.3) == 0

    def test_what_is_more_than_the_limit_waits_for_a_full_bucket(self):
        bucket = TokenBucket(60, 0, now=0)
        assert bucket.delay(1000, now=0) == 60

    def test_a_clock_that_goes_back_refills_nothing(self):
        bucket = TokenBucket(60, 0, now=100)
        assert bucket.delay(10, now=50) == bucket.delay(10, now=50) > 10

    def test_the_servers_count_lowers_the_level(self):
        bucket = TokenBucket(100, 100, now=0)
        mark = bucket.take(1, now=0)
        bucket.heed(said(10), mark, 0.0, 0.0, None)  # others use the key, too
        assert bucket.delay(20, now=0) > 0

    def test_the_servers_count_raises_a_level_that_is_too_low(self):
        bucket = TokenBucket(100, 0, now=0)
        mark = bucket.take(1, now=0)
        bucket.heed(said(80), mark, 0.0, 0.0, None)
        assert bucket.delay(70, now=0) == 0

    def test_the_ratio_of_the_servers_counts_to_ours_is_learned(self):
        bucket, remaining = TokenBucket(100_000, 79_000, now=0), 79_000.0
        for _ in range(400):
            mark = bucket.take(10, now=0)
            remaining -= 20
            bucket.heed(said(remaining, limit=100_000), mark, 0.0, 0.0, None)
        needs = bucket.delay(48_000, now=0) - bucket.delay(47_000, now=0)
        assert needs == pytest.approx(2 * 1000 * 60 / 100_000, rel=0.1)

    @pytest.mark.parametrize(
        ("reset", "brief"), [("30s", True), ("12h", False), ("0s", True), ("nonsense", True), ("9d", True)]
    )
    def test_the_reset_tells_the_period(self, reset, brief):
        bucket = TokenBucket(100, 50, now=0)
        bucket.heed(said(50, reset=reset), 0.0, 0.0, 0.0, None)
        assert bucket.is_brief is brief

    def test_a_refusal_raises_the_margin(self):
        bucket = TokenBucket(100, 10, now=0)
        assert bucket.delay(5, now=0) == 0
        for _ in range(9):
            bucket.refused()
        assert bucket.delay(5, now=0) == pytest.approx(11 * 0.6)


class TestConcurrency:
    def test_refusals_of_one_round_trip_halve_once(self):
        concurrency = Concurrency()
        for _ in range(56):
            concurrency.succeeded()
        for _ in range(64):
            concurrency.refused(sent=1.0, now=2.0)
        assert concurrency.limit == 32
        concurrency.refused(sent=2.5, now=3.0)
        assert concurrency.limit == 16

    def test_after_a_refusal_a_round_trip_adds_one(self):
        concurrency = Concurrency()
        concurrency.refused(sent=0, now=1)
        for _ in range(4 + 5):
            concurrency.succeeded()
        assert concurrency.limit in {5, 6}

    def test_it_is_at_least_one_and_at_most_256(self):
        concurrency = Concurrency()
        for second in range(20):
            concurrency.refused(sent=second, now=second)
        assert concurrency.limit == 1
        concurrency = Concurrency()
        for _ in range(1000):
            concurrency.succeeded()
        assert concurrency.limit == 256


class TestExpectation:
    REQUEST = Request(messages=(LLMMessage("user", "Hello"),), model="m", max_tokens=300)

    def test_a_percentile_is_near_the_true_one(self):
        percentile = Percentile(0.9)
        for number in range(20_000):
            percentile.add(number * 37 % 1000)
        assert percentile.value == pytest.approx(900, rel=0.15)

    def test_answers_are_expected_as_they_were_up_to_the_limit(self):
        expected = Expectation()
        assert expected.of(10, self.REQUEST).of("tokens") == 10 + 300
        expected.learn(10, Usage(input_tokens=20, output_tokens=50))
        assert expected.of(10, self.REQUEST).of("input_tokens") == 20
        assert expected.of(10, self.REQUEST).of("output_tokens") == 50
        for _ in range(100):
            expected.learn(10, Usage(input_tokens=20, output_tokens=5000))
        assert expected.of(10, self.REQUEST).of("output_tokens") == 300

    def test_unknown_usage_teaches_nothing(self):
        assert Expectation().learn(10, Usage(input_tokens=20)) is None


class TestWhoseLimits:
    async def test_key_model_and_server_tell_them_apart_and_the_key_is_not_kept(self, server):
        async with (
            OpenAIClient("first-secret-key", server.url(), model="a") as one,
            OpenAIClient("other-secret-key", server.url(), model="a") as other,
        ):
            limiters = [limiter_of(one), limiter_of(one, "b"), limiter_of(other), limiter_of(one, "a")]
            assert len({id(limiter.server) for limiter in limiters}) == 3
            assert limiters[0].server is limiters[3].server
        assert "secret-key" not in repr(list(_limiters[asyncio.get_running_loop()]))

    def test_event_loops_do_not_share_and_are_not_kept(self, server):
        async def limiter():
            return limiter_of(Echo("mine")).server

        assert asyncio.run(limiter()) is not asyncio.run(limiter())
        gc.collect()
        assert len([loop for loop in _limiters if loop.is_closed()]) == 0

    async def test_a_client_of_another_package_is_limited_by_its_errors(self):
        limiter = limiter_of(Echo("mine"))
        before = limiter.limit

        async def call(row):
            raise QuotaExceededError("no") if row else RateLimitError("slow down", retry_after=0.0)

        _ = [pair async for pair in answered(range(1), call, limiter=limiter)]
        assert limiter.limit == before // 2

        async def fine(_row):
            return LLMResponse("yes", "mine", "m")

        _ = [pair async for pair in answered(range(40), fine, limiter=limiter)]
        assert limiter.limit > before // 2
