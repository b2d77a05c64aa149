"""Where a ledger is kept."""

from __future__ import annotations

import os
import re

from llmkit.core.errors import ConfigurationError
from llmkit.costs.store.sqlite import ENVIRONMENT, default_path

_ADDRESS = re.compile(r"([A-Za-z][\w+.-]+):/")  # two letters at least: C:/ is a drive


def file_of(given: str | os.PathLike[str] | None) -> str | os.PathLike[str]:
    """Return the file that a ledger is kept in.

    Example:
        >>> file_of(":memory:")
        ':memory:'
    """
    where, setting = given or default_path(), "Ledger(path)" if given else ENVIRONMENT
    if (address := _ADDRESS.match(str(where))) is not None:  # the rest may hold a password
        raise ConfigurationError(
            f"{setting} is an address ({address[1]}://…), but a ledger is kept in an SQLite file.",
            hint="Give the path of a file, such as ~/ledger.sqlite.",
        )
    if os.path.isdir(os.path.expanduser(where)):  # noqa: PTH111, PTH112 - as the store expands it
        raise ConfigurationError(
            f"{setting} names the folder {where}, but a ledger is kept in a file.",
            hint=f"Give the path of a file in it, such as {os.path.join(where, 'ledger.sqlite')}.",  # noqa: PTH118
        )
    return where
