"""Markdown that breaks off in the middle → Markdown that looks the way it will."""

from __future__ import annotations

import re

from llmkit.notebook.display.markdown.tex import closing_mark

MAX_CLOSED = 16_000
"""A longer open block, in characters, is left as it is."""

_FENCE = re.compile(r"[ \t]*(?:(?:[-*+>]|\d{1,9}[.)])[ \t]+)*(`{3,}|~{3,})")
_HALF_FENCE = re.compile(r"\n[ \t]*(?:`+|~+)$")
_HALF_LINE = re.compile(r"(?:^|\n)[ \t]{0,3}(?:-+|=+|[*+#>`~]+|\d{1,3}[.)]|\$|\\)$")
_HALF_BOX = re.compile(r"((?:^|\n)[ \t]*[-*+][ \t]+)\[[ xX]?\]?$")
_HALF_TARGET = re.compile(r"!?\[([^\[\]]*)\]\([^()]*$")
_HALF_LABEL = re.compile(r"!?\[([^\[\]]*)\]?$")
_DISPLAY = re.compile(r"(?:^|\n)[ \t]*(\$\$|\\\[|\\begin\{[a-z]+\*?\})")
_HALF_TAG = re.compile(r"<[\s/]{0,3}(?:b|br|s|su|su[bp])?[\s/]{0,3}$|&(?:n|nb|nbs|nbsp)?$", re.IGNORECASE)
_CODE_SPAN = re.compile(r"(?<!`)(`+)(?!`)((?:(?!\1)[\s\S])+?)(?<!`)\1(?!`)")
_TICKS = re.compile(r"`+")
_MARKS = re.compile(r"\\.|\*{1,3}|_{1,3}|~~|</?su[bp]>")
_SEPARATOR = re.compile(r"[ \t]*\|?[-:| \t]*$")


def close_open(tail: str) -> str:
    """Complete what an open block has begun, for the time being.

    Example:
        >>> close_open("see [the docs](https://exam")
        'see the docs'
    """
    if len(tail) > MAX_CLOSED:
        return tail
    if _in_fence(tail):
        return _HALF_FENCE.sub("", tail)
    head, run = _last_paragraph(tail)
    if formula := _open_formula(run):
        return head + formula
    run = _HALF_LINE.sub("", run)
    return head + (_close_table(run) or _close_inline(_close_link(run)))


def _in_fence(tail: str) -> bool:
    fence = ""
    for line in tail.splitlines():
        match = _FENCE.match(line)
        if match is None:
            continue
        if not fence:
            fence = match[1]
        elif match[1].startswith(fence) and line.strip() == match[1]:
            fence = ""
    return bool(fence)


def _last_paragraph(tail: str) -> tuple[str, str]:
    cut = tail.rfind("\n\n") + 2
    return (tail[:cut], tail[cut:]) if cut > 1 else ("", tail)


def _open_formula(run: str) -> str:
    """Return a display formula that is not closed yet as code; empty if there is none."""
    for match in _DISPLAY.finditer(run):
        if closing_mark(match[1]) not in run[match.end() :]:
            return f"{run[: match.start(1)]}\n```tex\n{run[match.start(1) :].rstrip('$')}\n```"
    return ""


def _close_table(run: str) -> str:
    """Return a header whose separator has not fully arrived as a table; empty if it is none."""
    lines = run.split("\n")
    header = lines[0].strip()
    if not header.startswith("|") or header.count("|") < 2 or len(lines) > 2:
        return ""
    if len(lines) == 2 and not _SEPARATOR.match(lines[1]):
        return ""
    cells = header.strip("|").count("|") + 1
    return f"{header.rstrip('|')}|\n" + "|---" * cells + "|"


def _close_link(run: str) -> str:
    run = _HALF_BOX.sub(r"\1", run)
    if "](" in run[-2_000:]:
        run = _HALF_TARGET.sub(r"\1", run)
    return _HALF_LABEL.sub(r"\1", run) if run.rfind("[") > run.rfind("](") else run


def _close_inline(run: str) -> str:
    text = _CODE_SPAN.sub(lambda match: "x" * len(match[0]), run)
    ticks = _TICKS.search(text)
    if ticks is None:
        return _close_marks(_HALF_TAG.sub("", run), _HALF_TAG.sub("", text))
    closing = "".join(reversed(_open_marks(text[: ticks.start()])))
    if ticks.end() == len(text.rstrip()):
        return run[: ticks.start()].rstrip() + closing
    return run.rstrip() + ticks[0] + closing


def _close_marks(run: str, text: str) -> str:
    marks = _open_marks(text)
    bare = run.rstrip()
    while marks and bare.endswith(marks[-1]):
        bare = bare.removesuffix(marks.pop()).rstrip()
    return bare + "".join(reversed(marks))


def _open_marks(text: str) -> list[str]:
    """Return what closes the marks that are open at the end, the innermost last."""
    marks: list[str] = []
    for match in _MARKS.finditer(text):
        mark = match[0]
        if mark.startswith("<"):
            _take_tag(mark, marks)
        elif not mark.startswith("\\"):  # an escaped character
            _take_mark(mark, marks, text[: match.start()][-1:], text[match.end() :][:1])
    return marks


def _take_mark(mark: str, marks: list[str], before: str, after: str) -> None:
    if mark in marks and _may_close(mark, before, after):
        del marks[marks.index(mark) :]
    elif _may_open(mark, before, after):
        marks.append(mark)


def _take_tag(tag: str, marks: list[str]) -> None:
    if not tag.startswith("</"):
        marks.append(f"</{tag[1:]}")
    elif tag in marks:
        del marks[marks.index(tag) :]


def _may_open(mark: str, before: str, after: str) -> bool:
    """Whether a mark can begin emphasis; an underscore inside a word marks nothing.

    Source: CommonMark 0.31, "Emphasis and strong emphasis".
    """
    return not after.isspace() and not (mark.startswith("_") and before.isalnum())


def _may_close(mark: str, before: str, after: str) -> bool:
    """Whether a mark can end emphasis; see `_may_open`."""
    in_word = mark.startswith("_") and before.isalnum() and after.isalnum()
    return bool(before) and not before.isspace() and not in_word
