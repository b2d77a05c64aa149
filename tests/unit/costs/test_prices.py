"""What a call costs, to the nano-dollar, against the price data's own calculation."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot, set_custom_snapshot
from hypothesis import given
from hypothesis import strategies as st

from llmkit import AnthropicClient, Ledger, LLMMessage, OpenAIClient, prices
from llmkit.content.messages import Usage
from llmkit.core import catalog
from llmkit.core.money import to_nanos
from llmkit.costs.pricing import bulk
from llmkit.notebook.cell.subcommands import Command
from llmkit.notebook.commands import handlers
from tests.support.callers import hurry, opened, read
from tests.support.dialects import Anthropic, OpenAI
from tests.support.examples import examples
from tests.support.peer import Peer, http

WHEN = datetime(2026, 11, 1, 12, 30, tzinfo=UTC)
MODELS = [
    ("openai", "gpt-4o-mini"), ("openai", "gpt-4o"), ("openai", "gpt-4"), ("openai", "gpt-3.5-turbo"),
    ("openai", "gpt-4.1"), ("openai", "gpt-5"), ("openai", "gpt-5-mini"), ("openai", "o3-mini"),
    ("openai", "o1"),
    ("anthropic", "claude-3-opus-20240229"), ("anthropic", "claude-3-5-haiku-latest"),
    ("anthropic", "claude-sonnet-4-5"), ("anthropic", "claude-opus-4-1"), ("google", "gemini-2.5-flash"),
    ("google", "gemini-2.5-pro"), ("google", "gemini-2.0-flash"), ("groq", "llama-3.3-70b-versatile"),
    ("deepseek", "deepseek-chat"), ("mistral", "mistral-large-latest"), ("x-ai", "grok-4"),
]  # fmt: skip
OURS = {"x-ai": "xai"}
TOKENS = st.integers(0, 400_000)


def theirs(provider, model, usage, tier=None):
    priced = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens or 0,
        cache_write_tokens=usage.cache_write_tokens or 0,
        cache_write_1h_tokens=usage.cache_write_1h_tokens or 0,
    )
    context = (
        {"processing": "batch"}
        if tier == "batch"
        else {"service_tier": tier, "speed": tier}
        if tier
        else None
    )
    return genai_prices.calc_price(
        priced, model, provider_id=provider, genai_request_timestamp=WHEN, price_context=context
    ).total_price


def ours(provider, model, usage, tier=None):
    return prices.price(OURS.get(provider, provider), (model,), usage, when=WHEN, tier=tier)


@pytest.mark.parametrize(("provider", "model"), MODELS)
@given(tokens=st.tuples(TOKENS, TOKENS, TOKENS, TOKENS, TOKENS))
@examples(15)
def test_a_price_is_that_of_the_price_data(provider, model, tokens):
    fresh, read, write, hour, output = tokens
    usage = Usage(
        input_tokens=fresh + read + write,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=min(hour, write),
    )
    found = ours(provider, model, usage)
    assert found.usd == pytest.approx(float(theirs(provider, model, usage)), abs=1e-9)
    assert found.source == "genai-prices"


@pytest.mark.product
@pytest.mark.parametrize("tier", ["batch", "flex", "priority", "fast", "default", "standard", "brand-new"])
@pytest.mark.parametrize(("provider", "model"), MODELS)
def test_a_tiers_price_is_that_of_the_price_data(provider, model, tier):
    usage = Usage(input_tokens=1234, output_tokens=567, cache_read_tokens=100)
    factor = (
        {"flex": 0.5, "priority": 1.8}.get(tier, 1) if provider == "google" else 1
    )  # the data lacks these
    assert ours(provider, model, usage, tier).usd == pytest.approx(
        factor * float(theirs(provider, model, usage, tier)), abs=1e-9
    )


@pytest.mark.product
@pytest.mark.parametrize("tokens", [0, 1, 199_999, 200_000, 200_001, 271_999, 272_000, 272_001, 1_000_000])
@pytest.mark.parametrize(("provider", "model"), MODELS)
def test_a_long_contexts_price_is_that_of_the_price_data(provider, model, tokens):
    usage = Usage(input_tokens=tokens, output_tokens=1000)
    assert ours(provider, model, usage).usd == pytest.approx(float(theirs(provider, model, usage)), abs=1e-9)


def test_a_price_is_counted_in_nano_dollars():
    found = prices.price(
        "google", ("gemini-1.5-flash-8b",), Usage(input_tokens=5, output_tokens=0), when=WHEN
    )
    assert found.nanos == 375
    assert found.date == "2026-11-01"


def test_an_unknown_model_has_no_price():
    assert prices.price("openai", ("no-such-model",), Usage(input_tokens=1, output_tokens=1)) is None
    assert prices.price("nobody", ("gpt-4o-mini",), Usage(input_tokens=1, output_tokens=1)) is None


def test_unknown_tokens_have_no_price():
    for usage in (Usage(), Usage(input_tokens=1), Usage(output_tokens=1)):
        assert prices.price("openai", ("gpt-4o-mini",), usage) is None


def test_a_local_server_costs_nothing():
    found = prices.price("ollama", ("anything",), Usage(input_tokens=10, output_tokens=10))
    assert (found.nanos, found.source) == (0, "local")


def test_the_model_that_answered_comes_first():
    usage = Usage(input_tokens=1_000_000, output_tokens=0)
    assert prices.price("openai", ("gpt-4o-mini", "gpt-4"), usage, when=WHEN).usd == 0.15
    assert prices.price("openai", ("no-such-model", "gpt-4o-mini"), usage, when=WHEN).usd == 0.15


def test_a_part_larger_than_the_whole_is_cut_to_it():
    usage = Usage(input_tokens=100, output_tokens=0, cache_read_tokens=500, cache_write_tokens=500)
    whole = Usage(input_tokens=100, output_tokens=0, cache_read_tokens=100)
    assert ours("openai", "gpt-4o-mini", usage).nanos == ours("openai", "gpt-4o-mini", whole).nanos


def test_the_users_own_table_wins(tmp_path):
    (tmp_path / "llmkit.toml").write_text(
        '[prices."gpt-4o-mini"]\ninput = 1\noutput = 2\ncache_read = 0.5\n'
        '[prices."ollama:m"]\ninput = 3\noutput = 3\n'
    )
    usage = Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=400)
    found = prices.price("openai", ("gpt-4o-mini",), usage)
    assert (found.nanos, found.source) == (600 * 1000 + 400 * 500 + 100 * 2000, "config")
    assert prices.price("ollama", ("m",), usage).source == "config"


def test_the_users_own_table_may_name_every_unit(tmp_path):
    (tmp_path / "llmkit.toml").write_text(
        "[prices.m]\ninput = 1\noutput = 2\ncache_read = 0.5\ninput_audio = 10\ncache_audio_read = 4\n"
        "output_image = 30\nweb_searches = 8\nrequests = 5\n"
    )
    units = {"input_audio_tokens": 600, "cache_audio_read_tokens": 100, "output_image_tokens": 90}
    usage = Usage(
        input_tokens=1000, output_tokens=100, cache_read_tokens=150, units={**units, "web_searches": 2}
    )
    found = prices.price("any", ("m",), usage)
    tokens = 350 * 1 + 50 * 0.5 + 500 * 10 + 100 * 4 + 90 * 30 + 10 * 2
    assert found.nanos == tokens * 1000 + 2 * 8_000_000 + 5_000_000
    assert found.exact
    other = prices.price("any", ("m",), Usage(input_tokens=9, output_tokens=1, units={"code_executions": 1}))
    assert not other.exact


@pytest.mark.parametrize(
    "name", ["models/gemini-2.5-flash", "publishers/google/models/gemini-2.5-flash",
             "projects/p/locations/l/publishers/google/models/gemini-2.5-flash"]
)  # fmt: skip
def test_the_folders_of_a_google_model_do_not_matter(name):
    usage = Usage(input_tokens=1000, output_tokens=100)
    assert prices.price("google", (name,), usage) == prices.price("google", ("gemini-2.5-flash",), usage)


async def test_a_proxys_header_states_the_price(recorder):
    body = json.dumps(OpenAI.whole("Hi", usage={"prompt_tokens": 9, "completion_tokens": 3})).encode()
    async with Peer() as peer, OpenAIClient("k", f"{peer.url}/v1", model="gpt-4o-mini") as client:
        for told, source in (("0.0123", "proxy"), ("0.0", "genai-prices"), ("None", "genai-prices")):
            peer.scripts["gpt-4o-mini"] = [[http(200, body, f"x-litellm-response-cost: {told}")]]
            response = await client.generate_text([LLMMessage("user", "Hi")])
            assert (response.price_source, response.usage_source) == (source, "reported")
            assert response.cost_estimate == (0.0123 if source == "proxy" else pytest.approx(3.15e-06))
            ledger = Ledger(":memory:")
            ledger.record(recorder.last)
            assert ledger.correct(dry_run=True).calls == 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["openai", "anthropic", "google", "own openai", "own anthropic"])
async def test_a_proxys_price_is_that_of_every_format_streamed_or_not(recorder, server, kind, stream):
    server.fail_next("proxy-cost=0.0123")
    async with opened(kind, server) as client:
        if stream:
            await read(client.stream_text("Hi"))
        else:
            await client.generate_text("Hi")
    assert (recorder.last.price_source, recorder.last.cost_nanos) == ("proxy", 12_300_000)


@pytest.mark.parametrize("told", ["None", "nan", "inf", "-1", "1e300", "1_000", "1e12", "0", "0.1, 0.2"])
async def test_what_is_no_price_in_a_proxys_header_is_ignored(recorder, server, told):
    async with opened("openai", server) as client:
        usual = await client.generate_text("Hi")
        server.fail_next(f"proxy-cost={told}")
        response = await client.generate_text("Hi")
    assert response.price_source == usual.price_source != "proxy"
    assert response.cost_estimate == usual.cost_estimate


async def test_what_a_proxy_charged_for_an_attempt_that_failed_is_a_part_of_the_cost(recorder, server):
    async with opened("openai", server, max_retries=1) as client:
        hurry(client)
        usual = await client.generate_text("Hi")
        server.fail_next("proxy-cost=0.5;end=0")
        await read(client.stream_text("Hi"))
    assert (recorder.last.attempts, recorder.last.price_source) == (2, usual.price_source)
    assert recorder.last.cost_nanos == 500_000_000 + to_nanos(usual.cost_estimate)


async def test_a_row_keeps_every_unit_and_is_repriced_with_them(recorder):
    usage = {"input_tokens": 4000, "output_tokens": 200, "server_tool_use": {"web_search_requests": 2}}
    async with Peer() as peer, AnthropicClient("k", peer.url, model="claude-sonnet-4-5") as client:
        answer = {**Anthropic.whole("Hi", usage=usage), "model": "claude-sonnet-4-5"}
        peer.scripts["claude-sonnet-4-5"] = [[http(200, json.dumps(answer).encode())]]
        response = await client.generate_text([LLMMessage("user", "Hi")])
    assert response.cost_estimate == pytest.approx(4000 * 3e-6 + 200 * 15e-6 + 0.02)
    assert dict(recorder.last.units) == {"web_searches": 2}
    ledger = Ledger(":memory:")
    ledger.record(recorder.last)
    assert bulk.priced(ledger.df).nanos.tolist() == [recorder.last.cost_nanos]
    assert ledger.correct(dry_run=True).calls == 0


async def test_a_reported_cost_is_the_price(recorder, server):
    async with OpenAIClient("k", server.url(), model="sandbox") as client:
        stream = client.stream_text([LLMMessage("user", "echo: Hi")])
        async for _ in stream:
            stream._call.answer.cost_usd = 0.25
    assert (recorder.last.cost_nanos, recorder.last.price_source) == (250_000_000, "provider")


async def test_a_model_without_a_price_costs_unknown(recorder, server):
    async with OpenAIClient("k", server.url(), model="mystery") as client:
        response = await client.generate_text([LLMMessage("user", "echo: Hi")])
    assert response.cost_estimate is None
    assert (recorder.last.cost_nanos, recorder.last.price_source) == (None, None)
    assert recorder.last.input_tokens > 0


@pytest.mark.parametrize(
    "name",
    [f"{p.name}:{p.models[0]}" for p in catalog.providers().values() if p.models]
    + [*catalog.aliases().values()],
)
def test_the_model_that_a_provider_or_an_alias_stands_for_has_a_price(name):
    provider, _, model = name.partition(":")
    found = prices.price(provider, (model,), Usage(input_tokens=1000, output_tokens=1000))
    assert found is not None, f"The price of {name}: take another default, or list it"
    assert found.nanos > 0


def test_the_list_of_models_says_prices_and_where_they_come_from(tmp_path, capsys):
    (tmp_path / "llmkit.toml").write_text(
        '[prices."gpt-5.4-mini"]\ninput = 1\noutput = 2\n[prices."ollama:q"]\ninput = 3\noutput = 4\n'
    )
    table = handlers.run(None, Command(name="models", argument=""))
    assert prices.genai_data.data_version() in capsys.readouterr().out
    shown = table[["input $/M", "cached $/M", "output $/M", "price from"]]
    assert shown.loc["openai:gpt-5.4-mini"].tolist() == [1.0, 1.0, 2.0, "config"]
    assert shown.loc["ollama:q"].tolist() == [3.0, 3.0, 4.0, "config"]
    assert shown.loc["sandbox:sandbox", "price from"] == "llmkit"
    assert shown.loc["openai:gpt-4o-mini"].tolist() == [0.15, 0.075, 0.6, "genai-prices"]
    assert table.loc["anthropic:claude-haiku-5-5", "alias"] == "haiku"


def test_the_list_of_models_shows_the_price_of_short_prompts(capsys):
    table = handlers.run(None, Command(name="models", argument="haiku"))
    small = prices.price("anthropic", ("claude-haiku-5-5",), Usage(input_tokens=1000, output_tokens=0))
    large = prices.price("anthropic", ("claude-haiku-5-5",), Usage(input_tokens=1_000_000, output_tokens=0))
    assert table.loc["anthropic:claude-haiku-5-5", "input $/M"] == small.usd * 1000 < large.usd


async def test_a_row_keeps_what_its_price_depends_on(recorder):
    written = {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 500}
    usage = {"input_tokens": 100, "output_tokens": 9, "cache_creation_input_tokens": 800}
    usage |= {"cache_creation": written, "service_tier": "batch"}
    async with Peer() as peer, AnthropicClient("k", peer.url, model="claude-opus-5-5") as client:
        peer.scripts["claude-opus-5-5"] = [
            [http(200, json.dumps(Anthropic.whole("Hi", usage=usage)).encode())]
        ]
        await client.generate_text([LLMMessage("user", "Hi")])
    row = recorder.last
    assert (row.cache_write_tokens, row.cache_write_1h_tokens, row.service_tier) == (800, 500, "batch")
    ledger = Ledger(":memory:")
    ledger.record(row)
    assert bulk.priced(ledger.df).nanos.tolist() == [row.cost_nanos]


def test_downloaded_price_data_says_its_date():
    given = get_snapshot()
    set_custom_snapshot(replace(given, from_auto_update=True, timestamp=datetime(2026, 11, 21)))  # noqa: DTZ001 - as theirs
    try:
        assert prices.genai_data.data_version() == "genai-prices of 2026-11-21"
    finally:
        set_custom_snapshot(None)
    assert prices.genai_data.data_version() == f"genai-prices {version('genai-prices')}"


def test_a_listing_changes_where_the_price_data_says_so():
    assert prices.turns("openai", ("o3",)).dates[0].isoformat() == "2025-06-10"
    assert [clock.isoformat() for clock in prices.turns("deepseek", ("deepseek-chat",)).times] == [
        "00:30:00", "16:30:00",
    ]  # fmt: skip
    assert prices.turns("openai", ("unheard-of", "o3")) == prices.turns("openai", ("o3",))
    assert prices.turns("nobody", ("m",)) == prices.genai_data.Turns((), ())
