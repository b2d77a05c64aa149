"""Dask frames over two worker processes: the columns of pandas, equal rows once, kills, one wall."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest

from tests.support.processes import unmeasured
from tests.support.rows import RowServer, failure

pytestmark = pytest.mark.full

BEGINNING = """
import json, os, sys
import dask.dataframe as dd, pandas as pd
from distributed import Client, LocalCluster
import llmkit.frames as frames

def say(thing):
    print(json.dumps(thing), flush=True)

def main():
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "host": "127.0.0.1"}
    with LocalCluster(**options, dashboard_address="127.0.0.1:0") as cluster, Client(cluster) as client:
        work(client)
"""
END = """
if __name__ == "__main__":
    main()
"""
VERBS = """
def work(client):
    # Each partition has the same rows.
    one = pd.DataFrame({"text": ["late", "angry", None, "fine"], "n": [1, 2, 3, 4]})
    frame = pd.concat([one] * 4, ignore_index=True)
    lazy = dd.from_pandas(frame, npartitions=4)
    schema = {"properties": {"when": {"type": "string", "format": "date-time"}, "k": {"type": "integer"}}}
    asked = {
        "map": (), "classify": (["a", "b"],), "filter": ("is late",), "score": ("How angry?", ["a", "b"]),
        "decide": ({"q": frames.YesNo("Really?"), "t": frames.Choice(["a", "b"])},),
        "extract": (schema,),
    }
    for name, arguments in asked.items():
        verb = getattr(frames, name)
        found = verb(lazy, name + " {{text}}", *arguments, model="openai:gpt-4o-mini").compute()
        pandas = verb(frame, name + " {{text}}", *arguments, model="openai:gpt-4o-mini", progress=False)
        new = [column for column in pandas.columns if column not in frame.columns]
        assert list(found.columns) == list(pandas.columns), name
        for column in new:
            if column != "when":
                assert str(found[column].dtype) == str(pandas[column].dtype), (name, column)
            assert found[column].astype(object).where(found[column].notna(), None).tolist() == \\
                pandas[column].astype(object).where(pandas[column].notna(), None).tolist(), (name, column)
        assert found.filter(like="_error").isna().sum().sum() == found.filter(like="_error").size, found
        say(name)
    try:
        frames.map(lazy, "refuse: {{n}}", model="openai:gpt-4o-mini", on_error="raise").compute()
    except frames.JobStopped as stopped:
        say([type(stopped).__name__, stopped.reason, str(stopped), len(stopped.frame)])
"""
KILLED = """
def work(client):
    lazy = dd.from_pandas(pd.DataFrame({"text": [f"row {n}" for n in range(400)]}), npartitions=4)
    say([int(pid) for pid in client.run(os.getpid).values()])
    found = lazy.llm.map("text", model="openai:gpt-4o-mini").compute()
    say(found["llm"].tolist())
"""
WALL = """
def work(client):
    lazy = dd.from_pandas(pd.DataFrame({"text": [f"row {n}" for n in range(80)]}), npartitions=4)
    try:
        lazy.llm.map("text", model="openai:gpt-4o-mini", max_cost=0.0001, max_tokens=10).compute()
    except frames.JobStopped as stopped:
        say([stopped.reason, str(stopped)])
"""


@contextmanager
def workers(script, server, folder):
    environment = {
        **unmeasured(),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OPENAI_API_KEY": "k",
        "OPENAI_BASE_URL": server.url,
        "LLMKIT_LEDGER": str(folder / "ledger.sqlite"),
        "DASK_TEMPORARY_DIRECTORY": str(folder),
    }
    path = folder / "script.py"  # the worker processes import it
    path.write_text(BEGINNING + script + END)
    with subprocess.Popen(
        [sys.executable, str(path)], env=environment, stdout=subprocess.PIPE, text=True, cwd=folder
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(process):
    line = process.stdout.readline()
    assert line, f"the workers' client ended with {process.wait(60)}"
    return json.loads(line)


ANSWERS = {
    "map": "Yes.",
    "classify": {"label": "a"},
    "filter": {"keep": True},
    "score": {"score": "b"},
    "decide": {"q": True, "t": "b"},
    "extract": {"when": "2026-01-02T03:04:05Z", "k": 7},
}


def test_every_verb_gives_the_columns_of_pandas_and_equal_rows_are_asked_once(tmp_path):
    def said(prompt):
        verb, _, text = prompt.partition(" ")
        if verb == "refuse:":
            return failure(401, "no such key")
        if (verb, text) == ("filter", "fine"):
            return json.dumps({"keep": False})
        return json.dumps(ANSWERS[verb])

    with RowServer(said, delay=0.05) as server, workers(VERBS, server, tmp_path) as process:
        for verb in ANSWERS:
            assert heard(process) == verb
        kind, reason, message, rows = heard(process)
        assert (kind, reason, rows) == ("JobStopped", "AuthenticationError", 4)
        assert "no such key" in message
        assert process.wait(60) == 0
        # pandas finds the answers of the workers, and each worker those of the other.
        asked = [one for one in server.asked if not one.startswith("refuse")]
        assert sorted(asked) == sorted(
            f"{verb} {text}" for verb in ANSWERS for text in ("late", "angry", "fine")
        )


def test_a_killed_worker_loses_no_finished_row_and_the_job_run_again_asks_for_none(tmp_path):
    with RowServer(delay=0.02) as server:
        server.wanted = 60
        with workers(KILLED, server, tmp_path) as process:
            first, _ = heard(process)
            assert server.enough.wait(100)
            os.kill(first, signal.SIGKILL)
            with closing(sqlite3.connect(tmp_path / "ledger.answers.sqlite")) as store:
                finished = {text.lower() for (text,) in store.execute("SELECT text FROM answers")}
            later = len(server.asked)
            # Dask itself gives the partition to the other worker.
            assert heard(process) == [f"ROW {n}" for n in range(400)]
            assert process.wait(60) == 0
        assert finished
        assert not finished.intersection(server.asked[later:])
        assert len(server.asked) - 400 <= 64  # what was in flight is paid twice, and no more
        asked = len(server.asked)
        with workers(KILLED, server, tmp_path) as process:
            heard(process)
            assert heard(process) == [f"ROW {n}" for n in range(400)]
        assert len(server.asked) == asked


def test_one_max_cost_holds_for_all_workers_together(tmp_path):
    with RowServer(delay=0.01) as server, workers(WALL, server, tmp_path) as process:
        reason, message = heard(process)
        assert process.wait(60) == 0
    assert reason == "max_cost"
    assert "max_cost of $0.0001" in message
    # An answer costs $0.00000315 and may cost up to $0.0000085 or so: some fit, and never more than the cap.
    assert 5 < len(server.asked) <= 0.0001 / 0.00000315
