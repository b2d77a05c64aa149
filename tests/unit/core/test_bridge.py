"""The background event loop: items in order, errors through, nothing left running."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from contextlib import closing

import pytest

from llmkit.core.bridge import Bridge, bridge


async def count(to, ended=None):
    try:
        for n in range(to):
            yield str(n)
            await asyncio.sleep(0)
    finally:
        if ended is not None:
            ended.set()


def items(stream):
    return [item for item in stream if item is not None]


def test_items_arrive_in_order():
    assert items(bridge.stream(count(100))) == [str(n) for n in range(100)]


def test_a_result_comes_back_and_an_error_too():
    async def answer():
        return 42

    async def fail():
        raise LookupError("no")

    assert bridge.run(answer()) == 42
    with pytest.raises(LookupError):
        bridge.run(fail())


def test_none_is_yielded_while_nothing_comes():
    async def slow():
        await asyncio.sleep(0.3)
        yield "late"

    got = list(bridge.stream(slow()))
    assert got[0] is None
    assert got[-1] == "late"


def test_leaving_early_closes_the_source_before_going_on():
    ended = threading.Event()

    async def endless():
        async for item in count(10, ended):
            yield item
            await asyncio.sleep(0)
        await asyncio.sleep(3600)

    with closing(bridge.stream(endless())) as stream:
        next(stream)
    assert ended.wait(60)


def test_a_source_that_never_yields_is_cancelled():
    cancelled = threading.Event()

    async def stuck():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        yield ""

    with closing(bridge.stream(stuck())) as stream:
        assert next(stream) is None
    assert cancelled.is_set()


def test_one_loop_serves_many_threads():
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(items(bridge.stream(count(20))))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [[str(n) for n in range(20)]] * 8


def test_work_on_the_loop_may_wait_for_other_work_at_any_depth():
    own = Bridge()

    async def work(depth):
        return [*own.run(work(depth - 1)), depth] if depth else [0]

    def twice():
        result.set_result([own.run(work(3)), own.run(work(3))])

    result = Future()
    threading.Thread(target=twice, daemon=True).start()
    assert result.result(60) == [[0, 1, 2, 3]] * 2


def test_a_fork_gets_a_loop_of_its_own():
    own = Bridge()
    items(own.stream(count(1)))
    code = os.fork()
    if code == 0:
        signal.alarm(20)
        os._exit(0 if items(own.stream(count(3))) == ["0", "1", "2"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(code, 0)[1]) == 0


def test_the_process_ends_quietly_with_a_session_open():
    code = """
import llmkit
from llmkit.core.bridge import bridge
client = llmkit.client("sandbox")
print(bridge.run(client.generate_text([llmkit.LLMMessage("user", "repeat exactly: bye")])).content)
"""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "LLMKIT_LEDGER": ":memory:", "PYTHONASYNCIODEBUG": "0"},
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "bye\n")
    assert "Warning" not in done.stderr
    assert "Error" not in done.stderr
