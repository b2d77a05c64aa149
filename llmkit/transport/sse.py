"""Server-sent events: bytes in, events out.

Source: WHATWG HTML, "9.2.6 Interpreting an event stream".
"""

from __future__ import annotations

from typing import ClassVar

BOM = b"\xef\xbb\xbf"

Event = tuple[bytes, bytes]
"""Name (empty for an unnamed event) and data of one event."""


class SSEReader:
    r"""Converts the bytes of an event stream to events, however they are split.

    Lines may end in LF, CR or CRLF; comments, `id` and `retry` are ignored; the lines of one
    event's data are joined by LF.

    Example:
        >>> reader = SSEReader()
        >>> reader.feed(b"data: one\n\ndata: t")
        [(b'', b'one')]
        >>> reader.feed(b"wo\n\n")
        [(b'', b'two')]
    """

    documents: ClassVar[frozenset[bytes]] = frozenset({b"{", b"[", b"<"})

    __slots__ = ("_at_start", "_cr", "_parts")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._at_start = True
        self._cr = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Add bytes and return complete events."""
        if self._at_start:
            chunk = self._without_bom(chunk)
        if self._cr and chunk:
            self._cr = False
            if chunk.startswith(b"\n"):  # the second half of a split CRLF
                chunk = chunk[1:]
        if b"\r" in chunk:
            # The LF of this CRLF may come with the next bytes.
            self._cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._parts.append(chunk)
        if b"\n" not in chunk:  # no event can end here; joining now would take quadratic time for a long line
            return []
        *blocks, rest = b"".join(self._parts).split(b"\n\n")
        self._parts = [rest]
        return [event for block in blocks if (event := _event(block)) is not None]

    def close(self) -> list[Event]:
        """End the stream and return the remaining events."""
        rest, self._parts = b"".join(self._parts), []
        event = _event(rest)
        return [] if event is None else [event]

    def _without_bom(self, chunk: bytes) -> bytes:
        """Remove a byte order mark at the start, even if it is split."""
        start = b"".join((*self._parts, chunk))
        self._parts = []
        if len(start) < len(BOM) and BOM.startswith(start):
            self._parts = [start]
            return b""
        self._at_start = False
        return start.removeprefix(BOM)


def _event(block: bytes) -> Event | None:
    """Parse the lines between two blank lines."""
    if block.startswith(b"data: ") and b"\n" not in block:  # the common case with every provider
        return b"", block[6:]
    name = b""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    bare = block.strip(b"\n")
    if not data and bare.startswith(b"{"):  # Gemini's errors inside a stream have no field name
        return b"", bare
    return (name, b"\n".join(data)) if data else None
