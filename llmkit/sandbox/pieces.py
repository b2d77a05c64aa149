"""The sandbox's tokens: words and punctuation marks, each with the white space before it."""

from __future__ import annotations

import re

_LONGEST = 12
_PIECE = re.compile(rf"\s*\w{{1,{_LONGEST}}}|\s*[^\w\s]|\s+")


def split(text: str) -> list[str]:
    """Split a text into tokens, whose concatenation is the text.

    Example:
        >>> split("Hello, big world!")
        ['Hello', ',', ' big', ' world', '!']
    """
    return _PIECE.findall(text)


def count(text: str) -> int:
    """Count the tokens of a text.

    Example:
        >>> count("Hello, big world!")
        5
    """
    return len(split(text))
