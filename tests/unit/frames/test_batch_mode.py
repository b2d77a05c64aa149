"""`mode="batch"`: half price, answers later, each request in the books once, whatever process goes on."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pandas as pd
import polars as pl
import pytest

from llmkit import AnthropicClient, GoogleAIClient, InvalidRequestError, Ledger, OpenAIClient, records
from llmkit.frames import JobStopped, cancel, classify, jobs
from llmkit.frames import map as ask
from llmkit.frames.answers.sqlite import SqliteAnswers
from llmkit.sandbox import SandboxServer

NOW = datetime.now(UTC).timestamp()
HOUR = 3600
CLIENTS = {"openai": OpenAIClient, "anthropic": AnthropicClient, "google": GoogleAIClient}
FRAME = pd.DataFrame({"n": ["one", "two", None, "one"]})
PROMPT = "echo: {{n}}"


@pytest.fixture
def server():
    """A server on whose clock no time passes by itself; a batch takes an hour."""
    with SandboxServer(rate=0, first_token=0, batch_seconds=HOUR, clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    before = records.set_recorder(lambda: ledger)
    yield ledger
    records.set_recorder(before)
    ledger.close()


@pytest.fixture(params=CLIENTS)
def client(request, server):
    return CLIENTS[request.param]("k", server.url(request.param), model="sandbox", max_retries=0)


@pytest.fixture
def openai(server):
    return OpenAIClient("k", server.url("openai"), model="sandbox", max_retries=0)


def run(client, store, frame=FRAME, **options):
    return ask(frame, PROMPT, model=client, store=store, mode="batch", progress=False, **options)


def column(frame, name):
    return [None if value is pd.NA else value for value in frame[name]]


def test_rows_are_pending_until_the_same_cell_finds_their_answers(client, server, store, ledger):
    for _ in range(2):  # the second use sends nothing
        found = run(client, store)
        assert column(found, "llm") == [None] * 4
        assert column(found, "llm_error") == ["pending", "pending", None, "pending"]
    server.advance(HOUR)
    for _ in range(2):
        found = run(client, store, meta=True)
        assert column(found, "llm") == ["one", "two", None, "one"]
        assert column(found, "llm_error") == [None] * 4
    assert len(ledger.df) == 2
    assert set(ledger.df["service_tier"]) == {"batch"}
    assert set(ledger.df["surface"]) == {"table"}
    assert math.isclose(found["llm_cost"].sum(), ledger.df["cost_usd"].sum())


def test_half_the_price_of_now(openai, server, store, ledger):
    now = ask(FRAME, PROMPT, model=openai, store=False, meta=True, progress=False)
    run(openai, store)
    server.advance(HOUR)
    later = run(openai, store, meta=True)
    assert math.isclose(later["llm_cost"].sum(), now["llm_cost"].sum() / 2)


def test_what_was_answered_at_once_is_not_sent_again_in_a_batch(openai, server, store, ledger):
    ask(FRAME[:1], PROMPT, model=openai, store=store, progress=False)
    found = run(openai, store)
    assert column(found, "llm") == ["one", None, None, "one"]
    assert column(found, "llm_error") == [None, "pending", None, None]


def test_appended_rows_are_a_second_batch_and_both_are_found(openai, server, store, ledger):
    run(openai, store)
    longer = pd.DataFrame({"n": ["three", *FRAME["n"]]})
    run(openai, store, longer)
    server.advance(HOUR)
    assert column(run(openai, store, longer), "llm") == ["three", "one", "two", None, "one"]
    assert len(ledger.df) == 3
    assert [one.state for one in store.jobs()] == ["done", "done"]


def test_failed_rows_are_asked_again_only_by_the_next_use(openai, server, store, ledger):
    server.fail_in_batch("500")
    run(openai, store)
    server.advance(HOUR)
    found = run(openai, store)
    errors = [one for one in column(found, "llm_error") if one]
    assert len(set(errors)) == 1
    assert not errors[0].startswith("pending")
    assert "pending" in column(run(openai, store), "llm_error")
    server.advance(HOUR)
    assert column(run(openai, store), "llm") == ["one", "two", None, "one"]


def test_a_failed_row_can_stop_the_job(openai, server, store, ledger):
    server.fail_in_batch("500")
    run(openai, store)
    server.advance(HOUR)
    with pytest.raises(JobStopped, match="Stopped after 4 of 4 rows") as stopped:
        run(openai, store, on_error="raise")
    assert any(one is not None for one in column(stopped.value.frame, "llm"))


@pytest.mark.parametrize("provider", CLIENTS)
def test_an_expired_batch_says_so_and_its_rows_can_be_asked_again(provider, store, ledger):
    with SandboxServer(rate=0, first_token=0, batch_seconds=10**9, clock=lambda: NOW) as server:
        client = CLIENTS[provider]("k", server.url(provider), model="sandbox", max_retries=0)
        run(client, store)
        server.advance(60 * HOUR)
        assert "expired" in column(run(client, store), "llm_error")[0]
        assert column(run(client, store), "llm_error")[0] == "pending"


def test_typed_verbs_can_wait_for_a_batch(store, ledger):
    with SandboxServer(rate=0, first_token=0, batch_seconds=0.1) as running:
        client = OpenAIClient("k", running.url("openai"), model="sandbox", max_retries=0)
        labels = {"small": "one", "large": "many"}
        options = {"model": client, "store": store, "mode": "batch", "wait": True, "progress": False}
        found = classify(pl.from_pandas(FRAME), "n", labels, **options)
    assert found["label"].to_list() == ["small", "small", None, "small"], found


def test_max_cost_sends_the_first_rows_that_fit_and_says_how_many(server, store, ledger):
    client = OpenAIClient("k", server.url("openai"), model="gpt-4o-mini", max_retries=0)
    with pytest.raises(JobStopped, match="is enough for 1 of 2 requests") as stopped:
        run(client, store, max_tokens=1000, max_cost=0.0005)
    assert column(stopped.value.frame, "llm_error") == ["pending", None, None, "pending"]
    assert stopped.value.reason == "max_cost"


def test_a_batch_above_the_budget_is_not_sent(store, ledger):
    with SandboxServer(rate=0, first_token=0, batch_seconds=HOUR, clock=lambda: NOW) as server:
        client = OpenAIClient("k", server.url("openai"), model="gpt-4o-mini", max_retries=0)
        ledger.budget(daily=0.000001)
        with pytest.raises(JobStopped) as stopped:
            run(client, store)
        assert not [one for one in server.requests if one.method == "POST"]
    assert stopped.value.reason == "BudgetExceededError"
    assert column(stopped.value.frame, "llm_error") == [None] * 4


def test_a_batch_can_be_cancelled_and_its_rows_asked_again(server, ledger, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", server.url("openai"))
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    options = {"model": "openai:sandbox", "mode": "batch", "progress": False}
    ask(FRAME, PROMPT, **options)
    (job,) = jobs().query("state == 'pending'")["id"]
    cancel(job)
    assert "cancelled" in column(ask(FRAME, PROMPT, **options), "llm_error")[0]
    assert column(ask(FRAME, PROMPT, **options), "llm_error")[0] == "pending"
    with pytest.raises(InvalidRequestError, match="no batch that runs: cancelled"):
        cancel(job)
    with pytest.raises(InvalidRequestError, match="There is no job 'x'"):
        cancel("x")


def test_a_provider_without_a_batch_api_and_a_job_without_a_store_are_refused(store, openai):
    with pytest.raises(InvalidRequestError, match="has no Batch API"):
        ask(FRAME, PROMPT, model="ollama:x", mode="batch", store=store)
    with pytest.raises(InvalidRequestError, match="needs the store"):
        ask(FRAME, PROMPT, model=openai, mode="batch", store=False)


CHILD = """
import os, signal, sys
import pandas as pd
import llmkit.clients.batches.jobs as jobs
from llmkit import AnthropicClient, GoogleAIClient, OpenAIClient
from llmkit.frames import map as ask
from llmkit.frames.submission import Submission

where, provider, url = sys.argv[1:]
saved = []
text = Submission.text
def dies(self):
    saved.append(1)
    if len(saved) == (1 if where == "before" else 2):
        os.kill(os.getpid(), signal.SIGKILL)
    return text(self)
if where != "noted":
    Submission.text = dies
else:
    import llmkit.clients.batches.server as server
    async def never(self, steps):
        os.kill(os.getpid(), signal.SIGKILL)
    server.BatchServer.run = never
client = {"openai": OpenAIClient, "anthropic": AnthropicClient, "google": GoogleAIClient}[provider](
    "k", url, model="sandbox", max_retries=0)
frame = pd.DataFrame({"n": ["one", "two", None, "one"]})
ask(frame, "echo: {{n}}", model=client, mode="batch", progress=False)
"""


@pytest.mark.parametrize("provider", CLIENTS)
@pytest.mark.parametrize("where", ["before", "noted", "sent"])
def test_a_process_that_dies_while_it_sends_loses_and_repeats_nothing(
    where, provider, server, tmp_path, monkeypatch
):
    """It dies before its note, after it and before it sends, or when the batch is sent and not noted."""
    monkeypatch.setenv("LLMKIT_LEDGER", str(tmp_path / "ledger.sqlite"))
    command = [sys.executable, "-c", CHILD, where, provider, server.url(provider)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.run(command, env=environment, check=False)
    assert child.returncode == -signal.SIGKILL
    ledger = Ledger(tmp_path / "ledger.sqlite")
    before = records.set_recorder(lambda: ledger)
    try:
        client = CLIENTS[provider]("k", server.url(provider), model="sandbox", max_retries=0)
        options = {"model": client, "mode": "batch", "progress": False}
        options["store"] = store = SqliteAnswers(tmp_path / "ledger.answers.sqlite")
        assert column(ask(FRAME, PROMPT, **options), "llm_error")[0] == "pending"
        server.advance(HOUR)
        found = ask(FRAME, PROMPT, **options)
        if column(found, "llm_error")[0] == "pending":  # Anthropic tells whose batch it was when it has ended
            server.advance(HOUR)
            found = ask(FRAME, PROMPT, **options)
        assert column(found, "llm") == ["one", "two", None, "one"]
        assert len(ledger.df) == 2
    finally:
        records.set_recorder(before)
        ledger.close()
        store.close()


def test_a_repair_is_not_bought_at_full_price(openai, server, store, ledger):
    run_labels = {"model": openai, "store": store, "mode": "batch", "progress": False}
    classify(FRAME, "n", ["a", "b"], max_tokens=2, **run_labels)
    server.advance(HOUR)
    found = classify(FRAME, "n", ["a", "b"], max_tokens=2, **run_labels)
    assert column(found, "label_error")[0].startswith("length: ")
    assert set(ledger.df["service_tier"]) == {"batch"}
    assert json.loads(store.jobs()[0].state_json)["complete"]
