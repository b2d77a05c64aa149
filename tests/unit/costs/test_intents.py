"""Intents of calls in an SQLite ledger: when they are written, who finds them, and what may go wrong."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
import warnings
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from llmkit.content.usage_bound import UsageBound
from llmkit.core import filesystems, processes
from llmkit.core.timestamps import micros
from llmkit.costs.ledger import Ledger
from llmkit.costs.store import lost
from llmkit.costs.store.rows import COLUMNS, encode
from llmkit.costs.store.sqlite import database, schema, sqlite_store
from llmkit.costs.store.sqlite import intents as module
from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore
from llmkit.costs.store.writer import LedgerWarning
from llmkit.records import CallContext, CallIntent, CallRecord


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m", "cost_nanos": 5}
    return CallRecord(**fields | {"time": datetime.now(UTC)} | changes)


def intent(**changes):
    fields = {"uid": uuid.uuid4().hex, "time": datetime.now(UTC), "provider": "openai", "lease_s": 60.0}
    fields |= {"context": CallContext(), "input_tokens": 10, "most": UsageBound(40, 50)}
    return CallIntent(**fields | {"model": "gpt-4o-mini"} | changes)


@pytest.fixture(scope="module")
def dead():
    code = "from llmkit.core.processes import owner; print(owner())"
    return subprocess.check_output([sys.executable, "-c", code], text=True).strip()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def store(path):
    with closing(SQLiteStore(path)) as store:
        yield store


def stored(path):
    """Return the identifiers of the intents in a file."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as file:
        return [uid for (uid,) in file.execute("SELECT uid FROM intents")]


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


@contextlib.contextmanager
def locked(path):
    """Another process writes for long."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def plant(path, *intents):
    """Write intents as another process does, which does not look for lost calls at once."""
    with closing(database.open_file(path, timeout=30)) as file:
        module.write(file, intents, now=micros(datetime.now(UTC)))


def statuses(ledger):
    return ledger.df["status"].tolist()


def test_an_intent_is_in_the_file_soon_although_nobody_waits_for_it(store, path):
    there = intent()
    assert store.append(call()).result(60)
    store.intend(there)
    wait_for(lambda: stored(path) == [there.uid])
    assert store.append(call(uid=there.uid), alone=True).result(60)
    assert stored(path) == []


def test_a_call_that_is_over_before_needs_no_intent(store, path, monkeypatch):
    assert store.append(call()).result(60)
    monkeypatch.setattr("llmkit.costs.store.pending.TRAVEL", 3600)
    written = []
    monkeypatch.setattr(module, "write", lambda connection, given, now: written.extend(given))
    for _ in range(3):
        quick = intent()
        store.intend(quick)
        assert store.append(call(uid=quick.uid)).result(60)
    store.close()
    assert written == []


def test_after_it_was_closed_intents_are_written_again(store, path):
    assert store.append(call()).result(60)
    store.intend(intent())
    store.close()
    later = intent()
    store.intend(later)
    wait_for(lambda: later.uid in stored(path))


def test_calls_in_flight_are_in_the_file_when_it_is_closed(store, path):
    under_way = [intent() for _ in range(3)]
    for each in under_way:
        store.intend(each)
    store.close()
    assert sorted(stored(path)) == sorted(each.uid for each in under_way)


def test_a_process_that_ends_with_calls_in_flight_loses_none(path):
    code = """
import sys
from datetime import UTC, datetime
from llmkit.content.usage_bound import UsageBound
from llmkit.costs.ledger import Ledger
from llmkit.records import CallContext, CallIntent
ledger = Ledger(sys.argv[1])
ledger.intend(CallIntent(uid="a" * 32, time=datetime.now(UTC), provider="openai", model="gpt-4o-mini",
                         context=CallContext(), input_tokens=1, most=UsageBound(9, 9), lease_s=600.0))
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code, str(path)], check=True)
    assert statuses(Ledger(path)) == ["lost"]


def test_many_threads_write_intents_and_rows_and_none_is_left(store, path):
    def work():
        for number in range(50):
            one = intent()
            store.intend(one)
            if number % 10 == 0:
                time.sleep(0.005)
            futures.append(store.append(call(uid=one.uid)))

    futures = []
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(future.result(60) for future in futures)
    store.close()
    assert stored(path) == []
    assert len(Ledger(path).df) == 400


def test_a_ledger_that_cannot_be_written_says_so_once_and_the_calls_go_on(path):
    with closing(SQLiteStore(path, busy_timeout=0.05)) as store:
        assert store.append(call()).result(60)
        late = [intent() for _ in range(3)]
        with locked(path), warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            store.intend(late[0])
            wait_for(lambda: store.is_failing)
            for each in late[1:]:
                store.intend(each)
            assert store.append(call(uid=late[0].uid)).result(60) is False
        assert [each.category for each in said] == [LedgerWarning]
        assert store.append(call(uid=late[1].uid)).result(60)
        store.close()
        assert stored(path) == [late[2].uid]
        assert len(store.read().rows) == 3


def test_a_read_only_ledger_can_be_read_although_calls_in_it_are_lost(path, dead, monkeypatch):
    with closing(SQLiteStore(path)) as store:
        store.append(call()).result(60)
    plant(path, intent(owner=dead))
    with monkeypatch.context() as patch:
        patch.setattr(database, "open_file", _unwritable)
        with closing(SQLiteStore(path)) as store:
            assert len(store.read().rows) == 1
            assert store.recover() == 0
    assert statuses(Ledger(path)) == ["ok", "lost"]


def _unwritable(*given, **options):
    raise sqlite3.OperationalError("attempt to write a readonly database")


def test_a_process_that_writes_looks_for_lost_calls_now_and_then(store, path, dead, monkeypatch):
    assert store.append(call()).result(60)
    plant(path, intent(owner=dead))
    assert store.append(call()).result(60)
    assert len(stored(path)) == 1, "it has just looked"
    store._look_after = 0.0
    assert store.append(call()).result(60)
    store.flush(60)
    wait_for(lambda: stored(path) == [])
    assert statuses(Ledger(path)).count("lost") == 1


def test_budgets_are_read_without_looking_for_lost_calls(store, path, dead):
    plant(path, intent(owner=dead))
    store.rules()
    assert len(stored(path)) == 1


def test_on_a_network_drive_intents_are_stored_and_found(path, dead, tmp_path_factory, monkeypatch):
    mounts = tmp_path_factory.mktemp("mounts") / "mountinfo"
    mounts.write_text("27 1 0:40 / / rw - nfs4 nas:/home rw\n")
    database._check_locks.cache_clear()
    monkeypatch.setattr(filesystems, "MOUNTS", mounts)
    with closing(SQLiteStore(path)) as store:
        plant(path, intent(owner=dead))
        store.intend(intent())
        store.close()
        assert not path.with_name("ledger.sqlite-wal").exists()
    with closing(Ledger(path)) as ledger:
        assert statuses(ledger) == ["lost"]
    assert len(stored(path)) == 1


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("[", ""),
        ("[", '{"x":['),
        (",10,", ',"x",'),
        ("[40,", '["x",'),
        ("[40,", "[40],["),
        (",60.0,", ",null,"),
        ("{}", "3"),
    ],
)
def test_a_damaged_intent_keeps_no_other_from_being_found(store, path, dead, good, bad):
    text = lost.encode(intent())
    assert good in text
    plant(path, intent(owner=dead))
    with closing(sqlite3.connect(path)) as file, file:
        values = ("damaged", dead, 0, text.replace(good, bad, 1))
        file.execute("INSERT INTO intents VALUES (?, ?, ?, ?)", values)
    assert statuses(Ledger(path)) == ["lost"]
    assert stored(path) == ["damaged"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"context": CallContext(surface="magic", notebook="ü\udc80.ipynb", tags={"a": "\ud800", "b": "ü"})},
        {"most": UsageBound(1, 2, ("input_image_tokens",), 3, True, (None, "flex"), True, True)},
        {"session": "s", "simulated": True, "fallback_from": "a:b", "at_most_nanos": 2**62, "spent_nanos": 3},
    ],
    ids=["plain", "no valid Unicode", "a bound of every kind", "every field"],
)
def test_an_intent_survives_its_way_through_the_file(changes):
    given = intent(**changes)
    assert lost.decode(lost.encode(given)) == given


def test_what_a_newer_llmkit_adds_to_an_intent_is_ignored():
    given = intent()
    text = lost.encode(given)
    newer = text.replace("{}]", '{},"red"]').replace("false,false]", "false,false,7]")
    assert len(newer) == len(text) + len(',"red"') + len(",7")
    assert lost.decode(newer) == given


def test_a_longer_lease_than_times_can_hold_is_cut(store, path):
    store.intend(intent(lease_s=float("inf")))
    store.close()
    assert len(stored(path)) == 1


def test_the_statements_of_the_version_before_settle_an_intent(store, path, dead):
    """An older llmkit writes its rows into a newer file."""
    under_way = intent(owner=dead)
    plant(path, under_way)
    older = schema.INSERT.partition(" ON CONFLICT")[0] + " ON CONFLICT (time, uid) DO NOTHING"
    with closing(sqlite3.connect(path)) as file, file:
        assert schema.check(file) == len(schema.MIGRATIONS)
        schema.migrate(file, schema.MIGRATIONS[:-1])
        file.execute(older, encode(call(uid=under_way.uid, time=under_way.time)))
        file.execute("INSERT OR REPLACE INTO holds VALUES (?, date('now'), ?, ?, ?)", ("u", "", 1, 1))
    assert stored(path) == []
    assert statuses(Ledger(path)) == ["ok"]


def test_a_file_of_an_older_version_gains_intents_and_keeps_its_rows(path, dead):
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        for statement in [each for version in schema.MIGRATIONS[:9] for each in version]:
            file.execute(statement)
        file.execute("PRAGMA user_version = 9")
        names = [name for name in COLUMNS if name in schema.present(file)]
        file.execute("INSERT INTO calls (time, uid, status, cost_nanos) VALUES (1, 'a', 'ok', 5)")
    assert names == [name for name in COLUMNS if name != "user"]
    assert Ledger(path).total().calls == 1, "it can be read before anybody writes"
    with closing(SQLiteStore(path)) as store:
        store.intend(intent(owner=dead))
    assert statuses(Ledger(path)) == ["ok", "lost"]


def test_of_two_copies_of_a_ledger_the_one_that_knows_the_end_of_a_call_counts(tmp_path, dead):
    late = intent(owner=dead)
    for name, record in (("a", None), ("b", call(uid=late.uid, time=late.time, cost_nanos=7))):
        plant(tmp_path / name, late)
        with closing(SQLiteStore(tmp_path / name)) as store:
            assert store.recover() == 1
            if record is not None:
                assert store.append(record).result(60)
    for order in (("a", "b"), ("b", "a")):
        with closing(Ledger.merged(*(tmp_path / name for name in order))) as merged:
            assert statuses(merged) == ["ok"]
            assert merged.total().usd == 7e-9


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_does_not_write_its_parents_intents(store, path):
    assert store.append(call()).result(60)
    for _ in range(3):
        store.intend(intent())
    if not (child := os.fork()):
        ok = not store._writer.intents.ripe() and store.append(call()).result(60)
        store.intend(intent(owner=processes.owner()))
        store.close()
        os._exit(not ok)
    assert os.waitpid(child, 0)[1] == 0
    store.close()
    assert len(stored(path)) == 4
    with closing(Ledger(path)) as ledger:
        assert sorted(statuses(ledger)) == ["lost", "ok", "ok"], "the child has ended, the parent has not"


def test_rows_of_lost_calls_are_paid_on_the_day_of_the_call(store, dead):
    yesterday = datetime.now(UTC) - timedelta(days=1)
    store.intend(intent(owner=dead, time=yesterday))
    store.close()
    assert store.amounts(micros(datetime.now(UTC)), None).uncertain == 0
    assert store.amounts(micros(yesterday), None).uncertain > 0


def test_a_writer_that_holds_the_file_does_not_hold_up_reading(store, path, dead, monkeypatch):
    assert store.append(call()).result(60)
    plant(path, intent(owner=dead))
    monkeypatch.setattr(sqlite_store, "BRIEFLY", 0.01)
    with locked(path):
        assert len(store.read().rows) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(store.read().rows) == 2
