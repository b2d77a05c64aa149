"""A call returns once its row is safe; many calls that end together are told so together."""

import asyncio
import threading
from concurrent.futures import Future

import pytest

from llmkit import Ledger, records
from llmkit.clients.accounting import accounting
from tests.support.callers import QUESTION, TEXT, make


@pytest.fixture
def shared(recorder):
    """A future that all records share, as those of one transaction do."""
    future = Future()
    future.set_running_or_notify_cancel()
    recorder.record = lambda record, **_: (recorder.records.append(record), future)[1]
    return future


async def handed_over(recorder, number):
    async with asyncio.timeout(60):
        while len(recorder.records) < number:  # noqa: ASYNC110 - another task's doing
            await asyncio.sleep(0.005)


async def test_no_call_returns_before_its_row_is_safe(server, recorder, shared):
    client = make("openai", server)
    calls = [asyncio.create_task(client.generate_text(QUESTION)) for _ in range(20)]
    await handed_over(recorder, 20)
    await asyncio.sleep(0.05)
    assert not any(call.done() for call in calls)
    threading.Thread(target=shared.set_result, args=(True,)).start()
    assert {answer.content for answer in await asyncio.gather(*calls)} == {TEXT}
    assert not any(future is shared for _, future in accounting._waiting)
    await client.close()


async def test_an_event_loop_is_woken_once_for_all_rows_of_a_transaction(
    server, recorder, shared, monkeypatch
):
    client = make("openai", server)
    calls = [asyncio.create_task(client.generate_text(QUESTION)) for _ in range(20)]
    await handed_over(recorder, 20)
    loop, woken = asyncio.get_running_loop(), []
    wake = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *work: (woken.append(work), wake(*work)))
    threading.Thread(target=shared.set_result, args=(True,)).start()
    await asyncio.gather(*calls)
    monkeypatch.undo()
    assert len(woken) == 1
    await client.close()


async def test_a_call_that_is_cancelled_while_its_row_is_written_leaves_the_others_waiting(
    server, recorder, shared
):
    client = make("openai", server)
    calls = [asyncio.create_task(client.generate_text(QUESTION)) for _ in range(3)]
    await handed_over(recorder, 3)
    calls[0].cancel()
    await asyncio.wait(calls[:1], timeout=10)
    assert calls[0].cancelled()
    assert not calls[1].done()
    shared.set_result(True)
    assert [answer.content for answer in await asyncio.gather(*calls[1:])] == [TEXT, TEXT]
    await client.close()


async def test_event_loops_of_several_threads_wait_for_one_transaction(server, recorder, shared):
    def elsewhere():
        async def ask():
            client = make("openai", server)
            answer = await client.generate_text(QUESTION)
            await client.close()
            return answer.content

        return asyncio.run(ask())

    threads = [asyncio.create_task(asyncio.to_thread(elsewhere)) for _ in range(3)]
    await handed_over(recorder, 3)
    shared.set_result(True)
    assert await asyncio.gather(*threads) == [TEXT] * 3


def test_a_loop_that_is_closed_meanwhile_causes_no_error(server, recorder, shared, caplog):
    loop = asyncio.new_event_loop()
    client = make("openai", server)
    task = loop.create_task(client.generate_text(QUESTION))
    loop.run_until_complete(handed_over(recorder, 1))
    task.cancel()
    loop.run_until_complete(asyncio.wait([task]))
    loop.run_until_complete(client.close())
    loop.close()
    shared.set_result(True)
    assert not any(future is shared for _, future in accounting._waiting)
    assert caplog.text == ""


async def test_two_hundred_calls_at_once_leave_two_hundred_rows_when_the_last_returns(server, tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    before = records.set_recorder(lambda: ledger)
    try:
        client = make("openai", server)
        await asyncio.gather(*(client.generate_text(QUESTION) for _ in range(200)))
        other = Ledger(tmp_path / "ledger.sqlite")
        assert other.total().calls == 200
        await client.close()
    finally:
        records.set_recorder(before)
        ledger.close()
