import asyncio

import pytest

import llmkit
from llmkit.core.errors import ConfigurationError
from llmkit.records import calling, current_context


def labels():
    return dict(current_context().tags)


def test_tags_are_those_of_all_blocks_around_a_call():
    with llmkit.tags(project="thesis", step="1"):
        with llmkit.tags(step="2", who="me"):
            assert labels() == {"project": "thesis", "step": "2", "who": "me"}
        assert labels() == {"project": "thesis", "step": "1"}
        with calling(surface="batch"):
            assert labels()["project"] == "thesis"
    assert labels() == {}


async def test_tags_do_not_leak_into_tasks_beside_theirs():
    async def tagged(value):
        with llmkit.tags(value=value):
            await asyncio.sleep(0)
            return labels()

    found = await asyncio.gather(tagged("a"), tagged("b"))
    assert found == [{"value": "a"}, {"value": "b"}]


def test_a_tag_that_is_no_text_is_refused():
    with pytest.raises(ConfigurationError, match='tags\\(year="x"\\)'), llmkit.tags(year=2026):
        pass


def test_a_tagged_call_can_be_found_in_the_ledger(server, tmp_path):
    ledger = llmkit.Ledger(tmp_path / "ledger.sqlite")
    before = llmkit.records.set_recorder(lambda: ledger)
    try:
        client, question = llmkit.client("sandbox"), [llmkit.LLMMessage(role="user", content="hello")]
        with llmkit.tags(project="thesis"):
            asyncio.run(client.generate_text(question))
        asyncio.run(client.generate_text(question))
    finally:
        llmkit.records.set_recorder(before)
    assert len(ledger.query(tag="project=thesis")) == 1
    assert ledger.summary("tag:project", simulated=True)["calls"].tolist() == [1, 1]
    ledger.close()
