"""Charts of tokens, times, errors, and of price against duration."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.ticker import MaxNLocator, PercentFormatter

from llmkit.core.money import NANO
from llmkit.costs.charts import aggregates, canvas, ticks
from llmkit.costs.charts.canvas import GREY, NAMED, PALETTE, many
from llmkit.costs.charts.spending import finish_bars, hidden, notes, stack
from llmkit.costs.frame.summary import integers
from llmkit.costs.sums import counted
from llmkit.records import FAILED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

DOTS = 5000
"""Maximum number of calls drawn as dots; more are drawn as a density."""

TOKENS = {
    "fresh input": "#0072B2",
    "cache read": "#56B4E9",
    "cache write": "#009E73",
    "output": "#E69F00",
    "reasoning": "#D55E00",
}
"""Kinds of tokens, each counted once, and their colours."""


def tokens(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the tokens per day, by kind; replayed calls use none."""
    ax = canvas.axes(ax)
    sent = _sent(frame)
    if sent.empty:
        return _nothing(ax, frame, "Tokens")
    bins = aggregates.binned(aggregates.wall_clock(sent))
    table = _kinds(sent).groupby(bins.starts).sum()
    table = table.loc[:, (table != 0).any()]
    colors = tuple(TOKENS[str(name)] for name in table)
    if table.empty:
        canvas.blank(ax, "No call has token counts.")
    else:
        stack(ax, table, bins, colors)
        named = [f"{name}  {canvas.brief(int(total))}" for name, total in table.sum().items()]
        finish_bars(ax, [*zip(named, colors, strict=True)], bins)
        ax.yaxis.set_major_formatter(lambda value, _: canvas.brief(round(value)))
    uncounted = int((sent["input_tokens"].isna() & sent["output_tokens"].isna()).sum())
    return canvas.dress(
        ax,
        f"Tokens per {bins.unit}, by kind",
        _notes(frame, (uncounted, "without token counts")),
    )


def _kinds(sent: pd.DataFrame) -> pd.DataFrame:
    """Return disjoint counts of tokens: the input and the output include their parts."""
    read, write, reasoning, asked, answered = (
        integers(sent[f"{name}_tokens"]).to_numpy()
        for name in ("cache_read", "cache_write", "reasoning", "input", "output")
    )
    # A provider may report parts that exceed the whole; the whole is what it bills.
    read = np.minimum(read, asked)
    write = np.minimum(write, asked - read)
    reasoning = np.minimum(reasoning, answered)
    counts = (asked - read - write, read, write, answered - reasoning, reasoning)
    return pd.DataFrame(dict(zip(TOKENS, counts, strict=True)))


def latency(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw cost against duration: dots by model, or a density if there are many calls."""
    ax = canvas.axes(ax)
    if frame.empty:
        return canvas.blank(ax, canvas.EMPTY)
    title = "Price and duration of calls"
    sent = _sent(frame)
    timed = (sent["duration_s"] > 0) & (sent["duration_s"] < math.inf)
    drawn = sent[(integers(sent["cost_nanos"]) > 0) & timed]
    free = int((sent["cost_nanos"] == 0).sum())
    others = len(sent) - len(drawn) - free
    aside = _notes(frame, (free, "that cost nothing"), (others, "without price or duration"))
    if drawn.empty:
        canvas.blank(ax, "No call has both a price and a duration.")
        return canvas.dress(ax, title, aside)
    x, y = drawn["duration_s"].to_numpy(dtype=float), drawn["cost_nanos"].to_numpy(dtype=float) / NANO
    _log_axes(ax, x, y)
    if len(drawn) > DOTS:
        aside.append("stronger colour: more calls")
        _density(ax, x, y)
    else:
        _dots(ax, drawn, x, y)
    ticks.seconds_axis(ax)
    ax.set_xlabel("duration", fontsize=canvas.size(ax))
    ticks.dollars_axis(ax.yaxis)
    return canvas.dress(ax, title, aside)


def _log_axes(ax: Axes, x: NDArray[Any], y: NDArray[Any]) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(*_around(x))
    ax.set_ylim(*_around(y))


def _around(values: NDArray[Any]) -> tuple[float, float]:
    """Return limits for a logarithmic axis: at least two decades, so that it has ticks."""
    low, high = math.log10(values.min()), math.log10(values.max())
    room = max(0.06 * (high - low), (2.1 - (high - low)) / 2)
    return 10 ** (low - room), 10 ** (high + room)


def _density(ax: Axes, x: NDArray[Any], y: NDArray[Any]) -> None:
    across = max(24, int(canvas.width(ax) / 4))
    edges = (np.geomspace(*ax.get_xlim(), across), np.geomspace(*ax.get_ylim(), across * 2 // 3))
    counts, *_ = np.histogram2d(np.log10(x), np.log10(y), bins=[np.log10(some) for some in edges])
    drawn = np.ma.masked_equal(counts.T, 0)
    ax.pcolormesh(*edges, drawn, norm=LogNorm(), cmap=canvas.heat(canvas.accent(ax)), linewidth=0)


def _dots(ax: Axes, drawn: pd.DataFrame, x: NDArray[Any], y: NDArray[Any]) -> None:
    models = aggregates.named(drawn["model"]).astype(object)
    # The most expensive first, as in the chart by model, so that a model has the same colour in both.
    ranked = drawn["cost_nanos"].groupby(models).sum().sort_values(ascending=False, kind="stable").index
    shown = len(ranked) if len(ranked) <= NAMED + 1 else NAMED
    rest = f"{len(ranked) - shown} {aggregates.REST}"
    groups = models.where(models.isin(ranked[:shown]), rest)
    dot = 40 if len(drawn) < 20 else 14
    alpha = 0.85 if len(drawn) < 100 else 0.5 if len(drawn) < 1000 else 0.3
    entries: list[tuple[str, str]] = []
    names = [*ranked[:shown], rest] if shown < len(ranked) else [*ranked]
    for name, color in zip(names, PALETTE, strict=False):
        chosen = (groups == name).to_numpy()
        ax.scatter(x[chosen], y[chosen], s=dot, color=color, alpha=alpha, linewidths=0, label=name)
        count = int(chosen.sum())
        entries.append((f"{name}  {f'{count:,}' if entries else many(count)}", color))
    canvas.key(ax, entries)


def first_token(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the distribution of the time to the first text, with median and 95th percentile."""
    return _distribution(frame, canvas.axes(ax), "first_token_s", "Time to the first text")


def duration(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the distribution of durations, with median and 95th percentile."""
    return _distribution(frame, canvas.axes(ax), "duration_s", "Duration of calls")


def _distribution(frame: pd.DataFrame, ax: Axes, column: str, title: str) -> Axes:
    sent = _sent(frame)
    if sent.empty:
        return _nothing(ax, frame, title)
    values = sent[column].to_numpy(dtype=float)
    values = values[(values > 0) & (values < math.inf)]
    aside = _notes(frame, (len(sent) - len(values), "without a measured time"))
    if not len(values):
        canvas.blank(ax, "No call has a measured time.")
        return canvas.dress(ax, title, aside)
    median, p95 = np.percentile(values, [50, 95])
    wide = values.max() / values.min() > 10
    if wide:
        ax.set_xscale("log")
    ax.hist(values, bins=_edges(values, wide).tolist(), color=canvas.accent(ax), alpha=0.8)
    ax.set_ylim(0, ax.get_ylim()[1] * 1.12)
    _mark(ax, [(float(median), "median"), (float(p95), "p95")])
    ticks.seconds_axis(ax)
    ax.yaxis.set_major_formatter(lambda value, _: canvas.brief(round(value)))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
    ax.set_ylabel("calls", fontsize=canvas.size(ax))
    canvas.lined(ax)
    return canvas.dress(ax, title, aside)


def _edges(values: NDArray[Any], wide: bool) -> NDArray[Any]:  # noqa: FBT001 - one of two shapes
    count = (
        int(np.clip(2 * len(values) ** (1 / 3), 8, 60)) // 2 * 2 + 1
    )  # odd: a value alone is in the middle
    low, high = float(values.min()), float(values.max())
    if wide:
        return np.geomspace(low, high, count + 1)
    room = 0.0 if high > low else 0.25 * low
    return np.linspace(low - room, high + room, count + 1)


def _mark(ax: Axes, marks: Sequence[tuple[float, str]]) -> None:
    """Draw a line at each value, with its name to the right, or to the left near the edge."""
    for place, (value, name) in enumerate(marks):
        ax.axvline(value, color=canvas.ink(ax), linewidth=1, linestyle=("-", "--")[place % 2])
        at = ax.transAxes.inverted().transform(ax.transData.transform((value, 0)))[0]
        right, below = at < 0.7, 3 + 1.3 * place * canvas.size(ax)
        canvas.words(
            ax, f"{name} {ticks.seconds(value)}", (value, 1.0), xycoords=("data", "axes fraction"),
            xytext=(4 if right else -4, -below), ha="left" if right else "right", va="top",
        )  # fmt: skip


def errors(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the failure rate per day, by class of error."""
    ax = canvas.axes(ax)
    sent = _sent(frame)
    if sent.empty:
        return _nothing(ax, frame, "Errors")
    bins = aggregates.binned(aggregates.wall_clock(sent))
    failed = sent["status"].isin(FAILED).to_numpy()
    names = aggregates.named(sent["error"][failed], "no class")
    counts = aggregates.stacked(bins.starts[failed], names, np.ones(int(failed.sum()), dtype="int64"))
    counts = aggregates.folded(counts, NAMED)
    calls = pd.Series(1, index=range(len(sent))).groupby(bins.starts).sum()
    colors = (*PALETTE[NAMED - 1 :: -1], GREY)  # red first
    stack(ax, counts.div(calls.loc[counts.index], axis=0), bins, colors)
    named = [f"{name}  {int(total):,}" for name, total in counts.sum().items()]
    if not failed.any():
        ax.set_ylim(0, 0.05)
        canvas.words(
            ax,
            "no errors",
            (0.5, 0.5),
            xycoords="axes fraction",
            xytext=(0, 0),
            ha="center",
            alpha=canvas.faint(ax),
        )
    finish_bars(ax, [*zip(named, colors, strict=False)], bins)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    calls_sent = counted(len(sent), int(sent["simulated"].sum()))
    overall = f"{many(int(failed.sum()), 'error')} in {calls_sent} ({100 * failed.mean():.2g} %)"
    which, _, replays = _notes(frame)
    title = f"Failure rate per {bins.unit}, by error"
    return canvas.dress(ax, title, [which, overall, replays])


def _sent(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the calls that went to a provider."""
    return frame[frame["status"] != "replayed"]


def _nothing(ax: Axes, frame: pd.DataFrame, title: str) -> Axes:
    if frame.empty:
        return canvas.blank(ax, canvas.EMPTY)
    canvas.blank(ax, "All calls were replayed.")
    return canvas.dress(ax, title, _notes(frame))


def _notes(frame: pd.DataFrame, *counts: tuple[int, str]) -> list[str]:
    """Return the filters, the number of calls, and how many are not drawn; without amounts of money."""
    which, count, _ = notes(frame)
    replayed = int((frame["status"] == "replayed").sum())
    lacking = canvas.left_out((replayed, "replayed"), *counts, hidden(frame))
    return [which, count.replace(": not real money", ""), lacking]
