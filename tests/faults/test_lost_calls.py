"""`kill -9` with calls in flight: each request that the server answered has its row at the next open."""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import sys
from datetime import UTC, datetime

import pytest
from aiohttp import web

from llmkit import Ledger
from llmkit.core.errors import BudgetExceededError
from llmkit.core.timestamps import micros
from llmkit.costs.store.sqlite.sqlite_store import SQLiteStore
from llmkit.records import CostReservation

AT_ONCE = 64

WORKER = """
import asyncio, itertools, sys
import llmkit

numbers = itertools.count(int(sys.argv[2]))
daily = float(sys.argv[3])

async def work(client):
    for number in numbers:
        with llmkit.tags(number=str(number)):
            await client.generate_text([llmkit.LLMMessage("user", str(number))], max_tokens=20)

async def main():
    if daily:
        llmkit.budget(daily=daily)
    async with llmkit.OpenAIClient("no-real-key", sys.argv[1], model="gpt-4o-mini", max_retries=0) as client:
        await asyncio.gather(*(work(client) for _ in range(64)))

asyncio.run(main())
"""


class Server:
    """Answers after a while, and notes what it has answered: that is what a provider charges for."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.answered = set()
        self.killed = set()
        self.asked = asyncio.Event()

    async def __aenter__(self):
        app = web.Application()
        app.router.add_post("/chat/completions", self.answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *problem):
        await self._runner.cleanup()

    async def answer(self, request):
        number = (await request.json())["messages"][0]["content"]
        await asyncio.sleep(random.uniform(self.seconds, 3 * self.seconds))
        if int(number) // 10**6 in self.killed:  # it may have been sent at the very moment of the kill
            return web.Response()
        self.answered.add(number)
        if len(self.answered) % 100 == 0:
            self.asked.set()
        message = {"role": "assistant", "content": "Yes."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        return web.json_response({"id": "1", "model": "gpt-4o-mini", "choices": [choice], "usage": usage})


async def kill_one(server, ledger, first, *, daily=0.0):
    """Let a process make calls and kill it at a random moment."""
    server.asked.clear()
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, server.url, str(first), str(daily),
        env={**os.environ, "LLMKIT_LEDGER": str(ledger)}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    reading = asyncio.create_task(worker.communicate())
    await asyncio.wait_for(server.asked.wait(), 60)
    await asyncio.sleep(random.uniform(0, 2 * server.seconds))
    server.killed.add(first // 10**6)
    worker.send_signal(signal.SIGKILL)
    _, errors = await reading
    assert b"Traceback" not in errors, errors.decode()
    return set(server.answered)


def rows_of(path):
    with contextlib.closing(Ledger(path)) as ledger:
        return ledger.df


def left(path):
    with contextlib.closing(sqlite3.connect(path)) as file:
        return [file.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("intents", "holds")]


async def rounds(path, count, seconds):
    lost = 0
    async with Server(seconds) as server:
        for number in range(count):
            answered = await kill_one(server, path, number * 10**6)
            rows = await asyncio.to_thread(rows_of, path)
            assert answered - {tags["number"] for tags in rows["tags"]} == set()
            assert rows["uid"].is_unique
            assert set(rows["status"]) <= {"ok", "lost"}
            lost += (rows["status"] == "lost").sum()
            assert left(path)[0] == 0
    return rows, lost


@pytest.mark.full
async def test_each_answered_request_of_a_killed_process_has_its_row(tmp_path):
    rows, lost = await rounds(tmp_path / "ledger.sqlite", 5, 0.2)
    assert lost > 0
    lost = rows[rows["status"] == "lost"]
    assert (lost["cost_usd"] > 0).all()
    assert (lost["at_most_usd"] > lost["cost_usd"]).all()
    assert set(lost["usage_source"]) == {"estimated"}


@pytest.mark.full
async def test_processes_that_are_killed_one_after_the_other_lose_nothing_before_anybody_reads(tmp_path):
    """Each finds the calls of the one before, and must not neglect its own for them."""
    path = tmp_path / "ledger.sqlite"
    async with Server(0.1) as server:
        for number in range(5):
            answered = await kill_one(server, path, number * 10**6)
    rows = await asyncio.to_thread(rows_of, path)
    assert answered - {tags["number"] for tags in rows["tags"]} == set()


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_two_hundred_kills_at_a_fast_server_lose_no_answered_request(tmp_path):
    rows, lost = await rounds(tmp_path / "ledger.sqlite", 200, 0.015)
    print(len(rows), "rows,", lost, "lost")  # noqa: T201 - for the one who soaks


async def test_under_a_budget_the_bound_of_each_lost_call_stays_counted(tmp_path):
    path = tmp_path / "ledger.sqlite"
    async with Server(0.2) as server:
        await kill_one(server, path, 0, daily=5.0)
    rows = await asyncio.to_thread(rows_of, path)
    lost = rows[rows["status"] == "lost"]
    assert server.answered <= {tags["number"] for tags in rows["tags"]}
    assert len(lost) > 0
    with contextlib.closing(SQLiteStore(path)) as store:
        now = datetime.now(UTC)
        used = store.amounts(micros(now), None)
        assert used.spent == round(rows["cost_usd"].sum() * 10**9)
        assert used.uncertain == round((lost["at_most_usd"] - lost["cost_usd"]).sum() * 10**9)
        assert used.reserved == 0
        free = 5 * 10**9 - used.spent - used.uncertain
        plan = {"time": now, "provider": "openai", "model": "m", "input_tokens": 1, "output_tokens": 1}
        too_much = CostReservation(uid="a" * 32, nanos=free + 1, lease_s=60, **plan)
        with pytest.raises(BudgetExceededError):
            store.reserve(too_much).result(60)
        store.reserve(CostReservation(uid="b" * 32, nanos=free, lease_s=60, **plan)).result(60)


@pytest.mark.full
async def test_processes_that_open_the_ledger_at_once_write_each_row_once(tmp_path):
    path = tmp_path / "ledger.sqlite"
    async with Server(0.2) as server:
        await kill_one(server, path, 0)
    code = (
        "import sys; from llmkit import Ledger; sys.stdin.read(1); rows = Ledger(sys.argv[1]).df;"
        " print(len(rows), rows.uid.nunique(), (rows.status == 'lost').sum())"
    )
    readers = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(path),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(4)
    ]  # fmt: skip
    for reader in readers:
        reader.stdin.write(b"!")
    results = {(await reader.communicate())[0] for reader in readers}
    rows = await asyncio.to_thread(rows_of, path)
    lost = (rows["status"] == "lost").sum()
    assert lost > 0
    assert results == {f"{len(rows)} {len(rows)} {lost}\n".encode()}
    assert left(path) == [0, lost]
