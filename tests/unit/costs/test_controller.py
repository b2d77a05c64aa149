# ruff: noqa: DTZ001 - the time on the wall has no zone
import math
import threading
import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from llmkit.costs.controller import CostController
from llmkit.costs.ledger import Ledger
from llmkit.records import CallRecord


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m"}
    return CallRecord(time=datetime.now(UTC), **fields | changes)


def test_a_request_fits_as_long_as_the_budget_lasts():
    controller = CostController(daily_budget=1.0)
    controller.record_cost(0.6)
    assert controller.can_make_request(0.4)
    assert not controller.can_make_request(0.400000001)
    assert controller.daily_spent == 0.6
    assert CostController().daily_budget == 10.0


def test_ten_dimes_are_a_dollar():
    controller = CostController(daily_budget=1.0)
    for _ in range(9):
        controller.record_cost(0.1)
    assert controller.can_make_request(0.1)
    controller.record_cost(0.1)
    assert controller.daily_spent == 1.0
    assert not controller.can_make_request(1e-9)


def test_a_new_day_begins_at_midnight_and_not_after_24_hours():
    clock = Clock(datetime(2026, 11, 22, 23, 59))
    controller = CostController(1.0, clock=clock)
    controller.record_cost(1.0)
    assert not controller.can_make_request(0.5)
    clock.now += timedelta(minutes=2)
    assert controller.can_make_request(0.5)
    assert controller.daily_spent == 0.0


def test_money_spent_after_midnight_counts_for_the_new_day():
    clock = Clock(datetime(2026, 11, 22, 23, 59))
    controller = CostController(1.0, clock=clock)
    controller.record_cost(0.9)
    clock.now += timedelta(minutes=2)
    controller.record_cost(0.2)
    assert controller.daily_spent == 0.2


@pytest.mark.parametrize(
    ("day", "hours"), [(datetime(2026, 3, 29), 23), (datetime(2026, 10, 25), 25)], ids=["spring", "autumn"]
)
def test_the_day_on_which_the_clocks_change_has_its_own_length(day, hours):
    midnight = day.replace(tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
    zone = ZoneInfo("Europe/Berlin")
    clock = Clock(midnight.astimezone(zone))
    controller = CostController(1.0, clock=clock)
    controller.record_cost(0.75)
    clock.now = (midnight + timedelta(hours=hours, minutes=-1)).astimezone(zone)
    assert controller.daily_spent == 0.75
    clock.now = (midnight + timedelta(hours=hours)).astimezone(zone)
    assert controller.daily_spent == 0.0


def test_the_ledgers_calls_since_midnight_count_even_if_the_clocks_changed_today():
    zone = ZoneInfo("Europe/Berlin")
    ledger = Ledger(":memory:")
    first = datetime(2026, 10, 25, 0, 5, tzinfo=zone)
    for time in (first, first - timedelta(minutes=10)):
        ledger.record(
            CallRecord(time=time, uid=uuid.uuid4().hex, status="ok", provider="p", model="m", cost_nanos=7)
        )
    clock = Clock(datetime(2026, 10, 25, 23, 30, tzinfo=zone))
    assert CostController(1.0, ledger=ledger, clock=clock).daily_spent == 7e-9


def test_a_ledgers_real_calls_of_today_count_and_simulated_ones_do_not():
    ledger = Ledger(":memory:")
    ledger.record(call(cost_nanos=400_000_000))
    ledger.record(call(cost_nanos=900_000_000, simulated=True))
    ledger.record(call(cost_nanos=None))
    controller = CostController(1.0, ledger=ledger)
    controller.record_cost(0.1)
    assert controller.daily_spent == 0.5


@pytest.mark.parametrize("clock", [datetime.now, lambda: datetime.now(UTC)])
def test_what_an_answer_that_broke_off_may_have_cost_is_no_room_for_others(clock):
    ledger = Ledger(":memory:")
    record = call(cost_nanos=100_000_000, at_most_nanos=900_000_000, status="interrupted")
    ledger.record(record)
    controller = CostController(1.0, ledger=ledger, clock=clock)
    assert controller.daily_spent == 0.1
    assert (controller.can_make_request(0.1), controller.can_make_request(0.11)) == (True, False)
    ledger.settle(record.uid)
    assert controller.can_make_request(0.9)


def test_a_ledgers_spending_is_that_of_its_budget_to_the_last_billionth():
    ledger = Ledger(":memory:")
    for nanos in (1, 10**17, 375):
        ledger.record(call(cost_nanos=nanos))
    controller = CostController(2e8, ledger=ledger)
    assert controller._spent_nanos() == ledger.spent_nanos(datetime.now(UTC)) == 10**17 + 376
    assert controller.daily_spent == ledger.budget().spent


def test_deleting_calls_does_not_give_a_controller_money_back():
    ledger = Ledger(":memory:")
    ledger.record(call(cost_nanos=400_000_000))
    ledger.clear()
    assert CostController(1.0, ledger=ledger).daily_spent == 0.4


def test_a_controllers_new_day_is_that_of_the_ledger():
    ledger = Ledger(":memory:")
    ledger.record(call(cost_nanos=400_000_000))
    clock = Clock(datetime.now())  # noqa: DTZ005 - the time on the wall
    controller = CostController(1.0, ledger=ledger, clock=clock)
    assert controller.daily_spent == 0.4
    clock.now += timedelta(days=1)
    assert controller.daily_spent == 0.0
    clock.now -= timedelta(days=1)
    assert controller.daily_spent == 0.4


@pytest.mark.parametrize("amount", [math.nan, math.inf, -0.01])
def test_what_is_no_amount_of_money_is_refused(amount):
    controller = CostController()
    with pytest.raises(ValueError, match="amount of money"):
        controller.record_cost(amount)
    with pytest.raises(ValueError, match="amount of money"):
        controller.can_make_request(amount)
    with pytest.raises(ValueError, match="amount of money"):
        controller.daily_budget = amount
    with pytest.raises(ValueError, match="amount of money"):
        CostController(amount)
    assert controller.daily_spent == 0.0


def test_no_cent_is_lost_between_threads():
    controller = CostController(100.0)

    def spend():
        for _ in range(1000):
            controller.record_cost(0.01)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert controller.daily_spent == 80.0
