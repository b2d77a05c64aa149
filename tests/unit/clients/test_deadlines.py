"""The clock of one attempt by itself: one timer serves all its waits."""

import asyncio

import pytest

from llmkit.clients.engine.call import Call
from llmkit.clients.engine.deadlines import Deadlines, Timeouts
from llmkit.core.errors import LLMTimeoutError
from llmkit.providers.codec import Request


@pytest.fixture
def call():
    return Call(Request(messages=(), model="m", stream=True), "test")


async def at_once():
    return "here"


async def after(seconds):
    await asyncio.sleep(seconds)
    await asyncio.sleep(0)
    return "later"


@pytest.fixture
def timers(monkeypatch):
    """The timers that the running loop is asked for."""
    set_: list[asyncio.TimerHandle] = []
    call_at = asyncio.BaseEventLoop.call_at

    def noted(loop, when, callback, *args, **options):
        set_.append(call_at(loop, when, callback, *args, **options))
        return set_[-1]

    monkeypatch.setattr(asyncio.BaseEventLoop, "call_at", noted)
    return set_


async def test_one_timer_serves_all_waits_of_an_attempt(call, timers):
    clock = Deadlines(Timeouts(first_token=5), None, call)
    for _ in range(100):
        assert await clock.within(at_once()) == "here"
        clock.moved(5)
    assert await clock.within(after(0.01)) == "later"
    assert len(timers) == 2, "the deadline's and the pause's own"
    clock.stop()
    assert timers[0].cancelled()


async def test_a_deadline_that_moved_on_is_not_the_one_that_the_timer_was_set_for(call, timers):
    clock = Deadlines(Timeouts(first_token=0.5, idle=0.5), None, call)
    for _ in range(4):
        assert await clock.within(after(0.2)) == "later"
        clock.moved()
    clock.stop()


async def test_a_deadline_that_comes_nearer_does_not_wait_for_the_timer_of_the_former(call):
    async def ends():
        clock.moved(0.05)
        await asyncio.sleep(20)

    clock = Deadlines(Timeouts(first_token=10), None, call)
    with pytest.raises(LLMTimeoutError, match=r"idle timeout expired: no text for 0\.05 s"):
        await clock.within(ends())


async def test_a_deadline_that_passes_between_two_waits_ends_the_second_one(call):
    clock = Deadlines(Timeouts(first_token=0.05), None, call)
    assert await clock.within(at_once()) == "here"
    await asyncio.sleep(0.1)
    assert await clock.within(at_once()) == "here", "what has arrived is returned"
    with pytest.raises(LLMTimeoutError, match="first-token"):
        await clock.within(after(20))


async def test_no_timer_outlives_a_wait_that_failed(call, timers):
    async def fails():
        raise KeyError("mistake")

    with pytest.raises(KeyError):
        await Deadlines(Timeouts(), 10**9, call).within(fails())
    assert [timer.cancelled() for timer in timers] == [True]


async def test_a_task_that_its_caller_cancels_as_the_deadline_passes_is_cancelled(call):
    async def slow():
        try:
            await asyncio.sleep(20)
        finally:
            asyncio.current_task().cancel()

    async def waits():
        await Deadlines(Timeouts(first_token=0.05), None, call).within(slow())

    task = asyncio.create_task(waits())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_deadline_that_passed_leaves_its_task_usable(call):
    with pytest.raises(LLMTimeoutError):
        await Deadlines(Timeouts(first_token=0.05), None, call).within(after(20))
    assert asyncio.current_task().cancelling() == 0
    async with asyncio.timeout(5):
        await after(0.01)


async def test_what_comes_too_late_is_a_timeout_and_the_work_is_cancelled(call):
    seen = []

    async def work():
        try:
            await after(20)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with pytest.raises(LLMTimeoutError, match="first-token"):
        await Deadlines(Timeouts(first_token=0.05), None, call).within(work())
    assert seen == ["cancelled"]


async def test_a_cancelled_task_cancels_what_it_waits_for_and_a_failure_is_raised_as_it_is(call):
    async def fails():
        await after(0.01)
        raise KeyError("mistake")

    clock = Deadlines(Timeouts(), None, call)
    with pytest.raises(KeyError, match="mistake"):
        await clock.within(fails())
    task = asyncio.create_task(clock.within(after(20)))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_work_that_swallows_its_cancellation_goes_on(call):
    async def stubborn():
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            return "saved"

    clock = Deadlines(Timeouts(), None, call)
    task = asyncio.create_task(clock.within(stubborn()))
    await asyncio.sleep(0.02)
    task.cancel()
    assert await task == "saved"
