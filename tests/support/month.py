"""The simulated month of calls, made once for each time zone: it takes a second."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from llmkit.costs import demo
from llmkit.costs.ledger import Ledger

if TYPE_CHECKING:
    from llmkit.records import CallRecord

DEFAULT = "2026-10"


def simulated_calls(month: str = DEFAULT) -> list[CallRecord]:
    """Return the calls of a month, as `demo.records` makes them."""
    return list(_calls(month, os.environ.get("TZ")))


def simulated_month(month: str = DEFAULT) -> Ledger:
    """Return a new ledger in memory with the calls of a month, as `demo.month` makes it."""
    ledger = Ledger(":memory:")
    for record in simulated_calls(month):
        ledger.record(record)
    assert ledger.flush()
    return ledger


@functools.cache
def _calls(month: str, zone: str | None) -> tuple[CallRecord, ...]:
    return tuple(demo.records(month))
