"""Completions after `%%llm` and `%llm`, and of columns in calls over tables, for IPython's completer.

They replace IPython's own completions: Python names are of no use in a prompt.
"""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from llmkit.notebook.cell.column_completion import typed_column
from llmkit.notebook.cell.options import BY_NAME, flag, flags
from llmkit.notebook.cell.subcommands import COMMANDS
from llmkit.notebook.cell.values import FORMATS, PYTHON
from llmkit.providers.choices import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from llmkit.notebook.cell.options import Option

MOST = 200
"""Maximum number of completions."""

_LINE = re.compile(r"^\s*(?:[\w.,\[\]'\" ]+=\s*)?%llm(?:[ \t](?P<rest>.*))?$", re.DOTALL)
_CELL = re.compile(r"^\s*%%llm(?:[ \t](?P<rest>.*))?$", re.DOTALL)
_SLOT = re.compile(r"\{\{\s*(?P<name>[\w.]*)\Z")
_ATTACHED = re.compile(r"--(?P<long>[\w-]+)=(?P<value>.*)|-(?P<letter>[A-Za-z])=?(?P<short>.+)", re.DOTALL)


class Choice(NamedTuple):
    """One completion."""

    text: str
    hint: str = ""  # shown beside it by some front ends: a description, a price
    kind: str = "word"  # one word; front ends draw it as an icon or a label


class Completions(NamedTuple):
    """The completions at a position."""

    fragment: str  # the text before the cursor, which a choice replaces
    choices: list[Choice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Names in the notebook; functions, because most are rarely needed."""

    models: Callable[[], Iterable[Choice]] = tuple  # models, aliases and providers
    threads: Iterable[str] = ()
    variables: Mapping[str, object] = field(default_factory=dict)
    aliases: Callable[[], Mapping[str, str]] = dict  # aliases and their targets
    providers: Callable[[], Iterable[str]] = tuple
    tags: Mapping[str, str] = field(default_factory=dict)


def complete(text: str, known: Known) -> Completions | None:
    """Complete the text before the cursor.

    Example:
        >>> complete("%%llm --te", Known()).choices
        [Choice(text='--temperature', hint='sampling temperature, 0 to 2', kind='option')]
        >>> complete("x = 5 %", Known()) is None
        True
    """
    first, newline, _ = text.partition("\n")
    if match := _CELL.match(first):
        return _prompt(text, known) if newline else _options(match["rest"], known, cell=True)
    line = text.rpartition("\n")[2]
    if match := _LINE.match(line):
        return _options(match["rest"], known, cell=False)
    return _column(text, known)


def _column(text: str, known: Known) -> Completions | None:
    """Complete a column of a table; `None` for IPython's own completions."""
    found = typed_column(text, known.variables)
    if found is None:
        return None
    fragment, columns = found
    choices = _matching((Choice(name, kind="column") for name in columns), fragment)
    return Completions(fragment, choices) if choices else None


def describe(text: str, known: Known) -> str:
    """Describe the word before the cursor, if it is an option, command or model.

    Example:
        >>> describe("%%llm --temperature", Known())
        'sampling temperature, 0 to 2'
    """
    found = complete(text, known)
    hints = [] if found is None else [each.hint for each in found.choices if each.text == found.fragment]
    return hints[0] if hints else ""


def _prompt(text: str, known: Known) -> Completions:
    """Complete inside a prompt: variables between double braces only."""
    match = _SLOT.search(text)
    if match is None:
        return Completions(re.search(r"\S*\Z", text)[0], [])  # type: ignore[index]  # it always matches
    return Completions(match["name"], _variables(match["name"], known))


def _options(rest: str | None, known: Known, *, cell: bool) -> Completions | None:
    if rest is None:  # the cursor stands at the magic's own name
        return None
    *before, word = re.split(r"\s+", rest)
    words = [each for each in before if each]
    bare = _bare(words, cell=cell)
    if bare and not cell:
        return _line(words, word, known)
    if (option := _waiting(words[-1:], cell=cell)) is not None:
        return Completions(word, _values(option, word, known))
    if word.startswith("-"):
        return _flags(word, known)
    if cell:
        return Completions(word, [] if bare else _matching(known.models(), word))
    return Completions(word, [] if words else _matching(_commands(), word))


def _line(words: list[str], word: str, known: Known) -> Completions:
    """Complete a word after the first one of `%llm`: a subcommand's argument, or the prompt."""
    if words[0] in COMMANDS and len(words) <= 3:
        return Completions(word, _matching(_arguments(words, word, known), word))
    return _prompt(word, known)


def _arguments(words: list[str], word: str, known: Known) -> Iterable[Choice]:
    """Return what may follow a subcommand."""
    name, *more = words
    if more:
        return _further(name, more, known)
    if name in _ARGUMENTS:
        return _ARGUMENTS[name](word, known)
    return map(Choice, _FIXED.get(name, ()))


def _alias_words(word: str, known: Known) -> Iterator[Choice]:
    yield Choice("remove")
    alias, equals, _ = word.partition("=")
    if equals:
        yield from (Choice(f"{alias}={each.text}", each.hint, each.kind) for each in known.models())


def _thread_words(_word: str, known: Known) -> Iterator[Choice]:
    yield from _threads(known)
    yield from (Choice(each, kind="command") for each in ("show", "delete", "rename"))


def _help_words(_word: str, _known: Known) -> Iterator[Choice]:
    yield from _commands()
    yield from (Choice(flag, kind="option") for flag in flags())


_ARGUMENTS: dict[str, Callable[[str, Known], Iterable[Choice]]] = {
    "model": lambda _, known: known.models(),
    "models": lambda _, known: known.models(),
    "alias": _alias_words,
    "thread": _thread_words,
    "key": lambda _, known: (Choice(name, kind="provider") for name in known.providers()),
    "tags": lambda _, known: [Choice("off"), *_tags(known)],
    "help": _help_words,
}
"""Completions of a subcommand's argument, by subcommand."""


def _further(name: str, more: list[str], known: Known) -> Iterable[Choice]:
    """Return what may follow a subcommand's first argument."""
    if name == "thread" or (name == "export" and more == ["thread"]):
        return _threads(known)
    if name == "alias" and more == ["remove"]:
        return [Choice(alias, target, "alias") for alias, target in known.aliases().items()]
    return _tags(known) if name == "tags" else ()


_SWITCHES = {name for name, option in BY_NAME.items() if not option.metavar}

_FIXED = {
    "replay": ("auto", "only", "off"),
    "budget": (
        "daily=",
        "per_notebook=",
        "per_call=",
        "per_user=",
        "unpriced=",
        "unknown_notebook=",
        "offline=",
        "off",
    ),
    "cost": ("model", "provider", "day", "notebook", "cell", "surface", "job", "status"),
    "dashboard": ("model", "provider", "day", "notebook", "surface", "job", "status"),
    "export": ("thread",),
}
"""Words that may follow a subcommand."""


def _flags(word: str, known: Known) -> Completions:
    """Complete an option's name, or an attached value."""
    match = _ATTACHED.fullmatch(word)
    if match is not None and (option := BY_NAME.get(match["long"] or match["letter"])) and option.metavar:
        value = match["value"] if match["long"] else match["short"]
        return Completions(value, _values(option, value, known))
    found = [Choice(flag(name), option.help, "option") for name, option in BY_NAME.items()]
    return Completions(word, sorted(_matching(found, word)))


def _waiting(words: list[str], *, cell: bool) -> Option | None:
    """Return the option whose value is expected after these words, if there is one."""
    last = words[-1] if words else ""
    if not last.startswith("-"):
        return None
    name, switches = (last[2:], "") if last.startswith("--") else (last[-1:], last[1:-1])
    option = BY_NAME.get(name)
    if option is None or not option.metavar or (option.bare is not None and not cell):
        return None
    return option if set(switches) <= _SWITCHES else None


def _bare(words: list[str], *, cell: bool) -> list[str]:
    """Return the words that are neither options nor their values."""
    pairs = zip([[], *([word] for word in words)], words, strict=False)
    return [word for before, word in pairs if not word.startswith("-") and not _waiting(before, cell=cell)]


def _values(option: Option, word: str, known: Known) -> list[Choice]:
    """Return the values that an option may have."""
    if (find := _FINDERS.get(option.field)) is not None:
        return find(word, known)
    if words := {"format": FORMATS, **WORDS}.get(option.field):
        return _matching((Choice(name, kind=option.field) for name in words), word)
    named = {"thread": _threads(known), "tags": _tags(known)}
    return _matching(named.get(option.field, ()), word)


def _models(word: str, known: Known) -> list[Choice]:
    """Return the models that fit the last name of a list."""
    start, comma, last = word.rpartition(",")
    models = _matching(known.models(), last)
    return [Choice(f"{start}{comma}{each.text}", each.hint, each.kind) for each in models]


def _attachments(word: str, known: Known) -> list[Choice]:
    return [*_variables(word, known), *_files(word)]


def _system(word: str, known: Known) -> list[Choice]:
    """Return the variables that may hold a system prompt: `@NAME`."""
    names = _variables(word[1:], known) if word[:1] == "@" else []
    return [Choice(f"@{each.text}", each.hint, each.kind) for each in names]


def _commands() -> Iterator[Choice]:
    return (Choice(name, form.help, "command") for name, form in COMMANDS.items())


def _threads(known: Known) -> Iterator[Choice]:
    return (Choice(name, kind="thread") for name in known.threads)


def _tags(known: Known) -> Iterator[Choice]:
    return (Choice(f"{name}={value}", kind="tag") for name, value in known.tags.items())


def _variables(word: str, known: Known) -> list[Choice]:
    names = (
        Choice(name, type(value).__name__, "variable")
        for name, value in known.variables.items()
        if not name.startswith("_") or word.startswith("_")
    )
    return sorted(_matching(names, word))


def _tools(word: str, known: Known) -> list[Choice]:
    """Complete the last of several names: functions and other tools of the notebook, and `python`."""
    start, comma, last = word.rpartition(",")
    names = [
        Choice(name, type(value).__name__, "variable")
        for name, value in known.variables.items()
        if callable(value) and not isinstance(value, type) and not name.startswith("_")
    ]
    found = _matching([*sorted(names), Choice(PYTHON, "run code in this kernel, after asking", "tool")], last)
    return [Choice(f"{start}{comma}{each.text}", each.hint, each.kind) for each in found]


def _files(word: str) -> list[Choice]:
    found = sorted(glob.glob(glob.escape(os.path.expanduser(word)) + "*"))[:MOST]  # noqa: PTH207, PTH111 - as typed
    folders = {path for path in found if os.path.isdir(path)}  # noqa: PTH112
    return [
        Choice(f"{path}/", kind="folder") if path in folders else Choice(path, kind="file") for path in found
    ]


def _matching(choices: Iterable[Choice], word: str) -> list[Choice]:
    """Return the choices that begin with a word; each once, with its first hint."""
    found: dict[str, Choice] = {}
    for choice in choices:
        if choice.text.startswith(word):
            found.setdefault(choice.text, choice)
    return list(found.values())[:MOST]


_FINDERS: Mapping[str, Callable[[str, Known], list[Choice]]] = {
    "model": _models,
    **dict.fromkeys(("variables", "out", "schema"), _variables),
    "system": _system,
    "tools": _tools,
    "attachments": _attachments,
}
"""Finds the values of an option whose values depend on the session."""
