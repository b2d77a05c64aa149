"""Which cells of a product of parameters run by default.

A test that is marked `product` runs for every combination of its parameters with `--full`, as in CI. By
default it runs as few of them as have each value of each parameter once: each rule, and each provider.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from _pytest.mark.structures import ParameterSet

T = TypeVar("T")


def few(values: Iterable[T], by_default: Collection[T]) -> list[ParameterSet]:
    """Return the parameters of a test that runs for some values by default, and for all with `--full`."""
    return [pytest.param(value, marks=() if value in by_default else pytest.mark.full) for value in values]


def mark_full(items: list[pytest.Item]) -> None:
    """Mark all but the representatives of each test function as `full`."""
    for _, group in itertools.groupby(items, key=lambda item: item.nodeid.partition("[")[0]):
        cells = list(group)
        kept = representatives([values_of(item) for item in cells])
        for number, item in enumerate(cells):
            if number not in kept:
                item.add_marker(pytest.mark.full)


def values_of(item: pytest.Item) -> frozenset[tuple[str, int]]:
    """Return the parameters of a cell; a value is the same object in all cells of a function."""
    return frozenset((name, id(value)) for name, value in item.callspec.params.items())


def representatives(cells: Sequence[frozenset[object]]) -> set[int]:
    """Return the positions of cells that together have every value: few, and each value about as often."""
    kept: set[int] = set()
    used: Counter[object] = Counter()
    missing = frozenset[object]().union(*cells)
    while missing:
        worth = [(len(cell & missing), -sum(used[value] for value in cell)) for cell in cells]
        best = worth.index(max(worth))
        kept.add(best)
        used.update(cells[best])
        missing -= cells[best]
    return kept
