"""The subcommands of `%llm`, each declared once; a line is one only if all of its words match."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.content.template import CellError
from llmkit.notebook.cell.nearly import refuse_nearly

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = r"[\w.:/@*+][\w.:/@*+-]*"
THREAD = r"[^\W\d][\w-]*"
_WORD = r"[^\W\d](?:[\w.:/@+-]*\w)?"
_CHAT = (
    rf"(?:-m|--model) {_NAME}|(?:-t|--thread) {THREAD}|(?:-v|--var) [^\W\d][\w.]*|(?:-x|--tools) [\w.,:-]+"
    r"|(?:-b|--budget|--max-cost) [0-9.]+|--max-steps [0-9]+"
)
_FILE = r"\S+\.(?:md|markdown)"
_BUDGET = (
    r"off|(?:(?:daily|per_notebook|per_call|per_user)=)?(?:\$?[0-9]*\.?[0-9]+|off)"
    r"|(?:unpriced|unknown_notebook|offline)=[a-z]+"
)
_TAG = r"[^\W\d][\w.-]*=[^\s\"']+"
_REPLAY = r"off|auto|only|[^\s?]+\.(?:replay|sqlite|db)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One of the subcommands of `%llm`."""

    name: str
    argument: str | None = None  # the words after the name
    save: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """How a subcommand is written."""

    help: str
    metavar: str = ""  # the argument in the help; empty if it takes none
    pattern: str = ""  # of the argument, its words separated by one space
    required: bool = False  # whether the argument is required
    switch: str = ""  # for example `--save`

    def takes(self, argument: str) -> bool:
        """Return whether the subcommand accepts this argument."""
        return not argument or re.fullmatch(self.pattern, argument) is not None

    def usage(self, name: str) -> str:
        """Return how it is written."""
        plain = self.required or not self.metavar or self.metavar.startswith("[")
        value = self.metavar if plain else f"[{self.metavar}]"
        return " ".join(filter(None, ["%llm", name, value, self.switch and f"[{self.switch}]"]))


COMMANDS = {
    "model": Form("show or set the default model", "NAME", rf"{_NAME}(?:,{_NAME})*"),
    "models": Form("list models and prices", "FILTER", _NAME),
    "alias": Form(
        "list, set or remove aliases of models, for this session",
        "NAME=MODEL | remove NAME",
        rf"{THREAD}|{THREAD}={_NAME}|remove {THREAD}",
    ),
    "key": Form(
        "enter a provider's key without displaying it", "PROVIDER", _NAME, required=True, switch="--save"
    ),
    "trust": Form(
        "list, add or revoke addresses in project files that may receive your keys",
        "URL | revoke URL",
        r"(?:revoke )?https?://\S+",
    ),
    "fix": Form("correct the cell that failed last; the code goes into the next cell"),
    "explain": Form("explain the last error"),
    "cost": Form("show what you have spent", "BY", _NAME),
    "jobs": Form("list the jobs over tables, with their rows and costs"),
    "dashboard": Form("show costs live, with controls and the prices of other models", "BY", _NAME),
    "budget": Form(
        "show or set limits: daily, per_notebook, per_call, per_user, unpriced, unknown_notebook, offline;"
        " off removes them",
        "[NAME=]USD ...",
        rf"(?:{_BUDGET})(?: (?:{_BUDGET}))*",
    ),
    "tags": Form(
        "show or set labels for all later calls of this notebook",
        "NAME=VALUE ... | off",
        rf"off|{_TAG}(?: {_TAG})*",
    ),
    "thread": Form(
        "list the conversations, or show, delete or rename one",
        "NAME | show NAME | delete NAME | rename OLD NEW",
        rf"{THREAD}|(?:show|delete) {THREAD}|rename {THREAD} {THREAD}",
    ),
    "chat": Form(
        "open a chat with a model, or continue a conversation in it; its options are those of a cell",
        "[MODEL|THREAD] [-t NAME] [-v NAME] [-x NAMES] [-b USD] [--max-steps N] [--max-cost USD]",
        rf"{_WORD}|(?:{_WORD} )?(?:{_CHAT})(?: (?:{_CHAT}))*|(?:(?:{_CHAT}) )+{_WORD}",
    ),
    "last": Form("show the last answer again"),
    "replay": Form(
        "show or set whether recorded answers are replayed, at no cost",
        "auto|only|off [FILE]",
        rf"(?:{_REPLAY})(?: (?:{_REPLAY}))*",
    ),
    "export": Form(
        "write the session or a conversation as Markdown or HTML",
        "[thread NAME] [FILE.md]",
        rf"(?:thread {THREAD}(?: {_FILE})?)|{_FILE}",
    ),
    "doctor": Form("check keys, models and the notebook"),
    "help": Form("show this help, or the help on one topic", "TOPIC", _NAME + r"|-{1,2}[A-Za-z-]+"),
}
"""The subcommands of `%llm`."""


def parse_command(words: list[str], is_model: Callable[[str], bool] = lambda _: False) -> Command | None:
    """Return the subcommand that all of the words form; `None` for a prompt, which may begin with its name.

    Example:
        >>> parse_command(["alias", "fast=openai:gpt-6-luna"])
        Command(name='alias', argument='fast=openai:gpt-6-luna', save=False)
        >>> parse_command(["alias", "Smith", "and", "his", "model"]) is None
        True
    """
    if not words:
        return None
    name, form = words[0], COMMANDS.get(words[0])
    rest = [word for word in words[1:] if form is None or word != form.switch]
    if form is not None and form.takes(" ".join(rest)):
        if form.required and not rest:
            raise CellError("Whose key?", hint="Name the provider: %llm key openai.")
        return Command(name=name, argument=" ".join(rest) or None, save=len(rest) < len(words) - 1)
    refuse_nearly([name, *rest], COMMANDS, is_model)
    return None
