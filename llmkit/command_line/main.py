"""The command `llmkit`: finds the command, runs it, and reports errors as one sentence.

Only the module of the command that is asked for is imported, so that `llmkit --version` stays quick.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from llmkit import __version__
from llmkit.command_line import output

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "ask": "ask a model; what is piped in is added to the prompt",
    "cost": "show what calls cost, by model, day, notebook, tag, …",
    "budget": "show or set the budgets",
    "models": "list models and their prices",
    "doctor": "check keys, providers, the ledger and this machine",
    "jobs": "list the jobs over tables",
    "export": "write the calls to a file, or copy them into another ledger",
    "dashboard": "write the dashboard as a page that needs no kernel",
    "metrics": "serve the ledger's metrics for Prometheus",
    "key": "store a provider's key in the keyring of the system",
    "trust": "list, add or revoke addresses in project files that may receive your keys",
    "sandbox": "serve the sandbox on 127.0.0.1",
    "completion": "print what lets a shell complete commands, options and models",
}
"""The commands, and what each does; each is a module of this package with the functions `add` and `run`."""

FAILED, USAGE, REFUSED, INTERRUPTED, PIPE_CLOSED = 1, 2, 3, 130, 141
"""Exit codes, beside 0; argparse itself ends the process with `USAGE`."""

EXIT_CODES = {
    0: "done",
    FAILED: "an error, which standard error explains; doctor: ledger, answers or budget has a ✗",
    USAGE: "the command line does not fit its usage, or cost has no such column",
    REFUSED: "a budget refused the call: nothing was sent",
    INTERRUPTED: "interrupted by Ctrl+C; the text so far was printed",
    PIPE_CLOSED: "whoever read the output has left, as in `| head`",
}
"""What the exit codes mean, for the help and the documentation."""


class Command(Protocol):
    """The module of a command."""

    def add(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of the command to its parser."""

    def run(self, options: argparse.Namespace) -> int | None:
        """Run the command; return its exit code, `None` for 0."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        words: The command line without the name of the program; by default that of the process.

    Returns:
        The exit code, see `EXIT_CODES`.

    Raises:
        SystemExit: If the command line is wrong, or asks for help.

    Example:
        >>> main(["models", "sandbox", "--json"])  # doctest: +ELLIPSIS
        [...
    """
    words = list(sys.argv[1:] if words is None else words)
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    name = words[0] if words else ""
    if name not in COMMANDS:
        front_parser().parse_args(words or ["--help"])
    command = load(name)
    return _guarded(name, command, parser_of(name).read(words[1:]))


def load(name: str) -> Command:
    """Import the module of a command."""
    module: Any = import_module(f"llmkit.command_line.{name}")
    return module  # type: ignore[no-any-return]  # a module fits the protocol


def parser_of(name: str) -> _Parser:
    """Return the parser of one command."""
    parser = _Parser(prog=f"llmkit {name}", description=f"{_sentence(COMMANDS[name])}")
    load(name).add(parser)
    return parser


def front_parser(*, whole: bool = False) -> argparse.ArgumentParser:
    """Return the parser of the program; with `whole`, the arguments of all commands are in it."""
    codes = "\n".join(f"  {code:>3}  {meaning}" for code, meaning in EXIT_CODES.items())
    parser = _Parser(
        prog="llmkit",
        description="Call language models from a terminal: streamed, priced and recorded.",
        epilog=f"exit codes:\n{codes}",
        formatter_class=_Help,
    )
    parser.add_argument("--version", action="version", version=f"llmkit {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=_sentence(text))
        if whole:
            load(name).add(command)
    return parser


class _Parser(argparse.ArgumentParser):
    """Repeats no keys in its errors: one may have been pasted into the wrong place."""

    def error(self, message: str) -> NoReturn:
        from llmkit.core.redaction import redact

        super().error(redact(message))

    def read(self, words: list[str]) -> argparse.Namespace:
        """Read a command line: options may stand between the words of a prompt, all after `--` are words."""
        if "--" not in words:
            return self.parse_intermixed_args(words)
        lists = [one.dest for one in self._get_positional_actions() if one.nargs == "*"]
        if not lists:
            return self.parse_args(words)
        end = words.index("--")
        options = self.parse_intermixed_args(words[:end])
        setattr(options, lists[0], [*(getattr(options, lists[0]) or ()), *words[end + 1 :]])
        return options


class _Help(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the exit codes, and each command on one line."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=20, width=100)
        self._action_max_length = max(map(len, COMMANDS)) + 4  # argparse forgets how far they are indented


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _complete() -> None:
    """Answer the shell, which asks how the command line may go on; does not return then."""
    try:
        import argcomplete
    except ImportError:  # the shell was told to ask by another environment
        sys.exit(FAILED)
    argcomplete.autocomplete(front_parser(whole=True))


def _guarded(name: str, command: Command, options: argparse.Namespace) -> int:
    """Run a command; its errors become a sentence and an exit code."""
    from llmkit.core.errors import BudgetExceededError, LLMClientError

    output.prepare()
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: output.note(str(message))
        try:
            code = command.run(options)
            sys.stdout.flush()
        except BrokenPipeError:
            output.forget_reader()
            return PIPE_CLOSED
        except KeyboardInterrupt:
            return INTERRUPTED
        except (LLMClientError, OSError) as error:
            output.complain(name, error)
            return REFUSED if isinstance(error, BudgetExceededError) else FAILED
    return code or 0
