"""The kept sums by themselves, on a ledger in memory."""

import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from llmkit.core.timestamps import micros
from llmkit.costs.store.groups import KEYS, MEASURES
from llmkit.costs.store.rows import COLUMNS, encode
from llmkit.costs.store.sqlite import database, rollups, schema
from llmkit.costs.sums import Sums
from llmkit.records import CallRecord
from tests.contract.test_store_contract import MIXED, expected_groups, merged

NOON = datetime(2026, 11, 20, 12).astimezone()
BY = [[key] for key in KEYS] + [
    ["month", "model"],
    ["day", "notebook"],
    ["notebook", "month", "status"],
]


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m", "time": NOON}
    return CallRecord(**fields | changes)


@pytest.fixture
def ledger():
    with closing(database.open_memory()) as connection:
        yield connection


def write(ledger, *records):
    ledger.executemany(schema.INSERT, map(encode, records))


def agree(ledger, records):
    for by in BY:
        assert merged(rollups.groups(ledger, by), len(by)) == expected_groups(records, by)


def kept(ledger):
    """Count the rows of each table of sums, and what they count."""
    query = "SELECT count(*), coalesce(sum(calls), 0) FROM {}"
    return {table: ledger.execute(query.format(table)).fetchone() for table in rollups.TABLES}


def test_sums_are_right_before_and_after_every_step(ledger, monkeypatch):
    monkeypatch.setattr(rollups, "STEP", 7)
    write(ledger, *MIXED)
    agree(ledger, MIXED)
    for left in (17, 10, 3, 0, 0):
        assert rollups.roll(ledger) == left
        assert rollups.behind(ledger) == left
        assert {calls for _, calls in kept(ledger).values()} == {24 - left}
        agree(ledger, MIXED)


def test_rows_that_come_later_are_added_to_what_is_kept(ledger):
    write(ledger, *MIXED[:10])
    rollups.roll(ledger)
    write(ledger, *MIXED[10:])
    assert rollups.behind(ledger) == 14
    agree(ledger, MIXED)
    assert rollups.roll(ledger) == 0
    agree(ledger, MIXED)


def test_an_empty_ledger_has_no_groups(ledger):
    assert rollups.roll(ledger) == rollups.behind(ledger) == 0
    assert rollups.groups(ledger, ["model"]) == []


def test_in_another_epoch_what_is_kept_is_void(ledger):
    write(ledger, *MIXED)
    rollups.roll(ledger)
    ledger.execute("UPDATE calls SET cost_nanos = 3")
    agree(ledger, [type(r)(**{f: getattr(r, f) for f in COLUMNS} | {"cost_nanos": 3}) for r in MIXED])
    assert rollups.behind(ledger) == 24
    assert rollups.roll(ledger) == 0
    assert {calls for _, calls in kept(ledger).values()} == {24}


@pytest.mark.parametrize("value", ["", "nonsense", "nonsense 24", "{epoch}", "{epoch} x", "{epoch} -4"])
def test_a_mark_that_cannot_be_read_is_none(ledger, value):
    write(ledger, *MIXED)
    (epoch,) = ledger.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    ledger.execute("INSERT INTO meta VALUES ('rolled', ?)", (value.format(epoch=epoch),))
    assert rollups.behind(ledger) == 24
    agree(ledger, MIXED)


def test_a_file_that_keeps_no_sums_is_added_up_from_its_rows(ledger):
    write(ledger, *MIXED[:10])
    rollups.roll(ledger)
    ledger.execute("DROP TABLE monthly_sums")
    write(ledger, *MIXED[10:])
    assert rollups.behind(ledger) == 0, "there is nothing to make up for"
    agree(ledger, MIXED)


def since(ledger, by, time):
    return rollups.groups(ledger, by, micros(time))


def test_sums_since_a_time_are_kept_if_it_divides_no_period(ledger):
    days = [call(time=NOON + timedelta(days=n), cost_nanos=10**n) for n in range(3)]
    write(ledger, *days)
    for _ in range(2):
        assert [row[7] for row in since(ledger, ["model"], days[1].time)] == [110]
        assert [row[7] for row in since(ledger, ["day"], days[1].time + timedelta(microseconds=1))] == [100]
        rollups.roll(ledger)
    write(ledger, call(time=NOON + timedelta(days=2, hours=1), cost_nanos=1000))
    assert [row[7] for row in since(ledger, ["model"], days[2].time)] == [1100], "with those behind the mark"
    assert since(ledger, ["model"], NOON + timedelta(days=9)) == []


def test_a_time_within_a_day_is_left_to_the_rows_once_they_are_added_up(ledger):
    write(ledger, call(cost_nanos=1), call(time=NOON + timedelta(hours=2), cost_nanos=10))
    later = NOON + timedelta(hours=1)
    assert [row[7] for row in since(ledger, ["model"], later)] == [10]
    rollups.roll(ledger)
    assert since(ledger, ["model"], later) is None
    assert [row[7] for row in since(ledger, ["model"], NOON)] == [11]
    assert since(ledger, ["model"], NOON + timedelta(hours=2)) is None
    assert since(ledger, ["model"], NOON + timedelta(hours=2, microseconds=1)) == []


def test_errors_and_unknown_tokens_are_distinguished_from_zero(ledger):
    write(ledger, call(status="error"), call(status="interrupted", model="n", input_tokens=0))
    rollups.roll(ledger)
    found = {row[0]: dict(zip(MEASURES, row[1:], strict=True)) for row in rollups.groups(ledger, ["model"])}
    assert (found["m"]["errors"], found["m"]["input_tokens"], found["m"]["unpriced"]) == (1, None, 0)
    assert (found["n"]["errors"], found["n"]["input_tokens"], found["n"]["output_tokens"]) == (1, 0, None)


def test_groups_by_simulated_become_sums(ledger):
    write(ledger, call(cost_nanos=5), call(), call(simulated=True, cost_nanos=0, saved_nanos=9))
    assert rollups.sums(rollups.groups(ledger, ["simulated"])) == {
        False: Sums(calls=2, unpriced=1, priced=1, nanos=5, saved_nanos=0),
        True: Sums(calls=1, unpriced=0, priced=1, nanos=0, saved_nanos=9),
    }


def delete(ledger, before):
    limit = None if before is None else micros(before)
    mark = rollups.forget(ledger, limit)
    schema.delete(ledger, limit)
    rollups.keep(ledger, mark)
    return mark


def test_whole_days_that_are_deleted_leave_the_sums_of_the_others(ledger):
    days = [call(time=NOON + timedelta(days=n), cost_nanos=10**n, model=f"m{n}") for n in range(3)]
    write(ledger, *days)
    rollups.roll(ledger)
    assert delete(ledger, NOON + timedelta(hours=12)) == 3
    assert rollups.behind(ledger) == 0
    assert {calls for _, calls in kept(ledger).values()} == {2}
    agree(ledger, days[1:])
    write(ledger, days[0])
    agree(ledger, [*days[1:], days[0]])
    assert rollups.roll(ledger) == 0
    agree(ledger, [*days[1:], days[0]])


def test_if_the_newest_rows_are_deleted_the_next_one_is_not_passed_over(ledger):
    later, earlier = call(time=NOON + timedelta(days=1)), call(cost_nanos=1)
    write(ledger, later, earlier)
    rollups.roll(ledger)
    assert delete(ledger, later.time) == 2
    write(ledger, call(time=later.time, cost_nanos=7))
    assert rollups.behind(ledger) == 1
    assert [row[7] for row in rollups.groups(ledger, ["model"])] == [7]


@pytest.mark.parametrize("before", [None, NOON + timedelta(hours=1), NOON + timedelta(hours=2)])
def test_if_a_day_is_divided_or_all_goes_the_sums_are_made_anew(ledger, before):
    write(ledger, call(), call(time=NOON + timedelta(hours=2)), call(time=NOON + timedelta(days=1)))
    rollups.roll(ledger)
    assert delete(ledger, before) == 0
    left = 0 if before is None else 2
    assert rollups.behind(ledger) >= left
    assert sum(row[1] for row in rollups.groups(ledger, ["model"])) == left
    assert rollups.roll(ledger) == 0
    assert {calls for _, calls in kept(ledger).values()} == {left}


def test_money_stays_exact_where_its_sum_is_enormous(ledger):
    write(ledger, *(call(cost_nanos=9 * 10**17 + 1) for _ in range(9)), call(cost_nanos=-5))
    for _ in range(2):
        (row,) = rollups.groups(ledger, ["model"])
        assert row[1 + MEASURES.index("nanos")] == 9 * (9 * 10**17 + 1) - 5
        rollups.roll(ledger)


def test_the_clock_of_this_machine_says_what_a_day_is(ledger):
    utc = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
    write(ledger, call(time=utc))
    assert [row[0] for row in rollups.groups(ledger, ["day"])] == [utc.astimezone().date().isoformat()]
