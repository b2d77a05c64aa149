"""How many examples a test tries: all of them with `--full`, as in CI, and a fifth by default."""

from __future__ import annotations

import hypothesis

ALL = 100
"""What `max_examples` is with `--full`; conftest loads the profile before it imports a test."""


FEWEST = 4
"""The first example is the simplest one, so that one alone would show little."""


def scaled(count: int) -> int:
    """Return how many of so many examples this run tries."""
    return max(min(count, FEWEST), count * hypothesis.settings.default.max_examples // ALL)


def examples(count: int) -> hypothesis.settings:
    """Return the settings of a property that tries so many examples with `--full`."""
    return hypothesis.settings(max_examples=scaled(count), deadline=None)
