"""Conversion of JSON, CSV or Markdown tables in an answer to a DataFrame."""

from __future__ import annotations

import csv
import html
import json
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from llmkit.content.fences import Fence, fences
from llmkit.content.json_values import flat, is_corrected, places
from llmkit.content.validation import check, rows_schema, unusable
from llmkit.core.errors import BadResponseError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

    from llmkit.content.json_values import Values
    from llmkit.content.schema import Schema

Rows = list[list[str]]


@dataclass(frozen=True, slots=True)
class Cells:
    """A table as text.

    Attributes:
        rows: Its cells, the header first.
    """

    rows: Rows


Table = Any
"""A table that was found: `Cells` or JSON values."""

_SEPARATORS = {"csv": ",", "tsv": "\t", "psv": "|"}
_RULE = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$")
_CELL = re.compile(r"(?<!\\)\|")
_LOWERED = re.compile(r"</?sub>|</sup>", re.IGNORECASE)
_RAISED = re.compile(r"<sup>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "\u2013", "\u2014"})
_WHOLE = re.compile(r"[+-]?(0|[1-9]\d{0,17})")  # more digits may not fit into 64 bits; 007 is a name
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
_NUMBER = re.compile(r"[+-]?(?=\.?\d)(0|[1-9]\d*)?(\.\d+)?([eE][+-]?\d+)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")
_TRUTHS = {"true": True, "false": False}


def frame(text: str, schema: Schema | None = None) -> pd.DataFrame:
    r"""Read a table from an answer.

    Example:
        >>> frame("```csv\ncity,people\nParis,2100000\nRome,2800000\n```").dtypes["people"].name
        'int64'
    """
    found, gaps = _found(text)
    if not found:
        raise unusable("The answer has no table: no JSON records, CSV or Markdown table.", text)
    wanted = None if schema is None else rows_schema(schema)
    if len(found) == 1:
        return _built(found[0], wanted, text)
    tables = [table for one in found if (table := _fitting(one, wanted, text)) is not None]
    if not tables:
        return _built(found[-1], wanted, text)
    if len(tables) == 1 or is_corrected(gaps):
        return tables[-1]
    return _one_of(tables, text)


def _built(one: Table, wanted: Mapping[str, Any] | None, text: str) -> pd.DataFrame:
    """Return a table as a DataFrame, after validating its rows."""
    import pandas as pd

    if isinstance(one, Cells):
        table = _from_rows(one.rows, text)
        records = json.loads(table.to_json(orient="records", date_format="iso"))
        records = [{name: cell for name, cell in row.items() if cell is not None} for row in records]
    else:
        columns, records = _from_json(one, text)
        table = _with_dates(pd.DataFrame(records if columns is None else columns))
    if wanted is not None:
        check(records, wanted, text)
    return table


def _fitting(one: Table, wanted: Mapping[str, Any] | None, text: str) -> pd.DataFrame | None:
    """Return one of several tables if it is valid."""
    try:
        return _built(one, wanted, text)
    except BadResponseError:
        if wanted is None:
            raise
        return None


def _one_of(tables: list[pd.DataFrame], text: str) -> pd.DataFrame:
    """Concatenate tables with the same columns."""
    import pandas as pd

    if any(set(table.columns) != set(tables[0].columns) for table in tables):
        raise unusable(f"The answer has {len(tables)} tables with different columns.", text)
    return pd.concat(tables, ignore_index=True)


def _found(text: str) -> tuple[list[Table], list[str]]:
    """Return the tables with the text before each, the most explicit kind first."""
    blocks = fences(text)
    separated = [block for block in blocks if block.language in _SEPARATORS]
    if separated:
        cells = [Cells(_csv(block.code, _SEPARATORS[block.language])) for block in separated]
        return [*cells], [block.before for block in separated]
    tiers = list(places(text, blocks))
    outer = _first_of_json((tier for tier in tiers if not tier.inner), text) or _markdown(text)
    inner = outer or _first_of_json((tier for tier in tiers if tier.inner), text)
    return inner or _bare(text, blocks)


def _first_of_json(tiers: Iterable[Values], text: str) -> tuple[list[Table], list[str]] | None:
    found = (_of_json(tier, text) for tier in tiers)
    return next(filter(None, found), None)


def _of_json(found: Values, text: str) -> tuple[list[Table], list[str]] | None:
    """Return the tables among JSON values; JSON Lines are one table."""
    pairs = [
        (value, gap)
        for value, gap in zip(found.values, found.gaps, strict=True)
        if _is_table(value) and not (found.inner and _is_list(value))
    ]
    if not pairs:
        return None
    values, gaps = (list(part) for part in zip(*pairs, strict=True))
    if found.broken and not found.corrected:
        raise unusable("The answer has incomplete JSON.", text)
    return ([_one_table(values)], gaps[:1]) if found.listed and len(values) > 1 else (values, gaps)


def _one_table(values: list[Any]) -> list[Any]:
    """Return records that stand one a line as one list; rows of anything else stay as they are."""
    rows = [_unwrapped(value) if isinstance(value, dict) else value for value in values]
    return rows if any(map(_is_list, rows)) else flat(rows)


def _csv(source: str, separator: str) -> Rows:
    found = csv.reader(source.strip().splitlines(), delimiter=separator, skipinitialspace=True)
    return [[cell.strip() for cell in row] for row in found if any(cell.strip() for cell in row)]


def _bare(text: str, blocks: list[Fence]) -> tuple[list[Table], list[str]]:
    """Read unmarked CSV: the whole text, or the blocks. Prose has spaces after commas."""
    tables: list[Table] = []
    gaps: list[str] = []
    for source, gap in [(block.code, block.before) for block in blocks] or [(text, "")]:
        rows = _csv(source, ",")
        numbers = any(cell in {"+", "-"} or _NUMBER.fullmatch(cell) for row in rows[1:] for cell in row)
        if _is_grid(rows) and (numbers or ", " not in source):
            tables.append(Cells(rows))
            gaps.append(gap)
    return tables, gaps


def _is_grid(rows: Rows) -> bool:
    """Whether there are at least two rows and two columns, and all rows have the same length."""
    return len(rows) >= 2 and len(rows[0]) >= 2 and len({len(row) for row in rows}) == 1


def _markdown(text: str) -> tuple[list[Table], list[str]] | None:
    """Read the Markdown tables."""
    tables: list[Table] = []
    gaps: list[str] = []
    words: list[str] = []
    rows: Rows | None = None
    for before, line in pairwise(["", *text.splitlines(), ""]):
        if rows is not None and "|" in line:
            rows.append(_cells(line))
        elif "|" in before and "-" in line and _RULE.match(line):
            rows = [_cells(before)]
            tables.append(Cells(rows))
            gaps.append("\n".join(words[:-1]))
            words = []
        else:
            rows = None
            words.append(line)
    return (tables, gaps) if tables else None


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|")
    if inner.endswith("|") and not inner.endswith("\\|"):
        inner = inner[:-1]
    return [_plain(cell.strip().replace("\\|", "|")) for cell in _CELL.split(inner)]


def _plain(cell: str) -> str:
    """Return a cell without Markdown; code keeps text that looks like a tag."""
    if cell.startswith("`"):
        return cell.strip("`*")
    text = _RAISED.sub("^", _LOWERED.sub("", BREAK.sub("\n", cell)))
    text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), text).replace("\xa0", " ")
    return "\n".join(line.strip() for line in text.split("\n")).strip().strip("`*")


def _from_rows(rows: Rows, text: str) -> pd.DataFrame:
    import pandas as pd

    if not rows:
        raise unusable("The table has no header.", text)
    head = rows[0]
    body = [row for row in rows[1:] if row != head]  # a continued table repeats its header
    for name in head:
        if head.count(name) > 1:
            raise unusable(f"The table has two columns named {name!r}.", text)
    for number, row in enumerate(body, 1):
        if len(row) != len(head):
            raise unusable(
                f"Row {number} of the table has {len(row)} cells, but the header has {len(head)}.", text
            )
    return pd.DataFrame({name: _typed([row[place] for row in body]) for place, name in enumerate(head)})


def _typed(cells: list[str]) -> Any:
    """Return a column with the type that fits all its cells."""
    import pandas as pd

    known = _without_thousands([None if cell.lower() in _MISSING else cell for cell in cells])
    given = [cell for cell in known if cell is not None]
    if not given:
        return pd.Series(known, dtype=object)
    for fits, convert, dtype, nullable in _TYPES:
        if all(map(fits, given)):
            return pd.Series(_each(known, convert), dtype=nullable if None in known else dtype)
    return _dated(pd.Series(known))


def _without_thousands(cells: list[str | None]) -> list[str | None]:
    """Remove thousands separators (1,234), unless a cell of the column uses commas otherwise."""
    grouped = [cell for cell in cells if cell is not None and "," in cell]
    if not all(map(_THOUSANDS.fullmatch, grouped)):
        return cells
    return _each(cells, lambda cell: cell.replace(",", ""))


def _each(cells: list[str | None], convert: Callable[[str], Any]) -> list[Any]:
    return [None if cell is None else convert(cell) for cell in cells]


def _is_truth(cell: str) -> bool:
    return cell.lower() in _TRUTHS


def _truth(cell: str) -> bool:
    return _TRUTHS[cell.lower()]


# Candidate types in order: pattern, conversion, pandas dtype without and with missing values.
_TYPES: tuple[tuple[Callable[[str], object], Callable[[str], object], Any, Any], ...] = (
    (_WHOLE.fullmatch, int, "int64", "Int64"),
    (_NUMBER.fullmatch, float, "float64", "float64"),
    (_is_truth, _truth, "bool", "boolean"),
)


def _is_table(value: Any) -> bool:
    return isinstance(value, (list, dict)) and bool(value)


def _are_records(values: list[Any]) -> bool:
    return all(isinstance(one, dict) for one in values)


def _is_list(value: Any) -> bool:
    """Whether a value is a list without records, such as a footnote number."""
    return isinstance(value, list) and not _are_records(value)


def _from_json(value: Any, text: str) -> tuple[dict[str, list[Any]] | None, list[Any]]:
    """Return the columns, if the value names them, and the records."""
    if isinstance(value, dict):
        value = _unwrapped(value)
    if isinstance(value, list):
        return None, _records(value, text)
    lengths = {len(cells) if isinstance(cells, list) else -1 for cells in value.values()}
    if lengths == {-1}:
        return None, [value]
    if len(lengths) > 1:
        raise unusable("The columns of the table differ in length.", text)
    return value, [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]


def _unwrapped(value: dict[str, Any]) -> Any:
    """Return the list of records if an object contains nothing else."""
    inner = list(value.values())
    lonely = len(inner) == 1 and isinstance(inner[0], list)
    return inner[0] if lonely and _are_records(inner[0]) else value


def _records(value: list[Any], text: str) -> list[Any]:
    if _are_records(value):
        return value
    if not any(isinstance(one, (dict, list)) for one in value):
        return [{"value": one} for one in value]
    if _has_header(value):
        head, *rows = value
        return [dict(zip(head, row, strict=True)) for row in rows]
    raise unusable("The JSON is not a table: its rows are of different kinds.", text)


def _has_header(rows: list[Any]) -> bool:
    """Whether rows are lists of equal length, the first with the column names."""
    if not all(isinstance(row, list) for row in rows):
        return False
    head = rows[0]
    return all(isinstance(name, str) for name in head) and {len(row) for row in rows} == {len(head)}


def _with_dates(table: pd.DataFrame) -> pd.DataFrame:
    for name in table.columns:
        table[name] = _dated(table[name])
    return table


def _dated(column: pd.Series[Any]) -> pd.Series[Any]:
    """Convert a column of ISO dates; return others unchanged."""
    import pandas as pd

    given = [cell for cell in column if isinstance(cell, str)]
    if not given or len(given) != column.notna().sum() or not all(map(_DATE.fullmatch, given)):
        return column
    zones = {cell.endswith("Z") or bool(re.search(r"[+-]\d\d:?\d\d$", cell[10:])) for cell in given}
    try:
        return pd.to_datetime(column, format="ISO8601", utc=zones == {True})
    except ValueError:  # an invalid month, or mixed time zones
        return column


BREAK = re.compile(r"<\s{0,3}/?\s{0,3}br\s{0,3}/?\s{0,3}>", re.IGNORECASE)
"""Line breaks in HTML."""
