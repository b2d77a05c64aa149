"""What can be typed next after `%%llm` and `%llm`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.notebook.syntax.completion import Choice, Known, complete

KNOWN = Known(
    models=lambda: [Choice("sonnet", "$3→$15 /M"), Choice("openai:gpt-x"), Choice("sandbox")],
    threads=["review", "plan"],
    variables={"df": 1, "data": "x", "_hidden": 2},
    aliases=lambda: {"fast": "openai:gpt-x"},
    providers=lambda: ["openai", "own"],
    tags={"project": "thesis"},
)


def texts(typed):
    found = complete(typed, KNOWN)
    return None if found is None else [choice.text for choice in found.choices]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("%%llm s", ["sonnet", "sandbox"]),
        ("%%llm -o x s", ["sonnet", "sandbox"]),
        ("%%llm sonnet s", []),
        ("%%llm -m o", ["openai:gpt-x"]),
        ("%%llm -m sonnet,sa", ["sonnet,sandbox"]),
        ("%%llm -mso", ["sonnet"]),
        ("%%llm --model=so", ["sonnet"]),
        ("%%llm --m", ["--max-tokens", "--model"]),
        ("%%llm -t r", ["review"]),
        ("%llm -tr", ["review"]),
        ("%%llm -v d", ["data", "df"]),
        ("%%llm -v _", ["_hidden"]),
        ("%%llm -nqv d", ["data", "df"]),
        ("%%llm -s @d", ["@data", "@df"]),
        ("%%llm -s d", []),
        ("%%llm -f ", ["md", "text", "json", "df", "code"]),
        ("%%llm -T ", []),
        ("%llm mo", ["model", "models"]),
        ("x = %llm mo", ["model", "models"]),
        ("%llm model s", ["sonnet", "sandbox"]),
        ("%llm thread delete ", ["review", "plan"]),
        ("%llm alias remove ", ["fast"]),
        ("%llm alias quick=so", ["quick=sonnet"]),
        ("%llm key o", ["openai", "own"]),
        ("%llm help --ma", ["--max-tokens"]),
        ("%llm export thread ", ["review", "plan"]),
        ("%%llm --tag p", ["project=thesis"]),
        ("%llm tags ", ["off", "project=thesis"]),
        ("%llm tags step=2 pro", ["project=thesis"]),
        ("%llm why is d", []),
        ("%llm why is {{d", ["data", "df"]),
        ("y = 1\n%llm mo", ["model", "models"]),
        ("%%llm\nprint(d", []),
        ("%%llm\nthe columns {{d", ["data", "df"]),
    ],
)
def test_our_words_complete_and_no_others(typed, expected):
    assert texts(typed) == expected


@pytest.mark.parametrize("typed", ["print(d", "%llm", "%%llm", "%lls x", "s = 'a'\nd", "%%time\n%x"])
def test_other_lines_are_left_to_ipython(typed):
    assert texts(typed) is None


def test_files_and_variables_complete_an_attachment(tmp_path):
    (tmp_path / "dogs.png").touch()
    (tmp_path / "down").mkdir()
    assert texts("%%llm -a d") == ["data", "df", "dogs.png", "down/"]


def test_models_come_with_their_prices():
    assert complete("%%llm so", KNOWN).choices == [Choice("sonnet", "$3→$15 /M")]


def test_only_what_stands_before_the_cursor_is_replaced():
    assert complete("%%llm --model=so", KNOWN).fragment == "so"
    assert complete("%%llm\n{{ da", KNOWN).fragment == "da"


@given(
    st.sampled_from(["%%llm", "%llm", "x = %llm", "%%llm\n"]),
    st.text(alphabet="-mtva=, @{.\"'x\n\t", max_size=30),
)
def test_whatever_is_typed_its_end_is_what_is_replaced(start, rest):
    typed = f"{start} {rest}"
    found = complete(typed, KNOWN)
    assert found is None or typed.endswith(found.fragment)
