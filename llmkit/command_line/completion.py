"""`llmkit completion`: what a shell runs to complete the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.command_line import output
from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse

SHELLS = ("bash", "zsh", "fish", "powershell")


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("shell", choices=SHELLS, help='in bash: eval "$(llmkit completion bash)"')


def run(options: argparse.Namespace) -> None:
    """Print the shell's code."""
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError as error:
        raise ConfigurationError(
            "Completion needs argcomplete, which is not installed.",
            hint='pip install "jupyter-llmkit[completion]"',
        ) from error
    output.say(shellcode(["llmkit"], shell=options.shell))
