"""Addresses that the user has trusted with keys although only a project's file names them.

A cloned folder's settings may name any address. Keys from the environment, the keyring or `%llm key` go there
only after `llmkit.trust("https://host/…")`, which is kept in the user's own settings.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING

from llmkit.core import addresses, settings
from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

FILE = "trusted.txt"
"""Beside the user's own settings file: an address on each line."""


def trust(url: str | None = None, *, revoke: bool = False) -> list[str]:
    """Let your keys go to an address that a project's file names, or take that back.

    It is kept for later sessions, in your own settings; addresses that you set in the environment or give
    as an argument need no such word.

    Args:
        url: The address; it covers what lies below its path. Without one, nothing is changed.
        revoke: Take the trust back, from this address and those below it.

    Returns:
        The addresses that are trusted now.

    Raises:
        ConfigurationError: If it is no address, was never trusted, or the file cannot be written.

    Example:
        >>> trust()
        []
    """
    known = list(trusted())
    if url is None:
        return known
    wanted = addresses.take_apart(addresses.normalize(url, "The address", addresses.Manner()))[0]
    if revoke:
        kept = [one for one in known if not addresses.covers(wanted, one)]
        if kept == known:
            raise ConfigurationError(f"{wanted} was not trusted.", hint="llmkit.trust() lists what is.")
        _write(kept)
    elif wanted not in known:
        _write([*known, wanted])
    return list(trusted())


def trusted() -> tuple[str, ...]:
    """Return the addresses that the user has trusted."""
    path = file()
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        return ()
    return _read(path, stamp)


def is_trusted(url: str) -> bool:
    """Whether keys may go to an address that a project's file names."""
    return any(addresses.covers(one, url) for one in trusted())


def file() -> Path:
    """Return the file that keeps the trusted addresses."""
    return settings.user_file().with_name(FILE)


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: int) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ()
    return tuple(line.strip() for line in lines if line.strip())


def _write(urls: list[str]) -> None:
    """Replace the file at once, readable by its owner alone."""
    path = file()
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
            written.write("".join(f"{url}\n" for url in urls))
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}.") from error
    _read.cache_clear()
