import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.costs.frame import columns, summary
from llmkit.costs.frame import frame as frames
from llmkit.costs.frame.snapshot import Snapshot
from llmkit.costs.frame.summary import rolled, spending, summarise
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.filters import Filters
from llmkit.costs.store.rows import COLUMNS, encode
from llmkit.costs.store.sqlite import inserts, queries, schema
from llmkit.costs.store.sqlite import sqlite_store as store
from llmkit.costs.store.sqlite.queries import statement
from llmkit.records import CallRecord
from tests.support.examples import examples, scaled
from tests.unit.costs.test_ledger_frame import records

same = pd.testing.assert_frame_equal


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m"}
    return CallRecord(**{"time": datetime.now(UTC)} | fields | changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch):
    monkeypatch.setattr(frames, "READ", 5)
    monkeypatch.setattr(frames, "FEWEST", 5)
    monkeypatch.setattr(frames, "MOST", 5)


def write(path, records):
    with closing(Ledger(path)) as ledger:
        for record in records:
            ledger.record(record)


def frame(path):
    with closing(Ledger(path)) as ledger:
        return ledger.df


def files(path):
    return sorted(file.name for file in Path(f"{path}-columns").glob("*"))


def without_snapshot(path):
    with tempfile.TemporaryDirectory() as folder:
        return frame(shutil.copy(path, folder))


@examples(30)
@given(st.lists(records, min_size=1, max_size=17, unique_by=lambda record: record.uid), st.integers(1, 4))
def test_a_snapshot_shows_what_the_rows_say(calls, read):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "READ", read)
        of_each = -(-3 // read) * read
        patch.setattr(frames, "FEWEST", of_each)
        patch.setattr(frames, "MOST", 3)
        path = Path(folder) / "ledger.sqlite"
        write(path, calls)
        slow = frame(path)
        assert len(files(path)) == len(calls) // of_each
        same(frame(path), slow)
        same(without_snapshot(path), slow)


def test_a_snapshot_is_read_instead_of_the_rows_it_has(path):
    write(path, [call(model=f"m{number}") for number in range(13)])
    frame(path)
    read = []

    class Spy(store.SQLiteStore):
        def read(self, *arguments):
            page = super().read(*arguments)
            read.append(len(page.rows))
            return page

    ledger = Ledger(store=Spy(path))
    assert ledger.df["model"].tolist() == [f"m{number}" for number in range(13)]
    assert read == [5, 1, 1, 3], "a first look, the last row of each file, the rest"
    ledger.close()


def test_a_snapshot_grows_and_is_for_its_owner_only(path):
    write(path, [call() for _ in range(7)])
    frame(path)
    assert len(files(path)) == 1
    write(path, [call() for _ in range(4)])
    frame(path)
    assert len(files(path)) == 2
    folder = Path(f"{path}-columns")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


def test_the_last_rows_are_kept_too_if_there_are_many(path, monkeypatch):
    monkeypatch.setattr(frames, "MOST", 10)
    write(path, [call() for _ in range(17)])
    slow = frame(path)
    assert len(files(path)) == 2, "ten and seven"
    write(path, [call() for _ in range(4)])
    same(frame(path).iloc[:17], slow)
    assert len(files(path)) == 2, "four are too few"


def test_clearing_deletes_the_snapshot_too(path):
    write(path, [call() for _ in range(12)])
    before = frame(path)
    with closing(Ledger(path)) as ledger:
        assert ledger.clear(before["time"][6]) == 6
    assert files(path) == []
    same(frame(path), without_snapshot(path))
    assert len(frame(path)) == 6


def test_what_an_older_llmkit_cleared_is_not_shown_from_a_snapshot(path):
    write(path, [call() for _ in range(12)])
    frame(path)
    kept = shutil.copytree(f"{path}-columns", f"{path}-kept")
    with closing(Ledger(path)) as ledger:
        ledger.clear()
    shutil.copytree(kept, f"{path}-columns")
    assert frame(path).empty
    write(path, [call() for _ in range(5)])
    assert len(frame(path)) == 5
    assert len(files(path)) == 1, "files of another epoch are tidied away"


def test_a_ledger_that_was_restored_from_an_older_copy_is_not_mixed_with_newer_rows(path):
    write(path, [call(model="both") for _ in range(7)])
    shutil.copy(path, f"{path}-backup")
    write(path, [call(model="lost") for _ in range(8)])
    frame(path)
    Path(f"{path}-backup").replace(path)
    write(path, [call(model="new") for _ in range(8)])
    assert frame(path)["model"].tolist() == ["both"] * 7 + ["new"] * 8
    same(frame(path), without_snapshot(path))


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "pickle", "foreign"])
def test_a_damaged_snapshot_is_read_from_the_rows(path, damage):
    write(path, [call() for _ in range(12)])
    before = frame(path)
    file = min(Path(f"{path}-columns").iterdir())
    data = bytearray(file.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 255
    changed = {"empty": b"", "cut": data[:-20], "flipped": data, "pickle": b"\x80\x04]."}
    file.write_bytes(changed.get(damage, b"PK\x05\x06" + bytes(18)))
    same(frame(path), before)


def test_a_snapshot_of_the_first_format_is_passed_over(path):
    write(path, [call(cost_nanos=5) for _ in range(12)])
    before = frame(path)
    for file in Path(f"{path}-columns").glob("*"):
        chunk, notes = columns.loads(file.read_bytes())
        chunk.arrays["cost_usd"] = chunk.arrays.pop("cost_nanos") / 10**9
        file.write_bytes(chunk.dumps(**notes | {"columns": list(COLUMNS)}))
    same(frame(path), before)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="there are no such permissions")
def test_a_folder_that_others_can_write_to_is_not_trusted(path):
    write(path, [call() for _ in range(12)])
    before = frame(path)
    folder = Path(f"{path}-columns")
    folder.chmod(0o777)
    chunk, notes = columns.loads(next(iter(folder.glob("*-0.npz"))).read_bytes())
    chunk.words["model"][:] = ["forged"]
    next(iter(folder.glob("*-0.npz"))).write_bytes(chunk.dumps(**notes))
    same(frame(path), before)
    folder.chmod(0o700)
    assert set(frame(path)["model"][:5]) == {"forged"}, "the test's forgery would work"


def test_where_no_snapshot_can_be_kept_the_rows_are_read(path):
    write(path, [call() for _ in range(12)])
    Path(f"{path}-columns").write_text("in the way")
    assert len(frame(path)) == 12
    Snapshot(Path(f"{path}-columns")).clear()
    assert Path(f"{path}-columns").read_text() == "in the way"


def test_what_is_written_into_a_frame_never_reaches_one_that_comes_later(path):
    with closing(Ledger(path)) as ledger:
        for number in range(20):
            ledger.record(call(model="m", cost_nanos=number, input_tokens=number, tags={"n": "1"}))
            mine = ledger.df
            column = mine["input_tokens"]
            del mine["input_tokens"]
            mine.loc[:, "cost_usd"] = 99.0
            mine.loc[mine.index[0], "model"] = None
            mine.loc[mine.index[0], "simulated"] = True
            mine.loc[mine.index[0], "tags"] = None
            column.iloc[:] = 5
        final = ledger.df
    same(final, frame(path))
    assert final["cost_usd"].sum() == pytest.approx(190e-9)


@pytest.mark.parametrize("read", [2, 5])
def test_an_identifier_may_have_any_shape(path, monkeypatch, read):
    monkeypatch.setattr(frames, "READ", read)
    uids = ["", "a", "ü", "a\0", "a" * 40, "ß" * 3, "x y", "1", "2", "3", "4"]
    write(path, [call(uid=uid) for uid in uids])
    for _ in range(2):
        assert frame(path)["uid"].tolist() == uids


KEYS = ["day", "month", "provider", "model", "notebook", "status", "simulated"]
cheap = st.builds(
    CallRecord,
    time=st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 4), timezones=st.just(UTC)),  # noqa: DTZ001
    uid=st.uuids().map(lambda uid: uid.hex),
    status=st.sampled_from(["ok", "error", "interrupted", "cancelled", "replayed", "lost"]),
    provider=st.sampled_from(["a", "b", ""]),
    model=st.sampled_from(["m", "n"]),
    notebook=st.sampled_from([None, "", "x", "y"]),
    simulated=st.booleans(),
    cost_nanos=st.none() | st.integers(0, 10**15),
    saved_nanos=st.none() | st.integers(0, 10**15),
    input_tokens=st.none() | st.integers(0, 9),
    output_tokens=st.none() | st.integers(0, 9),
)


def agree(ledger, by, simulated=None):
    """Make sure that the daily sums say what the rows say."""
    table = rolled(ledger._store, by, simulated)
    assert table is not None
    same(table, summarise(spending(ledger.exact, simulated), by), check_categorical=False)


@examples(60)
@given(
    st.lists(cheap, max_size=12, unique_by=lambda record: record.uid),
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=3, unique=True),
    st.sampled_from([None, True, False]),
    st.integers(1, 5),
    st.none() | st.sampled_from(["2026-01-02", "2026-01-03T12:00"]),
)
def test_daily_sums_agree_with_the_rows_to_the_billionth(calls, by, simulated, every, before):
    with pytest.MonkeyPatch.context() as patch, closing(Ledger(":memory:")) as ledger:
        patch.setattr(inserts, "ROLL", every)
        for record in calls:
            ledger.record(record).result(10)
        agree(ledger, by, simulated)
        ledger.clear(before)
        agree(ledger, by, simulated)
        for record in calls[:4]:
            ledger.record(record).result(10)
        agree(ledger, by, simulated)
        for since in (None, 1_767_311_999_000_000):
            with ledger._opened._reader() as connection:
                rows = queries.sums(connection, since, None)
            assert ledger._opened.sums(since=since) == rows


def test_counts_that_no_integer_holds_together_keep_no_money_from_being_added_up(path):
    with closing(Ledger(path)) as ledger:
        for number in range(9):
            ledger.record(call(model=f"m{number}", input_tokens=2**62, cost_nanos=1)).result(10)
        assert ledger.total().calls == 9
        table = ledger.summary("provider")
        assert round(table["cost_usd"].sum() * 10**9) == 9
        assert table["input_tokens"].tolist() == [2**63 - 1]


def version_2(path, records):
    """Make a ledger as it was before there were daily sums."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (*schema.MIGRATIONS[0], *schema.MIGRATIONS[1], "PRAGMA user_version = 2"):
            connection.execute(statement)
        names = [name for name in COLUMNS if name in schema.present(connection)]
        places = [list(COLUMNS).index(name) for name in names]
        insert = f"INSERT INTO calls ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        connection.execute("BEGIN")  # else each row is a commit that waits for the disk
        connection.executemany(insert, [[row[place] for place in places] for row in map(encode, records)])
        connection.execute("COMMIT")


def older(path, statement, rows=None):
    """Do what an llmkit without daily sums does."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executemany(statement, rows or [()])


def mark(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT value FROM meta WHERE key = 'rolled'").fetchone()


def test_an_older_file_is_added_up_before_and_after_it_gains_daily_sums(path, monkeypatch):
    monkeypatch.setattr(store.rollups, "STEP", 10)
    version_2(path, [call(cost_nanos=10**9, model=f"m{number % 3}") for number in range(25)])
    with closing(Ledger(path)) as ledger:
        agree(ledger, ["model", "day"])
        assert mark(path) is None, "reading changes nothing"
        for calls in range(26, 30):
            ledger.record(call(cost_nanos=10**9)).result(10)
            assert ledger.total().usd == calls
            agree(ledger, ["model", "day"])
    assert int(mark(path)[0].split()[1]) >= 26


def test_several_processes_bring_one_file_up_to_date(path):
    version_2(path, [call(cost_nanos=7) for _ in range(2000)])
    code = (
        "import sys, uuid; from datetime import UTC, datetime; from llmkit.costs.ledger import Ledger\n"
        "from llmkit.records import CallRecord\n"
        "ledger = Ledger(sys.argv[1])\n"
        "for _ in range(int(sys.argv[2])):\n"
        "    assert ledger.record(CallRecord(time=datetime.now(UTC), uid=uuid.uuid4().hex, status='ok',"
        " provider='openai', model='m', cost_nanos=7)).result(60)\n"
    )
    each = scaled(300)
    command = [sys.executable, "-W", "error", "-c", code, str(path), str(each)]
    writers = [subprocess.Popen(command) for _ in range(4)]
    assert [writer.wait(100) for writer in writers] == [0] * 4
    with closing(Ledger(path)) as ledger:
        assert ledger._opened is None
        total = ledger.total()
        assert (total.calls, round(total.usd * 10**9)) == (2000 + 4 * each, (2000 + 4 * each) * 7)
    with closing(sqlite3.connect(path)) as connection:
        (kept,) = connection.execute("SELECT sum(calls) FROM daily_sums").fetchone()
    assert kept == int(mark(path)[0].split()[1]) > 2000


def test_what_an_older_llmkit_writes_deletes_or_another_hand_changes_counts(path):
    write(path, [call(cost_nanos=1, model=f"m{number}") for number in range(9)])
    older(path, schema.INSERT, [encode(call(cost_nanos=5))])
    with closing(Ledger(path)) as ledger:
        assert round(ledger.total().usd * 10**9) == 14
        older(path, "DELETE FROM calls WHERE id = 3")
        assert round(ledger.total().usd * 10**9) == 13
        older(path, "UPDATE calls SET cost_nanos = 100 WHERE id = 4")
        assert round(ledger.total().usd * 10**9) == 112
        agree(ledger, ["model"])
        ledger.record(call(cost_nanos=1)).result(10)
        agree(ledger, ["model", "status"])
        assert round(ledger.total().usd * 10**9) == 113


def test_clearing_whole_days_keeps_the_sums_of_the_others(path):
    with closing(Ledger(path)) as ledger:
        for day in (1, 2, 3):
            ledger.record(call(time=datetime(2026, 11, day, 12).astimezone(), cost_nanos=day))
        ledger.record(call(time=datetime(2020, 1, 1).astimezone())).result(10)
    with closing(Ledger(path)) as ledger:
        ledger.record(call(time=datetime(2026, 11, 3, 13).astimezone())).result(10)
        assert mark(path)[0].endswith(" 5")
        assert ledger.clear("2026-11-02") == 2
        for by in (["day"], ["month", "notebook"], ["day", "notebook"]):
            agree(ledger, by)
        assert mark(path)[0].endswith(" 5"), "nothing has to be added up again"
        assert ledger.clear("2026-11-02T18:00") == 1
        agree(ledger, ["day"])
        assert ledger.clear() == 2
        ledger.record(call(cost_nanos=3)).result(10)
        assert round(ledger.total().usd * 10**9) == 3


def test_each_question_is_answered_by_the_smallest_table_that_can(path):
    write(path, [call(notebook=f"n{number % 3}", cost_nanos=number) for number in range(9)])
    older(path, "UPDATE detailed_sums SET nanos = nanos + 1000")
    with closing(Ledger(path)) as ledger:
        for by in (["model"], ["month", "model"], ["day", "status"], ["notebook"], ["month", "notebook"]):
            agree(ledger, by)
        assert round(ledger.total().usd * 10**9) == sum(range(9))
        assert round(ledger.summary(["day", "notebook"])["cost_usd"].sum() * 10**9) == sum(range(9)) + 3000


def test_days_are_those_of_the_readers_clock(path):
    times = [datetime(2026, 3, 31, hour, 30, tzinfo=UTC) for hour in (1, 9, 17, 22, 23)]
    code = (
        "import os, sys, time; from llmkit.costs.ledger import Ledger\n"
        "from llmkit.costs.frame.summary import *\n"
        "for zone in sys.argv[2:]:\n"
        "    os.environ['TZ'] = zone; time.tzset(); ledger = Ledger(sys.argv[1])\n"
        "    print(ledger.summary('day')['calls'].to_dict())\n"
        "    for by in (['day'], ['month'], ['month', 'notebook'], ['month', 'day']):\n"
        "        assert ledger.summary(by).equals(summarise(spending(ledger.exact), by))\n"
        "    ledger.close()"
    )
    write(path, [call(time=time) for time in times])
    write(path, [call(time=times[0])])
    zones = ("UTC", "Asia/Tokyo", "America/Los_Angeles")
    seen = subprocess.check_output([sys.executable, "-c", code, str(path), *zones], text=True)
    assert len(set(seen.splitlines())) == 3


def test_daily_sums_that_are_spoiled_keep_no_row_out(path):
    write(path, [call()])
    older(path, "DROP TABLE monthly_sums")
    with closing(Ledger(path)) as ledger:
        assert ledger.record(call()).result(10)
        assert ledger.total().calls == 2


def test_a_summary_can_be_by_a_tag(path):
    tags = [{"project": "a"}, {"project": "b"}, {}, {"other": "a"}, {"project": "a", "other": "b"}]
    with closing(Ledger(path)) as ledger:
        for each in tags:
            ledger.record(call(tags=each, cost_nanos=len(each)))
        table = ledger.summary("tag:project")
        assert table["calls"].to_dict() == {"a": 2, "b": 1, np.nan: 2}
        assert ledger.summary(["tag:none", "model"])["calls"].tolist() == [5]


@examples(40)
@given(
    st.lists(cheap, max_size=12, unique_by=lambda record: record.uid),
    st.lists(
        st.sampled_from([*KEYS, "hour", "surface", "finish_reason", "tag:a", "attempts"]),
        min_size=1,
        max_size=3,
        unique=True,
    ),
    st.integers(1, 5),
)
def test_rows_that_are_added_up_slice_by_slice_make_the_same_sums(calls, by, size):
    with pytest.MonkeyPatch.context() as patch, closing(Ledger(":memory:")) as ledger:
        for number, record in enumerate(calls):
            tags = {"a": str(number % 3)} if number % 4 else {}
            ledger.record(replace(record, tags=tags, finish_reason=[None, "stop"][number % 2])).result(10)
        whole = summarise(spending(ledger.exact), by)
        patch.setattr(summary, "SLICE", size)
        same(summarise(spending(ledger.exact[summary.needed(by)]), by), whole)


def test_a_query_returns_the_calls_that_are_meant_and_no_others(path):
    now = datetime(2026, 11, 5, 12, tzinfo=UTC)
    with closing(Ledger(path)) as ledger:
        for day in range(1, 10):
            ledger.record(
                call(
                    time=now.replace(day=day),
                    provider="ab"[day % 2],
                    model=f"m{day}",
                    notebook=None if day == 3 else "x.ipynb",
                    status="error" if day == 4 else "ok",
                    simulated=day == 5,
                    tags={'a"b': "1"} if day == 6 else {"project": "x=y"} if day == 7 else {},
                )
            )

        def days(**choice):
            return ledger.query(**choice)["time"].dt.day.tolist()

        assert days() == list(range(1, 10))
        assert days(since=now, until=now.replace(day=8)) == [5, 6, 7]
        assert days(provider="a", model=["m2", "m3", "m4"]) == [2, 4]
        assert days(status="error") == [4]
        assert days(simulated=True) == [5]
        assert len(days(notebook="x.ipynb", simulated=False)) == 7
        assert (days(tag='a"b'), days(tag='a"b=1'), days(tag='a"b=2')) == ([6], [6], [])
        assert days(tag="project=x=y") == [7]
        assert days(model=[]) == []
        older(path, "UPDATE calls SET tags = '{' WHERE id = 1")
        assert days(tag="project") == [7]
        same(ledger.query(), ledger.df)


def test_a_query_by_time_reads_no_other_rows():
    with closing(store.database.open_memory()) as connection:
        query, values = statement(Filters(since=5, words={"model": ("m",)}), COLUMNS)
        plan = connection.execute(f"EXPLAIN QUERY PLAN {query}", values).fetchall()
    assert "calls_time_uid (time>?)" in plan[0][3]
