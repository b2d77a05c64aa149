import logging
import threading
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from llmkit.costs.ledger import Ledger
from llmkit.costs.monitor import LLMMonitor
from llmkit.records import CallRecord


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m"}
    return CallRecord(time=datetime.now(UTC), **fields | changes)


def test_without_requests_nothing_succeeded_and_nothing_failed():
    metrics = LLMMonitor().get_metrics()
    assert metrics.pop("errors_by_class") == {}
    assert set(metrics.values()) == {0}
    assert metrics["success_rate"] == metrics["error_rate"] == metrics["avg_response_time"] == 0.0


def test_requests_are_counted_in_the_order_of_the_contract():
    monitor = LLMMonitor()
    monitor.record_request(True, 100, 0.1, 1.0)
    monitor.record_request(True, 200, 0.2, 2.0)
    monitor.record_request(False, 0, 0.0, 6.0)
    assert monitor.get_metrics() == {
        "total_requests": 3,
        "successful_requests": 2,
        "failed_requests": 1,
        "cancelled_requests": 0,
        "replayed_requests": 0,
        "unpriced_requests": 0,
        "total_tokens": 300,
        "total_cost": 0.3,
        "avg_response_time": 3.0,
        "p50_response_time": 2.0,
        "p95_response_time": 6.0,
        "avg_first_token_time": 0,
        "errors_by_class": {"unknown": 1},
        "success_rate": pytest.approx(66.667, abs=0.001),
        "error_rate": pytest.approx(33.333, abs=0.001),
    }


def test_what_is_unknown_is_counted_as_such():
    monitor = LLMMonitor()
    monitor.record_request(success=True)
    monitor.record_request(success=True, tokens=5, cost=0.25, response_time=4.0)
    metrics = monitor.get_metrics()
    assert metrics["unpriced_requests"] == 1
    assert metrics["total_cost"] == 0.25
    assert metrics["avg_response_time"] == 4.0


def test_a_cost_that_is_no_amount_of_money_is_refused_and_counts_nothing():
    monitor = LLMMonitor()
    with pytest.raises(ValueError, match="amount of money"):
        monitor.record_request(success=True, cost=float("nan"))
    assert monitor.get_metrics()["total_requests"] == 0


def test_a_monitor_watches_a_ledger_until_it_is_stopped():
    ledger, monitor = Ledger(":memory:"), LLMMonitor()
    stop = monitor.watch(ledger)
    ledger.record(call(cost_nanos=250_000_000, input_tokens=3, output_tokens=4, duration_s=2.0))
    ledger.record(call(status="interrupted", output_tokens=1))
    ledger.record(call(status="error"))
    ledger.record(call(simulated=True, cost_nanos=10**9))
    stop()
    ledger.record(call())
    metrics = monitor.get_metrics()
    assert (metrics["total_requests"], metrics["failed_requests"], metrics["unpriced_requests"]) == (4, 2, 1)
    assert (metrics["total_tokens"], metrics["total_cost"]) == (8, 0.25)


def test_threads_may_report_at_once():
    monitor = LLMMonitor()

    def report():
        for _ in range(1000):
            monitor.record_request(success=True, tokens=1, cost=0.001, response_time=0.5)

    threads = [threading.Thread(target=report) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    metrics = monitor.get_metrics()
    assert (metrics["total_requests"], metrics["total_tokens"], metrics["total_cost"]) == (8000, 8000, 8.0)


def mixed():
    """Ten calls whose metrics are worked out by hand below."""
    yield call(input_tokens=10, output_tokens=5, cost_nanos=2 * 10**9, duration_s=4.0, first_token_s=1.0)
    yield call(input_tokens=20, output_tokens=5, cost_nanos=10**9, duration_s=2.0, first_token_s=0.5)
    yield call(provider="anthropic", model="c", output_tokens=7, duration_s=1.0)
    yield call(status="error", error="RateLimitError", duration_s=3.0)
    yield call(status="error", error="RateLimitError", duration_s=5.0)
    yield call(status="interrupted", error="StreamInterruptedError", output_tokens=3, duration_s=9.0)
    yield call(status="cancelled", duration_s=60.0)
    yield call(status="replayed", input_tokens=99, output_tokens=99, saved_nanos=10**9, duration_s=0.0)
    yield call(simulated=True, input_tokens=1, output_tokens=1, cost_nanos=10**9, duration_s=6.0)
    yield call(input_tokens=4, output_tokens=4, cost_nanos=0)


WORKED_OUT = {
    "total_requests": 10,
    "successful_requests": 6,
    "failed_requests": 3,
    "cancelled_requests": 1,
    "replayed_requests": 1,
    "unpriced_requests": 2,
    "total_tokens": 15 + 25 + 7 + 3 + 2 + 8,
    "total_cost": 3.0,
    "avg_response_time": (4 + 2 + 1 + 3 + 5 + 9 + 60 + 6) / 8,
    "p50_response_time": 4.0,
    "p95_response_time": 60.0,
    "avg_first_token_time": 0.75,
    "success_rate": pytest.approx(100 * 6 / 9),
    "error_rate": pytest.approx(100 * 3 / 9),
    "errors_by_class": {"RateLimitError": 2, "StreamInterruptedError": 1},
}


def test_live_calls_are_counted_as_worked_out_by_hand():
    ledger, monitor = Ledger(":memory:"), LLMMonitor()
    monitor.watch(ledger)
    for record in mixed():
        ledger.record(record)
    assert monitor.get_metrics() == monitor.get_metrics(last=10) == WORKED_OUT


def test_the_rows_of_a_file_are_counted_as_the_live_calls_were(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    for record in mixed():
        ledger.record(record)
    assert LLMMonitor.from_ledger(ledger).get_metrics() == WORKED_OUT
    ledger.close()


def test_a_monitor_of_stored_calls_begins_at_the_given_time():
    ledger = Ledger(":memory:")
    start = datetime(2026, 5, 1, tzinfo=UTC)
    for day in range(4):
        ledger.record(CallRecord(time=start + timedelta(days=day), **FIELDS, uid=f"{day:032x}"))
    assert (
        LLMMonitor.from_ledger(ledger, since="2026-05-03T00:00:00+00:00").get_metrics()["total_requests"] == 2
    )


FIELDS = {"status": "ok", "provider": "openai", "model": "m"}


@pytest.mark.parametrize(("count", "p50", "p95"), [(1, 1, 1), (2, 1, 2), (20, 10, 19), (100, 50, 95)])
def test_percentiles_are_by_nearest_rank(count, p50, p95):
    monitor = LLMMonitor()
    for seconds in reversed(range(1, count + 1)):
        monitor.record_request(success=True, response_time=seconds)
    metrics = monitor.get_metrics()
    assert (metrics["p50_response_time"], metrics["p95_response_time"]) == (p50, p95)


def test_memory_is_bounded_while_the_counts_go_on():
    monitor = LLMMonitor(keep=10)
    for seconds in range(100):
        monitor.record_request(success=True, tokens=1, response_time=seconds)
    metrics = monitor.get_metrics()
    assert len(monitor._kept) == 10
    assert (metrics["total_requests"], metrics["total_tokens"]) == (100, 100)
    assert (metrics["p50_response_time"], metrics["avg_response_time"]) == (94, 49.5)


def test_a_window_takes_the_latest_calls_of_a_model_or_of_some_minutes():
    monitor = LLMMonitor()
    ago = datetime.now(UTC) - timedelta(minutes=30)
    monitor.observe(CallRecord(time=ago, **FIELDS, uid="1", duration_s=1.0))
    monitor.observe(CallRecord(time=ago, **FIELDS, uid="2", duration_s=1700.0))
    monitor.observe(call(status="error", error="RateLimitError"))
    monitor.observe(call(provider="anthropic", model="c"))
    assert monitor.get_metrics(minutes=10)["total_requests"] == 3
    assert monitor.get_metrics(last=2)["error_rate"] == 50
    assert monitor.get_metrics(provider="openai")["failed_requests"] == 1
    assert monitor.get_metrics(model="c", minutes=1)["successful_requests"] == 1
    by_model = {name: metrics["total_requests"] for name, metrics in monitor.by_model().items()}
    assert by_model == {"anthropic:c": 1, "openai:m": 3}


def test_an_alert_is_raised_once_per_crossing(caplog):
    monitor, told = LLMMonitor(), []
    monitor.alert(lambda metrics: told.append(metrics["error_rate"]), error_rate=25, last=4, at_least=4)
    for good in (True, False, True, False, False, True, True, True, True, True, False, False):
        monitor.record_request(success=good)
    assert told == [50, 50]
    assert [r.levelname for r in caplog.records if "50.0 % of 4 calls failed" in r.getMessage()] == [
        "WARNING"
    ] * 2


def test_an_alert_waits_for_enough_calls():
    monitor, told = LLMMonitor(), []
    monitor.alert(told.append, error_rate=10)
    for _ in range(9):
        monitor.record_request(success=False)
    assert told == []
    monitor.record_request(success=False)
    assert len(told) == 1


def test_slow_calls_and_conditions_of_ones_own_raise_alerts():
    monitor, slow, dear = LLMMonitor(), [], []
    monitor.alert(slow.append, p95_response_time=2.0, last=5, at_least=1)
    monitor.alert(dear.append, when=lambda metrics: metrics["total_cost"] > 1, last=5, at_least=1)
    monitor.record_request(success=True, response_time=2.0, cost=0.5)
    assert (slow, dear) == ([], [])
    monitor.record_request(success=True, response_time=2.1, cost=0.6)
    assert (len(slow), len(dear)) == (1, 1)


def test_an_alert_that_is_taken_back_is_not_raised():
    monitor, told = LLMMonitor(), []
    stop = monitor.alert(told.append, error_rate=0, at_least=1)
    stop()
    monitor.record_request(success=False)
    assert told == []


def test_what_an_alert_raises_is_logged_and_costs_the_call_nothing(caplog):
    def broken(_metrics):
        raise RuntimeError("no")

    ledger, monitor = Ledger(":memory:"), LLMMonitor()
    monitor.watch(ledger)
    monitor.alert(broken, error_rate=0, at_least=1)
    monitor.alert(print, when=broken, at_least=1)
    assert ledger.record(call(status="error")).result(10)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len([line for line in said if " of an alert failed" in line]) == 2


@pytest.mark.parametrize(
    "options", [{}, {"error_rate": 5, "at_least": 200}, {"error_rate": 5, "last": 10**6}]
)
def test_an_alert_that_could_not_work_is_refused(options):
    with pytest.raises(ValueError, match=r"alert needs|<= last <= 1000 must hold"):
        LLMMonitor().alert(print, **options)


def test_a_hook_may_ask_for_the_metrics_from_many_threads():
    monitor, seen = LLMMonitor(keep=50), []
    monitor.alert(
        lambda _: seen.append(monitor.get_metrics()["total_requests"]), error_rate=50, last=1, at_least=1
    )

    def report():
        for number in range(200):
            monitor.record_request(success=bool(number % 2))

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert monitor.get_metrics()["total_requests"] == 800
    assert 1 <= len(seen) <= 400
