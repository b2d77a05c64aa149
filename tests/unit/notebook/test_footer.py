"""The line under an answer."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.content.messages import LLMResponse
from llmkit.notebook.display.footer import Footer, build_footer, format_money, format_seconds, lacks_price


def answer(**changes):
    facts = {"prompt_tokens": 812, "completion_tokens": 214, "cost_estimate": 0.0056, "response_time": 3.42}
    content = changes.pop("content", "Hi")
    return LLMResponse(content, "anthropic", "claude-sonnet-5-5", **{**facts, **changes})


class TestFooter:
    def test_a_call_that_went_well(self):
        footer = build_footer(answer(), label="sonnet", session_cost=0.031)
        assert str(footer) == "sonnet · 812→214 tok · 3.4 s · $0.0056 · Σ $0.031"

    def test_a_replayed_call_says_what_it_saved(self):
        replayed = answer(replayed=True, saved_cost=0.0056, cost_estimate=0.0)
        footer = build_footer(replayed, label="sonnet", session_cost=0.031)
        assert str(footer) == "sonnet · 812→214 tok · ↺ replayed · saved $0.0056 · Σ $0.031"

    def test_an_unknown_price_is_never_zero(self):
        assert str(build_footer(answer(cost_estimate=None))) == "claude-sonnet-5-5 · 812→214 tok · 3.4 s · $?"
        assert "saved $?" in str(build_footer(answer(replayed=True)))

    def test_a_fallback_is_named(self):
        footer = build_footer(answer(fallback_from="openai:gpt-6-luna"))
        assert footer.note == "openai:gpt-6-luna failed; anthropic:claude-sonnet-5-5 answered."

    def test_a_local_model_is_free(self):
        assert str(build_footer(answer(cost_estimate=0.0))).endswith("3.4 s · free")

    @pytest.mark.parametrize("source", ["estimated", "partial"])
    def test_a_guess_says_that_it_is_one(self, source):
        assert "≈812→214 tok · 3.4 s · ≈$0.0056" in str(build_footer(answer(usage_source=source)))
        assert "· $?" in str(build_footer(answer(usage_source=source, cost_estimate=None)))

    def test_a_price_that_leaves_something_out_says_so_and_its_tokens_do_not(self):
        footer = str(build_footer(answer(usage_source="incomplete")))
        assert "· 812→214 tok · 3.4 s · ≈$0.0056" in footer

    def test_an_unknown_count_is_a_question_mark(self):
        assert "?→214 tok" in str(build_footer(answer(prompt_tokens=None)))
        assert "tok" not in str(build_footer(answer(prompt_tokens=None, completion_tokens=None)))

    @pytest.mark.parametrize(
        ("changes", "status", "warning"),
        [
            ({"finish_reason": "length"}, "ok", "stopped at max tokens"),
            ({"finish_reason": "content_filter"}, "ok", "stopped by the provider's content filter"),
            ({"finish_reason": "length"}, "cancelled", "⏹ stopped"),
            ({}, "interrupted", "⚠ cut off: the answer is incomplete"),
            ({}, "error", "⚠ failed: the answer is incomplete"),
            ({"content": ""}, "error", "⚠ failed"),
            ({"finish_reason": "stop"}, "ok", ""),
        ],
    )
    def test_what_the_reader_must_not_miss_is_a_warning(self, changes, status, warning):
        assert build_footer(answer(**changes), status=status).warning == warning

    def test_a_simulated_answer_says_so_in_one_word(self):
        assert str(build_footer(answer(simulated=True), session_cost=0.031)).endswith(
            "· Σ $0.031 · simulated"
        )

    def test_a_call_that_no_server_accepted_is_not_unpriced(self):
        refused = answer(content="", prompt_tokens=None, completion_tokens=None, cost_estimate=None)
        assert str(build_footer(refused, status="error")) == "claude-sonnet-5-5 · 3.4 s · ⚠ failed"

    def test_a_broken_answer_with_tokens_and_no_price_says_that_its_price_is_unknown(self):
        assert "· $? ·" in str(build_footer(answer(cost_estimate=None), status="error"))

    def test_the_html_escapes_what_a_server_says(self):
        html = build_footer(answer(finish_reason="length"), label="<img src=x>", note="a & b").html
        assert html == (
            '<div class="llmkit-footer mathjax_ignore tex2jax_ignore"><small>'
            "&lt;img src=x&gt; · 812→214 tok · 3.4 s · $0.0056 · "
            '<span class="llmkit-warn">stopped at max tokens</span><br>a &amp; b</small></div>'
        )

    def test_nothing_to_say_is_nothing(self):
        assert (Footer().html, str(Footer())) == ("", "")


class TestMoney:
    @pytest.mark.parametrize(
        ("usd", "text"),
        [
            (1234.5, "$1,234.50"), (12.345, "$12.35"), (1.0, "$1.00"), (0.999, "$1.00"), (0.994, "$0.99"),
            (0.5, "$0.50"), (0.031, "$0.031"), (0.0310001, "$0.031"), (0.0056, "$0.0056"), (0.005, "$0.005"),
            (0.00996, "$0.01"), (0.000012, "$0.000012"), (3.75e-7, "$0.00000038"), (1e-12, "<$0.000000001"),
            (0.0, "$0.00"), (-0.02, "-$0.02"), (None, "$?"), (float("nan"), "$?"), (float("inf"), "$?"),
        ],
    )  # fmt: skip
    def test_an_amount_is_readable(self, usd, text):
        assert format_money(usd) == text

    @given(st.floats(1e-30, 1e9))
    def test_no_amount_becomes_zero_or_far_off(self, usd):
        text = format_money(usd).lstrip("<")
        value = float(text.strip("$").replace(",", ""))
        assert re.fullmatch(r"\$[\d,]+\.\d+", text)
        assert value > 0
        if usd >= 1e-9:
            assert value == pytest.approx(usd, rel=0.06)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "<0.1 s"), (0.05, "0.1 s"), (3.42, "3.4 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 min 0 s")],
)
def test_a_duration_is_readable(seconds, text):
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("facts", "lacks"),
    [
        ({"prompt_tokens": 3}, True),
        ({"completion_tokens": 2}, True),
        ({"prompt_tokens": 3, "cost_estimate": 0.0}, False),
        ({"prompt_tokens": 0, "completion_tokens": 0}, False),
        ({"finish_reason": "stop"}, True),
        ({"finish_reason": "stop", "prompt_tokens": 3, "replayed": True}, False),
        ({}, False),
    ],
)
def test_an_answer_lacks_a_price_if_it_ended_well_or_used_tokens_and_has_none(facts, lacks):
    assert lacks_price(LLMResponse("Hi", "openai", "gpt-6-luna", **facts)) is lacks
