"""A frame of any kind: its columns as Python values, and a copy with new columns."""

from __future__ import annotations

import sys
from collections import Counter
from math import isnan
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import InvalidRequestError
from llmkit.core.suggestions import did_you_mean
from llmkit.frames.columns import for_pandas, for_polars, for_pyarrow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmkit.frames.columns import Column

KINDS = "a pandas, polars or Dask DataFrame, or a pyarrow Table"


class Table:
    """A frame that a verb was given.

    Args:
        frame: The frame.

    Raises:
        InvalidRequestError: If it is not a frame, if it is lazy, or if two columns have one name.

    Attributes:
        native: The frame as it was given.
        names: Names of its columns.
    """

    def __init__(self, frame: Any) -> None:
        self.native = frame
        self._frame = _narwhals(frame)
        self._columns = {str(name): name for name in self._frame.columns}
        self.names = list(self._columns)

    def __len__(self) -> int:
        return len(self._frame)

    def column(self, name: str) -> list[Any]:
        """Return a column's values; missing ones, and NaN, are `None`.

        Raises:
            InvalidRequestError: If there is no such column.
        """
        self.check(name)
        series = self._frame.get_column(self._columns[name])
        values: list[Any] = series.to_list()
        missing = series.is_null().to_list()
        # Other than pandas, polars and pyarrow have NaN beside missing values.
        return [
            None if gone or (type(value) is float and isnan(value)) else value
            for value, gone in zip(values, missing, strict=True)
        ]

    def check(self, name: str) -> None:
        """Raise if there is no column of this name."""
        if name not in self._columns:
            hint = did_you_mean(name, self.names, self.listed)
            raise InvalidRequestError(f"The frame has no column {name!r:.80}.", hint=hint)

    @property
    def listed(self) -> str:
        """A sentence with the names of the columns."""
        return f"Its columns: {', '.join(self.names[:20])}." if self.names else "It has no columns."

    def series(self, given: Any) -> list[Any]:
        """Return the values of a series that has one for each row.

        Raises:
            InvalidRequestError: If it has another length, or the rows of another frame.
        """
        import narwhals as nw

        series = nw.from_native(given, series_only=True)
        if len(series) != len(self):
            raise InvalidRequestError(
                f"The prompts are {len(series):,}, but the frame has {len(self):,} rows.",
                hint="Pass a series made from the same frame.",
            )
        index, own = getattr(given, "index", None), getattr(self.native, "index", None)
        if index is not None and own is not None and not own.equals(index):
            raise InvalidRequestError(
                "The series of prompts has another index than the frame.",
                hint="Pass a series made from the same frame, or its .set_axis(df.index).",
            )
        missing = series.is_null().to_list()
        return [None if gone else value for value, gone in zip(series.to_list(), missing, strict=True)]

    def with_columns(self, columns: Iterable[tuple[Column, Sequence[Any]]]) -> Any:
        """Return a copy with further columns, which replace those of the same name."""
        implementation = self._frame.implementation
        if implementation.is_pandas():
            copy = self.native.copy()
            for column, values in columns:
                copy[self._columns.get(column.name, column.name)] = for_pandas(column, values, copy.index)
            return copy
        if implementation.is_polars():
            return self.native.with_columns([for_polars(column, values) for column, values in columns])
        table = self.native
        for column, values in columns:
            array, place = for_pyarrow(column, values), table.schema.get_field_index(column.name)
            table = (
                table.append_column(column.name, array)
                if place < 0
                else table.set_column(place, column.name, array)
            )
        return table


def is_dask(frame: Any) -> bool:
    """Whether a frame is one of Dask, which is not loaded for this."""
    module = sys.modules.get("dask.dataframe")
    return module is not None and isinstance(frame, module.DataFrame)


def only_rows(frame: Any, kept: Sequence[bool]) -> Any:
    """Return some rows of a native frame, in order.

    Example:
        >>> import pandas as pd
        >>> only_rows(pd.DataFrame({"a": [1, 2]}), [False, True])["a"].tolist()
        [2]
    """
    import narwhals as nw

    if not kept:  # narwhals takes no empty list
        return frame
    return nw.to_native(nw.from_native(frame, eager_only=True).filter(list(kept)))


def _narwhals(frame: Any) -> Any:
    import narwhals as nw

    if is_dask(frame):
        raise InvalidRequestError("A Dask frame has no rows yet.", hint="Compute it first: frame.compute().")
    _check_names(frame)
    try:
        found = nw.from_native(frame)
    except TypeError:
        raise InvalidRequestError(f"A frame must be {KINDS}, got {type(frame).__name__}.", hint="") from None
    if isinstance(found, nw.LazyFrame):
        raise InvalidRequestError("A lazy frame has no rows yet.", hint="Collect it first: frame.collect().")
    if found.implementation not in {
        nw.Implementation.PANDAS,
        nw.Implementation.POLARS,
        nw.Implementation.PYARROW,
    }:
        raise InvalidRequestError(f"A frame must be {KINDS}, got {type(frame).__name__}.", hint="")
    return found


def _check_names(frame: Any) -> None:
    """Raise if two columns have one name, which polars does not allow."""
    names = getattr(frame, "columns" if hasattr(frame, "iloc") else "column_names", ())
    twice = next((name for name, count in Counter(map(str, names)).items() if count > 1), None)
    if twice is not None:
        raise InvalidRequestError(f"The frame has more than one column {twice!r:.80}.", hint="Rename one.")
