# ruff: noqa: PT031 - a warning is due at one of several calls
import asyncio
import copy
import logging
import math
import pickle
import sqlite3
import threading
import time
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

import llmkit
from llmkit.core import sqlite
from llmkit.core.errors import BudgetExceededError, ConfigurationError
from llmkit.core.timestamps import micros
from llmkit.costs.budgets import rules
from llmkit.costs.budgets.alerts import Alert
from llmkit.costs.budgets.budget import KEEP, Budgets
from llmkit.costs.budgets.rules import Amounts, BudgetRules
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.rows import COLUMNS, encode
from llmkit.costs.store.sqlite import schema
from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore
from llmkit.records import CallRecord, CostReservation, calling

NANO = 1_000_000_000


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def zone(monkeypatch):
    """Return a function that moves this machine to another time zone."""

    def move(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path):
    ledger = Ledger(path)
    yield ledger
    ledger.close()


@pytest.fixture
def store(path):
    store = SQLiteStore(path, busy_timeout=0.2, clock=Clock(datetime(2026, 11, 22, 12, tzinfo=UTC)))
    yield store
    store._writer.discard(before=None, column=0)
    store.close()


def plan(usd=1.0, **changes):
    fields = {
        "uid": uuid.uuid4().hex,
        "time": datetime.now(UTC),
        "provider": "openai",
        "model": "gpt-9",
        "nanos": None if usd is None else round(usd * NANO),
        "input_tokens": 1200,
        "output_tokens": 16384,
        "lease_s": 60.0,
    }
    return CostReservation(**fields | changes)


def done(reservation, usd=None, **changes):
    fields = {
        "time": reservation.time,
        "uid": reservation.uid,
        "status": "ok",
        "provider": reservation.provider,
        "model": reservation.model,
        "notebook": reservation.notebook,
        "cost_nanos": reservation.nanos if usd is None else round(usd * NANO),
    }
    return CallRecord(**fields | changes)


async def admit(ledger, reservation):
    guard = ledger.guard(reservation.cap_nanos)
    assert guard is not None
    await guard.admit(reservation)
    return reservation


def used(store, time=None, notebook=None):
    """Return what is used once everything that was asked for is done."""
    return store.settled(micros(time or datetime.now(UTC)), notebook).result(10)


def holding(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    return closing(connection)


def test_without_a_budget_nothing_is_checked_and_no_file_is_made(ledger, path):
    assert ledger.guard(None) is None
    assert not path.exists()


def test_a_budget_can_be_copied_and_pickled(ledger):
    seen = ledger.budget(daily=5)
    copies = copy.copy(seen), copy.deepcopy([seen])[0], pickle.loads(pickle.dumps(seen))
    assert [(each.daily, each.left, repr(each)) for each in copies] == [(5.0, 5.0, repr(seen))] * 3
    copies[1].allow_model("openai:gpt-9")  # a copy still speaks to its ledger


async def test_a_budget_is_used_up_to_the_last_billionth(ledger):
    ledger.budget(daily=0.3)
    await admit(ledger, plan(0.1))
    await admit(ledger, plan(0.1))
    with pytest.raises(BudgetExceededError):
        await admit(ledger, plan(nanos=100_000_001))
    await admit(ledger, plan(0.1))
    with pytest.raises(BudgetExceededError):
        await admit(ledger, plan(nanos=1))
    assert ledger.budget().left == 0.0


async def test_what_a_call_costs_takes_the_place_of_what_was_reserved_for_it(ledger):
    ledger.budget(daily=1)
    call = await admit(ledger, plan(0.9))
    with pytest.raises(BudgetExceededError):
        await admit(ledger, plan(0.2))
    assert await asyncio.wrap_future(ledger.record(done(call, 0.1)))
    state = ledger.budget()
    assert (state.spent, state.reserved, state.left) == (0.1, 0.0, 0.9)
    await admit(ledger, plan(0.9))


async def test_another_attempt_replaces_the_reservation_of_the_first(ledger):
    ledger.budget(daily=1)
    call = await admit(ledger, plan(0.6))
    await admit(ledger, plan(1.0, uid=call.uid))
    assert ledger.budget().reserved == 1.0
    await admit(ledger, plan(0.5, uid=call.uid))
    assert ledger.budget().reserved == 0.5
    with pytest.raises(BudgetExceededError):
        await admit(ledger, plan(1.1, uid=call.uid))
    assert ledger.budget().reserved == 0.5


@pytest.mark.parametrize("status", ["ok", "error", "interrupted", "cancelled"])
async def test_however_a_call_ends_its_row_settles_it(ledger, status):
    ledger.budget(daily=1)
    call = await admit(ledger, plan(1.0))
    await asyncio.wrap_future(ledger.record(done(call, 0.25, status=status)))
    assert (ledger.budget().spent, ledger.budget().reserved) == (0.25, 0.0)


async def test_a_row_without_a_price_ends_the_reservation_too(ledger):
    ledger.budget(daily=1)
    call = await admit(ledger, plan(1.0))
    await asyncio.wrap_future(ledger.record(done(call, cost_nanos=None)))
    assert (ledger.budget().spent, ledger.budget().reserved) == (0.0, 0.0)


async def test_a_call_that_turns_out_to_be_simulated_costs_nothing(ledger):
    ledger.budget(daily=1)
    call = await admit(ledger, plan(1.0))
    await asyncio.wrap_future(ledger.record(done(call, 1.0, simulated=True)))
    assert (ledger.budget().spent, ledger.budget().reserved) == (0.0, 0.0)


async def test_a_released_call_leaves_nothing_behind(ledger):
    ledger.budget(daily=1)
    call = await admit(ledger, plan(1.0))
    guard = ledger.guard(None)
    guard.release(call.uid)
    guard.release(call.uid)
    guard.release("unknown")
    await admit(ledger, plan(1.0))


async def test_a_call_that_is_cancelled_while_it_is_admitted_leaves_no_reservation(ledger, path):
    ledger.budget(daily=1)
    call = plan(1.0)
    with holding(path):
        task = asyncio.create_task(admit(ledger, call))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        ledger.guard(None).release(call.uid)
    assert used(ledger._store) == Amounts()


def test_a_release_before_any_reservation_does_not_touch_the_file(ledger, path):
    Budgets(ledger._store).release("unknown")
    ledger.close()
    assert not path.exists()


async def test_what_costs_nothing_passes_an_empty_budget(ledger):
    ledger.budget(daily=0, per_call=0)
    await admit(ledger, plan(0.0))
    with pytest.raises(BudgetExceededError):
        await admit(ledger, plan(nanos=1))
    assert used(ledger._store) == Amounts()


def notebooks(ledger, usd, **more):
    """Set a budget of each notebook, from within one."""
    with calling(notebook="a.ipynb"):
        ledger.budget(per_notebook=usd, **more)


async def test_a_notebook_has_a_budget_of_its_own(ledger):
    notebooks(ledger, 1, unknown_notebook="allow")
    await admit(ledger, plan(1.0, notebook="a.ipynb"))
    with pytest.raises(BudgetExceededError, match=r"^Budget of a\.ipynb \$1\.00: \$0\.00 spent, \$1\.00 res"):
        await admit(ledger, plan(0.1, notebook="a.ipynb"))
    await admit(ledger, plan(1.0, notebook="b.ipynb"))
    for _ in range(3):
        await admit(ledger, plan(1.0, notebook=None))
    with calling(notebook="a.ipynb"):
        state = ledger.budget()
    assert (state.notebook_reserved, state.notebook_left, state.reserved) == (1.0, 0.0, 5.0)


async def test_what_a_notebook_spent_counts_for_it_and_for_the_day(ledger):
    notebooks(ledger, 1, daily=2)
    call = await admit(ledger, plan(0.75, notebook="a.ipynb"))
    await asyncio.wrap_future(ledger.record(done(call)))
    with pytest.raises(BudgetExceededError, match=r"a\.ipynb \$1\.00: \$0\.75 spent, \$0\.00 reserved"):
        await admit(ledger, plan(0.5, notebook="a.ipynb"))
    ledger.budget(unknown_notebook="allow")
    with pytest.raises(BudgetExceededError, match=r"Daily budget \$2\.00: \$0\.75 spent"):
        await admit(ledger, plan(1.5))
    with calling(notebook="a.ipynb"):
        state = ledger.budget()
    assert (state.notebook, state.notebook_spent, state.notebook_left, state.spent) == (
        "a.ipynb", 0.75, 0.25, 0.75,
    )  # fmt: skip


async def test_a_limit_per_call_needs_no_reservation(ledger):
    ledger.budget(per_call=0.1)
    for _ in range(20):
        await admit(ledger, plan(0.1))
    with pytest.raises(
        BudgetExceededError, match=r"Limit per call \$0\.10: this call may cost up to \$0\.11 "
    ) as e:
        await admit(ledger, plan(0.11))
    assert (e.value.cap, e.value.spent, e.value.needed, e.value.resets) == (0.1, 0.0, 0.11, None)
    assert used(ledger._store) == Amounts()


async def test_a_call_may_have_a_limit_of_its_own_without_any_budget(ledger, path):
    await admit(ledger, plan(0.05, cap_nanos=NANO // 20))
    with pytest.raises(BudgetExceededError, match=r"^Limit of this call \$0\.05: this call may") as caught:
        await admit(ledger, plan(0.06, cap_nanos=NANO // 20))
    assert caught.value.resets is None
    assert not path.exists()


async def test_the_tightest_limit_holds(ledger):
    ledger.budget(per_call=0.1, daily=5)
    with pytest.raises(BudgetExceededError, match="Limit of this call"):
        await admit(ledger, plan(0.06, cap_nanos=NANO // 20))
    with pytest.raises(BudgetExceededError, match="Limit per call"):
        await admit(ledger, plan(0.2, cap_nanos=NANO))
    assert used(ledger._store) == Amounts()


async def test_the_refusal_says_everything_there_is_to_know(ledger, zone):
    zone("UTC")
    at = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
    ledger.budget(daily=5)
    await asyncio.wrap_future(ledger.record(done(plan(4.62, time=at))))
    await admit(ledger, plan(0.3, time=at))
    with pytest.raises(BudgetExceededError) as caught:
        await admit(ledger, plan(0.21, time=at))
    error = caught.value
    assert error.message == (
        "Daily budget $5.00: $4.62 spent, $0.30 reserved by running calls, and this call may cost up to $0.21"
        " (1,200 input and up to 16,384 output tokens). Resets at midnight (2026-11-23 00:00)."
    )
    assert (error.cap, error.spent, error.reserved, error.needed) == (5.0, 4.62, 0.3, 0.21)
    assert error.resets == datetime(2026, 11, 23, tzinfo=UTC)
    assert "max_tokens" in error.hint
    assert len(str(error)) <= 500


async def test_the_budget_begins_anew_at_local_midnight(store, zone):
    zone("Europe/Berlin")
    budgets = Budgets(store)
    budgets.change(daily=1)
    evening = datetime(2026, 11, 22, 22, 59, 59, tzinfo=UTC)
    midnight = datetime(2026, 11, 22, 23, 0, 0, tzinfo=UTC)
    assert budgets.guard(None) is budgets
    await budgets.admit(plan(1.0, time=evening))
    with pytest.raises(BudgetExceededError) as caught:
        await budgets.admit(plan(1.0, time=evening))
    assert caught.value.resets == midnight
    await budgets.admit(plan(1.0, time=midnight))


@pytest.mark.parametrize(
    ("first", "hours"),
    [(datetime(2026, 3, 28, 23, tzinfo=UTC), 23), (datetime(2026, 10, 24, 22, tzinfo=UTC), 25)],
    ids=["spring", "autumn"],
)
async def test_the_day_on_which_the_clocks_change_has_its_own_length(store, zone, first, hours):
    zone("Europe/Berlin")
    budgets = Budgets(store)
    budgets.change(daily=1)
    await asyncio.wrap_future(store.append(done(plan(1.0, time=first))))
    budgets.guard(None)
    last = first + timedelta(hours=hours, microseconds=-1)
    with pytest.raises(BudgetExceededError) as caught:
        await budgets.admit(plan(1.0, time=last))
    assert caught.value.resets == first + timedelta(hours=hours)
    await budgets.admit(plan(1.0, time=first + timedelta(hours=hours)))
    with pytest.raises(BudgetExceededError):
        await budgets.admit(plan(nanos=1, time=first))


def test_the_cost_of_a_call_counts_for_the_day_on_which_it_began(store, zone):
    zone("Europe/Berlin")
    evening = datetime(2026, 11, 22, 22, 59, 59, tzinfo=UTC)
    store.append(done(plan(0.5, time=evening), duration_s=7200.0))
    assert used(store, evening).spent == NANO // 2
    assert used(store, evening + timedelta(seconds=1)).spent == 0


def test_a_reservation_ends_with_its_lease_and_half_a_minute(store):
    store.change_rules({"daily": NANO})
    clock, call = store._clock, plan(1.0, time=datetime(2026, 11, 22, 12, tzinfo=UTC), lease_s=60)
    store.reserve(call).result(10)
    clock.now += timedelta(seconds=90, microseconds=-1)
    assert used(store, call.time).reserved == NANO
    with pytest.raises(BudgetExceededError):
        store.reserve(plan(1.0, time=call.time)).result(10)
    clock.now += timedelta(microseconds=1)
    assert used(store, call.time).reserved == 0
    store.reserve(plan(1.0, time=call.time)).result(10)
    assert used(store, call.time).reserved == NANO
    assert store._connection.execute("SELECT count(*) FROM holds").fetchone() == (1,), "the old one is gone"


def test_a_call_that_outlives_its_lease_is_still_booked(store):
    store.change_rules({"daily": NANO})
    call = plan(1.0, time=datetime(2026, 11, 22, 12, tzinfo=UTC), lease_s=60)
    store.reserve(call).result(10)
    store._clock.now += timedelta(hours=1)
    other = plan(0.5, time=call.time)
    store.reserve(other).result(10)
    assert store.append(done(call, 0.75)).result(10)
    assert used(store, call.time) == Amounts(750_000_000, 500_000_000, 750_000_000, 500_000_000)


def test_what_is_reserved_without_bound_does_not_break_the_sums(store):
    store.change_rules({"per_notebook": NANO, "unknown_notebook": "allow"})
    for _ in range(3):
        store.reserve(plan(nanos=2**80)).result(10)
    assert used(store).reserved == 3 * 10**18


def test_deleting_calls_does_not_give_the_money_back(ledger):
    ledger.record(done(plan(0.5))).result(10)
    assert ledger.clear() == 1
    assert ledger.total().calls == 0
    assert ledger.budget().spent == 0.5


def test_a_row_that_is_written_twice_is_paid_once(store):
    record = done(plan(0.5))
    store.append(record)
    store.append(record)
    assert used(store).spent == NANO // 2


@pytest.mark.parametrize("name", ["daily", "per_notebook", "per_call"])
@pytest.mark.parametrize("value", [-0.01, math.nan, math.inf, "5", 1e9 + 1, Decimal(-1), object()])
def test_what_is_no_limit_is_refused_and_changes_nothing(ledger, name, value):
    ledger.budget(daily=1)
    with pytest.raises(ConfigurationError, match=rf"{name} must be .*Use None to remove"):
        ledger.budget(**{"per_call": 2} | {name: value})
    state = ledger.budget()
    assert (state.daily, state.per_notebook, state.per_call) == (1.0, None, None)


def test_an_unknown_policy_is_refused(ledger):
    with pytest.raises(ConfigurationError, match=r"Unknown policy unpriced='maybe'.*refuse, allow, ask"):
        ledger.budget(unpriced="maybe")


def test_what_is_not_given_stays_and_none_lifts_a_limit(ledger):
    notebooks(ledger, 1, daily=5, per_call=Decimal("0.1"), unpriced="ask")
    ledger.budget(daily=None)
    state = ledger.budget()
    assert (state.daily, state.per_notebook, state.per_call, state.unpriced) == (None, 1.0, 0.1, "ask")
    assert (state.left, state.notebook_left) == (None, None)
    assert ledger.budget(daily=1e9).daily == 1e9
    assert repr(KEEP) == "KEEP"


def test_a_single_amount_is_that_of_a_day(ledger):
    assert ledger.budget(5).daily == 5
    assert ledger.budget(None).daily is None


def test_the_status_says_that_simulated_calls_do_not_count(ledger):
    assert "simulated" not in repr(ledger.budget(5))
    ledger.record(done(plan(1.0, time=datetime.now(UTC)), simulated=True)).result(60)
    status = ledger.budget()
    assert (status.spent, status.simulated) == (0, 1)
    said = "simulated    1 call today: the sandbox's answers are free and do not count"
    assert said in repr(status)
    assert "are free and do not count" in status._repr_html_()


def test_looking_at_the_budget_makes_no_file(ledger, path):
    state = ledger.budget()
    assert (state.daily, state.spent, state.unpriced) == (None, 0.0, "refuse")
    assert not path.exists()


def test_the_status_reads_well(zone, path):
    zone("UTC")
    store = SQLiteStore(path)
    now = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
    store.append(done(plan(4.62, time=now, notebook="<a>.ipynb"))).result(10)
    budgets = Budgets(store, clock=Clock(now))
    assert repr(budgets.status()) == (
        "daily        no limit: $4.62 spent, $0.00 reserved; resets 2026-11-23 00:00\n"
        "per notebook no limit\nper call     no limit\nunpriced     refuse"
    )
    with calling(notebook="<a>.ipynb"):
        budgets.change(daily=5, per_notebook=4.7, per_call=0.1)
        state = budgets.status()
    assert repr(state) == (
        "daily        $5.00: $4.62 spent, $0.00 reserved, $0.38 left; resets 2026-11-23 00:00\n"
        "per notebook $4.70: $4.62 spent, $0.00 reserved, $0.08 left (<a>.ipynb)\n"
        "per call     $0.10\nunpriced     refuse"
    )
    assert "(&lt;a&gt;.ipynb)</td>" in state._repr_html_()
    assert "per notebook $4.70: the budget per notebook cannot be enforced here" in repr(budgets.status())
    assert state.resets == datetime(2026, 11, 23, tzinfo=UTC)
    store.close()


def broken(usd=0.1, at_most=0.9, **changes):
    """Return the record of a call whose answer broke off."""
    fields = {"status": "interrupted", "usage_source": "partial", "at_most_nanos": round(at_most * NANO)}
    return done(plan(usd), **fields | changes)


async def test_a_budget_counts_what_an_answer_that_broke_off_may_have_cost_until_it_is_settled(ledger):
    ledger.budget(daily=1)
    record = broken()
    assert ledger.record(record).result(10)
    state = ledger.budget()
    assert (state.spent, state.uncertain, round(state.left, 9)) == (0.1, 0.8, 0.1)
    assert "$0.10 spent, $0.00 reserved, up to $0.80 more for partial answers, $0.10 left" in repr(state)
    assert ledger.total().usd == 0.1, "totals show the estimate"
    with pytest.raises(BudgetExceededError, match=r"up to \$0\.80 more.*ledger\.settle\(uid\)") as caught:
        await admit(ledger, plan(0.2))
    assert (caught.value.spent, caught.value.uncertain, caught.value.reserved) == (0.1, 0.8, 0)
    assert ledger.settle(record.uid).settled == 1
    assert (ledger.budget().uncertain, ledger.total().usd) == (0, 0.1)
    assert ledger.df["at_most_usd"].isna().all()
    await admit(ledger, plan(0.9))


def test_a_call_is_settled_at_an_amount_and_that_can_be_taken_back(ledger):
    record = broken(notebook="a.ipynb", price_source="genai-prices")
    ledger.record(record)
    found = ledger.settle(record.uid, cost_usd=0.5)
    assert (found.calls, found.settled, found.new_nanos) == (1, 1, NANO // 2)
    (row,) = ledger.df.to_dict("records")
    assert (row["cost_usd"], row["price_source"], row["status"]) == (0.5, "given", "interrupted")
    assert (ledger.budget().spent, ledger.budget().uncertain) == (0.5, 0)
    assert sorted(ledger.corrections["what"]) == ["at_most", "cost", "usage_source"]
    assert ledger.settle(record.uid, 0.5).calls == 0, "a second time changes nothing"
    ledger.correct(undo=found.run)
    (row,) = ledger.df.to_dict("records")
    assert (row["cost_usd"], row["at_most_usd"], row["price_source"]) == (0.1, 0.9, "genai-prices")
    assert ledger.budget().uncertain == pytest.approx(0.8)


def test_settling_says_what_cannot_be_settled(ledger):
    replayed = done(plan(0), status="replayed")
    ledger.record(replayed)
    with pytest.raises(ConfigurationError, match=r"Unknown call: uid='x'.*ledger\.df"):
        ledger.settle("x")
    with pytest.raises(ConfigurationError, match="was replayed and cost nothing"):
        ledger.settle(replayed.uid, 1)
    whole = done(plan(1))
    ledger.record(whole)
    for amount in (-1, math.nan, "much"):
        with pytest.raises(ConfigurationError, match="must be >= 0 US dollars"):
            ledger.settle(whole.uid, amount)
    assert "Nothing to correct" in repr(ledger.settle(whole.uid))


def test_what_is_settled_at_the_estimate_says_so(ledger):
    record = broken()
    ledger.record(record)
    found = ledger.settle(record.uid)
    assert repr(found) == f'Settled at the estimate: 1; ledger.correct(undo="{found.run}") undoes it'


def test_taking_that_back_says_so_too(ledger):
    record = broken()
    ledger.record(record)
    found = ledger.correct(undo=ledger.settle(record.uid).run)
    assert (found.settled, repr(found)[:13]) == (-1, "Open again: 1")
    assert ledger.df["at_most_usd"].tolist() == [0.9]


def test_the_bound_follows_a_corrected_price(ledger):
    fields = {"model": "m", "input_tokens": 10**5, "output_tokens": 0, "price_source": "genai-prices"}
    ledger.record(broken(**fields)).result(10)
    table = {"m": {"input": 2, "output": 2}}
    assert "1 price would be corrected" in repr(ledger.correct(prices=table, dry_run=True))
    found = ledger.correct(prices=table)
    assert (found.calls, found.settled) == (1, 0)
    assert ledger.df[["cost_usd", "at_most_usd"]].to_numpy().tolist() == [[0.2, 1.8]]
    assert ledger.budget().uncertain == pytest.approx(1.6)
    ledger.correct(undo=found.run)
    assert ledger.df[["cost_usd", "at_most_usd"]].to_numpy().tolist() == [[0.1, 0.9]]


def test_an_older_llmkit_counts_what_is_uncertain_as_reserved(store):
    """It adds up all holds, and its rows have no bound."""
    store.append(broken(time=datetime(2026, 11, 22, 11, tzinfo=UTC))).result(10)
    with closing(sqlite3.connect(store.path)) as connection:
        held = connection.execute("SELECT sum(nanos) FROM holds WHERE day = '2026-11-22'").fetchone()
        assert held == (round(0.8 * NANO),)
        connection.execute("INSERT INTO calls (time, uid, cost_nanos) VALUES (1, 'old', 5)")
        connection.commit()
        assert connection.execute("SELECT count(*) FROM holds").fetchone() == (1,)


def test_merged_ledgers_say_what_is_uncertain_once(tmp_path):
    record = broken()
    for name in "ab":
        with closing(Ledger(tmp_path / name)) as ledger:
            ledger.record(record).result(10)
    with closing(Ledger.merged(tmp_path / "a", tmp_path / "b")) as both:
        state = both.budget()
        assert (state.spent, round(state.uncertain, 9)) == (0.1, 0.8)
    with closing(Ledger(tmp_path / "b")) as ledger:
        ledger.settle(record.uid, 0.3)
    with closing(Ledger.merged(tmp_path / "a", tmp_path / "b")) as both:
        assert (both.budget().spent, both.budget().uncertain) == (0.3, 0)


def test_the_public_function_speaks_of_the_default_ledger():
    state = llmkit.budget(per_call=0.5)
    try:
        assert state == llmkit.ledger.budget()
        assert llmkit.budget().per_call == 0.5
    finally:
        llmkit.budget(per_call=None)
    assert isinstance(state, llmkit.Budget)


def test_this_processs_change_holds_at_once_and_anothers_within_a_second(path):
    mine, yours = Ledger(path), Ledger(path)
    assert (mine.guard(None), yours.guard(None)) == (None, None)
    mine.budget(daily=1)
    assert mine.guard(None) is not None
    assert yours._budgets._until <= time.monotonic() + 1
    yours._budgets._until = time.monotonic()  # a second later
    assert yours.guard(None) is not None
    assert yours.budget(daily=None).daily is None
    assert yours.guard(None) is None
    mine.close()
    yours.close()


async def test_the_caps_in_the_file_count_even_if_older_ones_are_known(path):
    mine, yours = Ledger(path), Ledger(path)
    mine.budget(daily=5)
    yours.budget(daily=1)
    with pytest.raises(BudgetExceededError, match=r"Daily budget \$1\.00"):
        await admit(mine, plan(2.0))
    yours.budget(daily=None, per_call=1)
    with pytest.raises(BudgetExceededError, match=r"Limit per call \$1\.00"):
        await admit(mine, plan(2.0))
    mine.close()
    yours.close()


def test_no_caller_waits_for_a_thread_that_changes_the_rules(ledger):
    ledger.budget(daily=1)
    budgets = ledger._budgets
    budgets._until = 0.0
    with budgets._looking:
        assert ledger.guard(None) is budgets
    assert budgets._until == 0.0
    assert ledger.guard(None) is budgets
    assert budgets._until > 0.0


async def test_a_ledger_that_cannot_be_read_guards_nothing(path):
    path.write_bytes(b"\xff" * 5000)
    ledger = Ledger(path)
    assert ledger.guard(None) is None
    with pytest.raises(ConfigurationError, match="cannot be read"):
        ledger.budget()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        ledger.budget(daily=1)
    with pytest.raises(BudgetExceededError):
        await admit(ledger, plan(1.0, cap_nanos=1))


async def test_a_budget_that_is_known_holds_even_if_the_file_breaks(path):
    ledger = Ledger(path)
    ledger.budget(daily=1)
    ledger.close()
    path.write_bytes(b"\xff" * 5000)
    ledger._budgets._until = 0.0
    with pytest.raises(
        ConfigurationError, match=r"Cannot check the budget, so the call was not sent.*LLMKIT_LEDGER"
    ):
        await admit(ledger, plan(0.1))


@pytest.mark.parametrize(
    "text", ["nonsense", "[]", '{"daily": "5"}', '{"daily": 1.5}', '{"per_call": true}', '{"unpriced": "no"}']
)
async def test_a_damaged_budget_is_no_budget_to_pass(store, text):
    budgets = Budgets(store)
    budgets.change(daily=1)
    with closing(sqlite3.connect(store.path)) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'budget'", (text,))
    with pytest.raises(ConfigurationError, match=r"damaged: .*Set it again"):
        budgets.status()
    with pytest.raises(ConfigurationError, match="damaged"):
        await budgets.admit(plan(0.1))
    budgets.change(daily=2)
    assert budgets.status().daily == 2.0


def test_what_a_newer_llmkit_keeps_in_the_budget_is_left_alone(store):
    store.change_rules({"daily": 1, "weekly": 7})
    assert store.rules() == BudgetRules(daily=1)
    store.change_rules({"daily": 2})
    with closing(sqlite3.connect(store.path)) as connection:
        (text,) = connection.execute("SELECT value FROM meta WHERE key = 'budget'").fetchone()
    assert text == '{"daily": 2, "weekly": 7}'


async def test_while_another_process_holds_the_lock_nothing_is_sent(store):
    budgets = Budgets(store)
    budgets.change(daily=1)
    call = plan(0.1)
    with holding(store.path):
        with pytest.raises(ConfigurationError, match="database is locked"):
            await budgets.admit(call)
        budgets.release(call.uid)
        assert used_up(store) is ConfigurationError
        with pytest.raises(ConfigurationError, match="cannot be written: database is locked"):
            budgets.change(daily=2)
    await budgets.admit(call)
    assert used(store).reserved == call.nanos


def used_up(store):
    """Return the class of the error that a queued reservation ends with."""
    return type(store.reserve(plan(0.1)).exception(10))


def test_rows_that_cannot_be_written_count_or_nothing_is_admitted(store):
    store.change_rules({"daily": NANO})
    with holding(store.path), pytest.warns(llmkit.costs.store.writer.LedgerWarning, match="locked"):
        assert store.append(done(plan(0.9))).result(10) is False
        with pytest.raises(
            ConfigurationError, match=r"not sent: the ledger .* cannot be written: database is locked\. "
        ):
            store.reserve(plan(0.1)).result(10)
        with pytest.raises(ConfigurationError, match="locked"):
            used(store)
        assert store.amounts(micros(datetime.now(UTC)), None).spent == 900_000_000
        store.flush(10)
    with pytest.raises(BudgetExceededError):
        store.reserve(plan(0.2)).result(10)
    store.reserve(plan(0.1)).result(10)
    assert store.amounts(micros(datetime.now(UTC)), None).spent == 900_000_000


def test_a_mistake_in_a_job_reaches_who_waits_for_it(store):
    with pytest.raises(AttributeError):
        store.reserve(None).result(10)
    store.reserve(plan(0.1)).result(10)


def test_a_file_that_is_deleted_takes_its_budget_with_it(store):
    store.change_rules({"daily": 1})
    store.close()
    store.path.unlink()
    assert store.rules() == BudgetRules()
    store.reserve(plan(5.0)).result(10)


async def test_a_ledger_in_memory_has_budgets_as_well():
    ledger = Ledger(":memory:")
    ledger.budget(daily=1)
    call = await admit(ledger, plan(0.9))
    with pytest.raises(BudgetExceededError):
        await admit(ledger, plan(0.2))
    assert ledger.record(done(call, 0.5)).result(10)
    assert ledger.budget().left == 0.5
    assert isinstance(ledger._store.reserve(None).exception(10), AttributeError)
    assert ledger.budget().left == 0.5


def test_a_memory_that_runs_full_keeps_what_it_has():
    store = SQLiteStore(":memory:")
    store.change_rules({"daily": NANO})
    store._connection.execute("PRAGMA query_only = 1")
    with pytest.raises(ConfigurationError, match="readonly"):
        store.reserve(plan(0.1)).result(10)
    store._connection.execute("PRAGMA query_only = 0")
    assert store.rules().daily == NANO


async def test_a_call_without_a_known_price_is_refused_once_there_is_a_limit(ledger):
    ledger.budget(daily=5)
    with pytest.raises(BudgetExceededError, match="price of openai:gpt-9 is unknown") as caught:
        await admit(ledger, plan(None))
    assert caught.value.needed is None
    assert caught.value.cap == 5.0
    assert 'llmkit.budget(unpriced="allow")' in caught.value.hint
    assert '[tool.llmkit.prices."gpt-9"]' in caught.value.hint
    assert len(str(caught.value)) <= 500


async def test_a_call_without_a_known_price_is_refused_for_a_limit_of_its_own(ledger):
    with pytest.raises(BudgetExceededError, match="unknown") as caught:
        await admit(ledger, plan(None, cap_nanos=NANO))
    assert caught.value.cap == 1.0


async def test_calls_without_a_known_price_can_be_let_pass(ledger):
    ledger.budget(daily=0, unpriced="allow")
    await admit(ledger, plan(None))
    assert used(ledger._store) == Amounts()


async def test_a_model_without_a_known_price_passes_after_a_yes(ledger):
    ledger.budget(daily=1, unpriced="ask")
    with pytest.raises(BudgetExceededError, match=r'budget\(\)\.allow_model\("openai:gpt-9"\)'):
        await admit(ledger, plan(None))
    ledger.budget().allow_model("openai:gpt-9")
    await admit(ledger, plan(None))
    with pytest.raises(BudgetExceededError):
        await admit(ledger, plan(None, model="gpt-10"))
    ledger.budget(unpriced="refuse")
    with pytest.raises(BudgetExceededError):
        await admit(ledger, plan(None))


@pytest.mark.parametrize("name", ["gpt-9", ":gpt-9", "openai:", ""])
def test_a_yes_needs_the_whole_name(ledger, name):
    with pytest.raises(ConfigurationError, match="not a qualified model name"):
        ledger.budget().allow_model(name)


async def test_a_guard_that_was_asked_for_in_vain_lets_pass(ledger):
    guard = ledger.guard(NANO)
    await guard.admit(plan(5.0))
    await guard.admit(plan(None))


class Listener:
    def __init__(self):
        self.alerts = []
        self.heard = threading.Semaphore(0)

    def __call__(self, alert):
        self.alerts.append(alert)
        self.heard.release()

    def wait(self):
        assert self.heard.acquire(timeout=10)


def pay(ledger, usd, **changes):
    assert ledger.record(done(plan(usd, **changes))).result(10)
    return [(alert.kind, alert.threshold, alert.spent) for alert in ledger.take_alerts()]


def test_an_alert_comes_once_at_four_fifths_and_once_at_the_end(ledger, caplog):
    listener = Listener()
    ledger.budget(daily=1, on_alert=listener)
    assert pay(ledger, 0.79) == []
    assert pay(ledger, 0.01) == [("daily", 0.8, 0.8)]
    assert pay(ledger, 0.19) == []
    assert pay(ledger, 0.01) == [("daily", 1.0, 1.0)]
    assert pay(ledger, 0.5) == []
    listener.wait()
    listener.wait()
    alert = min(listener.alerts, key=lambda each: each.threshold)
    assert (alert.cap, alert.notebook) == (1.0, None)
    assert alert.time.utcoffset() == timedelta(0)
    assert str(alert) == "80% of the daily budget is used: $0.80 of $1.00."
    assert "80% of the daily budget" in caplog.text
    assert {record.name for record in caplog.records} == {"llmkit.costs.budgets"}
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_jump_over_both_thresholds_is_one_alert(ledger):
    ledger.budget(daily=1)
    assert pay(ledger, 2.0) == [("daily", 1.0, 2.0)]
    assert pay(ledger, 0.1) == []


def test_a_new_cap_is_worth_new_alerts(ledger):
    ledger.budget(daily=1)
    assert pay(ledger, 0.9) == [("daily", 0.8, 0.9)]
    ledger.budget(daily=1.1)
    assert pay(ledger, 0.01) == [("daily", 0.8, 0.91)]


def test_each_notebook_and_each_day_has_its_own_alerts(ledger):
    notebooks(ledger, 1)
    assert pay(ledger, 0.9, notebook="a.ipynb") == [("per_notebook", 0.8, 0.9)]
    assert pay(ledger, 0.01, notebook="a.ipynb") == []
    assert pay(ledger, 0.9, notebook="b.ipynb") == [("per_notebook", 0.8, 0.9)]
    assert pay(ledger, 5.0) == []
    yesterday = datetime.now(UTC) - timedelta(days=1)
    assert pay(ledger, 0.9, notebook="a.ipynb", time=yesterday) == [("per_notebook", 0.8, 0.9)]


def test_simulated_and_free_calls_are_no_reason_for_an_alert(ledger):
    ledger.budget(daily=0)
    assert ledger.record(done(plan(1.0), simulated=True)).result(10)
    assert ledger.record(done(plan(0.0))).result(10)
    assert ledger.record(done(plan(1.0), cost_nanos=None)).result(10)
    assert ledger.take_alerts() == []
    assert pay(ledger, 0.1) == [("daily", 1.0, 0.1)]


def test_an_alert_says_which_notebook_it_means(ledger):
    notebooks(ledger, 1)
    ledger.record(done(plan(1.0, notebook="a.ipynb"))).result(10)
    (alert,) = ledger.take_alerts()
    assert str(alert) == "100% of the budget of a.ipynb is used: $1.00 of $1.00."
    assert alert.notebook == "a.ipynb"
    assert isinstance(alert, Alert)


def test_a_callback_that_fails_is_logged_and_a_slow_one_blocks_no_call(ledger, caplog):
    heard, go_on = threading.Event(), threading.Event()

    def callback(_):
        heard.set()
        assert go_on.wait(10)
        raise ValueError("a mistake")

    ledger.budget(daily=1, on_alert=callback)
    assert len(pay(ledger, 0.9)) == 1
    assert heard.wait(10)
    assert pay(ledger, 0.01) == []
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "llmkit-alerts":
            thread.join(10)
    assert "The callback for budget alerts failed" in caplog.text
    ledger.budget(on_alert=None)
    assert len(pay(ledger, 0.1)) == 1


def test_a_row_that_has_to_wait_is_acknowledged_as_such_beside_a_budget(path):
    ledger = Ledger(store=SQLiteStore(path, busy_timeout=0.1))
    ledger.budget(daily=1)
    with holding(path), pytest.warns(llmkit.costs.store.writer.LedgerWarning, match="locked"):
        assert ledger.record(done(plan(2.0))).result(10) is False
        assert ledger.take_alerts() == []
        ledger.flush(10)
    assert ledger.flush(10)
    assert ledger.budget().spent == 2.0
    ledger.close()


def test_a_file_of_version_1_is_read_and_brought_up_to_date_with_what_was_spent(path, zone):
    zone("Europe/Berlin")
    now = datetime.now(UTC)
    rows = [
        done(plan(0.5, time=now, notebook="a.ipynb")),
        done(plan(0.25, time=now)),
        done(plan(9.0, time=now), simulated=True),
        done(plan(0.125, time=now - timedelta(days=1))),
        done(plan(9.0, time=now - timedelta(days=3))),
    ]
    version_1(path, rows)
    store = SQLiteStore(path)
    assert store.rules() == BudgetRules()
    assert store.amounts(micros(now), "a.ipynb") == Amounts(750_000_000, 0, 500_000_000, 0)
    store.change_rules({"daily": NANO})
    assert store.amounts(micros(now), "a.ipynb") == Amounts(750_000_000, 0, 500_000_000, 0)
    assert used(store, now - timedelta(days=1)).spent == 125_000_000
    assert used(store, now - timedelta(days=3)).spent == 0
    with pytest.raises(BudgetExceededError):
        store.reserve(plan(0.26)).result(10)
    store.reserve(plan(0.25)).result(10)
    store.close()


def test_rows_of_an_older_llmkit_settle_and_count(store):
    store.change_rules({"daily": NANO})
    call = plan(1.0)
    store.reserve(call).result(10)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        insert_as_version_1(connection, [done(call, 0.75)])
        insert_as_version_1(connection, [done(call, 0.75)])
    assert used(store) == Amounts(750_000_000, 0, 750_000_000, 0)


def version_1(path, records):
    """Write a file as llmkit did before it had budgets."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in schema.MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 1")
        insert_as_version_1(connection, records)


def insert_as_version_1(connection, records):
    names = [name for name in COLUMNS if not any(name in later for later in schema.ADDED)]
    marks = ", ".join("?" * len(names))
    insert = f"INSERT INTO calls ({', '.join(names)}) VALUES ({marks}) ON CONFLICT (time, uid) DO NOTHING"
    places = [list(COLUMNS).index(name) for name in names]
    with sqlite.transaction(connection):
        rows = [[row[place] for place in places] for row in map(encode, records)]
        connection.executemany(insert, rows)


def test_the_arithmetic_knows_no_rounding():
    cap = 10**17 + 1
    limits = BudgetRules(daily=cap)
    assert rules.refusal(limits, Amounts(spent=cap - 1), plan(nanos=1)) is None
    assert rules.refusal(limits, Amounts(spent=cap), plan(nanos=1)) is not None
    assert rules.refusal(limits, Amounts(spent=1, reserved=cap - 2), plan(nanos=1)) is None
    assert rules.refusal(limits, Amounts(spent=1, reserved=cap - 1), plan(nanos=1)) is not None


def test_what_costs_nothing_fits_even_where_too_much_was_spent():
    assert rules.refusal(BudgetRules(daily=0), Amounts(spent=5), plan(nanos=0)) is None


def test_a_record_that_cannot_be_kept_does_not_raise_beside_a_budget(ledger, caplog):
    ledger.budget(daily=1)
    ledger.subscribe(lambda _: None)
    assert ledger.record(done(plan(1.0, time="noon"))).result(10) is False
    assert "Cannot store" in caplog.text


def test_where_no_thread_can_start_alerts_and_reservations_come_all_the_same(path):
    heard = []
    ledger = Ledger(path)
    before = threading.stack_size(1 << 46)  # more than any system has: no thread starts
    try:
        ledger.budget(daily=1, on_alert=heard.append)
        ledger._store.reserve(plan(0.5)).result(0)
        assert ledger.record(done(plan(0.9))).result(0) is True
        assert [alert.threshold for alert in heard] == [0.8]
    finally:
        threading.stack_size(before)
    ledger.close()


async def test_many_calls_at_once_are_admitted_up_to_the_cap_and_no_further(ledger):
    ledger.budget(daily=1)
    calls = [admit(ledger, plan(nanos=10**8)) for _ in range(25)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    refused = [result for result in results if isinstance(result, BudgetExceededError)]
    assert len(refused) == 15
    assert ledger.budget().reserved == 1.0


async def test_admissions_count_the_rows_that_were_handed_over_before_them(ledger):
    ledger.budget(daily=1)
    ledger.record(done(plan(0.9)))  # nobody waits for it
    with pytest.raises(BudgetExceededError):
        await admit(ledger, plan(0.2))
