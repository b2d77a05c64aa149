"""Answers in a PostgreSQL whose server dies, whose connections break, and whose users are curious."""

from __future__ import annotations

import threading
import warnings
from datetime import timedelta

import psycopg
import pytest

from llmkit.core.errors import ConfigurationError
from llmkit.core.postgres import Address
from llmkit.core.postgres_errors import ServerUnavailableError
from llmkit.core.processes import current
from llmkit.costs.store.writer import LedgerWarning
from llmkit.frames.answers.postgres import job_leases, postgres_answers
from llmkit.frames.answers.postgres.postgres_answers import PostgresAnswers
from llmkit.frames.answers.postgres.waiting_answers import waiting_path
from llmkit.frames.answers.protocol import Answer, Room
from tests.support.answers import start
from tests.support.postgres import PASSWORD, server
from tests.support.waiting import until

KILLED = """
import os, signal, sys
from llmkit.frames.answers.protocol import Answer
from tests.support.answers import open_answers
store = open_answers(sys.argv[1])
assert store.get([b"k"]) == {}
print("ready", flush=True)
sys.stdin.readline()
assert store.put(Answer(b"k", "ok", text="paid")).result(60)
print("kept", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def store(postgres, monkeypatch):
    monkeypatch.setattr(postgres_answers, "RETRY", 0.0)
    made = PostgresAnswers(Address(postgres))
    yield made
    made.close()


@pytest.fixture
def running():
    """The server, which runs again after the test."""
    here = server()
    yield here
    if not here.is_ready():
        here.start()


def database(store):
    return store.name.rpartition("/")[2]


def execute(store, statement, *values):
    return server().execute(statement, *values, database=database(store))


def put(store, *answers):
    return [future.result(60) for future in [store.put(answer) for answer in answers]]


def test_answers_wait_here_while_the_server_is_away_and_arrive_when_it_is_back(store, running, postgres):
    put(store, Answer(b"before", "ok"))
    running.kill()
    assert put(store, Answer(b"0", "ok", text="0")) == [True]
    with pytest.warns(LedgerWarning, match="Answers wait in .*sqlite, and are written") as told:
        put(store, *[Answer(b"%d" % n, "ok", text=str(n)) for n in range(1, 3)])
    store.flush()
    assert len(told) == 1
    assert PASSWORD not in str(told[0].message)
    assert store.problem is None
    running.start()
    assert set(store.get([b"before", b"0", b"1", b"2", b"3"])) == {b"before", b"0", b"1", b"2"}
    assert execute(store, "SELECT count(*) FROM llmkit.answers") == [(4,)]
    store.close()
    another = PostgresAnswers(Address(postgres))
    assert another.get([b"2"])[b"2"].text == "2"
    another.close()


def test_what_waited_is_older_than_what_came_meanwhile(store, running):
    put(store, Answer(b"k", "ok", text="first", time=1))
    running.kill()
    put(store, Answer(b"k", "ok", text="waited", time=2), Answer(b"n", "ok", text="waited", time=2))
    with pytest.warns(LedgerWarning):
        store.flush()
    running.start()
    execute(store, "UPDATE llmkit.answers SET text = 'meanwhile', time = 3")
    store.jobs()
    assert execute(store, "SELECT text FROM llmkit.answers ORDER BY key") == [("meanwhile",), ("waited",)]


@pytest.mark.full
def test_what_waits_outlives_its_process(store, running, postgres):
    child = start(KILLED, postgres)
    assert child.stdout.readline() == "ready\n"
    running.kill()
    child.stdin.write("go\n")
    child.stdin.flush()
    assert child.stdout.readline() == "kept\n"
    child.communicate(timeout=60)
    running.start()
    assert store.get([b"k"])[b"k"].text == "paid"


ENDING = """
import sys
from llmkit.frames.answers.protocol import Answer
from tests.support.answers import open_answers
store = open_answers(sys.argv[1])
assert store.put(Answer(b"first", "ok")).result(60)
print("ready", flush=True)
sys.stdin.readline()
store.put(Answer(b"k", "ok", text="paid"))
store.close()
"""


@pytest.mark.full
def test_a_server_that_never_answers_does_not_hold_the_end_of_a_process(store, running, postgres):
    child = start(ENDING, postgres)
    try:
        assert child.stdout.readline() == "ready\n"
        with running.halted():
            child.communicate("go\n", timeout=60)
            assert child.returncode == 0
            assert store._waiting.get([b"k"])[b"k"].text == "paid"
    finally:
        child.kill()
    assert store.get([b"k"])[b"k"].text == "paid"
    assert execute(store, "SELECT count(*) FROM llmkit.answers") == [(2,)]


def test_a_server_that_was_never_there_is_an_error_at_once_and_names_no_password(postgres):
    gone = PostgresAnswers(Address(postgres.replace(f":{server().port}/", ":1/")))
    with pytest.raises(ServerUnavailableError, match="Cannot reach postgresql://admin@127") as caught:
        gone.get([b"k"])
    assert PASSWORD not in f"{caught.value!r} {caught.value}"
    gone.close()


def test_what_could_not_be_claimed_or_reserved_is_not_renewed(postgres, store):
    gone = PostgresAnswers(Address(postgres.replace(f":{server().port}/", ":1/")))
    with pytest.raises(ServerUnavailableError):
        gone.claim([b"k"], "job")
    with pytest.raises(ServerUnavailableError):
        gone.reserve("job", "call", 1, 2)
    assert gone._leases._held == set()
    gone.close()
    store.claim([b"k"], "job")
    execute(store, "ALTER TABLE llmkit.request_claims RENAME TO away")
    with pytest.raises(ConfigurationError):
        store.claim([b"l"], "job")
    assert store._leases._held == {"job"}, "it has claims of before"


def test_many_threads_write_while_the_server_is_killed_and_started_again(store, running):
    put(store, Answer(b"first", "ok"))
    half = threading.Barrier(5, timeout=60)

    def write(who):
        for n in range(60):
            if n == 30:
                half.wait()
            assert put(store, Answer(b"%d:%d" % (who, n), "ok")) == [True]

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LedgerWarning)
        for thread in threads:
            thread.start()
        half.wait()
        running.kill()
        running.start()
        for thread in threads:
            thread.join(60)
        assert store.flush(60)
        assert len(store.get([b"%d:%d" % (who, n) for who in range(4) for n in range(60)])) == 240
    store.jobs()
    assert execute(store, "SELECT count(*) FROM llmkit.answers") == [(241,)]


def test_a_job_goes_on_over_broken_connections_and_counts_each_cost_once(store):
    for n in range(5):
        server().disconnect(database(store))
        assert store.claim([b"%d" % n], "job") == {b"%d" % n}
        server().disconnect(database(store))
        assert store.reserve("job", str(n), 10, 100).fits
        server().disconnect(database(store))
        store.settle("job", str(n), 7)
        store.settle("job", str(n), 7)  # as after a connection that broke at the end of the first
    assert store.reserve("job", "more", 66, 100) == Room(fits=False, spent=35)
    server().disconnect(database(store))
    store.release("job")
    assert execute(store, "SELECT count(*) FROM llmkit.request_claims") == [(0,)]


def test_a_job_waits_for_a_server_that_was_there(store, running):
    store.claim([b"a"], "job")
    running.kill()
    found = []
    waiting = threading.Thread(target=lambda: found.append(store.claim([b"b"], "job")))
    waiting.start()
    running.start()
    waiting.join(60)
    assert found == [{b"b"}]
    store.release("job")


def test_answers_wait_while_an_administrator_holds_their_table(store, monkeypatch, postgres):
    monkeypatch.setattr(postgres_answers, "LOCK_TIMEOUT", "100ms")
    store.jobs()
    with psycopg.connect(postgres) as administrator:
        administrator.execute("LOCK TABLE llmkit.answers IN ACCESS EXCLUSIVE MODE")
        assert put(store, Answer(b"k", "ok")) == [True]
        with pytest.warns(LedgerWarning, match="is busy with the work of others"):
            store.flush()
    administrator.close()
    assert put(store, Answer(b"n", "ok")) == [True]
    assert execute(store, "SELECT count(*) FROM llmkit.answers") == [(2,)]


@pytest.mark.parametrize(("left", "taken"), [("1 minute", set()), ("-1 second", {b"a"})])
def test_the_claims_of_another_machine_last_for_their_lease_by_the_servers_clock(store, left, taken):
    store.jobs()
    execute(
        store,
        "INSERT INTO llmkit.request_claims (key, job, owner, until)"
        " VALUES ('a', 'o', %s, now() + %s::interval)",
        current()._replace(host="another").text(),
        left,
    )
    assert store.claim([b"a"], "mine") == taken
    store.release("mine")


def test_leases_are_renewed_while_a_job_works_and_no_longer(store, monkeypatch):
    monkeypatch.setattr(job_leases, "LEASE", timedelta(seconds=1))
    store.claim([b"a"], "mine")
    store.reserve("mine", "u", 10, 100)
    ends = "SELECT least(c.until, r.until) FROM llmkit.request_claims c, llmkit.job_reservations r"
    (first,) = execute(store, ends)
    until(lambda: execute(store, ends)[0] > first)
    store.release("mine")
    store.settle("mine", "u", 1)
    until(lambda: store._leases._thread is None)


def test_users_neither_see_nor_change_the_answers_of_others(store, postgres):
    server().create_role("guest")
    put(store, Answer(b"k", "ok", text="private"))
    store.reserve("j", "u", 100, 100)
    theirs = f"postgresql://guest:{PASSWORD}@{postgres.partition('@')[2]}"
    guest = PostgresAnswers(Address(theirs))
    assert guest.get([b"k"]) == {}
    assert guest.reserve("j", "u", 100, 100) == Room(fits=True, spent=0)
    assert put(guest, Answer(b"k", "ok", text="theirs")) == [True]
    assert store.get([b"k"])[b"k"].text == "private"
    with psycopg.connect(theirs, autocommit=True) as curious:
        assert curious.execute("SELECT text FROM llmkit.answers").fetchall() == [("theirs",)]
        assert curious.execute("DELETE FROM llmkit.job_reservations").rowcount == 1
        assert curious.execute("UPDATE llmkit.answers SET text = 'mine'").rowcount == 1
        for statement in (
            "INSERT INTO llmkit.jobs (username, id) VALUES ('admin', 'x')",
            "UPDATE llmkit.answers SET username = 'admin', key = 'x'",
            "ALTER TABLE llmkit.answers DISABLE ROW LEVEL SECURITY",
            "TRUNCATE llmkit.answers",
            "SET ROLE admin",
        ):
            with pytest.raises(psycopg.Error, match=r"row-level security|must be owner|permission denied"):
                curious.execute(statement)
    curious.close()
    assert guest.forget() == 1
    guest.close()
    assert store.get([b"k"])[b"k"].text == "private"


def test_a_text_with_a_character_that_postgres_lacks_is_kept(store):
    assert put(store, Answer(b"k", "ok", text="a\0b \ud83d", error="\0", value="\0")) == [True]
    assert store.get([b"k"])[b"k"][2:5] == ("a\ufffdb \ufffd", "\ufffd", "\ufffd")


def test_tables_of_a_newer_llmkit_are_refused(store):
    store.jobs()
    execute(store, "UPDATE llmkit.versions SET version = 99")
    store.close()
    with pytest.raises(ConfigurationError, match=r"answers in postgresql://admin@\S+ are of a newer llmkit"):
        store.get([b"k"])


def test_a_right_that_was_taken_away_is_said_and_the_answer_stays_until_it_is_back(store, postgres):
    server().create_role("guest")
    store.jobs()
    guest = PostgresAnswers(Address(f"postgresql://guest:{PASSWORD}@{postgres.partition('@')[2]}"))
    guest.jobs()
    execute(store, "REVOKE INSERT ON llmkit.answers FROM PUBLIC")
    assert put(guest, Answer(b"k", "ok")) == [False]
    with pytest.warns(LedgerWarning, match="does not give its user the rights"):
        guest.flush()
    execute(store, "GRANT INSERT ON llmkit.answers TO PUBLIC")
    assert guest.flush()
    assert set(guest.get([b"k"])) == {b"k"}
    guest.close()


def test_the_file_of_what_waits_says_nothing_of_its_server():
    assert "postgresql" not in waiting_path("postgresql://me@db.example/llm").name


def test_users_and_machines_that_share_a_home_have_files_of_their_own(monkeypatch):
    address = "postgresql://me@db.example/llm"
    files = [waiting_path(address)]
    monkeypatch.setenv("LOGNAME", "somebody")
    files.append(waiting_path(address))
    monkeypatch.setattr("platform.node", lambda: "another-machine")
    files.append(waiting_path(address))
    assert len(set(files)) == 3
