"""Batch jobs survive their process: killed between each two steps, read by two at once, in the books once."""

import asyncio
import json
import signal
import sys

import pytest

from llmkit import AnthropicClient, GoogleAIClient, Ledger, OpenAIClient, records
from llmkit.clients.batches.jobs import find, results
from llmkit.sandbox import SandboxServer
from tests.support.processes import unmeasured

CLIENTS = {"openai": OpenAIClient, "anthropic": AnthropicClient, "google": GoogleAIClient}
ROWS = 20

WORKER = """
import asyncio, json, os, signal, sys
from llmkit import AnthropicClient, GoogleAIClient, LLMMessage, OpenAIClient, ledger
from llmkit.clients.batches.jobs import look, results, submit
from llmkit.clients.batches.state import BatchRequest, BatchState

kind = {"openai": OpenAIClient, "anthropic": AnthropicClient, "google": GoogleAIClient}[sys.argv[1]]
address, step, state = sys.argv[2], sys.argv[3], sys.argv[4]

def row(n):
    return BatchRequest(id=f"r{n}", messages=[LLMMessage("user", f"echo: {n}")], options={"max_tokens": 9})

async def main():
    client = kind("k", address, model="sandbox")
    if step == "submit":
        async for one in submit(client, "job1", map(row, range(20))):
            os.kill(os.getpid(), signal.SIGKILL)  # before anybody noted it
    known = await look(client, BatchState.of(json.loads(state)))
    number = 0
    async for _ in results(client, known):
        number += 1
        if step == "half" and number == 10:
            os.kill(os.getpid(), signal.SIGKILL)
    await client.close()
    ledger.flush()

asyncio.run(main())
"""


async def work(path, *arguments):
    """Run a worker to its end, whichever that is."""
    command = [sys.executable, "-c", WORKER, *arguments]
    environment = {**unmeasured(), "LLMKIT_LEDGER": str(path)}
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    return await asyncio.wait_for(process.wait(), 120)


@pytest.fixture
def server():
    with SandboxServer(rate=0, first_token=0, batch_seconds=0) as running:
        yield running


@pytest.mark.full
async def test_every_request_of_a_job_is_in_the_books_once_whatever_is_killed(protocol, server, tmp_path):
    path, address = tmp_path / "ledger.sqlite", server.url(protocol)
    Ledger(path).budget(daily=1)
    assert await work(path, protocol, address, "submit", "") == -signal.SIGKILL
    async with CLIENTS[protocol]("k", address, model="sandbox") as client:
        (state,) = await find(client, "job1")
        known = json.dumps(state.as_dict())
        assert await work(path, protocol, address, "half", known) == -signal.SIGKILL
        # Two processes and this one read it at the same time.
        ledger = Ledger(path)
        before = records.set_recorder(lambda: ledger)
        both = [work(path, protocol, address, "whole", known) for _ in range(2)]
        try:
            assert await asyncio.gather(*both) == [0, 0]
            answers = {name: one async for name, one in results(client, state)}
        finally:
            records.set_recorder(before)
    assert sorted(ledger.df["uid"]) == sorted(one.uid for one in answers.values())
    assert len(answers) == ROWS
    assert set(ledger.df["service_tier"]) == {"batch"}
    assert set(ledger.df["status"]) == {"ok"}
    assert ledger.budget().reserved == 0
    # Once at the provider, too: nobody asked again.
    assert sum(one.method == "BATCH" for one in server.requests) == ROWS
    ledger.close()
