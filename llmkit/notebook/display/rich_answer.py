"""An answer that grows in a notebook, and is one output in the end.

What travels to the browser stays linear in the answer: a finished Markdown block is sent once, and the open
one is sent again only as often as an allowance of bytes permits, which grows with the answer.
"""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from IPython.core.displaypub import CapturingDisplayPublisher

from llmkit.notebook.display.footer import Footer, format_seconds, guess_tokens
from llmkit.notebook.display.live import MIME_TYPE, LiveAnswer, PlainAnswer
from llmkit.notebook.display.markdown.blocks import Blocks
from llmkit.notebook.display.markdown.partial import close_open
from llmkit.notebook.display.markdown.render import page, render, render_partial, stylesheet
from llmkit.notebook.display.markdown.style import PARTS
from llmkit.notebook.display.parts import NOTHING
from llmkit.notebook.display.plain_text import plain, printable
from llmkit.notebook.display.throttle import MAX_HZ, Throttle
from llmkit.notebook.shell import has_kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmkit.notebook.display.parts import Beside
    from llmkit.records import CallStatus

MAX_OUTPUTS = 40
"""Most outputs while an answer grows; JupyterLab hides what comes after the fiftieth."""

GROUP = 64
"""Finished blocks get an output of their own once they are this fraction of the text: 1/64."""

BYTES_PER_BYTE = 16
"""What updates of the text may send for each byte of the answer, in bytes."""

FIRST_WORD = 12
"""Until so many characters have come, the text is drawn four times as often."""

SMALL = 2_000
"""An update of so many bytes at most is sent in any case once the last one is `PATIENCE` old."""

PATIENCE = 2.0
"""Longest time that text waits to be shown, in seconds, as long as its block is small."""

_MESSAGE = 150  # bytes of a display message besides its HTML


class _Screen:
    """The cell's output: what is on it."""

    def __init__(self, publisher: Any, throttle: Throttle) -> None:
        self._publisher = publisher
        self._throttle = throttle
        self.outputs = 0

    def show(self, html: str, *, free: bool = False) -> str:
        """Add an output, and return its identifier."""
        self.outputs += 1
        place = uuid.uuid4().hex[:12]
        self.update(place, html, free=free, update=False)
        return place

    def update(self, place: str, html: str, *, free: bool = False, update: bool = True) -> None:
        """Draw an output anew; what time alone makes necessary is free, or a long wait would eat it all."""
        if not free:
            self._throttle.spend(html)
        self.end({"text/html": html, "text/plain": ""}, place, update=update)

    def end(self, data: Mapping[str, Any], place: str = "", *, update: bool = True) -> None:
        """Show data in an output of this answer, or as a new one."""
        target = {"display_id": place or uuid.uuid4().hex[:12]}
        self._publisher.publish(dict(data), transient=target, update=update and bool(place))

    def clear(self) -> None:
        """Remove all outputs of the cell once the next one comes."""
        self._publisher.clear_output(wait=True)
        self.outputs = 0


class _Growing(LiveAnswer):
    """What both ways to show a growing answer share: its text, its status line, its pace."""

    def __init__(
        self, publisher: Any, clock: Callable[[], float] = time.perf_counter, max_hz: float = MAX_HZ
    ) -> None:
        self._throttle = Throttle(BYTES_PER_BYTE, message_bytes=_MESSAGE, max_hz=max_hz, clock=clock)
        self._screen = _Screen(publisher, self._throttle)
        self._clock = clock
        self._blocks = Blocks()
        self._sealed = ""
        self._characters = 0
        self._label = ""
        self._started = self._next_status = self._drawn = clock()
        self._changed = False
        self._size = 0
        self._notice = ""

    def start(self, label: str) -> None:
        """Show the status line."""
        self._label, self._started = label, self._clock()
        self._begin()

    def feed(self, delta: str) -> None:
        """Take the next piece, and show it if it is time to."""
        self._characters += len(delta)
        self._throttle.earn(delta)
        self._sealed += "".join(self._blocks.feed(delta))
        self._changed = self._changed or bool(delta)
        self.tick()

    def tick(self, notice: str = "", *, at_once: bool = False) -> None:
        """Bring text and status line up to date, if it is time to."""
        self._notice = notice
        now = self._clock()
        if not self._label:
            return
        if at_once:
            self._next_status, self._changed = now, True
        if self._changed and (at_once or self._throttle.due(now)):
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
        self._throttle.drew(now, 0 if self._characters > FIRST_WORD else self._throttle.pause / 4)

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
        """Put the whole answer into one output, in place of what has been shown of it."""
        # Made before anything is cleared: it takes a while, and what is shown stays until then.
        self._end(final_data(text, footer, metadata, status, html, beside=beside))

    def _status(self) -> str:
        facts = [self._label, *filter(None, [self._notice]), format_seconds(self._clock() - self._started)]
        line = "● " + " · ".join([*facts, *guess_tokens(self._characters)])
        return page("", Footer(facts=(line,)).html, style=False, part=True)

    def _fits(self, html: str) -> bool:
        self._size = len(html)
        return self._affords(self._size)

    def _affords(self, size: int) -> bool:
        late = size <= SMALL and self._clock() >= self._drawn + PATIENCE
        return late or self._throttle.affords(size)

    def _begin(self) -> None:
        raise NotImplementedError

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

    _tail_place = ""

    def _begin(self) -> None:
        self._shown: list[str] = []
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

    _html = _place = ""

    def _begin(self) -> None:
        self._place = self._screen.show(self._status())

    def _end(self, final: Mapping[str, Any]) -> None:
        self._screen.end(final, self._place)

    def _draw_text(self) -> bool:
        sealed, self._sealed = self._sealed, ""
        self._html += render(sealed)
        style = PARTS if "llmkit-fold" in self._html else ""
        html = style + page(self._html + render_partial(self._blocks.tail), style=False) + self._status()
        if not self._fits(html):
            return False
        self._screen.update(self._place, html)
        return True

    def insert(self, html: str, text: str) -> None:  # noqa: ARG002 - a notebook shows HTML
        """Show something finished below the text so far."""
        rest = self._sealed + "".join(self._blocks.finish())
        self._sealed, self._blocks, self._changed = "", Blocks(), True
        self._html += render(rest) + html
        self._throttle.earn(html)
        self.tick(self._notice)

    def _draw_status(self) -> None:
        if not self._html and not self._characters:
            self._screen.update(self._place, self._status(), free=True)


class FinalAnswer(InlineAnswer):
    """Shows an answer once it is whole: for `%%capture`, which would keep every update."""

    def start(self, label: str) -> None:
        """Do nothing."""


def final_data(
    text: str,
    footer: Footer | None,
    metadata: Mapping[str, Any],
    status: CallStatus = "ok",
    html: str | None = None,
    *,
    beside: Beside | None = None,
) -> dict[str, Any]:
    """Return the one output that is saved."""
    footer, beside = footer or Footer(), beside or NOTHING
    if html is None:
        html = render(text if status == "ok" else close_open(plain(text)))
    return {
        "text/html": beside.style + page(beside.above + html + beside.below, footer.html, cut=status != "ok"),
        "text/plain": _plain_data(text, beside, footer),
        MIME_TYPE: dict(metadata),
    }


def _plain_data(text: str, beside: Beside, footer: Footer) -> str:
    """Return an answer for front ends that show text, and for those who read the saved file.

    The footer of an answer without text says what came instead.
    """
    said = plain(printable(text))
    last = "" if said else plain(str(footer))
    return "\n\n".join(filter(None, [beside.text_above, said, beside.text_below, last]))


def live_answer(shell: Any, *, quiet: bool = False, alone: bool = True, max_hz: float = MAX_HZ) -> LiveAnswer:
    """Choose how to show an answer."""
    if quiet:
        return LiveAnswer()
    if not has_kernel(shell):
        return PlainAnswer()
    if isinstance(shell.display_pub, CapturingDisplayPublisher):
        return FinalAnswer(shell.display_pub)
    return (RichAnswer if alone else InlineAnswer)(shell.display_pub, max_hz=max_hz)
