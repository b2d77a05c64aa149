"""The plan of a job, what is stored of jobs, and the line that shows while one runs."""

from __future__ import annotations

import logging
import math
import re
import subprocess
import sys
from datetime import timedelta

import pandas as pd
import pytest

import llmkit
from llmkit import InvalidRequestError
from llmkit.frames import Plan, answer, forget, jobs
from llmkit.frames import map as ask
from llmkit.frames.answers.protocol import Answer
from llmkit.frames.progress import Line, Progress, set_display
from llmkit.frames.stopped import JobInterrupted, JobStopped
from llmkit.notebook.display.plan_view import plan_html
from tests.support.rows import said

FRAME = pd.DataFrame({"n": [f"row {n}" for n in range(100)]})


def plan(rows, **options):
    return ask(FRAME, "Say {{n}}", model=rows.client(), dry_run=True, **options)


def test_a_plan_sends_nothing_and_says_what_it_would_cost(rows):
    found = plan(rows)
    assert rows.asked == []
    assert (found.rows, found.requests, found.already_paid, found.guessed) == (100, 100, 0, True)
    assert found.costs.index.tolist() == ["now", "flex", "batch"]
    now = found.costs.loc["now"]
    assert 0 < now["low_usd"] < now["expected_usd"] < now["high_usd"] < now["at_most_usd"]
    half = found.costs.loc["batch", ["expected_usd", "at_most_usd"]]
    assert half.tolist() == pytest.approx([now["expected_usd"] / 2, now["at_most_usd"] / 2])
    assert "a guess" in repr(found)
    assert "user: Say row 0" in repr(found)
    assert "at most 4,096 tokens an answer" in repr(found)


def test_after_some_rows_it_knows_more(rows):
    rows.answer = lambda prompt: (
        said(prompt)
        | {"usage": {"prompt_tokens": 30, "completion_tokens": 10 + len(prompt), "total_tokens": 0}}
    )
    ask(FRAME, "Say {{n}}", model=rows.client(), limit=20, progress=False)
    found = plan(rows)
    assert (found.requests, found.already_paid, found.guessed) == (80, 20, False)
    assert found.input_tokens == 80 * 30
    assert found.output_tokens == pytest.approx(80 * 20, rel=0.03)
    now = found.costs.loc["now"]
    paid = (80 * 30 * 150 + 80 * 20 * 600) / 1e9
    assert now["low_usd"] <= paid <= now["high_usd"]
    assert now["expected_usd"] == pytest.approx(paid, rel=0.05)


def test_what_is_paid_already_costs_nothing(rows):
    ask(FRAME, "Say {{n}}", model=rows.client(), progress=False)
    found = plan(rows)
    assert (found.requests, found.already_paid) == (0, 100)
    assert found.costs["at_most_usd"].tolist() == [0, 0, 0]


def test_a_model_without_a_price_has_a_plan_without_one(rows):
    found = ask(FRAME, "{{n}}", model=rows.client(model="unheard-of"), dry_run=True)
    assert math.isnan(found.costs.loc["now", "expected_usd"])
    assert "now: the price is unknown" in repr(found)


@pytest.mark.parametrize(
    "job",
    [
        lambda llm, **options: llm.extract("n", {"properties": {"a": {"type": "string"}}}, **options),
        lambda llm, **options: llm.classify("n", ["a", "b"], **options),
        lambda llm, **options: llm.filter("n", "is nice", **options),
        lambda llm, **options: llm.score("n", "How nice?", ["not", "very"], **options),
    ],
)
def test_every_verb_has_a_plan(job, rows):
    found = job(FRAME.llm, model=rows.client(), dry_run=True)
    assert (type(found), found.requests, rows.asked) == (Plan, 100, [])


async def test_a_plan_on_a_running_loop(rows):
    found = await llmkit.frames.amap(FRAME, "{{n}}", model=rows.client(), dry_run=True)
    assert found.requests == 100


def test_jobs_are_listed_and_answers_can_be_read_and_forgotten(rows):
    rows.answer = lambda prompt: said("I was cu", "length") if prompt == "row 1" else prompt
    found = ask(FRAME[:3], "{{n}}", model=rows.client(), job="three", meta=True, progress=False)
    listed = jobs().to_dict("records")
    assert [(one["job"], one["state"], one["rows"], one["failed"]) for one in listed] == [
        ("three", "done", 3, 1)
    ]
    assert listed[0]["usd"] == pytest.approx(found["llm_cost"].sum())
    assert isinstance(answer(found, 1), Answer)
    assert (answer(found, 1).text, answer(found, -1).text) == ("I was cu", "row 2")
    assert forget(older_than=timedelta(hours=1)) == 0
    assert forget() == 3
    with pytest.raises(InvalidRequestError, match="Nothing is stored of row 1"):
        answer(found, 1)
    with pytest.raises(InvalidRequestError, match="no row 3"):
        answer(found, 3)
    with pytest.raises(InvalidRequestError, match="meta=True"):
        answer(FRAME, 0)


def test_the_ledger_adds_up_by_job(rows, tmp_path):
    from llmkit import Ledger, records

    books = Ledger(tmp_path / "books.sqlite")
    before = records.set_recorder(lambda: books)
    try:
        ask(FRAME[:3], "{{n}}", model=rows.client(), job="three", progress=False)
        ask(FRAME[:5], "{{n}}", model=rows.client(), out="five", progress=False)
    finally:
        records.set_recorder(before)
    found = books.summary(by="job")
    assert found.index.name == "job"
    assert found["calls"].to_dict() == {"three": 3, "map five": 2}
    assert books.summary(by=["job", "model"]).index.names == ["job", "model"]
    books.close()


def test_the_line_says_how_far_a_job_is():
    progress = Progress(rows=10_000, requests=9_000, done=3_412, failed=12, asked=3_000, in_flight=lambda: 61)
    progress.nanos = 410_000_000
    progress.started -= 125
    assert progress.line() == "3,412/10,000 · 12 failed · $0.41 of ≈$1.23 · 4:10 left · 61 at once"


def test_the_line_says_when_a_job_that_is_rate_limited_goes_on():
    progress = Progress(rows=2, requests=2, pause=lambda: 11.2)
    assert progress.line() == "0/2 · rate limited: goes on in 12 s; an interrupt loses no answer"
    progress.ended = True
    assert progress.line() == "0/2"
    assert Progress(rows=2, requests=2, pause=lambda: 0.0).line() == "0/2"


def test_a_table_shows_the_pause_of_its_server_and_logs_no_line_for_each_row(caplog):
    shown = []

    class Display:
        def show(self, progress):
            shown.append(progress.line())
            if "rate limited" in shown[-1]:
                raise KeyboardInterrupt

        def end(self, progress):
            pass

    before = set_display(Display)
    try:
        with pytest.raises(JobInterrupted):
            ask(FRAME[:2], "{{n}}", model="sandbox!429;retry-after=30")
    finally:
        set_display(before)
    assert re.fullmatch(r"0/2 · rate limited: goes on in (29|30) s; an interrupt loses no answer", shown[-1])
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_another_display_can_be_set(rows):
    shown = []

    class Display:
        def show(self, progress):
            shown.append(progress.line())

        def end(self, progress):
            shown.append(f"end {progress.line()}")

    before = set_display(Display)
    try:
        ask(FRAME[:4], "{{n}}", model=rows.client())
    finally:
        set_display(before)
    assert shown[-1].startswith("end 4/4 · $")
    assert Line(Progress(rows=1), shown=False).end() is None


CONSOLE = """
import pandas as pd, llmkit.frames
frame = pd.DataFrame({"n": range(3)})
llmkit.frames.map(frame, "echo: {{n}}", model="sandbox")
llmkit.frames.map(frame, "echo: {{n}}", model="sandbox", progress=False)
"""


def test_a_script_writes_the_last_line_alone():
    done = subprocess.run([sys.executable, "-c", CONSOLE], capture_output=True, text=True, check=True)
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("3/3 · $")


def test_a_short_time_is_not_said_to_be_about_one(rows):
    found = repr(plan(rows))
    assert "under 1 min" in found
    assert "about under" not in found


def test_the_plan_in_a_notebook_counts_the_rows_without_text(rows):
    frame = pd.DataFrame({"n": ["one", "", "three"]})
    found = ask(frame, "{{n}}", model=rows.client(), dry_run=True)
    assert "3 rows (1 without text)" in plan_html(found)
    assert "without text" not in plan_html(plan(rows))


def test_the_line_says_where_max_cost_does_not_apply(capsys):
    ask(FRAME[:2], "{{n}}", model="sandbox", max_cost=1e-9)
    assert "2/2" in (shown := capsys.readouterr().err)
    assert shown.count(" simulated · max_cost does not apply") == 1
    ask(FRAME[2:4], "{{n}}", model="sandbox")
    assert "max_cost" not in capsys.readouterr().err


def test_a_batch_in_the_sandbox_keeps_to_max_cost():
    with pytest.raises(JobStopped, match="max_cost of"):
        ask(FRAME[:2], "{{n}}", model="haiku", max_cost=1e-9, mode="batch", progress=False)


def test_a_column_in_single_braces_is_suggested_in_double_ones():
    frame = pd.DataFrame({"id": [1], "answer": ["Paris"]})
    for prompt in ("{answer}", "Check {answer}", "Is this a capital: { answer }?"):
        with pytest.raises(InvalidRequestError, match=r"such as \{\{answer\}\}"):
            ask(frame, prompt, model="sandbox")
