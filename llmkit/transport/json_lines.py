"""JSON Lines: bytes in, one event for each line out."""

from __future__ import annotations

from typing import ClassVar

Event = tuple[bytes, bytes]
"""Name (always empty) and data of one event."""


class JSONLinesReader:
    r"""Converts a body of JSON Lines to events, however its bytes are split; blank lines are skipped.

    Example:
        >>> reader = JSONLinesReader()
        >>> reader.feed(b'{"a": 1}\n{"a"')
        [(b'', b'{"a": 1}')]
        >>> reader.feed(b": 2}"), reader.close()
        ([], [(b'', b'{"a": 2}')])

    Source: jsonlines.org; newlines may be LF or CRLF.
    """

    documents: ClassVar[frozenset[bytes]] = frozenset({b"<"})

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> list[Event]:
        """Add bytes and return complete lines."""
        if b"\n" not in chunk:  # joined once at the end of the line, so that a long one costs linear time
            self._parts.append(chunk)
            return []
        *lines, rest = b"".join([*self._parts, chunk]).split(b"\n")
        self._parts = [rest]
        return [(b"", line) for line in map(bytes.strip, lines) if line]

    def close(self) -> list[Event]:
        """End the stream and return a last line without a newline."""
        return self.feed(b"\n")
