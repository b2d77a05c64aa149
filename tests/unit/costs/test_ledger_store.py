# ruff: noqa: PT031 - a warning is due at one of several calls
import os
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import uuid
import warnings
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from llmkit.core.errors import ConfigurationError
from llmkit.core.timestamps import micros
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.rows import COLUMNS, UID
from llmkit.costs.store.sqlite import database, schema
from llmkit.costs.store.sqlite.location import default_path
from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore
from llmkit.costs.store.writer import LedgerWarning
from llmkit.records import CallRecord

V1 = {
    "time", "uid", "status", "surface", "provider", "model", "model_served", "input_tokens", "output_tokens",
    "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost_nanos", "saved_nanos",
    "price_source", "price_date", "usage_source", "first_token_s", "duration_s", "attempts", "finish_reason",
    "error", "notebook", "cell_id", "execution_count", "session", "tags", "simulated",
}  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "ledger.sqlite"


@pytest.fixture
def store(path):
    store = SQLiteStore(path, busy_timeout=0.2)
    yield store
    store._writer.discard(before=None, column=0)
    store.close()


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m"}
    return CallRecord(**{"time": datetime.now(UTC)} | fields | changes)


def uids(store):
    return [row[1 + UID] for row in store.read().rows]


def holding(path):
    """Open a connection that keeps everybody else from writing."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return closing(connection)


def run(code):
    code = "import os, sys, uuid\nfrom datetime import UTC, datetime\n" + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_file_its_log_and_its_folder_are_their_owners_only(store, path):
    before = os.umask(0)
    try:
        assert store.append(call()).result(10)
    finally:
        os.umask(before)
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {"ledger.sqlite": 0o600, "ledger.sqlite-wal": 0o600, "ledger.sqlite-shm": 0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_closing_leaves_one_tidy_file_and_the_next_call_opens_it_again(store, path):
    first, second = call(), call()
    assert store.append(first).result(10)
    store.close()
    assert [file.name for file in path.parent.iterdir()] == ["ledger.sqlite"]
    assert store.append(second).result(10)
    assert uids(store) == [first.uid, second.uid]


def test_an_awaited_record_cannot_be_cancelled(store):
    assert not store.append(call()).cancel()
    assert store.flush(10)
    assert len(uids(store)) == 1


def test_a_ledger_in_memory_is_one_for_its_writer_and_its_readers():
    store = SQLiteStore(":memory:")
    record = call()
    assert store.append(record).result(10)
    store.close()
    assert uids(store) == [record.uid]
    assert not Path(":memory:").exists()
    assert store.delete() == 1


def test_while_another_process_holds_the_lock_calls_wait_in_memory_with_one_warning(store, path):
    first, second, third = call(), call(), call()
    store.append(first).result(10)
    with holding(path):
        with pytest.warns(LedgerWarning, match="database is locked") as caught:
            assert store.append(second).result(10) is False
            assert store.append(third).result(10) is False
            assert store.flush(10) is False
        assert len(caught) == 1
        assert uids(store) == [first.uid]
        assert [row[UID] for row in store.unwritten()] == [second.uid, third.uid]
        assert store.sums()[False].calls == 3
    assert store.flush(10) is True
    assert uids(store) == [first.uid, second.uid, third.uid]


def test_a_second_outage_is_worth_a_second_warning(store, path):
    store.append(call()).result(10)
    for _ in range(2):
        with holding(path), pytest.warns(LedgerWarning, match="locked"):
            store.append(call()).result(10)
            store.flush(10)
        assert store.append(call()).result(10) is True
    assert len(uids(store)) == 5


def test_the_frame_and_the_total_show_what_waits(path):
    ledger = Ledger(store=SQLiteStore(path, busy_timeout=0.1))
    ledger.record(call(cost_nanos=10**9)).result(10)
    with holding(path), pytest.warns(LedgerWarning, match="locked"):
        ledger.record(call(cost_nanos=10**9, model="late")).result(10)
        assert ledger.df["model"].tolist() == ["m", "late"]
        assert ledger.total().usd == 2.0
        assert "1 waiting to be written" in repr(ledger)
        with pytest.raises(ConfigurationError, match=r"cannot be cleared: database is locked"):
            ledger.clear()
    assert ledger.df["model"].tolist() == ["m", "late"]
    assert ledger.clear() == 2
    ledger.close()


def test_a_warning_that_is_an_error_does_not_break_the_call(store, path, caplog):
    store.append(call()).result(10)
    with holding(path), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert store.append(call()).result(10) is False
        assert store.append(call()).result(10) is False
    assert caplog.text.count("Cannot write calls") == 1


@pytest.mark.parametrize("kind", ["parent is a file", "file is a folder", "not a database", "damaged"])
def test_what_cannot_be_written_never_breaks_a_call(kind, path):
    store = SQLiteStore(path, busy_timeout=0.1)
    if kind == "parent is a file":
        path.parent.write_text("in the way")
    elif kind == "file is a folder":
        path.mkdir(parents=True)
    else:
        path.parent.mkdir()
        path.write_bytes(b"SQLite format 3\0" * (kind == "damaged") + b"\xff" * 5000)
    record = call(cost_nanos=5)
    with pytest.warns(LedgerWarning, match="kept in memory") as caught:
        assert store.append(record).result(10) is False
        assert store.append(call()).result(10) is False
    assert len(caught) == 1
    assert store.unwritten()[0][UID] == record.uid
    store.path = path.with_name("elsewhere.sqlite")
    if kind == "parent is a file":
        path.parent.unlink()
    assert store.flush(10) is True
    assert uids(store)[0] == record.uid
    store.close()


def test_what_cannot_be_read_is_an_error_and_not_zero(path):
    path.parent.mkdir()
    path.write_bytes(b"\xff" * 5000)
    ledger = Ledger(path)
    for read in (lambda: ledger.df, ledger.total, ledger.summary, ledger.plot):
        with pytest.raises(ConfigurationError, match="cannot be read: file is not a database"):
            read()


def test_a_file_of_another_application_is_refused_and_left_alone(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE calls (id INTEGER PRIMARY KEY, who TEXT)")
    before = path.read_bytes()
    ledger = Ledger(path)
    with pytest.warns(LedgerWarning, match="another application"):
        assert ledger.record(call()).result(10) is False
        ledger.flush(10)
    with pytest.raises(ConfigurationError, match="LLMKIT_LEDGER"):
        _ = ledger.df
    with pytest.raises(ConfigurationError, match="another application"):
        ledger.clear()
    assert path.read_bytes() == before
    ledger._opened._writer.discard(before=None, column=0)


def test_a_full_disk_keeps_calls_in_memory_until_there_is_room(path):
    out = run(
        """
        import itertools, resource, signal, warnings
        from llmkit.costs.ledger import Ledger
        from llmkit.records import CallRecord
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        ledger = Ledger(sys.argv[1])
        def record():
            return ledger.record(CallRecord(time=datetime.now(UTC), uid=uuid.uuid4().hex, status="ok",
                                           provider="p", model="m" * 2000)).result(30)
        assert record()
        resource.setrlimit(resource.RLIMIT_FSIZE, (130_000, resource.RLIM_INFINITY))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            results = [record() for _ in range(100)]
            assert len(ledger.df) == 101
        outages = sum(before and not after for before, after in itertools.pairwise([True, *results]))
        assert len(caught) == outages >= 1, results
        assert results.count(True) > 5 and results[-5:] == [False] * 5, results
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert record() and not ledger._store.unwritten() and len(ledger.df) == 102
        print(caught[0].message)
        """.replace("sys.argv[1]", repr(str(path)))
    )
    assert "Cannot write calls" in out


@pytest.fixture
def foreign_folder():
    """Make a folder of a user whom permissions stop, which they do not do for root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield folder
        folder.chmod(0o700)


def test_a_ledger_that_may_only_be_read_is_read(foreign_folder):
    path = foreign_folder / "ledger.sqlite"
    ledger = Ledger(path)
    ledger.record(call(cost_nanos=10**9)).result(10)
    ledger.close()
    path.chmod(0o444)
    foreign_folder.chmod(0o555)
    out = run(
        f"""
        import llmkit.costs.frame.frame, llmkit.costs.store.sqlite.sqlite_store, warnings
        from llmkit.costs.ledger import Ledger
        from llmkit.records import CallRecord
        if os.geteuid() == 0:
            os.seteuid(65534)
        ledger = Ledger({str(path)!r})
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            record = CallRecord(time=datetime.now(UTC), uid="1", status="error", provider="p", model="m")
            assert ledger.record(record).result(10) is False
            assert len(ledger.df) == 2 and len(caught) == 1
        print(ledger.total())
        """
    )
    assert out.strip() == "$1.00 over 2 calls"


def test_a_file_that_is_deleted_under_way_is_made_again(store, path):
    store.append(call()).result(10)
    for file in path.parent.iterdir():
        file.unlink()
    record = call()
    assert store.append(record).result(10)
    assert uids(store) == [record.uid]


def test_a_record_that_is_none_is_refused_without_an_exception(store, caplog):
    assert store.append(None).result(10) is False
    assert "Cannot store" in caplog.text


def test_flushing_from_a_callback_of_the_writer_does_not_wait_for_itself(store):
    done = threading.Event()

    def callback(_):
        store.append(call())
        store.flush()
        done.set()

    store.append(call()).add_done_callback(callback)
    assert done.wait(10)
    assert len(uids(store)) == 2


def test_a_value_that_fits_no_column_becomes_unknown(store):
    record = call(cost_nanos=2**70, attempts=10**30, duration_s="soon", first_token_s=float("inf"))
    assert store.append(record).result(10)
    (row,) = store.read().rows
    values = dict(zip(COLUMNS, row[1:], strict=True))
    assert (values["cost_nanos"], values["attempts"]) == (None, None)
    assert (values["duration_s"], values["first_token_s"]) == (None, None)


def test_what_a_store_stands_for_is_known_before_its_first_use(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMKIT_LEDGER", str(tmp_path / "mine.sqlite"))
    assert default_path() == str(tmp_path / "mine.sqlite")
    monkeypatch.delenv("LLMKIT_LEDGER")
    assert default_path().name == "ledger.sqlite"
    assert SQLiteStore("~/x.sqlite").path.is_absolute()
    assert SQLiteStore("x.sqlite").is_failing is False


def test_calls_that_cannot_be_written_at_the_end_are_at_least_reported(store, path, caplog):
    store.append(call()).result(10)
    with holding(path), pytest.warns(LedgerWarning, match="locked"):
        store.append(call())
        store.finish()
        store._writer.tell()
    assert "1 call could not be written" in caplog.text
    store.finish()
    assert len(uids(store)) == 2


def test_version_1_of_the_table_has_these_columns(path):
    """A new field of `CallRecord` belongs into `schema.ADDED`, or old files would lack it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in schema.MIGRATIONS[0]:
            connection.execute(statement)
        assert schema.present(connection) == {"id", *V1}


def test_an_empty_file_becomes_a_ledger(store, path):
    path.parent.mkdir()
    path.touch()
    assert uids(store) == []
    assert store.append(call()).result(10)
    assert len(uids(store)) == 1


def test_a_file_of_version_1_gains_the_columns_of_version_2(store, path):
    store.append(call()).result(10)
    store.close()
    later = (*schema.MIGRATIONS, ("ALTER TABLE calls ADD COLUMN region TEXT",))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for _ in range(2):
            schema.migrate(connection, later)
        assert "region" in schema.present(connection)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(later),)
    assert store.append(call()).result(10), "a newer file must stay writable"
    assert len(uids(store)) == 2


@pytest.mark.parametrize("version", [2, len(schema.MIGRATIONS)])
def test_a_file_of_version_2_from_before_the_budgets_gains_them(path, version):
    """The first llmkit of version 2 wrote no tables for budgets; later ones took its files for complete."""
    path.parent.mkdir()
    steps = [each for number in schema.MIGRATIONS[:version] for each in number if each not in schema.BUDGETS]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (*steps, f"PRAGMA user_version = {version}"):
            connection.execute(statement)
    now = datetime.now(UTC)
    with closing(SQLiteStore(path)) as store:
        assert store.append(call(time=now, cost_nanos=5)).result(10)
        assert store.amounts(micros(now), None).spent == 5
    with closing(sqlite3.connect(path)) as connection, closing(database.open_memory()) as fresh:
        names = [each.execute("SELECT name FROM sqlite_master").fetchall() for each in (connection, fresh)]
        assert sorted(names[0]) == sorted(names[1])


def test_a_file_without_counters_is_counted_from_its_rows_and_gains_them(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in [each for version in schema.MIGRATIONS[:10] for each in version]:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 10")
        for number in range(3):
            connection.execute(
                "INSERT INTO calls (time, uid, status, provider, model, cost_nanos, reasoning_tokens)"
                f" VALUES ({number}, '{number}', 'ok', 'p', 'm', 5, 7)"
            )
    with closing(SQLiteStore(path)) as store:
        before = store.counters()
        assert before == [("p", "m", "ok", 0, 3, 0, 15, 0, 0, 0, 0, 0, 21)]
        assert store.append(call(provider="p", model="m", cost_nanos=1)).result(10)
        assert store.counters() == [("p", "m", "ok", 0, 4, 0, 16, 0, 0, 0, 0, 0, 21)]
        store.delete()
        assert store.counters() == [("p", "m", "ok", 0, 4, 0, 16, 0, 0, 0, 0, 0, 21)]


def test_a_file_of_the_version_before_gains_bounds_and_other_units(path):
    path.parent.mkdir()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in [each for version in schema.MIGRATIONS[:5] for each in version]:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 5")
        assert {"at_most_nanos", "units"}.isdisjoint(schema.present(connection))
        connection.execute(
            "INSERT INTO calls (time, uid, status, provider, model) VALUES (1, 'a', 'ok', 'p', 'm')"
        )
    with closing(Ledger(path)) as ledger:
        assert ledger.df[["uid", "at_most_usd", "units"]].isna().to_numpy().tolist() == [[False, True, True]]
        new = call(at_most_nanos=5 * 10**8, units={"web_searches": 2, "requests": 1})
        assert ledger.record(new).result(10)
        assert ledger.df["at_most_usd"].tolist()[1] == 0.5
        assert ledger.df["units"].tolist()[1] == '{"requests":1,"web_searches":2}'


def test_an_older_file_can_be_read_before_anybody_brings_it_up_to_date(store, path):
    store.append(call()).result(10)
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        for name in ("calls_counted", "calls_counted_again"):  # their columns could not be dropped
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("ALTER TABLE calls DROP COLUMN reasoning_tokens")
    assert store.read().rows[0][1 + UID]
    assert None in store.read().rows[0]


def test_a_newer_file_that_lacks_a_column_asks_for_an_upgrade(store, path):
    store.append(call()).result(10)
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        for name in ("calls_counted", "calls_counted_again"):
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("ALTER TABLE calls DROP COLUMN model")
        connection.execute("PRAGMA user_version = 99")
    with pytest.warns(LedgerWarning, match="no column model.*pip install -U"):
        assert store.append(call()).result(10) is False
        store.flush(10)


def test_a_migration_that_fails_leaves_the_file_as_it_was():
    with closing(database.open_memory()) as connection:
        broken = (*schema.MIGRATIONS, ("ALTER TABLE calls ADD COLUMN region TEXT", "nonsense"))
        with pytest.raises(sqlite3.OperationalError):
            schema.migrate(connection, broken)
        assert "region" not in schema.present(connection)


def test_reading_on_uses_an_index():
    with closing(database.open_memory()) as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT * FROM calls WHERE id > 5 ORDER BY id"
        ).fetchall()
        assert "USING INTEGER PRIMARY KEY" in plan[0][3]
        plan = connection.execute("EXPLAIN QUERY PLAN SELECT count(*) FROM calls WHERE time >= 5").fetchall()
        assert "calls_time_uid" in plan[0][3]
