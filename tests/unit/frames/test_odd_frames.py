"""Frames as people have them: odd names, types and values, and answers that no column can hold."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from llmkit import InvalidRequestError
from llmkit.frames import extract
from llmkit.frames import map as ask

HALF = "\ud83d"


def used(rows, frame, prompt="{{x}}", **options):
    """Ask each row; return what was sent, and the new columns."""
    found = ask(frame, prompt, model=rows.client(), progress=False, **options)
    names = ("llm", "llm_error")
    columns = [
        list(found[name].to_pylist() if hasattr(found[name], "to_pylist") else found[name]) for name in names
    ]
    return rows.asked, *([None if one is pd.NA else one for one in column] for column in columns)


BERLIN = pd.to_datetime(["2026-01-01T12:00:00Z", None]).tz_convert("Europe/Berlin")
FRAMES = {
    "duplicate index": (pd.DataFrame({"x": ["a", "b"]}, index=[1, 1]), ["a", "b"]),
    "index of two levels": (
        pd.DataFrame({"x": ["a", "b"]}, index=pd.MultiIndex.from_tuples([(1, 2), (3, 4)])),
        ["a", "b"],
    ),
    "categorical": (pd.DataFrame({"x": pd.Categorical(["a", None])}), ["a"]),
    "missing in every way": (
        pd.DataFrame({"x": ["a", None, np.nan, pd.NaT, pd.NA, Decimal("NaN"), np.datetime64("NaT", "ns")]}),
        ["a"],
    ),
    "time zone": (pd.DataFrame({"x": BERLIN}), ["2026-01-01 13:00:00+01:00"]),
    "backed by Arrow": (pd.DataFrame({"x": ["a", None]}).convert_dtypes(dtype_backend="pyarrow"), ["a"]),
    "nullable integers": (pd.DataFrame({"x": pd.array([1, None], dtype="Int64")}), ["1"]),
    "lists and dicts": (pd.DataFrame({"x": [[1, 2], {"a": 1}]}), ["[1, 2]", "{'a': 1}"]),
    "emoji": (pd.DataFrame({"x": ["👩‍👩‍👧 é"]}), ["👩‍👩‍👧 é"]),
    "braces in a value": (pd.DataFrame({"x": ["{{y}} {x}"], "y": ["secret"]}), ["{{y}} {x}"]),
    "struct": (pl.DataFrame({"x": [{"a": 1, "b": [1]}, None]}), ["{'a': 1, 'b': [1]}"]),
    "duration": (pl.DataFrame({"x": [dt.timedelta(days=1)]}), ["1 day, 0:00:00"]),
    "enumeration": (pl.DataFrame({"x": pl.Series(["a", None], dtype=pl.Enum(["a"]))}), ["a"]),
    "dictionary": (pa.table({"x": pa.array(["a", None]).dictionary_encode()}), ["a"]),
    "large strings": (pa.table({"x": pa.array(["a", None], pa.large_string())}), ["a"]),
    "several chunks": (pa.table({"x": pa.chunked_array([["a"], [], ["b"]])}), ["a", "b"]),
    "nothing but nulls": (pa.table({"x": pa.nulls(2)}), []),
}


@pytest.mark.parametrize("name", FRAMES)
def test_values_of_every_type_are_sent_as_text_and_missing_ones_are_skipped(name, rows):
    frame, sent = FRAMES[name]
    asked, _, errors = used(rows, frame)
    assert sorted(asked) == sorted(sent)
    assert set(errors) == {None}


@pytest.mark.parametrize("name", ["map", "row", 0, ("a", 1), 'it\'s "x"', "größe", "order id"])
def test_a_column_of_any_name_can_be_named(name, rows):
    frame = pd.DataFrame([["a", "b"]], columns=pd.Index([name, "other"], tupleize_cols=False))
    asked, _, _ = used(rows, frame, f"Say {{{{{name}}}}}")
    assert asked == ["Say a"]


def test_a_missing_item_of_a_value_is_a_missing_value(rows):
    frame = pl.DataFrame({"x": [{"a": 1.25, "b": 2}, {"a": None, "b": 3}]})
    assert used(rows, frame, "{{x['a']:.1f}}")[0] == ["1.2"]


def test_a_value_without_the_item_or_format_is_an_error_of_its_row(rows):
    frame = pd.DataFrame({"x": [{"a": 1}, {"b": 2}, "text", {"a": "no number"}]})
    asked, values, errors = used(rows, frame, "{{x['a']:.1f}}")
    assert asked == ["1.0"]
    assert values == ["1.0", None, None, None]
    assert [(error or "").partition(":")[0] for error in errors] == ["", "prompt", "prompt", "prompt"]


def test_messages_that_are_none_are_an_error_of_their_row(rows):
    answers = iter([[{"role": "user", "content": "hi"}], 7, "fine"])
    asked, _, errors = used(rows, pd.DataFrame({"x": [1, 2, 3]}), lambda _: next(answers))
    assert asked == ["fine"]
    assert errors[0] == "prompt: The callable returned a list with dict, not a string or a list of messages."
    assert errors[1].startswith("prompt: The callable returned int")


def test_a_series_of_numbers_is_sent_as_text(rows):
    assert used(rows, pd.DataFrame({"x": ["a"]}), pd.Series([7]))[0] == ["7"]


def test_a_cell_that_a_model_fills_with_half_a_character_is_kept(rows, store):
    rows.answer = lambda prompt: f"{HALF} of {prompt}"
    frame = pd.DataFrame({"x": ["a"]})
    assert used(rows, frame, store=False)[1] == ["\ufffd of a"]
    assert used(rows, frame, store=store)[1] == ["\ufffd of a"]
    assert used(rows, frame, store=store)[1] == ["\ufffd of a"]


def test_half_a_character_in_a_typed_answer_is_replaced(rows):
    rows.answer = lambda _: json.dumps({"name": f"{HALF}!"})
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    found = extract(pl.DataFrame({"x": ["a"]}), "x", schema, model=rows.client(), progress=False)
    assert found["name"].to_list() == ["\ufffd!"]


def test_numbers_of_numpy_and_decimals_are_options_too(rows):
    frame = pd.DataFrame({"x": ["a", "b"]})
    options = {"limit": np.int64(1), "max_tokens": np.int32(5), "max_cost": Decimal(1)}
    assert used(rows, frame, **options)[0] == ["a"]
    assert rows.bodies[0]["max_tokens"] == 5
    for wrong in ({"limit": True}, {"limit": 1.5}, {"max_cost": Decimal("NaN")}, {"max_cost": True}):
        with pytest.raises(InvalidRequestError, match="must be"):
            used(rows, frame, **wrong)
