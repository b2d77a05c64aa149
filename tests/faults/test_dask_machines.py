"""Dask workers that share nothing but PostgreSQL: one is killed, no finished row is paid twice, a wall holds.

Each worker has a home of its own. As root it also has its own host name and process numbers, so that the
others cannot know whether it lives, as on another machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager

import pytest

from llmkit import Ledger
from tests.support.postgres import server as database_server
from tests.support.processes import unmeasured
from tests.support.rows import RowServer

JOB = """
import json, os, sys
import dask.dataframe as dd, pandas as pd
from distributed import Client, Scheduler, LocalCluster
import llmkit.frames as frames

def say(thing):
    print(json.dumps(thing), flush=True)

if __name__ == "__main__":
    rows, most = int(sys.argv[1]), float(sys.argv[2]) or None
    options = {"n_workers": 0, "host": "127.0.0.1", "dashboard_address": None}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        say(cluster.scheduler_address)
        client.wait_for_workers(2)
        lazy = dd.from_pandas(pd.DataFrame({"text": [f"row {n}" for n in range(rows)]}), npartitions=8)
        try:
            found = lazy.llm.map("text", model="openai:gpt-4o-mini", max_cost=most, max_tokens=10).compute()
            say(found["llm"].tolist() == [f"ROW {n}" for n in range(rows)])
        except frames.JobStopped as stopped:
            say(stopped.reason)
        sys.stdin.readline()
"""
LEASE = """
from datetime import timedelta
from llmkit.frames.answers.postgres import job_leases
job_leases.LEASE = timedelta(seconds=4)
"""
COST = 0.00000315
"""Dollars of an answer; before it comes, it may cost up to three times as much."""


def environment(server, url, home):
    home.mkdir(exist_ok=True)
    folders = ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "DASK_TEMPORARY_DIRECTORY")
    return {
        **unmeasured(),
        **dict.fromkeys(folders, str(home)),
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OPENAI_API_KEY": "k",
        "OPENAI_BASE_URL": server.url,
        "LLMKIT_LEDGER": url,
    }


@contextmanager
def running(command, **options):
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def job(server, url, folder, rows, most=0.0):
    """Run a job with two workers; yield its process and theirs."""
    script, preload = folder / "job.py", folder / "lease.py"
    script.write_text(JOB)
    preload.write_text(LEASE)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    command = [sys.executable, str(script), str(rows), str(most)]
    with ExitStack() as stack:
        here = environment(server, url, folder / "here")
        process = stack.enter_context(running(command, env=here, cwd=folder / "here", **pipes))
        scheduler = heard(process)
        workers = [
            stack.enter_context(
                running(
                    [*apart(name), *worker(scheduler, preload)],
                    env=environment(server, url, folder / name),
                    cwd=folder / name,
                    stderr=subprocess.DEVNULL,
                )
            )
            for name in ("one", "two")
        ]
        yield process, workers


def apart(name):
    """Return what gives a program its own host name and process numbers, where this is allowed."""
    command = ["unshare", "--uts", "--pid", "--mount-proc", "--fork", "--kill-child"]
    allowed = subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0
    return [*command, "sh", "-c", 'hostname "$0" && exec "$@"', name] if allowed else []


def worker(scheduler, preload):
    options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
    return [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        scheduler,
        *options,
        "--preload",
        str(preload),
    ]


def heard(process):
    line = process.stdout.readline()
    assert line, f"the job ended with {process.wait(60)}"
    return json.loads(line)


def stored(url, column):
    query = f"SELECT {column} FROM llmkit.answers"
    return {one for (one,) in database_server().execute(query, database=url.rpartition("/")[2])}


def finished(url):
    return {text.lower() for text in stored(url, "text")}


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(1000, marks=pytest.mark.full),
        pytest.param(10_000, marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
def test_a_killed_worker_on_another_machine_loses_no_paid_row_and_the_wall_holds(rows, postgres, tmp_path):
    most = rows / 2 * COST
    with RowServer(delay=0.005) as server:
        server.wanted = rows // 10
        with job(server, postgres, tmp_path, rows, most) as (process, (first, _)):
            assert server.enough.wait(250)
            first.kill()
            first.wait(60)
            before = finished(postgres)
            later = len(server.asked)
            assert heard(process) == "max_cost"
        assert before
        assert not before.intersection(server.asked[later:])
        assert rows / 10 < len(server.asked) <= most / COST
        before = finished(postgres)
        later = len(server.asked)
        with job(server, postgres, tmp_path, rows) as (process, _):
            assert heard(process) is True
        assert not before.intersection(server.asked[later:])
        # What the killed worker had in flight, and nothing else, is asked twice.
        assert rows <= len(server.asked) <= rows + 64
        assert len(set(server.asked)) == rows
        # A kill may come before an intent is written, or between the intent and its request.
        with closing(Ledger(postgres)) as ledger:
            assert abs(len(server.asked) - len(ledger.df)) <= 64
            assert stored(postgres, "uid") <= set(ledger.df["uid"])
