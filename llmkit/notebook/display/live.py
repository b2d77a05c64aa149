"""How one answer is shown: in a notebook, in a terminal, or not at all."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from IPython.core.displaypub import CapturingDisplayPublisher

from llmkit.notebook.display.error_messages import without_controls
from llmkit.notebook.display.markdown.render import printable
from llmkit.notebook.display.rich_answer import (
    MAX_HZ,
    MIME_TYPE,
    Ending,
    FinalAnswer,
    InlineAnswer,
    RichAnswer,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.notebook.display.footer import Footer

__all__ = [
    "MIME_TYPE",
    "Ending",
    "FinalAnswer",
    "InlineAnswer",
    "LiveAnswer",
    "PlainAnswer",
    "QuietAnswer",
    "RichAnswer",
    "live_answer",
]


class LiveAnswer(Protocol):
    """Shows one answer while it streams; used from the main thread only."""

    def start(self, label: str) -> None:
        """Show that the call is under way."""
        ...

    def feed(self, delta: str) -> None:
        """Take the next piece of text."""
        ...

    def tick(self, notice: str = "") -> None:
        """Bring the display up to date; to be called about ten times a second."""
        ...

    def finish(
        self,
        text: str,
        footer: Footer | None,
        metadata: Mapping[str, Any],
        status: Ending = "ok",
        html: str | None = None,
    ) -> None:
        """Show the whole answer, once and for all."""
        ...


def live_answer(shell: Any, *, quiet: bool = False, alone: bool = True, max_hz: float = MAX_HZ) -> LiveAnswer:
    """Choose how to show an answer."""
    if quiet:
        return QuietAnswer()
    if getattr(shell, "kernel", None) is None:
        return PlainAnswer()
    publisher = shell.display_pub
    if isinstance(publisher, CapturingDisplayPublisher):
        return FinalAnswer(publisher)
    kind = RichAnswer if alone else InlineAnswer
    return kind(publisher, max_hz=max_hz)


class QuietAnswer:
    """Shows nothing (`-q`)."""

    def start(self, label: str) -> None:
        """Do nothing."""

    def feed(self, delta: str) -> None:
        """Do nothing."""

    def tick(self, notice: str = "") -> None:
        """Do nothing."""

    def finish(
        self,
        text: str,
        footer: Footer | None,
        metadata: Mapping[str, Any],
        status: Ending = "ok",
        html: str | None = None,
    ) -> None:
        """Do nothing."""


class PlainAnswer:
    """Prints an answer in a terminal as it arrives, and the footer under it.

    Control characters are dropped: a terminal obeys them, and a model writes what it likes.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._printed = False
        self._last = "\n"
        self._notice = ""

    def start(self, label: str) -> None:
        """Do nothing: the text speaks for itself."""

    def feed(self, delta: str) -> None:
        """Print the next piece."""
        text = without_controls(printable(delta))
        self.tick()
        self._printed = self._printed or bool(text)
        self._last = text[-1:] or self._last
        self._write(text)

    def tick(self, notice: str = "") -> None:
        """Show on a line of its own what the call is waiting for, as long as it does."""
        if notice != self._notice and self._out.isatty():
            # Back to the start of the line, and what stands there is erased.
            self._write(f"\r\x1b[2K{without_controls(notice)}")
        elif notice and not self._notice:
            self._write(f"{without_controls(notice)}\n")
        self._notice = notice

    def finish(
        self,
        text: str,
        footer: Footer | None,
        metadata: Mapping[str, Any],  # noqa: ARG002 - a terminal has no place for it
        status: Ending = "ok",  # noqa: ARG002 - the footer says it
        html: str | None = None,  # noqa: ARG002 - a terminal shows text
    ) -> None:
        """Print the text, if it did not stream, and the footer."""
        self.tick()
        if not self._printed:
            self.feed(text)
        line = without_controls(str(footer or ""))
        if line and self._out.isatty():
            line = f"\x1b[2m{line}\x1b[0m"
        self._write(("" if self._last == "\n" else "\n") + (f"{line}\n" if line else ""))

    @property
    def _out(self) -> TextIO:
        return self._stream or sys.stdout

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
