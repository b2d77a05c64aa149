"""What holds for each verb and each kind of frame: resuming, errors of rows, and what stops at once."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from llmkit import Ledger, records
from llmkit.frames import Choice, JobStopped, YesNo, classify, decide, extract, score
from llmkit.frames import filter as keep
from llmkit.frames import map as ask
from tests.support.rows import DROPPED, failure, fitting, said

SCHEMA = {
    "type": "object",
    "properties": {"number": {"type": "integer"}, "even": {"type": "boolean"}},
    "required": ["number", "even"],
}

VERBS = {
    "map": (lambda frame, column, **o: ask(frame, f"Say {{{{{column}}}}}", **o), "llm", "llm_error"),
    "extract": (lambda frame, column, **o: extract(frame, column, SCHEMA, **o), "number", "extract_error"),
    "classify": (lambda frame, column, **o: classify(frame, column, ["a", "b"], **o), "label", "label_error"),
    "filter": (lambda frame, column, **o: keep(frame, column, "even", keep=True, **o), "keep", "keep_error"),
    "score": (
        lambda frame, column, **o: score(frame, column, "Big?", ["a", "b"], **o),
        "score",
        "score_error",
    ),
    "decide": (
        lambda frame, column, **o: decide(frame, column, {"x": Choice(["a", "b"]), "y": YesNo("?")}, **o),
        "x",
        "x_error",
    ),
}
KINDS = {
    "pandas": pd.DataFrame,
    "polars": lambda rows: pl.DataFrame(rows, infer_schema_length=None),
    "pyarrow": pa.Table.from_pylist,
}


@pytest.fixture(params=VERBS)
def verb(request):
    return VERBS[request.param]


@pytest.fixture(params=KINDS)
def kind(request):
    return KINDS[request.param]


@pytest.fixture
def use(rows, verb, store):
    """Use a verb; return the number of requests, the frame, its values and its errors."""
    rows.sees_bodies = True
    rows.answer = fitting
    function, value, error = verb

    def run(frame, column="text", **options):
        before = len(rows.asked)
        options = {"model": rows.client(), "store": store, "progress": False, **options}
        found = function(frame, column, **options)
        return len(rows.asked) - before, found, column_of(found, value), column_of(found, error)

    return run


def column_of(frame, name):
    column = frame[name]
    found = column.to_pylist() if isinstance(column, pa.ChunkedArray) else list(column)
    return [None if value is None or value is pd.NA or value != value else value for value in found]  # noqa: PLR0124 - NaN


ROWS = [{"text": None if n == 19 else f"row {n % 20}", "other": n} for n in range(25)]
CHANGES = {
    "nothing": (ROWS, "text", 0),
    "sorted": (sorted(ROWS, key=lambda row: -row["other"]), "text", 0),
    "filtered": ([row for row in ROWS if row["other"] % 3], "text", 0),
    "appended": ([*ROWS, {"text": "new", "other": 0}, {"text": "new", "other": 1}], "text", 1),
    "edited": ([{"text": "changed", "other": 0}, *ROWS[1:]], "text", 1),
    "renamed": ([{"body": row["text"], "other": row["other"]} for row in ROWS], "body", 0),
    "another column": ([{**row, "more": "x"} for row in ROWS], "text", 0),
}


@pytest.mark.product
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_frame_costs_its_new_distinct_rows(change, kind, use):
    assert use(kind(ROWS))[0] == 19
    changed, column, new = CHANGES[change]
    count, found, values, errors = use(kind(changed), column)
    assert count == new
    assert type(found) is type(kind(ROWS))
    assert [value is None for value in values] == [row[column] is None for row in changed]
    assert set(errors) == {None}
    assert use(kind(changed), column)[0] == 0


ERRORS = {
    "rate_limit": failure(429, "slow", "rate_limit_exceeded"),
    "server": failure(503, "down"),
    "connection": DROPPED,
    "invalid": failure(400, "bad"),
    "context_length": failure(400, "too long", "context_length_exceeded"),
    "refusal": said("I cannot.", "content_filter"),
    "length": said('{"lab', "length"),
    "empty": said(""),
}


@pytest.mark.product
@pytest.mark.parametrize("word", ERRORS)
def test_an_error_of_a_row_stands_beside_it_and_the_others_are_answered(word, kind, use, rows):
    rows.answer = lambda body: ERRORS[word] if "bad" in body["messages"][-1]["content"] else fitting(body)
    frame = kind([{"text": "fine"}, {"text": "bad"}, {"text": "good"}])
    _, _, values, errors = use(frame)
    assert [value is None for value in values] == [False, True, False]
    assert errors[1].startswith(f"{word}: ")
    assert errors[::2] == [None, None]


@pytest.mark.product
def test_an_answer_of_another_form_is_an_error_of_its_row(kind, use, rows, verb):
    rows.answer = lambda body: "no JSON" if "bad" in str(body["messages"]) else fitting(body)
    count, _, values, errors = use(kind([{"text": "fine"}, {"text": "bad"}]))
    if verb is VERBS["map"]:
        assert (count, values[1], errors[1]) == (2, "no JSON", None)
    else:
        assert (count, values[1]) == (3, None)  # it was asked for once more
        assert errors[1].startswith("schema: ")


STOPS = {
    "AuthenticationError": failure(401, "no"),
    "PermissionDeniedError": failure(403, "no"),
    "ModelNotFoundError": failure(404, "no", "model_not_found"),
    "QuotaExceededError": failure(429, "no", "insufficient_quota"),
    "InvalidRequestError": failure(400, "top_k is unknown"),
}


@pytest.mark.product
@pytest.mark.parametrize("reason", STOPS)
def test_what_fails_for_every_row_stops_at_once(reason, kind, use, rows):
    rows.answer = lambda _: STOPS[reason]
    frame = kind([{"text": f"row {n}"} for n in range(50)])
    with pytest.raises(JobStopped) as stopped:
        use(frame, max_concurrent=1)
    assert stopped.value.reason == reason
    assert len(rows.asked) <= 7
    assert type(stopped.value.frame) is type(frame)
    assert len(stopped.value.frame) == 50
    rows.answer = fitting
    again = use(frame, retry_failed="all")
    assert again[0] == 50
    assert None not in again[2]


@pytest.mark.product
def test_a_budget_stops_at_once_with_what_there_is(kind, use, rows, tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    before = records.set_recorder(lambda: ledger)
    try:
        ledger.budget(daily=0.0006)
        frame = kind([{"text": f"row {n}"} for n in range(200)])
        with pytest.raises(JobStopped) as stopped:
            use(frame, max_concurrent=1, max_tokens=100)
        asked = len(rows.asked)
        assert stopped.value.reason == "BudgetExceededError"
        assert 0 < asked < 200
        ledger.budget(daily=1)
        assert use(frame, max_tokens=100)[0] == 200 - asked
    finally:
        records.set_recorder(before)
        ledger.close()


@pytest.mark.product
def test_equal_rows_are_one_request_unless_each_is_asked(kind, use):
    frame = kind([{"text": "same"}] * 5)
    assert use(frame)[0] == 1
    assert use(frame, dedupe=False)[0] == 4  # the first occurrence is answered
    assert use(frame, dedupe=False)[0] == 0


@pytest.mark.product
def test_an_empty_frame_has_the_columns(kind, use, verb):
    frame = kind([{"text": "x"}])[:0]
    count, found, values, errors = use(frame)
    assert (count, len(found), values, errors) == (0, 0, [], [])
