"""`%llm jobs` lists the jobs over tables."""

from __future__ import annotations

import pytest

from llmkit.frames.answers import location
from tests.support.shells import opened


@pytest.fixture
def shell(monkeypatch):
    monkeypatch.setattr(location, "_open", {})
    with opened() as shell:
        yield shell


def test_jobs_are_listed_with_their_rows_and_model(shell):
    shell.do(
        "import pandas\n"
        "frame = pandas.DataFrame({'a': ['x', 'y']})\n"
        "frame.llm.map('say {{a}}', model='sandbox', progress=False, job='saying')"
    )
    (job,) = shell.do("%llm jobs").value.to_dict("records")
    assert (job["job"], job["verb"], job["rows"], job["done"], job["state"]) == (
        "saying",
        "map",
        2,
        2,
        "done",
    )


def test_without_jobs_a_line_says_what_makes_one(shell):
    ran = shell.do("%llm jobs")
    assert ran.value is None
    assert "No jobs so far: df.llm.map(" in ran.text
