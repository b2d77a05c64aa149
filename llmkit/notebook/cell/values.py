"""Converts the typed values of options."""

from __future__ import annotations

import json
import keyword
import re
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable

PYTHON = "python"
"""Name of the tool that runs code in the kernel."""

MCP = "mcp:"
"""Beginning of a name of `-x` that stands for the tools of an MCP server."""

IPYTHON_NAMES = frozenset({"In", "Out", "get_ipython", "exit", "quit", "open"})
"""Variables that must not be overwritten."""

FORMATS = ("md", "text", "json", "df", "code")
"""How an answer can be shown and returned."""

MAX_CELLS = 100
"""Maximum number of cells that one question includes."""

OWN_OPTIONS = {"model": "-m", "temperature": "-T", "max_tokens": "-k", "schema": "--schema"} | {
    "effort": "-e",
    "cache": "--cache",
    "api": "--api",
}
"""Parameters that `-p` does not take, and the option that does."""

_PYTHON = {"True": "true", "False": "false", "None": "null"}

OWN = frozenset({"messages", "stream"})
"""Parameters that llmkit sets itself."""


_KEYS = frozenset({"apikey", "authorization", "accesstoken"})


class SecretError(ValueError):
    """A refused value that contains a key; the message does not repeat it."""


def variable(text: str) -> str:
    """Return the name of a variable that may be assigned.

    Example:
        >>> variable("answer")
        'answer'
    """
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ValueError("it must be a variable's name, like answer")
    if text.startswith("_") or text in IPYTHON_NAMES:
        raise ValueError("IPython uses that name")
    return text


def existing(text: str) -> str:
    """Return the name of a variable to read, optionally with attributes: `df` or `data.frame`."""
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in text.split(".")):
        raise ValueError("it must be a variable's name, like df")
    return text


def tools(text: str) -> str:
    """Return names of tools: functions, `python`, or `mcp:NAME`, with commas between them.

    Example:
        >>> tools("add,load_sales,python")
        'add,load_sales,python'
    """
    for name in text.split(","):
        server = name.removeprefix(MCP)
        if server != name and re.fullmatch(r"[A-Za-z0-9_][\w.-]*", server):
            continue
        try:
            existing(name)
        except ValueError:
            raise ValueError("it must be names of functions, python or mcp:NAME, like add,load") from None
    return text


def thread(text: str) -> str:
    """Return the name of a conversation."""
    if not re.fullmatch(r"[^\W\d][\w-]*", text):
        raise ValueError("it must be one word, like review")
    return text


def temperature(text: str) -> float:
    """Return a temperature.

    Example:
        >>> temperature(".7")
        0.7
    """
    if not re.fullmatch(r"[0-9]+\.?[0-9]*|\.[0-9]+", text) or float(text) > 2:
        raise ValueError("it must be a number from 0 to 2, like 0.7")
    return float(text)


def count(text: str) -> int:
    """Return a number of tokens."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise ValueError("it must be a whole number above 0, like 500")
    return int(text)


def dollars(text: str) -> float:
    """Return an amount of US dollars."""
    if not re.fullmatch(r"[0-9]*\.?[0-9]+", text):
        raise ValueError("it must be US dollars, like 0.05")
    return float(text)


def words(text: str) -> str:
    """Return a text that is not blank."""
    if not text.strip():
        raise ValueError("it must not be empty")
    return text


def answer_format(text: str) -> str:
    """Return one of `FORMATS`."""
    if text not in FORMATS:
        raise ValueError(f"it must be one of {', '.join(FORMATS)}")
    return text


def word_of(words: tuple[str, ...]) -> Callable[[str], str]:
    """Return what converts one of these words.

    Example:
        >>> word_of(("auto", "off"))("off")
        'off'
    """

    def convert(text: str) -> str:
        if text not in words:
            raise ValueError(f"it must be one of {', '.join(words)}")
        return text

    return convert


def cells(text: str) -> tuple[int, ...]:
    """Return the numbers of cells, in order, each once.

    Example:
        >>> cells("3-5,9,4")
        (3, 4, 5, 9)
    """
    if not re.fullmatch(r"[0-9]{1,6}(-[0-9]{1,6})?(,[0-9]{1,6}(-[0-9]{1,6})?)*", text):
        raise ValueError("it must be numbers of cells, like 3-7 or 3,5")
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        start, end = int(first), int(last or first)
        if not 0 < start <= end:
            raise ValueError("cell numbers start at 1, and ranges ascend, like 3-7")
        if end - start >= MAX_CELLS or len(numbers | {*range(start, end + 1)}) > MAX_CELLS:
            raise ValueError(f"that is more than {MAX_CELLS} cells")
        numbers |= {*range(start, end + 1)}
    return tuple(sorted(numbers))


def parameter(text: str) -> tuple[str, Any]:
    """Return a parameter in the provider's own words.

    Example:
        >>> parameter("top_p=0.9"), parameter("tier=flex")
        (('top_p', 0.9), ('tier', 'flex'))
    """
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z]\w*", key):
        raise ValueError("it must be KEY=VALUE, like top_p=0.9")
    if key.lower().replace("_", "") in _KEYS:
        raise SecretError(
            f"{key} is not a parameter of a call; %llm key PROVIDER takes a key without displaying it"
        )
    if key in OWN_OPTIONS:
        raise ValueError(f"{key} has an option of its own: {OWN_OPTIONS[key]}")
    if key in OWN:
        raise ValueError(f"llmkit sets {key} itself")
    try:
        return key, json.loads(_PYTHON.get(value, value), parse_constant=_refuse)
    except (ValueError, RecursionError):
        if value.startswith(("[", "{")):
            raise ValueError(
                f'{key} looks like JSON but is invalid; write it like {key}=["a", "b"]'
            ) from None
        return key, value


def tag(text: str) -> tuple[str, str]:
    """Return a label of calls.

    Example:
        >>> tag("project=my thesis")
        ('project', 'my thesis')
    """
    name, _, value = text.partition("=")
    if not re.fullmatch(r"[^\W\d][\w.-]*", name) or not value.strip():
        raise ValueError("it must be NAME=VALUE, like project=thesis")
    return name, value


def _refuse(word: str) -> NoReturn:
    """Reject NaN and Infinity, which are not JSON."""
    raise ValueError(word)
