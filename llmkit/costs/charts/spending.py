"""Charts of money: over time, by model, by hour, by cell, and what replays saved."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from matplotlib.dates import date2num
from matplotlib.patches import Rectangle

from llmkit.core.money import NANO, format_money, format_nanos
from llmkit.costs.charts import aggregates, canvas, ticks
from llmkit.costs.charts.aggregates import DAY, LENGTHS, Bins
from llmkit.costs.charts.canvas import COLORS, NAMED, PALETTE, many
from llmkit.costs.frame.summary import LEFT_OUT, integers
from llmkit.costs.price_rules import estimated, unpriced
from llmkit.costs.sums import counted, guessed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from numpy.typing import NDArray

POINTS = 2000  # of a line; no screen shows more
CELLS = 10
NIGHT = datetime.min.time()
UNPRICED = "No call has a known price."


def by_model(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the cost per day, stacked by model; the cheapest models share the grey."""
    ax = canvas.axes(ax)
    if frame.empty:
        return canvas.blank(ax, canvas.EMPTY)
    bins = aggregates.binned(aggregates.wall_clock(frame))
    costs = np.asarray(integers(frame["cost_nanos"]), dtype="int64")
    table = aggregates.folded(aggregates.stacked(bins.starts, aggregates.named(frame["model"]), costs), NAMED)
    sums = {str(name): int(total) for name, total in table.sum().items()}
    found, whole = "", sum(sums.values())
    if whole > 0:
        # The sum of the others may be the largest, but it is not a model.
        top = max((name for name in sums if not name.endswith(aggregates.REST)), key=sums.__getitem__)
        rest = f"took {canvas.share(sums[top], whole)} of {format_nanos(whole)}"
        found = canvas.finding(ax, top, rest)
    return money_bars(ax, frame, table, bins, f"Spent per {bins.unit}, by model", found=found)


def saved(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the cost per day, and on top of it what replays saved."""
    ax = canvas.axes(ax)
    if frame.empty:
        return canvas.blank(ax, canvas.EMPTY)
    bins = aggregates.binned(aggregates.wall_clock(frame))
    amounts = {"spent": integers(frame["cost_nanos"]), "saved by replay": integers(frame["saved_nanos"])}
    sums = pd.DataFrame({name: column.to_numpy() for name, column in amounts.items()})
    table = sums.groupby(bins.starts).sum()
    colors = {"spent": COLORS[0], "saved by replay": COLORS[2]}
    title, (spent, less) = f"Spent, and saved by replay, per {bins.unit}", map(int, table.sum())
    found = ""
    if less > 0 and spent >= 0:
        whole = format_nanos(spent + less)
        found = f"Replay saved {canvas.share(less, spent + less)} of {whole}"
    table = table.loc[:, (table != 0).any()]
    shown = tuple(colors[str(name)] for name in table)
    return money_bars(ax, frame, table, bins, title, colors=shown, found=found)


def money_bars(
    ax: Axes,
    frame: pd.DataFrame,
    table: pd.DataFrame,
    bins: Bins,
    title: str,
    *,
    colors: tuple[str, ...] = PALETTE,
    found: str = "",
) -> Axes:
    """Draw nano-dollars per period and name as stacked bars, with the sum of each name in the legend.

    The title is the finding, if there is one; `title` is then written below it.
    """
    if table.to_numpy().any():
        stack(ax, table / NANO, bins, colors)
        named = [f"{name}  {format_nanos(int(total))}" for name, total in table.sum().items()]
        finish_bars(ax, [*zip(named, colors, strict=False)], bins)
        ticks.dollars_axis(ax.yaxis)
    else:
        canvas.blank(ax, "Nothing was spent." if known(frame) else UNPRICED)
    return canvas.dress(ax, found or title, [title if found else "", *notes(frame)])


def stack(ax: Axes, table: pd.DataFrame, bins: Bins, colors: tuple[str, ...]) -> None:
    """Draw a table as stacked bars, one per period; zeros are skipped."""
    starts = table.index.to_numpy().astype("M8[us]")
    lengths = _lengths(starts, bins.unit)
    gap = (
        0.1 if (bins.last - bins.first) / LENGTHS[bins.unit] <= 45 else 0.0
    )  # a gap below one pixel is not drawn
    floor = np.zeros(len(table))
    for (name, column), color in zip(table.items(), colors, strict=False):
        heights = column.to_numpy(dtype=float)
        there = heights != 0
        left = date2num(starts[there]) + gap * lengths[there]  # type: ignore[no-untyped-call]  # as matplotlib is
        ax.bar(
            left,
            heights[there],
            (1 - 2 * gap) * lengths[there],
            floor[there],
            align="edge",
            color=color,
            label=str(name),
        )
        floor = floor + heights


def finish_bars(ax: Axes, entries: list[tuple[str, str]], bins: Bins) -> None:
    """Set up the axes of stacked bars, and a legend in the order of the stack."""
    least = 8 * LENGTHS[bins.unit] - (bins.last - bins.first)
    room = max(least / 2, timedelta(0))  # a single bar does not fill the width
    canvas.time_axis(ax, bins.first - room, bins.last + room)
    low, top = ax.get_ylim()
    ax.set_ylim(min(low, 0), top)
    canvas.lined(ax)
    canvas.key(ax, entries[::-1], float(ax.get_xlim()[1]))


def _lengths(starts: NDArray[np.datetime64], unit: str) -> NDArray[np.float64]:
    if unit == "month":
        months = starts.astype("M8[M]")
        return np.asarray(
            (months + np.timedelta64(1, "M")).astype("M8[D]") - months.astype("M8[D]"), dtype=float
        )
    return np.full(len(starts), LENGTHS[unit] / DAY)


def hours(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the cost by local hour: by day for up to a week, otherwise by weekday."""
    ax = canvas.axes(ax)
    if frame.empty:
        return canvas.blank(ax, canvas.EMPTY)
    local = aggregates.wall_clock(frame)
    hour = (local.astype("M8[h]").astype("int64") % 24).astype("int64")
    day = local.astype("M8[D]").astype("int64")
    row, labels = _rows(day)
    sums = np.zeros((len(labels), 24), dtype="int64")
    np.add.at(sums, (row, hour), integers(frame["cost_nanos"]).to_numpy())
    calls = np.zeros(sums.shape, dtype=bool)
    calls[row, hour] = True
    mesh = ax.pcolormesh(
        np.arange(25), np.arange(len(labels) + 1), np.ma.masked_array(sums / NANO, ~calls),
        cmap=canvas.heat(canvas.accent(ax), (canvas.ink(ax), 0.07)), vmin=0,
        vmax=max(sums.max() / NANO, 1e-9),
        antialiased=False,  # otherwise translucent neighbours would share a darker line
    )  # fmt: skip
    ax.set_ylim(max(len(labels), 3), 0)  # a single day does not fill the height
    ax.spines["bottom"].set_position(("data", len(labels)))
    step = 3 if canvas.width(ax) >= canvas.SMALL * 72 else 6
    ax.set_xticks(range(0, 25, step), [f"{tick:02}" for tick in range(0, 25, step)])
    ax.set_yticks(np.arange(len(labels)) + 0.5, labels)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    title = what = "Spent by hour of the day, local time"
    if known(frame) and sums.any():
        at, clock = np.unravel_index(int(sums.argmax()), sums.shape)
        most = int(sums.max())
        when = f"{labels[int(at)]}, {clock:02}\N{EN DASH}{int(clock) + 1:02} h"
        title = f"Most was spent {when}: {format_nanos(most)}"
        canvas.key(ax, [_step(mesh, most, part) for part in (1.0, 0.5, 0.0)], 24.0)
        ax.add_patch(Rectangle((int(clock), int(at)), 1, 1, fill=False, edgecolor=canvas.ink(ax), zorder=3))
    return canvas.dress(ax, title, [what if what != title else "", *notes(frame)])


def _step(mesh: QuadMesh, most: int, part: float) -> tuple[str, str]:
    """Return an amount on the heatmap's scale, and its colour."""
    return format_nanos(round(most * part)) if part else "$0", to_hex(mesh.get_cmap()(part), keep_alpha=True)


WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _rows(day: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[str]]:
    first, last = int(day.min()), int(day.max())
    if last - first >= 7:
        return (day + 3) % 7, list(WEEKDAYS)  # 1970 began on a Thursday
    days = [np.datetime64(number, "D").item() for number in range(first, last + 1)]
    return day - first, [f"{WEEKDAYS[day.weekday()]} {day.day}" for day in days]


def most_expensive(frame: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Draw the most expensive cells, as `notebook [execution count]`."""
    ax = canvas.axes(ax)
    if frame.empty:
        return canvas.blank(ax, canvas.EMPTY)
    cells = _cells(frame)
    height = ax.get_window_extent().height * 72 / canvas.dpi(ax)
    top = cells.head(max(3, min(CELLS, int(height / (1.7 * canvas.size(ax))))))
    top = top[top["nanos"] > 0]
    if top.empty:
        canvas.blank(ax, "No call has a known price above $0.")
        return canvas.dress(ax, "Most expensive cells", notes(frame))
    ax.barh(range(len(top)), top["nanos"] / NANO, height=0.7, color=canvas.accent(ax))
    taken = _name_bars(ax, top["label"])
    ax.set_ylim(max(len(top), 3) - 0.5, -0.5)
    ax.set_xlim(0, top["nanos"].max() / NANO)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    canvas.make_room(ax, _write_amounts(ax, top) / canvas.beside(ax, taken))
    others = cells.iloc[len(top) :]
    rest = format_nanos(int(others["nanos"].sum()))
    aside = f"{many(len(others), 'other')}: {rest}" if len(others) else ""
    whole = int(cells["nanos"].sum())
    rest = f"took {canvas.share(top['nanos'].iloc[0], whole)} of {format_nanos(whole)}"
    title = canvas.finding(ax, _short(str(top["label"].iloc[0])), rest, taken)
    return canvas.dress(ax, title, ["Most expensive cells", *notes(frame), aside], taken)


def _name_bars(ax: Axes, labels: pd.Series[str]) -> float:
    """Write the cells beside their bars; return the width that this takes, in points."""
    small = canvas.width(ax) < canvas.SMALL * 72
    named = [canvas.shorten(_short(name) if small else name, 18 if small else 30) for name in labels]
    ax.set_yticks(range(len(named)), named)
    ax.tick_params(axis="y", length=0)
    for label in ax.get_yticklabels():
        label.set_parse_math(False)
    if canvas.ink(ax) == canvas.INK:  # there are no labels on the other axis: see `canvas.INK`
        ax.get_yticklabels()[0].set_color(canvas.INK)
    return max(canvas.length(name, canvas.size(ax, 0.9)) for name in named)


def _write_amounts(ax: Axes, top: pd.DataFrame) -> float:
    """Write costs and calls behind the bars; return the width of the longest text, in points."""
    texts = [
        f"{format_nanos(int(amount))} \N{MIDDLE DOT} {many(int(calls))}"
        for amount, calls in zip(top["nanos"], top["calls"], strict=True)
    ]
    for place, (amount, text) in enumerate(zip(top["nanos"], texts, strict=True)):
        canvas.words(ax, text, (amount / NANO, place), xytext=(4, 0), va="center")
    return max(canvas.length(text, canvas.size(ax)) for text in texts) + 6


def _cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Return sums by cell, identified by its identifier or, without one, by its number."""
    data = pd.DataFrame(
        {
            "notebook": aggregates.named(frame["notebook"], "").array,
            "cell": aggregates.named(frame["cell_id"], "").array,
            "count": frame["execution_count"].fillna(-1).to_numpy(dtype="int64"),
            "nanos": integers(frame["cost_nanos"]).to_numpy(),
            "calls": 1,
        }
    )
    data["number"] = np.where(data["cell"] == "", data["count"], -1)
    groups = data.groupby(["notebook", "cell", "number"], observed=True, sort=True)
    cells = groups.agg(nanos=("nanos", "sum"), calls=("calls", "sum"), count=("count", "last")).reset_index()
    cells["label"] = [
        _label(str(notebook), int(count))
        for notebook, count in zip(cells["notebook"], cells["count"], strict=True)
    ]
    return cells.sort_values("nanos", ascending=False, kind="stable")


def _label(notebook: str, count: int) -> str:
    number = f"  [{count}]" if count >= 0 else ""
    return f"{notebook}{number}" if notebook else f"outside a notebook{number}"


def _short(label: str) -> str:
    return label.replace(".ipynb  ", "  ").removesuffix(".ipynb")


def known(frame: pd.DataFrame) -> bool:
    """Return whether any price is known."""
    return bool(frame["cost_nanos"].notna().any())


def notes(frame: pd.DataFrame) -> list[str]:
    """Return the filters, the number of calls and whether they are simulated, and the unknown prices."""
    simulated = int(frame["simulated"].sum())
    count = counted(len(frame), simulated) + guessed(int(estimated(frame).sum()), len(frame))
    return [
        str(frame.attrs.get(aggregates.FILTERS, "")),
        f"{count}: not real money" if simulated else count,
        canvas.left_out((int(unpriced(frame).sum()), "without a known price"), hidden(frame)),
    ]


def hidden(frame: pd.DataFrame) -> tuple[int, str]:
    """Return the number of excluded simulated calls, for `canvas.left_out`."""
    return int(frame.attrs.get(LEFT_OUT, 0)), "simulated"


def cumulative(
    frame: pd.DataFrame, ax: Axes | None = None, *, daily: float | None = None, now: datetime | None = None
) -> Axes:
    """Draw the cumulative cost, and the cumulative daily budget.

    From the second day on, a dashed line projects this month's mean to its end.
    """
    ax = canvas.axes(ax)
    if frame.empty:
        return canvas.blank(ax, canvas.EMPTY)
    if not known(frame):
        return canvas.dress(canvas.blank(ax, UNPRICED), "Spent so far", notes(frame))
    times, sums = _line(frame)
    first, last = times[0].item(), times[-1].item()
    plan = _projection(times, sums, now or datetime.now())  # noqa: DTZ005 - the clock on the wall
    spent, color = int(sums[-1]), canvas.accent(ax)
    if plan:
        times, sums = np.append(times, np.datetime64(plan[0][0])), np.append(sums, spent)
    ax.step(times, sums / NANO, where="post", color=color, linewidth=1.8, label="spent")
    ax.fill_between(times, sums / NANO, step="post", color=color, alpha=0.12, linewidth=0)
    room = max(timedelta(minutes=30) - (last - first), timedelta(0))
    end = plan[1][0] if plan else last + room
    begin = datetime.combine(first, NIGHT) if end - first > 2 * DAY else first - room
    canvas.time_axis(ax, begin, end)
    labels: list[tuple[float, float, str]] = []
    top = spent / NANO
    if plan:  # what was spent is in the title; beside the dot it would cover the projection
        ax.plot(*zip(*plan, strict=True), "--", color=color, linewidth=1.4, label="projection")
        top = plan[1][1]
        when = plan[1][0] - DAY
        text = f"projection for\n{when.day} {when:%b}: {format_money(top)}"
        labels.append((date2num(plan[1][0]), top, text))  # type: ignore[no-untyped-call]  # as matplotlib is
    else:
        labels.append((date2num(times[-1]), top, format_nanos(spent)))  # type: ignore[no-untyped-call]  # the same
    off = _budget(ax, daily, (first, end), top, labels)
    low, high = min(0.0, float(sums.min()) / NANO), ax.get_ylim()[1]
    ax.set_ylim(1.1 * low, 1.1 * high if high > 0 else 1)  # room for a label above the highest end
    ax.plot(times[-1:], sums[-1:] / NANO, "o", color=color, markersize=4.5, clip_on=False)
    canvas.end_labels(ax, labels)
    canvas.lined(ax)
    ticks.dollars_axis(ax.yaxis)
    return canvas.dress(ax, f"Spent so far: {format_nanos(spent)}", [*notes(frame), off])


def _line(frame: pd.DataFrame) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the running sum in nano-dollars, thinned out to the last call of each short interval."""
    order = np.argsort(frame["time"].dt.tz_localize(None).to_numpy(), kind="stable")
    # The hour that repeats when summer time ends must not draw the line backwards.
    times = np.maximum.accumulate(aggregates.wall_clock(frame)[order])
    sums = integers(frame["cost_nanos"]).to_numpy()[order].cumsum()
    if len(times) > POINTS:
        edges = np.linspace(int(times[0].astype("int64")), int(times[-1].astype("int64")), POINTS).astype(
            "int64"
        )
        chosen = np.unique(np.searchsorted(times.astype("int64"), edges, side="right") - 1)
        chosen[-1] = len(times) - 1
        times, sums = times[chosen], sums[chosen]
    return times, sums


def _projection(
    times: NDArray[Any], sums: NDArray[Any], now: datetime
) -> list[tuple[datetime, float]] | None:
    """Project this month's pace from now to its end; `None` before its second day of calls."""
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (month + 32 * DAY).replace(day=1)
    before = int(np.searchsorted(times, np.datetime64(month)))
    if before == len(times) or times[-1] > np.datetime64(now):
        return None
    begun = datetime.combine(times[before].item(), NIGHT)
    if begun.date() == times[-1].item().date():
        return None
    spent = int(sums[-1]) - (int(sums[before - 1]) if before else 0)
    rest = spent * ((end - now) / (now - begun))
    return [(now, int(sums[-1]) / NANO), (end, (int(sums[-1]) + rest) / NANO)] if spent else None


def _budget(
    ax: Axes,
    daily: float | None,
    span: tuple[datetime, datetime],
    top: float,
    labels: list[tuple[float, float, str]],
) -> str:
    """Draw the cumulative budget; return a note instead if it is far above the spending."""
    if daily is None:
        return ""
    name = f"budget {format_money(daily)} a day"
    first = datetime.combine(span[0], NIGHT)
    days = max(1, -((first - span[1]) // DAY))
    if daily * days > 4 * top:
        return f"the {name} is far above"
    midnights = [first + number * DAY for number in range(days)]
    allowed = [daily * (number + 1) for number in range(days)]
    ax.step(
        date2num([*midnights, span[1]]),  # type: ignore[no-untyped-call]  # the same
        [*allowed, allowed[-1]], where="post", color=canvas.ink(ax), alpha=0.6,
        linewidth=1, label="budget",
    )  # fmt: skip
    labels.append((float(date2num(span[1])), allowed[-1], name))  # type: ignore[no-untyped-call]  # the same
    return ""
