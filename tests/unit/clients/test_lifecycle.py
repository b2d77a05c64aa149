"""Clients across forks, cancelled crowds and interrupts at any moment."""

import asyncio
import os
import random
import sqlite3
import time

import pytest

from llmkit import LLMMessage, sandbox
from tests.support.callers import QUESTION, TEXT, make
from tests.support.kernels import Kernel

LONG = [LLMMessage("user", "echo: " + "word " * 5_000)]


async def settled(server):
    """Wait until the server has seen the end of all its answers."""
    end = time.monotonic() + 10
    while any(r.outcome == "open" for r in server.requests) and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return {request.outcome for request in server.requests}


@pytest.mark.usefixtures("quiet")
@pytest.mark.full
async def test_a_hundred_streams_cancelled_at_random_leave_a_row_each_and_no_socket(protocol, recorder):
    chance = random.Random(7)
    with sandbox.start(rate=50, first_token=0.01) as server:
        client = make(protocol, server)

        async def read():
            async for _ in client.stream_text(LONG):
                pass

        tasks = [asyncio.create_task(read()) for _ in range(100)]
        for task in chance.sample(tasks, 100):
            await asyncio.sleep(chance.uniform(0, 0.01))
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        others = [result for result in results if not isinstance(result, asyncio.CancelledError)]
        assert not others
        outcomes = await settled(server)
        await client.close()
    assert outcomes <= {"aborted", "done"}
    assert set(recorder.statuses) == {"cancelled"}
    # A task that was cancelled before its request was sent made no call.
    assert len(server.requests) <= len(recorder.records) <= 100


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_uses_its_parents_client_with_connections_of_its_own(protocol, server, recorder):
    client = make(protocol, server)
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(client.generate_text(QUESTION)).content == TEXT
    child = os.fork()
    if child == 0:
        asyncio.set_event_loop(None)
        asyncio.events._set_running_loop(None)
        os._exit(0 if asyncio.run(client.generate_text(QUESTION)).content == TEXT else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert loop.run_until_complete(client.generate_text(QUESTION)).content == TEXT
    loop.run_until_complete(client.close())
    loop.close()
    assert len(server.requests) == 3


@pytest.mark.kernel
@pytest.mark.parametrize("points", [3, pytest.param(20, marks=pytest.mark.soak)])
def test_an_interrupt_at_any_moment_of_a_cell_leaves_the_kernel_idle_and_a_row(tmp_path, points):
    chance = random.Random(11)
    ledger = tmp_path / "ledger.sqlite"
    kernel = Kernel(tmp_path, LLMKIT_LEDGER=str(ledger), LLMKIT_SANDBOX="1", LLMKIT_SANDBOX_FIRST_TOKEN="0.3")
    try:
        kernel.run("%load_ext llmkit\nimport llmkit")
        kernel.run("%%llm -q\nHello")
        for number in range(points):
            moment, fired = time.monotonic() + 0.15 + chance.uniform(0, 2.5), []

            def stop(kernel, _result, moment=moment, fired=fired):
                if not fired and time.monotonic() > moment:
                    kernel.interrupt()
                    fired.append(time.monotonic())

            name = ("sandbox", "anthropic", "google")[number % 3]
            result = kernel.run(
                f"%%llm {name}:sandbox!rate=40;tokens=200\nPlan {number} surveys.", during=stop
            )
            assert fired
            print(f"idle after {time.monotonic() - fired[0]:.3f} s")  # noqa: T201 - for the one who soaks
            assert result.reply["ename"] == "Stopped"
            assert len(result.data("text/html")) == 1
        seen = kernel.run(
            "import time; time.sleep(0.5); print({r.outcome for r in llmkit.sandbox.server().requests})"
        )
        assert "open" not in seen.text
    finally:
        kernel.close()
    with sqlite3.connect(ledger) as file:
        statuses = [row[0] for row in file.execute("SELECT status FROM calls ORDER BY id")]
    file.close()
    assert statuses == ["ok", *["cancelled"] * points]
