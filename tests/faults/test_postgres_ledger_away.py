"""The server of a ledger is away, comes back, or drops a connection in the middle."""

import logging
import stat
import subprocess
import sys
import uuid
from datetime import UTC, datetime

import pytest

import llmkit
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.rows import UID
from llmkit.costs.store.writer import LedgerWarning
from llmkit.records import CallRecord, CostReservation
from tests.support import postgres as postgres_server

pytestmark = pytest.mark.full


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m"}
    return CallRecord(**fields | {"cost_nanos": 10**9, "time": datetime.now(UTC)} | changes)


def plan(usd, **changes):
    fields = {"uid": uuid.uuid4().hex, "time": datetime.now(UTC), "provider": "openai", "model": "m"}
    fields |= {"input_tokens": 1, "output_tokens": 1, "lease_s": 60}
    return CostReservation(**fields | {"nanos": round(usd * 10**9)} | changes)


@pytest.fixture
def server():
    server = postgres_server.server()
    yield server
    server.stop(immediate=True)
    server.start()


@pytest.fixture
def ledger(postgres, server):
    ledger = Ledger(postgres)
    yield ledger
    server.stop(immediate=True)
    server.start()
    ledger.close()


def test_calls_wait_in_a_file_of_their_user_and_arrive_once(ledger, server):
    first = call()
    assert ledger.record(first).result(60) is True
    server.kill()
    late = [call(), call(model="n", tags={"a": "ü"})]
    with pytest.warns(LedgerWarning, match="They wait in .*offline-.*sqlite and arrive later"):
        assert [ledger.record(each).result(60) for each in late] == [False, False]
    path = ledger.flushed_store()._offline.path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ledger.waiting == 2
    server.start()
    assert ledger.flush(60)
    assert sorted(ledger.df["uid"]) == sorted(each.uid for each in (first, *late))
    assert ledger.total().usd == 3
    assert ledger.flushed_store()._offline.kept() == []


CHILD = """
import sys, uuid, warnings
from datetime import UTC, datetime
from llmkit.costs.ledger import Ledger
from llmkit.records import CallRecord
warnings.simplefilter("ignore")
call = CallRecord(uid="c" * 32, status="ok", provider="p", model="m", time=datetime.now(UTC), cost_nanos=1)
print(Ledger(sys.argv[1]).record(call).result(60), flush=True)
import os; os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_left_arrives_with_the_next_one(ledger, server, postgres):
    ledger.record(call()).result(60)
    server.kill()
    child = subprocess.run(
        [sys.executable, "-c", CHILD, postgres], capture_output=True, text=True, check=False
    )
    assert child.stdout.split() == ["False"], child.stderr
    server.start()
    another = Ledger(postgres)
    assert another.total().calls == 2
    assert "c" * 32 in set(another.df["uid"])
    another.close()
    assert ledger.total().calls == 2


EXITING = """
import sys, uuid, warnings
from datetime import UTC, datetime
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.postgres.postgres_store import PostgresStore
from llmkit.records import CallRecord

def call(uid):
    fields = {"status": "ok", "provider": "p", "model": "m", "cost_nanos": 1}
    return CallRecord(uid=uid * 32, time=datetime.now(UTC), **fields)

store = PostgresStore(sys.argv[1], lock_timeout=1)
ledger = Ledger(store=store)
assert ledger.record(call("a")).result(60)
print(store._offline.path, flush=True)
sys.stdin.readline()
for uid in "bc":
    ledger.record(call(uid))
"""


def test_a_server_that_never_answers_does_not_hold_the_exit_and_the_calls_wait_in_the_file(
    ledger, server, postgres
):
    program = [sys.executable, "-c", EXITING, postgres]
    pipe = subprocess.PIPE
    with subprocess.Popen(program, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as child:
        path = child.stdout.readline().strip()
        try:
            with server.halted():
                said = child.communicate("go\n", timeout=60)[1]
                assert f"2 calls could not be written to the ledger {ledger.flushed_store().name}" in said
                assert f"They wait in {path}" in said
                kept = ledger.flushed_store()._offline.kept()
                assert {row[UID] for row in kept} == {"b" * 32, "c" * 32}
        finally:
            child.kill()
    assert sorted(ledger.df["uid"]) == ["a" * 32, "b" * 32, "c" * 32]
    assert ledger.flushed_store()._offline.kept() == []


def test_a_budget_that_cannot_be_asked_refuses_unless_told_otherwise(ledger, server, caplog):
    ledger.budget(daily=5, per_call=2)
    store = ledger.flushed_store()
    store.reserve(plan(1)).result(60)
    server.kill()
    assert store.rules().daily == 5 * 10**9
    with pytest.raises(llmkit.ConfigurationError, match="Cannot check the budget, so the call was not sent"):
        store.reserve(plan(1)).result(60)
    server.start()
    ledger.budget(offline="allow")
    server.kill()
    with caplog.at_level(logging.WARNING):
        store.reserve(plan(1)).result(60)
        store.reserve(plan(1)).result(60)
        with pytest.raises(llmkit.BudgetExceededError, match="per call"):
            store.reserve(plan(3)).result(60)
    said = [record.message for record in caplog.records if "not checked" in record.message]
    assert len(said) == 1
    server.start()


def test_a_process_that_starts_while_the_server_is_away_knows_the_budgets(ledger, server, postgres):
    ledger.budget(daily=5)
    server.kill()
    fresh = Ledger(postgres)
    assert fresh.flushed_store().rules().daily == 5 * 10**9
    assert fresh.guard(None) is not None
    fresh.close()
    server.start()


def test_before_any_budget_is_known_no_call_passes(server):
    url = server.url("never_seen")
    server.kill()
    ledger = Ledger(url)
    guard = ledger.guard(None)
    assert guard is not None
    with pytest.raises(llmkit.ConfigurationError, match="Cannot check the budget"):
        ledger.flushed_store().reserve(plan(1)).result(60)
    ledger.close()
    server.start()


def test_a_connection_that_breaks_in_the_middle_of_a_reservation_reserves_once(ledger, server, postgres):
    ledger.budget(daily=10)
    store = ledger.flushed_store()
    for _ in range(5):
        one = plan(1)
        store.reserve(one).result(60)
        server.disconnect(postgres.rpartition("/")[2])
        store.reserve(one).result(60)
        assert ledger.record(call(uid=one.uid)).result(60) is True
    assert ledger.budget().spent == 5
    assert ledger.budget().reserved == 0


def test_reading_says_what_is_wrong_and_writing_warns_once(ledger, server):
    ledger.record(call()).result(60)
    server.kill()
    for use in (ledger.total, lambda: ledger.df, ledger.budget, ledger.clear):
        with pytest.raises(llmkit.ConfigurationError, match="Cannot reach") as caught:
            use()
        assert postgres_server.PASSWORD not in str(caught.value)
    server.start()


def test_a_merged_ledger_says_so_and_reads_on_when_the_server_is_back(ledger, server, postgres, tmp_path):
    laptop = Ledger(tmp_path / "laptop.sqlite")
    assert laptop.record(call()).result(60)
    assert ledger.record(call()).result(60)
    merged = Ledger.merged(tmp_path / "laptop.sqlite", postgres)
    assert merged.total().calls == 2
    server.kill()
    with pytest.raises(llmkit.ConfigurationError, match="Cannot reach postgresql://admin@127") as caught:
        merged.total()
    assert postgres_server.PASSWORD not in str(caught.value)
    server.start()
    assert ledger.record(call()).result(60)
    assert merged.total().calls == 3
    merged.close()
    laptop.close()
