"""`effort`, `tier`, `cache` and `api`: what each provider gets, what it costs, and what is refused."""

import json
from datetime import UTC, datetime

import anthropic.types
import openai.types.shared_params
import pytest
from google.genai import types as google
from pydantic import TypeAdapter

import llmkit
from llmkit import InvalidRequestError, LLMMessage, Usage, prices
from llmkit.clients.accounting.cost_bound import cost_bound
from llmkit.clients.registry import recorded
from llmkit.content.schema import schema_of
from llmkit.content.tools import tools_among, tools_of
from llmkit.core import catalog
from llmkit.parts import ToolCall, ToolResult
from llmkit.providers.anthropic import AnthropicCodec
from llmkit.providers.choices import CACHES, EFFORTS, TIERS
from llmkit.providers.codec import Request
from llmkit.providers.google import GoogleCodec
from llmkit.providers.openai_chat import CompatibleCodec, OpenAICodec
from llmkit.providers.openai_responses import ResponsesCodec
from tests.support.peer import Peer, http
from tests.support.releases import NEWER_SDK
from tests.support.tool_servers import SERVERS

HELLO = (LLMMessage("user", "Hello"),)
CODECS = {
    "anthropic": AnthropicCodec(),
    "google": GoogleCodec(),
    "openai": OpenAICodec(),
    "responses": ResponsesCodec(),
    "compatible": CompatibleCodec(official=False),
}
SUMMARY = {"type": "adaptive", "display": "summarized"}


def sent(codec, model, messages=HELLO, **choices):
    return CODECS[codec].encode(Request(messages=messages, model=model, **choices)).body


@pytest.mark.parametrize(
    ("codec", "model", "effort", "fields"),
    [
        ("openai", "gpt-5.4-mini", "xhigh", {"reasoning_effort": "xhigh"}),
        ("openai", "o3-mini", "low", {"reasoning_effort": "low"}),
        ("responses", "gpt-6-luna", "max", {"reasoning": {"summary": "auto", "effort": "max"}}),
        ("compatible", "qwen3", "minimal", {"reasoning_effort": "minimal"}),
        ("anthropic", "claude-sonnet-5-5", "none", {"thinking": {"type": "disabled"}}),
        (
            "anthropic",
            "claude-sonnet-5-5",
            "low",
            {"thinking": SUMMARY, "output_config": {"effort": "low"}, "max_tokens": 6144},
        ),
        (
            "anthropic",
            "claude-haiku-4-5",
            "medium",
            {"thinking": {"type": "enabled", "budget_tokens": 8192}, "max_tokens": 12288},
        ),
    ],
)
def test_effort_in_the_words_of_the_provider(codec, model, effort, fields):
    body = sent(codec, model, effort=effort)
    assert {name: body[name] for name in fields} == fields


@pytest.mark.parametrize(
    ("model", "effort", "config"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "high", {"thinkingBudget": 24576, "includeThoughts": True}),
        pytest.param(
            "gemini-3.8-flash", "low", {"thinkingLevel": "LOW", "includeThoughts": True}, marks=NEWER_SDK
        ),
    ],
)
def test_effort_at_gemini_is_a_level_or_a_budget(model, effort, config):
    found = sent("google", model, effort=effort)["generationConfig"]["thinkingConfig"]
    assert found == config
    google.ThinkingConfig.model_validate(found)


@NEWER_SDK
@pytest.mark.parametrize(
    "model", ["claude-sonnet-5-5", "claude-opus-4-6", "claude-haiku-4-5", "claude-opus-4-1"]
)
def test_anthropic_s_sdk_knows_what_is_sent(model):
    for effort in catalog.providers()["anthropic"].effort_levels(model):
        body = sent("anthropic", model, effort=effort)
        TypeAdapter(anthropic.types.ThinkingConfigParam).validate_python(body["thinking"])
        TypeAdapter(anthropic.types.OutputConfigParam).validate_python(body.get("output_config", {}))
        assert body["thinking"].get("budget_tokens", 0) < body["max_tokens"] <= catalog.output_limit(model)


@NEWER_SDK
def test_openai_s_sdk_knows_every_effort():
    for effort in EFFORTS:
        TypeAdapter(openai.types.shared_params.Reasoning).validate_python({"effort": effort})


@pytest.mark.parametrize(
    ("codec", "model", "effort", "words"),
    [
        ("openai", "gpt-4o-mini", "low", "Leave effort out"),
        ("responses", "gpt-6-luna", "minimal", "Use one of none, low, medium"),
        ("anthropic", "claude-sonnet-5-5", "minimal", "Use one of none, low"),
        ("anthropic", "claude-3-haiku", "low", "Leave effort out"),
        ("google", "gemini-3.8-flash", "none", "Use one of low"),
    ],
)
def test_a_level_that_the_model_has_not_is_refused(codec, model, effort, words):
    with pytest.raises(InvalidRequestError, match=words) as caught:
        sent(codec, model, effort=effort)
    assert f"{model} has no effort '{effort}'" in str(caught.value)


def test_a_budget_stays_within_the_limit_that_was_given():
    body = sent("anthropic", "claude-haiku-4-5", effort="high", max_tokens=3000)
    assert (body["thinking"]["budget_tokens"], body["max_tokens"]) == (2999, 3000)
    with pytest.raises(InvalidRequestError, match="needs more than 1,024"):
        sent("anthropic", "claude-haiku-4-5", effort="high", max_tokens=500)


def test_a_schema_and_an_effort_share_a_field():
    schema = schema_of({"type": "object", "properties": {"km": {"type": "integer"}}, "required": ["km"]})
    config = sent("anthropic", "claude-sonnet-5-5", effort="low", schema=schema)["output_config"]
    assert (config["effort"], config["format"]["type"]) == ("low", "json_schema")


@pytest.mark.parametrize(
    ("codec", "model", "tier", "fields"),
    [
        ("openai", "gpt-5.4-mini", "standard", {"service_tier": "default"}),
        ("responses", "gpt-5.4-mini", "flex", {"service_tier": "flex"}),
        ("anthropic", "claude-sonnet-5-5", "standard", {"service_tier": "standard_only"}),
        ("anthropic", "claude-sonnet-5-5", "priority", {"service_tier": "auto"}),
        ("google", "gemini-2.5-flash", "priority", {"serviceTier": "priority"}),
    ],
)
def test_tier_in_the_words_of_the_provider(codec, model, tier, fields):
    body = sent(codec, model, tier=tier)
    assert {name: body[name] for name in fields} == fields


def test_anthropic_has_no_flex():
    with pytest.raises(InvalidRequestError, match=r"no tier 'flex'. Use one of standard, priority"):
        sent("anthropic", "claude-sonnet-5-5", tier="flex")


@pytest.mark.parametrize(
    ("provider", "model", "flex", "priority"),
    [("google", "gemini-2.5-flash", 0.5, 1.8), ("openai", "gpt-5.4-mini", 0.5, 2)],
)
def test_a_tier_has_its_price_and_its_bound(provider, model, flex, priority):
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    usual = prices.price(provider, (model,), usage).nanos
    for tier, factor in (("flex", flex), ("priority", priority)):
        found = prices.price(provider, (model,), usage, tier=tier)
        assert found.nanos == usual * factor
        assert found.exact is (provider == "openai")  # Gemini's factors are ours, not the price data's
    request = Request(messages=HELLO, model=model, max_tokens=100)
    bound = cost_bound(request, provider).nanos
    higher = cost_bound(Request(messages=HELLO, model=model, max_tokens=100, tier="priority"), provider).nanos
    assert higher == pytest.approx(bound * priority, rel=0.001)
    lower = cost_bound(Request(messages=HELLO, model=model, max_tokens=100, tier="flex"), provider).nanos
    assert lower == bound  # the server may use the usual tier


TALK = (*HELLO, LLMMessage("assistant", "Hi."), LLMMessage("user", "How are you?"))


def look(place: str) -> str:
    """Look at a place."""
    return place


@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_the_factor_of_a_tier_is_that_of_the_models_whose_tiers_are_listed(tier):
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    day = datetime(2026, 11, 28, tzinfo=UTC)
    one, other = (
        prices.price("google", ("gemini-3.8-flash-tts",), usage, when=day, tier=each) for each in (tier, None)
    )
    assert one.exact
    assert one.nanos / other.nanos == pytest.approx(catalog.tier_factor("google", tier))


def test_a_cache_is_asked_for_where_the_prompt_comes_again():
    assert "cache_control" not in sent("anthropic", "claude-sonnet-5-5", cache="auto")
    assert "cache_control" not in sent("anthropic", "claude-sonnet-5-5", TALK)
    assert sent("anthropic", "claude-sonnet-5-5", TALK, cache="auto")["cache_control"] == {
        "type": "ephemeral"
    }
    tools = tools_of([look])
    assert "cache_control" in sent("anthropic", "claude-sonnet-5-5", cache="auto", tools=tools)
    assert "cache_control" not in sent("anthropic", "claude-sonnet-5-5", TALK, cache="off")


def test_the_requests_of_a_conversation_have_a_cache_key_in_common():
    longer = (*TALK, LLMMessage("assistant", "Fine."), LLMMessage("user", "Bye."))
    first, second = (
        sent("responses", "gpt-5.4-mini", talk, cache="auto")["prompt_cache_key"] for talk in (TALK, longer)
    )
    assert first == second
    other = (LLMMessage("user", "Else"), *TALK[1:])
    assert sent("responses", "gpt-5.4-mini", other, cache="auto")["prompt_cache_key"] != first
    assert "prompt_cache_key" not in sent("openai", "gpt-5.4-mini", cache="auto")
    assert "prompt_cache_key" not in sent("compatible", "gpt-5.4-mini", TALK, cache="auto")
    off = sent("openai", "gpt-6-luna", TALK, cache="off")
    assert off["prompt_cache_options"] == {"mode": "explicit"}


def test_the_requests_of_a_run_have_a_cache_key_in_common():
    tools, result = tools_of([look]), ToolResult("1", "look", "There.")
    call = LLMMessage("assistant", parts=(ToolCall("1", "look", {"place": "here"}),))
    further = (*HELLO, call, LLMMessage("user", parts=(result,)))
    keys = [
        sent("responses", "gpt-5.4-mini", messages, cache="auto", tools=tools)["prompt_cache_key"]
        for messages in (HELLO, further)
    ]
    assert keys[0] == keys[1]


async def test_a_run_asks_for_a_cache_unless_somebody_chose(tmp_path):
    async with Peer() as peer, SERVERS["messages"].client(peer.url) as client:
        peer.scripts[client.model] = [[SERVERS["messages"].answer("Here.")]]
        for options in ({}, {"cache": "off"}, {"cache": None}):
            await client.run("Look.", [look], **options)
    assert ["cache_control" in body for body in peer.bodies] == [True, False, False]


async def test_a_cache_that_nobody_chose_is_not_part_of_what_was_asked(tmp_path):
    async with Peer() as peer, SERVERS["messages"].client(peer.url) as client:
        peer.scripts[client.model] = [[SERVERS["messages"].answer("Here.")]]
        with llmkit.replay(tmp_path / "r.replay"):
            await client.run("Look.", [look])
            done = await client.run("Look.", [look], cache=None)
    assert (len(peer.bodies), done.text) == (1, "Here.")


async def test_a_cache_that_a_server_does_not_know_is_left_out():
    refusal = http(
        400, json.dumps({"error": {"message": "cache_control: Extra inputs are not permitted"}}).encode()
    )
    async with Peer() as peer, SERVERS["messages"].client(peer.url) as client:
        peer.scripts[client.model] = [[refusal], [SERVERS["messages"].answer("Here.")]]
        done = await client.run("Look.", [look])
    assert done.text == "Here."
    assert ["cache_control" in body for body in peer.bodies] == [True, False]


async def test_another_packages_client_gets_no_word_that_nobody_chose():
    seen = []

    class Other(llmkit.BaseLLMClient):
        async def generate_text(self, messages, model=None, temperature=0.7, max_tokens=None, **kwargs):
            seen.append(kwargs)
            return llmkit.LLMResponse("Here.", "other", "m")

        async def stream_text(self, messages, model=None, temperature=0.7, max_tokens=None, **kwargs):
            seen.append(kwargs)
            yield "Here."

        async def close(self):
            pass

    client = recorded(Other("other"))
    await client.run("Look.", [look])
    await client.run("Look.", [look], cache="auto")
    assert [kwargs.get("cache") for kwargs in seen] == [None, "auto"]


@pytest.mark.parametrize(
    ("codec", "model", "fields"),
    [
        ("anthropic", "claude-sonnet-5-5", {"tool_choice": {"type": "any"}}),
        ("openai", "gpt-5.4-mini", {"tool_choice": "required"}),
        ("responses", "gpt-5.4-mini", {"tool_choice": "required"}),
        ("google", "gemini-2.5-flash", {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}),
    ],
)
def test_the_choice_among_a_providers_own_tools_is_in_its_own_words(codec, model, fields):
    options = {"tools": [{"type": "web_search"}], "tool_choice": "required"}
    tools, choice = tools_among(options)
    body = sent(codec, model, tools=tools, tool_choice=choice, extra=options)
    assert body.items() >= fields.items()
    assert body["tools"] == [{"type": "web_search"}]


def test_a_choice_in_a_providers_form_stays_as_it_is():
    options = {"tools": [{"type": "web_search"}], "tool_choice": {"type": "tool", "name": "web_search"}}
    assert tools_among(dict(options)) == ((), None)


def test_a_cache_that_is_written_is_in_the_bound():
    def bound(**choices):
        return cost_bound(
            Request(messages=HELLO * 500, model="claude-sonnet-5-5", max_tokens=1, **choices), "anthropic"
        ).nanos

    assert bound(cache="auto") > bound() == bound(cache="off")


@pytest.mark.parametrize("name", ["effort", "tier", "cache", "api"])
async def test_an_unknown_word_is_refused_with_the_known_ones(name):
    words = {"effort": EFFORTS, "tier": TIERS, "cache": CACHES, "api": ("auto", "responses", "chat")}[name]
    with pytest.raises(InvalidRequestError, match=f"Use one of {', '.join(words)}"):
        await llmkit.client("sandbox").generate_text("Hi", **{name: "qqq"})


@pytest.mark.parametrize("name", SERVERS)
async def test_the_words_reach_every_protocol(name):
    server = SERVERS[name]
    model = {"messages": "claude-haiku-5-5", "gemini": "gemini-2.5-flash"}.get(name, "gpt-5.4-mini")
    async with Peer() as peer, server.client(peer.url) as client:
        peer.scripts[model] = [[server.answer("Hello")]]
        peer.scripts.setdefault(server.model, [[server.answer("Hello")]])
        response = await client.stream_text("Hi", model, effort="low", tier="standard").__anext__()
    assert response == "Hello"
    body = str(peer.bodies[0]).lower()
    assert "low" in body or "thinkingbudget" in body
    assert "service" in body


async def test_api_chooses_between_openai_s_two():
    server = SERVERS["chat"]
    async with Peer() as peer, server.client(peer.url) as client:
        peer.scripts[server.model] = [[SERVERS["responses"].answer("Hello")]]
        async for _ in client.stream_text("Hi", api="responses"):
            pass
        assert "input" in peer.bodies[0]
    with pytest.raises(InvalidRequestError, match="has one API"):
        await SERVERS["messages"].client("http://127.0.0.1:9").generate_text("Hi", api="chat")


@pytest.mark.parametrize("name", ["responses", "messages"])
async def test_an_effort_that_the_server_refuses_is_not_left_out(name):
    server = SERVERS[name]
    model = {"messages": "claude-haiku-5-5"}.get(name, "gpt-5.4-mini")
    field = {"messages": "output_config.effort"}.get(name, "reasoning.effort")
    error = {"type": "invalid_request_error", "param": field, "message": f"{field}: unsupported"}
    said = json.dumps({"error": error})
    async with Peer() as peer, server.client(peer.url) as client:
        peer.scripts[model] = [[http(400, said.encode())]]
        with pytest.raises(InvalidRequestError, match="unsupported"):
            await client.generate_text("Hi", model, effort="low", schema="json")
    assert len(peer.bodies) == 1


async def test_the_words_are_part_of_a_recording_s_key_only_if_given(tmp_path):
    server = SERVERS["responses"]
    llmkit.replay(tmp_path / "a.replay")
    try:
        async with Peer() as peer, server.client(peer.url) as client:
            peer.scripts["gpt-5.4-mini"] = [[server.answer("Hello")]]
            for choices in ({}, {"effort": "low"}, {}, {"effort": "low"}, {"api": "responses"}):
                async for _ in client.stream_text("Hi", "gpt-5.4-mini", **choices):
                    pass
        assert len(peer.bodies) == 2
    finally:
        llmkit.replay("off")
