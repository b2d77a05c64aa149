import threading
import uuid
from datetime import UTC, datetime

import pytest

from llmkit.costs.ledger import Ledger
from llmkit.costs.monitor import LLMMonitor
from llmkit.records import CallRecord


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m"}
    return CallRecord(time=datetime.now(UTC), **fields | changes)


def test_without_requests_nothing_succeeded_and_nothing_failed():
    metrics = LLMMonitor().get_metrics()
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
        "unpriced_requests": 0,
        "total_tokens": 300,
        "total_cost": 0.3,
        "avg_response_time": 3.0,
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


def test_a_monitor_watches_a_ledger_until_told_otherwise():
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
