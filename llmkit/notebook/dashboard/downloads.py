"""Files that the dashboard writes: beside the notebook, for their owner only, never over another file."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from llmkit.core.errors import ConfigurationError
from llmkit.core.origin import notebook_path
from llmkit.costs.frame.files import write_csv, write_parquet

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

Kind = Literal["csv", "parquet", "png"]

MIME = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet", "png": "image/png"}
"""Types of the files by their kinds."""

LARGEST = 5_000_000
"""Bytes of a file that is sent to the browser, too: Jupyter closes its socket at 10 MiB."""


def folder() -> Path:
    """Return the notebook's folder as far as the kernel knows it, else the working one."""
    name = notebook_path() or ""
    parent = Path(name).parent
    return parent if name.endswith(".ipynb") and parent.is_absolute() and parent.is_dir() else Path.cwd()


def write(kind: Kind, rows: Callable[[], pd.DataFrame], picture: Callable[[], bytes]) -> Path:
    """Write a file with a name of its own."""
    place = folder()
    try:
        path = _reserve(place, kind)
    except OSError as error:
        raise ConfigurationError(
            f"No file can be written into {place}: {error.strerror}.",
            hint="llmkit.ledger.to_csv(path) can.",
        ) from error
    try:
        _write(kind, path, rows, picture)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ConfigurationError(f"{path.name} cannot be written: {error.strerror}.") from error
        raise
    return path


def _write(kind: Kind, path: Path, rows: Callable[[], pd.DataFrame], picture: Callable[[], bytes]) -> None:
    if kind == "csv":
        write_csv(rows(), path)
    elif kind == "parquet":
        write_parquet(rows(), path)
    else:
        path.write_bytes(picture())


def _reserve(place: Path, kind: str) -> Path:
    """Make an empty file of a name that is free; no other process can take it then."""
    stem = f"llm-{'costs' if kind == 'png' else 'calls'}-{datetime.now():%Y-%m-%d-%H%M%S}"  # noqa: DTZ005 - a local name
    number = 1
    while True:
        path = place / (f"{stem}.{kind}" if number == 1 else f"{stem}-{number}.{kind}")
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            number += 1
        else:
            return path
