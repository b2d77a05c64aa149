"""`map`: the same prompt for every row, and its answers in a new column."""

from __future__ import annotations

import asyncio

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import llmkit.frames
from llmkit import AuthenticationError, InvalidRequestError, LLMMessage, attach
from llmkit.frames import JobStopped, amap
from llmkit.frames import map as ask
from tests.support.rows import failure, said

RIVERS = {"river": ["rhine", "elbe", None, "rhine"], "km": [1233, 1094, 5, 1233]}
FRAMES = {
    "pandas": pd.DataFrame(RIVERS, index=[7, 5, 3, 1]),
    "polars": pl.DataFrame(RIVERS),
    "pyarrow": pa.table(RIVERS),
}


def values(frame, name):
    column = frame[name]
    found = column.to_pylist() if isinstance(column, pa.ChunkedArray) else list(column)
    return [None if value is None or value is pd.NA else value for value in found]


@pytest.mark.parametrize("kind", FRAMES)
def test_answers_stand_in_a_new_column_of_the_same_kind_of_frame(kind, rows):
    frame = FRAMES[kind]
    found = ask(frame, "{{river}}", out="said", model=rows.client(), progress=False)
    assert type(found) is type(frame)
    assert values(found, "said") == ["RHINE", "ELBE", None, "RHINE"]
    assert values(found, "said_error") == [None] * 4
    assert values(found, "km") == [1233, 1094, 5, 1233]


def test_the_index_and_the_given_frame_stay_as_they_are(rows):
    frame = FRAMES["pandas"]
    found = frame.llm.map("{{river}}", model=rows.client(), progress=False)
    assert found.index.tolist() == [7, 5, 3, 1]
    assert list(frame.columns) == ["river", "km"]
    assert list(found.columns) == ["river", "km", "llm", "llm_error"]


def test_polars_frames_have_the_accessor_too(rows):
    found = FRAMES["polars"].llm.map("{{river}}", model=rows.client(), progress=False)
    assert found["llm"].dtype == pl.String


def test_equal_rows_are_one_call_and_rows_without_a_value_are_none(rows):
    ask(FRAMES["pandas"], "{{river}}", model=rows.client(), progress=False)
    assert sorted(rows.asked) == ["elbe", "rhine"]


BLANK = pd.DataFrame({"river": ["rhine", "", " \n", None], "note": ["", "wide", "", ""]})


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("{{river}}", ["rhine"]),
        ("river", ["rhine"]),
        (lambda row: row["river"], ["rhine"]),
        (BLANK["river"], ["rhine"]),
        ("{{river}}/{{note}}", ["/wide", "rhine/"]),
    ],
    ids=["template", "column", "callable", "series", "two columns"],
)
def test_rows_without_text_are_not_asked_and_have_no_error(rows, prompt, asked):
    planned = ask(BLANK, prompt, model=rows.client(), dry_run=True)
    assert (planned.rows, planned.requests, planned.without_text) == (4, len(asked), 4 - len(asked))
    assert f"4 rows ({4 - len(asked)} without text)" in repr(planned)
    found = ask(BLANK, prompt, model=rows.client(), progress=False)
    assert sorted(rows.asked) == asked
    assert values(found, "llm_error") == [None] * 4
    assert values(found, "llm").count(None) == 4 - len(asked)


def test_without_dedupe_each_row_is_a_call_that_is_found_again(rows):
    frame = pd.DataFrame({"river": ["rhine"] * 3})
    for _ in range(2):
        ask(frame, "{{river}}", model=rows.client(), dedupe=False, progress=False)
    assert rows.asked == ["rhine"] * 3


async def test_the_same_on_a_running_loop(rows):
    async with rows.client() as client:
        found = await amap(FRAMES["pandas"], "{{river}}", model=client, progress=False)
    assert values(found, "llm") == ["RHINE", "ELBE", None, "RHINE"]


def test_a_prompt_may_be_a_column(rows):
    found = ask(FRAMES["pandas"], "river", model=rows.client(), system="Be loud.", progress=False)
    assert values(found, "llm")[0] == "RHINE"
    assert rows.bodies[0]["messages"][0] == {"role": "system", "content": "Be loud."}


def test_a_prompt_may_be_a_callable_that_is_called_once_for_each_row(rows):
    seen = []

    def prompt(row):
        seen.append(row["km"])
        if row["km"] == 5:
            raise LookupError("no name")
        return [LLMMessage("user", "hi"), LLMMessage("assistant", "yes?"), LLMMessage("user", row["river"])]

    found = ask(FRAMES["pandas"], prompt, model=rows.client(), progress=False)
    assert values(found, "llm") == ["RHINE", "ELBE", None, "RHINE"]
    assert values(found, "llm_error")[2] == "prompt: LookupError: no name"
    assert seen == [1233, 1094, 5, 1233]


def test_a_prompt_may_be_a_series(rows):
    frame = FRAMES["pandas"]
    found = ask(frame, frame["river"].str.title(), model=rows.client(), progress=False)
    assert sorted(rows.asked) == ["Elbe", "Rhine"]
    with pytest.raises(InvalidRequestError, match="another index"):
        ask(frame, frame["river"].reset_index(drop=True), model=rows.client())
    with pytest.raises(InvalidRequestError, match="3, but the frame has 4 rows"):
        ask(frame, frame["river"][:3], model=rows.client())
    assert values(found, "llm")[0] == "RHINE"


def test_columns_whose_names_are_no_identifiers_can_be_named(rows):
    frame = pd.DataFrame({"order id": [1, 2], "größe": ["s", None], "a": [None, 1]})
    found = ask(frame, "{{order id}} {{row['order id']:03d}} {{größe}}", model=rows.client(), progress=False)
    assert values(found, "llm") == ["1 001 S", None]


def test_files_of_a_column_go_along(rows, tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    frame = pd.DataFrame({"file": [str(tmp_path / "a.txt"), str(tmp_path / "b.txt"), None], "n": ["x"] * 3})
    found = ask(frame, "{{n}}", attach="file", model=rows.client(), progress=False)
    assert values(found, "llm")[0] is not None
    assert values(found, "llm_error")[1].startswith("prompt: File not found")
    assert len(rows.asked) == 1
    (tmp_path / "a.txt").write_text("other")
    ask(frame, "{{n}}", attach="file", model=rows.client(), progress=False)
    assert len(rows.asked) == 2
    assert attach(tmp_path / "a.txt").digest


def test_a_key_in_a_column_is_left_out(rows):
    key = "sk-proj-abcdefgh1234567890abcdef"
    frame = pd.DataFrame({"text": ["plain", f"my key is {key}"]})
    ask(frame, "{{text}}", model=rows.client(), progress=False)
    assert sorted(rows.asked) == ["my key is [redacted]", "plain"]


def test_meta_columns_join_the_ledger_and_add_up_to_its_sum(rows, recorder):
    found = ask(FRAMES["pandas"], "{{river}}", model=rows.client(), meta=True, progress=False)
    assert values(found, "llm_status") == ["ok", "ok", None, "ok"]
    assert found["llm_uid"].dropna().nunique() == 2
    assert set(found["llm_uid"].dropna()) == {record.uid for record in recorder.records}
    paid = sum(record.cost_nanos for record in recorder.records) / 1e9
    assert found["llm_cost"].sum() == pytest.approx(paid)
    assert str(found["llm_input_tokens"].dtype) == "Int64"
    assert {record.surface for record in recorder.records} == {"table"}
    assert {record.tags["job"] for record in recorder.records} == {"map llm"}


def test_labels_and_a_name_of_the_job_are_in_the_ledger(rows, recorder):
    ask(FRAMES["pandas"], "{{river}}", model=rows.client(), job="names", tags={"a": "b"}, progress=False)
    assert {tuple(record.tags.items()) for record in recorder.records} == {(("a", "b"), ("job", "names"))}


def test_limit_asks_the_first_rows_and_the_whole_run_does_not_pay_them_again(rows):
    frame = pd.DataFrame({"n": [str(n) for n in range(10)]})
    first = ask(frame, "{{n}}", model=rows.client(), limit=3, progress=False)
    assert len(first) == 10
    assert first["llm"].notna().tolist() == [True] * 3 + [False] * 7
    ask(frame, "{{n}}", model=rows.client(), progress=False)
    assert sorted(rows.asked, key=int) == [str(n) for n in range(10)]


def test_an_empty_frame_has_the_columns_and_no_calls(rows):
    found = ask(pd.DataFrame({"n": []}), "{{n}}", model=rows.client(), progress=False)
    assert list(found.columns) == ["n", "llm", "llm_error"]
    assert rows.asked == []


def test_only_so_many_run_at_once(rows):
    rows.delay = 0.01
    ask(pd.DataFrame({"n": range(12)}), "{{n}}", model=rows.client(), max_concurrent=3, progress=False)
    assert rows.at_once <= 3


@pytest.mark.parametrize(
    ("frame", "prompt", "options", "problem"),
    [
        (FRAMES["pandas"], "{{rivr}}", {}, "no column rivr. Did you mean "),
        (FRAMES["pandas"], "Hello", {}, "names no column"),
        (FRAMES["pandas"], "rivr", {}, "no column 'rivr'. Did you mean river?"),
        (FRAMES["pandas"], 7, {}, "a template, a column, a callable or a series, got int"),
        (FRAMES["pandas"], "{{river}}", {"out": "km"}, "a column 'km' already"),
        (FRAMES["pandas"], "{{river}}", {"attach": "files"}, "no column 'files'"),
        (FRAMES["pandas"], "{{river}}", {"max_tokens": 0}, "max_tokens must be a whole number"),
        (FRAMES["pandas"], "{{river}}", {"on_error": "ignore"}, "on_error must be 'keep' or 'raise'"),
        (FRAMES["pandas"], "{{river}}", {"retry_failed": "some"}, "retry_failed must be"),
        (FRAMES["pandas"], "{{river}}", {"max_toknes": 5}, "Did you mean 'max_tokens'?"),
        (FRAMES["pandas"], "{{river}}", {"schema": "json"}, "schema cannot be given"),
        (FRAMES["pandas"], "{{river}}", {"mode": "later"}, "mode must be"),
        (FRAMES["pandas"], "{{river}}", {"tags": {"a": 1}}, "tags must have the form"),
        (
            FRAMES["pandas"],
            "{{river}}",
            {"mode": "batch", "max_concurrent": 2},
            "max_concurrent does nothing in",
        ),
        (FRAMES["pandas"], "{{river}}", {"wait": True}, 'wait does nothing in mode="now"'),
        (FRAMES["pandas"], "{{river}}", {"mode": "flex", "wait": True}, 'wait does nothing in mode="flex"'),
        (FRAMES["pandas"], "{{river}}", {"effort": "huge"}, "effort is 'huge'"),
        (pl.DataFrame(RIVERS).lazy(), "{{river}}", {}, "A lazy frame has no rows yet. Collect it first"),
        ([1, 2], "{{river}}", {}, "A frame must be a pandas, polars or Dask"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "{{a}}", {}, "more than one column 'a'"),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_sent(frame, prompt, options, problem, rows):
    with pytest.raises(InvalidRequestError) as caught:
        ask(frame, prompt, model=rows.client(), progress=False, **options)
    assert problem in str(caught.value)
    assert rows.asked == []


def test_a_column_that_exists_can_be_replaced(rows):
    frame = pd.DataFrame({"n": ["a"], "llm": [1], "llm_error": ["old"]})
    found = ask(frame, "{{n}}", model=rows.client(), replace=True, progress=False)
    assert found.to_dict("records")[0]["llm"] == "A"
    assert list(found.columns) == ["n", "llm", "llm_error"]


def test_an_answer_has_a_limit_unless_one_is_given(rows, monkeypatch):
    frame = pd.DataFrame({"n": ["a"]})
    ask(frame, "{{n}}", model=rows.client(), store=False, progress=False)
    ask(frame, "{{n}}", model=rows.client(), store=False, max_tokens=7, progress=False)
    monkeypatch.setenv("LLM_MAX_TOKENS", "9")
    ask(frame, "{{n}}", model=rows.client(), store=False, progress=False)
    limits = [body.get("max_tokens") or body.get("max_completion_tokens") for body in rows.bodies]
    assert limits == [4096, 7, 9]


ERRORS = {
    "rate_limit: ": failure(429, "slow down", "rate_limit_exceeded"),
    "server: ": failure(503, "down"),
    "invalid: ": failure(400, "bad"),
    "context_length: ": failure(400, "too long", "context_length_exceeded"),
    "refusal: ": said("I cannot.", "content_filter"),
    "length: ": said("I was", "length"),
    "empty: ": said(""),
}


@pytest.mark.parametrize("begin", ERRORS)
def test_an_error_of_a_row_stands_beside_it_and_the_others_are_answered(begin, rows):
    rows.answer = lambda prompt: ERRORS[begin] if prompt == "bad" else prompt.upper()
    found = ask(pd.DataFrame({"n": ["a", "bad", "c"]}), "{{n}}", model=rows.client(), progress=False)
    assert values(found, "llm") == ["A", None, "C"]
    assert values(found, "llm_error")[1].startswith(begin)
    assert values(found, "llm_error")[::2] == [None, None]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failure(401, "no"), "AuthenticationError"),
        (failure(403, "no"), "PermissionDeniedError"),
        (failure(404, "no", "model_not_found"), "ModelNotFoundError"),
        (failure(429, "no", "insufficient_quota"), "QuotaExceededError"),
    ],
)
def test_what_fails_for_every_row_stops_at_once(answer, kind, rows):
    rows.answer = lambda prompt: answer if prompt != "0" else "fine"
    frame = pd.DataFrame({"n": [str(n) for n in range(200)]})
    with pytest.raises(JobStopped) as stopped:
        ask(frame, "{{n}}", model=rows.client(), max_concurrent=1, progress=False)
    assert stopped.value.reason == kind
    assert type(stopped.value.__cause__).__name__ == kind
    assert "Run the cell again" in str(stopped.value)
    assert len(rows.asked) < 10
    assert values(stopped.value.frame, "llm")[0] == "fine"


def test_the_same_invalid_request_on_the_first_five_stops(rows):
    rows.answer = lambda prompt: failure(400, "top_k is unknown")
    frame = pd.DataFrame({"n": [str(n) for n in range(100)]})
    with pytest.raises(JobStopped, match="top_k is unknown"):
        ask(frame, "{{n}}", model=rows.client(), max_concurrent=1, progress=False)
    assert 5 <= len(rows.asked) <= 7


def test_invalid_requests_of_single_rows_do_not_stop(rows):
    rows.answer = lambda prompt: failure(400, f"bad {prompt}")
    frame = pd.DataFrame({"n": [str(n) for n in range(20)]})
    found = ask(frame, "{{n}}", model=rows.client(), progress=False)
    assert values(found, "llm_error")[19] == "invalid: bad 19 (HTTP 400)."


def test_on_error_raise_stops_at_the_first_error(rows):
    rows.answer = lambda prompt: failure(503, "down") if prompt == "1" else prompt
    frame = pd.DataFrame({"n": [str(n) for n in range(50)]})
    with pytest.raises(JobStopped, match="down"):
        ask(frame, "{{n}}", model=rows.client(), max_concurrent=1, on_error="raise", progress=False)
    assert len(rows.asked) <= 3


def test_without_a_key_nothing_is_sent():
    frame = pd.DataFrame({"n": ["a"]})
    with pytest.raises((JobStopped, AuthenticationError)):
        ask(frame, "{{n}}", model="openai:gpt-4o-mini", progress=False)


async def test_cancelling_keeps_what_was_answered(rows):
    rows.delay, rows.wanted = 0.02, 9
    frame = pd.DataFrame({"n": [str(n) for n in range(40)]})
    async with rows.client() as client:
        work = asyncio.create_task(amap(frame, "{{n}}", model=client, max_concurrent=2, progress=False))
        await asyncio.wait_for(asyncio.to_thread(rows.enough.wait), 60)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        rows.delay = 0
        found = await amap(frame, "{{n}}", model=client, progress=False)
    assert found["llm"].notna().all()
    assert len(rows.asked) <= 42  # the two under way were asked twice


def test_the_package_lists_its_names():
    assert {"map", "amap", "JobStopped"} <= set(dir(llmkit.frames))
