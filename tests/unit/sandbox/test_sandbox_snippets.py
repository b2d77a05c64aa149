"""Each piece of code that the sandbox gives runs."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest

from llmkit.sandbox.answers.code.snippets import found_for, snippets, wants_code

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
