"""Many calls at once: order, limits, cancellation; nothing here depends on time."""

import asyncio
from contextlib import aclosing

import pytest

from llmkit import ConfigurationError
from llmkit.clients.limiter import Limiter, answered
from llmkit.clients.limiter.server import ServerLimiter


class Calls:
    """Calls that end when they are told to."""

    def __init__(self):
        self.running, self.most, self.cancelled = {}, 0, []

    async def __call__(self, item):
        self.running[item] = asyncio.get_running_loop().create_future()
        self.most = max(self.most, len(self.running))
        try:
            return await self.running[item]
        except asyncio.CancelledError:
            self.cancelled.append(item)
            raise
        finally:
            del self.running[item]

    async def begun(self, number):
        async with asyncio.timeout(60):
            while len(self.running) < number:  # noqa: ASYNC110 - of this loop's tasks
                await asyncio.sleep(0)


@pytest.fixture
def calls():
    return Calls()


def limiter(most=None, **options):
    return Limiter(ServerLimiter(), most, **options)


async def drained(items, call, of):
    async with aclosing(answered(items, call, limiter=of)) as results:
        return [pair async for pair in results]


async def test_each_item_has_its_result(calls):
    async def double(number):
        return 2 * number

    assert sorted(await drained(range(100), double, limiter(5))) == [(n, 2 * n) for n in range(100)]


async def test_results_come_in_the_order_in_which_they_end(calls):
    task = asyncio.create_task(drained("abc", calls, limiter()))
    await calls.begun(3)
    for item in "cab":
        calls.running[item].set_result(item.upper())
        await asyncio.sleep(0)
    assert await task == [("c", "C"), ("a", "A"), ("b", "B")]


async def test_an_exception_is_a_result():
    async def fails(number):
        raise ValueError(number)

    def fails_at_once(number):
        raise TypeError(number)

    for call, kind in ((fails, ValueError), (fails_at_once, TypeError)):
        [(item, error)] = await drained([7], call, limiter())
        assert (item, type(error)) == (7, kind)


@pytest.mark.parametrize("most", [1, 3, 8])
async def test_no_more_than_the_maximum_run_at_once(calls, most):
    of = limiter(most)
    task = asyncio.create_task(drained(range(20), calls, of))
    for _ in range(20):
        await calls.begun(1)
        assert of.in_flight <= most
        next(iter(calls.running.values())).set_result(None)
        await asyncio.sleep(0)
    assert len(await task) == 20
    assert (calls.most, of.in_flight) == (most, 0)


async def test_items_are_taken_only_when_their_call_starts(calls):
    taken = []

    def items():
        for number in range(50):
            taken.append(number)
            yield number

    task = asyncio.create_task(drained(items(), calls, limiter(4)))
    await calls.begun(4)
    assert taken == [0, 1, 2, 3]
    calls.running[2].set_result(None)
    for _ in range(20):
        await asyncio.sleep(0)
    assert taken == [0, 1, 2, 3, 4]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_results_that_nobody_fetches_hold_back_further_calls():
    started = []

    async def call(number):
        started.append(number)

    async with aclosing(answered(range(50), call, limiter=limiter(4))) as results:
        await anext(results)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(started) <= 5


async def test_an_error_of_the_items_comes_after_the_results(calls):
    def items():
        yield "a"
        raise LookupError

    results = answered(items(), lambda item: asyncio.sleep(0, item), limiter=limiter())
    assert await anext(results) == ("a", "a")
    with pytest.raises(LookupError):
        await anext(results)


async def test_cancelling_ends_what_runs_and_hands_over_what_was_answered(calls):
    found, fetching = [], asyncio.Event()

    async def consume():
        async for pair in answered("abcd", calls, limiter=limiter()):
            found.append(pair)
            fetching.set()

    task = asyncio.create_task(consume())
    await calls.begun(4)
    calls.running["b"].set_result(1)
    calls.running["c"].set_result(2)
    for _ in range(2):  # the calls end, and are not fetched yet
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert found == [("b", 1), ("c", 2)]
    assert sorted(calls.cancelled) == ["a", "d"]
    assert not calls.running


async def test_closing_early_ends_what_runs(calls):
    async with aclosing(answered(range(9), calls, limiter=limiter(3))) as results:
        fetching = asyncio.create_task(anext(results))
        await calls.begun(3)
        calls.running[0].set_result("first")
        assert await fetching == (0, "first")
        await calls.begun(3)
    assert not calls.running
    assert len(calls.cancelled) == 3


async def test_a_call_that_is_cancelled_from_elsewhere_ends_the_job(calls):
    async def gives_up(_item):
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await drained("ab", gives_up, limiter())


async def test_the_context_of_the_job_is_that_of_each_call():
    from llmkit.records import calling, current_context

    async def surface(_item):
        await asyncio.sleep(0)
        return current_context().surface

    with calling(surface="batch"):
        found = await drained(range(20), surface, limiter(2))
    assert {result for _, result in found} == {"batch"}


async def test_two_jobs_share_what_the_server_grants(calls):
    server = ServerLimiter()
    jobs = [asyncio.create_task(drained(name * 12, Slow(calls), Limiter(server))) for name in "ab"]
    await calls.begun(8)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(calls.running) == server.held == 8
    for job in jobs:
        job.cancel()
    for job in jobs:
        with pytest.raises(asyncio.CancelledError):
            await job
    assert server.held == 0


async def test_a_job_within_the_calls_of_a_job_does_not_wait_for_them():
    server = ServerLimiter()

    async def inner(number):
        await asyncio.sleep(0)
        return number

    async def outer(_number):
        return len(await drained(range(3), inner, Limiter(server)))

    async with asyncio.timeout(60):
        found = await drained(range(20), outer, Limiter(server))
    assert [result for _, result in found] == [3] * 20
    assert server.held == 0


class Slow:
    """Gives each call of the same item a name of its own."""

    def __init__(self, calls):
        self._calls, self._number = calls, 0

    async def __call__(self, item):
        self._number += 1
        return await self._calls((item, self._number))


@pytest.mark.parametrize("most", [0, -3])
def test_a_maximum_below_one_is_refused(most):
    with pytest.raises(ConfigurationError, match="max_concurrent"):
        limiter(most)
