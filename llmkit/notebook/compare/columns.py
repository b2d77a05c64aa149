"""How a comparison is shown: columns that grow side by side, or sections in a terminal."""

from __future__ import annotations

import math
import time
import uuid
from html import escape
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from IPython.core.displaypub import CapturingDisplayPublisher

from llmkit.notebook.compare.comparison import SMALLEST, measured
from llmkit.notebook.errors import countdown, without_controls
from llmkit.notebook.footer import Footer, build_footer, format_seconds
from llmkit.notebook.live import PlainAnswer
from llmkit.notebook.markdown.partial import close_open
from llmkit.notebook.markdown.render import Blocks, page, printable, render, render_partial, stylesheet
from llmkit.notebook.markdown.style import COMPARE
from llmkit.notebook.rich import MIME_TYPE
from llmkit.prices import format_money

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmkit.notebook.compare.comparison import Comparison, Entry
    from llmkit.notebook.compare.race import Lane

MAX_HZ = 12.0
"""Most updates in a second."""

MAX_CPU = 0.2
"""Most of the time that may go into drawing."""

BYTES_PER_BYTE = 17
"""What updates may send for each byte of the answers: all columns are one output, sent as a whole."""

FIRST_BYTES = 24_000
"""What they may send in advance, in bytes."""

ABREAST = 3
"""Up to so many columns may become narrow; more of them scroll sideways instead."""


class LiveColumns(Protocol):
    """Shows several answers while they stream; used from one thread only."""

    def start(self, lanes: Sequence[Lane], price: str) -> None:
        """Show that the calls are under way.

        Args:
            lanes: The models.
            price: What all of it costs at most, as a sentence.
        """
        ...

    def feed(self, number: int, delta: str) -> None:
        """Take the next piece of a lane's text.

        Args:
            number: The lane.
            delta: Text as it came.
        """
        ...

    def end(self, number: int, entry: Entry) -> None:
        """Show how a lane ended.

        Args:
            number: The lane.
            entry: What there is of it.
        """
        ...

    def tick(self) -> None:
        """Bring the display up to date; to be called about ten times a second."""
        ...

    def finish(self, comparison: Comparison) -> None:
        """Show all answers, once and for all.

        Args:
            comparison: The answers.
        """
        ...


def live_columns(shell: Any, *, quiet: bool = False, alone: bool = False) -> LiveColumns:
    """Choose how to show a comparison.

    Args:
        shell: The IPython shell; `None` outside of one.
        quiet: Show nothing.
        alone: Whether it is all that the cell shows, as after `%%llm`.

    Returns:
        The display for this shell.
    """
    if quiet or shell is None:
        return QuietColumns()
    if getattr(shell, "kernel", None) is None:
        return PlainColumns()
    if isinstance(shell.display_pub, CapturingDisplayPublisher):
        return FinalColumns(shell.display_pub)
    return RichColumns(shell.display_pub, alone=alone)


class QuietColumns:
    """Shows nothing: in a script, and with `-q`."""

    def start(self, lanes: Sequence[Lane], price: str) -> None:
        """Do nothing."""

    def feed(self, number: int, delta: str) -> None:
        """Do nothing."""

    def end(self, number: int, entry: Entry) -> None:
        """Do nothing."""

    def tick(self) -> None:
        """Do nothing."""

    def finish(self, comparison: Comparison) -> None:
        """Do nothing."""


class FinalColumns(QuietColumns):
    """Shows the answers once they are whole: for `%%capture`, which would keep every update.

    Args:
        publisher: The shell's `display_pub`.
    """

    def __init__(self, publisher: Any) -> None:
        self._publisher = publisher

    def finish(self, comparison: Comparison) -> None:
        """Show all answers.

        Args:
            comparison: The answers.
        """
        self._publisher.publish(final(comparison))


class PlainColumns:
    """Prints the answers in a terminal, one after the other; the first that is not over streams.

    Args:
        stream: Where to print; by default the standard output of the moment.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._out = PlainAnswer(stream)
        self._labels: list[str] = []
        self._held: list[list[str]] = []
        self._ends: dict[int, Entry] = {}
        self._current = 0

    def start(self, lanes: Sequence[Lane], price: str) -> None:
        """Print the price and the first heading.

        Args:
            lanes: The models.
            price: What all of it costs at most.
        """
        self._labels = [lane.label for lane in lanes]
        self._held = [[] for _ in lanes]
        self._out.feed(f"{price}\n")
        self._head()

    def feed(self, number: int, delta: str) -> None:
        """Print the piece if it is its lane's turn, or hold it back.

        Args:
            number: The lane.
            delta: Text as it came.
        """
        if number == self._current:
            self._out.feed(delta)
        else:
            self._held[number].append(delta)

    def end(self, number: int, entry: Entry) -> None:
        """End a section, and begin the next one.

        Args:
            number: The lane.
            entry: What there is of it.
        """
        self._ends[number] = entry
        while self._current in self._ends:
            self._out.finish("", _terminal_footer(self._ends[self._current]), {})
            self._current += 1
            self._out = PlainAnswer(self._stream)
            if self._current < len(self._labels):
                self._head()
                self._out.feed("".join(self._held[self._current]))

    def tick(self) -> None:
        """Do nothing: the text speaks for itself."""

    def finish(self, comparison: Comparison) -> None:
        """Print the sum.

        Args:
            comparison: The answers.
        """
        self._out.finish("", _summary(comparison), {})

    def _head(self) -> None:
        self._out.feed(f"\n── {self._labels[self._current]} ──\n")


class _Column:
    """A column that grows: its finished blocks are rendered once."""

    def __init__(self, lane: Lane, clock: Callable[[], float]) -> None:
        self.lane = lane
        self._clock = clock
        self._started = clock()
        self._blocks = Blocks()
        self._html = ""
        self._characters = 0
        self._whole = ""

    def feed(self, delta: str) -> None:
        self._characters += len(delta)
        self._html += "".join(map(render, self._blocks.feed(delta)))

    def end(self, entry: Entry) -> None:
        self._whole = column_html(entry)

    @property
    def html(self) -> str:
        if self._whole:
            return self._whole
        body = self._html + render_partial(self._blocks.tail)
        return _column(self.lane.label, body, Footer(facts=(f"● {self._status}",)).html)

    @property
    def _status(self) -> str:
        waiting = "" if self.lane.stream is None else countdown(self.lane.stream.waiting)
        facts = [*filter(None, [waiting]), format_seconds(self._clock() - self._started)]
        if self._characters:
            facts.append(f"≈{math.ceil(self._characters / 4):,} tok")
        return " · ".join(facts)


class RichColumns:
    """Shows the columns in one output of a notebook, from the start to the end.

    A cell's outputs stand below each other, so columns cannot be sent block by block: they are drawn again
    as a whole, as often as an allowance of bytes permits, which grows with the answers.

    Args:
        publisher: The shell's `display_pub`.
        alone: Whether it is all that the cell shows.
        clock: Where the time comes from, in seconds.
    """

    def __init__(
        self, publisher: Any, *, alone: bool = False, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._publisher = publisher
        self._alone = alone
        self._clock = clock
        self._place = uuid.uuid4().hex[:12]
        self._columns: list[_Column] = []
        self._price = ""
        self._allowance = FIRST_BYTES
        self._size = 0
        self._changed = True
        self._shown = False
        self._next = self._next_status = clock()

    def start(self, lanes: Sequence[Lane], price: str) -> None:
        """Show empty columns and the price.

        Args:
            lanes: The models.
            price: What all of it costs at most.
        """
        self._columns = [_Column(lane, self._clock) for lane in lanes]
        self._price = price
        if self._alone:  # the columns use it from the first update on; the end brings its own
            self._send(stylesheet() + COMPARE, uuid.uuid4().hex[:12])
        self.tick()

    def feed(self, number: int, delta: str) -> None:
        """Take the next piece, and show it if it is time to.

        Args:
            number: The column.
            delta: Text as it came.
        """
        delta = printable(delta)
        self._allowance += BYTES_PER_BYTE * len(delta.encode())
        self._columns[number].feed(delta)
        self._changed = self._changed or bool(delta)
        self.tick()

    def end(self, number: int, entry: Entry) -> None:
        """Draw a column as it stays.

        Args:
            number: The column.
            entry: What there is of it.
        """
        self._columns[number].end(entry)
        self._changed = True
        self.tick()

    def tick(self) -> None:
        """Draw the columns anew if it is time to, and something changed or the clocks go on."""
        now = self._clock()
        if now < self._next or not (self._changed or now >= self._next_status):
            return
        if self._allowance < self._size:  # what is sent now is larger still
            return
        html = grid([column.html for column in self._columns], Footer(facts=(self._price,)).html)
        self._size = len(html)
        if self._changed or self._allowance > 2 * self._size:  # clocks alone wait until text can be spared
            self._send(html if self._alone else COMPARE + html, self._place, update=self._shown)
            self._shown, self._changed = True, False
        self._next = now + max(1 / MAX_HZ, (self._clock() - now) / MAX_CPU)
        self._next_status = now + 0.5

    def finish(self, comparison: Comparison) -> None:
        """Put all answers into the one output.

        Args:
            comparison: The answers.
        """
        data = final(comparison)  # takes a while: what is shown stays until then
        if self._alone:
            self._publisher.clear_output(wait=True)
            self._shown = False
        self._publisher.publish(data, transient={"display_id": self._place}, update=self._shown)

    def _send(self, html: str, place: str, *, update: bool = False) -> None:
        self._allowance -= len(html.encode())
        self._publisher.publish(
            {"text/html": html, "text/plain": ""}, transient={"display_id": place}, update=update
        )


def final(comparison: Comparison) -> dict[str, Any]:
    """Return what stays of a comparison: safe HTML, plain text, facts.

    Args:
        comparison: The answers.

    Returns:
        Data by MIME type; no prompt, no key.
    """
    summary = _summary(comparison)
    parts = [
        f"── {entry.label} ──\n{entry.text}\n{_terminal_footer(entry)}\n" for entry in comparison.entries
    ]
    return {
        "text/html": stylesheet() + COMPARE + grid(map(column_html, comparison.entries), summary.html),
        "text/plain": printable("\n".join([*parts, str(summary)])),
        MIME_TYPE: {"compare": [entry.row for entry in comparison.entries], "most_usd": comparison.most_usd},
    }


def grid(columns: Any, footer: str) -> str:
    """Lay columns out side by side; many of them scroll.

    Args:
        columns: HTML of each.
        footer: HTML of the line under them.

    Returns:
        HTML.
    """
    drawn = list(columns)
    kind = "llmkit-compare llmkit-many" if len(drawn) > ABREAST else "llmkit-compare"
    region = f'<div class="{kind}" tabindex="0" role="region" aria-label="Answers">'
    return page(f"{region}{''.join(drawn)}</div>", footer, style=False)


def column_html(entry: Entry) -> str:
    """Draw a column that is over.

    Args:
        entry: One model's part.

    Returns:
        HTML.
    """
    text = entry.text if entry.status == "ok" else close_open(entry.text)
    error = "" if entry.error is None else f'<p class="llmkit-failed">{escape(error_line(entry.error))}</p>'
    return _column(entry.label, render(text) + error, _footer(entry).html, cut=entry.status != "ok")


def error_line(error: Exception) -> str:
    """Say on one line why a model has no whole answer.

    Args:
        error: Its error.

    Returns:
        Text without control characters.
    """
    return without_controls(printable(" ".join(f"{type(error).__name__}: {error}".split())))


def _column(label: str, body: str, footer: str, *, cut: bool = False) -> str:
    name = escape(printable(label))
    kind = "llmkit-column llmkit-cut" if cut else "llmkit-column"
    head = f'<p class="llmkit-name"><strong>{name}</strong></p>'
    return f'<div class="{kind}" role="group" aria-label="{name}">{head}{body}{footer}</div>'


def _footer(entry: Entry) -> Footer:
    found = entry.outcome
    if found is None:
        stopped = "⏹ stopped before anything was sent" if entry.status == "cancelled" else ""
        return Footer(warning=stopped or "nothing was sent")
    usual = build_footer(found, label="", status=entry.status)
    unused = found.completion_tokens is None and found.cost_estimate is None  # nothing to pay for, then
    facts = [fact for fact in usual.facts if fact != found.model and not (unused and fact == "$?")]
    if not found.replayed:
        facts += _pace(entry)
    reason = [f"finish: {found.finish_reason}"] if found.finish_reason else []
    return Footer(facts=(*facts, *reason), warning=usual.warning)


def _pace(entry: Entry) -> list[str]:
    first, speed = entry.row["first_token_s"], entry.row["tokens_per_s"]
    facts = [] if first is None else [f"first text {format_seconds(first)}"]
    return facts if speed is None else [*facts, f"{speed:,.0f} tok/s"]


def _terminal_footer(entry: Entry) -> Footer:
    """Return the footer with the error in it: a terminal's section has no other place for it."""
    footer = _footer(entry)
    return footer if entry.error is None else Footer(facts=footer.facts, warning=error_line(entry.error))


def _summary(comparison: Comparison) -> Footer:
    most = "" if comparison.most_usd is None else f" of {format_money(comparison.most_usd)} at most"
    facts = [f"{len(comparison)} models", format_money(comparison.cost) + most]
    for by, word in (("cost", "cheapest"), ("time", "fastest")):
        if len(winners := _winners(comparison, by)) == 1:
            facts.append(f"{word}: {winners[0]}")
    return Footer(facts=tuple(facts), note=_note(comparison))


def _winners(comparison: Comparison, by: str) -> list[str]:
    """Return the one that did best; nobody if there is nothing to choose from."""
    values = [measured(entry, SMALLEST[by]) for entry in comparison.entries]
    known = [value for value in values if value is not None]
    return [comparison.best(by)] if len(set(known)) > 1 else []


def _note(comparison: Comparison) -> str:
    from llmkit.notebook.footer import SIMULATED

    simulated = [e.outcome.simulated for e in comparison.entries if e.outcome is not None]
    if simulated and all(simulated):
        return SIMULATED
    return "Some of the answers are simulated." if any(simulated) else ""
