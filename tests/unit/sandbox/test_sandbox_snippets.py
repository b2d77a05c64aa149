"""Each piece of code that the sandbox gives runs."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

from llmkit.sandbox.answers.code.snippets import found_for, snippets, wants_code
from llmkit.sandbox.answers.code.sql import sql_for

TABLES = """
CREATE TABLE customers (id INTEGER, name TEXT);
CREATE TABLE orders (customer INTEGER, amount REAL);
INSERT INTO customers VALUES (1, 'Ann'), (2, 'Bob');
INSERT INTO orders VALUES (1, 10), (1, 20), (1, 30), (1, 250), (2, 5);
"""


def test_there_are_dozens_of_snippets_and_none_has_the_title_of_another():
    titles = [one.title for one in (*snippets(), *snippets("queries.md"))]
    assert len(set(titles)) == len(titles) > 70


def test_all_python_runs_and_prints_something(tmp_path):
    mpl.use("Agg")
    parts = [f"# {one.title}\n{one.code}\nprint('---')" for one in snippets()]
    # One process for all: each is a program of its own, so names may be defined again.
    script = tmp_path / "all.py"
    body = "\n".join(
        f"exec(compile({part!r}, {title!r}, 'exec'), {{'__name__': 'snippet'}})"
        for part, title in zip(parts, (one.title for one in snippets()), strict=True)
    )
    register = "import sys, types\nsys.modules['snippet'] = types.ModuleType('snippet')\n"
    script.write_text(f"import matplotlib\nmatplotlib.use('Agg')\n{register}{body}\n", encoding="utf-8")
    env_path = str(Path(__file__).parents[3])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {env_path!r}); exec(open('all.py').read())"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = done.stdout.split("---\n")[:-1]
    assert len(outputs) == len(snippets())
    assert all(text.strip() for text in outputs)


@pytest.mark.parametrize("query", snippets("queries.md"), ids=lambda one: one.title)
def test_each_query_runs_in_sqlite(query):
    database = sqlite3.connect(":memory:")
    try:
        database.executescript(TABLES)
        database.executescript(query.code)
    finally:
        database.close()


@pytest.mark.parametrize(
    ("wish", "title"),
    [
        ("write a function for primes", "Prime numbers"),
        ("write a function that tells whether a number is prime", "Checking for a prime"),
        ("how do i merge two dictionaries", "Merging dictionaries"),
        ("write code to merge two dataframes", "Joining two tables"),
        ("python code for the mean by group", "The mean of groups"),
        ("write a retry with backoff in python", "Retrying with backoff"),
        ("give me an example of a dataclass in code", "A dataclass"),
        ("plot a histogram in python", "A histogram"),
    ],
)
def test_a_wish_finds_its_snippet(wish, title):
    assert wants_code(wish)
    assert found_for(wish).title == title


SHOP = """
CREATE TABLE customers (id INTEGER, email TEXT, revenue REAL, age INTEGER);
CREATE TABLE orders (id INTEGER, customer INTEGER, customer_id INTEGER, amount REAL);
CREATE TABLE my_table (department TEXT, salary REAL, email TEXT);
INSERT INTO customers VALUES (1, 'a@x', 10, 30), (2, 'b@x', 90, 50), (3, 'a@x', 40, 20);
INSERT INTO orders VALUES (1, 1, 1, 10), (2, 1, 1, 20), (3, 2, 2, 200);
INSERT INTO my_table VALUES ('A', 40, 'a'), ('A', 60, 'a'), ('B', 90, 'b');
"""


@pytest.mark.parametrize(
    ("question", "rows"),
    [
        ("write sql to count orders per customer", [(1, 2), (2, 1)]),
        ("sql query: customers with more than 1 orders", [(1, 2)]),
        ("write a sql query for the top 2 customers by revenue", [(2, "b@x", 90, 50), (3, "a@x", 40, 20)]),
        ("sql to find duplicate emails in customers", [("a@x", 2)]),
        ("write sql: average salary per department above 60", [("B", 90)]),
        ("sql: the average salary by department", [("B", 90), ("A", 50)]),
        ("sql join of orders and customers", 3),
        ("give me sql for customers older than 40", [(2, "b@x", 90, 50)]),
        ("sql to select all orders with amount above 100", [(3, 2, 2, 200)]),
    ],
)
def test_a_query_has_the_names_and_limits_of_the_question(question, rows):
    database = sqlite3.connect(":memory:")
    try:
        database.executescript(SHOP)
        written = sql_for(question)
        assert written is not None
        found = database.execute(written.code).fetchall()
    finally:
        database.close()
    assert (len(found) if isinstance(rows, int) else found) == rows


def test_a_question_without_names_has_no_query_of_its_own():
    assert sql_for("write sql") is None
