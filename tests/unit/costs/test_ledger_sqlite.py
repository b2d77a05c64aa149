# ruff: noqa: PT031 - a warning is due at one of several calls
"""What is of SQLite alone in the ledger's store: locks, the end of the process, sums that are made up for."""

import sqlite3
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from llmkit.core.errors import ConfigurationError
from llmkit.core.timestamps import micros
from llmkit.costs.budgets.rules import BudgetRules
from llmkit.costs.store.sqlite import rollups
from llmkit.costs.store.sqlite.location import MEMORY
from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore
from llmkit.costs.store.writer import LedgerWarning
from llmkit.records import CallRecord, CostReservation

START = datetime(2026, 11, 20, 9, tzinfo=UTC)


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m", "time": START}
    return CallRecord(**fields | changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def opened(path, **options):
    return closing(SQLiteStore(path, **options))


def test_whoever_looks_at_the_caps_does_not_wait_for_a_lock(path):
    with opened(path) as store:
        assert store.append(call()).result(10)
    with opened(path, busy_timeout=600) as store, closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("UPDATE meta SET value = value")
        with pytest.raises(ConfigurationError, match="cannot be read: database is locked"):
            store.rules()
        other.rollback()
        other.close()
        assert store.rules() == BudgetRules()


def test_a_ledger_in_memory_is_in_no_folder():
    assert (str(SQLiteStore(MEMORY).path), SQLiteStore(MEMORY).snapshot) == (":memory:", None)


def test_the_end_of_a_process_with_everything_written_is_not_worth_a_word(path, caplog):
    store = SQLiteStore(path)
    assert store.append(call()).result(10)
    store.finish()
    assert caplog.text == ""
    assert [file.name for file in path.parent.iterdir()] == ["ledger.sqlite"]


def test_a_lease_ends_by_the_clock_on_the_wall_unless_another_is_given():
    reservation = CostReservation(
        uid="1", time=START, provider="p", model="m", nanos=5, input_tokens=1, output_tokens=1, lease_s=60
    )
    longer = timedelta(seconds=60 + 30 + 1)
    for now, reserved in ((None, 5), (lambda: datetime.now(UTC) + longer, 0)):
        with opened(MEMORY) as store:
            store.reserve(reservation).result(10)
            store._clock = now or store._clock
            assert store.amounts(micros(START), None).reserved == reserved


def test_who_reads_an_older_file_makes_its_sums_step_by_step(path, monkeypatch):
    with opened(path) as store:
        for number in range(17):
            store.append(call(cost_nanos=number))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM meta WHERE key = 'rolled'")
    monkeypatch.setattr(rollups, "STEP", 5)

    def behind():
        with closing(sqlite3.connect(path)) as connection:
            return rollups.behind(connection)

    with opened(path) as store:
        assert behind() == 17
        left = []
        assert [row[1] for row in store.groups(["model"])] == [17]
        while not left or left[-1]:
            store.settled(0, None).result(10)  # a step at least is done by then
            left.append(behind())
            assert len(left) < 6
        assert store.sums()[False].nanos == sum(range(17))


def test_after_an_outage_the_file_is_waited_for_as_patiently_as_before(path):
    path.parent.joinpath("in the way").write_text("no folder")
    with opened(path.parent / "in the way" / "ledger.sqlite", busy_timeout=7) as store:
        with pytest.warns(LedgerWarning, match="Cannot write calls"):
            assert store.append(call()).result(10) is False
            assert store.flush(10) is False
        path.parent.joinpath("in the way").unlink()
        assert store.flush(10) is True
        assert store.append(call()).result(10) is True
        assert store._connection.execute("PRAGMA busy_timeout").fetchone() == (7000,)


def test_a_day_that_is_kept_as_one_sum_can_still_be_divided(path):
    with opened(path) as store:
        store.append(call(cost_nanos=1))
        store.append(call(cost_nanos=10, time=START + timedelta(minutes=5)))
    with opened(path) as store:
        assert store.append(call(cost_nanos=100, time=START + timedelta(minutes=9))).result(10)
        with closing(sqlite3.connect(path)) as connection:
            assert rollups.behind(connection) == 0
        for minutes, nanos in ((0, 111), (1, 110), (5, 110), (6, 100)):
            since = micros(START + timedelta(minutes=minutes))
            assert store.sums(since=since)[False].nanos == nanos
        assert store.sums(since=micros(START + timedelta(days=1))) == {}


def test_whole_days_that_are_deleted_leave_the_sums_of_the_others_as_they_are(path):
    with opened(path) as store:
        store.append(call(cost_nanos=1))
        store.append(call(cost_nanos=10, time=START + timedelta(days=3)))
    with opened(path) as store:
        assert store.append(call(cost_nanos=100, time=START + timedelta(days=3))).result(10)
        assert store.delete(micros(START + timedelta(days=2))) == 1
        with closing(sqlite3.connect(path)) as connection:
            assert rollups.behind(connection) == 0
        assert store.sums()[False].nanos == 110
