"""Text without what a display cannot carry, or a terminal would obey."""

from __future__ import annotations

import re

_NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
_SEQUENCE = re.compile(  # ECMA-48: strings with their end, then control sequences, then short escapes
    "(?:\x1b[]PX^_]|[\x90\x98\x9d-\x9f])[^\x00-\x1f\x7f-\x9f]*(?:\x07|\x1b\\\\|\x9c)"
    "|(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|\x1b[ -/]*[0-~]"
)


def printable(text: str) -> str:
    """Replace what no display can carry: NUL characters and lone surrogates."""
    return _NOT_TEXT.sub("\ufffd", text)


def without_controls(text: str) -> str:
    r"""Drop control characters: a terminal obeys them, and models and servers write what they like.

    Example:
        >>> without_controls("a\x1b[31mb")
        'a[31mb'
    """
    return _CONTROL.sub("", text)


def plain(text: str) -> str:
    r"""Return text for an output that is saved, which a terminal or a pager may show later.

    Whole control sequences go, and characters that only change the direction of writing, which can make a
    line read as another one.

    Example:
        >>> plain("a\x1b[31mb\x1b]0;title\x07c\td")
        'abc\td'
    """
    return _DIRECTION.sub("", without_controls(_SEQUENCE.sub("", text)))
