"""Times as the ledger keeps them."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from llmkit.core.timestamps import aware, from_micros, micros, moment


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_survives_the_ledger(time):
    assert from_micros(micros(time)) == time


def test_a_time_without_a_zone_is_in_utc_for_the_ledger_and_local_for_a_user():
    bare = datetime(2026, 11, 22, 9)  # noqa: DTZ001 - it is the point
    assert from_micros(micros(bare)) == bare.replace(tzinfo=UTC)
    assert aware(bare) == bare.astimezone(UTC)


def test_a_zone_is_converted():
    time = datetime(2026, 11, 22, 9, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert moment(time) == micros(time) == micros(datetime(2026, 11, 22, 3, 30, tzinfo=UTC))


def test_no_time_stays_none():
    assert (moment(None), aware(None)) == (None, None)
