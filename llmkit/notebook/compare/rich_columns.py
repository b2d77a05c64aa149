"""A comparison that grows in a notebook: columns side by side, in one output from the start to the end."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from IPython.core.displaypub import CapturingDisplayPublisher

from llmkit.notebook.compare.drawing import column, column_html, final, grid
from llmkit.notebook.compare.live_columns import LiveColumns, PlainColumns
from llmkit.notebook.display.error_messages import countdown
from llmkit.notebook.display.footer import Footer, format_seconds, guess_tokens
from llmkit.notebook.display.markdown.blocks import Blocks
from llmkit.notebook.display.markdown.render import render, render_partial, stylesheet
from llmkit.notebook.display.markdown.style import COMPARE, PARTS
from llmkit.notebook.display.thinking import THINKING, Spoken
from llmkit.notebook.display.throttle import Throttle
from llmkit.notebook.shell import has_kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmkit.notebook.compare.comparison import Comparison, ModelAnswer
    from llmkit.notebook.compare.merged_streams import ModelRun

BYTES_PER_BYTE = 17
"""What updates may send for each byte of the answers: all columns are one output, sent as a whole."""

FIRST_BYTES = 24_000
"""What they may send in advance, in bytes."""


class RichColumns(LiveColumns):
    """Shows the columns in one output of a notebook, from the start to the end.

    A cell's outputs stand below each other, so columns cannot be sent block by block: they are drawn again
    as a whole, as often as an allowance of bytes permits, which grows with the answers.
    """

    def __init__(
        self, publisher: Any, *, alone: bool = False, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._publisher = publisher
        self._alone = alone
        self._throttle = Throttle(BYTES_PER_BYTE, first_bytes=FIRST_BYTES, clock=clock)
        self._clock = clock
        self._place = uuid.uuid4().hex[:12]
        self._columns: list[_Column] = []
        self._price = ""
        self._size = 0
        self._changed = True
        self._shown = False
        self._next_status = clock()

    def start(self, runs: Sequence[ModelRun], price: str) -> None:
        """Show empty columns and the price."""
        self._columns = [_Column(run, self._clock) for run in runs]
        self._price = price
        if self._alone:  # the columns use it from the first update on; the end brings its own
            self._send(stylesheet() + COMPARE + PARTS, uuid.uuid4().hex[:12])
        self.tick()

    def feed(self, number: int, delta: str) -> None:
        """Take the next piece, and show it if it is time to."""
        self._throttle.earn(delta)
        self._columns[number].feed(delta)
        self._changed = self._changed or bool(delta)
        self.tick()

    def end(self, number: int, entry: ModelAnswer) -> None:
        """Draw a column as it stays."""
        self._columns[number].end(entry)
        self._changed = True
        self.tick()

    def tick(self) -> None:
        """Redraw the columns if it is time to, and text or only the clocks changed."""
        now = self._clock()
        due = self._throttle.due(now) and (self._changed or now >= self._next_status)
        if due and self._throttle.affords(
            self._size
        ):  # before drawing, which is expensive: columns only grow
            self._draw(now)

    def _draw(self, now: float) -> None:
        html = grid([column.html for column in self._columns], Footer(facts=(self._price,)).html)
        self._size = len(html)
        if self._changed or self._throttle.affords(2 * self._size):  # clocks alone leave bytes for text
            self._send(html if self._alone else COMPARE + PARTS + html, self._place, update=self._shown)
            self._shown, self._changed = True, False
        self._throttle.drew(now)
        self._next_status = now + 0.5

    def finish(self, comparison: Comparison) -> None:
        """Put all answers into the one output."""
        data = final(comparison)  # takes a while: what is shown stays until then
        if self._alone:
            # With `wait`, the old output stays until the new one arrives, without a flicker.
            self._publisher.clear_output(wait=True)
            self._shown = False
        self._publisher.publish(data, transient={"display_id": self._place}, update=self._shown)

    def _send(self, html: str, place: str, *, update: bool = False) -> None:
        self._throttle.spend(html)
        self._publisher.publish(
            {"text/html": html, "text/plain": ""}, transient={"display_id": place}, update=update
        )


class FinalColumns(LiveColumns):
    """Shows the answers once they are whole: for `%%capture`, which would keep every update."""

    def __init__(self, publisher: Any) -> None:
        self._publisher = publisher

    def finish(self, comparison: Comparison) -> None:
        """Show all answers."""
        self._publisher.publish(final(comparison))


def live_columns(shell: Any, *, quiet: bool = False, alone: bool = False) -> LiveColumns:
    """Choose how to show a comparison."""
    if quiet or shell is None:
        return LiveColumns()
    if not has_kernel(shell):
        return PlainColumns()
    if isinstance(shell.display_pub, CapturingDisplayPublisher):
        return FinalColumns(shell.display_pub)
    return RichColumns(shell.display_pub, alone=alone)


class _Column:
    """A column that grows: its finished blocks are rendered once."""

    def __init__(self, run: ModelRun, clock: Callable[[], float]) -> None:
        self.run = run
        self._clock = clock
        self._started = clock()
        self._blocks = Blocks()
        self._spoken = Spoken()
        self._html = ""
        self._characters = 0
        self._whole = ""

    def feed(self, delta: str) -> None:
        self._characters += len(delta)
        self._html += "".join(map(render, self._blocks.feed(self._spoken.feed(delta))))

    def end(self, entry: ModelAnswer) -> None:
        self._whole = column_html(entry)

    @property
    def html(self) -> str:
        if self._whole:
            return self._whole
        body = self._html + render_partial(self._blocks.tail)
        return column(self.run.label, body, Footer(facts=(f"● {self._status}",)).html)

    @property
    def _status(self) -> str:
        stream = self.run.stream
        thinking = self._spoken.thinking or (stream is not None and stream.thinking)
        waiting = (stream and countdown(stream.waiting)) or (THINKING if thinking else "")
        facts = [*filter(None, [waiting]), format_seconds(self._clock() - self._started)]
        return " · ".join([*facts, *guess_tokens(self._characters)])
