import math
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.core.money import to_nanos
from llmkit.costs.price_rules import is_unpriced
from llmkit.costs.sums import Sums, Tally, Total, total_of
from llmkit.records import CallRecord


def call(**changes):
    fields = {"time": datetime.now(UTC), "uid": "0", "status": "ok", "provider": "openai", "model": "m"}
    return CallRecord(**fields | changes)


def test_a_total_reads_as_a_sentence():
    assert repr(Total(usd=1.2345, calls=12, unpriced=2)) == "$1.23 over 12 calls (2 without a known price)"
    assert str(Total(usd=0.5, calls=1, simulated=True)) == "$0.50 over 1 simulated call"
    assert str(Total(calls=2, saved_usd=0.25)) == "$0.00 over 2 calls, $0.25 saved by replay"


def test_if_no_price_is_known_the_total_is_unknown_and_not_zero():
    total = total_of({False: Sums(calls=3, unpriced=3)})
    assert math.isnan(total.usd)
    assert str(total) == "$? over 3 calls (3 without a known price)"


def test_real_money_leaves_simulated_calls_out_and_says_how_many():
    fake, real = Sums(calls=2, priced=2, nanos=8), Sums(calls=1, priced=1, nanos=5)
    assert total_of({True: fake}).simulated
    total = total_of({True: fake, False: real})
    assert (total.usd, total.calls, total.simulated, total.left_out) == (5e-9, 1, False, 2)
    assert str(total) == "$0.000000005 over 1 call; 2 simulated calls left out"
    assert total_of({True: fake, False: real}, simulated=True).calls == 2
    assert total_of({True: fake, False: real}, simulated=False) == total_of({False: real})
    assert total_of({True: fake}, simulated=False).calls == 0
    assert not total_of({}).simulated


def test_a_real_call_that_cost_nothing_does_not_hide_the_simulated_ones():
    total = total_of({True: Sums(calls=3, priced=3, nanos=2 * 10**9), False: Sums(calls=1)})
    assert (total.usd, total.calls, total.simulated, total.left_out) == (2, 4, True, 0)
    assert str(total) == "$2.00 over 4 calls, 3 of them simulated"


@pytest.mark.parametrize(
    ("changes", "unknown"),
    [
        ({"cost_nanos": None}, True),
        ({"cost_nanos": 0}, False),
        ({"status": "error"}, False),
        ({"status": "cancelled", "output_tokens": 3}, True),
        ({"status": "replayed", "output_tokens": 3}, False),
    ],
)
def test_a_call_is_unpriced_if_its_cost_is_unknown(changes, unknown):
    assert is_unpriced(call(**changes)) is unknown


@given(st.lists(st.integers(0, 10**15)))
def test_a_tally_adds_exactly(amounts):
    tally = Tally()
    for amount in amounts:
        tally.add(call(cost_nanos=amount))
    assert tally.sums()[False].nanos == sum(amounts)


@pytest.mark.parametrize("usd", [math.nan, math.inf, -math.inf, -0.01, Decimal("NaN")])
def test_what_is_no_amount_of_money_is_refused(usd):
    with pytest.raises(ValueError, match="amount of money"):
        to_nanos(usd)


def test_the_smallest_calls_are_not_rounded_to_nothing():
    assert to_nanos(0.000000375) == 375
    assert str(Total(usd=375e-9, calls=1)) == "$0.00000038 over 1 call"
