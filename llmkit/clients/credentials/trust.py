"""Addresses that only a project file sets and that the user trusts with keys.

Settings in a cloned folder may name any address. Keys from the environment, the keyring or `%llm key` go
there only after `llmkit.trust("https://host/…")`, which is stored in the user's own settings.
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
"""File beside the user's own settings, with one address per line."""


def trust(url: str | None = None, *, revoke: bool = False) -> list[str]:
    """Allow or revoke sending your keys to an address that a project file sets.

    The decision is stored in your own settings. Addresses in environment variables or
    arguments do not need it.

    Args:
        url: The address; includes all paths below it. Without one, nothing changes.
        revoke: Revoke the trust in this address and those below it.

    Returns:
        The trusted addresses.

    Raises:
        ConfigurationError: If it is not a URL, was not trusted, or the file cannot be written.

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
            raise ConfigurationError(
                f"{wanted} is not trusted.", hint="llmkit.trust() lists the trusted addresses."
            )
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
    """Whether keys may go to an address that a project file sets."""
    return any(addresses.covers(one, url) for one in trusted())


def file() -> Path:
    """Return the path of the file of trusted addresses."""
    return settings.user_file().with_name(FILE)


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: int) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return ()
    return tuple(line.strip() for line in lines if line.strip())


def _write(urls: list[str]) -> None:
    """Replace the file atomically, readable by its owner only."""
    path = file()
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as written:
            written.write("".join(f"{url}\n" for url in urls))
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(f"Cannot write {path}: {error.strerror or error}.") from error
    # Two changes may have the same modification time.
    _read.cache_clear()
