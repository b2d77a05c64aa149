"""The error that happened last, as `%llm fix` sends it."""

from __future__ import annotations

import pytest

from llmkit.notebook.commands.last_error import (
    EXPLAIN,
    MAX_SOURCE,
    MAX_TRACEBACK,
    describe_error,
    is_about_last_error,
)

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz"


def raised(error):
    try:
        raise error
    except type(error) as caught:
        return caught


def test_the_prompt_holds_the_cell_and_the_end_of_the_traceback():
    found = describe_error("x = 1 / 0", raised(ZeroDivisionError("division by zero")), 3)
    prompt = found.prompt(EXPLAIN)
    assert "```python\nx = 1 / 0\n```" in prompt
    assert "ZeroDivisionError: division by zero\n```" in prompt
    assert found.announcement == "Sent along: In[3] and its traceback."


@pytest.mark.parametrize("room", ["", "y" * 5_985, "y\n" * 150_000])
def test_keys_are_left_out_wherever_the_cut_is(room):
    found = describe_error(f"k = '{KEY}'", raised(ValueError(f"{KEY} {room} bad key {KEY} {room}")))
    assert "abcdefgh" not in found.source + found.error
    assert found.redacted
    assert "was left out" in found.announcement


def test_what_is_long_is_cut_where_it_matters_least():
    found = describe_error(
        "first\n" + "x" * 50_000 + "\nlast", raised(ValueError("y" * 1_000_000 + " the end"))
    )
    assert found.source.startswith("first\n")
    assert found.source.endswith("\nlast")
    assert len(found.source) < MAX_SOURCE + 50
    assert len(found.error) <= MAX_TRACEBACK + 2
    assert found.error.endswith(" the end")


def test_a_deep_recursion_is_reported_in_few_lines():
    def deeper():
        deeper()

    with pytest.raises(RecursionError) as caught:
        deeper()
    assert len(describe_error("deeper()", caught.value).error.splitlines()) < 60


def test_an_error_without_a_readable_message_is_still_reported():
    class OddError(Exception):
        def __str__(self):
            raise LookupError

    assert "OddError" in describe_error("raise OddError()", raised(OddError())).error


@pytest.mark.parametrize(
    ("source", "about"),
    [("%llm fix", True), ("r = %llm explain", True), ("%llm fix this", False), ("1/0", False)],
)
def test_a_question_about_the_error_is_not_the_next_one(source, about):
    assert is_about_last_error(source) is about
