"""One rule everywhere: simulated calls are left out only where a real one cost something."""

import uuid
from contextlib import closing
from datetime import UTC, datetime

import matplotlib as mpl
import pytest

from llmkit.costs.ledger import Ledger
from llmkit.records import CallRecord

mpl.use("Agg")

FREE = {
    "it failed": {"status": "error", "error": "ProviderNotAvailableError"},
    "it was cancelled before an answer": {"status": "cancelled"},
    "its server is free": {"status": "ok", "cost_nanos": 0, "input_tokens": 5, "output_tokens": 5},
}
PAID = {
    "it cost something": {"status": "ok", "cost_nanos": 1, "input_tokens": 5, "output_tokens": 5},
    "nobody knows what it cost": {"status": "ok", "input_tokens": 5, "output_tokens": 5},
    "it was cut after some tokens": {"status": "interrupted", "input_tokens": 5, "output_tokens": 5},
    "a replay saved its price": {"status": "replayed", "cost_nanos": 0, "saved_nanos": 7},
}


def ledger_of(real, *, fakes=3):
    ledger = Ledger(":memory:")
    fake = {"provider": "sandbox", "status": "ok", "simulated": True, "cost_nanos": 10**6, "output_tokens": 1}
    for fields in [*[fake] * fakes, {"provider": "openai", **real}]:
        record = CallRecord(
            **{"time": datetime.now(UTC), "uid": uuid.uuid4().hex, "model": "m", "tags": {"a": "b"}, **fields}
        )
        ledger.record(record)
    return ledger


def words(ax):
    from matplotlib.text import Text

    return " ".join(text.get_text() for text in ax.figure.findobj(Text)).replace("\n", " ")


def calls_told(ledger):
    """Return how many calls each way of adding up counts."""
    told = {"total": ledger.total().calls, "session": ledger.session_total().calls}
    told |= {
        f"summary by {by}": int(ledger.summary(by)["calls"].sum()) for by in ("provider", "tag:a", "day")
    }
    told["summary by simulated"] = int(ledger.summary("simulated")["calls"].sum())
    told["summary by both"] = int(ledger.summary(["simulated", "month"])["calls"].sum())
    told["reprice"] = ledger.reprice("m", prices={"m": {"input": 1, "output": 1}}).calls
    with closing(ledger.dashboard(since="all")) as board:
        told["dashboard"] = len(board.df)
    return told


@pytest.mark.parametrize("real", FREE.values(), ids=FREE)
def test_a_real_call_does_not_hide_the_simulated_ones_if(real):
    ledger = ledger_of(real)
    assert set(calls_told(ledger).values()) == {4}
    assert "4 calls, 3 of them simulated" in str(ledger.total())
    assert "4 calls, 3 of them simulated" in words(ledger.plot())
    assert ledger.total().usd == pytest.approx(0.003)


@pytest.mark.parametrize("real", PAID.values(), ids=PAID)
def test_a_real_call_hides_the_simulated_ones_and_says_so_if(real):
    ledger = ledger_of(real)
    assert set(calls_told(ledger).values()) == {1}
    assert str(ledger.total()).endswith("; 3 simulated calls left out")
    assert "left out: " in words(ledger.plot())
    assert "3 simulated" in words(ledger.plot())
    with closing(ledger.dashboard(since="all")) as board:
        assert "3 simulated calls left out" in repr(board)
    assert "3 simulated calls left out" in repr(ledger.reprice())


def test_a_query_for_real_calls_does_not_mention_others():
    ledger = ledger_of(PAID["it cost something"])
    assert "simulated" not in str(ledger.total(simulated=False))
    assert ledger.total(simulated=True).calls == 3


def test_the_same_holds_after_the_ledger_is_opened_again(tmp_path):
    path = tmp_path / "calls.sqlite"
    for fields in (FREE["it failed"], {"status": "ok", "simulated": True, "cost_nanos": 10**6}):
        first = Ledger(path)
        uid = uuid.uuid4().hex
        first.record(CallRecord(time=datetime.now(UTC), uid=uid, provider="p", model="m", **fields))
        first.close()
    again = Ledger(path)
    assert str(again.total()) == "$0.001 over 2 calls, 1 of them simulated"
    assert again.summary("month")["calls"].tolist() == [2]
    again.close()
