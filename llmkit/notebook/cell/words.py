"""Splits off one word as a shell does, with support for Windows paths and JSON."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

_WINDOWS = re.compile(r"[A-Za-z]:\\|\\\\")
"""Start of a Windows path: its backslashes separate folders and escape nothing."""

_JSON = re.compile(r"[A-Za-z]\w*=(?=[\[{\"])")
"""`KEY=` before a list, an object or a string in JSON."""


class UnclosedQuoteError(ValueError):
    """A quote is not closed."""


class Word(NamedTuple):
    """A word and where the text goes on."""

    text: str | None  # without quotes; `None` if there is no word
    end: int  # index of the first character after it


def shell_word(text: str, start: int) -> Word:
    r"""Read a word; quotes and backslashes keep blanks in it.

    Example:
        >>> shell_word(r"C:\Data\plot.png and so on", 0)
        Word(text='C:\\Data\\plot.png', end=16)
        >>> shell_word("my\\ notes.txt", 0).text, shell_word("it's.txt", 0).text
        ('my notes.txt', "it's.txt")
    """
    found = re.compile(r"\S").search(text, start)
    return Word(None, len(text)) if found is None else _Reader(text, found.start()).word()


def json_word(text: str, start: int) -> Word | None:
    """Read `KEY=` and a JSON value, including blanks in it.

    Example:
        >>> json_word('stop=["a", "b"] Go on', 0)
        Word(text='stop=["a", "b"]', end=15)
    """
    begin = start + len(text[start:]) - len(text[start:].lstrip())
    key = _JSON.match(text, begin)
    if key is None:
        return None
    try:
        _, end = json.JSONDecoder().raw_decode(text, key.end())
    except (ValueError, RecursionError):
        return None
    whole = end == len(text) or text[end].isspace()
    return Word(text[begin:end], end) if whole else None


class _Reader:
    """Reads one word, from its first character."""

    def __init__(self, text: str, start: int) -> None:
        self._text = text
        self._start = self._pos = start
        self._out: list[str] = []

    def word(self) -> Word:
        """Read it."""
        while self._pos < len(self._text) and not self._text[self._pos].isspace():
            self._next()
        return Word("".join(self._out), self._pos)

    def _next(self) -> None:
        char = self._text[self._pos]
        if char == '"' or (char == "'" and self._opens()):
            self._quoted(char)
        elif char == "\\" and self._escapes():
            self._take(self._pos + 1)
        else:
            self._take(self._pos)

    def _take(self, place: int) -> None:
        self._out.append(self._text[place])
        self._pos = place + 1

    def _opens(self) -> bool:
        return self._pos == self._start or not self._text[self._pos - 1].isalnum()

    def _escapes(self) -> bool:
        """Whether a backslash belongs to the next character, outside quotes."""
        following = self._text[self._pos + 1 : self._pos + 2]
        if _WINDOWS.match(self._text, self._start):
            return following.isspace()
        return following.isspace() or following in {"'", '"', "\\"}

    def _quoted(self, quote: str) -> None:
        """Read up to the closing quote; in double quotes a backslash escapes as in a shell."""
        self._pos += 1
        plain = quote == "'" or _WINDOWS.match(self._text, self._pos)
        while self._pos < len(self._text):
            char = self._text[self._pos]
            if char == quote:
                self._pos += 1
                return
            escaped = not plain and char == "\\" and self._text[self._pos + 1 : self._pos + 2] in {'"', "\\"}
            self._take(self._pos + escaped)
        raise UnclosedQuoteError
