"""The chart of a comparison: what each answer cost, against how long it took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.core.money import format_money
from llmkit.costs.charts import canvas, ticks

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

TITLE = "Price and duration of the answers"


def _real(simulated: int, answers: int) -> str:
    if 0 < simulated < answers:
        return f", {simulated} of them simulated: not real money"
    return ": not real money" if simulated else ""


def draw(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw a dot for each answer, the most expensive first in the legend."""
    ax = canvas.axes(ax)
    known = frame[frame["cost_usd"].notna() & frame["duration_s"].notna()]
    known = known.sort_values("cost_usd", ascending=False, kind="stable")
    simulated = int(frame["simulated"].sum())
    notes = [
        canvas.many(len(frame), "answer") + _real(simulated, len(frame)),
        canvas.left_out((len(frame) - len(known), "without a known price")),
    ]
    if known.empty:
        return canvas.dress(canvas.blank(ax, "No answer has a known price."), TITLE, notes)
    colors = [*canvas.PALETTE, *[canvas.GREY] * len(known)]
    ax.scatter(known["duration_s"], known["cost_usd"], s=60, c=colors[: len(known)], linewidths=0)
    ax.set_xlim(0, 1.08 * known["duration_s"].max() or 1)
    ax.set_ylim(0, 1.12 * known["cost_usd"].max() or 1)
    ticks.seconds_axis(ax)
    ax.set_xlabel("duration", fontsize=canvas.size(ax))
    ticks.dollars_axis(ax.yaxis)
    canvas.lined(ax)
    amounts = [f"{model}  {format_money(cost)}" for model, cost in known["cost_usd"].items()]
    canvas.key(ax, [*zip(amounts, colors, strict=False)])
    return canvas.dress(ax, TITLE, notes)
