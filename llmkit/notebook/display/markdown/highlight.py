"""Source code → HTML with classes that the stylesheet colours."""

from __future__ import annotations

import time
from functools import cache
from itertools import groupby, takewhile

from markdown_it.common.utils import escapeHtml
from pygments.lexers import get_lexer_by_name
from pygments.token import Token, _TokenType

MAX_CODE = 50_000
"""Longest code that is coloured, in characters; longer code is shown plain."""

MAX_LINE = 1_000
"""Longest line of code that is coloured, in characters; some lexers take quadratic time over a line."""

MAX_SECONDS = 0.5
"""Most CPU time to colour one piece of code; some lexers take even longer over nonsense."""

_LANGUAGES = """
    bash sh shell zsh console powershell bat python py python3 pycon ipython r julia jl sql sqlite3
    postgresql json yaml yml toml ini javascript js typescript ts jsx tsx html xml css scss c cpp
    c++ csharp c# java kotlin scala go rust rs swift ruby rb php perl lua haskell hs latex tex
    diff make makefile docker dockerfile cmake nginx graphql
"""
LANGUAGES = frozenset(_LANGUAGES.split())
"""Languages that are coloured: a fence's name must not be able to pick just any lexer."""

_CLASSES = {
    Token.Comment: "c",
    Token.Keyword: "k",
    Token.Keyword.Constant: "a",
    Token.Operator: "o",
    Token.Operator.Word: "k",
    Token.Literal.Number: "n",
    Token.Literal.String: "s",
    Token.Name.Builtin: "b",
    Token.Name.Function: "d",
    Token.Name.Class: "d",
    Token.Name.Decorator: "m",
    Token.Name.Exception: "b",
    Token.Name.Attribute: "t",
    Token.Name.Tag: "k",
    Token.Generic.Deleted: "gd",
    Token.Generic.Inserted: "gi",
    Token.Generic.Heading: "d",
    Token.Generic.Subheading: "d",
    Token.Generic.Prompt: "m",
}
CLASSES = frozenset(f"llmkit-{name}" for name in _CLASSES.values())
"""Every class that coloured code may carry."""


def highlight(code: str, language: str, seconds: float = MAX_SECONDS) -> str:
    """Colour source code.

    Example:
        >>> highlight("1 < 2", "text")
        '1 &lt; 2'
    """
    if language.lower() not in LANGUAGES or not _is_moderate(code):
        return escapeHtml(code)
    tokens = _tokens(code, language.lower(), min(seconds, MAX_SECONDS))
    # Some lexers drop what they do not understand, and an answer must not lose text.
    if "".join(text for _, text in tokens) != code:
        return escapeHtml(code)
    runs = groupby(tokens, key=lambda token: _class(token[0]))
    return "".join(_span(name, "".join(text for _, text in run)) for name, run in runs)


def _is_moderate(code: str) -> bool:
    return len(code) <= MAX_CODE and all(len(line) <= MAX_LINE for line in code.split("\n"))


def _tokens(code: str, language: str, seconds: float) -> list[tuple[_TokenType, str]]:
    """Return the tokens; too few of them if the lexer takes too long."""
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    end = time.thread_time() + seconds
    return list(takewhile(lambda _: time.thread_time() < end, lexer.get_tokens(code)))


def _span(name: str, text: str) -> str:
    html = escapeHtml(text)
    return f'<span class="llmkit-{name}">{html}</span>' if name and not text.isspace() else html


@cache
def _class(kind: _TokenType) -> str:
    while kind is not Token:
        if kind in _CLASSES:
            return _CLASSES[kind]
        kind = kind.parent or Token
    return ""
