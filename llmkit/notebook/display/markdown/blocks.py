"""Markdown that arrives in pieces → blocks that later text cannot change.

A finished block is shown once; only the open one is drawn again. So the work for an answer grows with its
length, not with its square.
"""

from __future__ import annotations

import re

from llmkit.notebook.display.markdown.tex import closing_mark

_BLANKS = " \t\r\n"
_FENCE = re.compile(r"(`{3,})[^`]*$|(~{3,})")
_MARKER = re.compile(r"(?:[-*+]|\d{1,9}[.)])(?:[ \t]+|$)")
_INTERRUPTS = re.compile(r"(?:[-*+]|1[.)])[ \t]+\S")
_RULE = re.compile(r"(?:\*[ \t]*){3,}$|(?:-[ \t]*){3,}$|(?:_[ \t]*){3,}$")
_HEADING = re.compile(r"#{1,6}(?:[ \t]|$)")
_DISPLAY = re.compile(r"\$\$|\\\[|\\begin\{[a-z]+\*?\}")


class Blocks:
    r"""Splits Markdown into finished blocks while it arrives.

    Joined together, the blocks are the text, character for character, and drawn one by one they look like
    the text drawn as a whole; only links and footnotes that are defined in another block do not resolve.

    Example:
        >>> blocks = Blocks()
        >>> blocks.feed("One.\n\nTw")
        ['One.\n\n']
        >>> blocks.tail
        'Tw'
        >>> blocks.finish()
        ['Tw']
    """

    def __init__(self) -> None:
        self._open: list[str] = []
        self._rest: list[str] = []
        self._sealed: list[str] = []
        self._kind = ""
        self._indent = 0
        self._fence = ""
        self._math = ""
        self._after_blank = False

    @property
    def tail(self) -> str:
        """The open block, which the next text may change."""
        return "".join(self._open) + "".join(self._rest)

    def feed(self, delta: str) -> list[str]:
        """Take the next piece of text."""
        if "\n" not in delta:
            self._rest.append(delta)
            return []
        *lines, rest = ("".join(self._rest) + delta).split("\n")
        self._rest = [rest]
        for line in lines:
            self._line(line + "\n")
        return self._take()

    def finish(self) -> list[str]:
        """End the text."""
        rest, self._rest = "".join(self._rest), []
        if rest:
            self._line(rest)
        self._seal()
        return self._take()

    def _take(self) -> list[str]:
        sealed, self._sealed = self._sealed, []
        return sealed

    def _seal(self) -> None:
        if self._open:
            self._sealed.append("".join(self._open))
        self._open = []
        self._kind = self._fence = self._math = ""
        self._after_blank = False

    def _line(self, line: str) -> None:
        text = line.strip(_BLANKS)
        indent = _indent(line)
        if self._fence and self._in_fence(line, text, indent):
            return
        if not text:
            self._blank(line)
            return
        if self._ends(text, indent):
            self._seal()
        self._open.append(line)
        if not self._kind:
            self._begin(text, indent)
        else:
            self._go_on(text, indent)
        self._after_blank = False

    def _in_fence(self, line: str, text: str, indent: int) -> bool:
        """Take a line of a fence; `False` if the list that holds the fence ends before this line."""
        in_list = self._kind == "list"
        if in_list and text and indent < self._indent:
            self._fence = ""
            return False
        self._open.append(line)
        closes = text.startswith(self._fence) and not text.strip(self._fence[0])
        if closes and (in_list or indent < 4):
            self._fence = ""
            if not in_list:
                self._seal()
        return True

    def _blank(self, line: str) -> None:
        self._open.append(line)
        self._after_blank = True
        self._math = ""
        if self._kind == "text":
            self._seal()

    def _ends(self, text: str, indent: int) -> bool:
        """Whether the open block ends before this line."""
        if self._kind == "list":
            return not self._in_list(text, indent) and (self._after_blank or _starts_block(text))
        if self._kind == "code":
            return indent < 4
        return self._kind == "text" and not self._math and indent < 4 and _interrupts(text)

    def _in_list(self, text: str, indent: int) -> bool:
        """Whether a line belongs to an item of the open list, or begins another one."""
        return indent >= self._indent or (indent < 4 and _is_item(text))

    def _begin(self, text: str, indent: int) -> None:
        if indent >= 4:
            self._kind = "code"
        elif fence := _fence_of(text):
            self._kind, self._fence = "fence", fence
        elif _HEADING.match(text) or _RULE.match(text):
            self._seal()
        elif _is_item(text):
            self._kind, self._indent = "list", _content_indent(text, indent)
            self._fence = _fence_of(_without_markers(text))
        else:
            self._kind, self._math = "text", _math_of(text)

    def _go_on(self, text: str, indent: int) -> None:
        if self._kind == "list":
            if indent < self._indent and _is_item(text):
                self._indent = min(self._indent, _content_indent(text, indent))
            self._fence = _fence_of(_without_markers(text))
        elif self._kind == "text":
            if self._math:
                self._math = "" if text.endswith(self._math) else self._math
            else:
                self._math = _math_of(text)


def split_blocks(markdown: str) -> list[str]:
    r"""Split a whole text into its blocks.

    Example:
        >>> split_blocks("# A\nb")
        ['# A\n', 'b']
    """
    blocks = Blocks()
    return [*blocks.feed(markdown), *blocks.finish()]


def _indent(line: str) -> int:
    indent = 0
    for char in line:
        if char == " ":
            indent += 1
        elif char == "\t":
            indent += 4 - indent % 4
        else:
            break
    return indent


def _fence_of(text: str) -> str:
    match = _FENCE.match(text)
    return (match[1] or match[2]) if match else ""


def _math_of(text: str) -> str:
    """Return what will end the display formula that this line opens; empty if it opens none."""
    match = _DISPLAY.match(text)
    if match is None:
        return ""
    closing = closing_mark(match[0])
    return "" if closing in text[match.end() :] else closing


def _is_item(text: str) -> bool:
    return bool(_MARKER.match(text)) and not _RULE.match(text)


def _interrupts(text: str) -> bool:
    """Whether a line ends a paragraph without a blank line between them.

    Source: CommonMark 0.31, "List items": of the numbered ones only 1 may, and none that is empty.
    """
    if _HEADING.match(text) or _fence_of(text):
        return True
    return bool(_INTERRUPTS.match(text)) and not _RULE.match(text)


def _starts_block(text: str) -> bool:
    return bool(_HEADING.match(text) or _fence_of(text) or _RULE.match(text) or text.startswith(">"))


def _content_indent(text: str, indent: int) -> int:
    marker = _MARKER.match(text)
    width = len(marker[0].expandtabs(4)) if marker else 0
    bare = len(text.split(None, 1)[0]) + 1
    return indent + (width if bare <= width <= bare + 3 else bare)


def _without_markers(text: str) -> str:
    start = 0
    while match := _MARKER.match(text, start):
        start = match.end()
        if start == len(text):
            break
    return text[start:]
