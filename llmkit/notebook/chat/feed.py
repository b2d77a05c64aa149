"""An answer that grows in the chat: what is sent to the browser while it arrives.

A finished Markdown block is sent once. Of the open one, only what differs from its last drawing is sent, and
only as often as an allowance of bytes permits, which grows with the answer: so the wire stays linear.
"""

from __future__ import annotations

import time
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from llmkit.notebook.display.markdown.render import Blocks, printable, render, render_partial

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_HZ = 12.0
"""Most updates of the growing text in a second."""

MAX_CPU = 0.2
"""Most of the time that may go into drawing it."""

BYTES_PER_BYTE = 11
"""What updates may send for each byte of the answer, in bytes; its end sends the whole once more."""

FIRST_BYTES = 8_000
"""What they may send in advance, in bytes: a short answer flows at the full rate."""

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
        self._clock = clock
        self._blocks = Blocks()
        self._waiting: list[str] = []
        self._sealed: list[str] = []
        self._tail = ""
        self._allowance = float(FIRST_BYTES)
        self._changed = False
        self._notice = ""
        self._next = clock()

    @property
    def shown(self) -> tuple[str, str]:
        """HTML of the finished blocks and of the open one, as the views have it now."""
        return "".join(self._sealed), self._tail

    def feed(self, delta: str) -> None:
        """Take the next piece, and show it if it is time to."""
        delta = printable(delta)
        self._allowance += BYTES_PER_BYTE * len(delta.encode())
        self._waiting += self._blocks.feed(delta)
        self._changed = self._changed or bool(delta)
        self.tick()

    def tick(self, notice: str = "") -> None:
        """Bring the views up to date, if it is time to."""
        now = self._clock()
        if self._changed and now >= self._next and self._allowance >= MESSAGE:
            self._draw()
            self._next = self._clock() + max(1 / MAX_HZ, (self._clock() - now) * (1 / MAX_CPU - 1))
        if notice != self._notice:
            self._notice = notice
            self._send({"type": "notice", "node": self._number, "text": notice})

    def _draw(self) -> None:
        sealed = render("".join(self._waiting), mathml=True) if self._waiting else ""
        before = "" if sealed else self._tail
        tail = render_partial(self._blocks.tail)
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
        self._waiting.clear()
        self._sealed += [sealed] if sealed else []
        self._tail = tail
        self._allowance -= MESSAGE + len(sealed.encode()) + len(rest.encode())
        self._send(message)


def _common(before: str, after: str) -> str:
    """Return what both texts begin with."""
    if after.startswith(before):
        return before
    length = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False)))
    return after[:length]
