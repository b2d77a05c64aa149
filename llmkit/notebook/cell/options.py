"""The options of `%%llm` and `%llm`: each declared once, for parsing, completion, help and the README."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.content.template import CellError
from llmkit.core.suggestions import did_you_mean
from llmkit.notebook.cell import values
from llmkit.providers.choices import APIS, CACHES, EFFORTS, TIERS

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_THREAD = "main"
"""Name of the conversation that `-t` without a name continues."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option."""

    field: str  # the attribute of `CellRequest` that holds the value
    names: tuple[str, ...]  # long name without dashes, then the letter if there is one
    help: str
    metavar: str = ""  # name of the value in the help; empty for a switch
    convert: Callable[[str], Any] = str  # converts the text; raises `ValueError` with the reason
    bare: Any = None  # value if none is given; `None` if a value is required
    many: bool = False  # may be repeated; the value is then a tuple

    @property
    def usage(self) -> str:
        """How it is written, e.g. `-m, --model NAME`."""
        flags = ", ".join(flag(name) for name in reversed(self.names))
        value = f"[{self.metavar}]" if self.bare is not None else self.metavar
        return f"{flags} {value}".strip()


def _listed(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"


OPTIONS = (
    Option("model", ("model", "m"), "model or alias to use", "NAME", values.words),
    Option(
        "out",
        ("out", "o"),
        "store the reply in this variable, even if it is incomplete",
        "VAR",
        values.variable,
    ),
    Option("system", ("system", "s"), "system prompt; @VAR reads it from a variable", "TEXT", values.words),
    Option(
        "thread",
        ("thread", "t"),
        f"continue a conversation, by default {DEFAULT_THREAD!r}; with %llm, write -tNAME",
        "NAME",
        values.thread,
        bare=DEFAULT_THREAD,
    ),
    Option("new", ("new", "n"), "start a new conversation"),
    Option(
        "variables",
        ("var", "v"),
        "describe a variable: columns and first rows of a table, source of a function; repeatable",
        "NAME",
        values.existing,
        many=True,
    ),
    Option(
        "cells", ("cells", "i"), "include earlier inputs, such as In[3] to In[7], or 3,5", "3-7", values.cells
    ),
    Option(
        "attachments",
        ("attach", "a"),
        "attach a file, URL or variable: image, PDF, text, figure; repeatable",
        "SOURCE",
        values.words,
        many=True,
    ),
    Option(
        "format",
        ("format", "f"),
        "how the answer is shown and returned: md, text, json, df or code",
        "FORMAT",
        values.answer_format,
    ),
    Option(
        "schema",
        ("schema",),
        "variable with the JSON schema, dataclass or pydantic model for -f json or df",
        "VAR",
        values.existing,
    ),
    Option(
        "tools",
        ("tools", "x"),
        "let the model call functions of the notebook; python runs code, mcp:NAME has a server's tools",
        "NAMES",
        values.tools,
        many=True,
    ),
    Option(
        "max_steps",
        ("max-steps",),
        "maximum requests to the model with -x, by default 8",
        "COUNT",
        values.count,
    ),
    Option("max_cost", ("max-cost",), "maximum price of all requests with -x", "USD", values.dollars),
    Option("yes", ("yes",), "allow all tools but python without asking"),
    Option("code", ("code", "c"), "put the code of the answer into the next cell"),
    Option("temperature", ("temperature", "T"), "sampling temperature, 0 to 2", "NUMBER", values.temperature),
    Option(
        "max_tokens", ("max-tokens", "k"), "maximum length of the answer, in tokens", "COUNT", values.count
    ),
    Option(
        "effort",
        ("effort", "e"),
        f"how much the model reasons: {_listed(EFFORTS)}",
        "LEVEL",
        values.word_of(EFFORTS),
    ),
    Option("tier", ("tier",), f"service tier: {_listed(TIERS)}", "TIER", values.word_of(TIERS)),
    Option(
        "cache",
        ("cache",),
        "auto lets the provider cache a conversation's prompt, off does not",
        "auto|off",
        values.word_of(CACHES),
    ),
    Option("api", ("api",), f"which API of OpenAI: {_listed(APIS)}", "API", values.word_of(APIS)),
    Option(
        "params",
        ("param", "p"),
        "a provider parameter, such as top_p=0.9; repeatable",
        "KEY=VALUE",
        values.parameter,
        many=True,
    ),
    Option("budget", ("budget", "b"), "refuse the call if it may cost more than this", "USD", values.dollars),
    Option(
        "tags",
        ("tag",),
        "label the call in the ledger, such as project=thesis; repeatable",
        "NAME=VALUE",
        values.tag,
        many=True,
    ),
    Option("dry_run", ("dry-run", "d"), "show the request and its price without sending it"),
    Option("exact", ("exact",), "with -d: let the provider count the tokens, free of charge"),
    Option("refresh", ("refresh", "r"), "make a new call, and record its answer for replay"),
    Option("no_cache", ("no-cache",), "do not replay or record the answer"),
    Option("quiet", ("quiet", "q"), "display nothing"),
    Option("raw", ("raw",), "do not replace {{name}} in the prompt"),
    Option("help", ("help", "h"), "show this help"),
)

BY_NAME = {name: option for option in OPTIONS for name in option.names}
"""Options by their long names and letters."""


def flag(name: str) -> str:
    """Return an option's name as typed: `-m`, `--model`."""
    return f"-{name}" if len(name) == 1 else f"--{name}"


def flags() -> list[str]:
    """Return every way to write an option, e.g. `-m` and `--model`."""
    return [flag(name) for name in BY_NAME]


def find_option(name: str, typed: str) -> Option:
    """Return an option by its name."""
    if name in BY_NAME and typed == flag(name):
        return BY_NAME[name]
    hint = did_you_mean(typed, flags(), "If this is part of the prompt, begin the prompt with --.")
    raise CellError(f"Unknown option {typed}.", hint=hint)
