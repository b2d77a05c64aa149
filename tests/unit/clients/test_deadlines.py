"""The clock of one attempt by itself: it waits with a timer only for what has not arrived yet."""

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


async def test_what_is_here_already_needs_no_timer(call, monkeypatch):
    clock = Deadlines(Timeouts(first_token=5), None, call)
    timers = []
    loop = asyncio.get_running_loop()
    call_at = loop.call_at
    monkeypatch.setattr(loop, "call_at", lambda *args, **kw: (timers.append(args), call_at(*args, **kw))[1])
    assert await clock.within(at_once()) == "here"
    assert timers == []
    assert await clock.within(after(0.01)) == "later"
    assert len(timers) == 2, "the deadline's and the pause's own"


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
