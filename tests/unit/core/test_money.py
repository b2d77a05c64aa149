"""Money: nano-dollars, and how an amount is written."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from llmkit.core.money import format_exact, format_rate, format_ticks, from_nanos, to_nanos


@pytest.mark.parametrize(
    ("usd", "nanos"),
    [
        (0.1, 100_000_000),
        (np.float64(0.1), 100_000_000),
        (3, 3_000_000_000),
        (Decimal("1e-9"), 1),
        (Decimal("5e-10"), 0),
        (Decimal("1.5e-9"), 2),
        (0, 0),
        (1e-12, 0),
    ],
)
def test_dollars_are_rounded_half_to_even(usd, nanos):
    assert to_nanos(usd) == nanos


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "$0.000000000"),
        (1, "$0.000000001"),
        (-1_500_000_000, "-$1.500000000"),
        (9_007_199_254_740_993_000_000_001, "$9,007,199,254,740,993.000000001"),
    ],
)
def test_an_exact_amount_keeps_every_digit(nanos, text):
    assert format_exact(nanos) == text


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([], []),
        ([0.25], ["$0.25"]),
        ([0, 1, 2], ["$0", "$1", "$2"]),
        ([0, 0.5, 1], ["$0", "$0.50", "$1.00"]),
        ([0, 0.0025, 0.005], ["$0", "$0.0025", "$0.0050"]),
        ([1000, 1500], ["$1,000", "$1,500"]),
        ([0, 1e-9], ["$0", "$0.000000001"]),
    ],
)
def test_the_amounts_on_an_axis_have_the_decimals_of_their_steps(values, texts):
    assert format_ticks(values) == texts


def test_a_rate_has_no_zeros_at_its_end():
    rates = (Decimal("0.150"), 10, 12.345, 4.5, 0.0375)
    assert [format_rate(rate) for rate in rates] == ["$0.15", "$10", "$12.345", "$4.50", "$0.0375"]


def test_an_unknown_amount_stays_unknown():
    assert from_nanos(None) is None
