"""Which cells of a product of parameters run by default.

A test that is marked `product` runs for every combination of its parameters with `--full`, as in CI. By
default it runs as few of them as have each value of each parameter once: each rule, and each provider.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence


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
