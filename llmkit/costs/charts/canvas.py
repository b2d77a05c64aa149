"""What all charts share: the Axes, texts, scales and colours.

Text has the colour of the Axes' labels. Areas differ from the background by their opacity, so that a chart
is legible on a light and on a dark background.
"""

from __future__ import annotations

import sys
import textwrap
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rcParams
from matplotlib.colors import Colormap, ListedColormap, to_rgb, to_rgba
from matplotlib.dates import date2num
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Patch

from llmkit.costs.charts.figure import ChartAxes, ChartFigure
from llmkit.costs.charts.ticks import Dates, Days

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from matplotlib.axes import Axes

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Colours for colour-blind readers; yellow is last, because it is pale on white.

Source: M. Okabe, K. Ito, "Color Universal Design", 2008 (jfly.uni-koeln.de/color).
"""

INK, INK_Y = "#767676", "#808080"
"""Text in the default style: at least 3.9 : 1 against white and 4.1 : 1 against JupyterLab's dark #111111.

IPython's inline backend adds a white or black box behind a transparent figure whose tick labels are all dark
or all light (half of white is the limit), so the two axes lie on either side of that limit.
"""

GREY = "#606060"
"""The colour of the rest: 6.3 : 1 against white, 3.3 : 1 against black.

A lighter grey looks like the green or the pink to readers who see no green; simulated after Machado et al.,
"A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009.
"""

NAMED = len(COLORS) - 1
"""Number of groups with their own colour; the others share the grey."""

PALETTE = (*COLORS[:NAMED], GREY)
"""Colours of groups, the largest first."""

EMPTY = "No calls yet.\nMake one with %%llm."
ELSEWHERE = "No matching calls.\nOther filters, times or simulated= have some."

SMALL = 4.0  # inches of width below which words shrink
MARGIN = 50.0  # points beside the data: the ticks and their words
BOX = "\N{WHITE VERTICAL RECTANGLE}"
SPACES = dict.fromkeys(map(ord, "\n\r\t\v\f"), " ")
FEWEST = 10
"""Minimum letters of a shortened name; with less room, a title omits the name."""

TITLE = 1.3  # times the usual size: bold text that is legible in the neutral colour, too

ROOM = 0.55  # maximum share of the width for text beside the data


def axes(ax: Axes | None) -> Axes:
    """Return the Axes to draw into; by default those of a new figure, transparent in the default style."""
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt  # registers the figure, so that a notebook shows it, once

    default = (rcParams["axes.labelcolor"], rcParams["figure.facecolor"]) == ("black", "white")
    # Colab's dark background is too light a grey for any text that white bears, so a figure is white there.
    default = default and "google.colab" not in sys.modules
    figure = plt.figure(figsize=(6.4, 4), layout="constrained", FigureClass=ChartFigure)
    drawn = figure.add_subplot(axes_class=ChartAxes)
    if default:  # not by rc_context, which takes back what the backend sets when the first figure loads it
        drawn.spines[:].set_color(INK)
        for axis in (drawn.xaxis, drawn.yaxis):
            axis.label.set_color(INK)
        drawn.tick_params(axis="x", which="both", colors=INK)
        drawn.tick_params(axis="y", which="both", color=INK, labelcolor=INK_Y)
    if default or is_dark(drawn):
        figure.patch.set_alpha(0)
        drawn.patch.set_alpha(0)
    return drawn


def ink(ax: Axes) -> Any:
    """Return the text colour: that of the axes' labels, which follows a dark style."""
    return ax.xaxis.label.get_color()


def faint(ax: Axes) -> float:
    """Return the opacity of secondary text; the neutral colour has no contrast to spare."""
    return 1.0 if ink(ax) == INK else 0.75


def is_dark(ax: Axes) -> bool:
    """Whether text is bright, so that the background is dark."""
    return sum(to_rgb(ink(ax))) > 1.5


def accent(ax: Axes) -> str:
    """Return the colour of a single series: dark on light, light on dark."""
    return COLORS[4] if is_dark(ax) else COLORS[0]


def finding(ax: Axes, name: str, rest: str, names: float = 0.0) -> str:
    """Return a title about a model or a cell, whose name is shortened to fit."""
    name, room = name.replace("  ", " "), beside(ax, names)
    for letters in range(max(len(name) + 1, FEWEST), FEWEST - 1, -1):
        title = f"{shorten(name, letters)} {rest}"
        if length(title, size(ax, TITLE), "bold") <= room:
            return title
    return f"One {rest}"


def share(part: float, whole: float) -> str:
    """Return a part as a percentage.

    Example:
        >>> share(14.31, 26.34), share(0.001, 26.34)
        ('54 %', '<1 %')
    """
    percent = round(100 * part / whole)
    return f"{percent} %" if percent else "<1 %"


def size(ax: Axes, share: float = 0.85) -> float:
    """Return a font size in points: a share of the usual one, smaller on a small Axes."""
    return float(rcParams["font.size"]) * share * (1.0 if width(ax) >= SMALL * 72 else 0.8)


def length(text: str, points: float, weight: str = "normal") -> float:
    """Return the width of a text in points, that of its longest line.

    Example:
        >>> length("$0.75 a day", 10) < length("budget: $0.75 a day", 10)
        True
    """
    font = get_font(findfont(FontProperties(weight=weight)))
    font.set_size(points, 72)
    longest = 0.0
    for line in legible(text).split("\n"):
        font.set_text(line)
        longest = max(longest, font.get_width_height()[0] / 64)
    return longest


def width(ax: Axes) -> float:
    """Return the width of the Axes in points, or an estimate before the figure is drawn."""
    spec, panel = ax.get_subplotspec(), ax.get_figure()
    if spec is None or panel is None or panel.get_layout_engine() is None:
        return float(ax.get_window_extent().width) * 72 / dpi(ax)
    # The layout is computed when the figure is drawn; until then the Axes have no final size.
    shares = np.asarray(spec.get_gridspec().get_width_ratios(), dtype=float)
    share = shares[spec.colspan.start : spec.colspan.stop].sum() / shares.sum()
    return float(panel.bbox.width * share) * 72 / dpi(ax) - MARGIN


def beside(ax: Axes, names: float) -> float:
    """Return the width in points beside names of a width, which take the place of the margin."""
    return width(ax) - max(0.0, names + 12 - MARGIN)


def words(ax: Axes, text: str, xy: tuple[float, float], **style: Any) -> None:
    """Write text; dollar signs are dollars, not mathematics."""
    settings: dict[str, Any] = {"color": ink(ax), "fontsize": size(ax), "parse_math": False}
    settings |= {"textcoords": "offset points", "annotation_clip": False}
    ax.annotate(legible(text), xy, **(settings | style))


def blank(ax: Axes, hint: str) -> Axes:
    """Show why the chart is empty."""
    ax.text(
        0.5, 0.5, hint, transform=ax.transAxes, ha="center", va="center", color=ink(ax), alpha=faint(ax),
        fontsize=size(ax, 1.0), wrap=True, parse_math=False,
    )  # fmt: skip
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return ax


def dress(ax: Axes, title: str, notes: Iterable[str], names: float = 0.0) -> Axes:
    """Write the title and the notes below it, and remove spines without meaning."""
    caption = "; ".join(note for note in notes if note)
    lines = balanced(caption, max(24, int(beside(ax, names) / (0.53 * size(ax)))))
    pad = 5 + len(lines) * 1.25 * size(ax)
    style: dict[str, Any] = {"fontweight": "bold", "fontsize": size(ax, TITLE), "color": ink(ax)}
    ax.set_title(legible(title), loc="left", pad=pad + 2, parse_math=False, **style)
    figure = ax.get_figure()
    if isinstance(figure, ChartFigure):
        figure.alternative = ". ".join(part for part in (title, caption) if part)
    words(
        ax,
        "\n".join(lines),
        (0, 1),
        xytext=(0, 6),
        xycoords="axes fraction",
        alpha=faint(ax),
        linespacing=1.15,
    )
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=size(ax, 0.9))
    ax.xaxis.get_offset_text().set_fontsize(size(ax, 0.9))
    ax.set_axisbelow(True)
    return ax


def balanced(text: str, letters: int) -> list[str]:
    """Wrap a text into the minimum number of lines, of about equal length.

    Example:
        >>> balanced("1,204 calls; left out: 3 without a known price", 40)
        ['1,204 calls; left out:', '3 without a known price']
    """
    lines = textwrap.wrap(text, letters)
    least = -(-len(text) // max(len(lines), 1))
    tries = (textwrap.wrap(text, shorter) for shorter in range(max(least, 1), letters))
    return next((some for some in tries if len(some) == len(lines)), lines)


def left_out(*counts: tuple[int, str]) -> str:
    """Write how many calls are not in a chart, and why.

    Example:
        >>> left_out((482, "replayed"), (0, "free"), (1, "without a known price"))
        'left out: 482 replayed, 1 without a known price'
    """
    parts = [f"{count:,} {why}" for count, why in counts if count]
    return f"left out: {', '.join(parts)}" if parts else ""


def lined(ax: Axes) -> None:
    """Draw faint horizontal grid lines."""
    # The transparent legend does not cover the lines, so they are as faint on dark as on light.
    color, alpha = (INK, 0.15) if ink(ax) == INK else (rcParams["grid.color"], 0.25)
    ax.grid(axis="y", color=color, alpha=alpha, linewidth=0.6)


def key(ax: Axes, entries: Sequence[tuple[str, str]], last: float | None = None) -> None:
    """Draw a legend, with room for it beside the data."""
    if not entries:
        return
    longest = 25 if width(ax) < SMALL * 72 else 34
    ground = ax.get_facecolor()
    legend = ax.legend(
        handles=[Patch(color=color, label=shorten(text, longest)) for text, color in entries],
        loc="upper right", bbox_to_anchor=(1.0, 1.0), framealpha=to_rgba(ground)[3], edgecolor="none",
        facecolor=ground, fancybox=False, fontsize=size(ax), labelcolor=ink(ax),
        handlelength=0.8, handleheight=0.8, handletextpad=0.5, borderpad=0, borderaxespad=0.2,
        labelspacing=0.45,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
    make_room(ax, legend.get_window_extent().width * 72 / dpi(ax) / width(ax), last)


def make_room(ax: Axes, share: float, last: float | None = None) -> None:
    """Extend the x axis to the right, so that text covers no data."""
    if not isinstance(ax.xaxis.get_major_locator(), Dates):  # otherwise ticks would continue below the text
        low, high = ax.get_xlim()
        for minor in (False, True):
            shown = [tick for tick in ax.get_xticks(minor=minor) if low <= tick <= high]
            ax.set_xticks(shown, minor=minor)
    forward = ax.xaxis.get_transform()
    low, high = forward.transform(np.array(ax.get_xlim(), dtype=float))
    wide = low + (high - low) / (1 - min(share + 0.03, ROOM))
    last = float(ax.get_xlim()[1]) if last is None else last
    ax.set_xlim(right=float(forward.inverted().transform(np.array([wide]))[0]))
    ax.spines["bottom"].set_bounds(ax.get_xlim()[0], last)
    locator = ax.xaxis.get_major_locator()
    if isinstance(locator, Dates):
        locator.last = last


def end_labels(ax: Axes, labels: Sequence[tuple[float, float, str]]) -> None:
    """Label lines at their ends, without overlap."""
    if not labels:
        return
    font = FontProperties(size=size(ax))
    line = 1.3 * font.get_size_in_points()
    ground = {"facecolor": ax.get_facecolor(), "edgecolor": "none", "pad": 1}
    height = ax.get_window_extent().height * 72 / dpi(ax)
    low, high = ax.get_ylim()
    ordered = sorted(labels, key=lambda label: label[1])
    points = [(y - low) / (high - low) * height for _, y, _ in ordered]
    placed: list[float] = []
    for (_, _, text), (_, _, below), point in zip(ordered, ordered[:1] + ordered, points, strict=False):
        gap = line * (1 + (text + below).count("\n") / 2)
        placed.append(max(point, placed[-1] + gap) if placed else point)
    for (x, y, text), point, place in zip(ordered, points, placed, strict=True):
        at = (6, place - point)
        words(ax, text, (x, y), xytext=at, va="center", fontproperties=font, bbox=ground)
    longest = max(length(text, size(ax)) for *_, text in labels)
    make_room(ax, (longest + 8) / width(ax))


def dpi(ax: Axes) -> float:
    """Return the pixels per inch."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return float(figure.dpi)


def shorten(text: str, letters: int) -> str:
    """Remove the middle of a long name; an amount after two spaces is kept.

    Example:
        >>> shorten("a-model-with-a-long-name  $1.20", 20)
        'a-mode…-name  $1.20'
    """
    text = legible(text.translate(SPACES))
    name, gap, amount = text.rpartition("  ") if "  " in text else (text, "", "")
    left = max(10, letters - len(gap + amount) - 1)
    if len(name) > left:
        name = f"{name[: left // 2]}…{name[-(left // 2 - 1) :]}"
    return name + gap + amount


def legible(text: str) -> str:
    """Replace letters that the font lacks by a box; matplotlib would warn about them.

    Example:
        >>> legible("thesis"), legible(chr(0x1F9EA) + " notes") == BOX + " notes"
        ('thesis', True)
    """
    if text.isascii() and text.isprintable():
        return text
    families = FontProperties().get_family()
    known = _letters(tuple(findfont(FontProperties(family=[family])) for family in families))
    return "".join(letter if letter == "\n" or ord(letter) in known else BOX for letter in text)


@lru_cache(maxsize=8)
def _letters(fonts: tuple[str, ...]) -> frozenset[int]:
    return frozenset(number for font in fonts for number in get_font(font).get_charmap())


def time_axis(ax: Axes, first: datetime, last: datetime) -> None:
    """Set up the x axis for local time."""
    locator = Dates(maxticks=max(5, min(8, int(width(ax) / 50))))
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(Days(locator))  # type: ignore[no-untyped-call]  # the same
    low, high = date2num([first, last])  # type: ignore[no-untyped-call]  # the same
    ax.set_xlim(float(low), float(high))


def heat(color: str, nothing: tuple[Any, float] = ("none", 0.0)) -> Colormap:
    """Return a colour map from nearly transparent to opaque, which is legible on any background."""
    shades = [(*to_rgb(color), alpha) for alpha in np.linspace(0.12, 1.0, 128)]
    return ListedColormap(shades).with_extremes(bad=nothing)


def many(count: int, noun: str = "call") -> str:
    """Write a count with its noun.

    Example:
        >>> many(1), many(1200, "cell")
        ('1 call', '1,200 cells')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def brief(count: int) -> str:
    """Write a large number in three digits.

    Example:
        >>> brief(950), brief(12_345), brief(4_560_000)
        ('950', '12.3k', '4.56M')
    """
    for limit, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= limit:
            return f"{count / limit:.3g}{unit}" if count < 1000 * limit else f"{count / limit:,.0f}{unit}"
    return str(count)
