"""The examples of Markdown documents: the README and the pages of the documentation, read in one way."""

from __future__ import annotations

import re
from typing import NamedTuple

FENCE = re.compile(r"^(`{3,})(\{code-cell\}|\w+)(?: \w+)?\n(.*?)^\1$", re.DOTALL | re.MULTILINE)
TAGS = re.compile(r"\A:tags: \[(.*)\]\n\n?")
CELLS = ("{code-cell}", "python")


class Block(NamedTuple):
    """A fenced block: its language, its code and the tags of a cell."""

    language: str
    code: str
    tags: frozenset[str] = frozenset()


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a document, in order."""
    found = []
    for _, language, code in FENCE.findall(text):
        head = TAGS.match(code) if language == "{code-cell}" else None
        tags = frozenset(re.split(r",\s*", head[1])) if head else frozenset()
        found.append(Block(language, code[head.end() :] if head else code, tags))
    return found


def code(text: str, language: str) -> list[str]:
    """Return the code of the blocks in one language."""
    return [block.code for block in blocks(text) if block.language == language]


def cells(text: str) -> list[Block]:
    """Return the blocks that a notebook would run, in order."""
    return [block for block in blocks(text) if block.language in CELLS]
