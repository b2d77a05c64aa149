"""Charts of the ledger.

Each chart is a function of the calls that count and of the Axes to draw into, and returns the Axes.
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
"""Names that charts had before."""


class Charts:
    """Draw what calls cost, and how they went: `plot("model")` or `plot.model()`. Times are local.

    The kinds: `"cumulative"`: the sum over time, against the daily budget, and where the month will end
    at this pace; `"model"`: stacked by model, per day; `"latency"`: price against duration; `"tokens"`:
    per day, by kind; `"hours"`: hours of the week; `"most_expensive"`: the cells that cost most;
    `"saved"`: spent, and saved by replay; `"first_token"` and `"duration"`: how long calls took;
    `"errors"`: the share that failed, by error.

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
            kind: Which one; see `Charts`.
            ax: Where to draw; by default a new figure.
            daily: Budget of a day in US dollars, for `"cumulative"`; by default the ledger's own, which
                holds for all real calls together.
            **filters: As in `Ledger.total`.

        Returns:
            The Axes; with a hint on it if there are no calls.

        Raises:
            ConfigurationError: If there is no such chart or filter, the ledger cannot be read, or a time
                cannot.
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
        """Draw what calls had cost by then, with the daily budget and a projection to the month's end."""
        return self("cumulative", ax=ax, daily=daily, **filters)

    @with_filters
    def model(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw what the models cost per day, stacked."""
        return self("model", ax=ax, **filters)

    @with_filters
    def latency(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw what calls cost against how long they took."""
        return self("latency", ax=ax, **filters)

    @with_filters
    def tokens(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw the tokens that were used per day: fresh and cached input, output, reasoning."""
        return self("tokens", ax=ax, **filters)

    @with_filters
    def hours(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw at which local hours of which days money is spent."""
        return self("hours", ax=ax, **filters)

    @with_filters
    def most_expensive(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw the cells whose calls cost most."""
        return self("most_expensive", ax=ax, **filters)

    dearest = most_expensive

    @with_filters
    def saved(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw what was spent, and what replays saved."""
        return self("saved", ax=ax, **filters)

    @with_filters
    def first_token(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw how long calls waited for the first text."""
        return self("first_token", ax=ax, **filters)

    @with_filters
    def duration(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw how long calls took."""
        return self("duration", ax=ax, **filters)

    @with_filters
    def errors(self, *, ax: Axes | None = None, **filters: Unpack[FilterOptions]) -> Axes:
        """Draw which share of the calls failed, by the class of the error."""
        return self("errors", ax=ax, **filters)


def _rows(calls: Calls) -> pd.DataFrame:
    """Return the calls; where only times are chosen, all are read, which is faster for a long time."""
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
    """Return the daily budget, which covers all real calls together, and from when to project."""
    everything = not frame.empty and not frame.attrs[aggregates.FILTERS]
    if daily is None and everything and not frame["simulated"].any():
        daily = calls.ledger.budget().daily
    now, until = datetime.now(UTC), calls.filters.until
    if until is not None:
        now = min(now, datetime.fromtimestamp(until / 1e6, UTC))
    return {"daily": daily, "now": now.astimezone().replace(tzinfo=None)}
