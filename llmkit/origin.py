"""Which notebook this process runs, as far as somebody tells it."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENVIRONMENT = "LLMKIT_NOTEBOOK"
"""Variable in which a user names the notebook where nobody else does."""

VARIABLES = ("__vsc_ipynb_file__", "PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH")
"""What VS Code, and papermill with `--inject-paths`, set in the user's namespace."""

SESSION = "JPY_SESSION_NAME"
"""Environment variable of a Jupyter server's kernels; what a kernel starts inherits it."""

_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def notebook_path(namespace: Mapping[str, Any] | None = None) -> str | None:
    """Return the notebook's path, in the spelling of whoever tells it.

    Args:
        namespace: The user's variables; by default those of `__main__`, where kernels have them.

    Returns:
        The path; `None` outside of a notebook, and where nobody names it: nbclient, nbconvert and
        papermill without `--inject-paths` do not.

    Example:
        >>> notebook_path({"__vsc_ipynb_file__": "/home/me/thesis.ipynb"})
        '/home/me/thesis.ipynb'
    """
    if namespace is None:
        namespace = vars(sys.modules["__main__"]) if "__main__" in sys.modules else {}
    return next((value for value in _told(namespace) if isinstance(value, str) and value.strip()), None)


def notebook_name(namespace: Mapping[str, Any] | None = None) -> str | None:
    r"""Return the notebook's file name.

    Args:
        namespace: As for `notebook_path`.

    Example:
        >>> notebook_name({"__vsc_ipynb_file__": r"c:\Users\me\thesis.ipynb"})
        'thesis.ipynb'
    """
    path = (notebook_path(namespace) or "").strip()
    parts = re.split(r"[\\/]", path) if _WINDOWS.match(path) else path.split("/")
    return next((part for part in reversed(parts) if part), None)


def _told(namespace: Mapping[str, Any]) -> Iterator[Any]:
    yield os.environ.get(ENVIRONMENT)
    # Before the session: a notebook that is executed from another one inherits that one's session.
    for name in VARIABLES:
        yield namespace.get(name)
    yield os.environ.get(SESSION)
    for name in VARIABLES:
        yield os.environ.get(name)
