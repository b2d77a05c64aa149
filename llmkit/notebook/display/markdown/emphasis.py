"""Emphasis in scripts that put no blanks between words: Chinese, Japanese, Korean, Thai and others.

CommonMark ends emphasis only if no punctuation stands inside it, or if a blank or punctuation follows.
Chinese bolds a word with its colon and goes on without a blank, so the asterisks would stay. Beside letters
and punctuation of such scripts, the rule about punctuation does not apply; English is as before.

Source: the specification of `markdown-cjk-friendly`, widened to all scripts from Hebrew on.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline.state_inline import Scanned, StateInline

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_FIRST_OTHER = 0x0590
"""The first code point after the European scripts."""

_SHARED = range(0x2000, 0x2E80)
"""Punctuation and symbols that European texts use, too."""

_EUROPEAN = frozenset({"LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN", "MODIFIER", "COMBINING"})

_REACH = 4
"""How many marks of punctuation are looked through for the letter that tells the script."""


class EmphasisInline(ParserInline):
    """markdown-it's inline parser, with a more tolerant rule for what opens and closes emphasis."""

    def parse(self, src: str, md: MarkdownIt, env: dict[str, object], tokens: list[Token]) -> list[Token]:  # type: ignore[override]  # markdown-it's own type of env
        """Parse a paragraph's text; see `ParserInline.parse`."""
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


class _State(StateInline):
    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: FBT001, N802, N803 - markdown-it's signature
        """Tell whether a run of marks may open and close emphasis."""
        found = super().scanDelims(start, canSplitWord)
        if not canSplitWord:
            return found
        end = start + found.length
        before, after = self.src[start - 1 : start] or " ", self.src[end : end + 1] or " "
        opens = found.can_open or (
            not isWhiteSpace(ord(after)) and (_is_other(before) or _joins(self.src, end, 1))
        )
        closes = found.can_close or (
            not isWhiteSpace(ord(before)) and (_is_other(after) or _joins(self.src, start - 1, -1))
        )
        return Scanned(opens, closes, found.length)


def _joins(text: str, place: int, step: int) -> bool:
    """Whether punctuation belongs to a script without blanks, by itself or by the next letter."""
    for _ in range(_REACH):
        if not 0 <= place < len(text):
            return False
        if _is_other(text[place]):
            return True
        if not _is_punctuation(text[place]):
            return False
        place += step
    return False


def _is_punctuation(char: str) -> bool:
    return isMdAsciiPunct(ord(char)) or isPunctChar(char)


@lru_cache(maxsize=4096)
def _is_other(char: str) -> bool:
    """Whether a character belongs to a script other than the European ones; emoji do not."""
    code = ord(char)
    if code < _FIRST_OTHER or code in _SHARED or unicodedata.category(char)[0] in "SZC":
        return False
    return unicodedata.name(char, "").partition(" ")[0] not in _EUROPEAN
