"""Bad input: one clear error, and nothing is sent; each verb, each kind of frame."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import narwhals as nw
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from llmkit import ConfigurationError, InvalidRequestError, LLMMessage, frames, sandbox
from llmkit.frames import Choice, YesNo
from llmkit.frames.answers.sqlite import SqliteAnswers

if TYPE_CHECKING:
    from collections.abc import Callable

TOPIC = {"type": "object", "properties": {"topic": {"type": "string"}}}
VERBS: dict[str, tuple[Any, ...]] = {
    "map": (),
    "extract": (TOPIC,),
    "classify": (["billing", "technical"],),
    "filter": ("mentions a refund",),
    "score": ("How angry is the writer?", ["calm", "furious"]),
    "decide": ({"refund": YesNo("Is a refund asked for?"), "team": Choice(["billing", "technical"])},),
}
KINDS: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
}
TEXTS = {"text": ["I was charged twice.", "The app crashes."]}

each_verb = pytest.mark.parametrize("verb", VERBS)
each_kind = pytest.mark.parametrize("kind", KINDS)


def use(verb: str, frame: Any, prompt: Any = "{{text}}", **options: Any) -> Any:
    return getattr(frames, verb)(
        frame, prompt, *VERBS[verb], **{"model": "sandbox", "progress": False, **options}
    )


def column(frame: Any, name: str) -> list[Any]:
    return [None if pd.isna(one) else one for one in nw.from_native(frame, eager_only=True)[name].to_list()]


def error_column(frame: Any) -> list[Any]:
    names = nw.from_native(frame, eager_only=True).columns
    return column(frame, next(name for name in names if name.endswith("_error")))


def refused(verb: str, frame: Any, match: str, prompt: Any = "{{text}}", **options: Any) -> None:
    """Check that a use is refused with one short error, and that nothing was sent."""
    before = len(sandbox.server().requests)
    with pytest.raises((InvalidRequestError, ConfigurationError), match=match) as caught:
        use(verb, frame, prompt, **options)
    assert len(sandbox.server().requests) == before
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


@each_verb
@each_kind
def test_an_unknown_column_is_refused_with_the_nearest_one(verb, kind):
    refused(verb, KINDS[kind](TEXTS), "the frame has no column txt. Did you mean text?", "About: {{txt}}")


@each_verb
@each_kind
def test_a_prompt_without_a_column_is_refused(verb, kind):
    refused(verb, KINDS[kind](TEXTS), "names no column: it would be the same for every row", "Hello")


@each_verb
@each_kind
def test_columns_that_exist_are_replaced_only_on_demand(verb, kind):
    answered = use(verb, KINDS[kind](TEXTS))
    refused(verb, answered, "already. Choose another out, or replace=True")
    again = use(verb, answered, replace=True)
    assert nw.from_native(again).columns == nw.from_native(answered).columns


@each_verb
@each_kind
def test_an_empty_frame_works(verb, kind):
    answered = use(verb, KINDS[kind](TEXTS), limit=0)
    none = use(verb, nw.from_native(KINDS[kind](TEXTS), eager_only=True).head(0).to_native())
    assert len(none) == 0
    assert nw.from_native(none).columns == nw.from_native(answered).columns


@each_verb
@each_kind
def test_a_callable_that_fails_for_a_row_is_an_error_of_that_row(verb, kind):
    def failing(row: dict[str, Any]) -> Any:
        made = {1: lambda: row["text"], 2: lambda: row["text"][1000], 3: lambda: 5, 4: list}
        return made.get(row["n"], lambda: [LLMMessage("user", "a"), 6])()

    frame = KINDS[kind]({"n": [1, 2, 3, 4, 5], "text": ["The app crashes, I want a refund."] * 5})
    errors = error_column(use(verb, frame, failing))
    assert errors == [
        None,
        "prompt: IndexError: string index out of range",
        "prompt: The callable returned int, not a string or a list of messages.",
        "prompt: The callable returned an empty list, not a string or a list of messages.",
        "prompt: The callable returned a list with int, not a string or a list of messages.",
    ]


@each_verb
@each_kind
def test_a_store_of_a_newer_version_is_refused(verb, kind, tmp_path):
    path = tmp_path / "ledger.answers.sqlite"
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    refused(verb, KINDS[kind](TEXTS), "of a newer llmkit", store=SqliteAnswers(path))


@pytest.mark.parametrize(
    ("option", "value", "match"),
    [
        ("limit", -1, "limit must be a whole number of at least 0, got -1"),
        ("max_cost", 0, "max_cost must be US dollars, more than 0, got 0"),
        ("mode", "later", "mode must be 'now' or 'flex' or 'batch', got 'later'"),
        ("attach", "file", "The frame has no column 'file'. Its columns: text"),
        ("max_costs", 1, "There is no option 'max_costs'. Did you mean 'max_cost'"),
        ("model", "gtp", "Unknown model or provider: 'gtp'. Did you mean gpt"),
        ("model", 7, "model must be a name or a client, got int"),
    ],
)
@each_verb
def test_an_impossible_option_is_refused(verb, option, value, match):
    refused(verb, pd.DataFrame(TEXTS), match, **{option: value})
