"""Identical requests that run at once share one call."""

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from llmkit.clients.cassettes.single_flight import SingleFlight, Turn

SOON = 0.05
"""Patience of the group in tests, in seconds."""


@pytest.fixture
def group():
    return SingleFlight(patience=SOON)


async def settle():
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def waiting(group, number, key="a"):
    """Let a number of callers join behind a leader."""
    leader = await group.join(key)
    tasks = [asyncio.create_task(group.join(key)) for _ in range(number)]
    await settle()
    return leader, tasks


async def test_the_first_one_gets_the_turn(group):
    assert isinstance(await group.join("a"), Turn)
    assert isinstance(await group.join("b"), Turn)


async def test_all_the_others_get_the_result(group):
    leader, tasks = await waiting(group, 100)
    assert not any(task.done() for task in tasks)
    leader.complete("answer")
    assert await asyncio.gather(*tasks) == ["answer"] * 100


async def test_after_the_end_there_is_a_new_turn(group):
    leader, _ = await waiting(group, 0)
    leader.complete("answer")
    leader.complete("late")
    again = await group.join("a")
    assert isinstance(again, Turn)
    assert again is not leader
    leader.complete("later")  # of a call that is over
    task = asyncio.create_task(group.join("a"))
    await settle()
    assert not task.done()
    again.complete("x")
    assert await task == "x"


async def test_a_failure_gives_the_turn_to_one(group):
    leader, tasks = await waiting(group, 5)
    for number in range(5):
        leader.complete(None)
        await settle()
        done = [task for task in tasks if task.done()]
        assert len(done) == number + 1
        leader = tasks[number].result()
        assert isinstance(leader, Turn)
    leader.complete(None)
    assert not group._calls


async def test_one_who_got_the_turn_calls_for_the_rest(group):
    leader, tasks = await waiting(group, 3)
    leader.complete(None)
    (await tasks[0]).complete("second answer")
    assert await asyncio.gather(*tasks[1:]) == ["second answer"] * 2


async def test_a_failure_counts_once(group):
    leader, tasks = await waiting(group, 3)
    leader.complete(None)
    leader.complete(None)
    await settle()
    assert [task.done() for task in tasks] == [True, False, False]
    (await tasks[0]).complete(1)
    await asyncio.gather(*tasks)


async def test_one_who_is_cancelled_while_waiting_is_forgotten(group):
    leader, tasks = await waiting(group, 3)
    tasks[0].cancel()
    await settle()
    assert tasks[0].cancelled()
    assert len(group._calls["a"].waiting) == 2
    leader.complete(None)
    assert isinstance(await tasks[1], Turn)
    (await tasks[1]).complete("x")
    assert await tasks[2] == "x"


async def test_a_turn_that_reaches_a_cancelled_one_goes_to_the_next(group):
    leader, tasks = await waiting(group, 2)
    leader.complete(None)
    tasks[0].cancel()  # it has the turn but does not know it yet
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    (await asyncio.wait_for(tasks[1], 10)).complete(None)
    assert not group._calls


async def test_a_result_for_a_cancelled_future_causes_no_error(group):
    leader, tasks = await waiting(group, 2)
    leader.complete("x")
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    assert await tasks[1] == "x"


async def test_whose_reader_is_away_is_not_waited_for(group):
    leader, tasks = await waiting(group, 2)
    leader.pause()
    done, _ = await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    (turn,) = (task.result() for task in done)
    assert isinstance(turn, Turn)
    await asyncio.sleep(4 * SOON)
    assert sum(task.done() for task in tasks) == 1  # the other one waits for the new pilot
    turn.complete("x")
    assert "x" in await asyncio.gather(*tasks)


async def test_whose_reader_comes_back_is_waited_for(group):
    leader, tasks = await waiting(group, 1)
    leader.pause()
    leader.resume()
    await asyncio.sleep(6 * SOON)
    assert not tasks[0].done()
    leader.complete("x")
    assert await tasks[0] == "x"


async def test_a_leader_who_was_overtaken_may_still_be_first(group):
    leader, tasks = await waiting(group, 2)
    leader.pause()
    done, rest = await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    second = done.pop().result()
    leader.pause()  # says nothing about the second one any more
    await asyncio.sleep(6 * SOON)
    assert not any(task.done() for task in rest)
    leader.complete("from the first")
    assert await rest.pop() == "from the first"
    second.complete("too late")
    assert not group._calls


async def test_a_leader_who_was_overtaken_does_not_bring_the_second_ones_reader_back(group):
    leader, tasks = await waiting(group, 2)
    leader.pause()
    done, rest = await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    done.pop().result().pause()
    leader.resume()
    third = await asyncio.wait_for(rest.pop(), 10)
    assert isinstance(third, Turn)
    third.complete(None)


async def test_a_leader_who_was_overtaken_and_fails_takes_nothing_away(group):
    leader, tasks = await waiting(group, 2)
    leader.pause()
    done, rest = await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    leader.complete(None)
    await settle()
    assert not next(iter(rest)).done()
    done.pop().result().complete("x")
    assert await rest.pop() == "x"


def on_another_loop(coroutine, results):
    thread = threading.Thread(target=lambda: results.append(asyncio.run(coroutine)))
    thread.start()
    return thread


async def joined(thread):
    await asyncio.to_thread(thread.join, 30)
    assert not thread.is_alive()


async def all_joined(group, number):
    while len(group._calls["a"].waiting) < number:  # noqa: ASYNC110 - another thread joins
        await asyncio.sleep(0.001)


async def test_loops_in_other_threads_share_the_call():
    group = SingleFlight(patience=60)  # longer than a busy machine may stall this thread
    leader = await group.join("a")
    results = []
    threads = [on_another_loop(group.join("a"), results) for _ in range(4)]
    async with asyncio.timeout(10):
        await all_joined(group, 4)
    leader.complete("x")
    for thread in threads:
        await joined(thread)
    assert results == ["x"] * 4


async def test_a_turn_crosses_threads():
    group = SingleFlight(patience=60)
    leader = await group.join("a")
    results = []
    thread = on_another_loop(group.join("a"), results)
    async with asyncio.timeout(10):
        await all_joined(group, 1)
    leader.complete(None)
    await joined(thread)
    assert isinstance(results[0], Turn)


async def test_a_leader_on_a_blocked_loop_is_not_waited_for(group):
    await group.join("a")
    results = []
    thread = on_another_loop(group.join("a"), results)
    thread.join(30)  # blocks this loop, as a notebook's cell does
    assert isinstance(results[0], Turn)


def test_a_leader_on_a_closed_loop_is_not_waited_for(group):
    asyncio.run(group.join("a"))
    assert isinstance(asyncio.run(asyncio.wait_for(group.join("a"), 30)), Turn)


def test_one_whose_loop_was_closed_gets_nothing(group, caplog):
    async def main():
        return await group.join("a")

    leader = asyncio.run(main())
    loop = asyncio.new_event_loop()
    task = loop.create_task(group.join("a"))
    loop.run_until_complete(settle())
    loop.close()
    leader.complete(None)
    assert not group._calls
    assert not caplog.records
    task._log_destroy_pending = False  # left behind on purpose
    task.get_coro().close()


async def test_crowds_that_come_go_and_fail_leave_nothing_behind(group):
    """Every call fails at first, some are cancelled: in the end one succeeds, and everybody has it."""
    calls = []

    async def one(number):
        while isinstance(got := await group.join("a"), Turn):
            calls.append(number)
            await asyncio.sleep(0)
            if number % 3 == 0:
                asyncio.current_task().cancel()
            try:
                await asyncio.sleep(0)
            finally:
                got.complete("x" if len(calls) > 20 else None)
            if len(calls) > 20:
                return "x"
        return got

    results = await asyncio.gather(*(one(n) for n in range(60)), return_exceptions=True)
    assert len(calls) == 21
    assert {r for r in results if not isinstance(r, asyncio.CancelledError)} == {"x"}
    assert not group._calls


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
def test_a_forked_child_does_not_wait_for_its_parents_calls():
    code = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, on 3.12
from llmkit.clients.cassettes.playback import _single_flight
from llmkit.clients.cassettes.single_flight import Turn
asyncio.run(_single_flight.join("a"))
if os.fork() == 0:
    turn = not _single_flight._calls and asyncio.run(_single_flight.join("a"))
    os._exit(0 if isinstance(turn, Turn) else 1)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]) or len(_single_flight._calls) - 1)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
