"""Waiting for what comes in its own time: long enough for a busy machine, and never longer than it takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

SECONDS = 100
"""To wait for what takes one or two."""


def until(found: Callable[[], T | None], seconds: float = SECONDS) -> T:
    """Look again and again until there is something, and return it."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "It did not come."
        time.sleep(0.1)
    return value
