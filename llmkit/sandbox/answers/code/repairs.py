"""Corrects failed cells: replaces misspelt names, attributes and keys by the nearest one."""

from __future__ import annotations

import builtins
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.core.suggestions import nearest

if TYPE_CHECKING:
    from llmkit.sandbox.conversation import Ask

_FAILED = re.compile(r"^This notebook cell failed\.", re.MULTILINE)
_EXPLAINED = re.compile(r"^This notebook cell failed\. Explain", re.MULTILINE)
_FENCE = re.compile(r"^(`{3,})(\w*)\n(.*?)\n\1$", re.MULTILINE | re.DOTALL)
_ERROR = re.compile(r"^((?:\w+\.)*\w*(?:Error|Exception|Warning|Interrupt|Iteration)\b.*)$", re.MULTILINE)
_NAME = re.compile(r"^NameError: name '(\w+)' is not defined")
_ATTRIBUTE = re.compile(r"^AttributeError: .*'([\w.]+)'(?: object)? has no attribute '(\w+)'")
_KEY = re.compile(r"^KeyError: (['\"])(.+)\1")
_MEANT = re.compile(r"Did you mean: '(\w+)'")
_STRING = re.compile(r"(['\"])((?:(?!\1)[^\\\n])+)\1")
_TYPES: dict[str, type] = {"str": str, "list": list, "dict": dict, "tuple": tuple, "set": set, "int": int}


@dataclass(frozen=True, slots=True)
class _Fault:
    what: str
    wrong: str
    near: str | None
    pattern: str


def _other(wrong: str, names: list[str]) -> str | None:
    return nearest(wrong, (name for name in names if name != wrong))


def _fault(error: str, source: str, around: str) -> _Fault | None:
    meant = _MEANT.search(error)
    if found := _NAME.match(error):
        names = [*re.findall(r"\b[A-Za-z_]\w*", source), *dir(builtins)]
        near = meant[1] if meant else _other(found[1], names)
        return _Fault("name", found[1], near, rf"(?<![\w.]){found[1]}\b")
    if found := _ATTRIBUTE.match(error):
        near = meant[1] if meant else _other(found[2], _attributes(found[1], source))
        return _Fault("attribute", found[2], near, rf"(?<=\.){found[2]}\b")
    if found := _KEY.match(error):
        keys = [text for _, text in _STRING.findall(f"{source}\n{around}")]
        pattern = rf"(?<=['\"]){re.escape(found[2])}(?=['\"])"
        return _Fault("key", found[2], _other(found[2], keys), pattern)
    return None


def _attributes(kind: str, source: str) -> list[str]:
    """Return the attributes of a built-in type; of others, those that the cell uses."""
    return dir(_TYPES[kind]) if kind in _TYPES else re.findall(r"\.([A-Za-z_]\w*)", source)


def repair(ask: Ask) -> str | None:
    r"""Answer `%llm fix` and `%llm explain`.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Turn
        >>> cell = "```python\nprin(1)\n```\n\n```\nNameError: name 'prin' is not defined\n```"
        >>> turn = Turn("user", f"This notebook cell failed.\n\n{cell}")
        >>> print(repair(Ask(model="sandbox", turns=(turn,))))
        The name `prin` does not exist; the nearest one is `print`.
        <BLANKLINE>
        ```python
        print(1)
        ```
    """
    text = ask.last_user_text
    fences = [(found[2], found[3]) for found in _FENCE.finditer(text)]
    if not _FAILED.search(text) or not fences:
        return None
    source = fences[0][1]
    said = _ERROR.findall(fences[-1][1])
    error = said[-1] if said else "an error that has no message"
    first, fixed = _fixed(error, source, fences[-1][1])
    return first if _EXPLAINED.search(text) else f"{first}\n\n```python\n{fixed}\n```"


def _fixed(error: str, source: str, around: str) -> tuple[str, str]:
    """Explain the error, and correct the cell if a name is misspelt."""
    fault = _fault(error, source, around)
    if fault is None or fault.near is None:
        said = error.replace("`", "")
        return (
            f"The cell raised `{said}`. The sandbox corrects misspelt names only; a real model can do more.",
            source,
        )
    near = fault.near
    first = f"The {fault.what} `{fault.wrong}` does not exist; the nearest one is `{near}`."
    # A function: in a replacement string, a backslash would be an escape.
    return first, re.sub(fault.pattern, lambda _: near, source)
