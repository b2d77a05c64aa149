"""Tables whose answers are in a PostgreSQL: its server dies and comes back, and no row is paid twice."""

from __future__ import annotations

import threading
import warnings

import pandas as pd
import pytest

from llmkit.core.errors import ConfigurationError
from llmkit.core.postgres import Address
from llmkit.costs.store.writer import LedgerWarning
from llmkit.frames import JobStopped
from llmkit.frames import map as ask
from llmkit.frames.answers.postgres import postgres_answers
from llmkit.frames.answers.postgres.postgres_answers import PostgresAnswers
from tests.support.postgres import server
from tests.support.rows import RowServer

FRAME = pd.DataFrame({"text": [f"row {n}" for n in range(120)]})
ANSWERED = [f"ROW {n}" for n in range(120)]


@pytest.fixture
def rows(recorder):
    del recorder
    with RowServer(delay=0.01) as serving:
        yield serving


@pytest.fixture
def store(postgres, monkeypatch):
    monkeypatch.setattr(postgres_answers, "RETRY", 0.0)
    made = PostgresAnswers(Address(postgres))
    yield made
    if not server().is_ready():
        server().start()
    made.close()


def options(rows, store):
    return {"model": rows.client(), "max_concurrent": 8, "store": store, "progress": False}


def in_the_middle(rows, action):
    """Do something once 40 rows were asked; return the thread that waits for it."""
    rows.wait_for(40)

    def wait():
        assert rows.enough.wait(60)
        action()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_server_that_goes_and_comes_back_within_a_job_costs_no_row(end, rows, store):
    def restart():
        getattr(server(), end)()
        server().start()

    thread = in_the_middle(rows, restart)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LedgerWarning)  # it may be back before an answer comes
        found = ask(FRAME, "text", **options(rows, store))
    thread.join(60)
    assert found["llm"].tolist() == ANSWERED
    assert sorted(rows.asked) == sorted(FRAME["text"])
    assert ask(FRAME, "text", **options(rows, store))["llm"].tolist() == ANSWERED
    assert len(rows.asked) == len(FRAME)


def test_a_job_ends_while_its_server_is_away_and_its_answers_are_there_for_the_next_one(
    rows, store, monkeypatch
):
    monkeypatch.setattr(postgres_answers, "PATIENCE", 0.0)
    thread = in_the_middle(rows, server().kill)
    with pytest.warns(LedgerWarning, match="Answers wait in"):
        found = ask(FRAME, "text", **options(rows, store))
    thread.join(60)
    assert found["llm"].tolist() == ANSWERED
    server().start()
    assert ask(FRAME, "text", **options(rows, store))["llm"].tolist() == ANSWERED
    assert sorted(rows.asked) == sorted(FRAME["text"])


def test_a_job_whose_server_is_away_at_its_beginning_asks_nothing(rows, store, monkeypatch):
    monkeypatch.setattr(postgres_answers, "PATIENCE", 0.0)
    server().kill()
    with pytest.raises((JobStopped, ConfigurationError), match="Cannot reach postgresql://admin@127"):
        ask(FRAME, "text", **options(rows, store))
    assert rows.asked == []
