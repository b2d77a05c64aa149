"""Which cells of a product run by default."""

from __future__ import annotations

import itertools

import pytest

from tests.support.products import representatives


def cells(*sizes):
    """Return the cells of a product: each one has one value of each parameter."""
    return [frozenset(enumerate(values)) for values in itertools.product(*map(range, sizes))]


@pytest.mark.parametrize("sizes", [(3,), (3, 2), (2, 7), (11, 3), (13, 7, 2)])
def test_as_many_cells_as_the_longest_parameter_has_values_have_every_value(sizes):
    product = cells(*sizes)
    kept = representatives(product)
    assert len(kept) == max(sizes)
    assert frozenset().union(*(product[number] for number in kept)) == frozenset().union(*product)


def test_a_value_that_goes_with_one_other_only_is_kept():
    assert representatives([frozenset("ax"), frozenset("ay"), frozenset("bx"), frozenset("az")]) == {
        0,
        1,
        2,
        3,
    }
