"""An answer that grows in a notebook, and is one output in the end.

What travels to the browser stays linear in the answer: a finished Markdown block is sent once, and the open
one is sent again only as often as an allowance of bytes permits, which grows with the answer.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any, Literal

from llmkit.notebook.display.error_messages import plain
from llmkit.notebook.display.footer import Footer, format_seconds, guess_tokens
from llmkit.notebook.display.markdown.partial import close_open
from llmkit.notebook.display.markdown.render import (
    Blocks,
    page,
    printable,
    render,
    render_partial,
    stylesheet,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MIME_TYPE = "application/vnd.llmkit.v1+json"
"""Key of the facts about the call in the saved output."""

Ending = Literal["ok", "cancelled", "error"]

MAX_HZ = 12.0
"""Most updates of the growing text in a second."""

MAX_CPU = 0.2
"""Most of the time that may go into drawing it."""

MAX_OUTPUTS = 40
"""Most outputs while an answer grows; JupyterLab hides what comes after the fiftieth."""

GROUP = 64
"""Finished blocks get an output of their own once they are this fraction of the text: 1/64."""

BYTES_PER_BYTE = 16
"""What updates of the text may send for each byte of the answer, in bytes."""

FIRST_BYTES = 8_000
"""What they may send in advance, in bytes: a short answer flows at the full rate."""

FIRST_WORD = 12
"""Until so many characters have come, the text is drawn four times as often."""

SMALL = 2_000
"""An update of so many bytes at most is sent in any case once the last one is `PATIENCE` old."""

PATIENCE = 2.0
"""Longest time that text waits to be shown, in seconds, as long as its block is small."""

_MESSAGE = 150  # bytes of a display message besides its HTML


class _Screen:
    """The cell's output: what is on it, and how much was sent."""

    def __init__(self, publisher: Any) -> None:
        self._publisher = publisher
        self._allowance = FIRST_BYTES
        self.outputs = 0

    def show(self, html: str, *, free: bool = False) -> str:
        """Add an output, and return its identifier."""
        self.outputs += 1
        place = uuid.uuid4().hex[:12]
        self._send({"text/html": html, "text/plain": ""}, place, free=free)
        return place

    def update(self, place: str, html: str, *, free: bool = False) -> None:
        """Draw an output anew; what time alone makes necessary is free, or a long wait would eat it all."""
        self._send({"text/html": html, "text/plain": ""}, place, update=True, free=free)

    def end(self, data: Mapping[str, Any], place: str = "") -> None:
        """Show the final data, in an output of this answer or as a new one."""
        self._send(data, place or uuid.uuid4().hex[:12], update=bool(place))

    def clear(self) -> None:
        """Remove all outputs of the cell once the next one comes."""
        self._publisher.clear_output(wait=True)
        self.outputs = 0

    def earn(self, text: str) -> None:
        """Raise the allowance for text that has arrived."""
        self._allowance += BYTES_PER_BYTE * len(text.encode())

    def affords(self, size: int) -> bool:
        """Whether the allowance is enough to send HTML of this size."""
        return self._allowance >= size + _MESSAGE

    def _send(self, data: Mapping[str, Any], place: str, *, update: bool = False, free: bool = False) -> None:
        self._allowance -= 0 if free else len(data["text/html"].encode()) + _MESSAGE
        self._publisher.publish(dict(data), transient={"display_id": place}, update=update)


class _Growing:
    """What both ways to show a growing answer share: its text, its status line, its pace."""

    def __init__(
        self, publisher: Any, clock: Callable[[], float] = time.perf_counter, max_hz: float = MAX_HZ
    ) -> None:
        self._screen = _Screen(publisher)
        self._pause = 1 / max_hz
        self._clock = clock
        self._blocks = Blocks()
        self._sealed = ""
        self._characters = 0
        self._label = ""
        self._started = self._next_text = self._next_status = self._drawn = clock()
        self._changed = False
        self._size = 0
        self._notice = ""

    def feed(self, delta: str) -> None:
        """Take the next piece, and show it if it is time to."""
        delta = printable(delta)
        self._characters += len(delta)
        self._screen.earn(delta)
        self._sealed += "".join(self._blocks.feed(delta))
        self._changed = self._changed or bool(delta)
        self.tick()

    def tick(self, notice: str = "") -> None:
        """Bring text and status line up to date, if it is time to."""
        self._notice = notice
        now = self._clock()
        if not self._label:
            return
        if self._changed and now >= self._next_text:
            self._tick_text(now)
        if now >= self._next_status:
            self._draw_status()
            # Below ten seconds the status line shows tenths.
            self._next_status = now + (0.2 if now - self._started < 10 else 1.0)

    def _tick_text(self, now: float) -> None:
        # Drawing costs, too: none in vain while even the last drawing would be too large to send.
        if self._affords(self._size) and self._draw_text():
            self._changed, self._drawn = False, now
        # The first piece is often a mark that shows nothing yet; the word after it need not wait.
        pause = self._pause if self._characters > FIRST_WORD else self._pause / 4
        self._next_text = now + max(pause, (self._clock() - now) / MAX_CPU)

    def finish(
        self,
        text: str,
        footer: Footer | None,
        metadata: Mapping[str, Any],
        status: Ending = "ok",
        html: str | None = None,
    ) -> None:
        """Put the whole answer into one output, in place of what has been shown of it."""
        # Made before anything is cleared: it takes a while, and what is shown stays until then.
        self._end(final_data(text, footer, metadata, status, html))

    def _status(self) -> str:
        facts = [self._label, *filter(None, [self._notice]), format_seconds(self._clock() - self._started)]
        line = "● " + " · ".join([*facts, *guess_tokens(self._characters)])
        return page("", Footer(facts=(line,)).html, style=False, part=True)

    def _fits(self, html: str) -> bool:
        self._size = len(html)
        return self._affords(self._size)

    def _affords(self, size: int) -> bool:
        late = size <= SMALL and self._clock() >= self._drawn + PATIENCE
        return late or self._screen.affords(size)

    def _draw_text(self) -> bool:
        """Show what has arrived; `False` if that must wait."""
        raise NotImplementedError

    def _draw_status(self) -> None:
        raise NotImplementedError

    def _end(self, final: Mapping[str, Any]) -> None:
        """Show what stays."""
        raise NotImplementedError


class RichAnswer(_Growing):
    """Shows an answer that has the cell's output to itself.

    Each finished block has its own output. The last output holds the status line, and becomes the place of
    the next block; so an update never carries more than one block. The end replaces all of them by one.
    """

    def __init__(
        self, publisher: Any, clock: Callable[[], float] = time.perf_counter, max_hz: float = MAX_HZ
    ) -> None:
        super().__init__(publisher, clock, max_hz)
        self._shown: list[str] = []
        self._tail_place = self._status_place = ""

    def start(self, label: str) -> None:
        """Show the status line."""
        self._label, self._started = label, self._clock()
        self._screen.show(stylesheet(), free=True)
        self._status_place = self._screen.show(self._status(), free=True)

    def _end(self, final: Mapping[str, Any]) -> None:
        self._screen.clear()
        self._screen.end(final)

    def _draw_text(self) -> bool:
        if self._sealed and len(self._sealed) * GROUP >= self._characters:
            self._show_sealed()
        tail = self._blocks.tail
        if not (self._sealed or tail.strip()):
            return True
        html = page(render(self._sealed) + render_partial(tail), style=False, part=bool(self._shown))
        if not self._fits(html):
            return False
        self._tail_place = self._place(html)
        return True

    def _show_sealed(self) -> None:
        sealed, self._sealed = self._sealed, ""
        follows = bool(self._shown)
        self._shown.append(sealed)
        self._size = 0
        if self._screen.outputs < MAX_OUTPUTS:
            self._place(page(render(sealed), style=False, part=follows))
        else:
            self._screen.clear()
            self._screen.show(page(render("".join(self._shown))))
            self._status_place = self._screen.show(self._status())
        self._tail_place = ""

    def _place(self, html: str) -> str:
        """Put this under the finished blocks, above the status line."""
        if self._tail_place:
            self._screen.update(self._tail_place, html)
            return self._tail_place
        place = self._status_place
        self._screen.update(place, html)
        self._status_place = self._screen.show(self._status())
        return place

    def _draw_status(self) -> None:
        self._screen.update(self._status_place, self._status(), free=True)


class InlineAnswer(_Growing):
    """Shows an answer among other outputs of its cell: in one output from the start."""

    def __init__(
        self, publisher: Any, clock: Callable[[], float] = time.perf_counter, max_hz: float = MAX_HZ
    ) -> None:
        super().__init__(publisher, clock, max_hz)
        self._html = self._place = ""

    def start(self, label: str) -> None:
        """Show the status line."""
        self._label, self._started = label, self._clock()
        self._place = self._screen.show(self._status())

    def _end(self, final: Mapping[str, Any]) -> None:
        self._screen.end(final, self._place)

    def _draw_text(self) -> bool:
        sealed, self._sealed = self._sealed, ""
        self._html += render(sealed)
        html = page(self._html + render_partial(self._blocks.tail), style=False) + self._status()
        if not self._fits(html):
            return False
        self._screen.update(self._place, html)
        return True

    def _draw_status(self) -> None:
        if not self._characters:
            self._screen.update(self._place, self._status(), free=True)


class FinalAnswer(InlineAnswer):
    """Shows an answer once it is whole: for `%%capture`, which would keep every update."""

    def start(self, label: str) -> None:
        """Do nothing."""


def final_data(
    text: str,
    footer: Footer | None,
    metadata: Mapping[str, Any],
    status: Ending = "ok",
    html: str | None = None,
) -> dict[str, Any]:
    """Return the one output that is saved."""
    footer = footer or Footer()
    if html is None:
        shown = plain(text)
        html = render(shown if status == "ok" else close_open(shown))
    return {
        "text/html": page(html, footer.html, cut=status != "ok"),
        "text/plain": plain(printable(text)) or plain(str(footer)),
        MIME_TYPE: dict(metadata),
    }
