"""The Prometheus endpoint, read as Prometheus reads it: over HTTP, by prometheus_client's parser."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from llmkit import metrics
from llmkit.core.errors import ConfigurationError
from llmkit.costs.ledger import Ledger
from llmkit.records import CallRecord
from tests.support.reference_store import ReferenceStore


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m"}
    return CallRecord(**{"time": datetime.now(UTC)} | fields | changes)


def record(ledger, *calls):
    for each in calls:
        assert ledger.record(each).result(60)


def fetch(url):
    with urllib.request.urlopen(url, timeout=60) as response:
        return response.read().decode()


def exposed(ledger):
    """Return what a scrape of the ledger would answer."""
    registry = CollectorRegistry()
    registry.register(metrics.LedgerCollector(ledger))
    return generate_latest(registry).decode()


def samples(ledger):
    """Return the values of a ledger's metrics by name and labels."""
    found = {}
    for family in text_string_to_metric_families(exposed(ledger)):
        for sample in family.samples:
            found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def by_label(ledger, name, label):
    found = {}
    for (sample, labels), value in samples(ledger).items():
        if sample == name:
            key = dict(labels)[label]
            found[key] = found.get(key, 0) + value
    return found


@pytest.fixture
def ledger(tmp_path):
    with closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        yield ledger


MIXED = [
    call(cost_nanos=2 * 10**9, input_tokens=100, output_tokens=10, cache_read_tokens=60, reasoning_tokens=4),
    call(cost_nanos=5 * 10**8, input_tokens=7, cache_write_tokens=3, model="n"),
    call(status="error", model="n"),
    call(status="interrupted", cost_nanos=10**8, input_tokens=1),
    call(status="replayed", saved_nanos=10**9),
    call(provider="ollama", model="llama"),
    call(provider="sandbox", simulated=True, cost_nanos=3 * 10**9, input_tokens=5, output_tokens=5),
]


def test_the_figures_are_those_of_the_ledger(ledger):
    record(ledger, *MIXED)
    assert by_label(ledger, "llmkit_cost_usd_total", "simulated") == {"false": 2.6, "true": 3.0}
    for simulated in (False, True):
        total, rows = ledger.total(simulated=simulated), ledger.query(simulated=simulated)
        label = str(simulated).lower()
        measured = {
            "llmkit_calls_total": total.calls,
            "llmkit_unpriced_calls_total": total.unpriced,
            "llmkit_saved_usd_total": total.saved_usd,
            "llmkit_cost_usd_total": total.usd,
            "llmkit_ledger_cost_usd": total.usd,
            "llmkit_errors_total": ledger.summary(["status"], simulated=simulated)["errors"].sum(),
        }
        for tokens in ("input", "output", "cache_read", "cache_write", "reasoning"):
            measured[f"llmkit_{tokens}_tokens_total"] = rows[f"{tokens}_tokens"].fillna(0).sum()
        for name, value in measured.items():
            assert by_label(ledger, name, "simulated")[label] == pytest.approx(value), name


def test_calls_are_told_apart_by_model_and_by_how_they_ended(ledger):
    record(ledger, *MIXED)
    assert by_label(ledger, "llmkit_calls_total", "model") == {"m": 4, "n": 2, "llama": 1}
    ends = {"ok": 4, "error": 1, "interrupted": 1, "replayed": 1}
    assert by_label(ledger, "llmkit_calls_total", "status") == ends
    assert by_label(ledger, "llmkit_errors_total", "model") == {"m": 1, "n": 1, "llama": 0}


def test_labels_hold_any_text(ledger):
    odd = 'a"b\\c\nd{e="f"} ü,'
    record(ledger, call(model=odd, cost_nanos=5), call(model=None, provider=None))
    assert by_label(ledger, "llmkit_calls_total", "model") == {odd: 1, "": 1}


def test_a_correction_changes_the_gauge_and_no_counter(ledger):
    record(ledger, *(call(cost_nanos=10**9, input_tokens=10**6, output_tokens=0) for _ in range(2)))
    before = samples(ledger)
    ledger.correct(prices={"m": {"input": 0.25, "output": 0}})
    after = samples(ledger)
    changed = {name for (name, labels), value in after.items() if before[name, labels] != value}
    assert changed == {"llmkit_ledger_cost_usd", "llmkit_budget_spent_usd"}
    assert by_label(ledger, "llmkit_ledger_cost_usd", "model") == {"m": 0.5}
    assert by_label(ledger, "llmkit_cost_usd_total", "model") == {"m": 2}


def test_counters_go_on_where_they_were_when_calls_are_deleted(ledger):
    record(ledger, *MIXED)
    ledger.clear()
    assert by_label(ledger, "llmkit_cost_usd_total", "simulated") == {"false": 2.6, "true": 3.0}
    assert by_label(ledger, "llmkit_ledger_cost_usd", "model") == {}
    record(ledger, replace(MIXED[0], uid="new", cost_nanos=4 * 10**8))
    assert by_label(ledger, "llmkit_cost_usd_total", "simulated")["false"] == 3.0


def test_other_processes_count_too(ledger):
    code = (
        "from datetime import UTC, datetime\nfrom llmkit.costs.ledger import Ledger\n"
        "from llmkit.records import CallRecord\n"
        f"ledger = Ledger({str(ledger.path)!r})\n"
        "ledger.record(CallRecord(uid='x', time=datetime.now(UTC), status='ok', provider='openai',"
        " model='m', cost_nanos=10**9)).result(60)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert by_label(ledger, "llmkit_cost_usd_total", "model") == {"m": 1}


def test_budgets_are_gauges(ledger):
    ledger.budget(daily=5, per_call=0.5)
    record(ledger, call(cost_nanos=10**9), call(status="interrupted", cost_nanos=0, at_most_nanos=3 * 10**9))
    assert by_label(ledger, "llmkit_budget_limit_usd", "budget") == {"daily": 5, "per_call": 0.5}
    assert by_label(ledger, "llmkit_budget_spent_usd", "budget") == {"daily": 1}
    assert by_label(ledger, "llmkit_budget_uncertain_usd", "budget") == {"daily": 3}
    assert by_label(ledger, "llmkit_budget_reserved_usd", "budget") == {"daily": 0}


def test_every_metric_of_the_table_is_served_with_its_help(ledger):
    record(ledger, call(cost_nanos=5))
    with metrics.serve(port=0, ledger=ledger) as server:
        text = fetch(server.url)
    assert text == exposed(ledger)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert families.keys() == {metric.name for metric in metrics.METRICS}
    for metric in metrics.METRICS:
        family = families[metric.name]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert {sample.name for sample in family.samples} <= {metric.sample}
        assert {label for sample in family.samples for label in sample.labels} <= {*metric.labels}
        assert re.fullmatch(r"llmkit_[a-z]+(_[a-z]+)*", metric.name)


def test_a_ledger_without_calls_is_served(ledger):
    assert samples(ledger) == {
        ("llmkit_budget_spent_usd", (("budget", "daily"),)): 0,
        ("llmkit_budget_reserved_usd", (("budget", "daily"),)): 0,
        ("llmkit_budget_uncertain_usd", (("budget", "daily"),)): 0,
        ("llmkit_waiting_calls", ()): 0,
    }


def test_calls_that_wait_in_memory_are_a_gauge(tmp_path):
    store = ReferenceStore(tmp_path, lambda: datetime.now(UTC))
    ledger = Ledger(store=store)
    store._place.full = True
    assert ledger.record(call()).result(60) is False
    assert samples(ledger)["llmkit_waiting_calls", ()] == 1


def test_a_ledger_that_cannot_be_read_fails_the_scrape(ledger):
    record(ledger, call())
    ledger.close()
    with metrics.serve(port=0, ledger=ledger) as server:
        ledger.path.write_bytes(b"\xff" * 5000)
        with pytest.raises(urllib.error.HTTPError, match="500") as caught:
            fetch(server.url)
        caught.value.close()


def test_it_listens_on_this_machine_only(ledger):
    with metrics.serve(port=0, ledger=ledger) as server:
        assert server.url == f"http://127.0.0.1:{server.port}/metrics"
        assert repr(server) == f"MetricsServer({server.url})"
        assert server._server.server_address[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_named(ledger):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"127\.0\.0\.1, port {port}.*Choose another port"):
            metrics.serve(port=port, ledger=ledger)


def test_without_prometheus_client_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationError, match=r"jupyter-llmkit\[metrics\]"):
        metrics.serve(port=0)


def test_the_collector_fits_into_a_registry_of_ones_own(ledger):
    registry = CollectorRegistry(auto_describe=True)
    registry.register(metrics.LedgerCollector(ledger))
    assert not ledger.path.exists(), "registering reads nothing"
    record(ledger, call())
    (line,) = (
        line for line in generate_latest(registry).splitlines() if line.startswith(b"llmkit_calls_total")
    )
    assert line.endswith(b"} 1.0")
