"""Fenced code blocks of a Markdown text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


_ALIASES = {"py": "python", "python3": "python", "ipython": "python", "ipython3": "python", "pycon": "python"}
_OPENING = re.compile(r"([ \t]*)(`{3,}|~{3,})[ \t]*([^`\n]*)$")


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block.

    Attributes:
        language: Its language in lower case, by its common name; empty if it has none.
        code: What stands in it.
        before: The text between it and the previous block.
    """

    language: str
    code: str
    before: str = field(default="", repr=False, compare=False)


def fences(text: str) -> list[Fence]:
    r"""Return the code blocks of a text; an unclosed one ends at the end.

    Example:
        >>> fences("Do:\n```py\na = 1\n```\n")
        [Fence(language='python', code='a = 1')]

    Source: CommonMark, section 4.5; blocks in lists may be indented deeper.
    """
    found: list[Fence] = []
    words: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        if opening := _OPENING.match(line):
            indent, mark, info = opening.groups()
            named = (info.split() or [""])[0].strip("{}.,").lower()
            inside = list(_inside(lines, mark, len(indent)))
            found.append(Fence(language_name(named), "\n".join(inside), "\n".join(words)))
            words = []
        else:
            words.append(line)
    return found


def language_name(name: str) -> str:
    """Return the most common name of a language, in lower case."""
    return _ALIASES.get(name.lower(), name.lower())


def _inside(lines: Iterator[str], mark: str, indent: int) -> Iterator[str]:
    """Yield a block's lines up to its end, without the indentation of its first line."""
    for line in lines:
        bare = line.strip()
        # A closing fence is at least as long as its opening one; shorter ones are content.
        if len(bare) >= len(mark) and not bare.strip(mark[0]):
            return
        yield line[min(indent, len(line) - len(line.lstrip())) :]
