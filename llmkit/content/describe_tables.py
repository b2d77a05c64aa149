"""Descriptions of tables: all rows of small tables, otherwise column summaries and the first rows."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from llmkit.core.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 5
"""Rows shown of a large table."""

FEW = 100
"""Maximum rows of a table that is shown in full."""

MAX_CELL = 60
"""Characters shown of a string in a cell."""

COLUMNS = 40
"""Maximum number of columns described."""

COUNTED = 200_000
"""Maximum rows in which distinct values are counted; of a longer table, the first ones."""

TOP = 3
"""Number of most frequent values listed per column."""


def describe_frame(value: Any, limit: int) -> tuple[str, str]:
    """Describe a DataFrame."""
    rows, columns = value.shape
    head = f"{_kind(value)} with {rows:,} rows and {columns:,} columns"
    if not rows:
        return head, "\n".join([*_columns(value, detail=0), "No rows."])
    if whole := _whole(value, limit):
        return head, whole
    table = f"First {min(rows, ROWS)} rows:\n{_csv(value.iloc[:ROWS, :COLUMNS])}"
    described = (
        "\n".join([*_columns(value, detail=detail), table]) for detail in (2, 1, 0)
    )  # the most detailed one that fits
    body = ""
    for body in described:
        if len(body.encode(errors="replace")) <= limit:
            break
    return head, body


def describe_series(value: Any, limit: int) -> tuple[str, str]:
    """Describe a Series; see `describe_frame`."""
    head = f"pandas Series with {len(value):,} rows, {_facts(value, detail=2)}"
    if not len(value):
        return head, ""
    frame = value.to_frame()
    table = _csv(frame) if len(value) <= FEW else ""
    if table and len(table.encode(errors="replace")) <= limit:
        return head, table
    return head, f"First {min(len(value), ROWS)} rows:\n{_csv(frame.iloc[:ROWS])}"


def _whole(value: Any, limit: int) -> str:
    """Return the column types and all rows; empty if there are too many."""
    rows, columns = value.shape
    # Checked first, because writing a large table only to measure it is slow.
    if rows > FEW or columns > COLUMNS:
        return ""
    body = "\n".join([*_columns(value, detail=0), f"All {rows} rows:", _csv(value)])
    return body if len(body.encode(errors="replace")) <= limit else ""


def _columns(value: Any, *, detail: int) -> Iterator[str]:
    yield "Columns:"
    for place in range(min(value.shape[1], COLUMNS)):
        # By position, because column names may occur twice.
        name = str(value.columns[place])[:80].replace("\n", " ")
        yield f"  {name}: {_facts(value.iloc[:, place], detail=detail)}"
    if value.shape[1] > COLUMNS:
        yield f"  … and {value.shape[1] - COLUMNS} more columns"


def _facts(column: Any, *, detail: int) -> str:
    """Return a column's type and missing values; with more detail its range or distinct values."""
    missing = int(column.isna().sum())
    facts = [str(column.dtype), *[f"{missing:,} missing"] * bool(missing)]
    if detail and missing < len(column):
        facts += _range(column) if _is_measured(column) else _values(column, top=detail > 1)
    return ", ".join(facts)


def _is_measured(column: Any) -> bool:
    """Whether a column holds numbers, times or durations."""
    from pandas.api import types

    return bool(
        (types.is_numeric_dtype(column.dtype) and not types.is_bool_dtype(column.dtype))
        or types.is_datetime64_any_dtype(column.dtype)
        or types.is_timedelta64_dtype(column.dtype)
    )


def _range(column: Any) -> list[str]:
    try:
        found = {"min": column.min(), "median": column.median(), "max": column.max()}
    except TypeError:  # complex numbers cannot be ordered
        return []
    return [f"{name} {_number(value)}" for name, value in found.items()]


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _values(column: Any, *, top: bool) -> list[str]:
    some = column.iloc[:COUNTED]
    try:
        counts = some.value_counts()
    except TypeError:  # lists and the like cannot be counted
        return []
    counts = counts[counts > 0]  # a category may be unused
    where = f" in the first {COUNTED:,} rows" if len(column) > COUNTED else ""
    facts = [f"{len(counts):,} unique{where}"]
    if top and len(counts) < len(some):
        named = (f"{_cell(str(value))!s} ({count:,})" for value, count in counts.head(TOP).items())
        facts.append(f"top: {', '.join(named)}")
    return facts


def _kind(value: Any) -> str:
    kind = type(value)
    return "pandas DataFrame" if kind.__name__ == "DataFrame" else f"{kind.__module__}.{kind.__qualname__}"


def _csv(rows: Any) -> str:
    """Return rows as CSV, the shortest format that models read well."""
    short = rows.map(_cell)
    file = io.StringIO()
    short.to_csv(file, lineterminator="\n")
    return file.getvalue().rstrip("\n")


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    safe = redact(value)
    return safe if len(safe) <= MAX_CELL else f"{safe[: MAX_CELL // 2]}…{safe[-MAX_CELL // 2 :]}"
