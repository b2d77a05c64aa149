"""Colours of text, unless the user or the terminal wants none: `NO_COLOR`, `NoColor`, `TERM=dumb`."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

RED, PALE, PLAIN = "\x1b[31m", "\x1b[2m", "\x1b[0m"


def wanted() -> bool:
    """Whether escape sequences may be printed.

    Source: no-color.org: any value that is not empty counts.
    """
    shell = _shell()
    # A kernel's `TERM` is that of the program that started it, which says nothing about the front end.
    if not hasattr(shell, "kernel") and os.environ.get("TERM") == "dumb":
        return False
    return not os.environ.get("NO_COLOR") and str(getattr(shell, "colors", "")).lower() != "nocolor"


def _shell() -> Any:
    """Return IPython's shell; the command line does not load IPython for it."""
    find = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return None if find is None else find()


def red(text: str) -> str:
    """Return a text in red; front ends, too, show these sequences as colours."""
    return f"{RED}{text}{PLAIN}" if wanted() else text


def can_erase(stream: TextIO) -> bool:
    """Whether the stream is a terminal on which a line can be erased or pale."""
    return stream.isatty() and wanted()
