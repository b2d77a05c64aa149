"""The result of grouping calls in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.costs.sums import Sums

if TYPE_CHECKING:
    from collections.abc import Sequence

KEYS = ("day", "provider", "model", "notebook", "status", "simulated", "month")
"""Keys that calls can be grouped by, beside `user` where the store knows users.

Days and months are local, e.g. `2026-11-22` and `2026-11`."""

MEASURES = (
    "calls", "errors", "priced", "unpriced", "input_tokens", "output_tokens", "nanos", "saved_nanos",
    "first", "last", "estimated",
)  # fmt: skip
"""The values after the keys of a group; unknown tokens are `None`."""

COUNTER_KEYS = ("provider", "model", "status", "simulated")
"""Keys of `Store.counters`; a missing one is an empty text."""

COUNTERS = (
    "calls", "unpriced", "nanos", "saved_nanos", "input_tokens", "output_tokens", "cache_read_tokens",
    "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip
"""The values after the keys of `Store.counters`; unknown tokens and prices count as 0."""


def sums_in(measures: Sequence[Any]) -> Sums:
    """Return the sums among `MEASURES`."""
    values = dict(zip(MEASURES, measures, strict=True))
    names = ("calls", "unpriced", "priced", "nanos", "saved_nanos", "estimated")
    return Sums(*(values[name] for name in names))
