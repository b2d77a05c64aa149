"""How a comparison is shown: in a notebook, in a terminal, in a script, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TextIO

from IPython.core.displaypub import CapturingDisplayPublisher

from llmkit.notebook.compare.drawing import final, summary_line, terminal_footer
from llmkit.notebook.compare.rich_columns import RichColumns
from llmkit.notebook.display.live import PlainAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.notebook.compare.comparison import Comparison, ModelAnswer
    from llmkit.notebook.compare.merged_streams import ModelRun


class LiveColumns(Protocol):
    """Shows several answers while they stream; used from one thread only."""

    def start(self, runs: Sequence[ModelRun], price: str) -> None:
        """Show that the calls are under way."""
        ...

    def feed(self, number: int, delta: str) -> None:
        """Take the next piece of a run's text."""
        ...

    def end(self, number: int, entry: ModelAnswer) -> None:
        """Show how a run ended."""
        ...

    def tick(self) -> None:
        """Bring the display up to date; to be called about ten times a second."""
        ...

    def finish(self, comparison: Comparison) -> None:
        """Show all answers, once and for all."""
        ...


def live_columns(shell: Any, *, quiet: bool = False, alone: bool = False) -> LiveColumns:
    """Choose how to show a comparison."""
    if quiet or shell is None:
        return QuietColumns()
    if getattr(shell, "kernel", None) is None:
        return PlainColumns()
    if isinstance(shell.display_pub, CapturingDisplayPublisher):
        return FinalColumns(shell.display_pub)
    return RichColumns(shell.display_pub, alone=alone)


class QuietColumns:
    """Shows nothing: in a script, and with `-q`."""

    def start(self, runs: Sequence[ModelRun], price: str) -> None:
        """Do nothing."""

    def feed(self, number: int, delta: str) -> None:
        """Do nothing."""

    def end(self, number: int, entry: ModelAnswer) -> None:
        """Do nothing."""

    def tick(self) -> None:
        """Do nothing."""

    def finish(self, comparison: Comparison) -> None:
        """Do nothing."""


class FinalColumns(QuietColumns):
    """Shows the answers once they are whole: for `%%capture`, which would keep every update."""

    def __init__(self, publisher: Any) -> None:
        self._publisher = publisher

    def finish(self, comparison: Comparison) -> None:
        """Show all answers."""
        self._publisher.publish(final(comparison))


class PlainColumns:
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

    def tick(self) -> None:
        """Do nothing: the text speaks for itself."""

    def finish(self, comparison: Comparison) -> None:
        """Print the sum."""
        self._out.finish("", summary_line(comparison), {})

    def _head(self) -> None:
        self._out.feed(f"\n── {self._labels[self._current]} ──\n")
