"""`kill -9` in the middle of a job: no finished row is asked again, and no answered request lacks its row."""

from __future__ import annotations

import random
import sqlite3
import sys
from collections import Counter
from contextlib import closing

import pytest

from llmkit import Ledger
from tests.support.forks import Forks
from tests.support.rows import RowServer
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no kill -9")

AT_ONCE = 64

PATIENCE = 250
"""Seconds for what takes one or two: a soak runs beside other work."""

SCRIPT = """
import pandas
import llmkit, llmkit.clients.registry  # what each process would import by itself
import aiohttp, genai_prices.data_snapshot, narwhals, pyarrow.pandas_compat
from llmkit import OpenAIClient
from llmkit.frames import map
from llmkit.frames.question import Question

genai_prices.data_snapshot.get_snapshot()
ask = Question.ask

async def labelled(self, client, messages, options):
    with llmkit.tags(row=messages[-1].content):
        return await ask(self, client, messages, options)

Question.ask = labelled  # so that a row of the ledger says which row of the table it is

def work(url, rows):
    client = OpenAIClient("k", url, model="gpt-4o-mini", max_retries=0)
    frame = pandas.DataFrame({"n": range(rows)})
    found = map(frame, "row {{n}}", model=client, max_concurrent=64, progress=False)
    assert found["llm"].tolist() == [f"ROW {n}" for n in range(rows)]
"""


def booked(ledger):
    """Return the rows of the ledger by status, and the rows of the table that they belong to."""
    with closing(Ledger(ledger)) as opened:
        calls = opened.df
    assert calls["uid"].is_unique
    return Counter(calls["status"]), {tags["row"] for tags in calls["tags"]}


def kill_one(forks, server, folder, *, rows, seed):
    """Kill a job at a random moment, and run it to its end; return how many calls were lost."""
    ledger = folder / f"{seed}.sqlite"
    environment = {"LLMKIT_LEDGER": str(ledger)}
    server.wait_for(random.Random(seed).randrange(1, rows))
    process = forks.start(server.url, rows, environment=environment)
    assert server.enough.wait(PATIENCE)
    answered = set(server.answered)
    forks.kill(process)
    with closing(sqlite3.connect(ledger.with_suffix(".answers.sqlite"))) as store:
        finished = {text.lower() for (text,) in store.execute("SELECT text FROM answers")}
    assert answered - booked(ledger)[1] == set()
    until(server.is_idle)
    before = len(server.asked)
    assert before - len(finished) <= AT_ONCE  # only what was under way is paid twice
    forks.start(server.url, rows, environment=environment)
    assert forks.wait() == 0
    assert sorted(server.asked[before:]) == sorted({f"row {n}" for n in range(rows)} - finished)
    statuses, _ = booked(ledger)
    assert statuses["ok"] >= rows
    assert statuses.total() <= rows + AT_ONCE
    assert set(statuses) <= {"ok", "lost"}
    return statuses["lost"]


@pytest.mark.parametrize(
    ("kills", "rows"),
    [(20, 200), pytest.param(200, 2000, marks=[pytest.mark.soak, pytest.mark.timeout(7200)])],
)
@pytest.mark.full
def test_a_killed_job_loses_no_finished_row_and_no_answered_request(kills, rows, tmp_path):
    lost = 0
    with RowServer(delay=0.015) as server, Forks(SCRIPT) as forks:
        for seed in range(kills):
            lost += kill_one(forks, server, tmp_path, rows=rows, seed=seed)
    assert lost > 0
    print(f"{lost:,} calls of {kills} killed jobs were under way")  # noqa: T201 - for the one who soaks
