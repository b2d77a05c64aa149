"""Parameters: sent, dropped, renamed or refused."""

import pytest

from llmkit import InvalidRequestError
from llmkit.core import catalog
from tests.support.callers import QUESTION, opened

pytestmark = pytest.mark.usefixtures("quiet")


async def test_a_refused_parameter_is_dropped_once_and_remembered(protocol, server, recorder):
    name = {"openai": "top_p", "anthropic": "top_p", "google": "topP"}[protocol]
    server.fail_next(f"refuse={name}", times=9)
    async with opened(protocol, server) as client:
        with pytest.warns(UserWarning, match="does not support"):
            await client.generate_text(QUESTION, top_p=0.5)
        await client.generate_text(QUESTION, top_p=0.5)
    assert len(server.requests) == 3


async def test_the_other_name_of_the_limit_is_tried(server, recorder):
    server.fail_next("refuse=max_tokens", times=9)
    async with opened("openai", server) as client:
        assert (await client.generate_text(QUESTION, max_tokens=3)).content == "one two three"
    assert [("max_completion_tokens" in r.body) for r in server.requests] == [False, True]


async def test_a_chosen_temperature_is_sent(protocol, server, recorder):
    async with opened(protocol, server) as client:
        await client.generate_text(QUESTION, temperature=0.2)
    body = server.requests[-1].body
    assert body.get("generationConfig", body)["temperature"] == 0.2


async def test_a_reasoning_model_is_sent_no_temperature(server, recorder):
    async with opened("openai", server) as client:
        await client.generate_text(QUESTION, model="o3-mini")
    assert "temperature" not in server.requests[-1].body


async def test_a_chosen_temperature_that_a_model_does_not_take_warns(server, recorder):
    async with opened("openai", server) as client:
        with pytest.warns(UserWarning, match="o3-mini does not support temperature"):
            await client.generate_text(QUESTION, model="o3-mini", temperature=0.1)
    assert "temperature" not in server.requests[-1].body


async def test_further_parameters_travel_as_they_are(protocol, server, recorder):
    async with opened(protocol, server) as client:
        response = await client.generate_text(QUESTION, stop=["three"])
    assert response.content.strip() == "one two"


@pytest.mark.parametrize("messages", [[], ["text"], [{"role": "user", "content": "x"}]])
async def test_what_is_no_conversation_is_refused_before_anything_is_sent(server, recorder, messages):
    async with opened("openai", server) as client:
        with pytest.raises(InvalidRequestError):
            await client.generate_text(messages)
    assert not server.requests


async def test_what_json_cannot_say_is_refused(protocol, server, recorder):
    async with opened(protocol, server) as client:
        with pytest.raises(InvalidRequestError):
            await client.generate_text(QUESTION, metadata={"x": object()})
    assert not server.requests


@pytest.mark.parametrize(
    ("model", "is_refused"),
    [
        ("claude-sonnet-5-5", True),
        ("claude-opus-5", True),
        ("claude-sonnet-4-5", False),
        ("claude-opus-4-5-20251101", False),
        ("claude-3-5-sonnet-latest", False),
    ],
)
def test_only_the_fifth_generation_of_claude_refuses_a_temperature(model, is_refused):
    known = catalog.providers()["anthropic"]
    assert ("temperature" in known.refused(model)) is is_refused
