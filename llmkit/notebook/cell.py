"""The text of a cell → what to ask, of whom, and how.

Only options at the beginning are read; the rest is the prompt, to the letter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llmkit.notebook.interpolation import Interpolated, interpolate
from llmkit.notebook.options import DEFAULT_THREAD, OPTIONS, CellError, OptionReader, flags

__all__ = [
    "COMMANDS",
    "DEFAULT_THREAD",
    "Ask",
    "CellError",
    "Command",
    "Interpolated",
    "completions",
    "help_text",
    "interpolate",
    "options_table",
    "parse_cell",
    "parse_line",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One prompt and how to send it.

    Attributes:
        prompt: The prompt, before interpolation.
        model: Model or alias; `None` for the default.
        out: Variable that receives the reply.
        system: System prompt as it was typed; see `system_variable`.
        thread: Conversation to continue; `None` for no memory.
        new: Whether to start that conversation afresh.
        temperature: Randomness, 0 to 2.
        max_tokens: Longest answer, in tokens.
        budget: What the call may cost at most, in US dollars.
        refresh: Whether to ask again although the answer is recorded.
        no_cache: Whether to neither replay nor record the answer.
        quiet: Whether to display nothing.
        raw: Whether `{{name}}` stays as it is.
        help: Whether only help is wanted; the prompt may be empty then.
    """

    prompt: str
    model: str | None = None
    out: str | None = None
    system: str | None = None
    thread: str | None = None
    new: bool = False
    temperature: float | None = None
    max_tokens: int | None = None
    budget: float | None = None
    refresh: bool = False
    no_cache: bool = False
    quiet: bool = False
    raw: bool = False
    help: bool = False

    @property
    def system_variable(self) -> str | None:
        """Name of the variable that holds the system prompt (`-s @VAR`), if it is one."""
        name = (self.system or "").removeprefix("@")
        return name if name != self.system and name.isidentifier() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One of the subcommands of `%llm`.

    Attributes:
        name: Its name.
        argument: The words after it, if there are any.
        save: Whether `--save` was given.
    """

    name: str
    argument: str | None = None
    save: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    metavar: str = ""
    switch: str = ""
    help: str
    words: re.Pattern[str] | None = None  # what all the words must look like; without it there is one at most

    def takes(self, words: list[str]) -> bool:
        if self.words is not None:
            return all(self.words.fullmatch(word) for word in words)
        return len(words) <= bool(self.metavar) and all(_is_argument(word) for word in words)

    def usage(self, name: str) -> str:
        value = f"[{self.metavar}]" if self.metavar and name != "key" else self.metavar
        switch = f"[{self.switch}]" if self.switch else ""
        return " ".join(filter(None, ["%llm", name, value, switch]))


COMMANDS = {
    "model": _Form(metavar="NAME", help="show or set the default model"),
    "models": _Form(metavar="FILTER", help="list the models that can be asked"),
    "key": _Form(metavar="PROVIDER", switch="--save", help="enter a provider's key without showing it"),
    "cost": _Form(metavar="BY", help="what the calls have cost"),
    "budget": _Form(
        metavar="[NAME=]USD ...",
        words=re.compile(
            r"off|(?:(?:daily|per_notebook|per_call)=)?(?:\$?[0-9]*\.?[0-9]+|off)|unpriced=[a-z]+"
        ),
        help="show or set what may be spent: daily, per_notebook, per_call, unpriced; off lifts it",
    ),
    "replay": _Form(
        metavar="auto|only|off [FILE]",
        words=re.compile(r"off|auto|only|[^\s?]+\.(?:replay|sqlite|db)"),
        help="show or set whether recorded answers are played back, at no cost",
    ),
    "doctor": _Form(help="check keys, models and the notebook"),
    "help": _Form(metavar="TOPIC", help="show this"),
}
"""The subcommands of `%llm`."""

_ARGUMENT = re.compile(r"[\w.:/@*+-]+")


def parse_cell(line: str, cell: str) -> Ask:
    """Parse a cell that begins with `%%llm`.

    Args:
        line: The rest of the first line: options, and at most one bare word, the model.
        cell: The lines below: the prompt.

    Returns:
        What to ask.

    Raises:
        CellError: If the line has anything else on it, or the prompt is empty.

    Example:
        >>> ask = parse_cell("sonnet -o plan", "Plan my day.")
        >>> ask.model, ask.out, ask.prompt
        ('sonnet', 'plan', 'Plan my day.')
    """
    reader = OptionReader(line, detached=True)
    ended = reader.read()
    word = "" if ended else reader.take_word()
    ended = ended or reader.read()
    if reader.rest:
        extra = reader.rest.split()[0]
        raise CellError(
            f"What is {extra!r} after %%llm?", hint="One model and options; the prompt goes below."
        )
    if word:
        if "model" in reader.values:
            raise CellError(f"Two models: {word} and {reader.values['model']}.", hint="Keep one of them.")
        reader.values["model"] = word
    return _ask(reader, cell, "Type it into the lines below %%llm.")


def parse_line(line: str) -> Ask | Command:
    """Parse what follows `%llm`.

    Args:
        line: A subcommand, or options and a prompt. `--` says that a prompt follows.

    Returns:
        What to ask or to do.

    Raises:
        CellError: If an option is wrong, or the prompt is empty.

    Example:
        >>> parse_line("model sonnet")
        Command(name='model', argument='sonnet', save=False)
        >>> parse_line("-T 0 what's up -m?").prompt
        "what's up -m?"
    """
    if command := _command(line.split()):
        return command
    reader = OptionReader(line, detached=False)
    reader.read()
    return _ask(reader, reader.rest, "Type it after %llm, or %llm help.")


def _ask(reader: OptionReader, prompt: str, hint: str) -> Ask:
    if not prompt.strip() and not reader.values.get("help"):
        raise CellError("The prompt is empty.", hint=hint)
    return Ask(prompt=prompt, **reader.values)


def _command(words: list[str]) -> Command | None:
    """Return the subcommand that all of the words make up; a prompt may begin with such a word, too."""
    if not words or words[0] not in COMMANDS:
        return None
    name, form = words[0], COMMANDS[words[0]]
    rest = [word for word in words[1:] if not form.switch or word != form.switch]
    save = len(rest) < len(words) - 1
    if name == "key" and not rest:
        raise CellError("Whose key?", hint="Name the provider: %llm key openai.")
    if not form.takes(rest):
        return None
    return Command(name=name, argument=" ".join(rest) or None, save=save)


def _is_argument(word: str) -> bool:
    return bool(_ARGUMENT.fullmatch(word)) and not word.startswith("-")


def completions(word: str, *, cell: bool) -> list[str]:
    """Complete a word after `%%llm` or `%llm`.

    Args:
        word: What has been typed of it.
        cell: Whether it is the cell magic; only the line magic has subcommands.

    Returns:
        Options, or subcommands, that begin like it. Models are not among them.

    Example:
        >>> completions("--t", cell=True)
        ['--temperature', '--thread']
    """
    words = flags() if word.startswith("-") else [] if cell else list(COMMANDS)
    return sorted(choice for choice in words if choice.startswith(word))


def options_table() -> str:
    """Return the options as a Markdown table, for the README."""
    rows = [f"| `{option.usage}` | {option.help} |" for option in OPTIONS]
    return "\n".join(["| option | meaning |", "|---|---|", *rows])


def help_text() -> str:
    """Return how to use the magics, as plain text."""
    options = [(option.usage, option.help) for option in OPTIONS]
    commands = [(form.usage(name), form.help) for name, form in COMMANDS.items()]
    width = max(len(usage) for usage, _ in options + commands)
    lines = [f"  {usage:<{width}}  {text}" for usage, text in options]
    subcommands = [f"  {usage:<{width}}  {text}" for usage, text in commands]
    return "\n".join(
        [
            "%%llm [MODEL] [OPTIONS]   the prompt is the lines below",
            "%llm [OPTIONS] PROMPT     the prompt is the rest of the line; -- ends the options",
            "",
            *lines,
            "",
            *subcommands,
            "",
            "{{name}} in a prompt stands for a variable, with .attribute and ['key'] or [0]; \\{{ does not.",
        ]
    )
