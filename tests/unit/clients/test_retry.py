"""Whether to try again, and when."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from llmkit import (
    InvalidRequestError,
    LLMTimeoutError,
    ProviderNotAvailableError,
    RateLimitError,
    RetryPolicy,
    rate_limit_retry,
)
from llmkit import StreamInterruptedError as Interrupted
from llmkit.clients.engine.retry import LONGEST_WAIT, come_back
from llmkit.providers.error_mapping import retry_after
from tests.support.callers import QUESTION, opened


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": ""}, None),
    ],
)
def test_a_provider_says_how_long_to_wait(headers, seconds):
    assert retry_after(headers) == seconds


@pytest.mark.parametrize("usegmt", [True, False])
def test_a_date_is_a_time_to_wait(usegmt):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=usegmt)
    assert 80 <= retry_after({"retry-after": date}) <= 90


def test_a_date_without_a_zone_is_utc():
    date = (datetime.now(UTC) + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S")
    assert 80 <= retry_after({"retry-after": date}) <= 90


def test_pauses_double_with_jitter_up_to_the_longest():
    policy = RetryPolicy(max_retries=99, base_delay=1, max_delay=5)
    waits = [policy.wait(RateLimitError("x"), attempt) for attempt in (1, 2, 3, 4, 50)]
    for wait, least in zip(waits, [1, 2, 4, 5, 5], strict=True):
        assert least <= wait <= 1.25 * least


def test_a_provider_is_never_undercut():
    policy = RetryPolicy(base_delay=0.001)
    assert policy.wait(RateLimitError("x", retry_after=30), 1) >= 30


def test_a_wait_that_is_too_long_is_not_begun():
    assert RetryPolicy().wait(RateLimitError("x", retry_after=LONGEST_WAIT + 1), 1) is None


@pytest.mark.parametrize(
    "error", [InvalidRequestError("x"), Interrupted("x"), LLMTimeoutError("x", partial="text")]
)
def test_what_cannot_help_is_not_tried(error):
    assert RetryPolicy().wait(error, 1) is None


def test_retries_are_counted():
    policy = RetryPolicy(max_retries=2)
    waits = [policy.wait(ProviderNotAvailableError("x"), attempt) for attempt in (1, 2, 3)]
    assert [wait is None for wait in waits] == [False, False, True]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (61.2, "The provider asks to wait 62 s: try again after 23:51:01"),
        (119.0, "The provider asks to wait 119 s: try again after 23:51:59"),
        (120, "The provider asks to wait 2 min: try again after 23:52:00"),
        (601, "The provider asks to wait 11 min: try again after 2026-11-23 00:00:01"),
    ],
)
def test_a_long_wait_says_when_to_come_back(seconds, text):
    now = datetime(2026, 11, 22, 23, 50)  # noqa: DTZ001 - the time on the wall
    assert come_back(seconds, now) == f"{text}, or use another model."


def test_a_time_is_described_without_a_given_time():
    assert "asks to wait 5 s: try again after" in come_back(5)


async def test_a_wait_above_a_minute_is_raised_and_never_waited_for(protocol, server, recorder):
    server.fail_next("429;retry-after=61", times=2)
    async with opened(protocol, server) as client:
        with pytest.raises(RateLimitError, match="The provider asks to wait 61 s: try again after") as caught:
            await client.generate_text(QUESTION)
    assert caught.value.retry_after == 61
    assert recorder.last.attempts == 1
    assert RetryPolicy().wait(RateLimitError(retry_after=60.0), 1) == 60
    assert RetryPolicy().wait(RateLimitError(retry_after=60.5), 1) is None


def test_the_usual_policy():
    assert RetryPolicy() == RetryPolicy(max_retries=2, base_delay=0.5, max_delay=20.0)


@pytest.mark.parametrize("value", ["inf", "nan", "-1", "1e400", "soon"])
def test_no_sensible_number_is_no_wait(value):
    assert retry_after({"retry-after": value}) is None


def test_a_date_without_a_zone_is_taken_as_utc():
    when = datetime.now(UTC) + timedelta(seconds=90)
    seconds = retry_after({"retry-after": f"{when:%a, %d %b %Y %H:%M:%S} -0000"})
    assert 80 < seconds <= 90


async def test_the_decorator_waits_and_calls_three_times_by_default(caplog):
    times = []

    @rate_limit_retry(base_delay=0.05)
    async def ask():
        times.append(asyncio.get_running_loop().time())
        raise RateLimitError("slow down")

    with pytest.raises(RateLimitError):
        await ask()
    assert len(times) == 3
    assert times[1] - times[0] >= 0.05
    assert times[2] - times[1] >= 0.1
    assert caplog.text.count("Rate limit: retrying in") == 2
