"""The row of a call beside which no other one runs is committed where the call ends, if nothing waits."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime

import pytest

from llmkit.costs.store.sqlite import sqlite_store as module
from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore
from llmkit.records import CallRecord
from tests.support.callers import QUESTION, opened


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m", "cost_nanos": 5}
    return CallRecord(time=datetime.now(UTC), **fields | changes)


@pytest.fixture
def store(tmp_path):
    store = SQLiteStore(tmp_path / "ledger.sqlite")
    assert store.append(call()).result(10), "the file is made by the writing thread"
    with closing(store):
        yield store


def committed(store):
    with closing(sqlite3.connect(store.path)) as other:
        return other.execute("SELECT count(*) FROM calls").fetchone()[0]


def test_a_lone_row_is_committed_before_append_returns(store):
    future = store.append(call(), alone=True)
    assert (future.done(), future.result(), committed(store)) == (True, True, 2)


def test_a_row_beside_others_is_the_writing_threads(store):
    store._writer.writing.acquire()
    future = store.append(call())
    time.sleep(0.05)
    assert not future.done()
    store._writer.writing.release()
    assert future.result(60)


def test_a_lone_row_does_not_wait_for_the_lock_of_another_process(store):
    assert store.append(call(), alone=True).done()
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        start = time.perf_counter()
        future = store.append(call(), alone=True)
        assert time.perf_counter() - start < 20
        time.sleep(0.1)
        assert not future.done(), "the writing thread waits for the lock, as patient as ever"
        other.execute("COMMIT")
    assert future.result(60)
    assert committed(store) == 3


def test_a_lone_row_does_not_wait_for_the_writing_thread(store):
    held, go = threading.Event(), threading.Event()
    threading.Thread(target=lambda: _hold(store, held, go)).start()
    assert held.wait(60)
    future = store.append(call(), alone=True)
    assert not future.done()
    go.set()
    assert future.result(60)


def _hold(store, held, go):
    with store._writer.writing:
        held.set()
        go.wait(60)


def test_a_lone_row_finds_the_file_that_took_the_place_of_another(store):
    store.path.unlink()
    assert store.append(call(), alone=True).result(10)
    assert committed(store) == 1


def test_rows_come_in_order_and_none_is_lost_between_the_two_ways(store):
    uids = [uuid.uuid4().hex for _ in range(60)]
    futures = [store.append(call(uid=uid), alone=bool(place % 3)) for place, uid in enumerate(uids)]
    assert all(future.result(60) for future in futures)
    with closing(sqlite3.connect(store.path)) as other:
        found = [uid for (uid,) in other.execute("SELECT uid FROM calls ORDER BY id")]
    assert found[1:] == uids


def test_the_commit_that_syncs_the_log_is_the_writing_threads(store, monkeypatch):
    monkeypatch.setattr(module, "CHECKPOINT", 10)
    by = []
    checkpoint = SQLiteStore._checkpoint

    def noted(self, connection, rows):
        by.append((threading.current_thread().name, self._logged))
        checkpoint(self, connection, rows)

    monkeypatch.setattr(SQLiteStore, "_checkpoint", noted)
    for _ in range(40):
        assert store.append(call(), alone=True).result(10)
    assert [name for name, _ in by] == ["llmkit-ledger"] * len(by)
    assert [logged for _, logged in by] == [10] * len(by)
    assert len(by) == 4


def test_a_slow_disk_is_left_to_the_writing_thread_for_a_while(store, monkeypatch):
    monkeypatch.setattr(module, "SLOW", 0.0)
    assert store.append(call(), alone=True).done()
    with store._writer.writing:
        assert not store.append(call(), alone=True).done()
    assert store.flush(10)
    monkeypatch.setattr(module, "SLOW", 10.0)
    monkeypatch.setattr(store, "_here_after", 0.0)
    assert store.append(call(), alone=True).done()


def test_a_value_that_sqlite_refuses_is_left_to_the_writing_thread(store):
    assert store.append(call(cost_nanos=2**70), alone=True).result(10)
    assert committed(store) == 2


def test_a_row_that_an_interrupt_met_is_written_all_the_same(store, monkeypatch):
    def interrupted(self, row):
        raise KeyboardInterrupt

    monkeypatch.setattr(SQLiteStore, "_commit_here", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.append(call(), alone=True)
    assert store.flush(10)
    assert committed(store) == 2


def test_a_lone_row_survives_kill_9_right_after_append(store):
    code = """
    import os, signal, sys, uuid
    from datetime import UTC, datetime
    from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore
    from llmkit.records import CallRecord

    store = SQLiteStore(sys.argv[1])
    def call():
        return CallRecord(time=datetime.now(UTC), uid=uuid.uuid4().hex, status="ok", provider="p", model="m")
    assert store.append(call()).result(10)
    assert all(store.append(call(), alone=True).done() for _ in range(20))
    os.kill(os.getpid(), signal.SIGKILL)
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(store.path)], check=False, timeout=60
    )
    assert process.returncode == -signal.SIGKILL
    assert committed(store) == 22


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_opens_the_file_itself(store):
    assert store.append(call(), alone=True).done()
    child = os.fork()
    if not child:
        futures = [store.append(call(), alone=True) for _ in range(5)]
        os._exit(0 if all(future.result(60) for future in futures) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.append(call(), alone=True).result(10)
    assert committed(store) == 8


async def test_a_call_is_alone_unless_another_one_is_under_way(server, recorder):
    async with opened("openai", server) as client:
        await client.generate_text(QUESTION)
        stream = client.stream_text(QUESTION)
        await anext(stream)
        await client.generate_text(QUESTION)
        await stream.aclose()
        await asyncio.gather(*(client.generate_text(QUESTION) for _ in range(3)))
    assert recorder.alone == [True, False, True, False, False, True]


async def test_a_call_that_failed_or_was_cancelled_is_no_longer_under_way(server, recorder):
    async with opened("openai", server, max_retries=0) as client:
        server.fail_next("status=500")
        with pytest.raises(Exception, match="500"):
            await client.generate_text(QUESTION)
        server.fail_next("slow=5")
        task = asyncio.create_task(client.generate_text(QUESTION))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await client.generate_text(QUESTION)
    assert recorder.alone == [True, True, True]
