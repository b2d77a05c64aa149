"""Identical requests that run at once share one call."""

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from llmkit.clients.cassettes.single_flight import SingleFlight, Turn

SOON = 0.05
"""Patience of the flights in tests, in seconds."""


@pytest.fixture
def flights():
    return SingleFlight(patience=SOON)


async def settle():
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def waiting(flights, number, key="a"):
    """Board a number of passengers behind a pilot."""
    pilot = await flights.board(key)
    tasks = [asyncio.create_task(flights.board(key)) for _ in range(number)]
    await settle()
    return pilot, tasks


async def test_the_first_one_gets_the_seat(flights):
    assert isinstance(await flights.board("a"), Turn)
    assert isinstance(await flights.board("b"), Turn)


async def test_all_the_others_get_the_result(flights):
    pilot, tasks = await waiting(flights, 100)
    assert not any(task.done() for task in tasks)
    pilot.land("answer")
    assert await asyncio.gather(*tasks) == ["answer"] * 100


async def test_after_the_landing_there_is_a_new_seat(flights):
    pilot, _ = await waiting(flights, 0)
    pilot.land("answer")
    pilot.land("late")
    again = await flights.board("a")
    assert isinstance(again, Turn)
    assert again is not pilot
    pilot.land("later")  # of a flight that is over
    task = asyncio.create_task(flights.board("a"))
    await settle()
    assert not task.done()
    again.land("x")
    assert await task == "x"


async def test_a_failure_gives_the_seat_to_one(flights):
    pilot, tasks = await waiting(flights, 5)
    for number in range(5):
        pilot.land(None)
        await settle()
        done = [task for task in tasks if task.done()]
        assert len(done) == number + 1
        pilot = tasks[number].result()
        assert isinstance(pilot, Turn)
    pilot.land(None)
    assert not flights._flights


async def test_one_who_got_the_seat_flies_for_the_rest(flights):
    pilot, tasks = await waiting(flights, 3)
    pilot.land(None)
    (await tasks[0]).land("second answer")
    assert await asyncio.gather(*tasks[1:]) == ["second answer"] * 2


async def test_a_failure_counts_once(flights):
    pilot, tasks = await waiting(flights, 3)
    pilot.land(None)
    pilot.land(None)
    await settle()
    assert [task.done() for task in tasks] == [True, False, False]
    (await tasks[0]).land(1)
    await asyncio.gather(*tasks)


async def test_one_who_is_cancelled_while_waiting_is_forgotten(flights):
    pilot, tasks = await waiting(flights, 3)
    tasks[0].cancel()
    await settle()
    assert tasks[0].cancelled()
    assert len(flights._flights["a"].waiting) == 2
    pilot.land(None)
    assert isinstance(await tasks[1], Turn)
    (await tasks[1]).land("x")
    assert await tasks[2] == "x"


async def test_a_seat_that_reaches_a_cancelled_one_goes_to_the_next(flights):
    pilot, tasks = await waiting(flights, 2)
    pilot.land(None)
    tasks[0].cancel()  # it has the seat but does not know it yet
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    (await asyncio.wait_for(tasks[1], 10)).land(None)
    assert not flights._flights


async def test_a_result_that_reaches_a_cancelled_one_hurts_nobody(flights):
    pilot, tasks = await waiting(flights, 2)
    pilot.land("x")
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    assert await tasks[1] == "x"


async def test_whose_reader_is_away_is_not_waited_for(flights):
    pilot, tasks = await waiting(flights, 2)
    pilot.pause()
    done, _ = await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    (seat,) = (task.result() for task in done)
    assert isinstance(seat, Turn)
    await asyncio.sleep(4 * SOON)
    assert sum(task.done() for task in tasks) == 1  # the other one waits for the new pilot
    seat.land("x")
    assert "x" in await asyncio.gather(*tasks)


async def test_whose_reader_comes_back_is_waited_for(flights):
    pilot, tasks = await waiting(flights, 1)
    pilot.pause()
    pilot.resume()
    await asyncio.sleep(6 * SOON)
    assert not tasks[0].done()
    pilot.land("x")
    assert await tasks[0] == "x"


async def test_a_pilot_who_was_overtaken_may_still_be_first(flights):
    pilot, tasks = await waiting(flights, 2)
    pilot.pause()
    done, rest = await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    second = done.pop().result()
    pilot.pause()  # says nothing about the second one any more
    await asyncio.sleep(6 * SOON)
    assert not any(task.done() for task in rest)
    pilot.land("from the first")
    assert await rest.pop() == "from the first"
    second.land("too late")
    assert not flights._flights


async def test_a_pilot_who_was_overtaken_does_not_bring_the_second_ones_reader_back(flights):
    pilot, tasks = await waiting(flights, 2)
    pilot.pause()
    done, rest = await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    done.pop().result().pause()
    pilot.resume()
    third = await asyncio.wait_for(rest.pop(), 10)
    assert isinstance(third, Turn)
    third.land(None)


async def test_a_pilot_who_was_overtaken_and_fails_takes_nothing_away(flights):
    pilot, tasks = await waiting(flights, 2)
    pilot.pause()
    done, rest = await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    pilot.land(None)
    await settle()
    assert not next(iter(rest)).done()
    done.pop().result().land("x")
    assert await rest.pop() == "x"


def on_another_loop(coroutine, results):
    thread = threading.Thread(target=lambda: results.append(asyncio.run(coroutine)))
    thread.start()
    return thread


async def joined(thread):
    await asyncio.to_thread(thread.join, 30)
    assert not thread.is_alive()


async def boarded(flights, number):
    while len(flights._flights["a"].waiting) < number:  # noqa: ASYNC110 - another thread boards
        await asyncio.sleep(0.001)


async def test_loops_in_other_threads_share_the_call():
    flights = SingleFlight(patience=60)  # longer than a busy machine may stall this thread
    pilot = await flights.board("a")
    results = []
    threads = [on_another_loop(flights.board("a"), results) for _ in range(4)]
    async with asyncio.timeout(10):
        await boarded(flights, 4)
    pilot.land("x")
    for thread in threads:
        await joined(thread)
    assert results == ["x"] * 4


async def test_a_seat_crosses_threads():
    flights = SingleFlight(patience=60)
    pilot = await flights.board("a")
    results = []
    thread = on_another_loop(flights.board("a"), results)
    async with asyncio.timeout(10):
        await boarded(flights, 1)
    pilot.land(None)
    await joined(thread)
    assert isinstance(results[0], Turn)


async def test_a_pilot_on_a_blocked_loop_is_not_waited_for(flights):
    await flights.board("a")
    results = []
    thread = on_another_loop(flights.board("a"), results)
    thread.join(30)  # blocks this loop, as a notebook's cell does
    assert isinstance(results[0], Turn)


def test_a_pilot_on_a_closed_loop_is_not_waited_for(flights):
    asyncio.run(flights.board("a"))
    assert isinstance(asyncio.run(asyncio.wait_for(flights.board("a"), 30)), Turn)


def test_one_whose_loop_was_closed_gets_nothing(flights, caplog):
    async def main():
        return await flights.board("a")

    pilot = asyncio.run(main())
    loop = asyncio.new_event_loop()
    task = loop.create_task(flights.board("a"))
    loop.run_until_complete(settle())
    loop.close()
    pilot.land(None)
    assert not flights._flights
    assert not caplog.records
    task._log_destroy_pending = False  # left behind on purpose
    task.get_coro().close()


async def test_crowds_that_come_go_and_fail_leave_nothing_behind(flights):
    """Every call fails at first, some are cancelled: in the end one succeeds, and everybody has it."""
    calls = []

    async def one(number):
        while isinstance(got := await flights.board("a"), Turn):
            calls.append(number)
            await asyncio.sleep(0)
            if number % 3 == 0:
                asyncio.current_task().cancel()
            try:
                await asyncio.sleep(0)
            finally:
                got.land("x" if len(calls) > 20 else None)
            if len(calls) > 20:
                return "x"
        return got

    results = await asyncio.gather(*(one(n) for n in range(60)), return_exceptions=True)
    assert len(calls) == 21
    assert {r for r in results if not isinstance(r, asyncio.CancelledError)} == {"x"}
    assert not flights._flights


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
def test_a_forked_child_does_not_wait_for_its_parents_calls():
    code = """
import asyncio, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads, on 3.12
from llmkit.clients.cassettes.playback import _flights
from llmkit.clients.cassettes.single_flight import Turn
asyncio.run(_flights.board("a"))
if os.fork() == 0:
    os._exit(0 if not _flights._flights and isinstance(asyncio.run(_flights.board("a")), Turn) else 1)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]) or len(_flights._flights) - 1)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
