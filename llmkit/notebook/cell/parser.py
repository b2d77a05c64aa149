"""Parses a cell's text into a `CellRequest`.

Only options at the beginning are parsed; the rest is the prompt, verbatim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.content.template import CellError
from llmkit.notebook.cell.nearly import refuse_addressed, refuse_misplaced, refuse_secrets
from llmkit.notebook.cell.reader import OptionReader
from llmkit.notebook.cell.subcommands import COMMANDS, parse_command

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.notebook.cell.subcommands import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class CellRequest:
    """One prompt and how to send it."""

    prompt: str  # before interpolation
    model: str | None = None  # `None` is the default model
    out: str | None = None  # variable to assign the reply to
    system: str | None = None  # as typed; see `system_variable`
    thread: str | None = None  # `None` means without memory
    new: bool = False  # start the thread anew
    variables: tuple[str, ...] = ()  # names of variables to describe
    cells: tuple[int, ...] = ()  # numbers of earlier inputs to include
    attachments: tuple[str, ...] = ()  # paths, URLs and names of variables
    format: str | None = None  # one of `values.FORMATS`; `None` is the default
    schema: str | None = None  # name of the variable that holds it
    tools: tuple[str, ...] = ()  # names of tools, each maybe several with commas
    max_steps: int | None = None  # requests of a run with tools
    max_cost: float | None = None  # of a run with tools, in US dollars
    yes: bool = False  # allow tools without asking, but never python
    code: bool = False  # put the answer's code into the next cell
    failed: str = ""  # code that the answer corrects; the same code makes no cell
    temperature: float | None = None
    max_tokens: int | None = None
    effort: str | None = None
    tier: str | None = None
    cache: str | None = None
    api: str | None = None
    params: tuple[tuple[str, Any], ...] = ()  # provider parameters: name and value
    budget: float | None = None  # maximum cost of the call in US dollars
    tags: tuple[tuple[str, str], ...] = ()  # name and value
    dry_run: bool = False  # show what would be sent, and send nothing
    exact: bool = False  # let the provider count the tokens of a dry run
    refresh: bool = False  # make a new call although the answer is recorded
    no_cache: bool = False  # neither replay nor record
    quiet: bool = False
    raw: bool = False  # leave `{{name}}` as it is
    help: bool = False  # show help; the prompt may be empty

    @property
    def tool_names(self) -> tuple[str, ...]:
        """The names after `-x`."""
        return tuple(name for names in self.tools for name in names.split(","))

    @property
    def system_variable(self) -> str | None:
        """Name of the variable that holds the system prompt (`-s @VAR`), if it is one."""
        name = (self.system or "").removeprefix("@")
        return name if name != self.system and name.isidentifier() else None


def parse_cell(line: str, cell: str) -> CellRequest:
    """Parse a cell that begins with `%%llm`.

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
            f"{extra!r} is not an option.",
            hint="The line takes one model and options; the prompt goes below.",
        )
    if word:
        if "model" in reader.values:
            raise CellError(f"Two models: {word} and {reader.values['model']}.", hint="Keep one of them.")
        reader.values["model"] = word
    return _ask(reader, cell, "Type it into the lines below %%llm.")


def parse_line(line: str, is_model: Callable[[str], bool] = lambda _: False) -> CellRequest | Command:
    """Parse what follows `%llm`.

    Example:
        >>> parse_line("model sonnet")
        Command(name='model', argument='sonnet', save=False)
        >>> parse_line("-T 0 what's up -m?").prompt
        "what's up -m?"
        >>> parse_line("sonnet name a river", lambda word: word == "sonnet").model
        'sonnet'
    """
    if command := parse_command(line.split(), is_model):
        return command
    reader = OptionReader(line, detached=False)
    if not reader.read():
        _refuse_command(reader.rest.split())
        _read_model(reader, is_model)
        refuse_misplaced(reader.rest.split(), thread=reader.values.get("thread"), is_model=is_model)
        refuse_secrets(reader.rest)
    return _ask(reader, reader.rest, "Type it after %llm, or %llm help.")


def _refuse_command(words: list[str]) -> None:
    """Refuse a subcommand after options: it takes none."""
    form = COMMANDS.get(words[0]) if words else None
    if form is not None and form.takes(" ".join(words[1:])):
        raise CellError(f"%llm {words[0]} takes no options before it.", hint="A prompt goes after --.")


def _read_model(reader: OptionReader, is_model: Callable[[str], bool]) -> None:
    """Read the model before the prompt, and the options after it."""
    word = reader.peek()
    if "model" in reader.values:
        return
    if not _names_models(word, is_model):
        refuse_addressed(word, reader.rest[len(word) :], is_model)
        return
    reader.values["model"] = reader.take_word()
    reader.read()
    if not reader.rest and not reader.values.get("help"):
        raise _nothing_asked(reader.values["model"])


def _names_models(word: str, is_model: Callable[[str], bool]) -> bool:
    """Whether a word is a model, or several with commas between them."""
    return bool(word) and all(name and is_model(name) for name in word.split(","))


def _nothing_asked(model: str) -> CellError:
    default = "" if "," in model else f"; %llm model {model} makes it the default"
    return CellError(f"There is no prompt for {model}.", hint=f"Type it after the name{default}.")


def _ask(reader: OptionReader, prompt: str, hint: str) -> CellRequest:
    if not prompt.strip() and not reader.values.get("help"):
        raise CellError("The prompt is empty.", hint=hint)
    return CellRequest(prompt=prompt, **reader.values)
