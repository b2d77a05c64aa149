"""Charts of the ledger.

Each chart is a function that draws a frame of calls into Axes and returns the Axes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Unpack

import pandas as pd

from llmkit.core.suggestions import known
from llmkit.costs.charts import aggregates, canvas, spending, usage
from llmkit.costs.frame.summary import spending as counting
from llmkit.costs.store.filters import ALL, FilterOptions, with_filters

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from llmkit.costs.calls import Calls

KINDS: dict[str, Callable[..., Axes]] = {
    "cumulative": spending.cumulative,
    "model": spending.by_model,
    "latency": usage.latency,
    "tokens": usage.tokens,
    "hours": spending.hours,
    "most_expensive": spending.most_expensive,
    "saved": spending.saved,
    "first_token": usage.first_token,
    "duration": usage.duration,
    "errors": usage.errors,
}
"""The charts by name; each takes a frame and an Axes."""

FORMER = {"dearest": "most_expensive"}
"""Former names of charts."""


class Charts:
    """Charts of calls: `plot("model")` or `plot.model()`. Times are local.

    The kinds: `"cumulative"`: the sum over time, with the daily budget and a projection to the end of the
    month; `"model"`: costs per day, by model; `"latency"`: price against duration; `"tokens"`: tokens per
    day, by kind; `"hours"`: costs by hour and weekday; `"most_expensive"`: the most expensive cells;
    `"saved"`: costs and savings by replay; `"first_token"` and `"duration"`: times of calls; `"errors"`:
    the failure rate, by error.

    Example:
        >>> from llmkit import Ledger
        >>> Ledger(":memory:").plot  # doctest: +ELLIPSIS
        charts of calls: cumulative, model, latency, ...
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def __repr__(self) -> str:
        return f"charts of calls: {', '.join(KINDS)}"

    @with_filters
    def __call__(
        self,
        kind: str = "cumulative",
        *,
        ax: Axes | None = None,
        daily: float | None = None,
        **filters: Unpack[FilterOptions],
    ) -> Axes:
        """Draw a chart.

        Args:
            kind: The kind of chart; see `Charts`.
            ax: The Axes to draw into; by default those of a new figure.
            daily: Daily budget in US dollars, for `"cumulative"`; by default the ledger's, which applies to
                all real calls together.
            **filters: As in `Ledger.total`.

        Returns:
            The Axes; without calls, they show a hint.

        Raises:
            ConfigurationError: If the chart or a filter does not exist, a time is invalid, or the ledger
                cannot be read.
        """
        kind = FORMER.get(kind, kind)
        known(kind, KINDS, "chart")
        calls, simulated = self._calls.counting(filters)
        frame = counting(_rows(calls), simulated)
        if frame.empty and any(sums.calls for sums in calls.ledger.sums().values()):
            return canvas.blank(canvas.axes(ax), canvas.ELSEWHERE)
        frame.attrs[aggregates.FILTERS] = str(replace(calls.filters, since=None, until=None, simulated=None))
        options = _budget(calls, frame, daily) if kind == "cumulative" else {}
        return KINDS[kind](frame, ax, **options)

    @with_filters
    def cumulative(
        self, *, ax: Axes | None = None, daily: float | None = None, **filters: Unpack[FilterOptions]
    ) -> Axes:
        """Draw the cumulative cost, with the daily budget and a projection to the end of the month."""
        return self("cumulative", ax=ax, daily=daily, **filters)

    @with_filters
    def model(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw the cost per day, stacked by model."""
        return self("model", ax=ax, **filters)

    @with_filters
    def latency(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw the cost of calls against their duration."""
        return self("latency", ax=ax, **filters)

    @with_filters
    def tokens(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw the tokens per day: fresh and cached input, output, reasoning."""
        return self("tokens", ax=ax, **filters)

    @with_filters
    def hours(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw the cost by local hour and weekday."""
        return self("hours", ax=ax, **filters)

    @with_filters
    def most_expensive(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw the most expensive cells."""
        return self("most_expensive", ax=ax, **filters)

    dearest = most_expensive

    @with_filters
    def saved(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw the cost, and what replays saved."""
        return self("saved", ax=ax, **filters)

    @with_filters
    def first_token(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw the distribution of the time to the first text."""
        return self("first_token", ax=ax, **filters)

    @with_filters
    def duration(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw the distribution of durations."""
        return self("duration", ax=ax, **filters)

    @with_filters
    def errors(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw the failure rate, by class of error."""
        return self("errors", ax=ax, **filters)


def _rows(calls: Calls) -> pd.DataFrame:
    """Return the calls; if only times are filtered, reading all rows is faster for a long period."""
    chosen = calls.filters
    if replace(chosen, since=None, until=None) != ALL:
        return calls.exact
    frame = calls.ledger.exact
    if chosen.since is not None:
        frame = frame[frame["time"] >= pd.Timestamp(chosen.since, unit="us", tz="UTC")]
    if chosen.until is not None:
        frame = frame[frame["time"] < pd.Timestamp(chosen.until, unit="us", tz="UTC")]
    return frame


def _budget(calls: Calls, frame: pd.DataFrame, daily: float | None) -> dict[str, Any]:
    """Return the daily budget, which applies to all real calls together, and the start of the projection."""
    everything = not frame.empty and not frame.attrs[aggregates.FILTERS]
    if daily is None and everything and not frame["simulated"].any():
        daily = calls.ledger.budget().daily
    now, until = datetime.now(UTC), calls.filters.until
    if until is not None:
        now = min(now, datetime.fromtimestamp(until / 1e6, UTC))
    return {"daily": daily, "now": now.astimezone().replace(tzinfo=None)}
