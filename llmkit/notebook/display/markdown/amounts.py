"""What stands between two dollars: a formula, or words and amounts of money."""

from __future__ import annotations

import re

_QUOTED = re.compile(r"\\(?:text|mathrm|mathsf|mathbf|operatorname|mbox)[a-z]*\*?\s*\{[^{}]*\}")
_TEX = re.compile(r"\\[A-Za-z]|[\^_]")
_RELATION = re.compile(r"[=<>≤≥≈]")
_VARIABLE = re.compile(r"(?<![A-Za-z])[b-zB-HJ-Z](?![A-Za-z])")
_AMOUNT = re.compile(r"[-+~≈−\u2013]?\s?\.?\d")  # noqa: RUF001 - the minus sign is meant
_WITH_UNIT = re.compile(r"[-+]?\d[\d.,]*\s?(?:[A-Za-zµΩ]{1,3}|\\?%)?")
_WORD = re.compile(r"(?<![\w\\{^])[^\W\d_]{2,}(?!\w)")
_WORDS = re.compile(r"(?<![\w\\{^])[A-Za-z]{2,}[)\]]?[,.;:]? +[(\[]?[A-Za-z]{2,}(?!\w)")
_MONEY = re.compile(r"[€£¥₹\u2013\u2014→]|^[^()]*\)|\([^()]*$")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
_VARIABLE_NAME = re.compile(r"\{?[A-Za-z_]\w+")
_JOINING = "/:,;@|&.+-=\\"


def is_prose(text: str, after: str = "") -> bool:
    r"""Tell whether text between two dollars is ordinary text, such as what stands between two amounts.

    Example:
        >>> is_prose("12 in May, or 11"), is_prose("2x + 3"), is_prose("HOME/", after="U")
        (True, False, True)
    """
    bare = _QUOTED.sub(" ", text)
    if after.isalpha() and _names_variable(bare):
        return True
    if _AMOUNT.match(text):
        return _is_amount(bare)
    if _TEX.search(bare) or _RELATION.search(bare):
        return False
    return _WORDS.search(bare) is not None


def _names_variable(text: str) -> bool:
    """Whether it is the start of `$HOME/$USER` and the like."""
    return text.endswith(tuple(_JOINING)) or (
        _VARIABLE_NAME.match(text) is not None and not text[-1].isalnum() and text[-1] not in ")]}'"
    )


def _is_amount(text: str) -> bool:
    """Whether text that begins with a number goes on as prose does."""
    if "\\$" in text or _MONEY.search(text):
        return True
    if _WITH_UNIT.fullmatch(text) or _TEX.search(text):
        return False
    if _RELATION.search(text) and _VARIABLE.search(text):
        return False
    return _WORD.search(text) is not None or _UNSPACED.search(text) is not None
