"""Questions about tables: filters, groups and orders are understood, or there is no answer."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from llmkit.content.describe import card
from llmkit.sandbox.answers.answers import write
from llmkit.sandbox.conversation import Ask, Turn

REVENUE = pd.DataFrame(
    [
        (region, month, value)
        for region, values in {
            "North": (120, 90, 150), "South": (80, 200, 60), "East": (70, 75, 300), "West": (110, 95, 40)
        }.items()
        for month, value in zip(("Jan", "Feb", "Mar"), values, strict=True)
    ],
    columns=["region", "month", "revenue"],
)  # fmt: skip
PEOPLE = pd.DataFrame(
    {"name": ["Ana", "Ben", "Caro"], "age": [34, 28, 45], "salary": [52_000, 48_000, 71_000]}
)
UNANSWERED = "no model was asked"


def said(question: str, system: str = "") -> str:
    """Return the answer to a question."""
    turns = (Turn("system", system),) if system else ()
    return write(Ask(model="sandbox", turns=(*turns, Turn("user", question))))


def in_all_forms(question: str, frame: pd.DataFrame) -> set[str]:
    """Return the answers about a table as a card, as text, as CSV and in the system prompt."""
    shown = card("mine", frame).text
    tables = (shown, frame.to_string(), frame.to_csv(index=False))
    return {*(said(f"{question}\n\n{table}") for table in tables), said(question, system=shown)}


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("What is the total revenue?", "is 1,390."),
        (
            "What is the total revenue in February?",
            "with month Feb, the sum of revenue is 460.",
        ),
        ("What is the mean revenue of the North?", "with region North, the mean of revenue is 120."),
        ("Total revenue of North and South", "the sum of revenue is 700."),
        ("What is the revenue of North in Mar?", "revenue 150."),
        ("What is the maximum revenue in Feb?", "South Feb has the largest revenue: 200."),
        ("How many rows in March?", "4 rows have month Mar."),
        ("How many rows have revenue over 100?", "5 of 12 rows"),
        ("How many regions are there?", "4 different values"),
        ("Which month was best?", "Mar has the largest sum of revenue: 550."),
        ("Which region sold the most?", "East has the largest sum of revenue: 445."),
        ("Which region sold the least?", "West has the smallest sum of revenue: 245."),
        ("Which region sold the most in March?", "East has the largest revenue: 300."),
        ("Which row has the highest revenue?", "East Mar has the largest revenue: 300."),
        ("Show the revenue per region as a table", "| **East** | 445 |"),
        ("What is the mean revenue of the North except March?", UNANSWERED),
        ("How much did revenue grow from Jan to Mar?", UNANSWERED),
        ("Is the difference between North and South large?", UNANSWERED),
        ("What is the total revenue last year?", UNANSWERED),
        ("What is the share of the North?", UNANSWERED),
        ("Did revenue grow?", UNANSWERED),
        ("Which region has the most rows?", "North, South, East and West have 3 rows each."),
        ("Which region has the fewest rows with revenue over 100?", "South, East and West have 1 row each."),
        ("Which months are above 300?", UNANSWERED),
        ("What is the revenue of the northern regions?", UNANSWERED),
    ],
)
def test_a_filter_is_understood_or_the_question_is_not_answered(question, part):
    assert all(part in answer for answer in in_all_forms(question, REVENUE))


@pytest.mark.parametrize(
    ("question", "part"),
    [
        ("Who earns the most?", "Caro has the largest salary: 71,000."),
        ("Who earns the least?", "Ben has the smallest salary: 48,000."),
        ("Who is the oldest?", "Caro has the largest age: 45."),
        ("How old is Ben?", "28"),
        ("What is the mean salary of Ana and Ben?", "the mean of salary is 50,000."),
        ("How many people are older than 30?", "2 of 3 rows"),
        ("Mean salary of people older than 30?", "the mean of salary is 61,500."),
        ("Who earns more than 50000?", "Ana and Caro"),
        ("Who is the oldest person earning under 60000?", "Ana has the largest age: 34."),
        ("Sort by salary", "Ben (48,000), Ana (52,000) and Caro (71,000)."),
        ("Sort by age descending", "Caro (45), Ana (34) and Ben (28)."),
        ("Sort by age, oldest first", "Caro (45), Ana (34) and Ben (28)."),
        ("Who has the highest salary among people under 40?", "Ana has the largest salary: 52,000."),
        ("How many people are there?", "3 rows"),
        ("What is the average?", "The mean of age is 35.67. The mean of salary is 57,000."),
        ("Who is the best?", UNANSWERED),
        ("What is the median age of women?", UNANSWERED),
        ("What is the salary of Dora?", UNANSWERED),
        ("What is the total salary without Ana?", UNANSWERED),
        ("Is Ana older than Ben?", "Yes: age 34 for Ana and 28 for Ben."),
        ("Is Ana younger than Ben?", "No: age 34 for Ana and 28 for Ben."),
        ("Who earns more, Ana or Ben?", "Ana: salary 52,000 for Ana and 48,000 for Ben."),
        ("How much older is Caro than Ben?", "The difference is 17: age 45 for Caro and 28 for Ben."),
        ("Is Ana older than Dora?", UNANSWERED),
        ("Who is 28?", "Ben (age 28)."),
        ("Who is 29?", UNANSWERED),
        ("Sort by salary, lowest first", "Ben (48,000), Ana (52,000) and Caro (71,000)."),
        ("List everyone under 40", "Ana and Ben (age under 40)."),
        ("Tell me about Ben", "Ben: age 28 and salary 48,000."),
    ],
)
def test_other_words_mean_a_column_or_the_question_is_not_answered(question, part):
    assert all(part in answer for answer in in_all_forms(question, PEOPLE))


@pytest.mark.parametrize("introduced", ["", "Here is my table:\n", "Table:\n"])
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("List all names", "Ana, Ben and Caro."),
        ("Tell me about Ben", "Ben: age 28 and salary 48,000."),
        (
            "Compare Ana and Ben",
            (
                "| Row | Age | Salary |\n| --- | ---: | ---: |\n"
                "| **Ana** | 34 | 52000 |\n| **Ben** | 28 | 48000 |"
            ),
        ),
        ("As a CSV file please", "```csv\nname,age,salary\nAna,34,52000\nBen,28,48000\nCaro,45,71000\n```"),
    ],
)
def test_values_rows_and_the_whole_table_are_given_however_it_is_introduced(introduced, question, answer):
    assert said(f"{introduced}{PEOPLE.to_csv(index=False)}\n{question}") == answer


def test_a_table_becomes_json():
    rows = json.loads(said(f"{PEOPLE.to_csv(index=False)}\nTurn it into JSON"))
    assert rows[0] == {"name": "Ana", "age": 34, "salary": 52_000}
