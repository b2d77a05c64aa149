"""The sandbox answers from a few facts, from the numbers of a table, and from the names of a cell."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from llmkit.content.describe import card
from llmkit.notebook.commands.last_error import EXPLAIN, FIX, describe_error
from llmkit.sandbox.answers.answers import write
from llmkit.sandbox.conversation import Ask, Turn

CITIES = pd.DataFrame({"city": ["Rome", "Oslo", "Lima"], "people": [2.8, 0.7, 10.1]})


def said(text: str, model: str = "sandbox") -> str:
    return write(Ask(model=model, turns=(Turn("user", text),)))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Name three rivers.", "Nile, Amazon and Yangtze."),
        ("Name a river in Europe.", "Volga."),
        ("Give me a list of 2 rivers.", "Nile and Amazon."),
        ("Name a city in Kenya.", "Nairobi."),
        ("name two colours", "Red and green."),
        ("What is the capital of Norway?", "The capital of Norway is Oslo."),
        ("what is 41 plus 1?", "41 plus 1 = 42"),
    ],
)
def test_a_few_facts_are_known(question, answer):
    assert said(question) == answer


def test_what_is_known_in_full_is_counted():
    assert said("Count the planets, in one sentence.").startswith("There are 8 planets: Mercury, Venus")


def test_what_is_not_known_is_not_made_up():
    answer = said("Name three rivers of Iceland")
    assert "sandbox cannot answer that, and no model was asked" in answer
    assert "Iceland" not in answer


def test_each_model_has_a_voice_of_its_own():
    assert len({said("Name three rivers.", model) for model in ("sandbox", "one", "two", "three")}) == 4
    assert len({said("Is it late?", model) for model in ("sandbox", "one", "two", "three")}) == 4


def test_a_table_is_about_what_was_asked_for():
    answer = said("Answer as CSV.\n\nList the planets and their masses in kg")
    assert "\nEarth,5.97e24\n" in answer
    assert answer.count("\n") == 10


def test_a_request_for_a_table_gets_one():
    assert said("Compare the planets in a table.").splitlines()[:3] == [
        "| Planet | Mass | Diameter |",
        "| --- | ---: | ---: |",
        "| **Mercury** | 3.30e23 kg | 4,879 km |",
    ]
    assert said("Show two fruits as a table.") == "| Fruit |\n| --- |\n| **apple** |\n| **pear** |"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Which city is the largest?", "Lima has the largest people: 10.1."),
        ("Where do the fewest live?", "Oslo has the smallest people: 0.7."),
        ("How many people in total?", "The sum of people is 13.6."),
        ("What is the mean of people?", "The mean of people is 4.533."),
        ("What stands out?", "People goes from 0.7 (Oslo) to 10.1 (Lima), with a mean of 4.533."),
    ],
)
def test_a_question_about_a_table_is_answered_from_its_numbers(question, answer):
    assert said(f"{card('df', CITIES).text}\n\n{question}") == answer
    assert said(f"{question}\n\n{CITIES}") == answer


def test_of_a_long_table_only_the_rows_that_came_are_spoken_of():
    long = pd.concat([CITIES] * 200, ignore_index=True)
    assert said(f"{card('df', long).text}\n\nWhat is the mean?").startswith("In the 5 rows that came along, ")


def test_a_table_without_numbers_is_no_table():
    assert "cannot answer" in said(f"{pd.DataFrame({'a': ['x', None]})}")


def _problem(source: str) -> str:
    try:
        exec(compile(source, "<cell>", "exec"), {"df": {"city": 1, "people": 2}})
    except Exception as error:  # noqa: BLE001 - whatever the cell raises is asked about
        return describe_error(source, error).prompt(FIX)
    raise AssertionError


@pytest.mark.parametrize(
    ("broken", "fixed"),
    [
        ("numbers = [1]\nprint(sum(nubmers))", "numbers = [1]\nprint(sum(numbers))"),
        ("prin(1)", "print(1)"),
        ("'a b'.splitt()", "'a b'.split()"),
        ("words = []\nwords.apend('b')", "words = []\nwords.append('b')"),
        ("row = {'river': 1}\nrow['rivre']", "row = {'river': 1}\nrow['river']"),
    ],
)
def test_a_misspelt_name_is_corrected_to_the_nearest_one(broken, fixed):
    answer = said(_problem(broken))
    assert re.search(r"```python\n(.*?)\n```", answer, re.DOTALL)[1] == fixed
    assert "the nearest one is" in answer


def test_another_error_is_named_and_the_cell_stays():
    answer = said(_problem("int('x')"))
    assert "`ValueError: invalid literal for int() with base 10: 'x'`" in answer
    assert "```python\nint('x')\n```" in answer


@pytest.mark.parametrize(
    ("cell", "fixed"),
    [
        ("1 / 0", 'try:\n    1 / 0\nexcept ZeroDivisionError:\n    print("The divisor is zero.")'),
        ("n = 0\nprint(5 / n)", 'n = 0\nprint((5 / n if n else float("nan")))'),
        ('n = 3\nprint("n = " + n)', 'n = 3\nprint("n = " + str(n))'),
    ],
)
def test_operands_that_do_not_fit_are_corrected_so_that_the_cell_runs(cell, fixed):
    assert f"```python\n{fixed}\n```" in said(_problem(cell))
    exec(fixed, {})


def test_an_error_is_explained_without_code():
    answer = said(describe_error("prin(1)", NameError("name 'prin' is not defined")).prompt(EXPLAIN))
    assert answer == "The name `prin` does not exist; the nearest one is `print`."


@pytest.mark.parametrize(
    "what", ["adds two numbers", "reverses a text", "finds palindromes", "takes the mean"]
)
def test_code_fits_the_request(what):
    assert "counts words" not in said(f"Write a function that {what}")
    assert "has no code" not in said(f"Write a function that {what}")


def test_a_function_that_is_not_known_is_not_passed_off_as_the_one_asked_for():
    assert "```" not in said("Write a function that parses TOML")
