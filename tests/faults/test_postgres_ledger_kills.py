"""Many processes share a ledger in PostgreSQL whose server is killed and started again while they work."""

import json
import subprocess
import sys
import threading

import pytest

from llmkit.costs.ledger import Ledger
from tests.support import postgres as postgres_server

WORKER = """
import json, sys, uuid, warnings
from datetime import UTC, datetime
from llmkit.core.errors import BudgetExceededError, ConfigurationError
from llmkit.costs.ledger import Ledger
from llmkit.records import CallRecord, CostReservation

warnings.simplefilter("ignore")
ledger, calls = Ledger(sys.argv[1]), int(sys.argv[2])
store, written, refused, unasked = ledger.flushed_store(), [], 0, 0
call = {"provider": "openai", "model": "m"}
while len(written) + refused < calls:
    one = call | {"uid": uuid.uuid4().hex, "time": datetime.now(UTC)}
    plan = CostReservation(**one, nanos=10**7, input_tokens=1, output_tokens=1, lease_s=1)
    try:
        store.reserve(plan).result(60)
    except BudgetExceededError:
        refused += 1
        continue
    except ConfigurationError:  # the server is away; `flush` tries again at once
        unasked += 1
        store.flush(1)
        continue
    ledger.record(CallRecord(**one, status="ok", cost_nanos=10**7)).result(60)
    written.append(one["uid"])
done = any(ledger.flush(60) for _ in range(60))
print(json.dumps({"written": written, "refused": refused, "unasked": unasked, "done": done}))
"""


def run(url, workers, calls, kills):
    """Let processes work, kill the server some times meanwhile, and return what they report."""
    server = postgres_server.server()
    command = [sys.executable, "-c", WORKER, url, str(calls)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(workers)]
    reports = []
    threads = [threading.Thread(target=lambda p=p: reports.append(p.communicate()[0])) for p in running]
    for thread in threads:
        thread.start()
    database = url.rpartition("/")[2]
    for kill in range(1, kills + 1):
        goal = kill * workers * calls // (3 * kills)
        while server.execute("SELECT count(*) FROM llmkit.calls", database=database)[0][0] < goal:
            assert any(thread.is_alive() for thread in threads)
        server.kill()
        server.start()
    for thread in threads:
        thread.join(500)
    return list(map(json.loads, reports))


@pytest.fixture
def durable(postgres):
    """The address of a database whose commits outlive a kill of the server, as usual."""
    name = postgres.rpartition("/")[2]
    postgres_server.server().execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    return postgres


@pytest.mark.parametrize(
    ("workers", "calls", "kills"),
    [
        pytest.param(3, 30, 1, marks=pytest.mark.full),
        pytest.param(8, 200, 3, marks=[pytest.mark.soak, pytest.mark.timeout(590)]),
    ],
)
def test_no_call_is_lost_or_doubled_and_no_cap_is_passed(durable, workers, calls, kills):
    ledger = Ledger(durable)
    cap = workers * calls * 2 // 3  # calls that fit
    ledger.budget(daily=cap / 100)
    reports = run(durable, workers, calls, kills)
    assert [report["done"] for report in reports] == [True] * workers
    written = [uid for report in reports for uid in report["written"]]
    assert sorted(ledger.df["uid"]) == sorted(written)
    assert len(written) + sum(report["refused"] for report in reports) == workers * calls
    # A reservation that broke off may hold one call's cost until its lease ends.
    unasked = sum(report["unasked"] for report in reports)
    assert cap - unasked <= len(written) <= cap
    assert ledger.total().calls == ledger.summary("model")["calls"].sum() == len(written)
    assert ledger.budget().spent == pytest.approx(len(written) / 100)
    ledger.close()


RACER = """
import sys, uuid, warnings
from datetime import UTC, datetime
from llmkit.core.errors import BudgetExceededError
from llmkit.costs.ledger import Ledger
from llmkit.records import CostReservation

store, admitted = Ledger(sys.argv[1]).flushed_store(), 0
store.rules()
print("ready", flush=True)
for trial in sys.stdin:
    time = datetime.fromisoformat(trial.strip())
    plan = CostReservation(uid=uuid.uuid4().hex, time=time, nanos=7 * 10**7, input_tokens=1,
                           output_tokens=1, lease_s=60, provider="openai", model="m")
    try:
        store.reserve(plan).result(60)
        print(1, flush=True)
    except BudgetExceededError:
        print(0, flush=True)
"""


@pytest.mark.full
def test_of_processes_that_reserve_at_the_same_moment_only_those_are_admitted_that_fit(postgres):
    ledger = Ledger(postgres)
    ledger.budget(daily=0.21)  # three times 7 cents
    command = [sys.executable, "-c", RACER, postgres]
    pipe = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    racers = [subprocess.Popen(command, **pipe) for _ in range(5)]
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 5
    for trial in range(100):
        day = f"20{trial:02}-06-01T12:00:00+00:00"
        for racer in racers:
            racer.stdin.write(f"{day}\n")
        assert sum(int(racer.stdout.readline()) for racer in racers) == 3, day
    for racer in racers:
        racer.communicate()
    ledger.close()
