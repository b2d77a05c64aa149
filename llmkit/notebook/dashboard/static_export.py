"""The dashboard as it is saved: a PNG of the chart, and HTML that needs no kernel and no script."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from llmkit.costs.charts import canvas
from llmkit.notebook.display.markdown.render import page
from llmkit.notebook.display.markdown.tex import UNTOUCHED
from llmkit.notebook.display.plain_text import printable
from llmkit.notebook.display.saved_copies import saved_copy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

MOST_ROWS = 20
"""Most groups that the saved table lists."""


def png(shown: Mapping[str, Any], *, wide: float = 9.0, dpi: int = 110) -> bytes:
    """Draw the chart."""
    figure = Figure(figsize=(wide, 3.4), layout="constrained")
    ax = figure.subplots()
    chart = shown["chart"]
    {"time": _over_time, "groups": _by_group}.get(chart["kind"], _nothing)(ax, shown)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()


def _nothing(ax: Axes, shown: Mapping[str, Any]) -> None:
    canvas.blank(ax, shown["hint"] or "There is no data on these calls.")


def _over_time(ax: Axes, shown: Mapping[str, Any]) -> None:
    chart = shown["chart"]
    at = [period["at"] for period in chart["periods"]]
    base = [0.0] * len(at)
    entries = []
    for series in chart["series"]:
        heights = [0.0] * len(at)
        for period, value, _ in series["marks"]:
            heights[period] = value
        ax.bar(at, heights, bottom=base, width=0.8, color=series["color"])
        base = [low + height for low, height in zip(base, heights, strict=True)]
        if series["marks"] and len(chart["series"]) > 1:
            entries.append((series["label"], series["color"]))
    # A few bars must not fill the whole width.
    ax.set_xlim(-0.6, max(chart["slots"], 8) - 0.4)
    ax.set_ylim(0, chart["top"] * 1.02)
    ax.set_xticks([tick["at"] for tick in chart["ticks"]], [tick["label"] for tick in chart["ticks"]])
    _grid(ax, chart, "y")
    canvas.lined(ax)
    canvas.key(ax, entries, last=chart["slots"] - 0.5)
    canvas.dress(ax, shown["title"], [shown["notes"]])


def _by_group(ax: Axes, shown: Mapping[str, Any]) -> None:
    chart = shown["chart"]
    bars = chart["bars"]
    names = [canvas.shorten(bar["label"], 30) for bar in bars]
    ax.barh(
        range(len(bars)), [bar["value"] for bar in bars], height=0.7, color=[bar["color"] for bar in bars]
    )
    ax.set_yticks(range(len(bars)), names)
    for label in ax.get_yticklabels():
        # A dollar sign in a name does not begin a formula.
        label.set_parse_math(False)
    ax.set_ylim(max(len(bars), 3) - 0.5, -0.5)
    ax.set_xlim(0, chart["top"])
    for place, bar in enumerate(bars):
        canvas.words(ax, bar["text"], (bar["value"], place), xytext=(4, 0), va="center")
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    canvas.dress(ax, shown["title"], [shown["notes"]])


def _grid(ax: Axes, chart: Mapping[str, Any], which: str) -> None:
    ticks, labels = zip(*((line["value"], line["label"]) for line in chart["grid"]), strict=True)
    getattr(ax, f"set_{which}ticks")(ticks, labels)
    for label in getattr(ax, f"get_{which}ticklabels")():
        label.set_parse_math(False)


def saved(shown: Mapping[str, Any], picture: bytes, name: str) -> str:
    """Return what is saved with the notebook: key figures, chart and table."""
    return saved_copy(name, page(_body(shown, picture)), UNTOUCHED)


def document(shown: Mapping[str, Any], picture: bytes, name: str) -> str:
    """Return `saved` as an HTML document of its own."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<title>Costs of calls to language models</title>"
        "<style>body{font-family:system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}"
        ":root{color-scheme:light dark}</style>"
        f"</head><body><main><h1>Costs</h1>{saved(shown, picture, name)}</main></body></html>\n"
    )


def _body(shown: Mapping[str, Any], picture: bytes) -> str:
    figures = " · ".join(
        f"{_text(one['label'])} <b>{_text(one['text'])}</b>"
        + (f" ({_text(one['note'])})" if one["note"] else "")
        for one in shown["figures"]
    )
    parts = [f"<p>{figures}</p>"]
    if shown["hint"]:
        return "".join([*parts, f"<p>{_text(shown['hint'])}</p>"])
    said = _text(f"{shown['title']}. {shown['notes']}")
    data = base64.b64encode(picture).decode()
    parts.append(f'<img src="data:image/png;base64,{data}" alt="{said}" style="max-width:100%">')
    table = shown["table"]
    first, *others = map(_text, table["head"])
    head = f'<th scope="col">{first}</th>' + "".join(
        f'<th scope="col" align="right">{name}</th>' for name in others
    )
    lines = [[row["label"], *row["cells"]] for row in table["rows"][:MOST_ROWS]]
    lines.append(["All", *table["total"]])
    body = "".join(map(_row, lines))
    left = len(table["rows"]) - MOST_ROWS
    parts.append(
        f'<div class="llmkit-table" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody>'
        "</table></div>"
    )
    parts += [f"<p>{_text(note)}</p>" for note in (shown["notes"], _more(left, table["more"])) if note]
    return "".join(parts)


def _row(cells: Sequence[str]) -> str:
    values = "".join(f'<td align="right">{_text(cell)}</td>' for cell in cells[1:])
    return f'<tr><th scope="row">{_text(cells[0])}</th>{values}</tr>'


def _more(left: int, more: str) -> str:
    if left <= 0:
        return more
    return f"{left:,} more groups are not listed here" + (f", nor {more}" if more else "") + "."


def _text(words: str) -> str:
    return escape(printable(words))
