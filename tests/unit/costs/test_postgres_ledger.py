"""A ledger in PostgreSQL, as a user sees it."""

import threading
import uuid
from datetime import UTC, datetime

import pytest

import llmkit
from llmkit.costs.ledger import Ledger
from llmkit.records import CallRecord
from tests.support import postgres as postgres_server

FIGURES = ("calls_total", "cost_usd_total", "input_tokens_total", "ledger_cost_usd")


def call(**changes):
    fields = {
        "uid": uuid.uuid4().hex,
        "status": "ok",
        "provider": "openai",
        "model": "m",
        "cost_nanos": 10**9,
    }
    return CallRecord(**fields | {"time": datetime.now(UTC)} | changes)


@pytest.fixture
def opened():
    ledgers = []

    def open_ledger(url):
        ledgers.append(Ledger(url))
        return ledgers[-1]

    yield open_ledger
    for ledger in ledgers:
        ledger.close()


def test_an_address_makes_a_ledger_that_all_share(postgres, opened):
    one, other = opened(postgres), opened(postgres.replace("postgresql:", "postgres:"))
    assert (one.total().calls, one.df.empty) == (0, True)
    assert one.record(call()).result(60) is True
    assert (other.total().usd, other.total().calls) == (1, 1)
    assert other.summary("model")["cost_usd"].tolist() == [1]
    assert len(other.df) == 1
    assert postgres_server.PASSWORD not in f"{one!r} {one.path} {one._repr_html_()}"
    assert str(one.path).startswith("postgresql://admin@127.0.0.1:")


@pytest.mark.full
class TestPlaces:
    def test_reading_creates_no_tables(self, postgres, opened):
        ledger = opened(postgres)
        assert (ledger.total().calls, ledger.budget().daily, ledger.corrections.empty) == (0, None, True)
        name = postgres.rpartition("/")[2]
        query = "SELECT 1 FROM pg_namespace WHERE nspname = 'llmkit'"
        assert postgres_server.server().execute(query, database=name) == []

    def test_the_environment_variable_takes_an_address(self, postgres, opened, monkeypatch):
        monkeypatch.setenv("LLMKIT_LEDGER", postgres)
        assert str(opened(None).path) == postgres.replace(f":{postgres_server.PASSWORD}", "")

    @pytest.mark.parametrize("change", [("an-administrators", "a-wrong"), ("/test_", "/no_such_")])
    def test_what_is_wrong_with_an_address_is_said_without_the_password(self, postgres, opened, change):
        ledger = opened(postgres.replace(*change))
        for use in (ledger.total, lambda: ledger.df, lambda: ledger.budget(daily=1)):
            with pytest.raises(llmkit.ConfigurationError, match="Check") as caught:
                use()
            assert "password@" not in str(caught.value)
        assert "Check" in repr(ledger)


@pytest.mark.full
def test_alerts_are_said_once_and_metrics_are_those_of_the_ledger(postgres, opened):
    from prometheus_client import CollectorRegistry

    one, other, heard = opened(postgres), opened(postgres), []
    for ledger in (one, other):
        ledger.alert(lambda alert: heard.append(alert.value), spent=1, model="m")
        ledger.alert(lambda alert: heard.append(alert.kind), error_rate=5, at_least=1)
    for ledger in (one, other):
        ledger.record(call(cost_nanos=2 * 10**9, input_tokens=5)).result(60)
        ledger.record(call(status="error", cost_nanos=None)).result(60)
        for thread in threading.enumerate():
            if thread.name == "llmkit-alerts":
                thread.join(60)
    assert sorted(map(str, heard)) == ["2.0", "error_rate"]
    registry = CollectorRegistry()
    registry.register(llmkit.metrics.LedgerCollector(other))
    labels = {"provider": "openai", "model": "m", "status": "ok", "simulated": "false"}
    values = [registry.get_sample_value(f"llmkit_{name}", labels) for name in FIGURES]
    assert values == [2, 4, 10, 4]
    assert registry.get_sample_value("llmkit_budget_spent_usd", {"budget": "daily"}) == 4
