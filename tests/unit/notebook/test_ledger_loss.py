"""A ledger that vanishes with the machine is told of once, at the first call that costs something."""

import uuid
from datetime import UTC, datetime

import pytest

from llmkit import Ledger
from llmkit.costs import ledger as ledgers
from llmkit.notebook import ledger_loss as told
from llmkit.notebook.commands.doctor import examine_ledger
from llmkit.notebook.ledger_loss import ledger_loss
from llmkit.records import CallRecord


def call(**changes):
    fields = {"status": "ok", "provider": "p", "model": "m"}
    return CallRecord(time=datetime.now(UTC), uid=uuid.uuid4().hex, **fields | changes)


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    monkeypatch.setattr(ledgers, "ledger", ledger)
    monkeypatch.setattr(told, "_said", [])
    yield ledger
    ledger.close()


def test_it_is_said_once_after_the_first_paid_call(ledger, monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab-20260801")
    ledger.record(call(cost_nanos=5, simulated=True))
    ledger.record(call(cost_nanos=0))
    assert ledger_loss() == ""
    ledger.record(call(cost_nanos=5))
    assert "is deleted with this Colab machine. Mount Google Drive" in ledger_loss()
    assert ledger_loss() == ""


def test_a_machine_that_stays_is_not_told_of(ledger):
    ledger.record(call(cost_nanos=5))
    assert ledger_loss() == ""


def test_a_ledger_in_memory_was_chosen(ledger, monkeypatch):
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab-20260801")
    memory = Ledger(":memory:")
    monkeypatch.setattr(ledgers, "ledger", memory)
    memory.record(call(cost_nanos=5))
    assert ledger_loss() == ""


def test_the_doctor_says_it_every_time(ledger, monkeypatch):
    monkeypatch.setenv("BINDER_SERVICE_HOST", "10.0.0.1")
    found = examine_ledger(ledger)
    assert not found.ok
    assert "does not exist yet" in found.text
    assert "is deleted with this Binder machine. Download the file" in found.text
    ledger.record(call()).result(10)
    assert "is deleted with this Binder machine" in examine_ledger(ledger).text
