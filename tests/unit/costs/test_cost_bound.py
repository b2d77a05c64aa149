import json
import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import prices
from llmkit.clients.accounting.cost_bound import cost_bound
from llmkit.content import tokens
from llmkit.content.messages import LLMMessage, Usage
from llmkit.content.tools import tool_of
from llmkit.core import catalog
from llmkit.core.money import NANO
from llmkit.providers.anthropic import ANTHROPIC_MAX_TOKENS, AnthropicCodec
from llmkit.providers.codec import Request

WHEN = datetime(2026, 11, 22, tzinfo=UTC)
HELLO = (LLMMessage(role="user", content="Hello"),)


def ask(content="Hello", *, model="gpt-4o-mini", **changes):
    return Request(messages=(LLMMessage(role="user", content=content),), model=model, **changes)


def most(request, provider="openai"):
    return cost_bound(request, provider, when=WHEN)


def nanos(provider, model, before, after, tier=None, **parts):
    usage = Usage(input_tokens=before, output_tokens=after, **parts)
    return prices.price(provider, (model,), usage, when=WHEN, tier=tier).nanos


def test_words_are_bounded_by_about_half_their_letters_and_everything_else_byte_by_byte():
    assert tokens.upper_bound("") == 0
    assert tokens.upper_bound("a river in the north") == 12
    assert tokens.upper_bound("bcd") == 3
    assert tokens.upper_bound("ab" * 8) == tokens.upper_bound(" " + "ab" * 7 + "a") == 8
    assert tokens.upper_bound(" x" * 50) == 50
    assert tokens.upper_bound("x = 3.14159;") == 12
    assert tokens.upper_bound("QXZ") == 3
    assert tokens.upper_bound("né") == 3
    assert tokens.upper_bound("日本語") == 9
    assert tokens.upper_bound("\ud800") == 3


@given(st.text())
def test_the_bound_is_between_half_the_bytes_and_all_of_them(text):
    size = len(text.encode("utf-8", "surrogatepass"))
    assert (size + 1) // 2 <= tokens.upper_bound(text) <= size
    assert tokens.estimate(text) <= tokens.upper_bound(text)


def test_what_is_no_word_is_bounded_byte_by_byte():
    bases = "gattaca" * 3
    assert tokens.upper_bound(bases) == 21
    assert tokens.upper_bound(f"in {bases}") == 2 - 1 + 1 + 21
    assert tokens.upper_bound(f"0{bases}.{bases} {bases}") == 3 * 21 + 3
    assert tokens.upper_bound("ab" * 8 + "a") == 17


def test_the_input_has_a_frame_for_each_message_and_counts_other_texts():
    base = most(ask("Hello")).input_tokens
    assert base == 3 + 16 + 32
    two = Request(messages=(*HELLO, *HELLO), model="gpt-4o-mini")
    assert most(two).input_tokens == base + 3 + 16
    extra = {"stop": "é" * 100}
    assert most(ask(extra=extra)).input_tokens == base + tokens.upper_bound(
        json.dumps(extra, ensure_ascii=False)
    )
    tools = {"tools": [{"name": "f", "description": "1" * 500}]}
    assert most(ask(extra=tools)).input_tokens == base + tokens.upper_bound(json.dumps(tools)) + 1024


def test_what_json_does_not_know_counts_as_its_text():
    assert most(ask(extra={"when": WHEN})).input_tokens > most(ask()).input_tokens + 10


@pytest.mark.parametrize(
    ("extra", "tokens"),
    [
        ({"max_completion_tokens": 70}, 70),
        ({"max_tokens": 70}, 70),
        ({"max_tokens": 1}, 1),
        ({"max_tokens": -1}, 16384),
        ({"max_output_tokens": 70}, 70),
        ({"maxOutputTokens": 70}, 70),
        ({"maxOutputTokens": 70.0}, 70),
        ({"generationConfig": {"maxOutputTokens": 70}}, 70),
        ({"generation_config": {"max_output_tokens": 70}}, 70),
        ({"extra_body": {"max_tokens": 70}}, 70),
        ({"max_tokens": 70, "max_completion_tokens": 60}, 70),
        ({"max_tokens": None}, 16384),
        ({"max_tokens": True}, 16384),
        ({"max_tokens": 0}, 16384),
        ({"max_tokens": "many"}, 16384),
        ({"metadata": {"max_tokens": 70}}, 16384),
        ({"generationConfig": 5}, 16384),
    ],
)
def test_the_output_is_what_the_parameters_allow(extra, tokens):
    assert most(ask(extra=extra)).output_tokens == tokens


def test_the_largest_limit_given_counts():
    assert most(ask(max_tokens=100)).output_tokens == 100
    assert most(ask(max_tokens=100, extra={"max_tokens": 50})).output_tokens == 100
    assert most(ask(max_tokens=100, extra={"max_tokens": 200})).output_tokens == 200
    assert most(ask(max_tokens=500_000)).output_tokens == 500_000


@pytest.mark.parametrize(
    ("provider", "without"),
    [
        ("google", {"maxOutputTokens"}),
        ("openai", {"max_tokens", "max_completion_tokens"}),
        ("openai", {"max_output_tokens"}),  # of the Responses API
    ],
)
def test_a_limit_that_is_not_sent_does_not_count(provider, without):
    assert most(ask(max_tokens=100, without=frozenset(without)), provider).output_tokens == 16384
    extra = {"max_completion_tokens": 100}
    assert most(ask(extra=extra, without=frozenset(without)), provider).output_tokens == 16384


def test_a_limit_that_is_sent_under_its_other_name_counts():
    for name in ("max_tokens", "max_completion_tokens"):
        assert most(ask(max_tokens=100, without=frozenset({name, "temperature"}))).output_tokens == 100
    extra = {"max_tokens": 100}
    assert most(ask(extra=extra, without=frozenset({"max_tokens"}))).output_tokens == 16384


@pytest.mark.parametrize(
    "extra",
    [{"n": 3}, {"candidateCount": 3}, {"candidate_count": 3}, {"generationConfig": {"candidateCount": 3}}],
)
def test_several_answers_cost_as_much(extra):
    assert most(ask(max_tokens=100, extra=extra)).output_tokens == 300


def test_anthropic_is_sent_a_limit_where_none_is_given():
    request = ask(model="claude-sonnet-5-5")
    sent = AnthropicCodec().encode(request).body["max_tokens"]
    assert most(request, "anthropic").output_tokens == sent == ANTHROPIC_MAX_TOKENS == 4096
    assert most(request, "openrouter").output_tokens == 128_000


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("gpt-4o-mini", 16384),
        ("gpt-4o-2024-08-06", 16384),
        ("gpt-4", 8192),
        ("gpt-4-0613", 8192),
        ("gpt-4-turbo", 4096),
        ("gpt-4-32k", 32768),
        ("gpt-4.1-nano", 32768),
        ("gpt-3.5-turbo", 4096),
        ("gpt-3.5-turbo-16k", 16385),
        ("ft:gpt-4o-mini-2024-07-18:acme::x1", 16384),
        ("o1", 100_000),
        ("o4-mini", 100_000),
        ("gpt-5.4-mini", 128_000),
        ("gpt-6.1-terra", 128_000),
        ("claude-3-opus", 4096),
        ("claude-3-5-haiku-latest", 8192),
        ("claude-opus-4-1-20250805", 32_000),
        ("claude-sonnet-4-5", 64_000),
        ("claude-haiku-5-5", 128_000),
        ("anthropic/claude-opus-4.6", 128_000),
        ("models/gemini-2.5-flash", 65536),
        ("Gemini-3.8-Flash", 65536),
        ("gemini-1.5-pro", 8192),
        ("a-model-of-tomorrow", 131_072),
        ("my-gpt-4", 131_072),
        ("", 131_072),
    ],
)
def test_a_model_has_its_own_limit_and_an_unknown_one_a_cautious_one(model, limit):
    assert catalog.output_limit(model) == limit


def test_every_model_that_is_offered_has_a_limit_from_the_catalogue():
    for name in ("openai", "anthropic", "google"):
        for model in catalog.providers()[name].models:
            assert catalog.output_limit(model) != 131_072


def test_the_price_is_that_of_the_bounds():
    before = most(ask()).input_tokens
    assert most(ask(max_tokens=100)).nanos == nanos("openai", "gpt-4o-mini", before, 100)
    assert most(ask(), "ollama").nanos == 0


def test_a_model_without_a_price_has_none():
    assert most(ask(model="no-such-model")).nanos is None


def test_the_dearer_of_the_tier_that_is_asked_for_and_the_usual_one_counts():
    def of(extra):
        request = ask(model="gpt-5.4", max_tokens=100, extra=extra)
        return most(request), most(request).input_tokens

    usual, before = of({"service_tier": "flex"})
    assert usual.nanos == nanos("openai", "gpt-5.4", before, 100)
    dear, before = of({"service_tier": "priority"})
    assert dear.nanos == nanos("openai", "gpt-5.4", before, 100, tier="priority")
    assert dear.nanos > nanos("openai", "gpt-5.4", before, 100)
    odd, before = of({"service_tier": ["priority"]})
    assert odd.nanos == nanos("openai", "gpt-5.4", before, 100)
    fast = ask(model="claude-opus-5-5", extra={"speed": "fast"})
    before = most(fast, "anthropic").input_tokens
    assert most(fast, "anthropic").nanos == nanos("anthropic", "claude-opus-5-5", before, 4096, tier="fast")


def test_what_a_cache_may_take_is_counted_at_its_most_expensive_rate():
    plain = ask(model="claude-opus-5-5")
    before = most(plain, "anthropic").input_tokens
    assert most(plain, "anthropic").nanos == nanos("anthropic", "claude-opus-5-5", before, 4096)
    cached = ask(model="claude-opus-5-5", extra={"system": [{"cache_control": {"type": "ephemeral"}}]})
    before = most(cached, "anthropic").input_tokens
    most_expensive = nanos(
        "anthropic", "claude-opus-5-5", before, 4096, cache_write_tokens=before, cache_write_1h_tokens=before
    )
    assert most(cached, "anthropic").nanos == most_expensive
    assert most_expensive > nanos("anthropic", "claude-opus-5-5", before, 4096, cache_write_tokens=before)


def test_other_providers_caches_work_by_themselves():
    request = ask(model="claude-opus-5-5", max_tokens=10)
    before = most(request, "google").input_tokens
    assert most(request, "google").nanos == nanos(
        "google", "claude-opus-5-5", before, 10, cache_write_tokens=before
    )


def test_a_cache_whose_reading_is_dear_counts(tmp_path):
    (tmp_path / "llmkit.toml").write_text(
        '[prices."openai:odd"]\ninput = 1\noutput = 1\ncache_read = 3\n', encoding="utf-8"
    )
    request = ask(model="odd", max_tokens=10)
    before = most(request).input_tokens
    assert most(request).nanos == nanos("openai", "odd", before, 10, cache_read_tokens=before)
    assert most(request).nanos == (before * 3 + 10) * 1000


@pytest.mark.parametrize(("provider", "model"), [("openai", "gpt-5.4"), ("google", "gemini-2.5-pro")])
def test_a_prompt_beyond_a_threshold_is_bounded_at_the_dearer_rate(provider, model):
    chance = random.Random(0)
    for size in (10, 150_000, 250_000, 400_000):
        content = "".join(chance.choices("abcdefgh 123", k=size))
        bound = most(ask(content, model=model, max_tokens=10), provider)
        for share in (1.0, 0.9, 0.5):
            real = round(bound.input_tokens * share)
            assert bound.nanos >= nanos(provider, model, real, 10)


@given(
    before=st.integers(0, 500_000),
    after=st.integers(0, 1000),
    read=st.integers(0, 500_000),
    model=st.sampled_from(["gpt-5.4", "gpt-4o-mini", "gpt-6-luna"]),
)
def test_no_usage_within_the_bounds_costs_more(before, after, read, model):
    bound = most(ask("7" * before or "7", model=model, max_tokens=1000))
    cost = nanos("openai", model, before, after, cache_read_tokens=min(read, before))
    assert cost <= bound.nanos


@pytest.mark.parametrize(
    ("provider", "model", "units"),
    [
        ("google", "gemini-2.5-flash-image", {"output_image_tokens": 500}),
        ("openai", "gpt-4o-audio-preview", {"output_audio_tokens": 500}),
        ("perplexity", "sonar", {}),
    ],
)
def test_a_bound_counts_the_most_expensive_kind_of_token(provider, model, units):
    bound = most(ask("Draw a llama", model=model, max_tokens=500), provider)
    assert bound.nanos >= nanos(provider, model, bound.input_tokens, 500, units=units)


def len_of(text: str) -> int:
    return len(text)


def test_a_bound_counts_the_searches_that_a_request_allows_and_its_surcharges():
    model = "claude-opus-5-5"
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]
    plain = most(ask("Hi", model=model, extra={"tools": []}), "anthropic")
    searching = most(ask("Hi", model=model, extra={"tools": tools}), "anthropic")
    assert searching.nanos >= plain.nanos + 50_000_000
    beside_a_function = most(replace(ask("Hi", model=model), tools=(tool_of(len_of), *tools)), "anthropic")
    assert beside_a_function.nanos >= plain.nanos + 50_000_000
    there = most(ask("Hi", model=model, extra={"inference_geo": "us"}), "anthropic")
    assert there.nanos >= nanos("anthropic", model, there.input_tokens, 4096, units={"us_inference": 1})


@pytest.mark.parametrize(
    ("model", "dollars"), [("sandbox", 4), ("sandbox-mini", 0.4), ("sandbox-thinking", 8)]
)
def test_an_answer_of_the_sandbox_costs_its_price_list_at_most(model, dollars):
    request = Request(messages=(LLMMessage("user", "Hi"),), model=model, max_tokens=1_000_000)
    bound = cost_bound(request, "sandbox")
    assert bound.nanos < (dollars * 1.01) * NANO
