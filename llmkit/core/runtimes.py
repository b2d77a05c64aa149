"""Where this process runs: in IPython or not, and on Colab, Kaggle or Binder, whose machines vanish."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from llmkit.core import environment, filesystems

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A hosted runtime.

    Attributes:
        name: How its users call it.
        variables: Environment variables that it sets.
        module: A module that its kernels have loaded.
        kept: A folder whose files outlive the machine.
        way_out: What to do so that the ledger outlives it.
    """

    name: str
    variables: tuple[str, ...]
    module: str = ""
    kept: str = ""
    way_out: str

    def is_here(self) -> bool:
        """Whether this process runs there."""
        return self.module in sys.modules or any(map(os.environ.get, self.variables))


KAGGLE = Runtime(
    name="Kaggle",
    variables=("KAGGLE_KERNEL_RUN_TYPE",),
    kept="/kaggle/working/",
    way_out=(
        "Set LLMKIT_LEDGER=/kaggle/working/ledger.sqlite3 before the first call, and turn on persistence of"
        " files in the session's options."
    ),
)

COLAB = Runtime(
    name="Colab",
    variables=("COLAB_RELEASE_TAG",),
    module="google.colab",
    way_out=(
        "Mount Google Drive, and set LLMKIT_LEDGER=/content/drive/MyDrive/llmkit/ledger.sqlite3 before the"
        " first call."
    ),
)

BINDER = Runtime(
    name="Binder",
    variables=("BINDER_SERVICE_HOST", "BINDER_LAUNCH_HOST"),
    way_out="Download the file before the session ends.",
)

RUNTIMES = (KAGGLE, COLAB, BINDER)
"""Kaggle's image is built on Colab's, so it is looked for first."""


def current() -> Runtime | None:
    """Return the hosted runtime of this process."""
    return _current(environment.stamp(), COLAB.module in sys.modules)


@lru_cache(maxsize=4)  # every call that costs something asks
def _current(_stamp: object, _colab: bool) -> Runtime | None:  # noqa: FBT001 - a part of the key
    return next((runtime for runtime in RUNTIMES if runtime.is_here()), None)


def has_secrets() -> bool:
    """Whether this process runs where users keep secrets that notebooks can read."""
    return current() in {KAGGLE, COLAB}


def loss_of(path: Path) -> str:
    """Say that a file vanishes with the machine, and what to do; empty if it stays."""
    runtime = current()
    if runtime is None or (runtime.kept and str(path).startswith(runtime.kept)):
        return ""
    if filesystems.network_type(path) is not None:  # a mounted drive
        return ""
    return f"The ledger {path} is deleted with this {runtime.name} machine. {runtime.way_out}"


def has_magics() -> bool:
    """Whether this process has IPython's magics; a plain script has a shell to run it from."""
    return "IPython" in sys.modules


def command(words: str) -> str:
    """Return a command of llmkit as it is typed here: as a magic, or in a shell.

    Example:
        >>> command("key openai") in {"%llm key openai", "llmkit key openai"}
        True
    """
    return f"%llm {words}" if has_magics() else f"llmkit {words}"
