"""The pace of replay: how fast a recorded answer is streamed."""

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
"""Tokens per second of a model of medium speed."""

LONGEST = 10.0
"""Maximum duration of a natural replay, in seconds."""

PER_TOKEN = 4
"""Approximate characters per token."""

PIECE = 16
"""Approximate characters per chunk, for languages without spaces between words."""

_words = re.compile(rf"\S{{1,{PIECE}}}\s*|\s+")


def checked(pace: Pace | None) -> Pace:
    """Validate a pace.

    Example:
        >>> checked(None)
        'instant'
    """
    if pace is None or pace in ("instant", "natural"):
        return pace or "instant"
    if isinstance(pace, int | float) and not isinstance(pace, bool) and 0 < pace < float("inf"):
        return pace
    raise ConfigurationError(
        f"pace must be 'instant', 'natural' or a positive number, got {pace!r}.",
        hint="A number means tokens per second.",
    )


def pieces(text: str) -> list[str]:
    """Split a text into chunks of about one word each.

    A letter and its combining accents stay together.

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
    """Whether a character belongs to the previous one: an accent, a joiner, a variation selector."""
    return unicodedata.category(letter) in {"Mn", "Mc", "Me"} or letter == "\u200d"


class Player:
    """A call's source that replays a recorded text."""

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
        # Taking from the end of a list is cheap, from its start it is not.
        self._left.reverse()
        self._due = 0.0
        self._clock = clock
        self._sleep = sleep

    async def next(self) -> list[str] | None:
        """Return all chunks that are due; `None` at the end."""
        if not self._left:
            return None
        self._due = self._due or self._clock()  # the first chunk has no delay
        if (wait := self._due - self._clock()) > 0:
            await self._sleep(wait)
        now = self._clock()
        due: list[str] = []
        # Several at once, because `sleep` often lasts longer than one chunk.
        while self._left and (not due or self._due <= now):
            due.append(self._left.pop())
            self._due += len(due[-1]) * self._step
        return due

    async def aclose(self) -> None:
        """Stop; nothing to close."""
        self._left.clear()
