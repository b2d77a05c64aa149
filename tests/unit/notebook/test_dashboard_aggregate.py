"""What the dashboard shows adds up to the ledger, to the nano-dollar."""

import json
import math
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.core.errors import ConfigurationError
from llmkit.costs.ledger import Ledger
from llmkit.notebook.dashboard import aggregate, view_model
from llmkit.notebook.dashboard.aggregate import MEDIANS, OTHERS, SUMS, Board, DashboardSettings, Pick
from tests.support.examples import examples
from tests.support.month import simulated_month
from tests.unit.costs.test_charts import call

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
GROUPS = [*aggregate.GROUPS, "tag:project"]
HOSTILE = "<img src=x onerror=alert(1)>"

counts = st.none() | st.integers(0, 10**9)
money = st.none() | st.integers(0, 10**12)
names = st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "h", "i", "others", "?", HOSTILE])
rows = st.builds(
    dict,
    time=st.datetimes(datetime(2026, 10, 20), datetime(2026, 11, 22), timezones=st.just(UTC)),  # noqa: DTZ001
    uid=st.uuids().map(lambda uid: uid.hex),
    status=st.sampled_from(["ok", "error", "interrupted", "cancelled", "replayed", "lost"]),
    provider=names,
    model=names,
    notebook=st.none() | names,
    tags=st.dictionaries(st.sampled_from(["project", "step", "job"]), names),
    simulated=st.booleans(),
    cost_nanos=money,
    saved_nanos=money,
    input_tokens=counts,
    output_tokens=counts,
    duration_s=st.none() | st.floats(0, 1e6),
)


@pytest.fixture(scope="module")
def month():
    return simulated_month()


@pytest.fixture
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def filled(fields):
    ledger = Ledger(":memory:")
    for one in fields:
        ledger.record(call(**one))
    return ledger


def nanos(usd):
    return 0 if math.isnan(usd) else round(usd * 10**9)


def message_of(shown):
    return view_model.message(shown, view_model.Palette(), None, shown.total)


def board(ledger, **chosen):
    return Board(ledger.exact, DashboardSettings(**{"period": "all"} | chosen), NOW)


@examples(60)
@given(st.lists(rows, max_size=25), st.sampled_from(GROUPS), st.sampled_from([None, True, False]))
def test_groups_and_total_are_those_of_the_summary_and_of_the_raw_rows(fields, by, simulated):
    ledger = filled(fields)
    shown = board(ledger, by=by, simulated=simulated)
    summary = ledger.summary(by, simulated=simulated)
    assert len(summary) == len(shown.groups)
    theirs = sorted(
        (nanos(row.cost_usd), nanos(row.saved_usd), row.calls, row.errors, row.unpriced)
        for row in summary.itertuples()
    )
    ours = sorted(
        shown.groups[["nanos", "saved_nanos", "calls", "errors", "unpriced"]].itertuples(index=False)
    )
    assert [tuple(row) for row in ours] == theirs
    real = ledger.total(simulated=False)
    paid = real.usd > 0 or real.unpriced > 0 or real.saved_usd > 0
    kinds = {simulated} if simulated is not None else {False} if paid else {False, True}
    mine = [one for one in fields if one["simulated"] in kinds]
    assert shown.total["nanos"] == sum(one["cost_nanos"] or 0 for one in mine)
    assert shown.total["input_tokens"] == sum(one["input_tokens"] or 0 for one in mine)
    total = ledger.total(simulated=simulated)
    assert (total.calls, total.unpriced) == (shown.total["calls"], shown.total["unpriced"])
    assert nanos(total.usd) == shown.total["nanos"]


@examples(60)
@given(
    st.lists(rows, max_size=25),
    st.sampled_from(GROUPS),
    st.sampled_from(list(SUMS)),
    st.sampled_from(["today", "7 days", "30 days", "this month", "all"]),
)
def test_bars_add_up_to_the_groups_and_every_call_is_behind_one_bar(fields, by, metric, period):
    ledger = filled(fields)
    shown = board(ledger, by=by, metric=metric, period=period)
    starts, bars = shown.bars
    column = SUMS[metric]
    assert int(bars.sum()) == int(shown.total[column]) == int(shown.groups[column].sum())
    behind = []
    for series in shown.series:
        for start in starts:
            places = shown.behind(Pick(group=series, period=str(start)))
            behind += places.tolist()
        if series in shown.keys and series:
            assert len(shown.behind(Pick(group=series))) == shown.groups["calls"][shown.keys.index(series)]
    assert sorted(behind) == shown.at.tolist()
    json.dumps(message_of(shown))


def test_a_chart_draws_what_its_bars_hold(month):
    shown = board(month)
    drawn = message_of(shown)["chart"]
    assert sum(value for series in drawn["series"] for _, value, _ in series["marks"]) == shown.total["nanos"]
    assert drawn["series"][-1]["key"] == OTHERS
    assert drawn["series"][-1]["label"] == "3 others"
    assert max(line["value"] for line in drawn["grid"]) >= shown.bars[1].sum(axis=1).max()


@pytest.mark.parametrize("metric", MEDIANS)
def test_medians_are_those_of_the_calls_that_were_not_replayed(month, metric):
    shown = board(month, metric=metric)
    rows = month.df[month.df["status"] != "replayed"]
    expected = rows.groupby("model", observed=True)[MEDIANS[metric]].median()
    for label, value in zip(shown.labels, shown.groups[MEDIANS[metric]], strict=True):
        assert value == pytest.approx(expected[label])
    assert list(shown.groups[MEDIANS[metric]]) == sorted(shown.groups[MEDIANS[metric]], reverse=True)
    chart = message_of(shown)["chart"]
    assert [bar["label"] for bar in chart["bars"]] == shown.labels


def test_filters_leave_only_what_fits(month):
    shown = board(month, model="claude-sonnet-5-5", notebook="lessons.ipynb", tag="demo=made-up month")
    frame = month.df
    fits = (frame["model"] == "claude-sonnet-5-5") & (frame["notebook"] == "lessons.ipynb")
    assert shown.at.tolist() == np.flatnonzero(fits).tolist()
    assert len(board(month, tag="demo=another").at) == 0


def test_real_calls_leave_the_sandboxs_out_unless_there_is_nothing_else():
    ledger = filled([{"simulated": True}, {"simulated": False, "time": NOW - timedelta(days=20)}])
    assert board(ledger).total["calls"] == 1
    assert not board(ledger).simulated
    assert board(ledger, period="today").simulated
    assert board(ledger, simulated=True).simulated
    assert "not real money" in view_model.notes(board(ledger, simulated=True))


def test_periods_are_local_days(berlin):
    times = [
        "2026-11-21T22:59",
        "2026-11-21T23:01",
        "2026-11-16T12:00",
        "2026-11-15T12:00",
        "2026-10-31T22:59",
    ]
    ledger = filled([{"time": datetime.fromisoformat(f"{one}+00:00")} for one in times])
    assert board(ledger, period="today").at.tolist() == [1]
    assert board(ledger, period="7 days").at.tolist() == [0, 1, 2]
    assert board(ledger, period="this month").at.tolist() == [0, 1, 2, 3]
    day = date(2026, 11, 21)
    assert board(ledger, period="custom", first=day, last=day).at.tolist() == [0]
    assert board(ledger, period="custom", last=date(2026, 11, 15)).at.tolist() == [3, 4]
    assert view_model.table(board(ledger, by="day"), {})["rows"][0]["label"] == "Sun 22 Nov 2026"


def test_a_tag_that_is_called_like_the_rest_is_a_group_of_its_own():
    fields = [{"tags": {"project": str(n)}, "cost_nanos": 100 - n} for n in range(9)]
    ledger = filled(
        [*fields, {"tags": {"project": "others"}, "cost_nanos": 1}, {"tags": {}, "cost_nanos": 2}]
    )
    shown = board(ledger, by="tag:project")
    assert len(shown.behind(Pick(group="=others"))) == 1
    assert len(shown.behind(Pick(group=OTHERS))) == 5
    assert "without the tag" in shown.labels


def test_the_newest_or_the_most_expensive_rows_are_listed_and_the_others_counted(month):
    shown = board(month)
    places = shown.behind(Pick())
    newest, costly = shown.listing(places, "newest", 200), shown.listing(places, "most expensive", 200)
    frame = month.df
    assert newest["time"].tolist() == sorted(frame["time"], reverse=True)[:200]
    assert (costly["cost_nanos"] / 10**9).tolist() == sorted(frame["cost_usd"].dropna(), reverse=True)[:200]
    listed = view_model.listing(newest, len(places), {})
    assert listed["count"] == "4,169 calls"
    assert listed["more"].startswith("3,969 more")


def test_calls_of_this_notebooks_cells_say_their_present_number():
    ledger = filled([{"cell_id": "c1", "execution_count": 3, "notebook": "n.ipynb"}, {"notebook": None}])
    shown = board(ledger)
    rows = view_model.listing(shown.listing(shown.at), 2, {"c1": 7})["rows"]
    here = next(row for row in rows if row["cell"] == "c1")
    assert (here["here"], here["prompt"], here["place"]) == (True, 7, "n.ipynb In [3]")
    assert [row["place"] for row in rows if row["cell"] == ""] == [""]


def test_unknown_prices_are_counted_and_never_zero():
    ledger = filled([{"cost_nanos": None, "input_tokens": 5, "output_tokens": 5}])
    message = message_of(board(ledger))
    assert message["table"]["rows"][0]["cells"][:3] == ["$?", "1", "1"]
    assert {"Spent": "$?", "Without a price": "1"}.items() <= {
        f["label"]: f["text"] for f in message["figures"]
    }.items()
    assert view_model.listing(ledger.exact, 1, {})["rows"][0]["cells"][4] == "$?"


def test_today_is_the_local_day_and_unknown_where_no_price_is_known(berlin):
    midnight = datetime(2026, 11, 21, 23, tzinfo=UTC)
    ledger = filled([{"time": midnight, "cost_nanos": 7}, {"time": midnight - timedelta(seconds=1)}])
    today = aggregate.today_sums(ledger.exact, NOW, simulated=False)
    assert (today["calls"], today["nanos"]) == (1, 7)
    ledger = filled([{"time": midnight, "cost_nanos": None}])
    assert view_model.money(aggregate.today_sums(ledger.exact, NOW, simulated=False)) == "$?"


def test_an_empty_ledger_and_an_empty_choice_say_why():
    assert view_model.hint(board(Ledger(":memory:"))) == view_model.EMPTY
    ledger = filled([{}])
    assert "1 call outside" in view_model.hint(board(ledger, model="no"))


def test_what_makes_no_sense_is_refused():
    for wrong in ({"by": "weather"}, {"metric": "luck"}, {"period": "long ago"}):
        with pytest.raises(ConfigurationError):
            DashboardSettings(**wrong)


def test_a_colour_stays_with_its_group():
    palette = view_model.Palette()
    first = palette.take(["a", "b", "c"])
    second = palette.take(["c", "d", "a", OTHERS])
    assert (second["a"], second["c"]) == (first["a"], first["c"])
    assert len(set(second.values())) == 4


@pytest.mark.parametrize(
    ("top", "whole", "expected"),
    [(7.3, False, [0, 2, 4, 6, 8]), (1, True, [0, 1]), (3, True, [0, 1, 2, 3]), (0, False, [0])],
)
def test_ticks_are_round_and_reach_the_top(top, whole, expected):
    assert view_model.nice(top, whole=whole) == expected


@given(st.floats(1e-9, 1e15))
def test_ticks_of_any_height_are_few_and_reach_it(top):
    ticks = view_model.nice(top)
    assert 2 <= len(ticks) <= 7
    assert ticks[-1] >= top * 0.999999


def test_words_of_the_ledger_are_never_html_in_the_browser():
    source = (Path(view_model.__file__).parent / "dashboard.js").read_text(encoding="utf-8")
    assert not [
        word for word in ("innerHTML", "insertAdjacentHTML", "outerHTML", "document.write") if word in source
    ]
