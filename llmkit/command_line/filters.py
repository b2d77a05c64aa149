"""The options that choose calls, which several commands have."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

WORDS = ("model", "provider", "notebook", "tag", "status", "surface")
"""Filters that are words, as in `Ledger.where`; each may be given several times."""

_DAYS = re.compile(r"(\d{1,4}) ?d(?:ays?)?")


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add the filters of calls."""
    group = parser.add_argument_group("which calls")
    group.add_argument(
        "--since",
        metavar="WHEN",
        help="from this time on: today, 7d (with today), month, or a date such as 2026-11-22",
    )
    group.add_argument("--until", metavar="WHEN", help="before this date or time")
    for name in WORDS:
        group.add_argument(f"--{name}", metavar="NAME", action="append", help=f"only this {name}; repeatable")
    group.add_argument(
        "--simulated",
        action="store_true",
        default=None,
        help="only the sandbox's calls; by default they count until a real call cost something",
    )


def filters_of(options: argparse.Namespace) -> dict[str, Any]:
    """Return the filters that are set, for `Ledger.where`."""
    given = {name: getattr(options, name) for name in (*WORDS, "simulated")}
    given |= {name: point_in_time(getattr(options, name)) for name in ("since", "until")}
    return {name: value for name, value in given.items() if value is not None}


def point_in_time(text: str | None, now: datetime | None = None) -> datetime | str | None:
    """Return the time that a word stands for; other texts are dates, which the ledger reads.

    Example:
        >>> point_in_time("3d", datetime(2026, 11, 22, 15)).isoformat()[:10]
        '2026-11-20'
        >>> point_in_time("2026-11-22")
        '2026-11-22'
    """
    today = (now or datetime.now().astimezone()).replace(hour=0, minute=0, second=0, microsecond=0)
    if text == "today":
        return today.replace(tzinfo=None)
    if text in {"month", "this month"}:
        return today.replace(day=1, tzinfo=None)
    if text is not None and (days := _DAYS.fullmatch(text)) is not None:
        # A naive midnight is local, also where the clocks changed in between.
        return (today - timedelta(days=max(int(days[1]), 1) - 1)).replace(tzinfo=None)
    return text
