"""What is unpriced or estimated is the same for a record, a DataFrame and the database."""

import itertools
import sqlite3
from contextlib import closing

import pandas as pd
import pytest

from llmkit.costs.price_rules import (
    BILLED,
    UNPRICED,
    billed,
    estimated,
    estimated_sql,
    is_billed,
    is_estimated,
    is_unpriced,
    unpriced,
)
from llmkit.records import CallRecord

FIELDS = {
    "status": ("ok", "error", "interrupted", "cancelled", "replayed", "lost"),
    "cost_nanos": (None, 0, 5),
    "input_tokens": (None, 0, 3),
    "output_tokens": (None, 2),
    "usage_source": (None, "reported", "settled", "partial", "estimated", "incomplete"),
    "at_most_nanos": (None, 5, 9),
}
ROWS = list(itertools.product(*FIELDS.values()))


@pytest.mark.parametrize(
    ("of_record", "of_frame", "sql"),
    [
        (is_billed, billed, BILLED),
        (is_unpriced, unpriced, UNPRICED),
        (is_estimated, estimated, estimated_sql()),
    ],
)
def test_a_record_a_frame_and_the_database_agree(of_record, of_frame, sql):
    time = pd.Timestamp("2026-11-01", tz="UTC").to_pydatetime()
    records = [
        CallRecord(time=time, uid="u", provider="p", model="m", **dict(zip(FIELDS, row, strict=True)))
        for row in ROWS
    ]
    frame = pd.DataFrame(ROWS, columns=list(FIELDS))
    for name in ("cost", "at_most"):
        frame[f"{name}_nanos"] = frame[f"{name}_nanos"].astype("Int64")
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE calls ({', '.join(FIELDS)})")
        connection.executemany(f"INSERT INTO calls VALUES ({', '.join('?' * len(FIELDS))})", ROWS)
        found = [bool(value) for (value,) in connection.execute(f"SELECT {sql} FROM calls ORDER BY rowid")]
    expected = [of_record(record) for record in records]
    assert found == expected
    assert of_frame(frame).tolist() == expected
    assert {True, False} == set(expected)


def test_a_ledger_without_bounds_estimates_without_them():
    assert "NULL > cost_nanos" in estimated_sql("NULL")
