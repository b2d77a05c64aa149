"""The few HTML tags that models write where Markdown has no word: `<br>`, `<sub>` and `<sup>`.

They become tokens of the parser; no HTML of the text is passed on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.content.tables import BREAK

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline


MAX_RAISED = 400
"""Longest text between `<sub>` or `<sup>` and its end, in characters."""

_OPENING = re.compile(r"<(su[bp])>", re.IGNORECASE)


def tags_plugin(md: MarkdownIt) -> None:
    """Teach markdown-it the tags."""
    md.inline.ruler.before("autolink", "llmkit_tags", _rule)


def _rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's signature
    if state.src[state.pos] != "<":
        return False
    if found := BREAK.match(state.src, state.pos, state.posMax):
        if not silent:
            state.push("hardbreak", "br", 0)
        state.pos = found.end()
        return True
    return _raised(state, silent=silent)


def _raised(state: StateInline, *, silent: bool) -> bool:
    opening = _OPENING.match(state.src, state.pos, state.posMax)
    if opening is None:
        return False
    tag = opening[1].lower()
    closing = _closing(state, opening.end(), tag)
    if closing is None:
        return False
    if not silent:
        _push(state, tag, opening.end(), closing)
    state.pos = closing + len(tag) + 3
    return True


def _push(state: StateInline, tag: str, start: int, end: int) -> None:
    before = state.posMax
    state.pos, state.posMax = start, end
    state.push(f"{tag}_open", tag, 1)
    state.md.inline.tokenize(state)
    state.push(f"{tag}_close", tag, -1)
    state.posMax = before


def _closing(state: StateInline, start: int, tag: str) -> int | None:
    """Return where the end of a tag begins; code and tags inside are skipped as wholes."""
    mark = f"</{tag}>"
    last = min(state.posMax, start + MAX_RAISED)
    before = state.pos
    if mark not in state.src[start : last + len(mark)].lower():
        return None
    state.pos = start
    found = None
    while state.pos < last:
        if state.src[state.pos : state.pos + len(mark)].lower() == mark:
            found = state.pos
            break
        state.md.inline.skipToken(state)
    state.pos = before
    return found
