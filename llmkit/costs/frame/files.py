"""The ledger's rows as files for other programs."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from llmkit.core.errors import ConfigurationError
from llmkit.costs.frame.columns import Tags

if TYPE_CHECKING:
    from collections.abc import Callable

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")  # Excel files cannot hold these characters


class LedgerFrame(pd.DataFrame):
    """A DataFrame of calls that can be written in every format, as can its slices and copies.

    It differs from a DataFrame only in what it writes: tags as JSON text, because file formats have no
    dictionaries or need the same keys in each row, and in Excel UTC times without a zone, because Excel
    has no time zones.

    Example:
        ```python
        llmkit.ledger.df.to_parquet("calls.parquet")
        llmkit.ledger.df.query("model == 'gpt-6-luna'").to_excel("luna.xlsx")
        ```
    """

    @property
    def _constructor(self) -> Callable[..., LedgerFrame]:
        return LedgerFrame

    def to_csv(self, *args: Any, **kwargs: Any) -> Any:
        """Write as `DataFrame.to_csv` does, with tags as JSON text."""
        return plain(self).to_csv(*args, **kwargs)

    def to_parquet(self, *args: Any, **kwargs: Any) -> Any:
        """Write as `DataFrame.to_parquet` does, with tags as JSON text."""
        return plain(self).to_parquet(*args, **kwargs)

    def to_feather(self, *args: Any, **kwargs: Any) -> Any:
        """Write as `DataFrame.to_feather` does, with tags as JSON text."""
        return plain(self).to_feather(*args, **kwargs)

    def to_sql(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]  # as `to_excel`
        """Write as `DataFrame.to_sql` does, with tags as JSON text."""
        return plain(self).to_sql(*args, **kwargs)

    def to_excel(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[misc]  # final in the stubs only
        """Write as `DataFrame.to_excel` does, with tags as JSON text and times in UTC without a zone."""
        return _for_excel(self).to_excel(*args, **kwargs)


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the same rows as an ordinary DataFrame with text for tags."""
    copy = pd.DataFrame(frame).copy(deep=False)
    for place in range(copy.shape[1]):
        column = copy.iloc[:, place]
        if column.dtype == object and any(isinstance(value, Tags) for value in column):
            texts = [json.dumps(value) if isinstance(value, dict) else value for value in column]
            copy.isetitem(place, pd.array(texts, dtype="str"))
    return copy


def _for_excel(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without time zones and control characters, which Excel cannot store."""
    copy = plain(frame)
    for place in range(copy.shape[1]):
        copy.isetitem(place, _cells(copy.iloc[:, place]).array)
    levels = [_cells(copy.index.get_level_values(level).to_series()) for level in range(copy.index.nlevels)]
    if copy.index.nlevels == 1:
        copy.index = pd.Index(levels[0], name=copy.index.name)
    else:
        copy.index = pd.MultiIndex.from_arrays(levels, names=copy.index.names)
    return copy


def _cells(column: pd.Series[Any]) -> pd.Series[Any]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        times: pd.Series[Any] = column.dt.tz_convert("UTC").dt.tz_localize(None)
        return times
    if isinstance(column.dtype, pd.StringDtype) or column.dtype == object:
        column = column.map(_printable)
    return column


def _printable(value: Any) -> Any:
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", value) if isinstance(value, str) else value


def write_csv(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write calls to a CSV file; only its owner can read a new file."""
    with open(path, "w", encoding="utf-8", newline="", opener=_private) as file:
        plain(frame).to_csv(file, index=False)


def write_json_lines(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write calls as JSON, one a line; only its owner can read a new file."""
    with open(path, "w", encoding="utf-8", newline="", opener=_private) as file:
        file.write(json_lines(frame))


def json_lines(frame: pd.DataFrame) -> str:
    """Return calls as JSON, one a line: tags as objects, times in ISO 8601, `null` for what is unknown."""
    text = frame.to_json(
        orient="records",
        lines=True,
        date_format="iso",
        date_unit="us",
        double_precision=15,
        force_ascii=False,
    )
    return text or ""


def write_parquet(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write calls to a Parquet file; only its owner can read a new file."""
    try:
        import pyarrow as pa  # type: ignore[import-untyped]  # noqa: F401 - is it there?
    except ImportError as error:
        raise ConfigurationError(
            "Parquet files need pyarrow, which is not installed.",
            hint='pip install "jupyter-llmkit[parquet]"',
        ) from error
    with open(path, "wb", opener=_private) as file:
        plain(frame).to_parquet(file, engine="pyarrow", index=False)


ROWS = 1_048_575
"""Maximum number of calls in an Excel sheet, below the header."""


def write_excel(frame: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write calls to an Excel file; only its owner can read a new file."""
    try:
        import openpyxl  # type: ignore[import-untyped]  # noqa: F401 - is it there?
    except ImportError as error:
        raise ConfigurationError(
            "Excel files need openpyxl, which is not installed.", hint='pip install "jupyter-llmkit[excel]"'
        ) from error
    if len(frame) > ROWS:
        raise ConfigurationError(
            f"An Excel sheet holds at most {ROWS:,} calls, got {len(frame):,}.",
            hint="Write fewer with ledger.query(since=…).to_excel(path), or use to_parquet.",
        )
    with (
        open(path, "wb", opener=_private) as file,
        pd.ExcelWriter(file, engine="openpyxl") as writer,
    ):
        _for_excel(frame).to_excel(writer, sheet_name="calls", index=False)
        _only_texts(writer.sheets["calls"])


def _only_texts(sheet: Any) -> None:
    """Store text that begins with `=` as text: a model name from a server must not become a formula."""
    for row in sheet.iter_rows():
        for cell in row:
            if cell.data_type == "f":
                cell.data_type = "s"


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
