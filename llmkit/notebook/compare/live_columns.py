"""How a comparison is shown while it streams: the interface, and the display of a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from llmkit.notebook.compare.drawing import summary_line, terminal_footer
from llmkit.notebook.display.live import PlainAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.notebook.compare.comparison import Comparison, ModelAnswer
    from llmkit.notebook.compare.merged_streams import ModelRun


class LiveColumns:
    """Shows several answers while they stream; used from one thread only. This one shows nothing."""

    def start(self, runs: Sequence[ModelRun], price: str) -> None:
        """Show that the calls are under way."""

    def feed(self, number: int, delta: str) -> None:
        """Take the next piece of a run's text."""

    def end(self, number: int, entry: ModelAnswer) -> None:
        """Show how a run ended."""

    def tick(self) -> None:
        """Bring the display up to date; to be called about ten times a second."""

    def finish(self, comparison: Comparison) -> None:
        """Show all answers, once and for all."""


class PlainColumns(LiveColumns):
    """Prints the answers in a terminal, one after the other; the first that is not over streams."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._out = PlainAnswer(stream)
        self._labels: list[str] = []
        self._held: list[list[str]] = []
        self._ends: dict[int, ModelAnswer] = {}
        self._current = 0

    def start(self, runs: Sequence[ModelRun], price: str) -> None:
        """Print the price and the first heading."""
        self._labels = [run.label for run in runs]
        self._held = [[] for _ in runs]
        self._out.feed(f"{price}\n")
        self._head()

    def feed(self, number: int, delta: str) -> None:
        """Print the piece if it is its run's turn, or hold it back."""
        if number == self._current:
            self._out.feed(delta)
        else:
            self._held[number].append(delta)

    def end(self, number: int, entry: ModelAnswer) -> None:
        """End a section, and begin the next one."""
        self._ends[number] = entry
        while self._current in self._ends:
            self._out.finish("", terminal_footer(self._ends[self._current]), {})
            self._current += 1
            self._out = PlainAnswer(self._stream)
            if self._current < len(self._labels):
                self._head()
                self._out.feed("".join(self._held[self._current]))

    def finish(self, comparison: Comparison) -> None:
        """Print the sum."""
        self._out.finish("", summary_line(comparison), {})

    def _head(self) -> None:
        self._out.feed(f"\n── {self._labels[self._current]} ──\n")
