"""A variable in words, as `-v` sends it."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.content.describe import CARD, card

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz"


def double(x):
    """Return twice the number."""
    return 2 * x


class Point:
    """A place."""

    x: int = 0


def size(text):
    return len(text.encode())


def test_a_small_frame_is_its_types_and_all_its_rows():
    frame = pd.DataFrame({"city": ["Rome", None] * 5, "n": range(10)})
    lines = card("df", frame).text.splitlines()
    assert lines[0] == "df: pandas DataFrame with 10 rows and 2 columns"
    assert lines[2].startswith("  city: ")
    assert lines[2].endswith(", 5 missing")
    assert lines[3] == "  n: int64"
    assert lines[4:7] == ["All 10 rows:", ",city,n", "0,Rome,0"]
    assert lines[-1] == "9,,9"


def test_a_large_frame_is_what_its_columns_hold_and_five_rows():
    count = 1_000
    frame = pd.DataFrame(
        {
            "city": ["Rome", "Rome", "Oslo", None] * (count // 4),
            "price": [float(number) for number in range(count)],
            "when": pd.date_range("2026-01-01", periods=count, freq="D"),
            "ok": [True, False] * (count // 2),
            "odd": [["a"], {"b": 1}] * (count // 2),
        }
    )
    lines = card("df", frame).text.splitlines()
    assert lines[2].endswith(", 250 missing, 2 unique, top: Rome (500), Oslo (250)")
    assert lines[3] == "  price: float64, min 0, median 499.5, max 999"
    assert "min 2026-01-01" in lines[4]
    assert "max 2028-09-26" in lines[4]
    assert lines[5] == "  ok: bool, 2 unique, top: True (500), False (500)"
    assert lines[6].startswith("  odd: object")
    assert lines[7] == "First 5 rows:"
    assert len(lines) == 7 + 1 + 1 + 5


def test_a_wide_frame_keeps_its_first_rows_and_says_less_of_its_columns():
    frame = pd.DataFrame({f"column {i}": [f"value {n} of many" for n in range(200)] for i in range(12)})
    text = card("df", frame).text
    assert "First 5 rows:" in text
    assert "column 11" in text
    assert "cut here" not in text


def test_different_values_of_a_very_long_table_are_counted_at_its_beginning():
    frame = pd.DataFrame({"word": ["a", "b"] * 150_000})
    assert "2 unique in the first 200,000 rows" in card("df", frame).text


def test_frequent_values_that_look_like_keys_are_left_out():
    made = card("df", pd.DataFrame({"k": [KEY] * 500, "text": ["x" * 300] * 500}))
    assert KEY[:12] not in made.text
    assert "[redacted]" in made.text


def test_a_series_an_array_and_an_empty_frame_have_cards():
    assert "pandas Series with 3 rows, float64, 1 missing" in card("s", pd.Series([1, None, 3.0])).text
    assert (
        card("a", np.arange(6).reshape(2, 3)).text
        == "a: numpy array of shape (2, 3), int64\n[0, 1, 2, 3, 4, 5]"
    )
    assert card("e", pd.DataFrame()).text.splitlines()[0] == "e: pandas DataFrame with 0 rows and 0 columns"


@pytest.mark.parametrize(
    "value",
    [
        pd.DataFrame({f"column {i}": ["x" * 500] * 9 for i in range(300)}),
        pd.DataFrame([["é" * 10_000]]),
        pd.Series(["x" * 9_000] * 9),
        dict.fromkeys(range(10000), "x" * 100),
        [[["deep"] * 50] * 50] * 50,
        "text " * 100_000,
        np.zeros((1000, 1000)),
        math,
        object(),
    ],
)
def test_no_card_of_data_is_above_two_kilobytes(value):
    assert size(card("v", value).text) <= CARD


def test_a_function_and_a_class_are_their_source():
    assert card("double", double).text == (
        'double: function, its source:\ndef double(x):\n    """Return twice the number."""\n    return 2 * x'
    )
    assert "x: int = 0" in card("Point", Point).text


def test_a_function_without_source_is_its_signature_and_its_words():
    space = {}
    exec(compile("def made(a, b=1):\n    'Words.'", "<nowhere>", "exec"), space)
    assert card("made", space["made"]).text == "made: function made(a, b=1)\nWords."


def test_a_module_is_its_name_and_the_first_words_of_its_doc():
    assert card("json", json).text.startswith("json: module json\nJSON (JavaScript Object Notation)")


@pytest.mark.parametrize(
    "value",
    [
        {"token": KEY},
        [KEY],
        KEY,
        "x " * 800 + KEY,
        ["x " * 40 + KEY + " x" * 90],
        pd.DataFrame({"k": ["x" * 20 + "-" + KEY]}),
    ],
)
def test_what_looks_like_a_key_is_left_out_and_reported(value):
    made = card("secrets", value)
    assert KEY[:12] not in made.text
    assert "[redacted]" in made.text
    assert made.notes == ("Parts of secrets look like a key and were left out.",)


def test_columns_may_share_a_name_and_be_of_any_type():
    frame = pd.DataFrame([[1, 2, 3]], columns=["a", "a", ("b", 1)])
    assert "1 rows and 3 columns" in card("f", frame).text


@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_any_value_has_a_card(value):
    made = card("v", value)
    assert made.text.startswith("v: ")
    assert size(made.text) <= CARD
