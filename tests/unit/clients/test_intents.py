"""What the ledger is told before a request leaves: the intent of each call that is really sent."""

import asyncio
import threading
from contextlib import closing

import pytest

import llmkit
from llmkit import BaseLLMClient, LLMMessage, LLMResponse, OpenAIClient, RateLimitError, records
from llmkit.clients.registry import recorded
from llmkit.content.attachments import Attachment
from llmkit.core import processes
from llmkit.costs.ledger import Ledger
from llmkit.records import calling
from tests.support.billing import charging
from tests.support.callers import KINDS, QUESTION, hurry, opened


def paired(recorder):
    """Return the last intent of each call with its record."""
    last = {each.uid: each for each in recorder.intents}
    assert list(last) == [record.uid for record in recorder.records]
    return zip(last.values(), recorder.records, strict=True)


@pytest.mark.parametrize("kind", KINDS)
async def test_each_call_that_is_sent_has_one_intent_with_what_its_row_needs(kind, server, recorder):
    with calling(surface="table", notebook="a.ipynb", cell_id="c", tags={"p": "x"}, parent_uid="r", step=2):
        async with opened(kind, server) as client:
            await client.generate_text(QUESTION, max_tokens=30)
            async for _ in client.stream_text(QUESTION, max_tokens=30):
                pass
    for intent, record in paired(recorder):
        assert (intent.time, intent.provider, intent.model) == (record.time, record.provider, record.model)
        names = ("surface", "notebook", "cell_id", "tags", "parent_uid", "step")
        assert [getattr(intent.context, name) for name in names] == [getattr(record, name) for name in names]
        assert (intent.session, intent.owner) == (record.session, processes.owner())
        assert intent.most.output_tokens == 30
        assert 0 < intent.input_tokens < intent.most.input_tokens
        assert 500 < intent.lease_s <= 600


async def test_the_intent_is_handed_over_before_the_request_leaves(server, recorder):
    async with opened("openai", server) as client:
        send = client._endpoint.transport.send

        async def spy(wire):
            seen.append(len(recorder.intents))
            return await send(wire)

        seen = []
        client._endpoint.transport.send = spy
        await client.generate_text(QUESTION)
    assert seen == [1]


async def test_a_replay_has_no_intent(server, recorder, tmp_path):
    llmkit.replay(tmp_path / "a.replay")
    async with opened("openai", server) as client:
        for _ in range(2):
            await client.generate_text(QUESTION)
    assert recorder.statuses == ["ok", "replayed"]
    assert {each.uid for each in recorder.intents} == {recorder.records[0].uid}


async def test_a_retry_that_follows_a_refusal_needs_no_other_intent(server, recorder):
    async with opened("openai", server, max_retries=1, model="sandbox!429") as client:
        hurry(client)
        client._simulated = True
        with pytest.raises(RateLimitError):
            await client.generate_text(QUESTION)
    assert recorder.last.attempts == 3
    assert len(recorder.intents) == 1


async def test_a_fallback_is_another_intent_of_the_same_call(server, recorder):
    other = OpenAIClient("k", server.url("openai"), model="sandbox-mini")
    async with opened("openai", server, max_retries=0, model="sandbox!429", fallback=[other]) as client:
        await client.generate_text(QUESTION)
        await other.close()
    ((intent, record),) = paired(recorder)
    assert recorder.intents[0].model == "sandbox!429"
    assert (intent.model, intent.fallback_from) == ("sandbox-mini", "openai:sandbox!429")
    assert record.fallback_from == intent.fallback_from


class Other(BaseLLMClient):
    """A client of another package."""

    async def generate_text(self, messages, model=None, **kwargs):
        return LLMResponse("yes", self.provider_name, "other")

    async def stream_text(self, messages, model=None, **kwargs):
        yield "yes"

    async def close(self):
        pass


async def test_a_client_of_another_package_has_intents_too(recorder):
    await recorded(Other("mine")).generate_text([LLMMessage("user", "Hello, world. How are you?")])
    (intent,) = recorder.intents
    assert (intent.provider, intent.uid) == ("mine", recorder.last.uid)


async def test_attached_files_count_in_the_bound(recorder):
    table = Attachment("text/csv", b"a,b\n" * 500, "table.csv")
    await recorded(Other("mine")).generate_text([LLMMessage("user", "Look.", attachments=[table])])
    (intent,) = recorder.intents
    assert intent.most.input_tokens > 2000
    assert intent.input_tokens >= 500


async def test_an_address_that_leads_to_the_sandbox_makes_the_intent_simulated(server, recorder):
    async with opened("openai", server) as client:
        await client.generate_text(QUESTION)
    assert [each.simulated for each in recorder.intents] == [False, True]
    assert {each.uid for each in recorder.intents} == {recorder.last.uid}


async def test_under_a_budget_the_reservation_stores_the_intent_and_nothing_is_written_twice(tmp_path):
    handed = []

    class Spy(Ledger):
        def intend(self, intent):
            handed.append(intent)

    with charging() as provider, closing(Spy(tmp_path / "ledger.sqlite")) as ledger:
        before = records.set_recorder(lambda: ledger)
        try:
            ledger.budget(daily=1)
            async with OpenAIClient("k", provider.url, model="gpt-4o-mini") as client:
                async for _ in client.stream_text([LLMMessage("user", "Hello")], max_tokens=5):
                    pass
        finally:
            records.set_recorder(before)
        assert handed == []
        assert ledger.df["status"].tolist() == ["ok"]


def test_a_call_waits_for_no_ledger_that_is_locked(server, tmp_path):
    """The writing thread is held up; the request leaves all the same."""
    ledger = Ledger(tmp_path / "ledger.sqlite")
    before = records.set_recorder(lambda: ledger)
    held, arrived = threading.Event(), threading.Event()
    try:
        store = ledger.flushed_store()

        async def ask():
            async with opened("openai", server) as client:
                stream = client.stream_text(QUESTION)
                async for _ in stream:
                    arrived.set()
                    held.set()

        def hold():
            with store._writer.writing:
                started.set()
                assert held.wait(60)

        started = threading.Event()
        holder = threading.Thread(target=hold)
        holder.start()
        assert started.wait(60)
        asyncio.run(ask())
        holder.join(60)
        assert arrived.is_set()
        assert ledger.df["status"].tolist() == ["ok"]
    finally:
        held.set()
        records.set_recorder(before)
        ledger.close()
