"""The location of the ledger's file."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import platformdirs

from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

MEMORY = ":memory:"
"""The path of a ledger that exists only in its process."""

ENVIRONMENT = "LLMKIT_LEDGER"
"""Variable with the path of the default ledger, or `:memory:`."""

_ADDRESS = re.compile(r"([A-Za-z][\w+.-]+):/")  # two letters at least: C:/ is a drive


def default_path() -> str | Path:
    """Return the path of the default ledger."""
    return os.environ.get(ENVIRONMENT, "").strip() or platformdirs.user_data_path("llmkit") / "ledger.sqlite"


def file_of(given: str | os.PathLike[str] | None) -> str | os.PathLike[str]:
    """Return the file of a ledger.

    Example:
        >>> file_of(":memory:")
        ':memory:'
    """
    where, setting = given or default_path(), "Ledger(path)" if given else ENVIRONMENT
    if (address := _ADDRESS.match(str(where))) is not None:  # the rest may hold a password
        raise ConfigurationError(
            f"{setting} is a URL ({address[1]}://…), but a ledger is a file or in PostgreSQL.",
            hint="Set the path of a file, such as ~/ledger.sqlite, or postgresql://user@host/database.",
        )
    if os.path.isdir(os.path.expanduser(where)):  # noqa: PTH111, PTH112 - as the store expands it
        raise ConfigurationError(
            f"{setting} is the folder {where}, but a ledger is a file.",
            hint=f"Set the path of a file in it, such as {os.path.join(where, 'ledger.sqlite')}.",  # noqa: PTH118
        )
    return where
