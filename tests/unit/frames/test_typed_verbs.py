"""`extract`, `classify`, `filter`, `score`, `decide`: answers of a form, in typed columns."""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - read for the schema
import json
from dataclasses import dataclass
from typing import Literal, TypedDict

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import llmkit.frames
from llmkit import InvalidRequestError, frames
from llmkit.frames import (
    Choice,
    JobStopped,
    Score,
    YesNo,
    aclassify,
    adecide,
    aextract,
    afilter,
    ascore,
    classify,
    decide,
    extract,
    score,
)
from llmkit.frames import filter as keep
from tests.support.rows import failure, said

TEXTS = {"text": ["charged twice", "does not start", None, "money back"]}
FRAMES = {
    "pandas": pd.DataFrame(TEXTS, index=[4, 3, 2, 1]),
    "polars": pl.DataFrame(TEXTS),
    "pyarrow": pa.table(TEXTS),
}
TEAMS = ["billing", "technical"]
every_kind = pytest.mark.parametrize("kind", FRAMES)


def values(frame, name):
    column = frame[name]
    found = column.to_pylist() if isinstance(column, pa.ChunkedArray) else list(column)
    return [None if pd.api.types.is_scalar(value) and pd.isna(value) else value for value in found]


def answering(rows, answers, otherwise="{}"):
    """Let the server answer these texts in JSON."""
    rows.answer = lambda text: json.dumps(answers[text]) if text in answers else otherwise


@dataclass
class Invoice:
    number: str
    total: float
    pieces: int
    paid: bool
    due: dt.date | None
    sent: dt.datetime
    kind: Literal["invoice", "reminder"]
    items: list[str]


INVOICE = {
    "number": "A-1",
    "total": 12,
    "pieces": 3,
    "paid": True,
    "due": "2026-11-01",
    "sent": "2026-10-01T12:00:00+00:00",
    "kind": "invoice",
    "items": ["pen", "ink"],
}


@every_kind
def test_each_field_of_a_schema_is_a_column_of_its_type(kind, rows):
    answering(rows, {"charged twice": INVOICE, "money back": {**INVOICE, "due": None, "kind": "reminder"}})
    found = extract(FRAMES[kind], "text", Invoice, model=rows.client(), progress=False)
    assert values(found, "number") == ["A-1", None, None, "A-1"]
    assert values(found, "total") == [12.0, None, None, 12.0]
    assert values(found, "pieces") == [3, None, None, 3]
    assert values(found, "paid") == [True, None, None, True]
    assert [None if one is None else str(one)[:10] for one in values(found, "due")] == [
        "2026-11-01", None, None, None,
    ]  # fmt: skip
    assert str(values(found, "sent")[0])[:19] == "2026-10-01 12:00:00"
    assert values(found, "kind") == ["invoice", None, None, "reminder"]
    assert list(
        found["items"][0].as_py() if kind == "pyarrow" else found["items"][0 if kind == "polars" else 4]
    ) == [
        "pen",
        "ink",
    ]
    assert values(found, "extract_error")[1].startswith("schema: ")
    assert values(found, "extract_error")[2] is None


def test_pandas_columns_have_the_nullable_types(rows):
    answering(rows, {"charged twice": INVOICE})
    found = extract(FRAMES["pandas"][:1], "text", Invoice, model=rows.client(), progress=False)
    types = {name: str(found[name].dtype) for name in ("total", "pieces", "paid", "kind")}
    assert types == {"total": "Float64", "pieces": "Int64", "paid": "boolean", "kind": "category"}
    assert str(found["sent"].dtype).startswith("datetime64")


def test_a_name_for_the_new_columns_begins_each_of_them(rows):
    answering(rows, {"charged twice": INVOICE})
    found = extract(FRAMES["pandas"][:1], "text", Invoice, out="bill", model=rows.client(), progress=False)
    assert found.columns[1:3].tolist() == ["bill_number", "bill_total"]
    assert found.columns[-1] == "bill_error"


def test_an_answer_that_does_not_fit_is_asked_for_once_more(rows):
    answers = iter(["no JSON at all", json.dumps({"label": "billing"})])
    rows.answer = lambda _: next(answers)
    found = classify(FRAMES["pandas"][:1], "text", TEAMS, meta=True, model=rows.client(), progress=False)
    assert values(found, "label") == ["billing"]
    assert found["label_input_tokens"].tolist() == [18]  # of both calls
    assert [len(body["messages"]) for body in rows.bodies] == [2, 4]


def test_what_still_does_not_fit_is_an_error_and_never_a_value(rows):
    rows.answer = lambda _: json.dumps({"label": "sales"})
    found = classify(FRAMES["pandas"][:1], "text", TEAMS, model=rows.client(), progress=False)
    assert values(found, "label") == [None]
    assert found["label_error"][4] == "schema: $.label: 'sales' is not one of ['billing', 'technical']"
    assert len(rows.asked) == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (said('{"label": "bil', finish="length"), "length: the answer was cut after 3 tokens"),
        (said("I cannot help with that.", finish="content_filter"), "refusal: I cannot help with that."),
        (failure(500, "out of order"), "server: "),
    ],
    ids=["cut", "refused", "failed"],
)
def test_cut_refused_and_failed_answers_are_errors_of_their_row(answer, error, rows):
    rows.answer = lambda text: answer if text == "charged twice" else json.dumps({"label": "billing"})
    found = classify(FRAMES["pandas"], "text", TEAMS, model=rows.client(), progress=False)
    assert values(found, "label") == [None, "billing", None, "billing"]
    assert found["label_error"][4].startswith(error)
    assert values(found, "label_error")[1:] == [None] * 3


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("due", "tomorrow", "Invalid isoformat string"),
        ("pieces", 2**63, "does not fit into 64 bits"),
    ],
)
def test_a_value_that_fits_the_schema_and_not_its_column_is_an_error(field, value, problem, rows):
    forms = {"due": {"type": "string", "format": "date"}, "pieces": {"type": "integer"}}
    document = {"type": "object", "properties": {field: forms[field]}}
    rows.answer = lambda _: json.dumps({field: value})
    found = extract(FRAMES["pandas"][:1], "text", document, model=rows.client(), progress=False)
    assert values(found, field) == [None]
    assert problem in found["extract_error"][4]


@every_kind
def test_labels_are_a_category_in_their_order(kind, rows):
    answering(rows, {"charged twice": {"label": "billing"}, "does not start": {"label": "technical"}})
    found = classify(FRAMES[kind], "text", TEAMS, model=rows.client(), progress=False)
    assert values(found, "label") == ["billing", "technical", None, None]
    if kind == "pandas":
        assert found["label"].cat.categories.tolist() == TEAMS
        assert not found["label"].cat.ordered


def test_descriptions_and_a_way_out_are_part_of_the_question(rows):
    answering(rows, {"charged twice": {"label": "none of these"}})
    labels = {"billing": "money and invoices", "technical": "something does not work"}
    options = {
        "other": "none of these",
        "instruction": "Who answers?",
        "model": rows.client(),
        "progress": False,
    }
    found = classify(FRAMES["pandas"][:1], "text", labels, **options)
    assert values(found, "label") == ["none of these"]
    system = rows.bodies[0]["messages"][0]["content"]
    assert "Who answers?" in system
    assert "- billing: money and invoices\n- technical: something does not work\n- none of these" in system


@every_kind
def test_several_labels_are_a_list_in_the_order_of_the_labels(kind, rows):
    answering(
        rows, {"charged twice": {"label": ["technical", "billing", "billing"]}, "money back": {"label": []}}
    )
    found = classify(FRAMES[kind], "text", TEAMS, multi=True, model=rows.client(), progress=False)
    assert [None if one is None else list(one) for one in found["label"].to_pylist()] == [
        TEAMS, None, None, [],
    ] if kind == "pyarrow" else True  # fmt: skip
    if kind != "pyarrow":
        cells = list(found["label"])
        assert [list(cells[0]), list(cells[3])] == [TEAMS, []]


def test_examples_come_before_the_row_as_questions_with_answers(rows):
    answering(rows, {"charged twice": {"label": "billing"}})
    examples = [("pay me", "billing"), ("it crashed", "technical")]
    classify(FRAMES["pandas"][:1], "text", TEAMS, examples=examples, model=rows.client(), progress=False)
    assert [one["content"] for one in rows.bodies[0]["messages"][1:]] == [
        "pay me",
        '{"label": "billing"}',
        "it crashed",
        '{"label": "technical"}',
        "charged twice",
    ]


@every_kind
def test_filter_drops_only_rows_that_were_answered_no(kind, rows, capsys):
    answering(rows, {"charged twice": {"keep": False}, "money back": {"keep": True}}, otherwise="?")
    found = keep(FRAMES[kind], "text", "mentions a refund", model=rows.client(), progress=False)
    assert type(found) is type(FRAMES[kind])
    assert values(found, "text") == ["does not start", None, "money back"]
    assert [None if one is None else one[:7] for one in values(found, "keep_error")] == [
        "schema:",
        None,
        None,
    ]
    assert "1 row has no answer and was kept: see keep_error." in capsys.readouterr().err
    if kind == "pandas":
        assert found.index.tolist() == [3, 2, 1]
        assert found.columns.tolist() == ["text", "keep_error"]


def test_filter_can_keep_all_rows_with_their_answers(rows):
    answering(rows, {"charged twice": {"keep": False}, "money back": {"keep": True}})
    found = keep(
        FRAMES["pandas"], "text", "a refund", keep=True, out="refund", model=rows.client(), progress=False
    )
    assert values(found, "refund") == [False, None, None, True]
    assert str(found["refund"].dtype) == "boolean"


def test_a_filter_that_stops_keeps_what_was_not_answered(rows):
    rows.answer = lambda _: failure(401, "no such key", "authentication_error")
    with pytest.raises(JobStopped) as stopped:
        keep(FRAMES["pandas"], "text", "a refund", model=rows.client(), progress=False)
    assert values(stopped.value.frame, "text") == TEXTS["text"]
    assert "keep" not in stopped.value.frame


def test_levels_are_an_ordered_category(rows):
    answering(rows, {"charged twice": {"score": "furious"}, "money back": {"score": "calm"}})
    levels = ["calm", "annoyed", "furious"]
    found = score(
        FRAMES["pandas"], "text", "How angry?", levels, out="anger", model=rows.client(), progress=False
    )
    assert values(found, "anger") == ["furious", None, None, "calm"]
    assert found["anger"].max() == "furious"
    assert "How angry?" in rows.bodies[0]["messages"][0]["content"]


QUESTIONS = {
    "refund": YesNo("Is a refund asked for?"),
    "team": Choice({"billing": "money", "technical": "faults"}),
    "anger": Score(["calm", "furious"]),
}
DECIDED = {"refund": True, "team": "billing", "anger": "calm"}


@every_kind
def test_several_questions_are_one_call_and_a_column_each(kind, rows):
    answering(rows, {"money back": DECIDED})
    found = decide(FRAMES[kind], "text", QUESTIONS, model=rows.client(), progress=False)
    assert [values(found, name)[3] for name in QUESTIONS] == [True, "billing", "calm"]
    assert [values(found, f"{name}_error")[0][:6] for name in QUESTIONS] == ["schema"] * 3
    assert [values(found, f"{name}_error")[3] for name in QUESTIONS] == [None] * 3


def test_questions_without_an_instruction_are_asked_by_their_names(rows):
    answering(rows, {"charged twice": {"is_angry": True}})
    frame = FRAMES["pandas"][:1]
    decide(frame, "text", {"is_angry": YesNo()}, out="x", model=rows.client(), progress=False)
    assert "is_angry: Is this so?" in rows.bodies[0]["messages"][0]["content"]


def test_the_system_prompt_comes_before_the_question(rows):
    answering(rows, {"charged twice": {"label": "billing"}})
    classify(FRAMES["pandas"][:1], "text", TEAMS, system="We sell pens.", model=rows.client(), progress=False)
    first, *others = rows.bodies[0]["messages"]
    assert first["content"].startswith("We sell pens.\n\nRead the input")
    assert [one["role"] for one in others] == ["user"]


def test_an_answer_is_paid_once_and_another_question_is_new(rows):
    answering(rows, {"charged twice": {"label": "billing"}})
    frame = FRAMES["pandas"][:1]
    options = {"model": rows.client(), "progress": False}
    for out in ("label", "topic"):
        classify(frame, "text", TEAMS, out=out, **options)
    assert len(rows.asked) == 1
    classify(frame, "text", [*TEAMS, "other"], **options)
    classify(frame, "text", TEAMS, examples=[("pay me", "billing")], **options)
    assert len(rows.asked) == 3


async def test_a_plan_of_each_verb_sends_nothing(rows):
    options = {"model": rows.client(), "dry_run": True}
    plans = [
        classify(FRAMES["pandas"], "text", TEAMS, **options),
        keep(FRAMES["pandas"], "text", "a refund", **options),
        await afilter(FRAMES["pandas"], "text", "a refund", **options),
        decide(FRAMES["pandas"], "text", QUESTIONS, **options),
        extract(FRAMES["pandas"], "text", Invoice, mode="batch", **options),
    ]
    assert [plan.requests for plan in plans] == [3] * 5
    assert rows.asked == []


async def test_the_same_on_a_running_loop(rows):
    rows.answer = lambda _: json.dumps({"name": "x"})
    frame, options = FRAMES["pandas"][:1], {"model": rows.client(), "progress": False}

    class Named(TypedDict):
        name: str

    loose = {"type": "object", "properties": {"name": {"type": "string"}}}
    assert (await aextract(frame, "text", loose, **options))["name"].tolist() == ["x"]
    with pytest.raises(InvalidRequestError, match="not possible"):
        await aclassify(frame, "text", TEAMS, examples=[("a", "b")], **options)
    rows.answer = lambda _: json.dumps({"label": "billing"})
    assert (await aclassify(frame, "text", TEAMS, **options))["label"].tolist() == ["billing"]
    rows.answer = lambda _: json.dumps({"keep": False})
    assert len(await afilter(frame, "text", "a refund", **options)) == 0
    rows.answer = lambda _: json.dumps({"score": "calm"})
    assert (await ascore(frame, "text", "How angry?", ["calm", "furious"], **options))["score"].tolist() == [
        "calm"
    ]
    rows.answer = lambda _: json.dumps(DECIDED)
    assert (await adecide(frame, "text", QUESTIONS, **options))["team"].tolist() == ["billing"]
    assert (await aextract(frame, "text", Named, **options))["extract_error"][4].startswith("schema: ")


def test_frames_have_the_verbs_as_methods(rows):
    answering(rows, {"charged twice": {"label": "billing"}})
    found = FRAMES["polars"][:1].llm.classify("text", TEAMS, model=rows.client(), progress=False)
    assert found["label"].to_list() == ["billing"]


@pytest.mark.parametrize("options", [{"mode": "batch", "max_concurrent": 2}, {"wait": True}])
async def test_what_would_do_nothing_is_refused_by_every_verb_and_its_twin(options, rows):
    given = {
        "map": (), "extract": ({"properties": {"x": {}}},), "classify": (TEAMS,), "filter": ("is late",),
        "score": ("How angry?", ["calm", "angry"]), "decide": (QUESTIONS,),
    }  # fmt: skip
    options = {"model": rows.client(), **options}
    for name, asked in given.items():
        with pytest.raises(InvalidRequestError, match="does nothing in mode"):
            getattr(frames, name)(FRAMES["pandas"], "text", *asked, **options)
        with pytest.raises(InvalidRequestError, match="does nothing in mode"):
            await getattr(frames, f"a{name}")(FRAMES["pandas"], "text", *asked, **options)
    assert rows.asked == []


FRAME = FRAMES["pandas"]
WRONG = {
    "a label twice": (lambda **o: classify(FRAME, "text", ["a", "b", "a"], **o), "'a' is given twice"),
    "the way out is a label": (
        lambda **o: classify(FRAME, "text", ["a", "b"], other="b", **o),
        "'b' is given twice",
    ),
    "one label": (lambda **o: classify(FRAME, "text", ["a"], **o), "at least two labels, got 1"),
    "labels in one text": (lambda **o: classify(FRAME, "text", "a, b", **o), "must be a list of texts"),
    "a number as label": (lambda **o: classify(FRAME, "text", [1, 2], **o), "must be texts, got 1"),
    "an impossible example": (
        lambda **o: classify(FRAME, "text", TEAMS, examples=[("x", "sales")], **o),
        "The answer 'sales' of an example is not possible",
    ),
    "no pairs": (lambda **o: classify(FRAME, "text", TEAMS, examples=["x"], **o), "examples must be pairs"),
    "no condition": (lambda **o: keep(FRAME, "text", " ", **o), "The condition must be a text"),
    "no questions": (lambda **o: decide(FRAME, "text", {}, **o), "decide needs questions by name"),
    "no question": (
        lambda **o: decide(FRAME, "text", {"x": "really?"}, **o),
        "must be YesNo, Choice or Score",
    ),
    "no name": (lambda **o: decide(FRAME, "text", {"": YesNo()}, **o), "must be a text, got ''"),
    "a column twice": (
        lambda **o: decide(FRAME, "text", {"a": YesNo(), "a_error": YesNo()}, **o),
        "would be called 'a_error'",
    ),
    "a question called like a column": (
        lambda **o: decide(FRAME, "text", {"text": YesNo()}, **o),
        "has a column 'text' already",
    ),
    "no instruction": (
        lambda **o: decide(FRAME, "text", {"a": YesNo("")}, **o),
        "instruction must be a text",
    ),
    "no fields": (lambda **o: extract(FRAME, "text", "json", **o), "needs a schema with named fields"),
    "a list": (lambda **o: extract(FRAME, "text", list[int], **o), "needs a schema with named fields"),
    "no schema": (lambda **o: extract(FRAME, "text", object(), **o), "is not a schema"),
    "an unknown column": (lambda **o: classify(FRAME, "{{txt}}", TEAMS, **o), "has no column txt"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_question_that_cannot_be_asked_is_refused_and_nothing_sent(name, rows):
    function, message = WRONG[name]
    with pytest.raises(InvalidRequestError, match=message):
        function(model=rows.client())
    assert rows.asked == []


def test_a_schema_that_refers_to_itself_and_one_with_alternatives_have_columns_of_any_value(rows):
    document = {
        "type": "object",
        "properties": {
            "tree": {"$ref": "#/$defs/tree"},
            "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "maybe": {"type": ["integer", "null"]},
        },
        "$defs": {"tree": {"type": "object", "properties": {"left": {"$ref": "#/$defs/tree"}}}},
    }
    answering(rows, {"charged twice": {"tree": {"left": {}}, "either": 3, "maybe": None}})
    found = extract(FRAME[:1], "text", document, model=rows.client(), progress=False)
    assert found["tree"].tolist() == [{"left": {}}]
    assert found["either"].tolist() == [3]
    assert str(found["maybe"].dtype) == "Int64"


def test_questions_are_shown_as_they_are_written():
    assert repr(YesNo()) == "YesNo()"
    assert repr(QUESTIONS["team"]) == "Choice({'billing': 'money', 'technical': 'faults'})"
    assert repr(Score(["low", "high"], "How much?")) == "Score(['low', 'high'], instruction='How much?')"
    assert llmkit.frames.Choice is Choice
