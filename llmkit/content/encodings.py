"""Decoding of text that is not UTF-8: by its declaration, otherwise by detection."""

from __future__ import annotations

import re

_DECLARED = (
    re.compile(rb"^\s*<\?xml[^>]*encoding=[\"']([\w.:-]+)[\"']"),
    re.compile(rb"<meta[^>]+charset=[\"']?([\w.:-]+)", re.IGNORECASE),
    re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([\w.-]+)", re.MULTILINE),
)
"""How XML, HTML and Python (and languages after it) declare an encoding. Source: PEP 263, XML 1.0."""

_WESTERN = frozenset(
    "äöüÄÖÜßáéíóúñÁÉÍÓÚÑàâçèêëîïôùûœÀÂÇÈÊÉËÎÏÔÙÛåæøÅÆØãõìò¿¡€£§°«»“”„…·\xa0\u2018\u2019\u2013\u2014"
)
_FEW = 0.2

_HEAD = 2000
_SAMPLE = 200_000


def decoded(data: bytes) -> str | None:
    r"""Decode a text that is not UTF-8.

    Example:
        >>> decoded("# coding: latin-1\nname = 'Zoë'".encode("latin-1"))[-4:]
        "Zoë'"
    """
    # A NUL byte means binary data, or UTF-16 without its mark.
    if b"\0" in data[:_SAMPLE]:
        return None
    for pattern in _DECLARED:
        if found := pattern.search(data[:_HEAD]):
            return _decode(data, found[1].decode("ascii"))
    # Before the detector, which takes a few accented letters for another alphabet.
    if _is_western(data[:_SAMPLE]):
        return _decode(data, "cp1252")
    from charset_normalizer import from_bytes

    best = from_bytes(data[:_SAMPLE]).best()
    return None if best is None else _decode(data, best.encoding)


def _is_western(data: bytes) -> bool:
    """Whether a text has few non-ASCII letters, all Western European: too few for statistical detection."""
    text = _decode(data, "cp1252")
    foreign = [c for c in text or "" if not c.isascii()]
    return text is not None and len(foreign) < len(text) * _FEW and _WESTERN.issuperset(foreign)


def _decode(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None
