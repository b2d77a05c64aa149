"""Reads options from the start of a text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from llmkit.content.template import CellError
from llmkit.core.suggestions import ALMOST, nearest
from llmkit.notebook.cell.options import BY_NAME, find_option
from llmkit.notebook.cell.values import SecretError
from llmkit.notebook.cell.words import UnclosedQuoteError, json_word, shell_word

if TYPE_CHECKING:
    from llmkit.notebook.cell.options import Option

_LOOKS_LIKE_OPTION = re.compile(r"--?[A-Za-z]")
MIN_LONG = 4
"""Only option names longer than this are suggested for a word with one dash."""

_WORD = re.compile(r"\S+")


class OptionReader:
    """Reads options from the start of a text and leaves the rest alone."""

    def __init__(self, text: str, *, detached: bool) -> None:
        self.values: dict[str, Any] = {}
        self._text = text
        self._pos = 0
        self._detached = detached

    @property
    def rest(self) -> str:
        """The unread text."""
        return self._text[self._pos :].strip()

    def read(self) -> bool:
        """Read the options up to the first other word."""
        while (word := self.peek()) and _LOOKS_LIKE_OPTION.match(word):
            self._option(word)
        if word != "--":
            return False
        self._skip(word)
        return True

    def take_word(self) -> str:
        """Read one word and return it; empty at the end."""
        word = self.peek()
        self._skip(word)
        return word

    def peek(self) -> str:
        """Return the next word without reading it; empty at the end."""
        match = _WORD.search(self._text, self._pos)
        return match[0] if match else ""

    def _skip(self, word: str) -> None:
        if word:
            self._pos = self._text.index(word, self._pos) + len(word)

    def _option(self, word: str) -> None:
        start = self._text.index(word, self._pos)
        if word.startswith("--"):
            name, equals, _ = word[2:].partition("=")
            self._pos = start + 2 + len(name) + len(equals)
            self._set(find_option(name, f"--{name}"), attached=bool(equals), flag=f"--{name}")
            return
        if word[1:] in BY_NAME and len(word) > 2:
            raise CellError(f"{word} has one dash too few.", hint=f"Write -{word}.")
        if long := _long_name(word[1:].partition("=")[0]):
            raise CellError(f"Unknown option {word[:80]}.", hint=f"Did you mean --{long}?")
        self._pos = start + 1
        self._letters(word[1:])

    def _letters(self, letters: str) -> None:
        for index, letter in enumerate(letters):
            option = find_option(letter, f"-{letter}")
            self._pos += 1
            attached = letters[index + 1 :] if option.metavar else ""
            self._pos += attached.startswith("=")
            self._set(option, attached=bool(attached), flag=f"-{letter}")
            if option.metavar:
                return

    def _set(self, option: Option, *, attached: bool, flag: str) -> None:
        before = self.values.get(option.field)
        if before is not None and not option.many:
            raise CellError(f"{flag} is given twice.", hint="Keep one of them.")
        value = self._read_value(option, attached=attached, flag=flag)
        self.values[option.field] = (*(before or ()), value) if option.many else value

    def _read_value(self, option: Option, *, attached: bool, flag: str) -> Any:
        if not option.metavar:
            if attached:
                raise CellError(f"{flag} takes no value.")
            return True
        if option.bare is not None and not attached and not self._value_follows(option):
            return option.bare
        return self._value(option, flag)

    def _value_follows(self, option: Option) -> bool:
        try:
            option.convert(self.peek())
        except ValueError:
            return False
        return self._detached

    def _value(self, option: Option, flag: str) -> Any:
        text = self._shell_word(option, flag)
        if text is None:
            raise CellError(f"{flag} needs a value.", hint=f"Write {flag} {option.metavar}.")
        try:
            return option.convert(text)
        except ValueError as error:
            shown = flag if isinstance(error, SecretError) else f"{flag} {text!r}"
            raise CellError(f"{shown}: {error}.", hint="") from None

    def _shell_word(self, option: Option, flag: str) -> str | None:
        word = json_word(self._text, self._pos) if option.field == "params" else None
        try:
            word = word or shell_word(self._text, self._pos)
        except UnclosedQuoteError:
            raise _unclosed(flag) from None
        if option.field == "system" and "'" in (word.text or "") and not _quoted(self._text, self._pos):
            raise _unclosed(flag)  # as in `-s don't be verbose`: one word is not a system prompt
        self._pos = word.end
        return word.text


def _long_name(typed: str) -> str | None:
    """Return the long option that a word with one dash nearly is; -tNAME is a letter with its value."""
    near = nearest(typed, (name for name in BY_NAME if len(name) > MIN_LONG), cutoff=ALMOST)
    return near if near and typed[:2] == near[:2] else None


def _quoted(text: str, start: int) -> bool:
    return text[start:].lstrip()[:1] in {"'", '"'}


def _unclosed(flag: str) -> CellError:
    return CellError(f"The value of {flag} has an unclosed quote.", hint='Put it in double quotes: "…".')
