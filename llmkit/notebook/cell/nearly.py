"""Lines of `%llm` that look like a mistyped subcommand: as a prompt they would cost money."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from llmkit.content.template import CellError
from llmkit.core.errors import ConfigurationError
from llmkit.core.suggestions import ALMOST, nearest
from llmkit.notebook.cell.options import DEFAULT_THREAD, flags
from llmkit.providers.choices import EFFORTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmkit.notebook.cell.subcommands import Form

_OPTION = re.compile(r"--?[A-Za-z][\w-]*(=\S*)?")
_AMOUNT = re.compile(r"[$€£]?[0-9]*[.,]?[0-9]+[$€£]?")
_UNITS = frozenset(
    {"usd", "eur", "euro", "euros", "dollar", "dollars", "$", "cents", "cent", "daily", "a", "per", "each"}
    | {"today", "day", "max", "total", "monthly", "call", "notebook", "per_call", "per_notebook"}
)
_SETTINGS = frozenset({"budget", "replay", "alias", "tags"})
"""Commands that set something: one word after them is probably a value."""

_PATTERNS = {
    "replay": re.compile(r"(?<!\S)\S+\.(?:replay|sqlite|db)(?!\S)"),
    "trust": re.compile(r"^https?://\S"),
}
"""Forms of arguments that do not occur in a prompt that begins with the command's name."""

_FLAGS = frozenset({"on", "off", "all", "verbose", "now", "again"})

_VALUES = {
    "temperature": "NUMBER", "max-tokens": "COUNT", "max-steps": "COUNT", "max-cost": "USD", "effort": "LEVEL"
}  # fmt: skip
"""Options that may be typed without their dashes."""

_FAMILIES = frozenset({"claude", "gemini"})
"""Families of models: in front of a prompt, written small, such a word is meant as a model."""

_ASKING = frozenset({"ask", "compare"})
"""Words before the names of models that are no subcommands."""

_VERBS = {
    "alias": frozenset({"remove"}),
    "budget": frozenset({"per_notebook", "per_call"}),
    "thread": frozenset({"show", "delete", "rename"}),
    "replay": frozenset({"auto", "only", "off"}),
    "cost": frozenset({"by"}),
    "dashboard": frozenset({"by"}),
    "trust": frozenset({"revoke"}),
}
"""Words that begin a command's argument and rarely a prompt."""


def refuse_nearly(words: list[str], commands: Mapping[str, Form], is_model: Callable[[str], bool]) -> None:
    """Refuse a line that looks like a subcommand but is not one."""
    if words[0] in commands:
        _refuse_argument(words, commands[words[0]], is_model)
        return
    _refuse_misspelt(words, commands, is_model)
    _refuse_bare_option(words)
    if words[0].lower() in _ASKING and "," in "".join(words[1:2]) and _are_models(words[1], is_model):
        hint = f"Did you mean %llm {words[1][:80]} …? {_force(words[0], words)}"
        raise CellError(f"What is {words[0]!r}?", hint=hint)


def _refuse_bare_option(words: list[str]) -> None:
    """Refuse a line that is nothing but an option without its dashes, and perhaps its value."""
    name, *values = " ".join(words).replace("=", " ").lower().split() or [""]  # of a bare `=`
    metavar = _VALUES.get(option := name.replace("_", "-"))
    is_value = len(values) == 1 and (_AMOUNT.fullmatch(values[0]) is not None or values[0] in EFFORTS)
    if metavar is not None and (not values or is_value):
        hint = f"Did you mean %llm --{option} {''.join(values) or metavar} PROMPT? {_force(option, words)}"
        raise CellError(f"What is {words[0][:80]!r}?", hint=hint)


def _refuse_misspelt(words: list[str], commands: Mapping[str, Form], is_model: Callable[[str], bool]) -> None:
    typed, equals, value = words[0].partition("=")
    rest = [*([value] if equals else []), *words[1:]]
    near = _nearest(typed.lower(), commands) or _nearly_key(typed.lower(), rest)
    if near is None:
        return
    taken = commands[near].takes(" ".join(rest))
    if taken or _is_meant(near, rest, is_model):
        word = typed if near == "key" else words[0]  # what follows the `=` may be the key
        shown = _suggested(near, rest) if taken else ""
        hint = f"Did you mean {shown or commands[near].usage(near)}? {_force(near, words)}"
        raise CellError(f"What is {word[:80]!r}?", hint=hint)


def _refuse_argument(words: list[str], form: Form, is_model: Callable[[str], bool]) -> None:
    """Refuse words after a subcommand that it does not take, unless they read as a prompt."""
    name, rest = words[0], words[1:]
    if _is_meant(name, rest, is_model):
        said = "these words" if name == "key" else f"{' '.join(rest)[:80]!r}"
        hint = f"Write {form.usage(name)}. {_force(name, words)}"
        raise CellError(f"%llm {name} does not take {said}.", hint=hint)


def _suggested(name: str, rest: list[str]) -> str:
    """Return a subcommand with the typed words; empty if one of them may be a key."""
    secret = _may_be_key if name == "key" else _is_secret
    return "" if any(map(secret, rest)) else f"%llm {name} {' '.join(rest)[:80]}".strip()


def refuse_secrets(prompt: str) -> None:
    """Refuse a one-line prompt that contains a key: it was probably meant for a subcommand."""
    if any(map(_is_secret, prompt.split())):
        raise CellError(
            "This line has what looks like a key in it: it was not sent.",
            hint="%llm key PROVIDER takes a key without displaying it. A prompt goes after --.",
        )


def refuse_misplaced(words: list[str], *, thread: str | None, is_model: Callable[[str], bool]) -> None:
    """Refuse a prompt that begins with a conversation's name, or ends with a model.

    `-t` takes a name only where it touches it, because the next word is usually the prompt's first.
    """
    if thread == DEFAULT_THREAD and len(words) > 1 and words[1] in flags():
        raise CellError(f"Did you mean -t{words[0][:40]} {words[1]} …?", hint="A prompt goes after --.")
    flag, model = words[-2:] if len(words) > 2 else ("", "")
    if flag in {"-m", "--model"} and (_are_models(model, is_model) or _is_provider(model)):
        raise CellError(
            f"Options come before the prompt: %llm {flag} {model[:80]} …", hint="A prompt goes after --."
        )


def refuse_addressed(word: str, prompt: str, is_model: Callable[[str], bool]) -> None:
    """Refuse a first word that names a model in a way that `%llm` does not read."""
    if word in _FAMILIES:
        _refuse_family(word)
    name = word.removeprefix("@").rstrip(",")
    if not _are_models(name, is_model):
        name = name.lower()
        # A capitalised word may begin a sentence; with a digit or colon in it, it is a name.
        meant = _are_models(name, is_model) and re.search(r"[\d:]", name) is not None
    elif word.endswith(","):
        following = " ".join(prompt.split()[:1]).strip(",")
        meant, name = _are_models(following, is_model), f"{name},{following}"
    else:
        meant = True
    if meant:
        raise CellError(
            f"What is {word[:80]!r}?", hint=f"Did you mean %llm {name} …? A prompt goes after --."
        )


def _refuse_family(word: str) -> None:
    """Refuse a family of models as `%%llm` does, with the models that may be meant."""
    from llmkit.core.naming import resolve

    try:
        resolve(word)
    except ConfigurationError as error:
        raise CellError(error.message, hint=f"{error.hint} A prompt goes after --.") from error


def _are_models(names: str, is_model: Callable[[str], bool]) -> bool:
    found = [name for name in names.split(",") if name]
    return bool(found) and all(map(is_model, found))


def _nearest(typed: str, commands: Mapping[str, Form]) -> str | None:
    """Return the subcommand that a word is or nearly is: a letter too many, two letters swapped…."""
    if typed in commands:
        return typed
    return nearest(typed, commands, cutoff=ALMOST) or next(
        (name for name in commands if sorted(name) == sorted(typed)), None
    )


def _nearly_key(typed: str, rest: list[str]) -> str | None:
    """Return `key` for a word like it before the name of a provider, but not for `hey`."""
    like = typed.startswith("k") and nearest(typed, ["key"]) is not None
    return "key" if like and len(rest) == 1 and _is_provider(rest[0]) else None


def _is_meant(name: str, rest: list[str], is_model: Callable[[str], bool]) -> bool:
    """Whether words after the name of a subcommand are a mistake rather than a prompt."""
    if not rest:
        return False
    if rest[0] in {"=", ":", *_VERBS.get(name, ())} or _OPTION.fullmatch(rest[0]):
        return True
    assigns = len(rest) == 1 or "=" in "".join(rest)
    return (name in _SETTINGS and assigns) or _has_its_value(name, rest, is_model)


def _has_its_value(name: str, rest: list[str], is_model: Callable[[str], bool]) -> bool:
    """Whether the words after a subcommand have the form of its argument."""
    if name in {"model", "models"}:
        return is_model(rest[0])
    if name == "key":
        return _is_provider(rest[0].partition("=")[0]) or any(map(_may_be_key, rest))
    if name in _PATTERNS and _PATTERNS[name].search(" ".join(rest)):
        return True
    return _is_one_value(name, rest[0]) if len(rest) == 1 else _are_two_values(name, rest, is_model)


def _is_one_value(name: str, word: str) -> bool:
    """Whether a single word after a subcommand is a mistake rather than a prompt."""
    if name in {"export", "trust"}:
        return re.search(r"\w[.:/]+\w", word) is not None
    if name == "doctor" and _is_provider(word):
        return True
    return word.isdecimal() or word.lower() in _FLAGS


def _are_two_values(name: str, rest: list[str], is_model: Callable[[str], bool]) -> bool:
    """Whether several words after a subcommand are values in a form that it does not read."""
    first, second = rest[0], rest[1].lower()
    if name == "budget":
        one, other = first.lower().strip(":="), second.lstrip("-")
        return any(
            _AMOUNT.fullmatch(amount) is not None and word in _UNITS
            for amount, word in ((first, other), (second, one))
        )
    if name == "alias":
        return len(rest) == 2 and is_model(rest[1])
    return name == "thread" and len(rest) == 2 and second in _VERBS["thread"]


def _is_secret(word: str) -> bool:
    from llmkit.core.redaction import redact

    return redact(word) != word


def _may_be_key(word: str) -> bool:
    """Whether a word after `%llm key` may be a key of any provider; prompts contain no such words."""
    return _is_secret(word) or (len(word) >= 16 and re.search(r"[0-9]", word) is not None)


def _is_provider(word: str) -> bool:
    from llmkit.core import catalog

    return word.lower() in catalog.providers()


def _force(name: str, words: list[str]) -> str:
    line = " ".join(words)
    if name != "key" and len(words) == 1:
        return "A prompt of one word goes after --."
    if name == "key" or len(line) > 60 or any(map(_is_secret, words)):  # a key is not repeated
        return "A prompt goes after --."
    return f"As a prompt: %llm -- {line}"
