"""An answer that grows in the chat: what is sent to the browser while it arrives.

A finished Markdown block is sent once. Of the open one, only what differs from its last drawing is sent, and
only as often as an allowance of bytes permits, which grows with the answer: so the wire stays linear.
"""

from __future__ import annotations

import time
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from llmkit.notebook.display.markdown.blocks import Blocks
from llmkit.notebook.display.markdown.render import render, render_partial
from llmkit.notebook.display.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Callable

BYTES_PER_BYTE = 11
"""What updates may send for each byte of the answer, in bytes; its end sends the whole once more."""

MESSAGE = 700
"""Bytes of a message besides its HTML: the headers of Jupyter's protocol."""


class Feed:
    r"""Shows one answer in all views of a chat while it arrives.

    Example:
        >>> sent = []
        >>> Feed(sent.append, 2).feed("Hello **wor")
        >>> sent[0]["tail"]
        '<p>Hello <strong>wor</strong></p>\n'
    """

    def __init__(
        self,
        send: Callable[[dict[str, Any]], None],
        number: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._send = send
        self._number = number
        self._throttle = Throttle(BYTES_PER_BYTE, message_bytes=MESSAGE, clock=clock)
        self._blocks = Blocks()
        self._waiting: list[str] = []
        self._sealed: list[str] = []
        self._tail = ""
        self._changed = False
        self._notice = ""

    @property
    def shown(self) -> tuple[str, str]:
        """HTML of the finished blocks and of the open one, as the views have it now."""
        return "".join(self._sealed), self._tail

    def feed(self, delta: str) -> None:
        """Take the next piece, and show it if it is time to."""
        self._throttle.earn(delta)
        self._waiting += self._blocks.feed(delta)
        self._changed = self._changed or bool(delta)
        self.tick()

    def insert(self, html: str) -> None:
        """Show something finished below the text so far, such as a call of a tool."""
        rest = "".join([*self._waiting, *self._blocks.finish()])
        self._waiting, self._blocks = [], Blocks()
        self._throttle.earn(html)
        self._seal((render(rest, mathml=True) if rest else "") + html, "")

    def tick(self, notice: str = "") -> None:
        """Bring the views up to date, if it is time to."""
        now = self._throttle.clock()
        if self._changed and self._throttle.due(now) and self._throttle.affords(0):
            self._draw()
            self._throttle.drew(now)
        if notice != self._notice:
            self._notice = notice
            self._send({"type": "notice", "node": self._number, "text": notice})

    def _draw(self) -> None:
        sealed = render("".join(self._waiting), mathml=True) if self._waiting else ""
        before = "" if sealed else self._tail
        self._seal(sealed, render_partial(self._blocks.tail), before)
        self._waiting.clear()

    def _seal(self, sealed: str, tail: str, before: str = "") -> None:
        """Send a finished piece, and the open block as far as it differs from before."""
        keep = _common(before, tail)
        rest = tail[len(keep) :]
        message = {
            "type": "grow",
            "node": self._number,
            "sealed": sealed,
            "keep": len(keep.encode("utf-16-le")) // 2,  # as JavaScript counts
            "tail": rest,
        }
        self._changed = False
        self._sealed += [sealed] if sealed else []
        self._tail = tail
        self._throttle.spend(sealed, rest)
        self._send(message)


def _common(before: str, after: str) -> str:
    """Return what both texts begin with."""
    if after.startswith(before):
        return before
    length = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))
    return after[:length]
