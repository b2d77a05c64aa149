"""The dashboard's words, ticks and colours: a `Board` as what a browser or a picture draws. No I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from llmkit.core.money import NANO, format_exact, format_money, format_nanos, format_ticks
from llmkit.costs.charts.canvas import COLORS, GREY, NAMED, brief, many
from llmkit.costs.charts.ticks import seconds
from llmkit.costs.frame.summary import TAG
from llmkit.costs.price_rules import may_cost
from llmkit.notebook.dashboard.aggregate import MEDIANS, OTHERS, SUMS, Board

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    import pandas as pd

    from llmkit.costs.budgets.budget import Budget

NAMES = {
    "cost": "Cost",
    "calls": "Calls",
    "tokens": "Tokens",
    "errors": "Errors",
    "saved": "Saved by replay",
    "duration": "Median duration",
    "first token": "Median time to first token",
}
"""What measures are called."""

EMPTY = "No calls yet. Make one with %%llm, and it appears here."
ELSEWHERE = "No calls match. There are {others} outside this period or these filters."
MOST_GROUPS = 50
"""Most groups that the table lists."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(slots=True)
class Palette:
    """Colours of groups: one keeps its own while others come and go.

    Example:
        >>> palette = Palette()
        >>> before = palette.take(["a", "b"])
        >>> palette.take(["b", "c", "a"])["b"] == before["b"]
        True
    """

    kept: dict[str, str] = field(default_factory=dict)

    def take(self, keys: Sequence[str]) -> dict[str, str]:
        """Return a colour for each of these keys."""
        self.kept = {key: color for key, color in self.kept.items() if key in keys}
        free = [color for color in COLORS if color not in self.kept.values()]
        for key in keys:
            if key == OTHERS:
                self.kept[key] = GREY
            elif key not in self.kept:
                self.kept[key] = free.pop(0) if free else GREY
        return dict(self.kept)


def message(board: Board, palette: Palette, budget: Budget | None, today: pd.Series[Any]) -> dict[str, Any]:
    """Return all that a browser draws, ready to be sent: texts, and numbers for lengths alone.

    Example:
        >>> from datetime import UTC, datetime
        >>> from llmkit.costs.ledger import Ledger
        >>> from llmkit.notebook.dashboard.aggregate import DashboardSettings
        >>> board = Board(Ledger(":memory:").exact, DashboardSettings(), datetime.now(UTC))
        >>> message(board, Palette(), None, board.total)["hint"]
        'No calls yet. Make one with %%llm, and it appears here.'
    """
    colors = palette.take(board.series)
    return {
        "title": title(board),
        "notes": notes(board),
        "figures": figures(board, budget, today),
        "hint": hint(board),
        "chart": chart(board, colors),
        "table": table(board, colors),
    }


def title(board: Board) -> str:
    """Return what the chart shows, e.g. `"Cost by model, per day"`."""
    settings = board.settings
    unit = (
        "" if board.bins is None or (settings.metric in MEDIANS and not settings.timed) else board.bins.unit
    )
    if settings.timed:
        return f"{NAMES[settings.metric]} per {unit or settings.by}"
    by = f"{NAMES[settings.metric]} by {settings.by.removeprefix(TAG)}"
    return f"{by}, per {unit}" if unit else by


def hint(board: Board) -> str:
    """Return why there is nothing to see; empty if there is something."""
    if len(board.at):
        return ""
    return ELSEWHERE.format(others=many(board.everything, "call")) if board.everything else EMPTY


def notes(board: Board) -> str:
    """Return what to know about the sums: that they are not real money, and what is not in them."""
    unknown, guessed = int(board.total["unpriced"]), int(board.total["estimated"])
    verb = "is" if unknown == 1 else "are"
    said = [
        "Simulated calls: not real money" if board.simulated else "",
        f"{many(unknown)} without a known price {verb} not included in the sums" if unknown else "",
        f"{many(guessed)} with an estimated price" if guessed else "",
        f"{many(board.left_out, 'simulated call')} left out" if board.left_out else "",
    ]
    return ". ".join(filter(None, said))


def figures(board: Board, budget: Budget | None, today: pd.Series[Any]) -> list[dict[str, str]]:
    """Return the key figures: of the selected calls, then of today."""
    total = board.total
    calls, errors = int(total["calls"]), int(total["errors"])
    shown = [
        _figure("Spent, simulated" if board.simulated else "Spent", money(total), exact=exact(total)),
        _figure("Calls", f"{calls:,}"),
        _figure("Errors", f"{errors:,}", f"{errors / calls:.1%}" if errors else ""),
        _figure("Without a price", f"{int(total['unpriced']):,}"),
        _figure("Saved by replay", format_nanos(int(total["saved_nanos"]))),
        *_token_figures(total),
        _figure("Today", money(today), exact=exact(today)),
    ]
    if budget is not None and budget.daily is not None and not board.simulated:
        left = format_money(budget.left)
        shown.append(_figure("Left of today's budget", left, f"of {format_money(budget.daily)}"))
    return shown


def _token_figures(total: pd.Series[Any]) -> list[dict[str, str]]:
    known = total["counted"] or not total["calls"]
    named = {"Tokens in": "input_tokens", "Tokens out": "output_tokens"}
    return [_figure(label, brief(int(total[name])) if known else NOTHING) for label, name in named.items()]


def _figure(label: str, text: str, note: str = "", exact: str = "") -> dict[str, str]:
    return {"label": label, "text": text, "note": note, "exact": exact}


def money(sums: pd.Series[Any]) -> str:
    """Return what calls cost; `$?` if no price is known."""
    return format_nanos(int(sums["nanos"]) if exact(sums) else None, about=bool(sums["estimated"]))


def exact(sums: pd.Series[Any]) -> str:
    """Return what calls cost, to the last known digit."""
    return "" if sums["unpriced"] and not sums["priced"] else format_exact(int(sums["nanos"]))


def chart(board: Board, colors: dict[str, str]) -> dict[str, Any]:
    """Return what is drawn: bars over time, or for medians one bar per group."""
    if board.bins is None:
        return {"kind": "none"}
    if board.settings.metric in MEDIANS and not board.settings.timed:
        return _group_bars(board, colors)
    return _time_bars(board, board.bins.unit, colors)


def _time_bars(board: Board, unit: str, colors: dict[str, str]) -> dict[str, Any]:
    metric = board.settings.metric
    starts, values = board.bars
    places = _places(starts, unit)
    top = float(np.nan_to_num(values.astype(float).clip(min=0)).sum(axis=1).max(initial=0.0))
    ticks = nice(top, whole=metric in {"calls", "tokens", "errors"}, scale=NANO if _is_money(metric) else 1.0)
    return {
        "kind": "time",
        "slots": int(places[-1]) + 1,
        "top": ticks[-1] or 1.0,
        "grid": [
            {"value": tick, "label": label}
            for tick, label in zip(ticks, _tick_labels(metric, ticks), strict=True)
        ],
        "ticks": time_ticks(starts, places, unit),
        "periods": [
            {"key": str(start), "at": int(place), "label": period(start, unit)}
            for start, place in zip(starts, places, strict=True)
        ],
        "series": _series(board, values, colors),
    }


def _series(board: Board, values: Any, colors: dict[str, str]) -> list[dict[str, Any]]:
    metric, calls = board.settings.metric, board.bar_calls
    names = dict(zip(board.keys, board.labels, strict=True)) | {OTHERS: _others(board)}
    return [
        {
            "key": key,
            "label": names.get(key, NAMES[metric]),
            "color": colors[key],
            "marks": _marks(metric, values[:, column], calls[:, column]),
        }
        for column, key in enumerate(board.series)
    ]


def _marks(metric: str, values: Any, calls: Any) -> list[list[Any]]:
    """Return a series' bars: the period, the height, and what to say; those of height 0 are left out."""
    write = writer(metric)
    return [
        [period, float(value), f"{write(value)} · {many(int(count))}"]
        for period, (value, count) in enumerate(zip(values.tolist(), calls.tolist(), strict=True))
        if value > 0  # not of NaN: an unknown median
    ]


def _group_bars(board: Board, colors: dict[str, str]) -> dict[str, Any]:
    metric = board.settings.metric
    shown = board.groups[MEDIANS[metric]].head(12)
    top = float(shown.max()) if shown.notna().any() else 0.0
    ticks = nice(top)
    return {
        "kind": "groups",
        "top": ticks[-1] or 1.0,
        "grid": [{"value": tick, "label": seconds(tick) if tick else "0"} for tick in ticks],
        "bars": [
            {
                "key": board.keys[place],
                "label": board.labels[place],
                "color": colors.get(board.keys[place], GREY),
                "value": float(value),
                "text": seconds(value),
                "say": f"{seconds(value)} · {many(int(board.groups['calls'].iloc[place]))}",
            }
            for place, value in enumerate(shown)
            if not math.isnan(value)
        ],
    }


def table(board: Board, colors: dict[str, str]) -> dict[str, Any]:
    """Return the groups as a table: those that are largest, or latest, and the sum of all."""
    count = len(board.keys)
    places = list(range(count)[::-1] if board.settings.timed else range(count))[:MOST_GROUPS]
    unit = board.settings.by if board.settings.timed else ""
    longest = _lengths(board)
    rows = [
        {
            "key": board.keys[place],
            "label": period(np.datetime64(board.keys[place], "us"), unit) if unit else board.labels[place],
            "color": "" if unit else colors.get(board.keys[place], colors.get(OTHERS, GREY)),
            "share": longest[place],
            "cells": cells(board.groups.iloc[place]),
        }
        for place in places
    ]
    left = count - len(places)
    return {
        "head": [board.settings.by.removeprefix(TAG), *COLUMNS],
        "rows": rows,
        "more": f"{many(left, 'more group')}" if left else "",
        "total": cells(board.total),
    }


COLUMNS = (
    "Cost", "Calls", "Without price", "Errors", "Tokens in", "Tokens out", "Saved", "Duration", "First token"
)  # fmt: skip
"""Columns of the table, after the group; times are medians."""

NOTHING = "\N{EN DASH}"
"""Shown for missing and unknown values."""


def cells(sums: pd.Series[Any]) -> list[str]:
    """Return a row of the table; an unknown value is a dash."""
    known = bool(sums["counted"])
    return [
        money(sums),
        f"{int(sums['calls']):,}",
        f"{int(sums['unpriced']):,}",
        f"{int(sums['errors']):,}",
        f"{int(sums['input_tokens']):,}" if known else NOTHING,
        f"{int(sums['output_tokens']):,}" if known else NOTHING,
        format_nanos(int(sums["saved_nanos"])),
        NOTHING if math.isnan(sums["duration_s"]) else seconds(sums["duration_s"]),
        NOTHING if math.isnan(sums["first_token_s"]) else seconds(sums["first_token_s"]),
    ]


def _lengths(board: Board) -> list[float]:
    metric = board.settings.metric
    column = board.groups[SUMS.get(metric) or MEDIANS[metric]].astype(float).fillna(0.0)
    top = float(column.max()) if len(column) else 0.0
    return [round(float(value) / top, 4) if top > 0 else 0.0 for value in column]


def listing(rows: pd.DataFrame, count: int, here: Mapping[str, int]) -> dict[str, Any]:
    """Return calls as rows of text."""
    from llmkit.costs.frame.summary import local_time

    local = local_time(rows["time"]).dt.strftime("%Y-%m-%d %H:%M:%S").tolist() if len(rows) else []
    return {
        "head": ["Time", "Model", "Tokens in", "Tokens out", "Cost", "Status", "Duration", "Cell"],
        "rows": [_call(row, time, here) for row, time in zip(rows.to_dict("records"), local, strict=True)],
        "count": many(count),
        "more": f"{count - len(rows):,} more are not listed; an export includes them."
        if count > len(rows)
        else "",
    }


def _call(row: dict[Any, Any], time: str, here: Mapping[str, int]) -> dict[str, Any]:
    known = {name: _known(value) for name, value in row.items()}
    number, cell, duration = known["execution_count"], known["cell_id"] or "", known["duration_s"]
    place = "" if number is None else f"In [{number}]"
    return {
        "cells": [
            time,
            f"{row['provider']}:{row['model']}",
            *(NOTHING if known[name] is None else f"{known[name]:,}" for name in _TOKENS),
            _paid(known),
            ": ".join(map(str, filter(None, [known["status"], known["error"]]))),
            NOTHING if duration is None else seconds(duration),
        ],
        "place": " ".join(filter(None, [known["notebook"], place])),
        "prompt": here.get(cell, number),
        "cell": cell,
        "here": cell in here,
    }


_TOKENS = ("input_tokens", "output_tokens")


def _paid(known: dict[Any, Any]) -> str:
    if (cost := known["cost_nanos"]) is not None:
        saved = known["saved_nanos"]
        return format_nanos(cost) + (f", saved {format_nanos(saved)}" if saved else "")
    return "$?" if may_cost(known["status"], *(known[name] for name in _TOKENS)) else NOTHING


def _known(value: Any) -> Any:
    """Return a value; `None` for all the ways in which pandas says that there is none."""
    return None if value is None or value != value or repr(value) == "<NA>" else value  # noqa: PLR0124 - NaN is not itself


def writer(metric: str) -> Callable[[Any], str]:
    """Return how a measure's values are written."""
    if _is_money(metric):
        return lambda value: format_nanos(int(value))
    if metric in MEDIANS:
        return lambda value: seconds(float(value))
    return lambda value: f"{int(value):,}"


def _is_money(metric: str) -> bool:
    return metric in {"cost", "saved"}


def _others(board: Board) -> str:
    return f"{len(board.keys) - NAMED} others"


def _tick_labels(metric: str, ticks: Sequence[float]) -> list[str]:
    if metric in MEDIANS:
        return [seconds(tick) if tick else "0" for tick in ticks]
    if _is_money(metric):
        return format_ticks([tick / NANO for tick in ticks])
    return [brief(int(tick)) for tick in ticks]


_STEPS_OF_TEN = (1, 2, 2.5, 3, 4, 5, 10)


def nice(top: float, *, whole: bool = False, scale: float = 1.0, about: int = 4) -> list[float]:
    """Return round values from 0 up to one that is not below `top`.

    Example:
        >>> nice(7.3)
        [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    if not top > 0:
        return [0.0]
    rough = top / scale / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in _STEPS_OF_TEN if factor * power >= rough * 0.999)
    step = max(math.ceil(step), 1) if whole else step
    return [round(number * step * scale, 12) for number in range(math.ceil(top / scale / step - 1e-9) + 1)]


def period(start: np.datetime64, unit: str) -> str:
    """Write when a period is.

    Example:
        >>> period(np.datetime64("2026-10-05T14:00"), "hour")
        'Mon 5 Oct 2026, 14:00'
    """
    time: datetime = start.astype("M8[us]").item()
    month = f"{_MONTHS[time.month - 1]} {time.year}"
    if unit == "month":
        return month
    day = f"{_DAYS[time.weekday()]} {time.day} {month}"
    return {"hour": f"{day}, {time:%H:%M}", "week": f"week of {day}"}.get(unit, day)


def time_ticks(starts: Any, places: Any, unit: str, most: int = 8) -> list[dict[str, Any]]:
    """Return about `most` labels along the time axis, at round times."""
    slots = int(places[-1]) + 1
    step = _tick_step(slots, unit, most)
    first = starts[0].astype(f"M8[{_STEPS[unit]}]")
    # Hours are counted from midnight and months from January, so that the labels are at round times.
    offset = -int(first.astype("int64") % _ROUND[unit]) % step if unit in _ROUND else 0
    at = range(offset, slots, step) if offset < slots else range(1)
    labels = [_short((first + number * _SLOTS[unit]).astype("M8[us]").item(), unit, step) for number in at]
    if unit == "hour" and not any(label[-3:] in _MONTHS for label in labels):  # no label names the day
        labels[0] = f"{_short(first.astype('M8[D]').astype('M8[us]').item(), unit, step)}, {labels[0]}"
    return [{"at": number, "label": label} for number, label in zip(at, labels, strict=True)]


def _tick_step(slots: int, unit: str, most: int) -> int:
    choice = _TICK_STEPS[unit]
    return next((size for size in choice if slots / size <= most), max(choice[-1], math.ceil(slots / most)))


_ROUND = {"hour": 24, "month": 12}
_TICK_STEPS = {
    "hour": (1, 2, 3, 6, 12, 24),
    "day": (1, 2, 7, 14, 28),
    "week": (1, 2, 4, 8, 13, 26, 52),
    "month": (1, 2, 3, 6, 12),
}
_STEPS = {"hour": "h", "day": "D", "week": "D", "month": "M"}
_SLOTS: dict[str, np.timedelta64] = {
    "hour": np.timedelta64(1, "h"),
    "day": np.timedelta64(1, "D"),
    "week": np.timedelta64(7, "D"),
    "month": np.timedelta64(1, "M"),
}


def _short(time: datetime, unit: str, step: int) -> str:
    if unit == "hour" and (time.hour or step < 24):
        return f"{time:%H:%M}" if time.hour else f"{time.day} {_MONTHS[time.month - 1]}"
    if unit == "month":
        return str(time.year) if step >= 12 else f"{_MONTHS[time.month - 1]} {time.year}"
    return f"{time.day} {_MONTHS[time.month - 1]}"


def _places(starts: Any, unit: str) -> Any:
    steps = starts.astype(f"M8[{_STEPS[unit]}]")
    return (steps - steps[0]) // _SLOTS[unit]


def plain(board: Board) -> str:
    """Return the dashboard as text."""
    if text := hint(board):
        return text
    shown = table(board, {})
    rows = [
        [shown["head"][0], *COLUMNS[:4]],
        *([row["label"], *row["cells"][:4]] for row in shown["rows"][:10]),
        ["total", *shown["total"][:4]],
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([f"{title(board)}: {money(board.total)}", *lines, notes(board)]).rstrip()
