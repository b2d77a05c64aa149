"""Reservations against the simplest model of them: a list of calls, added up anew each time."""

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from llmkit.core.errors import BudgetExceededError
from llmkit.core.timestamps import micros
from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore
from tests.support.examples import scaled
from tests.unit.costs.test_budget import Clock, done, plan

START = datetime(2026, 11, 22, 23, 58, tzinfo=UTC)  # the tests run in UTC
NOTEBOOKS = [None, "a.ipynb", "b.ipynb"]
AMOUNTS = st.integers(1, 10)


class Reservations(RuleBasedStateMachine):
    calls = Bundle("calls")

    def __init__(self):
        super().__init__()
        self.clock = Clock(START)
        self.store = SQLiteStore(":memory:", clock=self.clock)
        self.rules = {"daily": None, "per_notebook": None, "per_call": None}
        self.reservations = {}
        self.spent = []

    def teardown(self):
        self.store.close()

    @rule(name=st.sampled_from(["daily", "per_notebook", "per_call"]), cap=st.none() | st.integers(0, 40))
    def change(self, name, cap):
        self.rules[name] = cap
        self.store.change_rules({name: cap})

    @rule(seconds=st.sampled_from([0.000001, 1, 29, 30, 60, 3600]))
    def wait(self, seconds):
        self.clock.now += timedelta(seconds=seconds)

    @rule(
        target=calls, nanos=AMOUNTS, notebook=st.sampled_from(NOTEBOOKS), lease=st.sampled_from([0, 1.5, 60])
    )
    def begin(self, nanos, notebook, lease):
        call = plan(nanos=nanos, notebook=notebook, lease_s=lease, time=self.clock.now)
        return call if self.ask(call) else multiple()

    @rule(call=calls, nanos=AMOUNTS)
    def try_again(self, call, nanos):
        self.ask(
            plan(nanos=nanos, uid=call.uid, time=call.time, notebook=call.notebook, lease_s=call.lease_s)
        )

    @rule(call=calls, nanos=st.none() | st.integers(0, 12), simulated=st.booleans())
    def end(self, call, nanos, simulated):
        record = done(call, cost_nanos=nanos, simulated=simulated)
        if not any(other == (call.time, call.uid) for _, _, _, other in self.spent):
            cost = 0 if simulated or nanos is None else nanos
            self.spent.append((call.time.date(), call.notebook, cost, (call.time, call.uid)))
            self.reservations.pop(call.uid, None)
        assert self.store.append(record).result(10)

    @rule(call=calls)
    def release(self, call):
        self.reservations.pop(call.uid, None)
        self.store.release(call.uid)

    @rule()
    def clear(self):
        self.store.delete()
        self.spent = [(*each[:3], None) for each in self.spent]

    def ask(self, call):
        fits = self.fits(call)
        error = self.store.reserve(call).exception(10)
        assert error is None if fits else isinstance(error, BudgetExceededError), (fits, error)
        if fits:
            expires = self.clock.now + timedelta(seconds=call.lease_s + 30)
            self.reservations[call.uid] = (call.time.date(), call.notebook, call.nanos, expires)
        return fits

    def fits(self, call):
        day, per_notebook = call.time.date(), self.rules["per_notebook"]
        others = {uid: hold for uid, hold in self.reservations.items() if uid != call.uid}
        limits = [
            (self.rules["per_call"], 0),
            (self.rules["daily"], self.total(others, day)),
            (None if call.notebook is None else per_notebook, self.total(others, day, call.notebook)),
        ]
        if call.notebook is None and per_notebook is not None:
            return False  # nobody can say whether it fits
        return all(cap is None or before + call.nanos <= cap for cap, before in limits)

    def total(self, reservations, day, *notebook):
        live = [hold[:3] for hold in reservations.values() if hold[3] > self.clock.now]
        paid = [each[:3] for each in self.spent]
        return sum(n for on, name, n in [*live, *paid] if on == day and (not notebook or name in notebook))

    @invariant()
    def the_sums_are_those_of_the_model(self):
        for day in (START, START + timedelta(days=1)):
            for name in NOTEBOOKS:
                used = self.store.settled(micros(day), name).result(10)
                assert used.spent + used.reserved == self.total(self.reservations, day.date())
                assert used.notebook_spent + used.notebook_reserved == self.total(
                    self.reservations, day.date(), name
                )


TestReservations = Reservations.TestCase
TestReservations.settings = settings(max_examples=scaled(60), stateful_step_count=40)
