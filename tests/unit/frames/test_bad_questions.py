"""Frames and questions that are not possible are refused before anything is sent."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from llmkit import InvalidRequestError, sandbox
from llmkit.frames import Choice, Score, classify, decide, extract, score
from llmkit.frames import filter as keep
from llmkit.frames import map as ask

FRAME = pl.DataFrame({"text": ["a", "b"]})


def schema(**field):
    return {"type": "object", "properties": {"a": field}}


QUESTIONS = {
    "labels that repeat": (lambda: classify(FRAME, "text", ["a", "b", "a"]), "The label 'a' is given twice"),
    "other that repeats": (
        lambda: classify(FRAME, "text", ["a", "b"], other="a"),
        "The label 'a' is given twice",
    ),
    "labels in a text": (lambda: classify(FRAME, "text", "billing"), "Labels must be a list of texts"),
    "levels that repeat": (lambda: score(FRAME, "text", "How?", ["a", "a"]), "The label 'a' is given twice"),
    "choices that repeat": (
        lambda: decide(FRAME, "text", {"x": Choice(["a", "a"])}),
        "The label 'a' is given twice",
    ),
    "one level": (lambda: decide(FRAME, "text", {"x": Score(["a"])}), "at least two"),
    "no condition": (lambda: keep(FRAME, "text", ""), "The condition must be a text"),
    "no questions": (lambda: decide(FRAME, "text", {}), "decide needs questions by name"),
    "a list as schema": (
        lambda: extract(FRAME, "text", {"type": "array", "items": {}}),
        "extract needs a schema with named fields",
    ),
    "an unknown type": (lambda: extract(FRAME, "text", schema(type="quux")), "is not a JSON schema"),
    "a reference to nothing": (
        lambda: extract(FRAME, "text", schema(**{"$ref": "#/$defs/Address"})),
        "refers to '#/$defs/Address', which it does not define",
    ),
    "an empty enumeration": (
        lambda: extract(FRAME, "text", schema(enum=[])),
        "an enumeration without values",
    ),
    "a lazy frame": (lambda: ask(FRAME.lazy(), "{{text}}"), "Collect it first: frame.collect()"),
    "a column twice, pandas": (
        lambda: ask(pd.DataFrame([[1, 2]], columns=["a", "a"]), "{{a}}"),
        "more than one column 'a'. Rename one",
    ),
    "a column twice, pyarrow": (
        lambda: ask(pa.table([[1], [2]], names=["a", "a"]), "{{a}}"),
        "more than one column 'a'. Rename one",
    ),
    "no columns": (lambda: ask(pd.DataFrame(), "{{a}}"), "no column a. It has no columns"),
}


@pytest.mark.parametrize("case", QUESTIONS)
def test_it_is_refused_in_one_sentence_and_nothing_is_sent(case):
    ask, match = QUESTIONS[case]
    before = len(sandbox.server().requests)
    with pytest.raises(InvalidRequestError) as caught:
        ask()
    assert match in str(caught.value)
    assert len(sandbox.server().requests) == before


def test_a_reference_that_the_schema_defines_is_no_error():
    address = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    whole = schema(**{"$ref": "#/$defs/an~1address"}) | {"$defs": {"an/address": address}}
    assert extract(FRAME, "text", whole, dry_run=True).requests == 2


def test_a_series_of_numbers_is_sent_as_a_column_of_numbers_is():
    frame = pd.DataFrame({"n": [4, 5]})
    options = {"model": "sandbox", "progress": False}
    assert ask(frame, frame["n"], **options)["llm"].equals(ask(frame, "n", **options)["llm"])
