"""`llmkit key`: asks for a provider's key, without showing it, and stores it in the system's keyring."""

from __future__ import annotations

import sys
from getpass import getpass
from typing import TYPE_CHECKING

from llmkit.command_line import output
from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    import argparse


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("provider", help="such as openai; the key is asked for, or piped in")


def run(options: argparse.Namespace) -> None:
    """Read the key and store it."""
    from llmkit.clients.credentials.keys import save_key
    from llmkit.core import catalog
    from llmkit.core.redaction import Secret
    from llmkit.core.suggestions import did_you_mean

    if options.provider not in catalog.providers():
        # The word is not repeated: it may be a key.
        near = did_you_mean(options.provider.lower(), catalog.providers(), "llmkit doctor lists them.")
        raise ConfigurationError("That is no provider's name.", hint=near)
    typed = getpass(f"{options.provider} key: ") if sys.stdin.isatty() else sys.stdin.readline()
    value = Secret(typed.strip(), "llmkit key")  # tracebacks may show variables
    del typed
    if not value.reveal():
        raise ConfigurationError("No key was entered.", hint=f"Run llmkit key {options.provider} again.")
    save_key(options.provider, value.reveal())
    output.say(f"The {options.provider} key is stored in the keyring.")
