"""Charts of the ledger.

Each chart is a function of the calls that count and of the Axes to draw into, and returns the Axes.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from llmkit.core.suggestions import known
from llmkit.costs.charts import aggregates, canvas, spending, usage
from llmkit.costs.frame.summary import spending as counting
from llmkit.costs.timestamps import moment

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from matplotlib.axes import Axes

    from llmkit.costs.ledger import Ledger

KINDS: dict[str, Callable[..., Axes]] = {
    "cumulative": spending.cumulative,
    "model": spending.by_model,
    "latency": usage.latency,
    "tokens": usage.tokens,
    "hours": spending.hours,
    "dearest": spending.dearest,
    "saved": spending.saved,
    "first_token": usage.first_token,
    "duration": usage.duration,
    "errors": usage.errors,
}
"""The charts by name; each takes a frame and an Axes."""


class Charts:
    """The charts of a ledger; see `Ledger.charts`.

    Every method takes what `Ledger.plot` takes, but for the kind:

    - `ax`: where to draw; by default a new figure.
    - `simulated`: as in `Ledger.total`.
    - `since`, `until`: only calls from this time on, and before that one.
    - `provider`, `model`, `notebook`, `status`, `tag`: only these calls, as in `Ledger.query`.

    Example:
        >>> from llmkit.costs.ledger import Ledger
        >>> Ledger(":memory:").charts  # doctest: +ELLIPSIS
        charts of the ledger: cumulative, model, latency, ...
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def __repr__(self) -> str:
        return f"charts of the ledger: {', '.join(KINDS)}"

    def draw(
        self,
        kind: str,
        *,
        ax: Axes | None = None,
        simulated: bool | None = None,
        since: date | str | None = None,
        until: date | str | None = None,
        daily: float | None = None,
        **filters: Any,
    ) -> Axes:
        """Draw a chart; see `Ledger.plot`."""
        known(kind, KINDS, "chart")
        filters = {name: value for name, value in filters.items() if value is not None}
        frame = self._calls(since, until, simulated, filters)
        if frame.empty and any(sums.calls for sums in self._ledger.sums().values()):
            return canvas.blank(canvas.axes(ax), canvas.ELSEWHERE)
        frame.attrs[aggregates.FILTERS] = "; ".join(
            f"{name} {value if isinstance(value, str) else ', '.join(value)}"
            for name, value in filters.items()
        )
        options = self._budget(frame, daily, until) if kind == "cumulative" else {}
        return KINDS[kind](frame, ax, **options)

    def _calls(
        self,
        since: date | str | None,
        until: date | str | None,
        simulated: bool | None,  # noqa: FBT001 - three-valued
        filters: dict[str, Any],
    ) -> pd.DataFrame:
        """Return the calls that count; a filter reads no others."""
        if filters:
            return counting(self._ledger.query(since=since, until=until, **filters), simulated)
        return counting(_between(self._ledger.df, moment(since), moment(until)), simulated)

    def _budget(self, frame: pd.DataFrame, daily: float | None, until: date | str | None) -> dict[str, Any]:
        """Return the daily budget, which holds for all real calls together, and from when to project."""
        everything = not frame.empty and not frame.attrs[aggregates.FILTERS]
        if daily is None and everything and not frame["simulated"].any():
            daily = self._ledger.budget().daily
        end = moment(until)
        now = datetime.now().astimezone()
        if end is not None:
            now = min(now, datetime.fromtimestamp(end / 1e6).astimezone())
        return {"daily": daily, "now": now.replace(tzinfo=None)}

    def cumulative(self, *, daily: float | None = None, **which: Any) -> Axes:
        """Draw what calls had cost by then, with the daily budget and a projection to the month's end."""
        return self.draw("cumulative", daily=daily, **which)

    def model(self, **which: Any) -> Axes:
        """Draw what the models cost per day, stacked."""
        return self.draw("model", **which)

    def latency(self, **which: Any) -> Axes:
        """Draw what calls cost against how long they took."""
        return self.draw("latency", **which)

    def tokens(self, **which: Any) -> Axes:
        """Draw the tokens that were used per day: fresh and cached input, output, reasoning."""
        return self.draw("tokens", **which)

    def hours(self, **which: Any) -> Axes:
        """Draw at which local hours of which days money is spent."""
        return self.draw("hours", **which)

    def dearest(self, **which: Any) -> Axes:
        """Draw the cells whose calls cost most."""
        return self.draw("dearest", **which)

    def saved(self, **which: Any) -> Axes:
        """Draw what was spent, and what replays saved."""
        return self.draw("saved", **which)

    def first_token(self, **which: Any) -> Axes:
        """Draw how long calls waited for the first text."""
        return self.draw("first_token", **which)

    def duration(self, **which: Any) -> Axes:
        """Draw how long calls took."""
        return self.draw("duration", **which)

    def errors(self, **which: Any) -> Axes:
        """Draw which share of the calls failed, by the class of the error."""
        return self.draw("errors", **which)


def _between(frame: pd.DataFrame, since: int | None, until: int | None) -> pd.DataFrame:
    if since is not None:
        frame = frame[frame["time"] >= pd.Timestamp(since, unit="us", tz="UTC")]
    if until is not None:
        frame = frame[frame["time"] < pd.Timestamp(until, unit="us", tz="UTC")]
    return frame
