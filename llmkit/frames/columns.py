"""The new columns of a frame, in its own kind and types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["text", "int", "float", "bool", "category", "ordered", "labels", "datetime", "date", "object"]
"""Types of columns; `labels` is a list of texts, `object` any other JSON value."""


@dataclass(frozen=True, slots=True)
class Column:
    """A new column.

    Attributes:
        name: Its name.
        kind: Its type.
        labels: The values of a category, in order.
    """

    name: str
    kind: Kind = "text"
    labels: tuple[str, ...] = ()


def for_pandas(column: Column, values: Sequence[Any], index: Any) -> Any:
    """Return a pandas series; missing values are `None` in `values`."""
    import pandas as pd

    if column.kind in {"category", "ordered"}:
        data = pd.Categorical(values, categories=list(column.labels), ordered=column.kind == "ordered")
        return pd.Series(data, index=index, name=column.name)
    if column.kind == "datetime":
        # A column of datetimes has one time zone or none.
        aware = any(value is not None and value.tzinfo is not None for value in values)
        return pd.Series(pd.to_datetime(list(values), utc=aware), index=index, name=column.name)
    kinds = {"text": "string", "int": "Int64", "float": "Float64", "bool": "boolean"}
    return pd.Series(list(values), index=index, name=column.name, dtype=kinds.get(column.kind, "object"))


def for_polars(column: Column, values: Sequence[Any]) -> Any:
    """Return a polars series."""
    import polars as pl

    kinds: dict[str, Any] = {
        "text": pl.String,
        "int": pl.Int64,
        "float": pl.Float64,
        "bool": pl.Boolean,
        "category": pl.Categorical,
        "ordered": pl.Enum(list(column.labels)) if column.kind == "ordered" else None,
        "labels": pl.List(pl.String),
        "date": pl.Date,
    }
    return pl.Series(column.name, list(values), dtype=kinds.get(column.kind), strict=False)


def for_pyarrow(column: Column, values: Sequence[Any]) -> Any:
    """Return a pyarrow array."""
    import pyarrow as pa  # type: ignore[import-untyped]

    if column.kind in {"category", "ordered"}:
        places = {label: place for place, label in enumerate(column.labels)}
        indices = pa.array([None if value is None else places[value] for value in values], pa.int32())
        return pa.DictionaryArray.from_arrays(
            indices, pa.array(column.labels, pa.string()), ordered=column.kind == "ordered"
        )
    kinds = {
        "text": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "labels": pa.list_(pa.string()),
        "date": pa.date32(),
    }
    return pa.array(values, kinds.get(column.kind))
