# ruff: noqa: PT031 - a warning is due at one of several calls
"""Prices that were wrong: corrected, noted, seen by everybody, and safe whatever dies in between."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import uuid
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from llmkit.core.errors import ConfigurationError
from llmkit.core.timestamps import micros
from llmkit.costs.ledger import Ledger
from llmkit.costs.pricing import corrections
from llmkit.costs.store.protocol import Change
from llmkit.costs.store.sqlite import schema
from llmkit.records import CallRecord

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
TABLE = {"m": {"input": 1.0, "output": 2.0}}
RIGHT = 1_200_000
"""Nano-dollars that a call costs by the table."""


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m"}
    fields |= {"input_tokens": 1000, "output_tokens": 100, "cost_nanos": 5_000_000, "price_source": "config"}
    return CallRecord(**{"time": NOW} | fields | changes)


def write(ledger, *calls):
    for record in calls:
        ledger.record(record)
    assert ledger.flush()
    return [record.uid for record in calls]


def costs(ledger):
    return (ledger.df["cost_usd"] * 10**9).round().tolist()


def test_a_wrong_price_is_corrected_and_the_old_one_is_kept(ledger):
    (uid,) = write(ledger, call())
    result = ledger.correct(prices=TABLE, reason="new contract")
    assert (
        repr(result) == f'1 price corrected: $0.005 -> $0.0012; ledger.correct(undo="{result.run}") undoes it'
    )
    assert result._repr_mimebundle_() == {"text/plain": repr(result), "text/html": result._repr_html_()}
    (row,) = ledger.df.to_dict("records")
    assert (row["cost_usd"], row["price_source"], row["price_date"]) == (0.0012, "given", "2026-11-20")
    (note,) = ledger.corrections.to_dict("records")
    assert (note["uid"], note["time"], note["what"]) == (uid, pd.Timestamp(NOW), "cost")
    assert (note["old_usd"], note["old_source"], note["new_usd"], note["new_source"]) == (
        0.005, "config", 0.0012, "given",
    )  # fmt: skip
    assert (note["provider"], note["model"], note["reason"], note["run"]) == (
        "openai",
        "m",
        "new contract",
        result.run,
    )


def test_a_second_time_changes_nothing(ledger):
    write(ledger, call(), call(model="gpt-5.4-mini", cost_nanos=None, price_source=None))
    assert ledger.correct(prices=TABLE).calls == 1
    assert ledger.correct().calls == 1
    before = ledger.df
    assert repr(ledger.correct(prices=TABLE)) == "Nothing to correct among 2 calls"
    assert ledger.correct().calls == 0, "what a table corrected is not undone by a list"
    pd.testing.assert_frame_equal(ledger.df, before)
    assert len(ledger.corrections) == 2


def test_an_unknown_price_becomes_known_and_a_known_one_never_unknown(ledger):
    write(ledger, call(cost_nanos=None, price_source=None), call(model="unheard-of"))
    result = ledger.correct(prices=TABLE)
    assert (result.calls, result.were_unpriced) == (1, 1)
    assert "(1 had none)" in repr(result)
    assert ledger.correct().calls == 0
    assert costs(ledger) == [RIGHT, 5_000_000]
    assert ledger.total().unpriced == 0


def test_each_call_gets_the_price_of_its_time(ledger):
    days = [datetime(2025, 6, 9, 23, tzinfo=UTC), datetime(2025, 6, 10, tzinfo=UTC)]
    hours = [datetime(2026, 11, 1, 16, 29, 59, tzinfo=UTC), datetime(2026, 11, 1, 16, 30, tzinfo=UTC)]
    write(ledger, *(call(model="o3", time=time) for time in days))
    write(ledger, *(call(model="deepseek-chat", provider="deepseek", time=time) for time in hours))
    ledger.correct()
    assert costs(ledger) == [14_000_000, 2_800_000, 380_000, 190_000]
    assert ledger.df["price_date"].tolist() == ["2025-06-09", "2025-06-10", "2026-11-01", "2026-11-01"]


def test_only_the_calls_that_are_meant_are_corrected(ledger):
    write(
        ledger,
        call(),
        call(provider="other"),
        call(model="n"),
        call(time=NOW - timedelta(days=9)),
        call(notebook="a.ipynb"),
        call(simulated=True),
        call(price_source="provider"),
        call(fallback_from="openai:n"),
        call(output_tokens=None),
    )
    table = {"m": TABLE["m"], "n": TABLE["m"]}
    chosen = {"model": "m", "provider": "openai", "since": NOW - timedelta(days=1), "notebook": "a.ipynb"}
    assert ledger.correct(prices=table, dry_run=True, **chosen).calls == 1
    assert ledger.correct(prices=table, dry_run=True).calls == 5
    assert ledger.correct(prices=table, dry_run=True, simulated=True).calls == 1
    assert ledger.correct(prices=table, dry_run=True, reported=True).calls == 6
    assert ledger.correct(prices=table, dry_run=True, until=NOW - timedelta(days=1)).calls == 1


def test_a_dry_run_writes_nothing_and_says_the_same(ledger):
    write(ledger, call(), call(cost_nanos=None))
    before = ledger.df
    planned = ledger.correct(prices=TABLE, dry_run=True)
    assert repr(planned) == "2 prices would be corrected (1 had none): $0.005 -> $0.0024"
    pd.testing.assert_frame_equal(ledger.df, before)
    assert ledger.corrections.empty
    pd.testing.assert_frame_equal(ledger.correct(prices=TABLE).df, planned.df)


def test_of_a_replayed_call_what_it_saved_is_corrected(ledger):
    write(ledger, call(status="replayed", cost_nanos=0, saved_nanos=9_000_000))
    assert ledger.correct(prices=TABLE).df.index.tolist() == [("openai", "m", "saved")]
    assert (ledger.total().usd, ledger.total().saved_usd) == (0.0, 0.0012)
    assert ledger.corrections["what"].tolist() == ["saved"]


def test_a_correction_can_be_taken_back_where_nothing_changed_since(ledger):
    write(ledger, call(), call(cost_nanos=None), call(model="n"))
    first = ledger.correct(prices=TABLE)
    ledger.correct(prices={"n": TABLE["m"]})
    before = ledger.corrections
    back = ledger.correct(undo=first.run)
    assert back.calls == 2
    assert ledger.df["cost_usd"].fillna(-1).tolist() == [0.005, -1, 0.0012]
    assert ledger.df["price_source"].tolist() == ["config", "config", "given"]
    pd.testing.assert_frame_equal(ledger.corrections[:3], before)
    assert ledger.correct(undo=first.run).calls == 0
    ledger.correct(undo=back.run)
    assert costs(ledger)[:2] == [RIGHT, RIGHT]


def test_a_price_that_was_corrected_again_is_not_taken_back(ledger):
    write(ledger, call())
    first = ledger.correct(prices=TABLE)
    ledger.correct(prices={"m": {"input": 3, "output": 3}})
    assert ledger.correct(undo=first.run).calls == 0
    assert costs(ledger) == [3_300_000]


def test_taking_back_what_never_was_is_an_error(ledger):
    with pytest.raises(ConfigurationError, match="Unknown correction: run='nothing'"):
        ledger.correct(undo="nothing")


def test_frames_sums_and_snapshots_of_other_processes_follow(ledger, monkeypatch):
    monkeypatch.setattr("llmkit.costs.frame.frame.READ", 5)
    monkeypatch.setattr("llmkit.costs.frame.frame.FEWEST", 5)
    monkeypatch.setattr("llmkit.costs.store.sqlite.inserts.ROLL", 3)
    write(ledger, *(call(model="mn"[number % 2]) for number in range(23)))
    with closing(Ledger(ledger.path)) as other:
        assert other.total().usd == pytest.approx(other.summary()["cost_usd"].sum()) == 0.115
        assert len(other.df) == 23
        code = (
            "import sys; from llmkit import Ledger\n"
            "print(Ledger(sys.argv[1]).correct(prices={'m': {'input': 1, 'output': 2}}).calls)"
        )
        run = subprocess.run(
            [sys.executable, "-c", code, ledger.path], capture_output=True, text=True, check=True
        )
        assert run.stdout.strip() == "12"
        expected = 12 * RIGHT + 11 * 5_000_000
        assert sum(costs(other)) == sum(costs(ledger)) == expected
        assert round(other.total().usd * 10**9) == expected
        for by in ("model", ["day", "model"], "month", ["month", "notebook"], ["day", "notebook"], "surface"):
            assert round(other.summary(by)["cost_usd"].sum() * 10**9) == expected
    with closing(Ledger(ledger.path)) as fresh:
        assert sum(costs(fresh)) == expected


def test_what_a_day_spent_of_its_budget_follows(ledger):
    now = datetime.now(UTC)
    write(
        ledger,
        call(time=now, notebook="a.ipynb"),
        call(time=now, cost_nanos=None),
        call(time=now, model="n"),
        call(time=now, simulated=True),
    )
    ledger.budget(daily=1)
    assert ledger.spent_nanos(now) == 10_000_000
    run = ledger.correct(prices=TABLE).run
    assert ledger.spent_nanos(now) == 2 * RIGHT + 5_000_000
    assert ledger.budget().left == pytest.approx(1 - 0.0074)
    ledger.correct(prices=TABLE, simulated=True)
    assert ledger.spent_nanos(now) == 2 * RIGHT + 5_000_000
    ledger.correct(undo=run)
    assert ledger.spent_nanos(now) == 10_000_000


def test_clearing_deletes_the_notes_of_the_calls_that_go(ledger):
    write(ledger, call(time=NOW - timedelta(days=9)), call())
    ledger.correct(prices=TABLE)
    ledger.clear(NOW - timedelta(days=1))
    assert ledger.corrections["time"].tolist() == [pd.Timestamp(NOW)]
    ledger.clear()
    assert ledger.corrections.empty


def test_rows_that_wait_in_memory_are_left(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    ledger = Ledger(blocked / "ledger.sqlite")
    with pytest.warns(Warning, match="Cannot write calls"):
        ledger.record(call()).result(10)
        ledger.flush()
    with pytest.raises(ConfigurationError, match="cannot be corrected"):
        ledger.correct(prices=TABLE)
    ledger._opened._writer.discard(before=None, column=0)


def test_an_older_file_gains_the_notes(tmp_path):
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (*schema.MIGRATIONS[0], *schema.MIGRATIONS[1], "PRAGMA user_version = 2"):
            connection.execute(statement)
    with closing(Ledger(path)) as ledger:
        assert ledger.corrections.empty
        write(ledger, call())
        assert ledger.correct(prices=TABLE).calls == 1


def test_a_price_that_another_process_changed_meanwhile_is_left(ledger):
    (uid,) = write(ledger, call())
    change = Change(micros(NOW), uid, "cost_nanos", 4_999_999, 1, "given", "2026-11-20")
    assert ledger._store.correct([change], run="r", reason=None) == 0
    assert costs(ledger) == [5_000_000]
    assert ledger.corrections.empty


def test_two_processes_that_correct_at_once_correct_each_call_once(ledger, monkeypatch):
    monkeypatch.setattr(corrections, "BATCH", 7)
    write(ledger, *(call() for _ in range(200)))
    ledgers = [Ledger(ledger.path) for _ in range(2)]
    counts, barrier = [], threading.Barrier(2)

    def work(ledger):
        barrier.wait()
        counts.append(ledger.correct(prices=TABLE).calls)

    threads = [threading.Thread(target=work, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for each in ledgers:
        each.close()
    assert sum(counts) == len(ledger.corrections) == 200
    assert set(costs(ledger)) == {RIGHT}


KILLED = """
import os, signal, sys
from llmkit.costs.pricing import corrections
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.sqlite import corrections as store
corrections.BATCH = 10
before, steps = store.write, int(sys.argv[2])

def write(connection, changes, **options):
    global steps
    count = before(connection, changes, **options)
    steps -= 1
    if not steps:
        os.kill(os.getpid(), signal.SIGKILL)
    return count

store.write = write
Ledger(sys.argv[1]).correct(prices={"m": {"input": 1, "output": 2}})
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
@pytest.mark.full
def test_a_correction_that_is_killed_leaves_old_prices_or_new_ones_with_their_note(ledger):
    now = datetime.now(UTC)
    write(ledger, *(call(time=now) for _ in range(45)))
    ledger.close()
    for step, done in ((1, 0), (4, 30)):
        run = subprocess.run([sys.executable, "-c", KILLED, ledger.path, str(step)], check=False)
        assert run.returncode == -signal.SIGKILL
        corrected = set(ledger.df["uid"][ledger.df["cost_usd"] == RIGHT / 10**9])
        assert len(corrected) == done
        assert set(ledger.corrections["uid"]) == corrected
        assert ledger.spent_nanos(now) == done * RIGHT + (45 - done) * 5_000_000
        assert round(ledger.total().usd * 10**9) == ledger.spent_nanos(now)
    assert ledger.correct(prices=TABLE).calls == 15
    assert ledger.spent_nanos(now) == 45 * RIGHT


def test_names_from_the_ledger_are_no_html(ledger):
    nasty = "<img src=x onerror=alert(1)>"
    write(ledger, call(model=nasty))
    page = ledger.correct(prices={nasty: TABLE["m"]}, reason=nasty)._repr_html_()
    assert "<img" not in page
    assert "&lt;img" in page
