"""The ledger's rows as files for other programs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from llmkit.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write calls to a CSV file; a new one is readable for its owner only.

    Args:
        frame: The calls; tags become JSON text.
        path: The file, which is replaced.
    """
    with open(path, "w", encoding="utf-8", newline="", opener=_private) as file:
        _plain(frame).to_csv(file, index=False)


def write_parquet(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write calls to a Parquet file; a new one is readable for its owner only.

    Args:
        frame: The calls; tags become JSON text.
        path: The file, which is replaced.

    Raises:
        ConfigurationError: If pyarrow is not installed.
    """
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: F401 - is it there?
    except ImportError as error:
        raise ConfigurationError(
            "Parquet files need pyarrow, which is not installed.", hint='pip install "llmkit[parquet]"'
        ) from error
    with open(path, "wb", opener=_private) as file:
        _plain(frame).to_parquet(file, engine="pyarrow", index=False)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(tags=[json.dumps(tags) for tags in frame["tags"]])


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
