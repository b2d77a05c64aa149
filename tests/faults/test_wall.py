"""A budget is a wall: many processes on one cap, with failures, cancelled calls and `kill -9`."""

import asyncio
import json
import os
import random
import signal
import sys
from datetime import UTC, datetime

import pytest

from llmkit import BudgetExceededError, Ledger
from llmkit.core.money import NANO
from llmkit.core.timestamps import micros
from llmkit.records import CostReservation
from tests.support.billing import Provider

WORST = 67_650
"""The most that one of the calls below can cost, in billionths of a dollar."""

WORKER = """
import asyncio, json, random, sys
import llmkit

url, seed, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)

async def one(client, told):
    stream = client.stream_text([llmkit.LLMMessage("user", "Hello")], max_tokens=100)
    leave = chance.randint(0, 30) if chance.random() < 0.2 else None
    try:
        number = 0
        async for _ in stream:
            number += 1
            if number == leave:
                await stream.aclose()
                break
    except llmkit.BudgetExceededError as error:
        told["refused"].append([error.cap, error.spent, error.reserved + error.uncertain, error.needed])
    except llmkit.LLMClientError:
        told["failed"] += 1
    else:
        told["done"] += 1

async def main():
    told = {"refused": [], "failed": 0, "done": 0}
    options = {"model": "gpt-4o-mini", "max_retries": 1, "timeout": 20}
    async with llmkit.OpenAIClient("no-real-key", url, **options) as client:
        print("ready", flush=True)
        await asyncio.gather(*(one(client, told) for _ in range(calls)))
    print(json.dumps(told), flush=True)

asyncio.run(main())
"""


async def trial(path, seed, *, processes, calls, cap, kills):
    """Let processes spend from one cap; return what they told, and look at the books all the while."""
    chance = random.Random(seed)
    ledger = Ledger(path)
    ledger.budget(daily=cap / NANO)
    async with Provider(seed) as provider:
        workers = [
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                WORKER,
                provider.url,
                str(seed * 1000 + number),
                str(calls),
                env={**os.environ, "LLMKIT_LEDGER": str(path)},
                stdout=asyncio.subprocess.PIPE,
            )
            for number in range(processes)
        ]
        watching = asyncio.create_task(watch(ledger, cap))
        for worker in workers:
            await worker.stdout.readline()
        for worker in chance.sample(workers, kills):
            await asyncio.sleep(chance.uniform(0, 0.15))
            worker.send_signal(signal.SIGKILL)
        outputs = [(await worker.communicate())[0] for worker in workers]
        watching.cancel()
        charged = provider.nanos
    told = [json.loads(output) for output in outputs if output.strip()]
    await asyncio.to_thread(ledger.flush)
    return ledger, told, charged


async def watch(ledger, cap):
    while True:
        used = await asyncio.to_thread(amounts, ledger)
        assert sum(used[:2]) + used.uncertain <= cap
        await asyncio.sleep(0.01)


def amounts(ledger):
    return ledger._store.amounts(micros(datetime.now(UTC)), None)


def held_later(ledger):
    """Return what will still be reserved once every lease is over."""
    connection = ledger._store._connected()
    later = micros(datetime.now(UTC)) + 120 * 1_000_000
    query = "SELECT count(*) FROM holds WHERE expires > ? AND uid NOT LIKE '?%'"
    return connection.execute(query, (later,)).fetchone()[0]


async def fits(ledger):
    """Whether one more call is let through."""
    reservation = CostReservation(
        uid="one-more",
        time=datetime.now(UTC),
        provider="openai",
        model="gpt-4o-mini",
        nanos=WORST,
        input_tokens=51,
        output_tokens=100,
        lease_s=20,
    )
    guard = ledger.guard(None)
    try:
        await guard.admit(reservation)
    except BudgetExceededError:
        return False
    guard.release("one-more")
    return True


async def check(ledger, told, charged, cap, kills):
    used = amounts(ledger)
    held = used.spent + used.reserved + used.uncertain
    assert held <= cap
    assert charged <= cap
    assert kills or charged <= used.spent + used.uncertain, "what may have been spent is not given back"
    assert int(ledger.df["cost_usd"].mul(NANO).round().sum()) == used.spent
    for each in told:
        for limit, spent, reserved, needed in each["refused"]:
            assert round((spent + reserved + needed) * NANO) > round(limit * NANO)
    assert held_later(ledger) == 0
    assert kills or used.reserved == 0
    assert await fits(ledger) == (held + WORST <= cap)


async def test_processes_share_a_cap_with_failures_and_cancelled_calls(tmp_path):
    cap = 20 * WORST
    found = await trial(tmp_path / "l.sqlite", 1, processes=3, calls=25, cap=cap, kills=0)
    await check(*found, cap, 0)
    told = found[1]
    assert sum(each["done"] for each in told)
    assert sum(len(each["refused"]) for each in told)


@pytest.mark.full
async def test_a_process_that_is_killed_takes_no_money_with_it(tmp_path):
    cap = 40 * WORST
    found = await trial(tmp_path / "l.sqlite", 2, processes=3, calls=25, cap=cap, kills=1)
    await check(*found, cap, 1)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_eight_processes_hold_one_cap_a_hundred_times(tmp_path):
    for seed in range(100):
        kills = seed % 3
        cap = random.Random(seed).randint(5, 200) * WORST
        path = tmp_path / f"{seed}.sqlite"
        found = await trial(path, seed, processes=8, calls=50, cap=cap, kills=kills)
        await check(*found, cap, kills)
        found[0].close()
