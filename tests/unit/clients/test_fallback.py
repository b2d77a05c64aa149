"""Models that stand in for one that gives no answer."""

import pytest

import llmkit
from llmkit import (
    AnthropicClient,
    BaseLLMClient,
    ConfigurationError,
    GoogleAIClient,
    InvalidRequestError,
    LLMMessage,
    LLMResponse,
    ModelManager,
    OpenAIClient,
    ProviderNotAvailableError,
    StreamInterruptedError,
    sandbox,
)
from tests.support.callers import QUESTION, SDKS, TEXT, hurry, read

pytestmark = pytest.mark.usefixtures("quiet")


@pytest.fixture
def other():
    with sandbox.start(rate=0, first_token=0) as running:
        yield running


def pair(protocol, server, other, fallback="anthropic", **options):
    second = SDKS[fallback]("k", other.url(fallback), model="sandbox-second")
    client = SDKS[protocol](
        "k", server.url(protocol), model="sandbox-first", max_retries=0, fallback=[second], **options
    )
    return client, second


class Echo(BaseLLMClient):
    async def generate_text(self, messages, model=None, **kwargs):
        return LLMResponse(messages[-1].content, self.provider_name, "echo")

    async def stream_text(self, messages, model=None, **kwargs):
        yield messages[-1].content

    async def close(self):
        self.closed = True


@pytest.mark.parametrize("fault", ["503", "429", "401", "404", "402", "413", "html", "empty"])
async def test_another_provider_answers_in_place_of_one_that_does_not(
    protocol, server, other, recorder, fault
):
    server.fail_next(fault, times=9)
    first, second = pair(protocol, server, other)
    async with first, second:
        response = await first.generate_text(QUESTION)
    assert (response.content, response.provider) == (TEXT, "anthropic")
    row = recorder.last
    assert (row.provider, row.model, row.status) == ("anthropic", "sandbox-second", "ok")
    assert row.fallback_from == response.fallback_from == f"{protocol}:sandbox-first"
    assert row.attempts == 2
    assert recorder.statuses == ["ok"]


async def test_a_stream_goes_on_with_the_other_model_before_its_first_text(
    protocol, server, other, recorder, caplog
):
    server.fail_next("error=0")
    first, second = pair(protocol, server, other, fallback="google")
    async with first, second:
        stream = first.stream_text(QUESTION)
        assert "".join(await read(stream)) == TEXT
    assert stream.response.fallback_from == f"{protocol}:sandbox-first"
    assert "Falling back to google:sandbox-second" in caplog.text


async def test_a_stream_that_broke_after_text_stays_broken(protocol, server, other, recorder):
    server.fail_next("cut=2")
    first, second = pair(protocol, server, other)
    async with first, second:
        with pytest.raises(StreamInterruptedError) as caught:
            await read(first.stream_text(QUESTION))
    assert caught.value.partial
    assert not other.requests


async def test_a_wrong_request_is_wrong_for_every_model(protocol, server, other, recorder):
    server.fail_next("400")
    first, second = pair(protocol, server, other)
    async with first, second:
        with pytest.raises(InvalidRequestError):
            await first.generate_text(QUESTION)
    assert not other.requests


async def test_retries_come_before_the_fallback(server, other, recorder):
    server.fail_next("503", times=9)
    second = AnthropicClient("k", other.url("anthropic"), model="sandbox")
    async with OpenAIClient("k", server.url("openai"), model="sandbox", fallback=[second]) as first, second:
        hurry(first)
        await first.generate_text(QUESTION)
    assert (len(server.requests), len(other.requests)) == (3, 1)
    assert recorder.last.attempts == 4


async def test_when_no_model_answers_the_last_error_names_the_others(server, other, recorder):
    server.fail_next("401")
    other.fail_next("503", times=9)
    first, second = pair("openai", server, other)
    async with first, second:
        hurry(second)
        with pytest.raises(ProviderNotAvailableError) as caught:
            await first.generate_text(QUESTION)
    assert (caught.value.provider, caught.value.model) == ("anthropic", "sandbox-second")
    assert len(caught.value.__notes__) == 1
    assert "openai:sandbox-first failed" in caught.value.__notes__[0]
    assert recorder.last.error == "ProviderNotAvailableError"


async def test_a_chain_ends_at_the_first_model_that_answers(server, other, recorder):
    server.fail_next("503", times=9)
    models = [OpenAIClient("k", server.url("openai"), model=f"sandbox-{n}", max_retries=0) for n in "bc"]
    google = GoogleAIClient("k", other.url("google"), model="sandbox")
    first = OpenAIClient(
        "k", server.url("openai"), model="sandbox-a", max_retries=0, fallback=[*models, google]
    )
    response = await first.generate_text(QUESTION)
    assert (response.provider, response.attempts) == ("google", 4)
    assert response.fallback_from == "openai:sandbox-a"
    for client in (first, *models, google):
        await client.close()


async def test_a_plain_class_may_be_a_fallback_and_its_owner_closes_it(server, recorder):
    server.fail_next("503", times=9)
    echo = Echo("mine")
    async with OpenAIClient("k", server.url("openai"), max_retries=0, fallback=[echo]) as client:
        assert (await client.generate_text(QUESTION)).content == QUESTION[-1].content
        assert await read(client.stream_text(QUESTION)) == [QUESTION[-1].content]
    assert recorder.last.provider == "mine"
    assert not hasattr(echo, "closed")


async def test_fallbacks_given_by_name_are_closed_with_the_client(server, recorder, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url("anthropic"))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    server.fail_next("503")
    options = {"api_key": "k", "base_url": server.url("openai"), "max_retries": 0}
    async with llmkit.client("openai:sandbox", fallback=["anthropic:sandbox"], **options) as client:
        response = await client.generate_text(QUESTION)
    assert response.provider == "anthropic"


async def test_a_missing_key_lets_another_model_answer(server, recorder, monkeypatch):
    second = AnthropicClient("k", server.url("anthropic"), model="sandbox")
    async with OpenAIClient(model="gpt-4o-mini", fallback=[second]) as first, second:
        response = await first.generate_text(QUESTION)
    assert (response.provider, response.attempts) == ("anthropic", 1)


def test_an_unknown_fallback_is_refused_at_once():
    with pytest.raises(ConfigurationError, match="no-such-model"):
        OpenAIClient("k", fallback=["no-such-model"])


async def test_parameters_in_the_providers_own_words_stay_at_home(server, other, recorder):
    server.fail_next("503", times=9)
    first, second = pair("openai", server, other)
    async with first, second:
        with pytest.warns(UserWarning, match="seed"):
            await first.generate_text(QUESTION, seed=7, temperature=0.1)
    assert "seed" not in other.requests[-1].body


TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]


@pytest.mark.parametrize("name", ["tools", "tool_choice", "response_format", "stop", "n", "reasoning_effort"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_model_that_would_be_asked_something_else_is_passed_over(
    server, other, recorder, name, streamed
):
    server.fail_next("503", times=9)
    first, second = pair("openai", server, other)
    async with first, second:
        ask = (lambda **given: read(first.stream_text(QUESTION, **given))) if streamed else None
        ask = ask or (lambda **given: first.generate_text(QUESTION, **given))
        with pytest.raises(ProviderNotAvailableError) as caught:
            await ask(**{name: TOOLS if name == "tools" else "x"})
    said = f"anthropic:sandbox-second was skipped: {name} is specific to openai:sandbox-first."
    assert caught.value.__notes__ == [said]
    assert caught.value.provider == "openai"
    assert not other.requests
    assert recorder.last.fallback_from is None


@pytest.mark.parametrize(
    ("names", "extra"),
    [
        ("anthropic openai", {"tools": [{"name": "look_up", "input_schema": {"type": "object"}}]}),
        ("anthropic google", {"thinking": {"type": "disabled"}}),
        ("google openai", {"tools": [{"functionDeclarations": [{"name": "look_up"}]}]}),
        ("google anthropic", {"stopSequences": ["END"]}),
    ],
)
async def test_words_of_every_protocol_keep_a_model_of_another_from_being_asked(
    server, other, recorder, names, extra
):
    asked, fallback = names.split()
    server.fail_next("503", times=9)
    first, second = pair(asked, server, other, fallback=fallback)
    async with first, second:
        with pytest.raises(ProviderNotAvailableError) as caught:
            await first.generate_text(QUESTION, **extra)
    assert f"{next(iter(extra))} is specific to {asked}:sandbox-first" in caught.value.__notes__[0]
    assert not other.requests


async def test_a_plain_class_is_passed_over_with_tools_and_does_without_a_seed(server, recorder):
    server.fail_next("503", times=9)
    echo = Echo("mine")
    async with OpenAIClient("k", server.url("openai"), max_retries=0, fallback=[echo]) as client:
        with pytest.raises(ProviderNotAvailableError) as caught:
            await client.generate_text(QUESTION, tools=TOOLS)
        assert "mine:mine was skipped: tools" in caught.value.__notes__[0]
        with pytest.warns(UserWarning, match="mine does not support seed: it was left out"):
            response = await client.generate_text(QUESTION, seed=7)
    assert response.content == QUESTION[-1].content


async def test_the_next_model_that_can_be_asked_the_same_gets_all_of_it(server, other, recorder):
    server.fail_next("503", times=9)
    claude = AnthropicClient("k", other.url("anthropic"), model="sandbox-second")
    third = OpenAIClient("k", other.url("openai"), model="sandbox-third")
    first = OpenAIClient(
        "k", server.url("openai"), model="sandbox-first", max_retries=0, fallback=[claude, third]
    )
    async with first, claude, third:
        response = await first.generate_text(QUESTION, tools=TOOLS, seed=7)
    assert response.model == "sandbox-third"
    assert [one.body["tools"] for one in other.requests] == [TOOLS]
    assert other.requests[-1].body["seed"] == 7


async def test_what_one_model_does_without_is_sent_to_the_next(server, other, recorder):
    server.fail_next("503", times=9)
    claude = AnthropicClient("k", server.url("anthropic"), model="sandbox-second", max_retries=0)
    third = OpenAIClient("k", other.url("openai"), model="sandbox-third")
    first = OpenAIClient(
        "k", server.url("openai"), model="sandbox-first", max_retries=0, fallback=[claude, third]
    )
    async with first, claude, third:
        with pytest.warns(UserWarning, match="sandbox-second does not support seed"):
            await first.generate_text(QUESTION, seed=7)
    assert other.requests[-1].body["seed"] == 7


async def test_an_error_names_who_failed_and_who_was_passed_over_in_turn(server, other, recorder):
    server.fail_next("503", times=9)
    other.fail_next("503", times=9)
    claude = AnthropicClient("k", other.url("anthropic"), model="sandbox-second")
    third = OpenAIClient("k", other.url("openai"), model="sandbox-third", max_retries=0)
    first = OpenAIClient(
        "k", server.url("openai"), model="sandbox-first", max_retries=0, fallback=[claude, third]
    )
    async with first, claude, third:
        with pytest.raises(ProviderNotAvailableError) as caught:
            await first.generate_text(QUESTION, tools=TOOLS)
    failed, passed = caught.value.__notes__
    assert failed.startswith("Before that, openai:sandbox-first failed")
    assert passed.startswith("anthropic:sandbox-second was skipped: tools")
    assert caught.value.model == "sandbox-third"


async def test_a_compatible_server_gets_them(server, other, recorder):
    server.fail_next("503", times=9)
    second = llmkit.client("mine:sandbox", base_url=other.url("openai"))
    first = OpenAIClient("k", server.url("openai"), model="sandbox", max_retries=0, fallback=[second])
    async with first, second:
        await first.generate_text(QUESTION, seed=7)
    assert other.requests[-1].body["seed"] == 7


async def test_what_the_failed_model_used_is_paid_as_well(server, other, recorder):
    """Anthropic counts the prompt before the first text; an overload after that is charged."""
    server.fail_next("error=0")
    async with AnthropicClient("k", other.url("anthropic"), model="sandbox") as alone:
        usual = await alone.generate_text(QUESTION)
    second = AnthropicClient("k", other.url("anthropic"), model="sandbox")
    first = AnthropicClient("k", server.url("anthropic"), model="sandbox", max_retries=0, fallback=[second])
    async with first, second:
        stream = first.stream_text(QUESTION)
        await read(stream)
    assert stream.response.prompt_tokens == 2 * usual.prompt_tokens
    assert recorder.last.cost_nanos > recorder.records[0].cost_nanos


def test_the_managers_fallbacks_are_a_chain():
    manager = ModelManager({"openai": ["a", "b", "c"]}, {"a": "b", "b": "c", "c": "a"})
    assert manager.fallbacks("openai", "a") == ["openai:b", "openai:c"]
    assert manager.fallbacks("openai", "c") == ["openai:a", "openai:b"]
    assert manager.fallbacks("openai", "unknown") == []


async def test_messages_reach_the_fallback_unchanged(server, other, recorder):
    server.fail_next("503", times=9)
    question = [LLMMessage("system", "Be odd."), LLMMessage("user", "echo: ünïcode \u2028 ✓")]
    first, second = pair("openai", server, other)
    async with first, second:
        response = await first.generate_text(question, max_tokens=50)
    assert response.content == "ünïcode \u2028 ✓"
    assert other.requests[-1].body["max_tokens"] == 50
