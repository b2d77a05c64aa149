"""What help and errors say to somebody who sees `df.llm` for the first time."""

from __future__ import annotations

import inspect

import pandas as pd
import pytest

import llmkit.frames
from llmkit import InvalidRequestError
from llmkit.frames.accessor import FrameAccessor

VERBS = ["map", "extract", "classify", "filter", "score", "decide"]
FRAME = pd.DataFrame({"text": ["a", "b"]})


@pytest.mark.parametrize("verb", [*VERBS, *(f"a{verb}" for verb in VERBS)])
def test_the_help_of_a_method_has_its_own_arguments_and_its_example_is_a_method(verb):
    method = getattr(FRAME.llm, verb)
    text = inspect.getdoc(method)
    assert "frame" not in inspect.signature(method).parameters
    assert "\n    frame: " not in text
    assert f".llm.{verb}(" in text
    assert f" {verb}(" not in text
    assert "max_cost: " in text


def test_the_help_of_the_accessor_names_every_verb():
    text = inspect.getdoc(FrameAccessor)
    assert [verb for verb in VERBS if f"`{verb}`" not in text] == []


def test_the_help_of_a_function_still_has_its_frame():
    assert "\n    frame: A pandas" in inspect.getdoc(llmkit.frames.map)


@pytest.mark.parametrize(
    "given", [FRAME["text"], [1, 2], {"text": ["a"]}, FRAME.groupby("text"), None, "text"]
)
def test_what_is_no_frame_is_refused_in_one_sentence(given):
    with pytest.raises(InvalidRequestError, match="A frame must be a pandas, polars or Dask"):
        llmkit.frames.map(given, "{{text}}", model="sandbox")


def test_an_answer_is_shown_without_its_key():
    found = FRAME.llm.map("repeat exactly: {{text}}", model="sandbox", meta=True, progress=False)
    shown = repr(llmkit.frames.answer(found, 0))
    assert shown.startswith("Answer(status='ok', text='a', error='', model='sandbox', input_tokens=")
    assert "key" not in shown


def test_rows_that_all_fail_before_anything_is_asked_are_counted_in_the_line(capfd):
    found = FRAME.llm.map(lambda row: row.text, model="sandbox")
    assert capfd.readouterr().err == "2/2 · 2 failed\n"
    assert found["llm_error"][0] == "prompt: AttributeError: 'dict' object has no attribute 'text'"


def test_a_job_without_a_name_is_called_by_its_verb_and_column():
    FRAME.llm.extract("text", {"type": "object", "properties": {"a": {"type": "string"}}}, progress=False)
    FRAME.llm.map("{{text}}", out="said", progress=False)
    assert set(llmkit.frames.jobs()["job"]) == {"extract", "map said"}
