"""Calls that are left, cancelled, interrupted or forgotten: one row each, no open socket."""

import asyncio
import contextlib
import gc

import pytest

from tests.support.callers import QUESTION, closed, make, opened, read

pytestmark = pytest.mark.usefixtures("quiet")


async def test_a_break_leaves_a_cancelled_row_and_closes_the_socket(kind, server, recorder):
    server.fail_next("rate=20;tokens=100")
    async with opened(kind, server) as client:
        stream = client.stream_text(QUESTION)
        async with contextlib.aclosing(stream):
            async for _ in stream:
                break
        assert recorder.statuses == ["cancelled"]
        assert await closed(server)
    assert stream.response is None
    assert stream.outcome.content == "one"


async def test_a_cancelled_task_leaves_a_row_and_closes_the_socket(kind, server, recorder):
    server.fail_next("rate=20;tokens=100")
    async with opened(kind, server) as client:
        stream = client.stream_text(QUESTION)
        task = asyncio.create_task(read(stream))
        while len(stream.text) < len("one two three"):  # noqa: ASYNC110 - text comes when it comes
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert recorder.statuses == ["cancelled"]
        assert recorder.last.output_tokens >= 3
        assert await closed(server)


async def test_a_cancelled_whole_call_leaves_a_row(kind, server, recorder):
    server.fail_next("slow=5")
    async with opened(kind, server) as client:
        task = asyncio.create_task(client.generate_text(QUESTION))
        while not server.requests:  # noqa: ASYNC110 - the server's thread adds to them
            await asyncio.sleep(0.005)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert recorder.statuses == ["cancelled"]
    assert recorder.last.usage_source == "estimated"  # the request had arrived, and may be charged


async def test_a_stream_left_to_the_collector_leaves_a_row(protocol, server, recorder):
    server.fail_next("rate=20;tokens=100")
    async with opened(protocol, server) as client:
        stream = client.stream_text(QUESTION)
        assert await anext(stream) == "one"
        del stream
        gc.collect()
        assert await closed(server)
    assert recorder.statuses == ["cancelled"]


async def test_a_stream_that_was_never_read_leaves_no_row_and_sends_nothing(kind, server, recorder):
    async with opened(kind, server) as client:
        stream = client.stream_text(QUESTION)
        await stream.aclose()
        client.stream_text(QUESTION)
    assert not recorder.records
    assert not server.requests


async def test_an_exception_thrown_into_a_stream_leaves_a_row(protocol, server, recorder):
    async with opened(protocol, server) as client:
        stream = client.stream_text(QUESTION)
        await anext(stream)
        with pytest.raises(KeyError):
            await stream.athrow(KeyError("mine"))
    assert recorder.statuses == ["error"]


def test_a_loop_that_closes_before_the_stream_is_collected_leaves_a_row(protocol, server, recorder):
    kept = []

    async def leave():
        stream = make(protocol, server).stream_text(QUESTION)
        kept.append(stream)
        assert await anext(stream) == "one"

    asyncio.run(leave())
    kept.clear()
    gc.collect()
    assert recorder.statuses == ["cancelled"]


def test_an_interrupt_leaves_a_row_and_closes_the_socket(protocol, server, recorder):
    async def interrupted():
        stream = make(protocol, server).stream_text(QUESTION)
        async for _ in stream:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(interrupted())
    assert recorder.statuses == ["cancelled"]
    assert asyncio.run(closed(server, "done")) or server.requests[-1].outcome == "aborted"


@pytest.mark.filterwarnings("ignore")  # a loop closed like this leaves its sockets to the collector
def test_a_loop_that_is_closed_without_farewell_leaves_a_row(protocol, server, recorder):
    loop = asyncio.new_event_loop()
    stream = make(protocol, server).stream_text(QUESTION)
    assert loop.run_until_complete(anext(stream)) == "one"
    loop.close()
    del stream
    gc.collect()
    assert recorder.statuses == ["cancelled"]


def test_a_generator_that_outlives_its_stream_leaves_one_row(protocol, server, recorder):
    async def leave():
        stream = make(protocol, server).stream_text(QUESTION)
        generator = stream._source
        assert await anext(stream) == "one"
        del stream
        gc.collect()
        await generator.aclose()

    asyncio.run(leave())
    assert recorder.statuses == ["cancelled"]
