import random
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from llmkit.costs.ledger import Ledger
from llmkit.costs.store.rows import UID
from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore
from tests.support.examples import scaled

HEAD = """
import multiprocessing, os, sys, threading, time, uuid
from datetime import UTC, datetime
from llmkit.costs.ledger import Ledger
from llmkit.records import CallRecord, session_id

ledger = Ledger(sys.argv[1])

def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "p", "model": "m", "cost_nanos": 1}
    return CallRecord(time=datetime.now(UTC), **fields | changes)
"""


def start(code, *arguments, **options):
    code = HEAD + textwrap.dedent(code)
    arguments = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.Popen(arguments, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def finish(process):
    try:
        out, err = process.communicate(timeout=250)
    finally:
        process.kill()  # nothing outlives a test that fails
    assert process.returncode == 0, err
    assert not err
    return out


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def uids(path):
    store, found, more = SQLiteStore(path), [], True
    while more:
        page = store.read(found[-1][0] if found else 0)
        found += page.rows
        more = page.more
    return [row[1 + UID] for row in found]


def test_eight_processes_write_while_another_reads(path):
    code = "assert all(ledger.record(call()).result(60) for _ in range(int(sys.argv[2])))"
    each = scaled(500)
    writers = [start(code, path, each) for _ in range(8)]
    reader = Ledger(path)
    lengths = []
    while any(writer.poll() is None for writer in writers):
        lengths.append(len(reader.df))
        time.sleep(0.05)
    for writer in writers:
        finish(writer)
    assert len(reader.df) == reader.df["uid"].nunique() == reader.total().calls == 8 * each
    assert lengths == sorted(lengths)


def kill_a_writer(path):
    code = """
        while True:
            for future, uid in [(ledger.record(record), record.uid) for record in (call() for _ in range(5))]:
                assert future.result(60)
                print(uid, flush=True)
        """
    process = start(code, path)
    seen = [process.stdout.readline()]  # it works by now
    time.sleep(random.uniform(0.0, 0.2))
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=250)
    return {line.strip() for line in [*seen, *rest.splitlines()] if len(line.strip()) == 32}


@pytest.mark.parametrize("rounds", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_a_writer_that_is_killed_loses_no_acknowledged_row(path, rounds):
    acknowledged = set()
    for _ in range(rounds):
        acknowledged |= kill_a_writer(path)
    assert len(acknowledged) >= rounds
    assert acknowledged <= set(uids(path))


def test_calls_that_are_not_awaited_are_written_as_the_process_ends(path):
    code = """
        import atexit
        atexit.register(lambda: [ledger.record(call()) for _ in range(10)])
        for _ in range(2000):
            ledger.record(call())
        """
    finish(start(code, path))
    assert len(uids(path)) == 2010


def test_a_late_exit_handler_is_written_down_too(path):
    code = """
        import atexit
        import llmkit.costs.ledger
        ledger.record(call())
        """
    early = "import atexit\natexit.register(lambda: ledger.record(call()))\n"
    process = subprocess.Popen(
        [sys.executable, "-c", early + HEAD + textwrap.dedent(code), str(path)],
        stderr=subprocess.PIPE,
        text=True,
    )
    finish(process)
    assert len(uids(path)) == 2


def test_a_forked_child_has_its_own_thread_connection_and_sum(path):
    code = """
        assert ledger.record(call()).result(10) and len(ledger.df) == 1
        mine, parent = session_id(), os.getpid()
        child = os.fork()
        if child == 0:
            assert ledger.session_total().calls == 0 and session_id() != mine
            assert ledger.record(call()).result(10)
            assert len(ledger.df) == 2
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert ledger.record(call()).result(10)
        assert len(ledger.df) == 3 and ledger.session_total().calls == 2
        """
    finish(start(code, path))
    assert len(uids(path)) == 3


def test_forks_in_the_middle_of_writing_lose_nothing(path):
    code = """
        stop, written = threading.Event(), []
        def work():
            while not stop.is_set():
                record = call(model="parent")
                assert ledger.record(record).result(60)
                written.append(record.uid)
        threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(8):
            time.sleep(0.02)
            if not (child := os.fork()):
                ok = all(ledger.record(call(model="child")).result(60) for _ in range(20))
                ledger.close()
                os._exit(not ok)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads:
            thread.join()
        frame = ledger.df
        assert (frame["model"] == "child").sum() == 160
        assert set(written) <= set(frame["uid"])
        """
    finish(start(code, path))


@pytest.mark.full
def test_a_child_that_outlives_its_parent_loses_nothing(path):
    code = """
        assert ledger.record(call()).result(10)
        if not os.fork():
            os.close(1), os.close(2)
            for _ in range(60):
                ledger.record(call()).result(10)
                time.sleep(0.005)
            open(sys.argv[1] + ".done", "w").close()
            os._exit(0)
        time.sleep(0.1)
        """
    finish(start(code, path))
    visits = scaled(8)
    for _ in range(visits):  # readers and writers come and go, and each might tidy the log away
        finish(start("ledger.record(call()).result(10); len(ledger.df)", path))
    for _ in range(1200):
        if path.with_name("ledger.sqlite.done").exists():
            break
        time.sleep(0.05)
    assert len(uids(path)) == 1 + 60 + visits


def test_a_multiprocessing_worker_writes_calls_that_are_not_awaited(path):
    code = """
        def work():
            for _ in range(50):
                ledger.record(call())
        ledger.record(call())
        workers = [multiprocessing.get_context("fork").Process(target=work) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        """
    finish(start(code, path))
    assert len(uids(path)) == 151


def test_a_ledger_in_memory_starts_empty_in_a_child():
    code = """
        assert ledger.record(call()).result(10)
        if not (child := os.fork()):
            ok = len(ledger.df) == 0 and ledger.record(call()).result(10) and len(ledger.df) == 1
            os._exit(not ok)
        assert os.waitpid(child, 0)[1] == 0
        assert len(ledger.df) == 1
        """
    finish(start(code, ":memory:"))
