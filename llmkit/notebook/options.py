"""The options of `%%llm` and `%llm`: each declared once, for parsing, completion, help and the README."""

from __future__ import annotations

import difflib
import io
import keyword
import math
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

DEFAULT_THREAD = "main"
"""Name of the conversation that `-t` without a name continues."""


class CellError(InvalidRequestError):
    """What was typed after `%%llm`, `%llm` or between `{{` and `}}` does not work.

    Example:
        >>> str(CellError("There is no option --modle.", hint="Did you mean --model?"))
        'There is no option --modle. Did you mean --model?'
    """

    default_hint = "%llm help lists the options."


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option.

    Attributes:
        field: Where `Ask` keeps the value.
        names: Its long name without the dashes, then its letter if it has one.
        help: One line for people.
        metavar: What its value is called; empty for a switch.
        convert: Turns the text of a value into the value; raises `ValueError` with the reason.
        bare: The value when none is given; `None` if one must be.
    """

    field: str
    names: tuple[str, ...]
    help: str
    metavar: str = ""
    convert: Callable[[str], Any] = str
    bare: Any = None

    @property
    def usage(self) -> str:
        """How it is written, e.g. `-m, --model NAME`."""
        flags = ", ".join(_flag(name) for name in reversed(self.names))
        value = f"[{self.metavar}]" if self.bare is not None else self.metavar
        return f"{flags} {value}".strip()


def _variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text):
        raise ValueError("it must be a variable's name, like answer")
    if text.startswith("_") or text in IPYTHON_NAMES:
        raise ValueError("that name is IPython's own")
    return text


def _thread(text: str) -> str:
    if not re.fullmatch(r"[^\W\d][\w-]*", text):
        raise ValueError("it must be one word, like review")
    return text


def _temperature(text: str) -> float:
    value = float(text) if re.fullmatch(r"[0-9.]+", text) and text.count(".") < 2 else math.nan
    if not 0 <= value <= 2:
        raise ValueError("it must be a number from 0 to 2, like 0.7")
    return value


def _max_tokens(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
        raise ValueError("it must be a whole number above 0, like 500")
    return int(text)


def _budget(text: str) -> float:
    if not re.fullmatch(r"[0-9]*\.?[0-9]+", text):
        raise ValueError("it must be US dollars, like 0.05")
    return float(text)


def _words(text: str) -> str:
    if not text.strip():
        raise ValueError("it must not be empty")
    return text


IPYTHON_NAMES = frozenset({"In", "Out", "get_ipython", "exit", "quit", "open"})
"""Variables that a notebook cannot do without."""

OPTIONS = (
    Option(
        field="model",
        names=("model", "m"),
        metavar="NAME",
        convert=_words,
        help="model or alias to ask",
    ),
    Option(
        field="out",
        names=("out", "o"),
        metavar="VAR",
        convert=_variable,
        help="put the reply into this variable if the call succeeds",
    ),
    Option(
        field="system",
        names=("system", "s"),
        metavar="TEXT",
        convert=_words,
        help="system prompt; @VAR takes it from a variable",
    ),
    Option(
        field="thread",
        names=("thread", "t"),
        metavar="NAME",
        convert=_thread,
        bare=DEFAULT_THREAD,
        help=f"continue a conversation, by default {DEFAULT_THREAD!r}; after %llm write -tNAME",
    ),
    Option(field="new", names=("new", "n"), help="start that conversation afresh"),
    Option(
        field="temperature",
        names=("temperature", "T"),
        metavar="NUMBER",
        convert=_temperature,
        help="randomness, from 0 to 2",
    ),
    Option(
        field="max_tokens",
        names=("max-tokens", "k"),
        metavar="COUNT",
        convert=_max_tokens,
        help="longest answer, in tokens",
    ),
    Option(
        field="budget",
        names=("budget", "b"),
        metavar="USD",
        convert=_budget,
        help="do not send what may cost more than this",
    ),
    Option(field="refresh", names=("refresh", "r"), help="ask again, and record the new answer for replay"),
    Option(field="no_cache", names=("no-cache",), help="neither replay nor record the answer"),
    Option(field="quiet", names=("quiet", "q"), help="display nothing"),
    Option(field="raw", names=("raw",), help="leave {{name}} in the prompt as it is"),
    Option(field="help", names=("help", "h"), help="show this"),
)

_BY_NAME = {name: option for option in OPTIONS for name in option.names}
_LOOKS_LIKE_OPTION = re.compile(r"--?[A-Za-z]")
_WORD = re.compile(r"\S+")


class OptionReader:
    """Reads options from the start of a text and leaves the rest alone.

    Args:
        text: The line after the magic's name.
        detached: Whether an optional value may be a word of its own (`-t name`): only where no prompt
            can follow.
    """

    def __init__(self, text: str, *, detached: bool) -> None:
        self.values: dict[str, Any] = {}
        self._text = text
        self._pos = 0
        self._detached = detached

    @property
    def rest(self) -> str:
        """What has not been read."""
        return self._text[self._pos :].strip()

    def read(self) -> bool:
        """Read the options up to the first other word.

        Returns:
            Whether the options ended with `--`.

        Raises:
            CellError: If an option or its value is wrong.
        """
        while (word := self._peek()) and _LOOKS_LIKE_OPTION.match(word):
            self._option(word)
        if word != "--":
            return False
        self._skip(word)
        return True

    def take_word(self) -> str:
        """Read one word and return it; empty at the end."""
        word = self._peek()
        self._skip(word)
        return word

    def _peek(self) -> str:
        match = _WORD.search(self._text, self._pos)
        return match[0] if match else ""

    def _skip(self, word: str) -> None:
        if word:
            self._pos = self._text.index(word, self._pos) + len(word)

    def _option(self, word: str) -> None:
        start = self._text.index(word, self._pos)
        if word.startswith("--"):
            name, equals, _ = word[2:].partition("=")
            self._pos = start + 2 + len(name) + len(equals)
            self._set(_find(name, f"--{name}"), attached=bool(equals), flag=f"--{name}")
            return
        if word[1:] in _BY_NAME and len(word) > 2:
            raise CellError(f"{word} has one dash too few.", hint=f"Write -{word}.")
        self._pos = start + 1
        self._letters(word[1:])

    def _letters(self, letters: str) -> None:
        for index, letter in enumerate(letters):
            option = _find(letter, f"-{letter}")
            self._pos += 1
            attached = letters[index + 1 :] if option.metavar else ""
            self._pos += attached.startswith("=")
            self._set(option, attached=bool(attached), flag=f"-{letter}")
            if option.metavar:
                return

    def _set(self, option: Option, *, attached: bool, flag: str) -> None:
        if option.field in self.values:
            raise CellError(f"{flag} is given twice.", hint="Keep one of them.")
        if not option.metavar:
            if attached:
                raise CellError(f"{flag} takes no value.")
            self.values[option.field] = True
        elif option.bare is not None and not attached and not self._value_follows(option):
            self.values[option.field] = option.bare
        else:
            self.values[option.field] = self._value(option, flag)

    def _value_follows(self, option: Option) -> bool:
        try:
            option.convert(self._peek())
        except ValueError:
            return False
        return self._detached

    def _value(self, option: Option, flag: str) -> Any:
        text = self._shell_word(flag)
        if text is None:
            raise CellError(f"{flag} needs a value.", hint=f"Write {flag} {option.metavar}.")
        try:
            return option.convert(text)
        except ValueError as error:
            raise CellError(f"{flag} {text!r}: {error}.", hint="") from None

    def _shell_word(self, flag: str) -> str | None:
        stream = io.StringIO(self._text[self._pos :])
        lexer = shlex.shlex(stream, posix=True)
        lexer.whitespace_split, lexer.commenters = True, ""
        try:
            word = lexer.get_token()
        except ValueError:
            raise CellError(
                f"The value of {flag} has a quote that never ends.", hint='Put it in double quotes: "…".'
            ) from None
        self._pos += stream.tell()
        return word


def did_you_mean(word: str, choices: Iterable[str], otherwise: str) -> str:
    """Return the hint that names the nearest choice, or another hint.

    Args:
        word: What was typed.
        choices: What it could have been.
        otherwise: The hint if nothing is near.

    Returns:
        One sentence.

    Example:
        >>> did_you_mean("modle", ["model", "out"], "")
        'Did you mean model?'
    """
    near = difflib.get_close_matches(word, list(choices), n=1)
    return f"Did you mean {near[0]}?" if near else otherwise


def _flag(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{name}"


def flags() -> list[str]:
    """Return every way to write an option, e.g. `-m` and `--model`."""
    return [_flag(name) for name in _BY_NAME]


def _find(name: str, flag: str) -> Option:
    if name in _BY_NAME and flag == _flag(name):
        return _BY_NAME[name]
    hint = did_you_mean(flag, flags(), "Begin the prompt with -- if this is a part of it.")
    raise CellError(f"There is no option {flag}.", hint=hint)
