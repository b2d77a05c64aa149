"""Whether to try again, and when."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from llmkit import (
    InvalidRequestError,
    LLMTimeoutError,
    ProviderNotAvailableError,
    RateLimitError,
    RetryPolicy,
)
from llmkit import StreamInterruptedError as Interrupted
from llmkit.clients.retry import LONGEST_WAIT, retry_after


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
