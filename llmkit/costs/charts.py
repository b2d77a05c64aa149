"""Charts of the ledger; the only module that imports matplotlib."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.ticker import FuncFormatter

from llmkit.costs.frame import local_time, nanos, summarise
from llmkit.costs.totals import NANOS, dollars

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from matplotlib.axes import Axes
    from numpy import datetime64
    from numpy.typing import NDArray

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""

GREY = "#6E6E6E"
MODELS = len(COLORS) - 1
"""Models that get a colour of their own; the others share a grey."""

EMPTY = "No calls yet.\nMake one with %%llm, and it shows up here."


def cumulative(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what all calls so far had cost, over time.

    Args:
        frame: The calls that count.
        ax: Where to draw; by default a new figure.

    Returns:
        The Axes.
    """
    ax = _axes(ax)
    if frame.empty:
        return _hint(ax)
    ordered = frame.sort_values("time", kind="stable")
    known = bool(ordered["cost_usd"].notna().any())
    time = local_time(ordered["time"]).to_numpy()
    spent = nanos(ordered["cost_usd"]).cumsum().to_numpy() / NANOS
    ax.step(time, spent, where="post", color=COLORS[0], linewidth=2)
    ax.fill_between(time, spent, step="post", color=COLORS[0], alpha=0.12, linewidth=0)
    ax.plot(time[-1:], spent[-1:], "o", color=COLORS[0], markersize=5, clip_on=False)
    ax.annotate(
        dollars(float(spent[-1]) if known else math.nan),
        (time[-1], spent[-1]),
        xytext=(8, 0),
        textcoords="offset points",
        color=COLORS[0],
        va="center",
        fontweight="bold",
        annotation_clip=False,
    )
    _widen(ax, time, timedelta(minutes=30))
    return _dress(ax, frame, "Spent so far")


def by_model(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw what the models cost per day, stacked.

    Args:
        frame: The calls that count.
        ax: Where to draw; by default a new figure.

    Returns:
        The Axes.
    """
    ax = _axes(ax)
    if frame.empty:
        return _hint(ax)
    spent = summarise(frame, ["day", "model"])["cost_usd"].unstack("model").fillna(0.0)  # noqa: PD010 - no duplicates
    spent = spent.loc[:, spent.any()]
    spent = spent[spent.sum().sort_values(ascending=False, kind="stable").index]
    if spent.shape[1] > MODELS:
        rest = spent.iloc[:, MODELS:].sum(axis=1)
        spent = spent.iloc[:, :MODELS].assign(**{f"{spent.shape[1] - MODELS} others": rest})
    days = spent.index.to_numpy()
    floor = 0.0 * spent.sum(axis=1).to_numpy()
    for position, (model, costs) in enumerate(spent.items()):
        color = COLORS[position] if position < MODELS else GREY
        label = f"{model!s}  {dollars(float(costs.sum()))}"
        ax.bar(days, costs.to_numpy(), bottom=floor, width=0.8, color=color, label=label)
        floor = floor + costs.to_numpy()
    handles, labels = ax.get_legend_handles_labels()
    if handles:  # in the order of the stack, beside it, so that nothing is covered
        ax.legend(handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    _widen(ax, days, timedelta(days=3))
    return _dress(ax, frame, "Spent per day, by model")


KINDS: dict[str, Callable[[pd.DataFrame, Axes | None], Axes]] = {"cumulative": cumulative, "model": by_model}
"""The charts by name."""


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt  # registers the figure, so that a notebook shows it, once

    return plt.subplots(figsize=(8, 4), layout="constrained")[1]


def _hint(ax: Axes) -> Axes:
    ax.text(0.5, 0.5, EMPTY, transform=ax.transAxes, ha="center", va="center", color=GREY)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return ax


def _widen(ax: Axes, times: NDArray[datetime64], room: timedelta) -> None:
    """Show more than a single moment: matplotlib would stretch it over years."""
    first, last = times.astype("M8[us]")[[times.argmin(), times.argmax()]].tolist()
    if last - first < room:
        ax.set_xlim(first - room, last + room)


def _dress(ax: Axes, frame: pd.DataFrame, title: str) -> Axes:
    unpriced = int(summarise(frame, ["simulated"])["unpriced"].sum())
    simulated = bool(frame["simulated"].any())
    noun = "call" if len(frame) == 1 else "calls"
    notes = [f"{len(frame):,} simulated {noun}: not real money" if simulated else f"{len(frame):,} {noun}"]
    if unpriced:
        notes.append(f"{unpriced:,} without a known price, not shown")
    ax.set_title(title, loc="left", fontweight="bold", pad=22)
    ax.annotate(
        ", ".join(notes),
        (0, 1),
        xytext=(0, 7),
        xycoords="axes fraction",
        textcoords="offset points",
        color=GREY,
    )
    ax.yaxis.set_major_formatter(FuncFormatter(lambda usd, _: _tick(usd)))
    locator = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]  # matplotlib annotates little
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # the same
    ax.set_ylim(bottom=0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", alpha=0.25)
    ax.set_axisbelow(True)
    return ax


def _tick(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.6f}".rstrip("0").rstrip(".")
