"""Budgets between real processes: nothing is spent beyond the cap, whoever dies in between."""

import random
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from llmkit.core.errors import BudgetExceededError
from llmkit.core.timestamps import micros
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.sqlite import database, schema
from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore
from tests.unit.costs.test_budget import done, plan, version_1

HEAD = """
import asyncio, os, random, signal, sys, time, uuid
from datetime import UTC, datetime, timedelta
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore
from llmkit.core.errors import BudgetExceededError
from llmkit.records import CallRecord, CostReservation

NANO = 10**9
store = SQLiteStore(sys.argv[1])

def plan(nanos, **changes):
    fields = {"uid": uuid.uuid4().hex, "time": datetime.now(UTC), "provider": "p", "model": "m",
              "nanos": nanos, "input_tokens": 1, "output_tokens": 1, "lease_s": 60.0}
    return CostReservation(**fields | changes)

def done(intent, nanos):
    return CallRecord(time=intent.time, uid=intent.uid, status="ok", provider="p", model="m",
                      notebook=intent.notebook, cost_nanos=nanos)
"""

CALLS = """
random.seed(sys.argv[2])
for _ in range(int(sys.argv[3])):
    intent = plan(random.randint(1, 10**7), notebook=random.choice(["a", "b", None]))
    try:
        store.reserve(intent).result(60)
    except BudgetExceededError:
        print("refused", flush=True)
        continue
    print("admitted", flush=True)
    end = random.random()
    if end < 0.1:
        store.release(intent.uid)
    elif end < 0.2:
        store.append(done(intent, intent.nanos))     # the most it can cost
    else:
        assert store.append(done(intent, random.randint(0, intent.nanos))).result(60)
"""


def start(code, *arguments):
    code = HEAD + textwrap.dedent(code)
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process):
    try:
        out, err = process.communicate(timeout=250)
    finally:
        process.kill()  # nothing outlives a test that fails
    assert process.returncode in {0, -signal.SIGKILL}, err
    assert not err or process.returncode
    return out.split()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


def used(store, now=None):
    return store.amounts(micros(now or datetime.now(UTC)), "a")


def trial(path, seed, *, processes, calls, kill):
    """Let processes spend on one budget and kill some; return how many calls were admitted and refused."""
    chance = random.Random(seed)
    cap = calls * processes * 10**6  # a fifth of what they want, so that it does run out
    store = SQLiteStore(path)
    rules = {"daily": cap, "per_notebook": cap // 2}
    store.change_rules({**rules, "unknown_notebook": "allow"})
    workers = [start(CALLS, path, f"{seed}.{number}", calls) for number in range(processes)]
    victims = workers[:kill]
    for victim in victims:
        victim.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.05))
        victim.send_signal(signal.SIGKILL)
    while any(worker.poll() is None for worker in workers):
        check_wall(store, rules)
    answers = [word for worker in workers for word in finish(worker)]
    check_wall(store, rules)
    check_totals(path, store)
    store.close()
    return answers.count("admitted"), answers.count("refused")


def check_wall(store, rules):
    amounts = used(store)
    assert amounts.spent + amounts.reserved <= rules["daily"]
    assert amounts.notebook_spent + amounts.notebook_reserved <= rules["per_notebook"]


def check_totals(path, store):
    """What is spent is the sum of the rows; what is reserved belongs to the dead, and lapses."""
    assert used(store).spent == store.sums()[False].nanos
    late = SQLiteStore(path, clock=lambda: datetime.now(UTC) + timedelta(seconds=91))
    free = store.rules().daily - used(store).spent
    assert used(late).reserved == 0
    with pytest.raises(BudgetExceededError):
        late.reserve(plan(nanos=free + 1)).result(60)
    late.reserve(plan(nanos=free)).result(60)  # all that is left, and not a billionth less
    late.close()


def same_day():
    """Tell whether a test that takes a minute ends on the day on which it begins."""
    now = datetime.now().astimezone()
    return now.date() == (now + timedelta(minutes=10)).date()


def test_four_processes_never_spend_more_than_the_budget_even_if_two_are_killed(path):
    if not same_day():
        pytest.skip("midnight is near")
    admitted, refused = trial(path, 1, processes=4, calls=60, kill=2)
    assert admitted > 10
    assert refused > 10


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_trial_of_a_hundred_breaks_the_budget(tmp_path):
    for seed in range(100):
        trial(tmp_path / f"{seed}.sqlite", seed, processes=8, calls=50, kill=seed % 4)


def test_calls_that_fit_are_never_refused_however_many_ask_at_once(path):
    store = SQLiteStore(path)
    store.change_rules({"daily": 4 * 50 * 10**6})
    code = "for _ in range(50): store.reserve(plan(10**6)).result(60); print('admitted')"
    workers = [start(code, path) for _ in range(4)]
    assert [len(finish(worker)) for worker in workers] == [50] * 4
    assert used(store).reserved == 4 * 50 * 10**6
    with pytest.raises(BudgetExceededError):
        store.reserve(plan(nanos=1)).result(60)
    store.close()


def test_the_reservation_of_a_killed_process_lapses_with_its_lease(path):
    now = datetime.now(UTC)
    store = SQLiteStore(path)
    store.change_rules({"daily": 10**9})
    process = start(
        """
        store.reserve(plan(10**9)).result(60)
        print("reserved", flush=True)
        time.sleep(100)
        """,
        path,
    )
    assert process.stdout.readline() == "reserved\n"
    process.kill()
    process.communicate()
    with pytest.raises(BudgetExceededError):
        store.reserve(plan(nanos=1, time=now)).result(60)
    store._clock = lambda: datetime.now(UTC) + timedelta(seconds=91)
    store.reserve(plan(nanos=10**9, time=now)).result(60)
    store.close()


def test_a_forked_child_has_the_same_budget_and_ends_no_reservation(path):
    code = """
        ledger = Ledger(sys.argv[1])
        ledger.budget(daily=1)
        mine = plan(6 * 10**8)
        asyncio.run(ledger.guard(None).admit(mine))
        child = os.fork()
        if child == 0:
            guard = ledger.guard(None)
            try:
                asyncio.run(guard.admit(plan(5 * 10**8)))
                os._exit(1)
            except BudgetExceededError:
                pass
            yours = plan(3 * 10**8)
            asyncio.run(guard.admit(yours))
            assert ledger.record(done(yours, 2 * 10**8)).result(60)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        state = ledger.budget()
        assert (state.spent, state.reserved) == (0.2, 0.6), state
        assert ledger.record(done(mine, 10**8)).result(60)
        assert ledger.budget().reserved == 0
        """
    finish(start(code, path))


def test_forks_while_calls_are_admitted_block_no_process(path):
    code = """
        import threading
        ledger = Ledger(sys.argv[1])
        os.environ["LLMKIT_NOTEBOOK"] = "a"
        ledger.budget(daily=1000, per_notebook=1000, unknown_notebook="allow")
        stop = threading.Event()
        async def work():
            while not stop.is_set():
                intent = plan(1000, notebook="a")
                await ledger.guard(None).admit(intent)
                await asyncio.wrap_future(ledger.record(done(intent, 1000)))
        threads = [threading.Thread(target=lambda: asyncio.run(work()), daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(8):
            time.sleep(0.02)
            if not (child := os.fork()):
                async def once():
                    intent = plan(1000)
                    await ledger.guard(None).admit(intent)
                    return await asyncio.wrap_future(ledger.record(done(intent, 1000)))
                ok = all(asyncio.run(once()) for _ in range(5))
                ledger.close()
                os._exit(not ok)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        for thread in threads:
            thread.join()
        state = ledger.budget()
        assert state.reserved == 0 and round(state.spent * 10**6) == ledger.total().calls
        """
    finish(start(code, path))


def test_an_alert_of_a_scripts_last_call_is_delivered(path):
    code = """
        ledger = Ledger(sys.argv[1])
        ledger.budget(daily=1, on_alert=lambda alert: (time.sleep(0.1), print("told", flush=True)))
        ledger.record(done(plan(10**9), 10**9)).result(60)
        import logging
        logging.getLogger("llmkit.costs.budgets").disabled = True
        """
    process = start(code, path)
    out, _ = process.communicate(timeout=250)
    assert out.split() == ["told"]


def test_an_alert_of_the_very_last_moment_is_delivered(path):
    code = """
        import atexit, logging
        logging.getLogger("llmkit.costs.budgets").disabled = True
        ledger = Ledger(sys.argv[1])
        ledger.budget(daily=1, on_alert=lambda alert: print("told", flush=True))
        atexit.register(lambda: ledger.record(done(plan(10**9), 10**9)).result(60))
        """
    assert finish(start(code, path)) == ["told"]


def test_processes_that_bring_an_old_file_up_to_date_at_once_count_every_row_once(path):
    now = datetime.now(UTC)
    version_1(path, [done(plan(nanos=10**6, time=now)) for _ in range(500)])
    code = """
        assert store.append(done(plan(10**6), 10**6)).result(60)
        store.reserve(plan(10**6, time=datetime.fromisoformat(sys.argv[2]))).result(60)
        """
    for worker in [start(code, path, now.isoformat()) for _ in range(4)]:
        finish(worker)
    store = SQLiteStore(path)
    assert used(store, now).spent == 504 * 10**6
    with closing(database.open_reader(path, timeout=1)) as connection:
        assert schema.check(connection) == len(schema.MIGRATIONS)
    store.close()


def test_a_worker_of_multiprocessing_keeps_its_promises_and_may_drop_its_ledger(path):
    code = """
        import multiprocessing
        store.change_rules({"daily": NANO})
        intent = plan(NANO)
        def work():
            mine = SQLiteStore(sys.argv[1])
            mine.reserve(intent).result(60)
            mine.release(intent.uid)  # nobody waits for it
            other = SQLiteStore(sys.argv[1])
            other.append(done(plan(5), 5)).result(60)
            other.close()
            del other
        worker = multiprocessing.get_context("fork").Process(target=work)
        worker.start()
        worker.join()
        assert worker.exitcode == 0
        """
    finish(start(code, path))
    store = SQLiteStore(path)
    amounts = used(store)
    assert (amounts.spent, amounts.reserved) == (5, 0)
    store.close()


def test_two_ledgers_of_one_process_share_the_budget(path):
    first, second = SQLiteStore(path), SQLiteStore(path)
    first.change_rules({"daily": 10**9})
    first.reserve(plan(nanos=6 * 10**8)).result(10)
    with pytest.raises(BudgetExceededError):
        second.reserve(plan(nanos=5 * 10**8)).result(10)
    second.reserve(plan(nanos=4 * 10**8)).result(10)
    first.close()
    second.close()


def test_a_release_that_is_not_awaited_is_done_as_the_process_ends(path):
    code = """
        store.change_rules({"daily": NANO})
        intent = plan(NANO)
        store.reserve(intent).result(60)
        store.release(intent.uid)
        """
    finish(start(code, path))
    store = SQLiteStore(path)
    assert used(store).reserved == 0
    store.close()
    assert Ledger(path).budget().reserved == 0.0
