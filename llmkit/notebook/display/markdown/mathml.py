"""Formulas as MathML, for pages where no MathJax looks: the live chat and exported HTML.

`latex2mathml` reads the TeX. Its own output is not used, for it does not escape text: the tree is written out
here, with the elements and attributes below and nothing else.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

MAX_FORMULA = 4_000
"""Longest formula that is converted, in characters."""

_ELEMENTS = """
    math menclose mfrac mi mn mo mover mpadded mphantom mroot mrow mspace msqrt mstyle msub msubsup msup
    mtable mtd mtext mtr munder munderover
"""
ELEMENTS = frozenset(_ELEMENTS.split())
"""The elements of MathML that a formula may have."""

_ATTRIBUTES = """
    accent accentunder columnalign depth display displaystyle fence form height linethickness lspace
    mathcolor maxsize minsize movablelimits notation rspace scriptlevel separator stretchy voffset width
"""
ATTRIBUTES = frozenset(_ATTRIBUTES.split())
"""The attributes that an element of a formula may have."""

_PARTS = {
    "mfrac": 2,
    "mroot": 2,
    "msub": 2,
    "msup": 2,
    "mover": 2,
    "munder": 2,
    "msubsup": 3,
    "munderover": 3,
}
_ENVIRONMENT = re.compile(r"\\(begin|end)\{([a-z]+)\*?\}")
_ARGUMENT = re.compile(r"(\\begin\{align\*\})\{\d{1,2}\}")
_LIKE = {
    **dict.fromkeys(("align", "aligned", "alignat", "alignedat", "flalign", "eqnarray", "split"), "align*"),
    **dict.fromkeys(("gather", "gathered", "multline"), "matrix"),
    "equation": "equation*",
}
_VALUE = re.compile(r"[-+.#%\w ]{1,40}")
_UNREAD = re.compile(r"\\[A-Za-z]|^&$")
_ESCAPED = re.compile(r"\\([&%$#_{}])")
_SPACES = {"negativethinmathspace": "-0.167em", "negativemediummathspace": "-0.222em"}

# What mathvariant means, as the letters of Unicode: browsers know the attribute no longer.
_LETTERS = {
    "bold": (0x1D400, 0x1D41A, 0x1D7CE),
    "bold-italic": (0x1D468, 0x1D482, 0x1D7CE),
    "sans-serif": (0x1D5A0, 0x1D5BA, 0x1D7E2),
    "monospace": (0x1D670, 0x1D68A, 0x1D7F6),
}


def mathml(tex: str, *, display: bool = False) -> str:
    r"""Convert a formula to MathML.

    Example:
        >>> mathml("x^2")
        '<math display="inline"><mrow><msup><mi>x</mi><mn>2</mn></msup></mrow></math>'
        >>> mathml(r"\ce{H2O}")
        ''
    """
    tree = _read(tex, "block" if display else "inline") if len(tex) <= MAX_FORMULA else None
    if tree is None or any(_is_unread(element) for element in tree.iter()):
        return ""
    return "".join(_written(tree))


def _read(tex: str, display: str) -> Element | None:
    from latex2mathml.converter import convert_to_element

    known = _ARGUMENT.sub(r"\1", _ENVIRONMENT.sub(_plainer, tex))
    try:
        tree: Element = convert_to_element(known, display=display)
    except Exception:  # noqa: BLE001 - its errors have no common class, and wrong TeX raises IndexError and the like
        return None
    return tree


def _plainer(match: re.Match[str]) -> str:
    """Return an environment that the converter knows, without numbers at the lines."""
    return f"\\{match[1]}{{{_LIKE.get(match[2], match[2])}}}"


def _is_unread(element: Element) -> bool:
    """Whether the converter left a macro as text, or an element is not known here, or incomplete."""
    if element.tag not in ELEMENTS or _PARTS.get(element.tag, len(element)) != len(element):
        return True
    return element.tag != "mtext" and _UNREAD.search(html.unescape(element.text or "")) is not None


def _written(element: Element) -> Iterator[str]:
    yield f"<{element.tag}{''.join(_attributes(element))}>"
    text = _ESCAPED.sub(r"\1", html.unescape(element.text or ""))
    yield html.escape(_letters(text, element.get("mathvariant", "")), quote=False)
    for child in element:
        yield from _written(child)
    yield f"</{element.tag}>"


def _attributes(element: Element) -> Iterator[str]:
    for name, value in element.attrib.items():
        known = _SPACES.get(value, value)
        if name in ATTRIBUTES and _VALUE.fullmatch(known):
            yield f' {name}="{known}"'
    if element.get("mathvariant") == "normal":
        yield ' mathvariant="normal"'


def _letters(text: str, variant: str) -> str:
    """Return letters and digits in another alphabet."""
    if variant not in _LETTERS:
        return text
    upper, lower, digits = _LETTERS[variant]
    return "".join(_moved(char, (("A", "Z", upper), ("a", "z", lower), ("0", "9", digits))) for char in text)


def _moved(char: str, alphabets: tuple[tuple[str, str, int], ...]) -> str:
    for first, last, start in alphabets:
        if first <= char <= last:
            return chr(start + ord(char) - ord(first))
    return char
