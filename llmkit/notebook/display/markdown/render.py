"""A model's Markdown → HTML in which nothing can run and nothing is fetched.

Three walls: markdown-it takes no HTML (`html=False`), formulas are checked before MathJax sees them
(`tex`), and nh3 lets only the tags, attributes and classes below through. Pictures
become links, so that showing an answer never makes a request.
"""

from __future__ import annotations

import re
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.token import Token
from mdit_py_plugins.footnote import footnote_plugin

from llmkit.notebook.display.markdown.blocks import split_blocks
from llmkit.notebook.display.markdown.emphasis import EmphasisInline
from llmkit.notebook.display.markdown.highlight import CLASSES as CODE_CLASSES
from llmkit.notebook.display.markdown.highlight import highlight
from llmkit.notebook.display.markdown.mathml import ATTRIBUTES, ELEMENTS
from llmkit.notebook.display.markdown.partial import close_open
from llmkit.notebook.display.markdown.style import STYLESHEET
from llmkit.notebook.display.markdown.tags import tags_plugin
from llmkit.notebook.display.markdown.tex import TYPESET, UNTOUCHED, guard_text, tex_plugin
from llmkit.notebook.display.plain_text import plain, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.rules_core import StateCore

MAX_WHOLE = 100_000
"""Up to this many characters a text is rendered as one; a longer one block by block."""

MAX_RENDERED = 400_000
"""A text longer than this, in characters, is shown as it was written."""

MAX_PARAGRAPH = 16_000
"""Marks inside a longer paragraph, in characters, are shown as they were written."""

MAX_NESTING = 32

MAX_COLOURING = 2.0
"""Longest time that goes into colouring the code of one text, in seconds."""

_WEB = re.compile("(?i)(?:https?://|mailto:)")
_TASK = re.compile(r"\[([ xX])\][ \t]+")

# What scrolls sideways can be reached with the keyboard, too.
_PRE = '<pre class="llmkit-code" tabindex="0">'

_TAGS = """
    a blockquote br code div em h1 h2 h3 h4 h5 h6 hr li ol p pre s span strong sub sup
    table tbody td th thead tr ul
"""
_ATTRIBUTES = {"*": set[str](), "a": {"href"}, "ol": {"start"}, "td": {"align"}, "th": {"align"}}
_MATHML = {element: {*ATTRIBUTES, "mathvariant"} for element in ELEMENTS}
_CLASSES = {
    "code": {"llmkit-tex"},
    "div": {"llmkit-table"},
    "li": {"llmkit-task"},
    "ol": {"llmkit-notes"},
    "pre": {"llmkit-code"},
    "span": {
        "llmkit-math",
        "llmkit-display",
        "llmkit-box",
        *TYPESET.split(),
        *UNTOUCHED.split(),
        *CODE_CLASSES,
    },
    "sup": {"llmkit-ref"},
}


def render(markdown: str, *, mathml: bool = False) -> str:
    r"""Render Markdown as HTML that is safe to display.

    Example:
        >>> render("Hello **world**<script>")
        '<p>Hello <strong>world</strong>&lt;script&gt;</p>\n'
    """
    return _render_any(markdown, {"mathml": mathml})


def render_partial(tail: str) -> str:
    r"""Render a block that is still being written.

    Open fences, emphasis, links and table headers look as if they were complete, and formulas show their
    source: typesetting them anew with every word would flicker.

    Example:
        >>> render_partial("Hello **wor")
        '<p>Hello <strong>wor</strong></p>\n'
    """
    return _render_any(close_open(tail), {"partial": True})


def page(body: str, footer: str = "", *, style: bool = True, cut: bool = False, part: bool = False) -> str:
    """Wrap rendered HTML for one output."""
    css = stylesheet() if style else ""
    kind = " ".join(["llmkit", *["llmkit-cut"] * cut, *["llmkit-part"] * part])
    return f'{css}<div class="{kind} {UNTOUCHED}">{body}{footer}</div>'


def stylesheet() -> str:
    """Return the `style` element for rendered answers: scoped, for light and dark themes."""
    return f"<style>{STYLESHEET}</style>"


def text_html(text: str) -> str:
    r"""Return text as HTML that shows it as it was written: no markup, no formula, no control sequence.

    Example:
        >>> text_html("<b> \x1b[31mred")
        '&lt;b&gt; red'
    """
    return guard_text(plain(printable(text)))


def _render_any(markdown: str, env: dict[str, Any]) -> str:
    markdown = plain(printable(markdown))  # first: without control sequences it may read as something else
    env["seconds"] = [MAX_COLOURING]  # what is left of it; shared by the blocks of a long text
    if len(markdown) <= MAX_WHOLE:
        return _render_one(markdown, env)
    if len(markdown) > MAX_RENDERED:
        return _plain(markdown)
    return "".join(_render_long(block, env) for block in split_blocks(markdown))


def _render_long(block: str, env: dict[str, Any]) -> str:
    return _plain(block) if len(block) > MAX_WHOLE else _render_one(block, dict(env))


def _render_one(markdown: str, env: dict[str, Any]) -> str:
    try:
        tokens = _parser().parse(markdown, env)
    except RecursionError:
        return _plain(markdown)
    # markdown-it drops what is nested deeper than this, and an answer must not lose text.
    if any(token.level >= MAX_NESTING - 1 for token in tokens):
        return _plain(markdown)
    html = _parser().renderer.render(tokens, _parser().options, env)
    return sanitise(html, mathml=bool(env.get("mathml")))


def _plain(markdown: str) -> str:
    return f"{_PRE}<code>{escapeHtml(markdown)}</code></pre>\n"


def sanitise(html: str, *, mathml: bool = False) -> str:
    """Let only the tags, attributes and classes of an answer through.

    Example:
        >>> sanitise('<p onclick="x()">Hi<img src="https://example.org/a.png"></p>')
        '<p>Hi</p>'
    """
    return nh3.clean(
        html,
        tags=set(_TAGS.split()) | (ELEMENTS if mathml else set()),
        attributes=_ATTRIBUTES | (_MATHML if mathml else {}),
        allowed_classes=_CLASSES,
        url_schemes={"http", "https", "mailto"},
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
        tag_attribute_values={"div": {"tabindex": {"0"}}, "pre": {"tabindex": {"0"}}},
        attribute_filter=_web_only,
    )


def _web_only(_tag: str, name: str, value: str) -> str | None:
    """Drop targets such as `http:/lab`, which browsers look for on the server that the page came from."""
    return value if name != "href" or _WEB.match(value) else None


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark")
    parser.inline = EmphasisInline()
    parser.configure("commonmark", {"html": False, "maxNesting": MAX_NESTING})
    parser.enable(["table", "strikethrough"])
    parser.use(footnote_plugin, inline=False).use(tex_plugin).use(tags_plugin)
    parser.core.ruler.before("inline", "llmkit_long", _long_paragraphs)
    parser.core.ruler.push("llmkit_polish", _polish)
    for name, rule in _RULES.items():
        parser.add_render_rule(name, rule)
    return parser


def _long_paragraphs(state: StateCore) -> None:
    """Keep marks inside enormous paragraphs as text: finding their ends costs too much."""
    for token in state.tokens:
        if token.type == "inline" and len(token.content) > MAX_PARAGRAPH:
            text = Token("text", "", 0, content=token.content)
            token.type, token.children = "llmkit_long", [text]


def _polish(state: StateCore) -> None:
    for index, token in enumerate(state.tokens):
        if token.type == "llmkit_long":
            token.type = "inline"
        if token.type == "inline":
            _pictures(token.children or [])
            _task(state.tokens[max(index - 2, 0)], token.children or [])  # item, paragraph, its text
        elif token.type in ("th_open", "td_open") and "style" in token.attrs:
            token.attrs = {"align": str(token.attrs["style"]).removeprefix("text-align:")}


def _pictures(children: list[Token]) -> None:
    """Turn pictures into links: loading one would tell its server who reads the answer, and what."""
    in_link = 0
    for token in children:
        in_link += token.nesting if token.type in ("link_open", "link_close") else 0
        if token.type == "image":
            token.type = "llmkit_picture"
            token.meta = {"linked": bool(in_link)}


def _task(item: Token, children: list[Token]) -> None:
    """Turn `[ ]` at the start of a list's item into a box."""
    if item.type != "list_item_open" or not children or children[0].type != "text":
        return
    match = _TASK.match(children[0].content)
    if match is None:
        return
    item.attrSet("class", "llmkit-task")
    children[0].content = children[0].content[match.end() :]
    box = Token("llmkit_box", "", 0, content="☐" if match[1] == " " else "☑")
    children.insert(0, box)


def _text(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    return guard_text(tokens[index].content)


def _code(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, env: Any) -> str:
    token = tokens[index]
    language = token.info.split(None, 1)[0] if token.info.strip() else ""
    started = time.thread_time()
    html = highlight(token.content, language, env["seconds"][0])
    env["seconds"][0] -= time.thread_time() - started
    return f"{_PRE}<code>{html}</code></pre>\n"


def _picture(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    token = tokens[index]
    source = str(token.attrs.get("src", ""))
    name = guard_text(f"[image] {token.content or source}")
    return name if token.meta["linked"] else f'<a href="{escapeHtml(source)}">{name}</a>'


def _box(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    return f'<span class="llmkit-box">{tokens[index].content}</span> '


def _footnote(_renderer: Any, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    return f'<sup class="llmkit-ref">[{tokens[index].meta["id"] + 1}]</sup>'


def _constant(html: str) -> Any:
    def rule(_renderer: Any, _tokens: Sequence[Token], _index: int, _options: Any, _env: Any) -> str:
        return html

    return rule


_RULES = {
    "text": _text,
    "fence": _code,
    "code_block": _code,
    "llmkit_picture": _picture,
    "llmkit_box": _box,
    "softbreak": _constant(
        "<br>\n"
    ),  # as chats do: models end lines of verse and addresses without the two spaces
    "table_open": _constant('<div class="llmkit-table" tabindex="0"><table>\n'),
    "table_close": _constant("</table></div>\n"),
    "footnote_ref": _footnote,
    "footnote_block_open": _constant('<hr>\n<ol class="llmkit-notes">\n'),
    "footnote_block_close": _constant("</ol>\n"),
    "footnote_open": _constant("<li>"),
    "footnote_close": _constant("</li>\n"),
    "footnote_anchor": _constant(""),
}
