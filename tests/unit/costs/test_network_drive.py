# ruff: noqa: PT031 - a warning is due at one of several calls
"""A ledger on a network drive: a rollback journal, no row lost, and a refusal where locks do not work."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import uuid
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from llmkit.core import filesystems
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.sqlite import database
from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore
from llmkit.costs.store.writer import LedgerWarning
from llmkit.notebook.commands.doctor import examine_ledger
from llmkit.records import CallRecord
from tests.support.examples import scaled

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="mounts of POSIX systems")

HEAD = """
import sys, uuid
from datetime import UTC, datetime
from pathlib import Path
from llmkit.core import filesystems
from llmkit.costs.ledger import Ledger
from llmkit.records import CallRecord

if sys.argv[2]:
    filesystems.MOUNTS = Path(sys.argv[2])
books = Ledger(sys.argv[1])

def call():
    now = datetime.now(UTC)
    return CallRecord(time=now, uid=uuid.uuid4().hex, status="ok", provider="p", model="m", cost_nanos=1)
"""


def call(**changes):
    fields = {"status": "ok", "provider": "p", "model": "m", "cost_nanos": 1}
    return CallRecord(time=datetime.now(UTC), uid=uuid.uuid4().hex, **fields | changes)


def start(code, path, mounts=""):
    arguments = [sys.executable, "-W", "error", "-c", HEAD + textwrap.dedent(code), str(path), str(mounts)]
    return subprocess.Popen(arguments, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def mode(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("PRAGMA journal_mode").fetchone()[0]


@pytest.fixture(autouse=True)
def _asked_anew():
    database._check_locks.cache_clear()


@pytest.fixture
def mounts(tmp_path_factory):
    path = tmp_path_factory.mktemp("mounts") / "mountinfo"
    path.write_text("27 1 0:40 / / rw - nfs4 nas:/home rw\n")
    return path


@pytest.fixture
def remote(mounts, monkeypatch):
    monkeypatch.setattr(filesystems, "MOUNTS", mounts)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def test_a_new_ledger_has_no_log(remote, path):
    with closing(SQLiteStore(path)) as store:
        assert store.append(call()).result(10)
        assert store.append(call(), alone=True).result(10)
        assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert mode(path) != "wal"
        assert not path.with_name("ledger.sqlite-wal").exists()
    assert Ledger(path).total().calls == 2


def test_a_callers_thread_does_not_wait_for_the_drive(remote, path):
    with closing(SQLiteStore(path)) as store:
        store.append(call()).result(10)
        assert not store._commit_here(())


def test_a_ledger_with_a_log_is_switched_and_keeps_the_rows_that_only_its_log_has(path, mounts, monkeypatch):
    writer = start("assert books.record(call()).result(60); print('ready', flush=True); input()", path)
    writer.stdout.readline()
    writer.kill()
    writer.communicate()
    assert path.with_name("ledger.sqlite-wal").stat().st_size > 0
    monkeypatch.setattr(filesystems, "MOUNTS", mounts)
    with closing(SQLiteStore(path)) as store:
        assert store.append(call()).result(10)
    assert mode(path) != "wal"
    assert Ledger(path).total().calls == 2


def test_a_machine_that_has_the_disk_itself_keeps_the_journal(path, mounts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filesystems, "MOUNTS", mounts)
        with closing(SQLiteStore(path)) as store:
            assert store.append(call()).result(10)
    with closing(SQLiteStore(path)) as store:
        assert store.append(call()).result(10)
        assert mode(path) != "wal"


def test_four_processes_write_while_another_reads(path, mounts):
    each = scaled(60)
    code = f"assert all(books.record(call()).result(60) for _ in range({each}))"
    writers = [start(code, path, mounts) for _ in range(4)]
    while any(writer.poll() is None for writer in writers):
        Ledger(path).total()
    for writer in writers:
        assert writer.communicate(timeout=60)[1] == ""
        assert writer.returncode == 0
    assert Ledger(path).total().calls == 4 * each


def killed_writers(path, mounts, times):
    """Kill writers in the middle of their work; return the rows that they were told are written."""
    code = """
        while True:
            for future, uid in [(books.record(record), record.uid) for record in (call() for _ in range(5))]:
                assert future.result(60)
                print(uid, flush=True)
        """
    acknowledged = set()
    for _ in range(times):
        writer = start(code, path, mounts)
        acknowledged |= {writer.stdout.readline().strip() for _ in range(20)}
        writer.send_signal(signal.SIGKILL)
        rest = writer.communicate()[0].split("\n")
        acknowledged |= set(rest[:-1])  # the last line may be cut
    return acknowledged


def test_no_acknowledged_row_is_lost_with_a_process(path, mounts):
    acknowledged = killed_writers(path, mounts, scaled(4))
    assert len(acknowledged) > 20
    assert acknowledged <= set(Ledger(path).df["uid"])
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_half_a_transaction_of_a_killed_process_is_not_read(path, remote):
    with closing(SQLiteStore(path)) as store:
        assert store.append(call()).result(10)
    code = """
        import sqlite3
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("CREATE TABLE junk(x)")
        connection.execute("UPDATE calls SET model = 'torn'")
        connection.executemany("INSERT INTO junk VALUES (?)", [("x" * 3000,)] * 500)
        print("ready", flush=True)
        input()
        """
    process = start(code, path)
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert path.with_name("ledger.sqlite-journal").stat().st_size > 0
    assert list(Ledger(path).df["model"]) == ["m"]


def test_without_locks_nothing_is_written_and_the_reason_is_said(remote, path, monkeypatch):
    monkeypatch.setattr(filesystems, "lock_problem", lambda path: "locks fail there (No locks available)")
    ledger = Ledger(path)
    with pytest.warns(
        LedgerWarning, match=r"network drive \(nfs4\), and locks fail there .*LLMKIT_LEDGER to a"
    ):
        assert not ledger.record(call()).result(10)
        ledger.flush(1)
    assert ledger.waiting == 1
    assert path.stat().st_size == 0
    monkeypatch.undo()
    assert ledger.flush(10)
    assert ledger.total().calls == 1
    ledger.close()


def test_the_doctor_says_how_rows_are_written_there(remote, path, monkeypatch):
    ledger = Ledger(path)
    ledger.record(call()).result(10)
    found = examine_ledger(ledger)
    assert found.ok
    assert "on a network drive (nfs4): a rollback journal instead of a write-ahead log" in found.text
    monkeypatch.setattr(filesystems, "lock_problem", lambda path: "locks fail there")
    found = examine_ledger(ledger)
    assert not found.ok
    assert "locks fail there: set LLMKIT_LEDGER to a file on a local disk" in found.text
    ledger.close()


def test_the_doctor_has_nothing_to_say_of_a_local_disk(path):
    ledger = Ledger(path)
    ledger.record(call()).result(10)
    assert "network" not in examine_ledger(ledger).text
    ledger.close()


@pytest.fixture
def fuse(tmp_path):
    """A real FUSE drive."""
    source, drive = tmp_path / "source", tmp_path / "drive"
    source.mkdir()
    drive.mkdir()
    if not shutil.which("bindfs") or not Path("/dev/fuse").exists():
        pytest.skip("bindfs makes the drive")
    if subprocess.run(["bindfs", source, drive], check=False).returncode:
        pytest.skip("this machine mounts nothing")
    yield drive
    subprocess.run(["umount", drive], check=True)


def test_a_fuse_drive_is_recognised_and_loses_no_row(fuse):
    path = fuse / "ledger.sqlite"
    assert "fuse" in filesystems.network_type(path)
    assert filesystems.lock_problem(path) == ""
    acknowledged = killed_writers(path, "", 2)
    assert acknowledged <= set(Ledger(path).df["uid"])
    assert mode(path) != "wal"
