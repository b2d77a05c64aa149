"""How one answer is shown while it streams: the interface, and the display of a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TextIO

from llmkit.notebook.display.plain_text import printable, without_controls
from llmkit.notebook.display.terminal_colors import PALE, PLAIN, can_erase

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.notebook.display.footer import Footer
    from llmkit.notebook.display.parts import Beside
    from llmkit.records import CallStatus

MIME_TYPE = "application/vnd.llmkit.v1+json"
"""Key of the facts about the call in the saved output."""


class LiveAnswer:
    """Shows one answer while it streams; used from the main thread only. This one shows nothing (`-q`)."""

    def start(self, label: str) -> None:
        """Show that the call is under way."""

    def feed(self, delta: str) -> None:
        """Take the next piece of text."""

    def tick(self, notice: str = "", *, at_once: bool = False) -> None:
        """Bring the display up to date; to be called about ten times a second.

        Args:
            notice: What the call waits for.
            at_once: Show it even if the last update was just now.
        """

    def insert(self, html: str, text: str) -> None:
        """Show something finished below the text so far; what is fed later follows it."""

    def finish(
        self,
        text: str,
        footer: Footer | None,
        metadata: Mapping[str, Any],
        status: CallStatus = "ok",
        html: str | None = None,
        *,
        beside: Beside | None = None,
    ) -> None:
        """Show the whole answer, once and for all."""


class PlainAnswer(LiveAnswer):
    """Prints an answer in a terminal as it arrives, and the footer under it.

    Control characters are dropped: a terminal obeys them, and a model writes what it likes.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._printed = self._inserted = False
        self._last = "\n"
        self._notice = ""

    def feed(self, delta: str) -> None:
        """Print the next piece."""
        text = without_controls(printable(delta))
        self.tick()
        self._printed = self._printed or bool(text)
        self._last = text[-1:] or self._last
        self._write(text)

    def insert(self, html: str, text: str) -> None:  # noqa: ARG002 - a terminal shows text
        """Print it on lines of its own."""
        self._inserted = True
        self.feed(("" if self._last == "\n" else "\n") + text + "\n")

    def tick(self, notice: str = "", *, at_once: bool = False) -> None:  # noqa: ARG002 - it always does
        """Show on a line of its own what the call is waiting for, as long as it does."""
        if notice != self._notice and can_erase(self._out):
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
        status: CallStatus = "ok",  # noqa: ARG002 - the footer says it
        html: str | None = None,  # noqa: ARG002 - a terminal shows text
        *,
        beside: Beside | None = None,
    ) -> None:
        """Print the text, if it did not stream, what is beside it, and the footer."""
        self.tick()
        if not self._printed:
            self.feed(text)
        texts = [] if beside is None or self._inserted else [beside.text_above, beside.text_below]
        for line in filter(None, texts):
            self.feed(self._line_end() + line)
        self._write(self._line_end() + self._closing(footer))

    def _line_end(self) -> str:
        return "" if self._last == "\n" else "\n"

    def _closing(self, footer: Footer | None) -> str:
        """Return the footer as a line, pale where the terminal can."""
        line = without_controls(str(footer or ""))
        if not line:
            return ""
        return f"{PALE}{line}{PLAIN}\n" if can_erase(self._out) else f"{line}\n"

    @property
    def _out(self) -> TextIO:
        return self._stream or sys.stdout

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
