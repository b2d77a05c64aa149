"""Whoever adds up the ledger's calls gets the same sums, to the nano-dollar, and the same unknown prices.

`expected` adds up the file's integers in plain Python; everything else is held against it.
"""

import json
import os
import sqlite3
import tempfile
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.costs import ledger as ledgers
from llmkit.costs.controller import CostController
from llmkit.costs.ledger import Ledger
from llmkit.costs.monitor import LLMMonitor
from llmkit.costs.sums import NOTHING, Sums
from llmkit.records import CallRecord
from tests.support.examples import examples
from tests.support.month import simulated_calls

mpl.use("Agg")

from matplotlib import pyplot as plt

ZONES = ("Europe/Berlin", "America/New_York")
BY = (
    *("model", "provider", "notebook", "status", "simulated", "day", "week", "month", "hour"),
    *("surface", "session", "tag:project", ("day", "model"), ("month", "notebook", "status")),
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PERIODS = {"hour": "%Y-%m-%dT%H:00:00", "day": "%Y-%m-%dT00:00:00", "month": "%Y-%m-01T00:00:00"}
PERIODS["week"] = "%G-W%V-1"


def raw(path):
    """Return the file's rows as dicts, as SQLite holds them."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM calls")]


def expected(rows, by=()):
    """Add rows up: what `raw` returned, by names that `Ledger.summary` takes.

    Returns `Sums` by the value of the name, or by a tuple of values if `by` is not a string. Local times
    are ISO texts, unknown values `None`.
    """
    sums = {}
    for row in rows:
        key = value_of(row, by) if isinstance(by, str) else tuple(value_of(row, name) for name in by)
        sums[key] = sums.get(key, NOTHING) + sums_of(row)
    return sums


def value_of(row, name):
    if name in PERIODS:
        local = (EPOCH + timedelta(microseconds=row["time"])).astimezone().strftime(PERIODS[name])
        return datetime.fromisoformat(local).isoformat()
    if name.startswith("tag:"):
        return json.loads(row["tags"] or "{}").get(name.removeprefix("tag:"))
    return bool(row[name]) if name == "simulated" else row[name]


def sums_of(row):
    used = (row["input_tokens"] or 0) + (row["output_tokens"] or 0) > 0
    priced = row["cost_nanos"] is not None
    unpriced = not priced and row["status"] != "replayed" and (row["status"] == "ok" or used)
    guess = row["usage_source"] in {"partial", "estimated"} and (row["cost_nanos"] or 0) > 0
    guess |= row["usage_source"] == "incomplete" or (row["at_most_nanos"] or 0) > (row["cost_nanos"] or 0)
    estimated = priced and row["status"] != "replayed" and guess
    return Sums(
        1, int(unpriced), int(priced), row["cost_nanos"] or 0, row["saved_nanos"] or 0, int(estimated)
    )


def nanos(usd):
    return round(float(usd) * 10**9)


def added(values):
    return sum(nanos(value) for value in values)


def of_frame(frame):
    """Add up a DataFrame like `Ledger.df`, one call after the other."""
    costs = frame["cost_usd"]
    used = frame["input_tokens"].fillna(0) + frame["output_tokens"].fillna(0) > 0
    unpriced = costs.isna() & (frame["status"] != "replayed") & ((frame["status"] == "ok") | used)
    known = costs.dropna(), frame["saved_usd"].dropna()
    source = frame["usage_source"]
    guess = source.isin(["partial", "estimated"]) & (costs > 0) | (source == "incomplete")
    guess = (guess | (frame["at_most_usd"] > costs)) & costs.notna() & (frame["status"] != "replayed")
    return Sums(len(frame), int(unpriced.sum()), len(known[0]), *map(added, known), int(guess.sum()))


def of_summary(table):
    found = {}
    for key, row in table.iterrows():
        keys = tuple(map(plain, key)) if isinstance(key, tuple) else plain(key)
        found[keys] = (
            int(row["calls"]),
            int(row["unpriced"]),
            int(row["estimated"]),
            nanos(0 if pd.isna(row["cost_usd"]) else row["cost_usd"]),
            nanos(row["saved_usd"]),
        )
    return found


def plain(key):
    if isinstance(key, pd.Timestamp):
        return key.isoformat()
    return None if pd.isna(key) else key


@contextmanager
def zone(name):
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        os.environ.pop("TZ")
        if before is not None:
            os.environ["TZ"] = before
        time.tzset()


amounts = st.none() | st.integers(0, 10**12) | st.sampled_from([0, 1, 999, 10**9 - 1])


def between(first, last):
    return st.datetimes(*map(datetime.fromisoformat, (first, last)), timezones=st.just(UTC))


times = st.one_of(
    between("2026-10-24T20:00", "2026-10-25T04:00"),  # summer ends in Berlin
    between("2026-11-01T03:00", "2026-11-01T08:00"),  # and in New York
    between("2026-03-28T22:00", "2026-03-29T03:00"),  # it begins in Berlin
    between("2025-12-31T12:00", "2026-01-01T12:00"),
)
calls = st.builds(
    CallRecord,
    time=times,
    uid=st.uuids().map(lambda uid: uid.hex),
    status=st.sampled_from(["ok", "ok", "error", "cancelled", "interrupted", "replayed", "lost"]),
    surface=st.sampled_from(["api", "magic"]),
    provider=st.sampled_from(["openai", "anthropic"]),
    model=st.sampled_from(["m", "n", "o"]),
    input_tokens=st.none() | st.integers(0, 10**6),
    output_tokens=st.none() | st.integers(0, 10**6),
    cost_nanos=amounts,
    saved_nanos=amounts,
    usage_source=st.sampled_from([None, "reported", "settled", "incomplete", "partial", "estimated"]),
    at_most_nanos=amounts,
    notebook=st.sampled_from([None, "a.ipynb", "b.ipynb"]),
    cell_id=st.sampled_from([None, "x", "y"]),
    execution_count=st.none() | st.integers(1, 3),
    session=st.sampled_from([None, "s"]),
    tags=st.sampled_from([{}, {"project": "p"}, {"project": "q"}]),
    simulated=st.booleans(),
)


@contextmanager
def written(records):
    """Write calls into a file of their own; returns the ledger and what the file has."""
    with tempfile.TemporaryDirectory() as folder, closing(Ledger(Path(folder) / "l.sqlite")) as ledger:
        for record in records:
            ledger.record(record)
        assert ledger.flush()
        yield ledger, raw(ledger.path)


def chosen(rows, simulated):
    return [row for row in rows if bool(row["simulated"]) is simulated]


def tables_agree(ledger, rows):
    assert {key: value for key, value in ledger.sums().items() if value.calls} == expected(rows, "simulated")
    assert of_frame(ledger.df) == expected(rows).get((), NOTHING)
    for simulated in (False, True):
        mine = chosen(rows, simulated)
        everything = expected(mine).get((), NOTHING)
        assert of_frame(ledger.query(simulated=simulated)) == everything
        total = ledger.total(simulated=simulated)
        assert (total.calls, total.unpriced) == (everything.calls, everything.unpriced)
        assert total.estimated == everything.estimated
        assert repr(total).startswith("≈") == (everything.estimated > 0)
        assert added([total.saved_usd]) == everything.saved_nanos
        assert nanos(total.usd) == everything.nanos if everything.priced else everything.nanos == 0
        for by in BY:
            found = of_summary(ledger.summary(by if isinstance(by, str) else list(by), simulated=simulated))
            sums = expected(mine, by).items()
            assert found == {
                k: (s.calls, s.unpriced, s.estimated, s.nanos, s.saved_nanos) for k, s in sums
            }, by


def counters_agree(ledger, rows):
    real = chosen(rows, simulated=False)
    metrics = LLMMonitor.from_ledger(ledger).get_metrics()
    sent = expected([row for row in real if row["status"] != "replayed"]).get((), NOTHING)
    assert nanos(metrics["total_cost"]) == sent.nanos
    assert metrics["unpriced_requests"] == expected(real).get((), NOTHING).unpriced
    assert metrics["total_requests"] == len(rows)
    for day, sums in expected(real, "day").items():
        moment = datetime.fromisoformat(day) + timedelta(hours=12)
        assert ledger.spent_nanos(moment) == sums.nanos
        controller = CostController(1.0, ledger=ledger, clock=lambda moment=moment: moment)
        assert nanos(controller.daily_spent) == sums.nanos


def exports_agree(ledger, rows):
    everything = expected(rows).get((), NOTHING)
    file = ledger.path.with_name("export")
    ledger.to_csv(file)
    assert of_frame(pd.read_csv(file)) == everything
    ledger.to_parquet(file)
    assert of_frame(pd.read_parquet(file)) == everything


def drawn(ledger, kind, **which):
    figure, ax = plt.subplots()
    try:
        return ledger.plot(kind, ax=ax, **which)
    finally:
        plt.close(figure)


def charts_agree(ledger, rows, **filters):
    for simulated in (False, True):
        mine = chosen(rows, simulated)
        everything = expected(mine).get((), NOTHING)
        which = {"simulated": simulated} | filters
        if everything.priced:
            assert nanos(drawn(ledger, "cumulative", **which).lines[0].get_ydata()[-1]) == everything.nanos
        bars = heights(drawn(ledger, "model", **which))
        by_model = {model: sums.nanos for model, sums in expected(mine, "model").items() if sums.nanos}
        assert {model: added(values) for model, values in bars.items()} == by_model
        bars = heights(drawn(ledger, "saved", **which))
        assert added(bars.get("spent", ())) == everything.nanos
        assert added(bars.get("saved by replay", ())) == everything.saved_nanos
        hours = drawn(ledger, "hours", **which).collections
        assert sum(added(mesh.get_array().compressed()) for mesh in hours) == everything.nanos
        cells_agree(drawn(ledger, "most_expensive", **which), mine)


def heights(ax):
    return {container.get_label(): [bar.get_height() for bar in container] for container in ax.containers}


def cells_agree(ax, rows):
    cells = {}
    for row in rows:
        key = row["notebook"], row["cell_id"], None if row["cell_id"] else row["execution_count"]
        cells[key] = cells.get(key, 0) + (row["cost_nanos"] or 0)
    most_expensive = sorted(filter(None, cells.values()), reverse=True)
    assert [nanos(bar.get_width()) for bar in ax.patches] == most_expensive[: len(ax.patches)]
    assert len(ax.patches) >= min(3, len(most_expensive))


@pytest.mark.parametrize("name", ZONES)
@examples(15)
@given(records=st.lists(calls, min_size=1, max_size=25))
def test_tables_counters_and_exports_agree_with_the_files_integers(name, records):
    with zone(name), written(records) as (ledger, rows):
        assert len(rows) == len(records)
        tables_agree(ledger, rows)
        counters_agree(ledger, rows)
        exports_agree(ledger, rows)


@pytest.mark.parametrize("name", ZONES)
@examples(6)
@given(records=st.lists(calls, min_size=1, max_size=25))
def test_charts_draw_the_files_integers(name, records):
    with zone(name), written(records) as (ledger, rows):
        charts_agree(ledger, rows)


@pytest.mark.parametrize("name", ZONES)
def test_all_sums_of_a_month_agree(name):
    with zone(name), written(simulated_calls()) as (ledger, rows):
        tables_agree(ledger, rows)
        counters_agree(ledger, rows)
        exports_agree(ledger, rows)
        charts_agree(ledger, rows)


def test_a_filtered_chart_draws_what_the_filtered_rows_add_up_to():
    with written(simulated_calls()) as (ledger, rows):
        for filters in ({"notebook": "thesis_draft.ipynb"}, {"model": "gpt-6-luna"}, {"status": "replayed"}):
            ((name, value),) = filters.items()
            charts_agree(ledger, [row for row in rows if row[name] == value], **filters)


def test_calls_that_wait_to_be_written_are_in_every_sum(monkeypatch):
    monkeypatch.setattr(ledgers, "SETTLE", 0.2)
    records = [record for record in simulated_calls() if record.model == "gpt-6-luna"][:40]
    with written(records[:30]) as (ledger, _), closing(sqlite3.connect(ledger.path)) as other:
        other.execute("BEGIN IMMEDIATE")
        for record in records[30:]:
            ledger.record(record)
        before = of_frame(ledger.df), ledger.sums(), of_summary(ledger.summary("model"))
        drawn_before = heights(drawn(ledger, "model"))
        other.rollback()
        assert ledger.flush()
        rows = raw(ledger.path)
        assert len(rows) == 40
        everything = expected(rows)[()]
        assert before[0] == everything
        assert before[1][True] == everything
        assert before[2] == of_summary(ledger.summary("model"))
        assert added(drawn_before["gpt-6-luna"]) == everything.nanos


def test_what_a_day_spent_is_what_the_budget_says():
    now = datetime.now(UTC)
    records = [
        CallRecord(
            time=now, uid=f"{n:032}", status="ok", provider="p", model="m", cost_nanos=n, simulated=n % 3 == 0
        )
        for n in range(1, 20)
    ]
    with written(records) as (ledger, rows):
        spent = expected(rows, ("simulated", "day"))[False, value_of(rows[0], "day")].nanos
        assert nanos(ledger.budget().spent) == spent
        assert nanos(CostController(1.0, ledger=ledger).daily_spent) == spent
