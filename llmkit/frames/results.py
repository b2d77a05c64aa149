"""The frame that a verb returns: the given one with its new columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.core.errors import InvalidRequestError
from llmkit.core.money import from_nanos
from llmkit.frames.answers.protocol import OK
from llmkit.frames.columns import Column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmkit.frames.answers.protocol import Answer
    from llmkit.frames.columns import Kind
    from llmkit.frames.options import Options
    from llmkit.frames.question import Question
    from llmkit.frames.requests import Requests
    from llmkit.frames.table import Table

_META: tuple[tuple[str, Kind], ...] = (
    ("status", "text"),
    ("model", "text"),
    ("input_tokens", "int"),
    ("output_tokens", "int"),
    ("cost", "float"),
    ("uid", "text"),
)


class Layout:
    """The new columns of a verb.

    Args:
        table: The frame.
        question: What the verb asks.
        options: Its options.

    Raises:
        InvalidRequestError: If a column exists already, or if two new ones have the same name.
    """

    def __init__(self, table: Table, question: Question, options: Options) -> None:
        self._table = table
        self._question = question
        self.columns = question.columns(options.out)
        self.errors = [Column(name) for name in question.error_columns(options.out)]
        prefix = question.prefix(options.out)
        self.meta = [Column(f"{prefix}_{name}", kind) for name, kind in _META] if options.meta else []
        self._check(options)

    def _check(self, options: Options) -> None:
        names = [column.name for column in (*self.columns, *self.errors, *self.meta)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InvalidRequestError(
                f"Two new columns would be called {twice!r:.80}.", hint="Choose another out."
            )
        there = [name for name in names if name in self._table.names]
        if there and not options.replace:
            raise InvalidRequestError(
                f"The frame has a column {there[0]!r:.80} already.",
                hint="Choose another out, or replace=True.",
            )

    def frame(self, requests: Requests, answers: Mapping[bytes, Answer]) -> Any:
        """Return a copy of the frame with the new columns."""
        rows = len(self._table)
        keys = [*requests.keys, *[None] * (rows - len(requests.keys))]
        values = self._values(keys, answers)
        errors = self._errors(keys, answers)
        for row, error in requests.errors.items():
            for column in errors:
                column[row] = error
        columns = [*zip(self.columns, values, strict=True), *zip(self.errors, errors, strict=True)]
        if self.meta:
            columns += zip(self.meta, _meta(keys, answers, requests), strict=True)
        return self._table.with_columns(columns)

    def _values(self, keys: Sequence[bytes | None], answers: Mapping[bytes, Answer]) -> list[list[Any]]:
        nothing = [None] * len(self.columns)
        cells = {key: self._question.cells(one) for key, one in answers.items() if one.status == OK}
        return _by_column([nothing if key is None else cells.get(key, nothing) for key in keys], len(nothing))

    def _errors(self, keys: Sequence[bytes | None], answers: Mapping[bytes, Answer]) -> list[list[Any]]:
        nothing: Sequence[str | None] = [None] * len(self.errors)
        cells = {
            key: self._question.cell_errors(one) if one.status == OK else [one.message] * len(self.errors)
            for key, one in answers.items()
        }
        return _by_column([nothing if key is None else cells.get(key, nothing) for key in keys], len(nothing))


def _by_column(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [[row[place] for row in rows] for place in range(width)]


def _meta(
    keys: Sequence[bytes | None], answers: Mapping[bytes, Answer], requests: Requests
) -> list[list[Any]]:
    """Return the columns of `meta=True`; of equal rows the first has the cost, so that the sum is right."""
    rows: list[Sequence[Any]] = []
    for row, key in enumerate(keys):
        one = None if key is None else answers.get(key)
        if key is None or one is None:
            rows.append([None] * len(_META))
        else:
            cost = from_nanos(one.cost_nanos) if requests.first[key] == row else 0.0
            rows.append((one.status, one.model, one.input_tokens, one.output_tokens, cost, one.uid or None))
    return _by_column(rows, len(_META))
