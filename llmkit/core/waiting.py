"""Files with what waits for a server: calls, answers of tables."""

from __future__ import annotations

import getpass
import hashlib
import platform
from typing import TYPE_CHECKING

import platformdirs

if TYPE_CHECKING:
    from pathlib import Path


def waiting_file(kind: str, server: str, ending: str) -> Path:
    """Return the file of this user and machine for a server.

    The home folder may be shared by machines, and its path by users.

    Args:
        kind: The beginning of its name.
        server: The server's address, of which the name says nothing.
        ending: The end of its name.
    """
    whose = f"{server} {_user()} {platform.node()}"
    digest = hashlib.sha256(whose.encode()).hexdigest()[:16]
    return platformdirs.user_data_path("llmkit") / f"{kind}-{digest}{ending}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in containers
        return ""
