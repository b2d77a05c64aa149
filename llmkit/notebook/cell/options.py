"""The options of `%%llm` and `%llm`: each declared once, for parsing, completion, help and the README."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.content.template import CellError
from llmkit.core.suggestions import did_you_mean
from llmkit.notebook.cell import values

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_THREAD = "main"
"""Name of the conversation that `-t` without a name continues."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option.

    Attributes:
        field: Where `CellRequest` keeps the value.
        names: Its long name without the dashes, then its letter if it has one.
        help: One line for people.
        metavar: What its value is called; empty for a switch.
        convert: Turns the text of a value into the value; raises `ValueError` with the reason.
        bare: The value when none is given; `None` if one must be.
        many: Whether it may be given several times; the value is a tuple then.
    """

    field: str
    names: tuple[str, ...]
    help: str
    metavar: str = ""
    convert: Callable[[str], Any] = str
    bare: Any = None
    many: bool = False

    @property
    def usage(self) -> str:
        """How it is written, e.g. `-m, --model NAME`."""
        flags = ", ".join(flag(name) for name in reversed(self.names))
        value = f"[{self.metavar}]" if self.bare is not None else self.metavar
        return f"{flags} {value}".strip()


OPTIONS = (
    Option(
        field="model",
        names=("model", "m"),
        metavar="NAME",
        convert=values.words,
        help="model or alias to use",
    ),
    Option(
        field="out",
        names=("out", "o"),
        metavar="VAR",
        convert=values.variable,
        help="store the reply in this variable, even if it is incomplete",
    ),
    Option(
        field="system",
        names=("system", "s"),
        metavar="TEXT",
        convert=values.words,
        help="system prompt; @VAR reads it from a variable",
    ),
    Option(
        field="thread",
        names=("thread", "t"),
        metavar="NAME",
        convert=values.thread,
        bare=DEFAULT_THREAD,
        help=f"continue a conversation, by default {DEFAULT_THREAD!r}; with %llm, write -tNAME",
    ),
    Option(field="new", names=("new", "n"), help="start a new conversation"),
    Option(
        field="variables",
        names=("var", "v"),
        metavar="NAME",
        convert=values.existing,
        many=True,
        help="describe a variable: columns and first rows of a table, source of a function; repeatable",
    ),
    Option(
        field="cells",
        names=("cells", "i"),
        metavar="3-7",
        convert=values.cells,
        help="include earlier inputs, such as In[3] to In[7], or 3,5",
    ),
    Option(
        field="attachments",
        names=("attach", "a"),
        metavar="SOURCE",
        convert=values.words,
        many=True,
        help="attach a file, URL or variable: image, PDF, text, figure; repeatable",
    ),
    Option(
        field="format",
        names=("format", "f"),
        metavar="FORMAT",
        convert=values.answer_format,
        help="how the answer is shown and returned: md, text, json, df or code",
    ),
    Option(
        field="schema",
        names=("schema",),
        metavar="VAR",
        convert=values.existing,
        help="variable with the JSON schema, dataclass or pydantic model for -f json or df",
    ),
    Option(field="code", names=("code", "c"), help="put the code of the answer into the next cell"),
    Option(
        field="temperature",
        names=("temperature", "T"),
        metavar="NUMBER",
        convert=values.temperature,
        help="sampling temperature, 0 to 2",
    ),
    Option(
        field="max_tokens",
        names=("max-tokens", "k"),
        metavar="COUNT",
        convert=values.count,
        help="maximum length of the answer, in tokens",
    ),
    Option(
        field="params",
        names=("param", "p"),
        metavar="KEY=VALUE",
        convert=values.parameter,
        many=True,
        help="a provider parameter, such as top_p=0.9; repeatable",
    ),
    Option(
        field="budget",
        names=("budget", "b"),
        metavar="USD",
        convert=values.dollars,
        help="refuse the call if it may cost more than this",
    ),
    Option(
        field="tags",
        names=("tag",),
        metavar="NAME=VALUE",
        convert=values.tag,
        many=True,
        help="label the call in the ledger, such as project=thesis; repeatable",
    ),
    Option(field="dry_run", names=("dry-run", "d"), help="show the request and its price without sending it"),
    Option(field="refresh", names=("refresh", "r"), help="make a new call, and record its answer for replay"),
    Option(field="no_cache", names=("no-cache",), help="do not replay or record the answer"),
    Option(field="quiet", names=("quiet", "q"), help="display nothing"),
    Option(field="raw", names=("raw",), help="do not replace {{name}} in the prompt"),
    Option(field="help", names=("help", "h"), help="show this help"),
)

BY_NAME = {name: option for option in OPTIONS for name in option.names}
"""Options by their long names and letters."""


def flag(name: str) -> str:
    """Return how a name is typed: `-m`, `--model`."""
    return f"-{name}" if len(name) == 1 else f"--{name}"


def flags() -> list[str]:
    """Return every way to write an option, e.g. `-m` and `--model`."""
    return [flag(name) for name in BY_NAME]


def find_option(name: str, typed: str) -> Option:
    """Return an option by its name."""
    if name in BY_NAME and typed == flag(name):
        return BY_NAME[name]
    hint = did_you_mean(typed, flags(), "Begin the prompt with -- if this is a part of it.")
    raise CellError(f"There is no option {typed}.", hint=hint)
