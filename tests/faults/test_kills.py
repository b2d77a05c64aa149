"""`kill -9` at any moment: what was acknowledged is there, the files are whole, the next start is clean."""

import asyncio
import os
import random
import signal
import sqlite3
import sys

import pytest

from llmkit import Ledger
from llmkit.clients.cassettes.cassette import Cassette
from tests.support.billing import Provider

WORKER = """
import asyncio, itertools, random, sys
import llmkit

url, cassette, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
chance = random.Random(seed)

async def work(client):
    for _ in itertools.count():
        # Some questions come again: their answers are played back.
        question = [llmkit.LLMMessage("user", f"Question {chance.randint(0, 30 + seed)}")]
        stream = client.stream_text(question, max_tokens=30)
        try:
            async for _ in stream:
                pass
        except llmkit.LLMClientError:
            pass
        print(stream.outcome.uid, flush=True)

async def main():
    llmkit.budget(daily=1000)
    llmkit.replay(cassette)
    async with llmkit.OpenAIClient("no-real-key", url, model="gpt-4o-mini", max_retries=0) as client:
        print("ready", flush=True)
        await asyncio.gather(*(work(client) for _ in range(4)))

asyncio.run(main())
"""


async def kill_one(provider, folder, seed, seconds):
    """Let a process make calls, kill it, and return the rows that it was told to be safe."""
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WORKER,
        provider.url,
        str(folder / "demo.replay"),
        str(seed),
        env={**os.environ, "LLMKIT_LEDGER": str(folder / "ledger.sqlite")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    lines = b""
    if seed % 5 < 4:  # else it is killed while it starts
        while lines.count(b"\n") < 8:
            lines += await worker.stdout.readline()
    reading = asyncio.create_task(worker.communicate())
    await asyncio.sleep(seconds)
    worker.send_signal(signal.SIGKILL)
    output, errors = await reading
    assert b"Traceback" not in errors, errors.decode()
    *told, _cut = (lines + output).decode().split("\n")
    return set(told) - {"ready"}


async def rounds(folder, count, longest):
    acknowledged = set()
    async with Provider(3, faults=0.2) as provider:
        for seed in range(count):
            acknowledged |= await kill_one(provider, folder, seed, random.uniform(0, longest))
    for name in ("ledger.sqlite", "demo.replay"):
        with sqlite3.connect(folder / name) as file:
            assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        file.close()
    ledger = Ledger(folder / "ledger.sqlite")
    rows = ledger.df
    assert acknowledged <= set(rows.uid)
    assert rows.uid.is_unique
    assert (rows[rows.status == "replayed"].cost_usd == 0).all()
    assert Cassette(folder / "demo.replay").count() > 0
    ledger.close()
    return rows, acknowledged


async def test_a_killed_process_loses_no_acknowledged_row(tmp_path):
    rows, acknowledged = await rounds(tmp_path, 5, 1.0)
    assert acknowledged
    assert {"ok", "replayed"} <= set(rows.status)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_two_hundred_kills_lose_nothing(tmp_path):
    rows, acknowledged = await rounds(tmp_path, 200, 1.5)
    assert len(acknowledged) > 1000
    print(len(rows), "rows,", len(acknowledged), "acknowledged")  # noqa: T201 - for the one who soaks
