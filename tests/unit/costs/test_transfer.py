"""Calls move house: each one once, with its corrections, whatever was interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from llmkit.core.errors import ConfigurationError
from llmkit.costs import transfer
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.filters import ALL
from llmkit.costs.store.rows import COLUMNS
from llmkit.costs.store.sqlite.merged import MergedStore
from llmkit.records import CallRecord
from tests.support.month import simulated_calls, simulated_month
from tests.support.processes import unmeasured
from tests.support.reference_store import ReferenceStore, places

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
TABLE = {"m": {"input": 1.0, "output": 2.0}}


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m"}
    fields |= {"input_tokens": 1000, "output_tokens": 100, "cost_nanos": 5_000_000, "price_source": "config"}
    return CallRecord(**{"time": NOW} | fields | changes)


def write(ledger, *calls):
    for record in calls:
        ledger.record(record)
    assert ledger.flush()


def rows(ledger):
    """The rows but for the users, whom only a database knows."""
    user = list(COLUMNS).index("user")
    pages = ledger.flushed_store().select(ledger.filters)
    return sorted((*row[:user], *row[user + 1 :]) for page in pages for row in page)


def notes(ledger):
    """The notes of corrections but for the times at which they were made."""
    return [row[1:] for row in ledger.flushed_store().corrections()]


@pytest.fixture
def source(tmp_path):
    ledger = Ledger(tmp_path / "here.sqlite")
    yield ledger
    ledger.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.full), "another store"])
def target(request, tmp_path):
    if request.param == "sqlite":
        ledger = Ledger(tmp_path / "there.sqlite")
    elif request.param == "postgres":
        ledger = Ledger(request.getfixturevalue("postgres"))
    else:
        ledger = Ledger(store=ReferenceStore(tmp_path / "there", lambda: datetime.now(UTC)))
    yield ledger
    ledger.close()


def test_every_call_is_copied_as_it_is_and_once(target, monkeypatch):
    monkeypatch.setattr(transfer, "PAGE", 1000)
    source = simulated_month()
    count = len(simulated_calls())
    assert repr(source.copy_to(target)) == f"{count:,} calls copied"
    assert rows(target) == rows(source)
    assert target.total() == source.total()
    again = source.copy_to(target)
    assert (again.copied, again.known) == (0, count)
    assert rows(target) == rows(source)


def test_calls_that_came_in_between_are_copied_by_the_next_run(source, target):
    write(source, call(), call())
    source.copy_to(target)
    write(source, call(tags={"project": "thesis"}, units={"web_searches": 2}))
    write(target, call(model="their own"))
    assert repr(source.copy_to(target)) == "1 call copied, 2 were there already"
    assert set(rows(source)) < set(rows(target))
    assert len(rows(target)) == 4


def test_filters_choose_what_is_copied(source, target):
    write(source, call(tags={"project": "thesis"}), call())
    assert source.where(tag="project=thesis").copy_to(target).copied == 1
    assert target.total().calls == 1


def test_a_call_that_was_lost_and_ended_after_all_is_replaced(source, target):
    lost = call(status="lost", cost_nanos=1_000, uid="a" * 32)
    write(target, lost)
    write(source, call(uid="a" * 32))
    assert source.copy_to(target).copied == 1
    assert rows(target) == rows(source)
    assert source.copy_to(target).known == 1


def test_corrections_and_their_undoing_come_along(source, target):
    write(source, call(), call(), call(model="other"))
    source.copy_to(target)
    run = source.correct(prices=TABLE, reason="new contract").run
    assert source.copy_to(target).corrections == 2
    assert rows(target) == rows(source)
    assert notes(target) == notes(source)
    source.correct(undo=run)
    assert source.copy_to(target).corrections == 2
    assert source.copy_to(target).corrections == 0
    assert rows(target) == rows(source)
    assert notes(target) == notes(source)


def test_a_call_that_was_corrected_before_the_copy_has_its_notes_there(source, target):
    write(source, call(at_most_nanos=9_000_000, usage_source="partial", status="cancelled"), call())
    source.correct(prices=TABLE)
    source.settle(source.df["uid"].iloc[0], 0.002)
    source.copy_to(target)
    assert rows(target) == rows(source)
    assert notes(target) == notes(source)


def test_todays_calls_count_once_for_the_budget_of_the_target(source, target):
    now = datetime.now(UTC)
    write(source, call(time=now), call(time=now - timedelta(days=3)))
    source.copy_to(target)
    source.copy_to(target)
    assert target.spent_nanos(now) == source.spent_nanos(now) == 5_000_000


def test_a_file_is_opened_and_closed_again(source, tmp_path):
    write(source, call())
    assert source.copy_to(tmp_path / "there.sqlite").copied == 1
    with pytest.raises(ConfigurationError, match="is the folder"):
        source.copy_to(tmp_path)


def test_a_ledger_is_not_copied_onto_itself(source, tmp_path):
    write(source, call())
    for same in (source, tmp_path / "here.sqlite"):
        with pytest.raises(ConfigurationError, match="already"):
            source.copy_to(same)


def test_a_target_that_cannot_be_written_is_an_error_and_nothing_is_doubled_later(source, tmp_path):
    write(source, call())
    target = Ledger(store=ReferenceStore(tmp_path / "there", lambda: datetime.now(UTC)))
    places[tmp_path / "there"].full = True
    with pytest.raises(ConfigurationError, match="Run it again"):
        source.copy_to(target)
    places[tmp_path / "there"].full = False
    source.copy_to(target)
    assert rows(target) == rows(source)


class Restless(ReferenceStore):
    """A store whose rows change once while they are read."""

    reads = 0

    def read(self, after=0, limit=None, choice=ALL):
        self.reads += 1
        if self.reads == 2:
            self._place.epoch = "another"
        return super().read(after, limit, choice)


def test_rows_that_change_meanwhile_are_read_again(target, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "PAGE", 2)
    store = Restless(tmp_path / "restless", lambda: datetime.now(UTC))
    with closing(Ledger(store=store)) as source:
        write(source, *(call() for _ in range(5)))
        done = source.copy_to(target)
        assert (done.copied, done.known) == (5, 0), "calls that are read again were not there before"
        assert rows(target) == rows(source)
    store.reads = 1
    with closing(Ledger(store=MergedStore([store]))) as merged:
        assert merged.total().calls == 5


KILLED = """
import os, signal
from llmkit.costs import transfer
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.filters import ALL
from llmkit.costs.store.rows import COLUMNS

def die(done):
    if done.copied >= 300:
        os.kill(os.getpid(), signal.SIGKILL)

transfer.PAGE = 100
transfer.copy(Ledger("here.sqlite").flushed_store(), Ledger("there.sqlite").flushed_store(), ALL, die)
"""


@pytest.mark.full
def test_a_copy_that_was_killed_goes_on(source, tmp_path):
    write(source, *(call() for _ in range(1000)))
    killed = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=unmeasured(), check=False)
    assert killed.returncode == -signal.SIGKILL
    with closing(Ledger(tmp_path / "there.sqlite")) as target:
        done = source.copy_to(target)
        assert (done.copied, done.known) == (700, 300)
        assert rows(target) == rows(source)
        assert target.spent_nanos(NOW) == source.spent_nanos(NOW)
