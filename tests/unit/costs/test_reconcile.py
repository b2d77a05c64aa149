"""The ledger beside exports of providers, in the shapes that their documentation shows."""

import json
import uuid
from datetime import UTC, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.core.errors import ConfigurationError
from llmkit.costs.ledger import Ledger
from llmkit.costs.pricing import provider_reports
from llmkit.records import CallRecord
from tests.support.examples import examples
from tests.support.month import simulated_month

DAY = datetime(2026, 11, 20, tzinfo=UTC)
NOON = DAY.replace(hour=12)
START = int(DAY.timestamp())


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "gpt-4o-mini"}
    fields |= {
        "input_tokens": 1000,
        "output_tokens": 100,
        "cache_read_tokens": 400,
        "cost_nanos": 210_000_000,
    }
    return CallRecord(**{"time": NOON} | fields | changes)


def ledger_of(*calls):
    ledger = Ledger(":memory:")
    for record in calls:
        ledger.record(record)
    return ledger


def used(**changes):
    """A result of OpenAI's `/v1/organization/usage/completions`."""
    result = {"object": "organization.usage.completions.result", "input_tokens": 1000, "output_tokens": 100}
    result |= {"input_cached_tokens": 400, "input_audio_tokens": 0, "num_model_requests": 1}
    result |= {"project_id": None, "user_id": None, "api_key_id": None, "batch": None, "service_tier": None}
    return {**result, "model": "gpt-4o-mini", **changes}


def charged(value, line_item="gpt-4o-mini, input"):
    """A result of OpenAI's `/v1/organization/costs`."""
    amount = {"value": value, "currency": "usd"}
    return {
        "object": "organization.costs.result",
        "amount": amount,
        "line_item": line_item,
        "project_id": None,
    }


def page(*results, start=START):
    bucket = {"object": "bucket", "start_time": start, "end_time": start + 86_400, "results": list(results)}
    return {"object": "page", "data": [bucket], "has_more": False, "next_page": None}


def messages(**changes):
    """A page of Anthropic's `usage_report/messages`."""
    result = {"uncached_input_tokens": 1500, "cache_read_input_tokens": 200, "output_tokens": 500}
    result |= {"cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500}}
    result |= {"server_tool_use": {"web_search_requests": 10}, "api_key_id": None, "workspace_id": None}
    result |= {"model": "claude-sonnet-4-20250514", "service_tier": "standard", "context_window": "0-200k"}
    return report(result | changes)


def report(*results):
    bucket = {
        "starting_at": "2026-11-20T00:00:00Z",
        "ending_at": "2026-11-21T00:00:00Z",
        "results": list(results),
    }
    return {"data": [bucket], "has_more": False, "next_page": None}


def item(amount, model="claude-sonnet-4-20250514", kind="tokens"):
    """A result of Anthropic's `cost_report`: a decimal string in cents."""
    return {"currency": "USD", "amount": amount, "cost_type": kind, "model": model, "description": "…"}


def only(table):
    (row,) = table.reset_index().to_dict("records")
    return row


def test_usage_and_costs_of_openai_match_the_calls():
    ledger = ledger_of(call(), call(provider="anthropic"), call(simulated=True), call(status="replayed"))
    pages = [page(used()), page(charged(0.15), charged(0.06, "gpt-4o-mini, output"))]
    row = only(ledger.reconcile(pages))
    assert row == {
        "day": pd.Timestamp(DAY), "model": "gpt-4o-mini", "status": "match", "unpriced": 0,
        "calls": 1, "calls_theirs": 1, "calls_difference": 0,
        "input_tokens": 1000, "input_tokens_theirs": 1000, "input_tokens_difference": 0,
        "cached_tokens": 400, "cached_tokens_theirs": 400, "cached_tokens_difference": 0,
        "output_tokens": 100, "output_tokens_theirs": 100, "output_tokens_difference": 0,
        "cost_usd": 0.21, "cost_usd_theirs": 0.21, "cost_usd_difference": 0.0,
    }  # fmt: skip


def test_usage_and_costs_of_anthropic_match_the_calls():
    made = call(provider="anthropic", model="claude-sonnet-4", model_served="claude-sonnet-4-20250514")
    fields = {
        "input_tokens": 3200,
        "cache_read_tokens": 200,
        "output_tokens": 500,
        "cost_nanos": 1_237_891_200,
    }
    ledger = ledger_of(CallRecord(**{name: getattr(made, name) for name in made.__slots__} | fields))
    row = only(ledger.reconcile([messages(), report(item("100.78912"), item("23", kind="tokens"))]))
    assert (row["status"], row["model"], row["cost_usd_theirs"]) == (
        "match",
        "claude-sonnet-4-20250514",
        1.2378912,
    )
    assert pd.isna(row["calls_theirs"]), "Anthropic does not count requests"
    assert row["input_tokens_theirs"] == 3200


def test_what_drifts_apart_is_shown_with_the_difference():
    ledger = ledger_of(call(), call(cost_nanos=None))
    row = only(ledger.reconcile([page(used(input_tokens=2500, num_model_requests=2)), page(charged(0.3))]))
    assert (row["status"], row["input_tokens_difference"], row["unpriced"]) == ("drift", -500, 1)
    assert row["cost_usd_difference"] == pytest.approx(-0.09)


@pytest.mark.parametrize(("theirs", "status"), [(0.2121, "match"), (0.2149, "match"), (0.216, "drift")])
def test_a_hundredth_or_half_a_cent_is_no_drift(theirs, status):
    assert only(ledger_of(call()).reconcile(page(charged(theirs))))["status"] == status


def test_a_cost_that_is_unknown_here_matches_none():
    ledger = ledger_of(call(cost_nanos=None))
    row = only(ledger.reconcile(page(charged(0.000001))))
    assert (row["status"], row["unpriced"]) == ("drift", 1)
    assert pd.isna(row["cost_usd"])
    assert only(ledger.reconcile(page(charged(0))))["status"] == "match"


@pytest.mark.parametrize("tolerance", [-0.1, 1.1, float("nan")])
def test_a_tolerance_that_is_no_share_is_refused(tolerance):
    with pytest.raises(ConfigurationError, match="from 0 to 1"):
        ledger_of().reconcile(page(used()), tolerance=tolerance)


def test_a_wider_tolerance_may_be_given():
    ledger = ledger_of(call())
    assert only(ledger.reconcile(page(used(input_tokens=1100))))["status"] == "drift"
    assert only(ledger.reconcile(page(used(input_tokens=1100)), tolerance=0.1))["status"] == "match"


def test_what_only_one_side_knows_is_said():
    ledger = ledger_of(call(model="gpt-6-luna"), call(time=datetime(2026, 11, 25, tzinfo=UTC)))
    table = ledger.reconcile(page(used()))
    assert table["status"].to_dict() == {
        (pd.Timestamp(DAY), "gpt-4o-mini"): "only theirs",
        (pd.Timestamp(DAY), "gpt-6-luna"): "only ours",
    }
    assert table["cost_usd"].isna().tolist() == [True, False]


def test_a_day_without_use_is_covered_by_an_export():
    ledger = ledger_of(call())
    assert only(ledger.reconcile([page()], provider="openai"))["status"] == "only ours"


@pytest.mark.parametrize(
    ("asked", "served", "theirs"),
    [
        ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", "gpt-4o-mini-2024-07-18"),
        ("gpt-4o-mini", None, "gpt-4o-mini-2024-07-18"),
        ("gpt-4o-mini-2024-07-18", None, "gpt-4o-mini"),
        ("claude-sonnet-4", None, "claude-sonnet-4-20250514"),
        ("best", "gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-4o-mini", "something-else", "gpt-4o-mini"),
        ("gemini-2.5-pro", None, "models/gemini-2.5-pro"),
    ],
)
def test_a_model_is_found_by_the_name_that_answered_then_asked_then_without_its_date(asked, served, theirs):
    ledger = ledger_of(call(model=asked, model_served=served))
    assert only(ledger.reconcile(page(used(model=theirs))))["status"] == "match"


def test_a_models_own_name_comes_before_one_with_a_date():
    table = ledger_of(call()).reconcile(page(used(), used(model="gpt-4o-mini-2024-07-18")))
    assert table["status"].tolist() == ["match", "only theirs"]


def test_a_call_without_a_model_is_only_ours():
    table = ledger_of(call(model="")).reconcile(page(used()))
    assert table["status"].xs("(none)", level="model").tolist() == ["only ours"]


def test_of_two_dated_models_neither_is_taken_for_one_without_a_date():
    ledger = ledger_of(call(model="gpt-4o"))
    pages = page(used(model="gpt-4o-2024-05-13"), used(model="gpt-4o-2024-08-06"))
    assert sorted(ledger.reconcile(pages)["status"]) == ["only ours", "only theirs", "only theirs"]


def test_an_export_that_does_not_tell_models_apart_is_compared_by_the_day():
    ledger = ledger_of(call(), call(model="gpt-6-luna"))
    both = {"num_model_requests": 2, "input_tokens": 2000, "input_cached_tokens": 800, "output_tokens": 200}
    row = only(ledger.reconcile([page(used(model=None, **both)), page(charged(0.42, None))]))
    assert (row["status"], row["model"], row["calls"]) == ("match", "(all)", 2)


def test_what_is_charged_beside_models_is_a_row_of_its_own():
    ledger = ledger_of(call(provider="anthropic", model="claude-sonnet-4-20250514"))
    table = ledger.reconcile(report(item("21"), item("30", None, "web_search")))
    assert table["status"].tolist() == ["only theirs", "match"]
    assert table.index.get_level_values("model")[0] == "(none)"


def test_a_day_is_a_utc_day_and_finer_buckets_are_added_up():
    late, early = datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC), datetime(2026, 11, 21, 0, 0, tzinfo=UTC)
    ledger = ledger_of(call(time=late), call(time=early))
    hours = [
        {"start_time": START + 3600 * hour, "end_time": START + 3600 * (hour + 1), "results": [used()]}
        for hour in (23, 24)
    ]
    table = ledger.reconcile(hours)
    assert table["status"].tolist() == ["match", "match"]
    assert table.index.get_level_values("day").tolist() == [
        pd.Timestamp(DAY),
        pd.Timestamp("2026-11-21", tz="UTC"),
    ]


def test_only_the_days_that_are_asked_for_are_compared():
    ledger = ledger_of(call(), call(time=datetime(2026, 11, 21, 3, tzinfo=UTC)))
    pages = [page(used()), page(used(), start=START + 86_400)]
    assert len(ledger.reconcile(pages)) == 2
    assert len(ledger.reconcile(pages, since="2026-11-21T00:00+00:00")) == 1
    assert len(ledger.reconcile(pages, until="2026-11-21T00:00+00:00")) == 1
    assert len(ledger.reconcile(pages, until="2026-11-21T05:00+00:00")) == 2
    with pytest.raises(ConfigurationError, match="covers 2026-11-20 to 2026-11-21"):
        ledger.reconcile(pages, since="2026-12-01")


def test_files_are_read_exactly(tmp_path):
    ledger = ledger_of(call())
    (tmp_path / "pages.json").write_text(
        json.dumps([page(used()), page(charged(0.21))]), encoding="utf-8-sig"
    )
    (tmp_path / "table.csv").write_text(
        "\ufeffDate,Model,Requests,Prompt tokens,Cached tokens,Completion tokens,Cost (USD)\n"
        '2026-11-20,gpt-4o-mini,1,"1,000",400,100,$0.21\n',
        encoding="utf-8",
    )
    first = ledger.reconcile(tmp_path / "pages.json")
    second = ledger.reconcile(str(tmp_path / "table.csv"), provider="openai")
    pd.testing.assert_frame_equal(first, second)
    assert only(first)["status"] == "match"


def test_a_frame_of_another_tool_is_read():
    theirs = pd.DataFrame(
        {
            "usage_date_utc": ["2026-11-20"] * 2,
            "model_version": ["claude-sonnet-4"] * 2,
            "usage_input_tokens_no_cache": [500, 600],
            "usage_input_tokens_cache_write_5m": [100, 0],
            "usage_input_tokens_cache_write_1h": [0, 50],
            "usage_input_tokens_cache_read": [400, 0],
            "usage_output_tokens": [100, 1],
        }
    )
    ledger = ledger_of(
        call(provider="anthropic", model="claude-sonnet-4", input_tokens=1650, output_tokens=101)
    )
    row = only(ledger.reconcile(theirs, provider="anthropic"))
    assert (row["status"], row["input_tokens_theirs"], row["cached_tokens_theirs"]) == ("match", 1650, 400)
    assert pd.isna(row["cost_usd_theirs"])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"date": ["2026-11-20"], "cost": [1]}, "columns date, cost; missing: model"),
        ({"model": ["m"], "cost": [1]}, "columns model, cost; missing: day"),
        ({"date": ["2026-11-20"], "model": ["m"]}, "missing: cost, or input and output tokens"),
        ({"date": ["2026-11-20"], "model": ["m"], "input_tokens": [1]}, "missing: cost, or input and output"),
        ({"date": ["2026-11-20"], "model": ["m"], "cost": [1], "spend": [2]}, "several columns for the cost"),
        ({"date": ["soon"], "model": ["m"], "cost": [1]}, "'soon' instead of a date"),
        ({"date": ["2026-11-20"], "model": ["m"], "cost": ["much"]}, "'much' instead of an amount"),
        ({"date": ["2026-11-20"], "model": ["m"], "cost": ["1e99"]}, "'1e99' instead of an amount"),
        ({"date": ["2026-11-20"], "model": ["m"], "cost": [1], "requests": [1.5]}, "instead of a count"),
        ({"date": ["2026-11-20"], "model": ["m"], "cost": [1], "currency": ["EUR"]}, "is in EUR"),
        ({"date": [], "model": [], "cost": []}, "has no rows"),
    ],
)
def test_a_table_that_cannot_be_read_says_what_it_has_and_what_is_needed(table, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        ledger_of().reconcile(pd.DataFrame(table))
    assert len(str(caught.value)) <= 500


@pytest.mark.parametrize(
    ("pages", "message"),
    [
        ({}, "an object with nothing in it"),
        ({"error": {"message": "no"}}, "an object with error"),
        ({"data": []}, "no time buckets"),
        ([1, 2], "a list of int"),
        (page({"characters": 5}), "results with characters"),
        ([{"start_time": START, "end_time": START + 7 * 86_400, "results": []}], "longer than a UTC day"),
        ([{"start_time": None, "results": []}], "instead of a date"),
        (page(used(input_tokens="many")), "instead of a count"),
        (page({**charged(1), "amount": {"value": 1, "currency": "eur"}}), "is in eur"),
        (page(charged(None)), "instead of an amount"),
    ],
)
def test_pages_that_cannot_be_read_say_what_they_have(pages, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        ledger_of().reconcile(pages)
    assert len(str(caught.value)) <= 500


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "export is not valid JSON"),
        (b"", "export is empty"),
        (b"\xff\xfe\x00", "Cannot read the export"),
        (b'a,b\n"1', "export .*CSV"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, content, message):
    (tmp_path / "export").write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        ledger_of().reconcile(tmp_path / "export")
    with pytest.raises(ConfigurationError, match="Cannot read"):
        ledger_of().reconcile(tmp_path / "nowhere.csv")


def test_an_export_of_another_provider_is_refused():
    with pytest.raises(ConfigurationError, match="The export is openai's, not anthropic's"):
        ledger_of().reconcile(page(used()), provider="anthropic")


def test_names_are_no_html():
    nasty = "<img src=x onerror=alert(1)>"
    assert "<img" not in ledger_of(call(model=nasty)).reconcile(page(used(model=nasty)))._repr_html_()


counts = st.integers(0, 10**7)


@examples(50)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from("ab"), counts, counts, st.integers(0, 10**12)),
        max_size=12,
    )
)
def test_the_sums_of_both_sides_are_exact(rows):
    made = [
        call(
            time=NOON.replace(day=20 + day),
            model=model,
            input_tokens=into,
            output_tokens=out,
            cost_nanos=nanos,
        )
        for day, model, into, out, nanos in rows
    ]
    theirs = pd.DataFrame(
        [(f"2026-11-{20 + day}", model, into, out, nanos / 10**9) for day, model, into, out, nanos in rows],
        columns=["date", "model", "input_tokens", "output_tokens", "cost_usd"],
    )
    if rows:
        table = ledger_of(*made).reconcile(theirs)
        assert set(table["status"]) == {"match"}
        assert not table[["input_tokens_difference", "output_tokens_difference", "cost_usd_difference"]].any(
            axis=None
        )
        assert round(table["cost_usd"].sum() * 10**9) == sum(nanos for *_, nanos in rows)
        assert provider_reports.read(theirs).usage["nanos"].sum() == sum(nanos for *_, nanos in rows)


def test_the_made_up_month_reconciles_with_what_it_says_itself():
    ledger = simulated_month()
    real = ledger.df[ledger.df["status"] != "replayed"]
    theirs = real.assign(date=real["time"])[["date", "model", "input_tokens", "output_tokens", "cost_usd"]]
    table = ledger.reconcile(theirs)
    assert table["status"].value_counts()["match"] == len(table) - (table["status"] == "only theirs").sum()
    assert table["unpriced"].sum() == ledger.total().unpriced
