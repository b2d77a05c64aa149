"""Processes, or jobs of one process, that start the same batch at the same moment: it is sent once."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime

import pandas as pd
import pytest

from llmkit import Ledger, OpenAIClient, records
from llmkit.frames import amap
from llmkit.frames import map as ask
from llmkit.sandbox import SandboxServer

NOW = datetime.now(UTC).timestamp()
HOUR = 3600
FRAME = pd.DataFrame({"n": ["one", "two", "three"]})

# It stops at a step until the test says so: by then the other process has come as far.
CHILD = """
import os, signal, sys
import pandas as pd
from llmkit import OpenAIClient
from llmkit.frames import map as ask
from llmkit.frames.batch_mode import BatchMode

step, url = sys.argv[1:]
after = getattr(BatchMode, step)
async def paused(self, *arguments):
    found = await after(self, *arguments)
    print("here", flush=True)
    if sys.stdin.readline().strip() == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return found
setattr(BatchMode, step, paused)
client = OpenAIClient("k", url, model="sandbox", max_retries=0)
frame = pd.DataFrame({"n": ["one", "two", "three"]})
found = ask(frame, "echo: {{n}}", model=client, mode="batch", progress=False)
assert found["llm_error"].tolist() == ["pending"] * 3, found
"""


@pytest.fixture
def server():
    with SandboxServer(rate=0, first_token=0, batch_seconds=HOUR, clock=lambda: NOW) as running:
        yield running


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("LLMKIT_LEDGER", str(tmp_path / "ledger.sqlite"))
    ledger = Ledger(tmp_path / "ledger.sqlite")
    before = records.set_recorder(lambda: ledger)
    yield ledger
    records.set_recorder(before)
    ledger.close()


@pytest.fixture
def client(server):
    return OpenAIClient("k", server.url("openai"), model="sandbox", max_retries=0)


def child(step, server):
    command = [sys.executable, "-c", CHILD, step, server.url("openai")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)


def tell(process, word):
    process.stdin.write(f"{word}\n")
    process.stdin.flush()


def sent(server):
    return sum(one.method == "BATCH" for one in server.requests)


def submitted(server):
    return [one.path for one in server.requests if one.method == "POST" and one.path.endswith("/batches")]


def test_two_processes_that_both_saw_no_batch_send_one(server, ledger, store, client):
    children = [child("_look", server) for _ in range(2)]
    for one in children:  # both have looked, and neither has sent
        assert one.stdout.readline() == "here\n"
    for one in children:
        tell(one, "go")
    for one in children:
        one.communicate(timeout=120)
    assert [one.returncode for one in children] == [0, 0]
    assert len(submitted(server)) == 1
    server.advance(HOUR)
    found = ask(FRAME, "echo: {{n}}", model=client, store=store, mode="batch", progress=False)
    assert found["llm"].tolist() == ["one", "two", "three"]
    assert len(ledger.df) == sent(server) == 3


def test_what_a_living_process_is_about_to_send_is_pending_and_of_a_dead_one_sent(
    server, ledger, store, client
):
    other = child("_unsent", server)  # it has claimed the requests, and noted nothing
    assert other.stdout.readline() == "here\n"
    options = {"model": client, "store": store, "mode": "batch", "progress": False}
    assert ask(FRAME, "echo: {{n}}", **options)["llm_error"].tolist() == ["pending"] * 3
    assert submitted(server) == []
    tell(other, "die")
    other.communicate(timeout=120)
    assert other.returncode == -signal.SIGKILL
    assert ask(FRAME, "echo: {{n}}", **options)["llm_error"].tolist() == ["pending"] * 3
    assert len(submitted(server)) == 1


def test_a_job_that_waits_goes_on_in_place_of_a_process_that_died(ledger, store):
    with SandboxServer(rate=0, first_token=0, batch_seconds=0) as running:
        client = OpenAIClient("k", running.url("openai"), model="sandbox", max_retries=0)
        other = child("_unsent", running)
        assert other.stdout.readline() == "here\n"
        tell(other, "die")
        other.communicate(timeout=120)
        found = ask(FRAME, "echo: {{n}}", model=client, store=store, mode="batch", wait=True, progress=False)
        assert found["llm"].tolist() == ["one", "two", "three"]


async def test_two_jobs_of_one_process_send_one_batch_and_both_wait_for_it(ledger, store):
    with SandboxServer(rate=0, first_token=0, batch_seconds=0.1) as running:
        async with OpenAIClient("k", running.url("openai"), model="sandbox", max_retries=0) as client:
            options = {"model": client, "store": store, "mode": "batch", "wait": True, "progress": False}
            both = await asyncio.gather(*[amap(FRAME, "echo: {{n}}", **options) for _ in range(2)])
        for found in both:
            assert found["llm"].tolist() == ["one", "two", "three"]
        assert len(submitted(running)) == 1
    assert len(ledger.df) == 3
