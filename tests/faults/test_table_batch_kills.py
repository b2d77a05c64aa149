"""A table's batch is killed between any two steps: nothing is lost, sent twice or booked twice.

The steps are requests and commits.
"""

from __future__ import annotations

import signal
import sys
from contextlib import closing

import pytest

from llmkit import Ledger
from llmkit.sandbox import SandboxServer
from tests.support.forks import Forks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")

HOUR = 3600
ROWS = ["one", "two", "three", "four", "five"]
PENDING = 3

SCRIPT = """
import contextlib, itertools, os, signal, threading
import pandas
import llmkit.clients.batches.jobs, llmkit.frames.batch_mode, narwhals, genai_prices.data_snapshot
from llmkit import AnthropicClient, GoogleAIClient, OpenAIClient
from llmkit.core import sqlite
from llmkit.frames import map as ask
from llmkit.providers.batches import BatchFormat
from llmkit.transport.aiohttp import DirectTransport

genai_prices.data_snapshot.get_snapshot()
CLIENTS = {"openai": OpenAIClient, "anthropic": AnthropicClient, "google": GoogleAIClient}
steps, fatal, lock = itertools.count(1), 0, threading.Lock()

def step():
    with lock:
        if next(steps) == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

transaction, send = sqlite.transaction, DirectTransport.send

@contextlib.contextmanager
def killed_transaction(connection):
    step()
    with transaction(connection):
        yield
    step()

async def killed_send(self, request):
    step()
    response = await send(self, request)
    step()
    return response

sqlite.transaction, DirectTransport.send = killed_transaction, killed_send
for kind in BatchFormat.__subclasses__():
    kind.most_requests = 2  # so that there are three batches

def work(provider, url, rows, at):
    global fatal
    fatal = at
    client = CLIENTS[provider]("k", url, model="sandbox", max_retries=0)
    frame = pandas.DataFrame({"n": [*rows, rows[0]]})
    found = ask(frame, "echo: {{n}}", model=client, mode="batch", progress=False)
    if (found["llm_error"] == "pending").any():
        return 3
    assert found["llm"].tolist() == frame["n"].tolist(), found.to_string()
"""


class Job:
    """A job at one provider, in a ledger of its own."""

    def __init__(self, forks, server, provider, ledger):
        self.forks, self.server, self.provider, self.ledger = forks, server, provider, ledger

    def run(self, at=0):
        """Run the cell, killed at a step if it comes to it; return its exit code."""
        url = self.server.url(self.provider)
        self.forks.start(self.provider, url, ROWS, at, environment={"LLMKIT_LEDGER": str(self.ledger)})
        return self.forks.wait()

    def run_to_the_end(self):
        for _ in range(6):
            self.server.advance(HOUR)
            if (code := self.run()) != PENDING:
                break
        assert code == 0

    def check(self):
        """Each request is at the provider and in the books once."""
        asked = sum(one.method == "BATCH" for one in self.server.requests)
        with closing(Ledger(self.ledger)) as opened:
            calls = opened.df
        assert asked == len(calls) == len(ROWS)
        assert set(calls["status"]) == {"ok"}
        assert set(calls["service_tier"]) == {"batch"}


def killed_at(forks, provider, ledger, at, *, while_reading):
    """Kill one job at a step, and go on; return whether it came to this step."""
    with SandboxServer(rate=0, first_token=0, batch_seconds=HOUR) as server:
        job = Job(forks, server, provider, ledger)
        if while_reading:
            assert job.run() == PENDING
            server.advance(HOUR)
        code = job.run(at)
        assert code in {-signal.SIGKILL, 0, PENDING}
        job.run_to_the_end()
        job.check()
    return code == -signal.SIGKILL


@pytest.mark.parametrize("while_reading", [False, True], ids=["sending", "reading"])
@pytest.mark.parametrize("stride", [17, pytest.param(1, marks=[pytest.mark.soak, pytest.mark.timeout(7200)])])
@pytest.mark.full
def test_a_batch_survives_its_process(stride, while_reading, protocol, tmp_path):
    kills = 0
    with Forks(SCRIPT) as forks:
        while killed_at(
            forks, protocol, tmp_path / f"{kills}.sqlite", 1 + kills * stride, while_reading=while_reading
        ):
            kills += 1
    print(f"{protocol}: {kills} steps")  # noqa: T201 - for the one who soaks
    assert kills > 0
