"""What stands out in a table, and how to go on with it."""

from __future__ import annotations

import re
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.tables.measures import extreme, is_far, oddest, shown, strongest
from llmkit.sandbox.answers.wording import capitalised, joined

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.sandbox.answers.tables.reading import Column, Frame

_COLUMNS = 3
_NOTABLE = 0.5
_CHARTS = re.compile(r"\b(?:charts?|plots?|graphs?)\b")


def overview(frame: Frame, columns: list[Column] | None = None) -> Finding:
    """Say what stands out in a table, or in some of its columns."""
    if columns:
        frame = replace(frame, columns=tuple(columns))
    names = [one.name for one in frame.columns]
    said = [*_spreads(frame), *_gaps(frame), *_together(frame), *_frequent(frame)]
    said = said or [f"it has {frame.rows:,} rows and {len(frame.columns)} columns: {joined(names)}"]
    gist = _most_striking(frame, said)
    text = " ".join(f"{capitalised(one)}." for one in said)
    found = oddest(frame)
    more = (
        f"The most unusual row is {found[0]}, with {found[1].name} {shown(found[2])}."
        if found and len(frame.labels) > _COLUMNS
        else ""
    )
    where = "" if frame.whole else "rows"
    return Finding(
        text=text,
        more=more,
        short=gist.rstrip("."),
        gist=gist,
        title=where,
        rows=tuple((capitalised(one),) for one in said),
    )


def _most_striking(frame: Frame, said: list[str]) -> str:
    """Return the one thing to know of a table: a row far from the others, what is missing, or a range."""
    found = oddest(frame) if len(frame.labels) > _COLUMNS else None
    if found and is_far(found[1], found[2]):
        label, column, value = found
        middle = shown(statistics.median(column.values))
        return f"{capitalised(column.name)} of {label} stands out: {shown(value)}, with a median of {middle}."
    gap = next(_gaps(frame), None)
    return f"{capitalised(gap or next(iter(said), ''))}." if said else ""


def _spreads(frame: Frame) -> Iterator[str]:
    for name in frame.numeric[:_COLUMNS]:
        yield from _spread(frame, frame.column(name))


def _spread(frame: Frame, column: Column) -> Iterator[str]:
    if column.low is not None and column.high is not None and not frame.whole:
        middle = f", with a median of {shown(column.middle)}" if column.middle is not None else ""
        yield f"{column.name} goes from {shown(column.low)} to {shown(column.high)}{middle}"
        return
    low, high = extreme(frame, column, -1), extreme(frame, column, 1)
    if low and high:
        (least, first), (most, last) = (_at(frame, column, one) for one in (low, high))
        mean = shown(sum(column.values) / len(column.values))
        yield (f"{column.name} goes from {least}{first} to {most}{last}, with a mean of {mean}")


def _at(frame: Frame, column: Column, found: tuple[str, float]) -> tuple[str, str]:
    """Return a value, and in brackets the row that has it, if it is the only one of this name and value."""
    label, value = found
    own = column.values.count(value) == 1 and frame.labels.count(label) == 1
    return shown(value), f" ({label})" if own else ""


def _gaps(frame: Frame) -> Iterator[str]:
    gaps = [f"{one.missing:,} in {one.name}" for one in frame.columns if one.missing]
    if gaps:
        yield f"values are missing: {joined(gaps)}"


def _together(frame: Frame) -> Iterator[str]:
    found = strongest(frame) if frame.whole else None
    if found and abs(found[2]) > _NOTABLE:
        first, second, value = found
        yield f"{second} {'rises' if value > 0 else 'falls'} as {first} rises (correlation {value:.2f})"


def _frequent(frame: Frame) -> Iterator[str]:
    for column in frame.columns:
        if column.top:
            value, count = column.top[0]
            yield f"the most frequent {column.name} is {value} ({count:,} of {frame.rows:,})"
            return


def plan(frame: Frame, question: str) -> Finding:
    """Say how to go on with a table: a chart for its columns, or the steps of an analysis."""
    if _CHARTS.search(question):
        text = _chart(frame)
        return Finding(text=text, short=text)
    steps = [*_steps(frame)]
    return Finding(
        text=" ".join(f"{capitalised(one)}." for one in steps),
        rows=tuple((f"{capitalised(one)}.",) for one in steps),
        head=("step",),
    )


def _chart(frame: Frame) -> str:
    numbers, words = frame.numeric, frame.categories
    dates = frame.index and not frame.index.isdigit()
    if dates and numbers:
        return (
            f"A line chart of {joined(numbers[:_COLUMNS])} over {frame.index} shows the course; a "
            f"scatter plot of two of them shows whether they go together."
        )
    if words and numbers:
        return f"A bar chart of {numbers[0]} for each {words[0]}, sorted by size, shows it best."
    if len(numbers) > 1:
        return f"A scatter plot of {numbers[0]} against {numbers[1]} shows whether they go together."
    return (
        f"A histogram of {numbers[0]} shows how it is distributed."
        if numbers
        else f"A bar chart of the counts of {words[0]} shows it best."
    )


def _steps(frame: Frame) -> Iterator[str]:
    numbers, words = frame.numeric, frame.categories
    gaps = [one.name for one in frame.columns if one.missing]
    yield f"check types and missing values first{f', above all in {joined(gaps)}' if gaps else ''}"
    if numbers:
        yield f"look at the distribution of {joined(numbers[:_COLUMNS])}, and at rows far from the median"
    if words and numbers:
        yield f"compare {numbers[0]} between the values of {words[0]}"
    if len(numbers) > 1:
        yield f"plot {numbers[0]} against {numbers[1]} before you compute a correlation"
    yield "write down what would change your mind, then test it on rows that you have not looked at"
