"""What calls would have cost otherwise, to the nano-dollar, against the price of each call alone."""

import math
import uuid
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit import prices
from llmkit.content.messages import Usage
from llmkit.core.errors import ConfigurationError
from llmkit.core.money import to_nanos
from llmkit.costs.ledger import Ledger
from llmkit.costs.pricing import bulk
from llmkit.costs.pricing.repricing import what_if
from llmkit.records import CallRecord
from tests.support.examples import examples
from tests.support.month import simulated_month

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
TABLE = {"m": {"input": 1.0, "output": 2.0}}


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "gpt-5.4-mini"}
    return CallRecord(**{"time": NOW} | fields | {"input_tokens": 1000, "output_tokens": 100} | changes)


def frame(*calls):
    ledger = Ledger(":memory:")
    for record in calls:
        ledger.record(record)
    return ledger.exact


def one_by_one(record, model=None, own=None, cached=None, when=None):
    """Price a call by itself, in Python's own integers."""
    if record.input_tokens is None or record.output_tokens is None:
        return None
    provider, names = record.provider, [name for name in (record.model_served, record.model) if name]
    tier = record.service_tier
    if model is not None:
        provider, names, tier = model[0], [model[1]], tier if model[0] == provider else None
    found = prices.listing(provider, tuple(names), when=when or record.time, tier=tier, own=own)
    if found is None:
        return None
    read = record.cache_read_tokens
    if cached is not None:
        read = (record.input_tokens * round(cached * 10**6) + 500_000) // 10**6
    usage = Usage(
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        cache_read_tokens=read,
        cache_write_tokens=record.cache_write_tokens,
        cache_write_1h_tokens=record.cache_write_1h_tokens,
        reasoning_tokens=record.reasoning_tokens,
        units=record.units,
    )
    consulted = partial(prices.listing, provider, when=when or record.time, tier=tier, own=own)
    return to_nanos(prices.total(found, usage, lambda name: consulted((name,)))[0])


counts = (
    st.none() | st.integers(0, 400_000) | st.sampled_from([0, 1, 199_999, 200_000, 200_001, 272_001, 10**11])
)
records = st.builds(
    CallRecord,
    time=st.datetimes(datetime(2024, 1, 1), datetime(2027, 3, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    uid=st.uuids().map(lambda uid: uid.hex),
    status=st.sampled_from(["ok", "error", "interrupted", "cancelled", "replayed", "lost"]),
    provider=st.sampled_from(
        ["openai", "anthropic", "google", "deepseek", "perplexity", "sandbox", "ollama", "nobody"]
    ),
    model=st.sampled_from(
        ["gpt-4.1", "o3", "deepseek-v4-flash", "claude-sonnet-4-5", "claude-opus-5-5", "gemini-2.5-pro",
         "deepseek-chat", "sonar-deep-research", "sonar", "gpt-4o-mini", "claude-haiku-5-5", "m", "unknown"]
    ),
    model_served=st.sampled_from([None, "gpt-4o-mini-2024-07-18", "m", "claude-sonnet-4-5-20250929"]),
    service_tier=st.sampled_from([None, "default", "flex", "priority", "batch", "brand-new"]),
    cost_nanos=st.none() | st.integers(0, 10**12),
    saved_nanos=st.none() | st.integers(0, 10**12),
    input_tokens=counts, output_tokens=counts, cache_read_tokens=counts, cache_write_tokens=counts,
    cache_write_1h_tokens=counts, reasoning_tokens=counts,
    units=st.dictionaries(
        st.sampled_from(["input_audio_tokens", "cache_audio_read_tokens", "output_image_tokens",
                         "web_searches", "us_inference", "brand_new", "claude-opus-5-5:input_tokens"]),
        st.integers(0, 400_000),
        max_size=3,
    ),
)  # fmt: skip
# To a billionth of a dollar per million: of more digits the decimals of `prices` keep the first 28.
rates = st.floats(0, 1000).map(lambda usd: round(usd, 9)) | st.sampled_from([0.0005, 0.075, 2.5, 1e-7])
entries = st.fixed_dictionaries({"input": rates, "output": rates}, optional={"cache_read": rates})
terms = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from([("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-5"), ("", "m")]),
        "own": st.fixed_dictionaries({"m": entries, "openai:gpt-4.1": entries}),
        "cached": st.floats(0, 1),
        "when": st.sampled_from([NOW, datetime(2025, 6, 1, tzinfo=UTC)]),
    },
)


@examples(150)
@given(st.lists(records, max_size=25, unique_by=lambda record: record.uid), terms)
def test_many_calls_priced_at_once_cost_what_each_one_costs(calls, terms):
    found = bulk.priced(frame(*calls), **terms)
    expected = [one_by_one(record, **terms) for record in calls]
    expected = [None if nanos is None or nanos >= 2**63 else nanos for nanos in expected]
    assert found.known.tolist() == [nanos is not None for nanos in expected]
    assert found.nanos.tolist() == [nanos or 0 for nanos in expected]
    assert [bool(source) for source in found.sources] == found.known.tolist()


@examples(50)
@given(st.lists(records, max_size=25, unique_by=lambda record: record.uid), terms)
def test_the_sums_are_those_of_the_calls(calls, terms):
    if (name := terms.pop("model", None)) is not None:
        terms["model"] = ":".join(filter(None, name)) if name[0] or "own" in terms else "gpt-4o-mini"
    result = what_if(frame(*calls), terms.get("model"), terms.get("own"), terms.get("cached"), NOW)
    target = {"m": ("", "m")}.get(name := terms.get("model"), name and tuple(name.split(":")))
    target = ("openai", "gpt-4o-mini") if name == "gpt-4o-mini" else target
    other = [one_by_one(c, target, terms.get("own"), terms.get("cached"), NOW) for c in calls]
    both = [(c.cost_nanos, n) for c, n in zip(calls, other, strict=True) if c.status != "replayed"]
    assert result.cost_nanos == sum(cost or 0 for cost, _ in both)
    assert result.what_if_nanos == sum(nanos or 0 for _, nanos in both)
    assert result.difference_nanos == sum(n - c for c, n in both if c is not None and n is not None)
    assert result.calls == len(calls)
    shown = [result.df[name].sum() for name in ("calls", "unpriced", "what_if_unpriced")]
    assert shown == [result.calls, result.unpriced, result.what_if_unpriced]
    shown_nanos = sum(round(usd * 10**9) for usd in result.df["what_if_usd"].dropna())
    assert shown_nanos == pytest.approx(result.what_if_nanos, rel=1e-15)  # exact below two million dollars


def test_another_model_costs_what_its_price_says():
    result = what_if(frame(call(cost_nanos=5_000_000)), model="m", prices=TABLE)
    assert (result.cost_usd, result.what_if_usd, result.difference_usd) == (0.005, 0.0012, -0.0038)
    assert repr(result) == "1 call: $0.005; on m at the given prices: $0.0012 (-76%)"
    assert result._repr_mimebundle_() == {"text/plain": repr(result), "text/html": result._repr_html_()}


def test_a_share_of_the_input_may_come_from_the_cache():
    table = {"m": {"input": 1.0, "output": 2.0, "cache_read": 0.1}}
    assert what_if(frame(call()), "m", table, cached=0.7).what_if_nanos == 300_000 + 70_000 + 200_000
    assert "70 % of the input cached" in repr(what_if(frame(call()), "m", table, cached=0.7))


def test_what_was_written_to_the_cache_for_an_hour_costs_more():
    written = call(provider="anthropic", model="claude-opus-5-5", cache_write_tokens=800)
    longer = call(
        provider="anthropic", model="claude-opus-5-5", cache_write_tokens=800, cache_write_1h_tokens=800
    )
    assert what_if(frame(longer)).what_if_nanos > what_if(frame(written)).what_if_nanos


def test_a_service_tier_holds_for_its_own_provider_only():
    plain, flex = call(), call(service_tier="flex")
    assert 2 * what_if(frame(flex)).what_if_nanos == what_if(frame(plain)).what_if_nanos
    on_flash = [what_if(frame(one), "google:gemini-2.5-flash").what_if_nanos for one in (plain, flex)]
    assert on_flash[0] == on_flash[1]


def test_prices_that_are_given_win_and_the_others_stay():
    result = what_if(frame(call(model="m"), call()), prices=TABLE, when=NOW)
    own = prices.price("openai", ("gpt-5.4-mini",), Usage(input_tokens=1000, output_tokens=100), when=NOW)
    assert result.what_if_nanos == 1_200_000 + own.nanos
    assert "at the given prices, otherwise prices of 2026-11-20" in repr(result)


def test_calls_without_known_tokens_are_counted_and_never_free():
    failed = call(status="error", input_tokens=None, output_tokens=None)
    unknown = call(output_tokens=None, cost_nanos=1_000_000_000)
    result = what_if(frame(failed, unknown), "m", TABLE)
    assert (result.calls, result.unpriced, result.what_if_unpriced) == (2, 0, 1)
    assert math.isnan(result.what_if_usd)
    assert repr(result).endswith("on m at the given prices: $?, 1 without a known price")
    assert "$?" in result._repr_html_()


def test_replayed_calls_count_as_what_they_saved():
    replayed = call(status="replayed", cost_nanos=0, saved_nanos=7_000_000)
    result = what_if(frame(replayed), "m", TABLE)
    assert (result.cost_usd, result.what_if_usd, result.unpriced, result.what_if_unpriced) == (0, 0, 0, 0)
    assert (result.saved_usd, result.what_if_saved_usd) == (0.007, 0.0012)
    assert "saved by replay: $0.007, then $0.0012" in repr(result)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"model": "gtp-6-luna"}, "Did you mean"),
        ({"model": "openai:no-such-model"}, "The price of openai:no-such-model is unknown"),
        ({"cached": 1.5}, "from 0 to 1"),
        ({"cached": math.nan}, "from 0 to 1"),
        ({"prices": {"m": {"input": 1}}}, "needs both input and output"),
        ({"prices": {"m": {"input": -1, "output": 1}}}, "must be a finite number >= 0"),
        ({"prices": {"m": {"input": 1, "output": 1, "ouptut": 1}}}, "unknown keys: ouptut"),
        ({"prices": [1]}, "Invalid price table"),
        ({"when": "yesterday"}, "cannot be used as a date or time"),
    ],
)
def test_what_makes_no_sense_is_said(given, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        what_if(frame(call()), **given)
    assert len(str(caught.value)) <= 500


@pytest.mark.parametrize(
    ("name", "full"),
    [("luna", "openai:gpt-6-luna"), ("gpt-6-luna", "openai:gpt-6-luna"),
     ("sonnet", "anthropic:claude-sonnet-5-5"), ("openai", "openai:gpt-5.4-mini"),
     ("google:gemini-2.5-pro", "google:gemini-2.5-pro")],
)  # fmt: skip
def test_a_model_may_be_named_as_everywhere(name, full):
    assert f"on {full} at prices of" in repr(what_if(frame(call()), name))


def test_the_users_own_prices_and_aliases_hold(tmp_path, monkeypatch):
    (tmp_path / "llmkit.toml").write_text(
        '[aliases]\nmine = "openai:big"\n[prices.big]\ninput = 3\noutput = 0\n'
    )
    monkeypatch.chdir(tmp_path)
    assert what_if(frame(call()), "mine").what_if_nanos == 3_000_000
    assert what_if(frame(call()), "big").what_if_nanos == 3_000_000


def test_names_from_the_ledger_are_no_html():
    nasty = "<img src=x onerror=alert(1)>"
    page = what_if(frame(call(model=nasty, provider=nasty)), prices={nasty: TABLE["m"]})._repr_html_()
    assert "<img" not in page
    assert "&lt;img" in page


def test_a_ledger_reprices_the_calls_that_are_meant_and_writes_nothing():
    ledger = Ledger(":memory:")
    for notebook, simulated in (("a.ipynb", False), ("b.ipynb", False), ("a.ipynb", True)):
        ledger.record(call(notebook=notebook, simulated=simulated, cost_nanos=10**6))
    before = ledger.df
    assert ledger.reprice("m", prices=TABLE).what_if_nanos == 2_400_000
    assert ledger.reprice("m", prices=TABLE, notebook="a.ipynb").calls == 1
    assert ledger.reprice(only_model="other").calls == 0
    assert ledger.reprice(status="error").calls == 0
    assert repr(ledger.reprice(simulated=True)).startswith("1 simulated call: $0.001; at prices of ")
    pd.testing.assert_frame_equal(ledger.df, before)


def test_an_empty_ledger_costs_nothing_otherwise_either():
    assert repr(what_if(frame(), "m", TABLE)) == "0 calls: $0.00; on m at the given prices: $0.00"


def test_the_made_up_month_is_priced_as_it_was_recorded():
    ledger = simulated_month()
    found = bulk.priced(ledger.df)
    recorded = ledger.df["cost_usd"].where(ledger.df["status"] != "replayed", ledger.df["saved_usd"])
    assert found.known.tolist() == recorded.notna().tolist()
    assert np.array_equal(found.nanos, (recorded.fillna(0) * 10**9).round().astype("int64"))
