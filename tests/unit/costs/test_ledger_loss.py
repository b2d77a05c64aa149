"""A ledger that vanishes with the machine is told of once, at the first call that costs something."""

import logging
import uuid
from datetime import UTC, datetime

import pytest

from llmkit import Ledger
from llmkit.costs import ledger as ledgers
from llmkit.costs import ledger_loss
from llmkit.notebook.commands.doctor import examine_ledger
from llmkit.notebook.compare.comparison import Comparison
from llmkit.notebook.compare.drawing import final
from llmkit.notebook.notices import take_notices
from llmkit.records import CallRecord


def call(**changes):
    fields = {"status": "ok", "provider": "p", "model": "m"}
    return CallRecord(time=datetime.now(UTC), uid=uuid.uuid4().hex, **fields | changes)


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    monkeypatch.setattr(ledgers, "ledger", ledger)
    monkeypatch.setattr(ledger_loss, "_said", [])
    yield ledger
    ledger.close()


@pytest.fixture
def colab(monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab-20260801")


def test_it_is_said_once_after_the_first_paid_call(ledger, colab):
    ledger.record(call(cost_nanos=5, simulated=True))
    ledger.record(call(cost_nanos=0))
    assert take_notices() == []
    ledger.record(call(cost_nanos=5))
    (line,) = take_notices()
    assert "is deleted with this Colab machine. Mount Google Drive" in line
    assert take_notices() == []


def test_a_machine_that_stays_is_not_told_of(ledger):
    ledger.record(call(cost_nanos=5))
    assert take_notices() == []


def test_a_ledger_in_memory_was_chosen(ledger, colab, monkeypatch):
    memory = Ledger(":memory:")
    monkeypatch.setattr(ledgers, "ledger", memory)
    memory.record(call(cost_nanos=5))
    assert take_notices() == []


@pytest.mark.parametrize("surface", ["api", "batch", "table"])
def test_after_a_call_from_python_it_is_logged_once(ledger, colab, caplog, surface):
    ledger.subscribe(lambda record: ledger_loss.notice(ledger, record))
    ledger.record(call(cost_nanos=5, simulated=True, surface=surface))
    assert not caplog.messages
    for _ in range(2):
        ledger.record(call(cost_nanos=5, surface=surface))
    (logged,) = caplog.records
    assert (logged.name, logged.levelno) == ("llmkit.costs", logging.WARNING)
    assert "is deleted with this Colab machine" in logged.message
    assert take_notices() == []


@pytest.mark.parametrize("surface", ["magic", "chat"])
def test_a_cell_or_chat_shows_it_instead(ledger, colab, caplog, surface):
    ledger.subscribe(lambda record: ledger_loss.notice(ledger, record))
    ledger.record(call(cost_nanos=5, surface=surface))
    assert not caplog.messages
    assert len(take_notices()) == 1


def test_a_comparison_has_it_under_its_answers(ledger, colab):
    ledger.record(call(cost_nanos=5, surface="magic"))
    shown = final(Comparison([], note=" ".join(take_notices())))
    assert "is deleted with this Colab machine" in shown["text/html"]
    assert "is deleted with this Colab machine" in shown["text/plain"]


def test_the_doctor_says_it_every_time(ledger, monkeypatch):
    monkeypatch.setenv("BINDER_SERVICE_HOST", "10.0.0.1")
    found = examine_ledger(ledger)
    assert not found.ok
    assert "does not exist yet" in found.text
    assert "is deleted with this Binder machine. Download the file" in found.text
    ledger.record(call()).result(10)
    assert "is deleted with this Binder machine" in examine_ledger(ledger).text
