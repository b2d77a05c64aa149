"""Where the ticks of charts are, and how they read: times, amounts, durations, shares."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, num2date
from matplotlib.ticker import Formatter, NullFormatter

from llmkit.core.money import format_money, format_ticks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

DAYS_SHOWN = timedelta(days=100)
"""Axes longer than this have ticks at months instead of days."""


class Dates(AutoDateLocator):
    """Ticks at round times, up to the end of the data."""

    def __init__(self, maxticks: int) -> None:
        super().__init__(minticks=2, maxticks=maxticks)  # type: ignore[no-untyped-call]  # matplotlib annotates little
        self.last = math.inf

    def __call__(self) -> Any:
        """Return the ticks of the data, without those in the room for text."""
        assert self.axis is not None
        low, high = self.axis.get_view_interval()
        span = num2date((low, min(high, self.last)))  # type: ignore[no-untyped-call]  # the same
        return [tick for tick in self.tick_values(*span) if low <= tick < min(high, self.last)]  # type: ignore[no-untyped-call]  # the same


class Days(ConciseDateFormatter):
    """Labels of time ticks: days with the month once, hours with their day, others as in matplotlib."""

    _year = ""

    def get_offset(self) -> str:
        """Return the text beside the axis: the year or the day, if the ticks omit it."""
        return self._year or str(super().get_offset())  # type: ignore[no-untyped-call]  # matplotlib annotates little

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Write the times of all ticks."""
        self._year = ""
        labels: list[str] = super().format_ticks(values)  # type: ignore[no-untyped-call]  # matplotlib annotates little
        times = [num2date(value) for value in values]  # type: ignore[no-untyped-call]  # the same
        if len(times) < 2 or times[-1] - times[0] >= DAYS_SHOWN or _are_months(times):
            return labels
        if any(time.hour or time.minute for time in times):
            return self._hours(times, labels)
        return self._days(times)

    def _days(self, times: Sequence[datetime]) -> list[str]:
        self._year = f"{times[-1]:%Y}"
        before = [0, *(time.month for time in times)]
        return [
            str(time.day) if time.month == month else f"{time.day} {time:%b}"
            for month, time in zip(before, times, strict=False)
        ]

    def _hours(self, times: Sequence[datetime], labels: list[str]) -> list[str]:
        midnights = [not (time.hour or time.minute or time.second) for time in times]
        self._year = f"{times[-1]:%Y}" if any(midnights) else f"{times[0].day} {times[0]:%b %Y}"
        return [
            f"{time.day} {time:%b}" if midnight else label
            for midnight, time, label in zip(midnights, times, labels, strict=True)
        ]


def _are_months(times: Sequence[datetime]) -> bool:
    return all(time.day == 1 for time in times)


class Dollars(Formatter):
    """Dollars with the decimals that the steps between ticks need."""

    def __call__(self, x: float, pos: int | None = None) -> str:  # noqa: ARG002 - matplotlib's signature
        """Write one amount."""
        return format_money(x)

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Write the amounts of all ticks alike."""
        return format_ticks(values)


class LogDollars(Dollars):
    """Dollars on a logarithmic axis: each tick has its own format."""

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Write the amounts one by one: $0.001, $0.01, $0.10, $1, $10."""
        return [f"${value:,.0f}" if value >= 1 else format_money(value) for value in values]


def dollars_axis(axis: Axis) -> None:
    """Write the ticks of an axis as dollars."""
    log = axis.get_scale() == "log"
    axis.set_major_formatter(LogDollars() if log else Dollars())
    if log:
        axis.set_minor_formatter(NullFormatter())


def seconds(value: float) -> str:
    """Write a duration: milliseconds below a second, minutes from 100 s.

    Example:
        >>> seconds(0.0042), seconds(1.234), seconds(42), seconds(600)
        ('4.2 ms', '1.2 s', '42 s', '10 min')
    """
    if value >= 600:
        return f"{value / 60:.3g} min" if value < 6000 else f"{value / 3600:.3g} h"
    if value >= 1:
        return f"{value:.3g} s" if value >= 99.5 else f"{value:.2g} s"
    return f"{value * 1000:.2g} ms" if value < 0.0995 else f"{value:.2g} s"


class Seconds(Formatter):
    """Durations in readable units."""

    def __call__(self, x: float, pos: int | None = None) -> str:  # noqa: ARG002 - matplotlib's signature
        """Write one duration."""
        return "0" if x == 0 else seconds(x)


def seconds_axis(ax: Axes) -> None:
    """Write the ticks of the x axis as durations."""
    ax.xaxis.set_major_formatter(Seconds())
    ax.xaxis.set_minor_formatter(NullFormatter())
