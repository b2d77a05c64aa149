"""The name of the notebook that this process runs, if known."""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from llmkit.core import environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ENVIRONMENT = "LLMKIT_NOTEBOOK"
"""Variable that names the notebook where Jupyter does not."""

VARIABLES = ("__vsc_ipynb_file__", "PAPERMILL_INPUT_PATH", "PAPERMILL_OUTPUT_PATH")
"""Names that VS Code and papermill (`--inject-paths`) set in the user's namespace."""

_UNSET = (None,) * len(VARIABLES)

SESSION = "JPY_SESSION_NAME"
"""Environment variable of Jupyter kernels; child processes inherit it."""

_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def notebook_path(namespace: Mapping[str, Any] | None = None) -> str | None:
    """Return the notebook's path as its source gives it.

    Example:
        >>> notebook_path({"__vsc_ipynb_file__": "/home/me/thesis.ipynb"})
        '/home/me/thesis.ipynb'
    """
    return next((value for value in _candidates(_variables(namespace)) if (value or "").strip()), None)


def notebook_file(namespace: Mapping[str, Any] | None = None) -> str | None:
    """Return the notebook's file, which `LLMKIT_NOTEBOOK` is not: it is only a name.

    Example:
        >>> notebook_file({"__vsc_ipynb_file__": "/home/me/thesis.ipynb"})
        '/home/me/thesis.ipynb'
    """
    _, *files = _candidates(_variables(namespace))
    return next((file for file in files if file and file.endswith(".ipynb")), None)


def notebook_name(namespace: Mapping[str, Any] | None = None) -> str | None:
    r"""Return the notebook's file name.

    Example:
        >>> notebook_name({"__vsc_ipynb_file__": r"c:\Users\me\thesis.ipynb"})
        'thesis.ipynb'
    """
    return _name(_variables(namespace), environment.stamp())


@lru_cache(maxsize=8)
def _name(variables: tuple[str | None, ...], _stamp: object) -> str | None:
    path = next((value for value in _candidates(variables) if (value or "").strip()), None) or ""
    path = path.strip()
    parts = re.split(r"[\\/]", path) if _WINDOWS.match(path) else path.split("/")
    return next((part for part in reversed(parts) if part), None)


def _variables(namespace: Mapping[str, Any] | None) -> tuple[str | None, ...]:
    """Return the values in a namespace that name a notebook, in the order of `VARIABLES`."""
    if namespace is None:
        # In a kernel, `__main__` holds the user's variables.
        namespace = vars(sys.modules["__main__"]) if "__main__" in sys.modules else {}
    if not any(map(namespace.__contains__, VARIABLES)):  # the common case; every call looks
        return _UNSET
    values = map(namespace.get, VARIABLES)
    return tuple(value if isinstance(value, str) else None for value in values)


def _candidates(variables: tuple[str | None, ...]) -> Iterator[str | None]:
    yield os.environ.get(ENVIRONMENT)
    # Checked before the session: a notebook executed from another one inherits that one's session.
    yield from variables
    yield os.environ.get(SESSION)
    for name in VARIABLES:
        yield os.environ.get(name)
