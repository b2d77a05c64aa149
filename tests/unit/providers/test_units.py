"""Every unit that is billed, against the price data's own reading of the same answers."""

import itertools
import json
from datetime import UTC, datetime

import pytest
from genai_prices.data_snapshot import get_snapshot

from llmkit.clients.accounting import charge
from llmkit.content.messages import LLMMessage
from llmkit.providers.anthropic import AnthropicCodec
from llmkit.providers.codec import Answer, Request
from llmkit.providers.google import GoogleCodec
from llmkit.providers.openai_chat import OpenAICodec

WHEN = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
SAID = (LLMMessage(role="user", content="Hi"),)

GEMINI = ["gemini-2.5-flash", "gemini-2.5-pro", "gemini-2.5-flash-image", "gemini-3-flash-preview",
          "gemini-3-pro-image-preview", "gemini-3.8-flash"]  # fmt: skip
CLAUDE = ["claude-sonnet-4-5", "claude-haiku-5-5", "claude-opus-4-1", "claude-opus-5-5"]
CHAT = [
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-4o-audio-preview"),
    ("openai", "gpt-4.1"),
    ("openai", "gpt-6.1-terra"),
    ("groq", "llama-3.3-70b-versatile"),
    ("deepseek", "deepseek-chat"),
    ("mistral", "mistral-large-latest"),
    ("xai", "grok-4"),
    ("openrouter", "openai/gpt-4o-mini"),
]


def spent(codec, provider, model, *bodies, stream=False, **extra):
    """Return the bill of an answer with these bytes."""
    answer = Answer()
    for body in bodies:
        (codec.decode if stream else codec.decode_body)(json.dumps(body).encode(), answer)
    request = Request(messages=SAID, model=model, extra=extra)
    return charge.final(request, provider, answer, WHEN, parts=["x"], accepted=True, whole=True)


def silent(found, body, provider, model, flavor="default"):
    """Whether a bill differs from the price data's reading of the same answer, and does not say so."""
    if found.price is None or found.source != "reported" or found.price.source in {"provider", "proxy"}:
        return False
    snapshot = get_snapshot()
    try:
        used = snapshot.extract_usage(body, provider, None, flavor).usage
        usd = snapshot.calc(used, model, provider, None, WHEN).total_price
    except ValueError:  # what contradicts itself has no right price
        return False
    return abs(found.price.nanos - float(usd) * 1e9) > 1


def gemini(model, **usage):
    candidate = {"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}
    return {"candidates": [candidate], "modelVersion": model, "usageMetadata": usage}


def kinds(**counts):
    return [{"modality": name.upper(), "tokenCount": number} for name, number in counts.items() if number]


@pytest.mark.parametrize("model", GEMINI)
def test_gemini_costs_what_the_price_data_reads_or_is_marked(model):
    cases = itertools.product((0, 640), (0, 258), (0, 100), (0, 1290), (0, 50), (0, 70))
    for sound, picture, cached, drawn, thought, tool in cases:
        usage = {
            "promptTokenCount": 1000,
            "promptTokensDetails": kinds(text=1000 - sound - picture, audio=sound, image=picture),
            "candidatesTokenCount": drawn + 20,
            "candidatesTokensDetails": kinds(text=20, image=drawn),
        }
        if cached:
            usage |= {"cachedContentTokenCount": cached, "cacheTokensDetails": kinds(text=60, audio=40)}
        usage |= {"thoughtsTokenCount": thought} if thought else {}
        usage |= {"toolUsePromptTokenCount": tool} if tool else {}
        body = gemini(model, **usage)
        found = spent(GoogleCodec(), "google", model, body)
        assert not silent(found, body, "google", model), usage


def message(model, usage, **more):
    content = [{"type": "text", "text": "x"}]
    return {"model": model, "content": content, "stop_reason": "end_turn", "usage": usage} | more


@pytest.mark.parametrize("model", CLAUDE)
def test_claude_costs_what_the_price_data_reads_or_is_marked(model):
    cases = itertools.product((1, 4000, 150_000), (0, 70), (0, 90), (0, 40), (0, 2))
    for fresh, read, write, hour, searches in cases:
        usage = {
            "input_tokens": fresh,
            "output_tokens": 200,
            "cache_read_input_tokens": read,
            "cache_creation_input_tokens": write,
            "server_tool_use": {"web_search_requests": searches, "web_fetch_requests": 3},
            "output_tokens_details": {"thinking_tokens": 20},
        }
        if hour and write:
            usage["cache_creation"] = {"ephemeral_1h_input_tokens": hour}
        body = message(model, usage)
        found = spent(AnthropicCodec(), "anthropic", model, body)
        assert found.source == "reported"
        assert not silent(found, body, "anthropic", model), usage


def completion(model, usage, **more):
    choice = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}
    return {"model": model, "choices": [choice], "usage": usage} | more


@pytest.mark.parametrize(("provider", "model"), CHAT)
def test_chat_completions_cost_what_the_price_data_reads_or_are_marked(provider, model):
    theirs = {"xai": "x-ai"}.get(provider, provider)
    flavors = {one.api_flavor for one in get_snapshot().find_provider(None, theirs, None).extractors}
    flavor = "chat" if "chat" in flavors else "default"
    for sound, spoken, cached, thought in itertools.product((0, 640), (0, 90), (0, 100), (0, 30)):
        beside = thought if provider == "xai" else 0
        usage = {
            "prompt_tokens": 1000,
            "completion_tokens": 200,
            "total_tokens": 1200 + beside,
            "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": sound},
            "completion_tokens_details": {"reasoning_tokens": thought, "audio_tokens": spoken},
        }
        body = completion(model, usage)
        found = spent(OpenAICodec(), provider, model, body)
        assert not silent(found, body, theirs, model, flavor), usage


def test_text_alone_is_never_marked():
    models = [("google", name) for name in GEMINI] + [("anthropic", name) for name in CLAUDE] + CHAT
    for provider, model in models:
        if provider == "google":
            usage = {"promptTokenCount": 9, "candidatesTokenCount": 3, "promptTokensDetails": kinds(text=9)}
            found = spent(GoogleCodec(), provider, model, gemini(model, **usage))
        elif provider == "anthropic":
            usage = {
                "input_tokens": 9,
                "output_tokens": 3,
                "service_tier": "standard",
                "inference_geo": "global",
            }
            found = spent(AnthropicCodec(), provider, model, message(model, usage))
        else:
            body = completion(model, {"prompt_tokens": 9, "completion_tokens": 3}, service_tier="default")
            found = spent(OpenAICodec(), provider, model, body)
        assert (found.source, found.price.exact) == ("reported", True), model


def chat(provider, model, usage, **more):
    return spent(OpenAICodec(), provider, model, completion(model, usage, **more))


def claude(usage, model="claude-sonnet-4-5", **more):
    return spent(AnthropicCodec(), "anthropic", model, message(model, usage, **more))


@pytest.mark.parametrize(
    ("usage", "usd"),
    [
        ({"cost": {"total_cost": 0.008319, "request_cost": 0.008}}, 0.008319),
        ({"cost_in_usd_ticks": 37_756_000}, 0.0037756),
        ({"cost": 0.02, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.02}}, 0.02),
        ({"cost": 0.001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.02}}, 0.021),
        ({"cost": 0, "cost_details": {"upstream_inference_cost": 0.02}}, 0.02),
        ({"cost": 0}, 0),
        ({"cost": "0.0031"}, 0.0031),
        ({"cost": {"input_tokens_cost": 0.001, "output_tokens_cost": 0.002, "request_cost": 0.005}}, 0.008),
        (
            {
                "cost": 0.001,
                "is_byok": True,
                "cost_details": {
                    "upstream_inference_cost": None,
                    "upstream_inference_prompt_cost": 0.015,
                    "upstream_inference_completions_cost": 0.005,
                },
            },
            0.021,
        ),
    ],
)
def test_a_cost_that_the_server_states_is_taken(usage, usd):
    found = chat("openrouter", "openai/gpt-4o-mini", {"prompt_tokens": 9, "completion_tokens": 3, **usage})
    assert (found.price.usd, found.price.source, found.source) == (pytest.approx(usd), "provider", "reported")


def test_what_a_provider_charges_your_own_key_unseen_marks_the_price():
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "cost": 0, "is_byok": True}
    found = chat("openrouter", "openai/gpt-4o-mini", usage)
    assert found.source == "incomplete"
    assert found.price.nanos > 0


@pytest.mark.parametrize(
    "change",
    [
        {"service_tier": "priority"},
        {"speed": "fast"},
        {"inference_geo": "eu"},
        {"server_tool_use": {"brand_new_requests": 1}},
        {"server_tool_use": {"code_execution_requests": 1}},
    ],
)
def test_an_unlisted_unit_of_claude_marks_the_price(change):
    assert claude({"input_tokens": 4000, "output_tokens": 200, **change}).source == "incomplete"


def test_a_container_marks_the_price():
    usage = {"input_tokens": 4000, "output_tokens": 200}
    assert claude(usage, container={"id": "c", "expires_at": "soon"}).source == "incomplete"


def test_inference_in_the_usa_costs_a_tenth_more_and_is_marked():
    usage = {"input_tokens": 4000, "output_tokens": 200, "server_tool_use": {"web_search_requests": 1}}
    plain = claude(usage, "claude-opus-5-5")
    there = claude({**usage, "inference_geo": "us"}, "claude-opus-5-5")
    search = 10_000_000
    assert there.price.nanos - search == (plain.price.nanos - search) * 11 // 10
    assert (plain.source, there.source) == ("reported", "incomplete")


def test_an_advisor_costs_its_own_price_and_its_tokens_are_not_the_executors():
    own = {"type": "message", "input_tokens": 1000, "output_tokens": 100}
    advice = {
        "type": "advisor_message",
        "model": "claude-opus-4-6",
        "input_tokens": 800,
        "output_tokens": 900,
    }
    found = claude({"input_tokens": 1000, "output_tokens": 100, "iterations": [own, advice, own]})
    assert (found.usage.input_tokens, found.usage.output_tokens) == (2000, 200)
    assert found.price.usd == pytest.approx(2000 * 3e-6 + 200 * 15e-6 + 800 * 5e-6 + 900 * 25e-6)
    assert found.source == "reported"
    unknown = claude({"iterations": [own, {**advice, "model": "claude-unheard-of"}]})
    assert unknown.source == "incomplete"


@pytest.mark.parametrize(
    ("traffic", "tier", "source"),
    [
        ("ON_DEMAND", "standard", "reported"),
        ("ON_DEMAND_FLEX", "flex", "incomplete"),
        ("ON_DEMAND_PRIORITY", "priority", "incomplete"),
        ("PROVISIONED_THROUGHPUT", "provisioned_throughput", "incomplete"),
        ("TRAFFIC_TYPE_UNSPECIFIED", None, "reported"),
    ],
)
def test_a_tier_of_gemini_without_a_price_marks_it(traffic, tier, source):
    usage = {"promptTokenCount": 2000, "candidatesTokenCount": 300, "trafficType": traffic}
    body = gemini("gemini-3-flash-preview", **usage)
    found = spent(GoogleCodec(), "google", "gemini-3-flash-preview", body)
    assert (found.tier, found.source) == (tier, source)


def test_a_tier_that_was_asked_for_counts_where_the_answer_names_none():
    body = gemini("gemini-3-flash-preview", promptTokenCount=2000, candidatesTokenCount=300)
    found = spent(GoogleCodec(), "google", "gemini-3-flash-preview", body, service_tier="flex")
    assert (found.tier, found.source) == ("flex", "incomplete")


TOKENS = {"prompt_tokens": 9, "completion_tokens": 3}


@pytest.mark.parametrize(
    "usage",
    [
        {"server_side_tool_usage_details": {"web_search_calls": 4, "x_search_calls": 0}},
        {"num_server_side_tools_used": 2},
        {"server_tool_use_details": {"web_search_requests": 2}},
        {"server_tool_use": {"brand_new_requests": 1}},
    ],
)
def test_work_of_a_servers_tools_marks_the_price_unless_it_states_one(usage):
    assert chat("xai", "grok-4", TOKENS | usage).source == "incomplete"
    assert chat("xai", "grok-4", TOKENS | usage | {"cost_in_usd_ticks": 10**8}).source == "reported"


@pytest.mark.parametrize("place", ["usage", "answer"])
def test_a_service_tier_is_read_in_the_usage_too(place):
    more = {"service_tier": "flex"}
    usage = {"prompt_tokens": 2000, "completion_tokens": 200} | (more if place == "usage" else {})
    found = chat("openai", "gpt-4.1", usage, **(more if place == "answer" else {}))
    assert (found.tier, found.source) == ("flex", "incomplete")


def test_tools_that_were_not_used_and_the_tokens_of_tools_mark_nothing():
    usage = TOKENS | {"server_side_tool_usage_details": {"web_search_calls": 0}, "tool_tokens": 5}
    assert chat("xai", "grok-4", usage).source == "reported"


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_that_groq_ran_mark_the_price(streamed):
    ran = {"executed_tools": [{"index": 0, "type": "browser.search", "arguments": "{}"}]}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    choice = {"index": 0, "finish_reason": "stop"}
    if streamed:
        bodies = [
            {"choices": [{"index": 0, "delta": {"role": "assistant", **ran}}]},
            {"choices": [{**choice, "delta": {"content": "x"}}], "x_groq": {"usage": usage}},
        ]
    else:
        bodies = [{"choices": [{**choice, "message": {"content": "x", **ran}}], "usage": usage}]
    found = spent(OpenAICodec(), "groq", "openai/gpt-oss-120b", *bodies, stream=streamed)
    assert (found.usage.input_tokens, found.usage.output_tokens, found.source) == (9, 3, "incomplete")


def test_a_grounded_answer_of_gemini_is_marked():
    body = gemini("gemini-2.5-flash", promptTokenCount=9, candidatesTokenCount=3)
    body["candidates"][0]["groundingMetadata"] = {"webSearchQueries": ["llamas"]}
    found = spent(GoogleCodec(), "google", "gemini-2.5-flash", body)
    assert (found.usage.input_tokens, found.source) == (9, "incomplete")


@pytest.mark.parametrize("usage", [{"num_sources_used": 3}, {"prompt_tokens_details": {"audio_tokens": 5}}])
def test_an_unlisted_unit_of_a_chat_model_marks_the_price(usage):
    assert chat("xai", "grok-4", {"prompt_tokens": 9, "completion_tokens": 3, **usage}).source == "incomplete"


@pytest.mark.parametrize("model", ["gpt-4o-search-preview", "gpt-5-search-api"])
def test_a_model_that_always_searches_marks_the_price(model):
    assert chat("openai", model, {"prompt_tokens": 9, "completion_tokens": 3}).source == "incomplete"


def test_a_system_that_consulted_models_marks_the_price():
    usage = {"prompt_tokens": 9, "completion_tokens": 3}
    models = {"models": [{"model": "m", "usage": usage}]}
    found = chat("groq", "llama-3.3-70b-versatile", usage, usage_breakdown=models)
    assert found.source == "incomplete"


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens_details": {"cached_tokens": 500}},
        {"prompt_tokens_details": {"cached_tokens": 0}, "prompt_cache_hit_tokens": 500},
        {"prompt_cache_hit_tokens": 500},
        {"cached_tokens": 500},
        {"cached_prompt_text_tokens": 500},
        {"cache_read_input_tokens": 500},
    ],
)
def test_cached_tokens_are_found_under_every_name(usage):
    found = chat("openai", "gpt-4o-mini", {"prompt_tokens": 900, "completion_tokens": 3, **usage})
    assert (found.usage.input_tokens, found.usage.cache_read_tokens) == (900, 500)


def test_usage_is_found_where_groq_and_moonshot_put_it():
    usage = {"prompt_tokens": 900, "completion_tokens": 3}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    for event in ({"choices": [last], "x_groq": {"usage": usage}}, {"choices": [{**last, "usage": usage}]}):
        found = spent(OpenAICodec(), "groq", "llama-3.3-70b-versatile", event, stream=True)
        assert (found.usage.input_tokens, found.source) == (900, "reported")


def test_perplexitys_reasoning_and_citations_are_output_of_their_own_price():
    usage = {"prompt_tokens": 33, "completion_tokens": 7000, "total_tokens": 7033, "reasoning_tokens": 90_000}
    usage |= {"citation_tokens": 20_000, "num_search_queries": 28}
    body = completion("sonar-deep-research", usage)
    found = spent(OpenAICodec(), "perplexity", "sonar-deep-research", body)
    assert found.usage.output_tokens == 117_000
    assert not silent(found, body, "perplexity", "sonar-deep-research")
    assert found.source == "reported"


ZEROS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


def tokens(before, after, total=None, **more):
    counts = {"prompt_tokens": before, "completion_tokens": after, "total_tokens": total, **more}
    return {name: value for name, value in counts.items() if value is not None}


@pytest.mark.parametrize(
    ("reports", "counts"),
    [
        ([tokens(2000, 200), ZEROS], (2000, 200, None)),
        ([ZEROS], (0, 0, None)),
        ([tokens(2000, None), tokens(None, 200)], (2000, 200, None)),
        ([tokens(2000, 0, 2000), tokens(0, 200, 200)], (2000, 200, None)),
        ([tokens(50, 1), tokens(50, 9)], (50, 9, None)),
        ([tokens(2000, 200, 2200), tokens(1800, 210, 2010)], (1800, 210, None)),
        ([tokens(2000, 200), tokens(12, 210)], (2000, 210, None)),
        ([tokens(2000, 1, cached_tokens=1500), tokens(2000, 200, cached_tokens=0)], (2000, 200, 1500)),
        ([tokens(2000, 200, cached_tokens=9), {}, {"prompt_tokens": None}], (2000, 200, 9)),
    ],
)
def test_a_later_report_takes_nothing_back_unless_it_adds_up(reports, counts):
    events = [{"choices": [], "usage": usage} for usage in reports]
    usage = spent(OpenAICodec(), "openai", "gpt-4o-mini", *events, stream=True).usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == counts


def test_a_stated_cost_is_not_taken_back_by_zero():
    events = [{"choices": [], "usage": one} for one in (tokens(20, 2, cost=0.02), {**ZEROS, "cost": 0})]
    found = spent(OpenAICodec(), "openrouter", "openai/gpt-4o-mini", *events, stream=True)
    assert (found.usage.input_tokens, found.price.usd) == (20, 0.02)


def prompt(fresh, cached=None, after=None):
    names = ("input_tokens", "cache_read_input_tokens", "output_tokens")
    return {name: n for name, n in zip(names, (fresh, cached, after), strict=True) if n is not None}


@pytest.mark.parametrize(
    ("start", "end", "counts"),
    [
        (prompt(800, after=0), prompt(0, after=40), (800, 40, None)),
        (prompt(100, 700, 1), prompt(0, 0, 40), (800, 40, 700)),
        (prompt(100, 700), prompt(None, after=40), (800, 40, 700)),
        (prompt(100, 700), prompt(100, after=4), (800, 4, 700)),
        (prompt(800), prompt(100, 700, 4), (800, 4, 700)),
        (prompt(30, after=1), prompt(900, after=40), (900, 40, None)),
    ],
)
def test_what_claude_says_at_the_end_takes_nothing_back(start, end, counts):
    events = [
        {"type": "message_start", "message": {"model": "claude-sonnet-4-5", "usage": start}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": end},
    ]
    usage = spent(AnthropicCodec(), "anthropic", "claude-sonnet-4-5", *events, stream=True).usage
    assert (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens) == counts


@pytest.mark.parametrize(
    "last",
    [
        {"trafficType": "ON_DEMAND"},
        {"promptTokenCount": 0, "candidatesTokenCount": 0},
        {"promptTokenCount": 700},
    ],
)
def test_a_last_event_of_gemini_takes_nothing_back(last):
    full = {
        "promptTokenCount": 700,
        "promptTokensDetails": kinds(text=60, audio=640),
        "candidatesTokenCount": 9,
    }
    events = [gemini("gemini-2.5-flash", **one) for one in ({**full, "candidatesTokenCount": 1}, full, last)]
    usage = spent(GoogleCodec(), "google", "gemini-2.5-flash", *events, stream=True).usage
    assert (usage.input_tokens, usage.output_tokens) == (700, 9)
    assert usage.units == {"input_audio_tokens": 640}
