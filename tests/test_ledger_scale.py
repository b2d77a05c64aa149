import os
import shutil
import tempfile
import uuid
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ledger_frame import records

from llmkit.costs import columns, store
from llmkit.costs.ledger import Ledger
from llmkit.costs.snapshot import Snapshot
from llmkit.records import CallRecord

same = pd.testing.assert_frame_equal


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m"}
    return CallRecord(**{"time": datetime.now(UTC)} | fields | changes)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch):
    monkeypatch.setattr(store, "PAGE", 5)


def write(path, records):
    with closing(Ledger(path)) as books:
        for record in records:
            books.record(record)


def frame(path):
    with closing(Ledger(path)) as books:
        return books.df


def files(path):
    return sorted(file.name for file in Path(f"{path}-columns").glob("*"))


def without_snapshot(path):
    with tempfile.TemporaryDirectory() as folder:
        return frame(shutil.copy(path, folder))


@settings(max_examples=30, deadline=None)
@given(st.lists(records, min_size=1, max_size=17, unique_by=lambda record: record.uid))
def test_a_snapshot_shows_what_the_rows_say(calls):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "PAGE", 3)
        path = Path(folder) / "ledger.sqlite"
        write(path, calls)
        slow = frame(path)
        assert len(files(path)) == len(calls) // 3
        same(frame(path), slow)
        same(without_snapshot(path), slow)


def test_a_snapshot_is_read_instead_of_the_rows_it_has(path):
    write(path, [call(model=f"m{number}") for number in range(13)])
    frame(path)
    read = []

    class Spy(store.SQLiteStore):
        def read(self, after=0, limit=None):
            page = super().read(after, limit)
            read.append(len(page.rows))
            return page

    books = Ledger(path)
    books._opened = Spy(path)
    assert books.df["model"].tolist() == [f"m{number}" for number in range(13)]
    assert read == [5, 1, 1, 3], "a first look, the last row of each file, the rest"
    books.close()


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


def test_clearing_deletes_the_snapshot_too(path):
    write(path, [call() for _ in range(12)])
    before = frame(path)
    with closing(Ledger(path)) as books:
        assert books.clear(before["time"][6]) == 6
    assert files(path) == []
    same(frame(path), without_snapshot(path))
    assert len(frame(path)) == 6


def test_what_an_older_llmkit_cleared_is_not_shown_from_a_snapshot(path):
    write(path, [call() for _ in range(12)])
    frame(path)
    kept = shutil.copytree(f"{path}-columns", f"{path}-kept")
    with closing(Ledger(path)) as books:
        books.clear()
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
    with closing(Ledger(path)) as books:
        for number in range(20):
            books.record(call(model="m", cost_nanos=number, input_tokens=number, tags={"n": "1"}))
            mine = books.df
            column = mine["input_tokens"]
            del mine["input_tokens"]
            mine.loc[:, "cost_usd"] = 99.0
            mine.loc[mine.index[0], "model"] = None
            mine.loc[mine.index[0], "simulated"] = True
            mine.loc[mine.index[0], "tags"] = None
            column.iloc[:] = 5
        final = books.df
    same(final, frame(path))
    assert final["cost_usd"].sum() == pytest.approx(190e-9)


def test_an_identifier_may_have_any_shape(path):
    uids = ["", "a", "ü", "a\0", "a" * 40, "ß" * 3, "x y", "1", "2", "3", "4"]
    write(path, [call(uid=uid) for uid in uids])
    for _ in range(2):
        assert frame(path)["uid"].tolist() == uids
