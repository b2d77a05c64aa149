"""Markdown of a model or a user → Markdown without live HTML, whatever program opens the file.

Code keeps its `<`: there it is text for every reader. That the result is harmless is checked with a parser
that takes HTML; where it is not, code is escaped, too.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from llmkit.content.tables import BREAK
from llmkit.notebook.display.markdown.render import MAX_RENDERED
from llmkit.notebook.display.plain_text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.token import Token

_LIVE = re.compile(r"<(?=[A-Za-z/!?])")
_PICTURE = re.compile(r"!(?=\[)")
_HARMLESS = re.compile(r"</?su[bp]>|<(?:https?://|mailto:)[^\s<>]*>", re.IGNORECASE)
_PARTS = re.compile(
    r"(?P<code>(?<![\\`])(?P<ticks>`+)(?!`)(?:(?!\n[ \t]*\n)[\s\S])*?[^`](?P=ticks)(?!`))"
    rf"|(?P<harmless>{BREAK.pattern}|{_HARMLESS.pattern})|(?P<live>{_LIVE.pattern})|(?P<picture>{_PICTURE.pattern})",
    re.IGNORECASE,
)
_LINKED = re.compile(r"([!\]])([\[(])")
_WEB = re.compile(r"(?i)(?:https?:|mailto:|[^:]*$)")
_CODE = ("fence", "code_block")
_HTML = ("html_block", "html_inline")


def inert(markdown: str) -> str:
    """Escape the HTML in Markdown, and turn its pictures into links.

    Example:
        >>> inert("Look: <img src=x onerror=alert(1)>, `a<b>` and **bold**<br>")
        'Look: &lt;img src=x onerror=alert(1)>, `a<b>` and **bold**<br>'
    """
    text = _closed(printable(markdown).replace("\r\n", "\n").replace("\r", "\n"))
    if len(text) > MAX_RENDERED:
        return _escaped(text)
    kept = "".join(_without_html(text))
    return kept if _is_harmless(kept) else _escaped(text)


def inert_line(text: str) -> str:
    """Escape what could be live within a line, such as a heading, whatever stands around it.

    Example:
        >>> inert_line("In[3] <b>")
        'In[3] &lt;b>'
    """
    return _LINKED.sub(r"\1\\\2", printable(" ".join(text.split())).replace("<", "&lt;"))


def _closed(text: str) -> str:
    """Close a fence that is open at the end: what follows in the file is not code."""
    tokens = _reader().parse(text) if len(text) <= MAX_RENDERED else []
    last = tokens[-1] if tokens else None
    if last is None or last.type != "fence" or last.level or last.map is None:
        return text
    lines = text.rstrip("\n").split("\n")[last.map[0] :]
    is_closed = len(lines) > 1 and lines[-1].strip().startswith(last.markup) and not lines[-1].strip(" \t`~")
    return text if is_closed else f"{text}\n{last.markup}"


def _without_html(text: str) -> Iterator[str]:
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    code = set(_code_lines(_reader().parse(text)))
    run: list[str] = []
    for number, line in enumerate(lines):
        if number in code:
            yield _PARTS.sub(_part, "".join(run))
            yield line
            run = []
        else:
            run.append(line)
    yield _PARTS.sub(_part, "".join(run))


def _code_lines(tokens: list[Token]) -> Iterator[int]:
    for token in tokens:
        if token.type in _CODE and token.map:
            yield from range(*token.map)


def _part(match: re.Match[str]) -> str:
    if match["live"]:
        return "&lt;"
    return "" if match["picture"] is not None and match.lastgroup == "picture" else match[0]


def _escaped(text: str) -> str:
    """Escape everything that HTML, links or pictures begin with, in code, too."""
    return text.replace("<", "&lt;").replace("[", "\\[")


def _is_harmless(text: str) -> bool:
    """Whether a reader that takes HTML finds none, and no link to anything but the web."""
    env: dict[str, dict[str, dict[str, str]]] = {}
    tokens = [part for token in _reader().parse(text, env) for part in (token, *(token.children or ()))]
    tags = (token for token in tokens if token.type in _HTML)
    links = [str(token.attrs.get("href", "")) for token in tokens if token.type == "link_open"]
    links += [target["href"] for target in env.get("references", {}).values()]  # another text may use them
    return all(_is_plain_tag(token.content) for token in tags) and all(map(_WEB.match, links))


def _is_plain_tag(tag: str) -> bool:
    return (BREAK.fullmatch(tag.strip()) or _HARMLESS.fullmatch(tag.strip())) is not None


class _Careless(MarkdownIt):
    """Takes any link, as a careless program does."""

    def validateLink(self, url: str) -> bool:  # noqa: ARG002, N802 - markdown-it's method
        return True


@cache
def _reader() -> MarkdownIt:
    return _Careless("commonmark", {"html": True}).enable("table")
