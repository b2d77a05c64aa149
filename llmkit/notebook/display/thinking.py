"""Holds back the reasoning that a model writes into its text while the text streams."""

from __future__ import annotations

from llmkit.content.reasoning import TAG

LONGEST = 100
"""Longest tag, in characters: so much of a text is held back where one may begin."""

THINKING = "thinking…"
"""What the status of a growing answer says while the model reasons."""

_BEGINS = ("<", "[", "◁")


class Spoken:
    r"""Passes a streaming text on without the reasoning between think tags at its beginning.

    The finished answer is read by `spoken`, which also knows tags in other places.

    Example:
        >>> filter = Spoken()
        >>> [filter.feed(piece) for piece in ["<thi", "nk>Perhaps", " 41?</think>", "\n42"]]
        ['', '', '', '42']
    """

    def __init__(self) -> None:
        self._held = ""
        self._begins = True
        self.thinking = False

    def feed(self, piece: str) -> str:
        """Return what of the text so far is to be shown now."""
        if not (self._begins or self.thinking):  # the common case
            return piece
        self._held += piece
        return self._between() if self.thinking else self._before()

    def rest(self) -> str:
        """Return what is still held back at the end, as it is no reasoning."""
        held, self._held = self._held, ""
        return "" if self.thinking else held

    def _before(self) -> str:
        """Look for an opening tag; until there is text, one may come."""
        text = self._held.lstrip()
        tag = TAG.match(text)
        if tag is not None and not any(tag.groups()):
            self.thinking, self._held = True, text[tag.end() :]
            return self._between()
        if not text or (
            text.startswith(_BEGINS) and len(text) < LONGEST and "\n" not in text and tag is None
        ):
            return ""
        self._begins, self._held = False, ""
        return text

    @staticmethod
    def _may_begin(text: str) -> bool:
        """Whether a text may be the beginning of a tag."""
        return text.startswith(_BEGINS) and len(text) < LONGEST and "\n" not in text

    def _between(self) -> str:
        """Look for the closing tag."""
        for tag in TAG.finditer(self._held):
            if any(tag.groups()):
                self.thinking, self._held = False, self._held[tag.end() :]
                return self._before()
        self._held = self._held[-LONGEST:]
        return ""
