"""How fast a recorded answer is played back."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from time import monotonic
from typing import TYPE_CHECKING, Literal, TypeAlias

from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

Pace: TypeAlias = Literal["instant", "natural"] | float
"""`"instant"`, `"natural"`, or tokens per second."""

NATURAL = 60.0
"""Tokens per second of a model that is neither the fastest nor the slowest."""

LONGEST = 10.0
"""Seconds that a natural replay takes at most, however long the answer."""

PER_TOKEN = 4
"""Characters of a token, about."""

PIECE = 16
"""Characters of a piece, about: languages without spaces have no words to cut at."""

_words = re.compile(rf"\S{{1,{PIECE}}}\s*|\s+")


def checked(pace: Pace | None) -> Pace:
    """Return a pace that can be kept.

    Example:
        >>> checked(None)
        'instant'
    """
    if pace is None or pace in ("instant", "natural"):
        return pace or "instant"
    if isinstance(pace, int | float) and not isinstance(pace, bool) and 0 < pace < float("inf"):
        return pace
    raise ConfigurationError(
        f"pace={pace!r} cannot be kept.",
        hint='Take "instant", "natural", or a number of tokens per second.',
    )


def pieces(text: str) -> list[str]:
    """Cut a text into pieces of about a word; joined, they are the text again.

    A letter and the accents that follow it stay together.

    Example:
        >>> pieces("To be, or not")
        ['To ', 'be, ', 'or ', 'not']
    """
    return list(_whole_letters(_words.findall(text)))


def _whole_letters(words: list[str]) -> Iterator[str]:
    held = ""
    for word in words:
        if held and not _continues(word[0]):
            yield held
            held = ""
        held += word
    if held:
        yield held


def _continues(letter: str) -> bool:
    """Whether a character belongs to the one before it: an accent, a joiner, a variation."""
    return unicodedata.category(letter) in {"Mn", "Mc", "Me"} or letter == "\u200d"


class Player:
    """Plays a recorded text back: a call's source."""

    def __init__(
        self,
        text: str,
        pace: Pace,
        *,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        if pace == "natural":
            pace = max(NATURAL, len(text) / PER_TOKEN / LONGEST)
        self._step = 0.0 if pace == "instant" else 1 / (float(pace) * PER_TOKEN)
        self._left = ([text] if text else []) if pace == "instant" else pieces(text)
        self._left.reverse()
        self._due = 0.0
        self._clock = clock
        self._sleep = sleep

    async def next(self) -> list[str] | None:
        """Wait for the next pieces, all that are due; `None` at the end."""
        if not self._left:
            return None
        self._due = self._due or self._clock()  # the first piece comes at once
        if (wait := self._due - self._clock()) > 0:
            await self._sleep(wait)
        now = self._clock()
        due: list[str] = []
        while self._left and (not due or self._due <= now):
            due.append(self._left.pop())
            self._due += len(due[-1]) * self._step
        return due

    async def aclose(self) -> None:
        """Stop; there is nothing to close."""
        self._left.clear()
