"""What a browser would make of HTML: read by html5lib, which knows nothing of the sanitiser."""

# ruff: noqa: E501 - attacks and lists are data: each is easiest to read on one line

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import html5lib

from llmkit.notebook.display.markdown.highlight import CLASSES
from llmkit.notebook.display.markdown.render import stylesheet
from llmkit.notebook.display.markdown.style import COMPARE, PARTS
from llmkit.notebook.display.markdown.tex import is_safe_tex

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

XHTML = "{http://www.w3.org/1999/xhtml}"
MATHML = "{http://www.w3.org/1998/Math/MathML}"
ALLOWED = {
    **{tag: set() for tag in ["b", "blockquote", "br", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "p", "s", "small", "strong", "table", "tbody", "summary", "thead", "tr", "ul"]},
    "a": {"href", "target", "rel"},
    "code": {"class"},
    "details": {"class"},
    "div": {"class", "role", "aria-label", "tabindex"},
    "img": {"class", "src", "alt"},
    "li": {"class"},
    "ol": {"class", "start"},
    "p": {"class"},
    "pre": {"class", "tabindex"},
    "span": {"class"},
    "sub": set(),
    "sup": {"class"},
    "td": {"align", "style"},
    "th": {"align", "style"},
}  # fmt: skip
VALUES = {
    "target": re.compile("_blank"),
    "rel": re.compile("noopener noreferrer nofollow"),
    "href": re.compile(r"(?i)(https?://|mailto:)[^\s]*"),
    "align": re.compile("left|right|center"),
    "src": re.compile(r"data:image/(png|jpeg|webp|gif);base64,[A-Za-z0-9+/]+=*"),
    "start": re.compile(r"\d{1,9}"),
    "tabindex": re.compile("0"),
    "role": re.compile("group|region"),
    "style": re.compile("text-align:left"),
}
DRAWING = {"math", "menclose", "mfrac", "mi", "mn", "mo", "mover", "mpadded", "mphantom", "mroot", "mrow", "mspace", "msqrt", "mstyle", "msub", "msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder", "munderover"}  # fmt: skip
DRAWN = {"accent", "accentunder", "columnalign", "depth", "display", "displaystyle", "fence", "form", "height", "linethickness", "lspace", "mathcolor", "mathvariant", "maxsize", "minsize", "movablelimits", "notation", "rspace", "scriptlevel", "separator", "stretchy", "voffset", "width"}  # fmt: skip
PLAIN = re.compile(r"[-+.#%\w ]{1,40}")
MATHJAX = {"mathjax_process", "tex2jax_process", "mathjax_ignore", "tex2jax_ignore"}
KNOWN = CLASSES | MATHJAX
STYLES = {re.sub("</?style>", "", style) for style in (stylesheet(), COMPARE, PARTS)}
FORMULA = re.compile(r"\$|\\\(|\\\[|\\begin|\\(?:eq)?ref")


def problems(html: str, *, mathml: bool = False) -> list[str]:
    """Return what is not on the lists above, and every formula that MathJax would find and should not.

    With `mathml`, elements that draw formulas may stand in it, for the live chat and exported pages.
    """
    wrong: list[str] = []
    _visit(html5lib.parseFragment(html), wrong, process=None, mathml=mathml)
    return wrong


def _visit_formula(element: Element, wrong: list[str]) -> None:
    """Look at an element of MathML: it may hold its like and text, and attributes with short, plain values."""
    for one in element.iter():
        name = str(one.tag).removeprefix(MATHML)
        if name not in DRAWING or not str(one.tag).startswith(MATHML):
            wrong.append(f"<{one.tag}> in a formula")
        for attribute, value in one.attrib.items():
            if attribute not in DRAWN or not PLAIN.fullmatch(value):
                wrong.append(f"{name}[{attribute}={value}]")


def _visit(element: Element, wrong: list[str], *, process: bool | None, mathml: bool) -> None:
    if mathml and element.tag == f"{MATHML}math":
        _visit_formula(element, wrong)
        return
    tag = element.tag.removeprefix(XHTML) if isinstance(element.tag, str) else "comment"
    if tag == "style" and element.text in STYLES and not element.attrib:
        return
    if tag not in ALLOWED and tag != "DOCUMENT_FRAGMENT":
        wrong.append(f"<{tag}>")
    for name, value in element.attrib.items():
        _attribute(tag, name, value, wrong)
    classes = set(element.get("class", "").split())
    if classes & {"mathjax_ignore", "tex2jax_ignore"} or tag in ("code", "pre"):
        process = False
    elif classes & {"mathjax_process", "tex2jax_process"}:
        process = True
    for text in (element.text, *(child.tail for child in element)):
        _formula(text or "", wrong, process=process)
    for child in element:
        _visit(child, wrong, process=process, mathml=mathml)


def _attribute(tag: str, name: str, value: str, wrong: list[str]) -> None:
    if name not in ALLOWED.get(tag, set()):
        wrong.append(f"{tag}[{name}]")
    elif name == "class":
        wrong += [f"class={one}" for one in value.split() if one not in KNOWN and not one.startswith("llmkit-") and one != "llmkit"]  # fmt: skip
    elif name in VALUES and not VALUES[name].fullmatch(value):
        wrong.append(f"{name}={value}")


def _formula(text: str, wrong: list[str], *, process: bool | None) -> None:
    if process:
        wrong += [] if is_safe_tex(text[2:-2]) or not text.strip() else [text]
    elif process is None and FORMULA.search(text):
        wrong.append(text)
