"""What every store of rows' answers keeps to; another one needs a line in `BACKENDS`."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import sys
import warnings
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from llmkit.core.errors import ConfigurationError
from llmkit.core.processes import current
from llmkit.core.timestamps import micros
from llmkit.costs.store.writer import LedgerWarning
from llmkit.frames.answers import moving, sqlite
from llmkit.frames.answers.postgres import postgres_answers
from llmkit.frames.answers.protocol import Answer, JobRecord, Room
from llmkit.frames.answers.sqlite import VERSION, SqliteAnswers
from llmkit.frames.answers.unkept import Unkept
from tests.support.answers import open_answers, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmkit.frames.answers.protocol import AnswerStore

BACKENDS: dict[str, Callable[[pytest.FixtureRequest], str]] = {
    "sqlite": lambda request: str(request.getfixturevalue("tmp_path") / "books.answers.sqlite"),
    "postgres": lambda request: request.getfixturevalue("postgres"),
}
"""Where a test's own store is, for `open_answers`."""

OPENED = """
import os, signal, sys
from llmkit.frames.answers.protocol import Answer
from tests.support.answers import open_answers
store = open_answers(sys.argv[1])
"""
WRITING = (
    OPENED
    + """
own = sys.argv[2].encode()
futures = [store.put(Answer(b"%s:%d" % (own, n), "ok", text=str(n), time=n)) for n in range(200)]
assert all(future.result(60) for future in futures)
store.close()
"""
)
CLAIMING = (
    OPENED
    + """
store.claim([b"a"], "theirs")
print("claimed", flush=True)
sys.stdin.read()
"""
)
RESERVING = (
    OPENED
    + """
print(sum(store.reserve("j", f"{sys.argv[2]}:{n}", 10, 1000).fits for n in range(100)), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
)


@pytest.fixture(params=BACKENDS)
def place(request: pytest.FixtureRequest) -> str:
    return BACKENDS[request.param](request)


@pytest.fixture(params=[*BACKENDS, "memory"])
def store(request: pytest.FixtureRequest) -> Iterator[AnswerStore]:
    made = open_answers(":memory:" if request.param == "memory" else BACKENDS[request.param](request))
    yield made
    made.close()


def put(store: AnswerStore, *answers: Answer) -> list[bool]:
    return [future.result(60) for future in [store.put(answer) for answer in answers]]


def job(name: str, submitted: int = 1, state: str = "running") -> JobRecord:
    return JobRecord(
        id=name, label="map llm", verb="map", mode="now", provider="openai", model="gpt-4o-mini",
        state=state, rows=3, submitted=submitted, changed=submitted,
    )  # fmt: skip


def test_an_answer_comes_back_as_it_was_put(store):
    whole = Answer(b"k", "length", "cut", '{"a":1}', "after 7 tokens", 7, "m", 1, 2, 3, "u", 9, "j")
    bare = Answer(b"n", "ok")
    assert put(store, whole, bare) == [True, True]
    assert store.get([b"k", b"n", b"nothing"]) == {b"k": whole, b"n": bare}


def test_half_a_character_does_not_keep_an_answer_from_being_written(store):
    assert put(store, Answer(b"k", "ok", text="half \ud83d of it")) == [True]
    assert store.get([b"k"])[b"k"].text == "half \ufffd of it"


def test_an_answer_is_found_by_its_call(store):
    put(store, Answer(b"k", "ok", text="yes", uid="u" * 32), Answer(b"n", "server"))
    found = store.of_call("u" * 32)
    assert found is not None
    assert found.text == "yes"
    assert store.of_call("v" * 32) is None


def test_many_keys_are_looked_up_at_once(store):
    keys = [b"%d" % n for n in range(2500)]
    put(store, *[Answer(key, "ok", text=key.decode()) for key in keys])
    assert {one.text for one in store.get(keys).values()} == {key.decode() for key in keys}


def test_all_answers_are_read_page_by_page(store, monkeypatch):
    for module in (sqlite, postgres_answers):
        monkeypatch.setattr(module, "PAGE", 2)
    assert store.page() == []
    keys = [b"\x00", b"a", b"b", b"b\xff", b"\xff"]
    put(store, *[Answer(key, "ok") for key in reversed(keys)])
    found, after = [], b""
    while page := store.page(after):
        assert len(page) <= 2
        found += [one.key for one in page]
        after = page[-1].key
    assert found == keys


def test_answers_and_jobs_are_copied_into_another_store_once(store, tmp_path):
    with closing(SqliteAnswers(tmp_path / "from.sqlite")) as source:
        put(
            source,
            *[Answer(b"%d" % n, "ok", text="source") for n in range(2500)],
            Answer(b"failed", "server"),
        )
        source.save(job("a"))
        source.save(job("b"))
        put(store, Answer(b"0", "ok", text="target"), Answer(b"1", "server"), Answer(b"failed", "ok"))
        store.save(job("b", 7))
        assert moving.copy(source, store) == 2499
        assert moving.copy(source, store) == 0
    found = store.get([b"0", b"1", b"2499", b"failed"])
    assert [found[key].text for key in (b"0", b"1", b"2499")] == ["target", "source", "source"]
    assert found[b"failed"].status == "ok"
    assert [(one.id, one.submitted) for one in store.jobs()] == [("b", 7), ("a", 1)]


def test_an_error_never_replaces_an_answer_but_an_answer_an_error(store):
    put(store, Answer(b"k", "rate_limit", error="slow"))
    put(store, Answer(b"k", "ok", text="yes"))
    put(store, Answer(b"k", "server", error="down"))
    assert store.get([b"k"])[b"k"].text == "yes"


def test_what_is_older_than_a_time_is_forgotten(store):
    put(store, *[Answer(b"%d" % n, "ok", time=n) for n in range(10)])
    store.save(job("old", 2))
    store.save(job("new", 8))
    assert store.forget(before=5) == 5
    assert [one.id for one in store.jobs()] == ["new"]
    assert store.forget() == 5
    assert store.get([b"9"]) == {}


def test_jobs_are_listed_from_the_latest_and_replaced_by_their_identifier(store):
    store.save(job("a", 1))
    store.save(job("b", 2))
    store.save(job("a", 1, "done"))
    assert [(one.id, one.state) for one in store.jobs()] == [("b", "running"), ("a", "done")]


def test_a_request_is_claimed_by_one_job_until_it_ends(store):
    assert store.claim([b"a", b"b"], "first") == {b"a", b"b"}
    assert store.claim([b"b", b"c"], "second") == {b"c"}
    assert store.claim([b"a", b"c"], "first") == {b"a"}  # what a job has, it has again
    store.release("first")
    assert store.claim([b"b"], "second") == {b"b"}
    store.release("second")
    store.release("unheard of")


def test_the_claims_of_a_dead_process_are_taken_over_and_of_a_living_one_respected(place):
    child = start(CLAIMING, place)
    assert child.stdout.readline() == "claimed\n"
    store = open_answers(place)
    assert store.claim([b"a", b"b"], "mine") == {b"b"}
    child.kill()
    child.communicate(timeout=60)
    assert store.claim([b"a", b"b"], "mine") == {b"a", b"b"}
    store.release("mine")
    store.close()


@pytest.mark.parametrize(("age", "taken"), [(timedelta(minutes=59), set()), (timedelta(hours=2), {b"a"})])
def test_the_claims_of_another_machine_last_for_their_lease(age, taken, tmp_path):
    store = SqliteAnswers(tmp_path / "books.answers.sqlite")
    store.save(job("any"))
    elsewhere = current()._replace(host="another")
    time = micros(datetime.now(UTC) - age)
    store._connection.execute("INSERT INTO claims VALUES (?, ?, ?, ?)", (b"a", "o", elsewhere.text(), time))
    assert store.claim([b"a"], "mine") == taken
    store.release("mine")
    store.close()


def test_the_calls_of_a_job_reserve_no_more_than_it_may_cost(store):
    assert store.reserve("j", "a", 60, 100) == Room(fits=True, spent=0)
    assert store.reserve("other", "a", 100, 100).fits
    assert store.reserve("j", "b", 50, 100) == Room(fits=False, spent=0, running=True)
    assert store.reserve("j", "a", 70, 100).fits  # in place of what it reserved before
    store.settle("j", "a", 20)
    assert store.reserve("j", "b", 50, 100) == Room(fits=True, spent=20)
    store.settle("j", "b", None)  # what it cost is unknown, so all of it counts
    store.settle("j", "replayed", 0)
    assert store.reserve("j", "c", 31, 100) == Room(fits=False, spent=70)
    assert store.forget() == 0
    assert store.reserve("j", "c", 100, 100) == Room(fits=True, spent=0)


def test_calls_that_all_wait_give_one_another_nothing(store):
    assert store.reserve("j", "a", 50, 100).fits
    assert store.reserve("j", "b", 50, 100).fits
    assert store.reserve("j", "a", 60, 100) == Room(fits=False, spent=0, running=True)
    assert store.reserve("j", "b", 60, 100) == Room(fits=False, spent=0)


def test_processes_together_stay_within_what_a_job_may_cost_and_a_dead_one_gives_nothing_back(place):
    many = [start(RESERVING, place, str(n)) for n in range(3)]
    reserved = sum(int(one.communicate(timeout=100)[0]) for one in many)
    assert [one.returncode for one in many] == [-signal.SIGKILL] * 3
    assert reserved == 100  # calls of 10 each, and 1,000 in all
    store = open_answers(place)
    assert store.reserve("j", "mine", 10, 1000) == Room(fits=False, spent=0)
    assert store.reserve("j", "mine", 10, 1010).fits
    store.close()


def test_a_store_of_a_former_version_gets_what_it_lacks(tmp_path):
    path = tmp_path / "books.answers.sqlite"
    store = SqliteAnswers(path)
    put(store, Answer(b"k", "ok"))
    store.close()
    with closing(sqlite3.connect(path)) as former:
        former.execute("DROP TABLE claims")
        former.execute("PRAGMA user_version = 1")
    assert store.claim([b"k"], "mine") == {b"k"}
    assert set(store.get([b"k"])) == {b"k"}
    store.release("mine")
    store.close()


def test_a_closed_store_opens_again(place):
    store = open_answers(place)
    put(store, Answer(b"k", "ok"))
    store.close()
    assert set(store.get([b"k"])) == {b"k"}
    store.close()


def test_reading_a_file_creates_nothing(tmp_path):
    store = SqliteAnswers(tmp_path / "books.answers.sqlite")
    assert (store.get([b"k"]), store.jobs(), store.forget(), store.size()) == ({}, [], 0, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_only_the_owner_can_read_a_file(tmp_path):
    store = SqliteAnswers(tmp_path / "books.answers.sqlite")
    put(store, Answer(b"k", "ok"))
    assert store.size() > 0
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    store.close()


def test_processes_write_at_the_same_time(place):
    many = [start(WRITING, place, str(n)) for n in range(3)]
    assert [one.communicate(timeout=100) for one in many] == [("", None)] * 3
    assert [one.returncode for one in many] == [0, 0, 0]
    store = open_answers(place)
    assert len(store.get([b"%d:%d" % (who, n) for who in range(3) for n in range(200)])) == 600
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_forked_child_writes_with_a_connection_of_its_own(place):
    store = open_answers(place)
    put(store, Answer(b"parent", "ok"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, from Python 3.12 on
        child = os.fork()
    if not child:
        os._exit(0 if put(store, Answer(b"child", "ok")) == [True] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert set(store.get([b"parent", b"child"])) == {b"parent", b"child"}
    store.close()


def test_a_store_of_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "books.answers.sqlite"
    newer = sqlite3.connect(path)
    newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    newer.close()
    with pytest.raises(ConfigurationError, match="of a newer llmkit"):
        SqliteAnswers(path).get([b"k"])


def test_a_file_that_is_no_store_is_refused(tmp_path):
    path = tmp_path / "books.answers.sqlite"
    path.write_text("no database " * 100)
    with pytest.raises(ConfigurationError, match="Cannot read the answers"):
        SqliteAnswers(path).get([b"k"])


def test_an_answer_that_cannot_be_written_stays_in_memory_until_it_can(tmp_path):
    path = tmp_path / "books.answers.sqlite"
    store = SqliteAnswers(path)
    put(store, Answer(b"first", "ok"))
    store._connection.execute("PRAGMA max_page_count = 1")
    long = Answer(b"long", "ok", text="x" * 200_000)
    assert put(store, long) == [False]
    with pytest.warns(LedgerWarning, match="Cannot write answers to the store"):
        store.flush()
    assert "full" in (store.problem or "")
    store._connection.execute("PRAGMA max_page_count = 100000")
    assert store.flush()
    assert store.problem is None
    assert store.get([b"long"])[b"long"] == long
    store.close()


def test_a_store_that_keeps_nothing_takes_everything():
    nothing = Unkept()
    assert put(nothing, Answer(b"k", "ok")) == [True]
    nothing.save(job("a"))
    assert nothing.claim([b"k"], "a") == nothing.claim([b"k"], "b") == {b"k"}
    nothing.release("a")
    nothing.settle("a", "u", 1)
    with pytest.raises(ConfigurationError, match="Leave store=False out"):
        nothing.reserve("a", "u", 1, 2)
    assert nothing.of_call("u") is None
    assert nothing.page() == []
    assert (nothing.get([b"k"]), nothing.jobs(), nothing.forget(), nothing.size()) == ({}, [], 0, 0)
    assert nothing.flush()
    nothing.close()
