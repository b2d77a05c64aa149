# ruff: noqa: PT031 - a warning is due at one of several calls
"""The writing thread by itself: it commits to a list."""

import logging
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmkit.costs.store import writer as module
from llmkit.costs.store.writer import LedgerWarning, Writer


class Disk:
    """Takes rows, unless it is told to fail; may be held up."""

    def __init__(self):
        self.chunks = []
        self.problem = None
        self.threads = set()
        self.gate = threading.Event()
        self.gate.set()

    def commit(self, rows):
        self.gate.wait(30)
        self.threads.add(threading.current_thread())
        if self.problem is not None:
            raise self.problem
        self.chunks.append(list(rows))

    @property
    def rows(self):
        return [row for chunk in self.chunks for row in chunk]


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def writer(disk):
    writer = Writer(disk.commit, "books")
    yield writer
    disk.problem = None
    disk.gate.set()
    writer.stop(10)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "llmkit-ledger"]


def quietly(work):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LedgerWarning)
        return work()


def test_rows_are_committed_in_order_by_a_thread_of_its_own(writer, disk):
    futures = [writer.submit((number,)) for number in range(9)]
    assert all(future.result(10) for future in futures)
    assert disk.rows == [(number,) for number in range(9)]
    assert threading.current_thread() not in disk.threads
    assert len(disk.threads) == 1


def test_what_comes_while_one_transaction_runs_is_in_the_next_one_together(writer, disk):
    disk.gate.clear()
    futures = [writer.submit((number,)) for number in range(9)]
    assert len(writer.unwritten()) == 9
    assert not any(future.done() for future in futures)
    disk.gate.set()
    assert all(future.result(10) for future in futures)
    assert len(disk.chunks) <= 3, "one that had begun, what came meanwhile, and a straggler at most"


def test_a_transaction_has_so_many_rows_at_most_and_a_failure_loses_none(writer, disk, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 4)
    disk.problem = OSError("full")
    assert quietly(lambda: [writer.submit((n,)) for n in range(10)][-1].result(10)) is False
    disk.problem = None
    assert writer.flush(10) is True
    assert [len(chunk) for chunk in disk.chunks] == [4, 4, 2]
    assert disk.rows == [(number,) for number in range(10)]


def test_what_was_committed_before_a_failure_is_not_tried_again(writer, disk, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 1)
    commit = disk.commit

    def second_fails(rows):
        disk.problem = OSError("full") if len(disk.chunks) == 1 else None
        commit(rows)

    writer._commit = second_fails
    disk.gate.clear()
    futures = [writer.submit((number,)) for number in range(3)]
    disk.gate.set()
    assert quietly(futures[-1].result) is False
    assert quietly(writer.unwritten) == [(1,), (2,)]
    writer._commit = commit
    disk.problem = None
    assert quietly(lambda: writer.flush(10)) is True
    assert disk.rows == [(0,), (1,), (2,)]


def test_with_nothing_to_write_no_thread_is_started(writer):
    before = threads()
    assert writer.flush() is True
    assert threads() == before
    assert writer.stop() is True


def test_stopping_ends_the_thread_and_the_next_row_starts_another(writer, disk):
    before = threads()
    assert writer.submit((1,)).result(10)
    assert len(threads()) == len(before) + 1
    assert writer.stop(10) is True
    assert threads() == before
    assert writer.submit((2,)).result(10)
    assert len(threads()) == len(before) + 1
    assert disk.rows == [(1,), (2,)]


def test_stopping_says_whether_everything_is_committed(writer, disk):
    disk.problem = OSError("full")
    quietly(lambda: writer.submit((1,)).result(10))
    assert quietly(lambda: writer.stop(10)) is False
    assert writer.unwritten() == [(1,)]


def test_as_the_process_ends_rows_are_written_by_their_caller(writer, disk):
    assert writer.stop(10, inline=True) is True
    before = threads()
    assert writer.submit((1,)).result(0) is True
    assert disk.threads == {threading.current_thread()}
    assert threads() == before
    assert writer.stop(10) is True
    assert writer.submit((2,)).result(10)
    assert len(disk.threads) == 2, "a process that goes on all the same has its thread again"


def test_an_outage_is_one_warning_with_its_reason_and_its_end_is_one_line_in_the_log(writer, disk, caplog):
    caplog.set_level(logging.INFO)
    assert writer.submit((0,)).result(10) is True
    disk.problem = OSError("no space left.")
    with pytest.warns(LedgerWarning) as caught:
        for number in (1, 2):
            assert writer.submit((number,)).result(10) is False
            assert writer.flush(10) is False
            writer.tell()
    (warning,) = caught
    assert str(warning.message) == (
        "Cannot write calls to the ledger books: no space left. They are kept in memory and written"
        " later, but lost if this process ends first."
    )
    assert writer.is_failing is True
    assert caplog.text == ""
    disk.problem = None
    assert writer.submit((3,)).result(10) is True
    assert writer.submit((4,)).result(10) is True
    assert writer.is_failing is False
    assert caplog.messages == ["The ledger books is writable again."]
    assert disk.rows == [(number,) for number in range(5)]


def test_a_reason_without_words_is_named_by_its_kind(writer, disk):
    disk.problem = MemoryError()
    with pytest.warns(LedgerWarning, match="books: MemoryError. They"):
        writer.submit((1,)).result(10)
        writer.flush(10)


def test_an_outage_that_ends_before_its_warning_is_not_reported(writer, disk):
    disk.problem = OSError("full")
    disk.gate.clear()
    future = writer.submit((1,))
    disk.gate.set()
    assert future.result(10) is False
    disk.problem = None
    with writer.writing:
        writer._write()
    writer.tell()
    assert disk.rows == [(1,)]


def test_jobs_are_done_between_the_rows_before_and_those_after(writer, disk):
    disk.gate.clear()
    writer.submit((0,))
    first = writer.run(lambda problem: (problem, list(disk.rows)))
    writer.submit((1,))
    second = writer.run(lambda problem: (problem, list(disk.rows)))
    disk.gate.set()
    assert first.result(10) == (None, [(0,)])
    assert second.result(10) == (None, [(0,), (1,)])


def test_a_job_learns_why_the_rows_before_it_are_not_committed(writer, disk):
    disk.problem = OSError("full")
    quietly(lambda: writer.submit((0,)).result(10))
    assert quietly(lambda: writer.run(lambda problem: problem).result(10)) == "full"


def test_what_a_job_raises_reaches_the_waiter_who_cannot_cancel_it(writer, disk):
    def fail(problem):
        raise KeyError("mistake")

    disk.gate.clear()
    writer.submit((0,))
    future = writer.run(fail)
    assert future.cancel() is False
    disk.gate.set()
    with pytest.raises(KeyError, match="mistake"):
        future.result(10)
    assert writer.submit((1,)).result(10) is True, "the thread goes on"


def test_a_callback_of_a_job_may_append_and_wait(writer, disk):
    done = threading.Event()

    def more(_):
        writer.submit((1,))
        assert writer.flush() is True
        done.set()

    writer.run(lambda problem: None).add_done_callback(more)
    assert done.wait(10)
    assert disk.rows == [(1,)]


def test_waiting_for_a_flush_ends_with_its_time(writer, disk):
    disk.gate.clear()
    writer.submit((0,))
    assert writer.flush(0.01) is False
    disk.gate.set()
    assert writer.flush(10) is True


def test_rows_that_wait_can_be_forgotten_from_a_time_on(writer, disk):
    disk.problem = OSError("full")
    quietly(lambda: [writer.submit(("x", number)) for number in range(5)][-1].result(10))
    assert writer.discard(before=2, column=1) == 2
    assert writer.unwritten() == [("x", 2), ("x", 3), ("x", 4)]
    assert writer.discard(before=None, column=1) == 3
    assert (writer.discard(before=None, column=1), writer.unwritten()) == (0, [])


def test_rows_of_one_group_share_its_acknowledgement_even_around_a_job(writer, disk):
    disk.gate.clear()
    writer.submit((0,))
    before = [writer.submit((number,)) for number in (1, 2)]
    job = writer.run(lambda problem: (list(disk.rows), before[0].done()))
    after = writer.submit((3,))
    assert before[0] is before[1]
    assert before[0] is after
    disk.gate.set()
    assert job.result(10) == ([(0,), (1,), (2,)], False)
    assert after.result(10) is True
    assert disk.rows == [(number,) for number in range(4)]


def test_whoever_hears_that_a_row_is_safe_finds_it_committed(writer, disk, monkeypatch):
    monkeypatch.setattr(module, "LINGER", 0.0001)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns within a handing-over, too
    committed, early = set(), []
    writer._commit = committed.update

    def caller(first):
        for number in range(400):
            row = (first, number)
            if number % 7 == 0:
                writer.run(lambda problem: None)
            if writer.submit(row).result(30) is not True or row not in committed:
                early.append(row)

    try:
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(caller, range(12)))
    finally:
        sys.setswitchinterval(interval)
    assert early == []
    assert len(committed) == 12 * 400


def test_a_single_caller_and_a_job_do_not_wait_for_further_rows(writer, disk, monkeypatch):
    monkeypatch.setattr(module, "LINGER", 20)
    assert all(writer.submit((number,)).result(10) for number in range(20))
    disk.gate.clear()
    crowd = [writer.submit((number,)) for number in range(20, 29)]
    disk.gate.set()
    assert all(future.result(10) for future in crowd), "what has come already is not waited for again"
    row = writer.submit((29,))  # the thread waits for more now
    assert writer.run(lambda problem: len(disk.rows)).result(10) == 30
    assert row.result(10) is True


def test_rows_of_many_callers_are_committed_in_groups(writer, disk):
    def caller(first):
        return all(writer.submit((first, number)).result(10) for number in range(50))

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(caller, range(16)))
    assert len(disk.rows) == 16 * 50
    assert len(disk.chunks) < 16 * 50 / 4, "a transaction for each row would cost most of a call"


def test_stopping_does_not_wait_for_further_rows(writer, disk, monkeypatch):
    monkeypatch.setattr(module, "LINGER", 20)
    disk.gate.clear()
    futures = [writer.submit((number,)) for number in range(9)]
    disk.gate.set()
    assert all(future.result(10) for future in futures)
    last = writer.submit((9,))
    assert writer.stop(10) is True
    assert last.result(0) is True
