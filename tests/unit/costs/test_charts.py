"""The charts of the ledger, on real Axes: what is drawn is read back from them."""

import re
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from types import ModuleType

import matplotlib as mpl
import numpy as np
import pytest

from llmkit.core.errors import ConfigurationError
from llmkit.core.money import format_money
from llmkit.costs import demo
from llmkit.costs.ledger import Ledger
from llmkit.records import CallRecord

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.dates import date2num, num2date
from matplotlib.text import Text
from matplotlib_inline import backend_inline

from llmkit.costs.charts import KINDS, aggregates, canvas, spending
from llmkit.costs.charts.ticks import Dates, Days, Dollars, seconds
from tests.support.month import simulated_calls, simulated_month

MONEY = ("cumulative", "model", "hours", "most_expensive", "saved")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.fixture
def ledger():
    return Ledger(":memory:")


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


def call(**changes):
    fields = {
        "uid": uuid.uuid4().hex,
        "status": "ok",
        "provider": "openai",
        "model": "m",
        "cost_nanos": 10**9,
    }
    return CallRecord(**{"time": datetime(2026, 11, 22, 12, tzinfo=UTC)} | fields | changes)


def texts(ax):
    ax.figure.draw_without_rendering()
    return " ".join(" ".join(text.get_text().split()) for text in ax.findobj(Text) if text.get_visible())


def nanos(values):
    return sum(round(float(value) * 10**9) for value in values)


def bars(ax, name=None):
    return [
        bar.get_height()
        for container in ax.containers
        if name in {None, container.get_label()}
        for bar in container
    ]


def picture(ax):
    ax.figure.canvas.draw()
    return np.asarray(ax.figure.canvas.buffer_rgba())[..., :3].astype(int)


# What every chart has to do


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_ledger_shows_a_hint(ledger, kind):
    assert "No calls yet" in texts(ledger.plot(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_one_row_is_drawn(ledger, kind):
    ledger.record(
        call(
            duration_s=2.0, first_token_s=0.5, input_tokens=9, output_tokens=3, notebook="a.ipynb", error=None
        )
    )
    assert "1 call" in texts(ledger.plot(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_which_nothing_is_known_is_drawn(ledger, kind):
    ledger.record(call(cost_nanos=None))
    shown = texts(ledger.plot(kind))
    assert "1 call" in shown
    assert "$0.00" not in shown.split()


@pytest.mark.parametrize("kind", KINDS)
def test_simulated_calls_are_drawn_as_such(month, kind):
    shown = texts(month.plot(kind))
    assert "simulated calls" in shown
    assert ("not real money" in shown) == (kind in MONEY)


@pytest.mark.parametrize("kind", MONEY)
def test_calls_without_a_known_price_are_counted_below_the_title(month, kind):
    assert f"left out: {month.total().unpriced} without a known price" in texts(month.plot(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_chart_is_drawn_where_it_is_wanted_without_another_figure(month, kind):
    figure, ax = plt.subplots()
    assert month.plot(kind, ax=ax) is ax
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize("kind", KINDS)
def test_a_chart_is_a_method_of_its_name(month, kind):
    assert getattr(month.charts, kind)().get_title("left") == month.plot(kind).get_title("left")


@pytest.mark.product
@pytest.mark.parametrize("size", [(6.4, 4), (3.2, 2.2)])
@pytest.mark.parametrize("kind", KINDS)
def test_words_stay_inside_a_picture_of_any_size_and_off_each_other(month, kind, size):
    figure, ax = plt.subplots(figsize=size, layout="constrained")
    month.plot(kind, ax=ax)
    figure.draw_without_rendering()
    words = [*ax.texts, ax.title, ax._left_title, *(ax.get_legend().get_texts() if ax.get_legend() else [])]
    boxes = [word.get_window_extent() for word in words if word.get_text().strip()]
    for number, box in enumerate(boxes):
        assert min(box.x0, box.y0) >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1
        assert not any(box.padded(-1).overlaps(other.padded(-1)) for other in boxes[:number])


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_light_on_a_dark_ground(month, kind):
    with plt.style.context("dark_background"):
        ax = month.plot(kind)
        ax.figure.patch.set_facecolor("#111111")  # the notebook's ground, which shows through
        ax.figure.patch.set_alpha(1)
        dark = picture(ax)
    ticks = [*ax.get_xticklabels(), *ax.get_yticklabels()]
    legend = ax.get_legend().get_texts() if ax.get_legend() else []
    for word in [*ax.texts, ax._left_title, *ticks, *legend]:
        assert sum(mpl.colors.to_rgb(word.get_color())) > 1.2, word
    assert dark.mean() < 80
    assert dark.max() > 200


@pytest.mark.parametrize("kind", KINDS)
def test_names_with_dollar_signs_are_no_mathematics(ledger, kind):
    odd = {"model": "a$b_{c}$d", "notebook": "x$y^2$.ipynb", "error": "E$1$"}
    ledger.record(
        call(**odd, status="error", duration_s=1.0, first_token_s=0.1, input_tokens=5, output_tokens=1)
    )
    ax = ledger.plot(kind)
    assert (picture(ax) != 255).any()
    named = {"model": "a$b_{c}$d", "latency": "a$b_{c}$d", "most_expensive": "x$y^2$.ipynb", "errors": "E$1$"}
    assert named.get(kind, "") in texts(ax)
    for word in filter(Text.get_visible, ax.findobj(Text)):
        assert "$" not in word.get_text() or word.get_text().count("$") == 1 or not word.get_parse_math()


@pytest.mark.parametrize("kind", KINDS)
def test_only_calls_of_the_wanted_time_are_drawn(ledger, kind):
    for day in (1, 2, 3):
        ledger.record(call(time=datetime(2026, 11, day, 12, tzinfo=UTC), duration_s=1.0, first_token_s=1.0))
    assert "1 call" in texts(ledger.plot(kind, since="2026-11-02", until="2026-11-03"))
    assert "No matching calls" in texts(ledger.plot(kind, since="2027-01-01"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_filter_leaves_only_its_calls_and_says_which(month, kind):
    which = {"notebook": "thesis_draft.ipynb", "status": ["ok", "cancelled"]}
    shown = texts(month.plot(kind, **which))
    assert "notebook thesis_draft.ipynb; status ok, cancelled" in shown
    assert f"{len(month.query(**which)):,} simulated calls" in shown


@pytest.mark.parametrize("kind", KINDS)
def test_a_filter_that_matches_nothing_says_that_there_are_others(month, kind):
    assert "No matching calls" in texts(month.plot(kind, model="none"))


def test_what_a_notebook_cost_is_what_the_ledger_says(month):
    line = month.charts.cumulative(notebook="thesis_draft.ipynb").lines[0]
    cost = month.summary("notebook")["cost_usd"]["thesis_draft.ipynb"]
    assert nanos([line.get_ydata()[-1]]) == nanos([cost])


def test_a_budget_for_all_calls_is_not_drawn_beside_those_of_one_model(ledger):
    spent_daily(ledger, 4)
    ledger.budget(daily=2)
    assert "budget" not in texts(ledger.plot(model="m", until="2026-10-05"))


@pytest.mark.product
@pytest.mark.parametrize("size", [(6.4, 4), (3.2, 2.4)])
@pytest.mark.parametrize("layout", ["constrained", None])
@pytest.mark.parametrize("kind", ["model", "tokens", "saved", "errors"])
def test_names_of_colours_cover_no_bar(month, kind, layout, size):
    figure, ax = plt.subplots(figsize=size, layout=layout)
    month.plot(kind, ax=ax)
    figure.draw_without_rendering()
    names = ax.get_legend().get_window_extent()
    assert not any(names.padded(-1).overlaps(bar.get_window_extent()) for bar in ax.patches)


def test_an_unknown_chart_names_the_nearest(ledger):
    with pytest.raises(ConfigurationError, match="Did you mean 'cumulative'"):
        ledger.plot("cumulativ")


def test_a_time_that_is_none_is_refused(ledger):
    with pytest.raises(ConfigurationError, match="cannot be used as a date"):
        ledger.plot(since="soon")


# The sums


def test_the_last_point_of_the_line_is_the_total_to_the_nano_dollar(month):
    line = month.plot().lines[0]
    assert nanos([line.get_ydata()[-1]]) == month.sums()[True].nanos


def test_the_line_of_many_calls_has_few_points_and_ends_at_the_same_sum(month):
    line = month.plot().lines[0]
    assert len(line.get_ydata()) <= spending.POINTS < len(month.df)
    assert (np.diff(line.get_ydata()) >= 0).all()


def test_the_bars_of_models_add_up_to_the_ledger_by_model_and_in_all(month):
    ax = month.plot("model")
    assert nanos(bars(ax)) == month.sums()[True].nanos
    expected = month.summary("model")["cost_usd"].fillna(0)
    for container in ax.containers:
        assert nanos(bars(ax, container.get_label())) == nanos([expected[container.get_label()]])


def test_the_cells_of_the_heat_map_add_up_to_the_total(month):
    mesh = month.plot("hours").collections[0]
    assert nanos(mesh.get_array().compressed()) == month.sums()[True].nanos


def test_spent_and_saved_add_up_to_the_ledgers(month):
    ax = month.plot("saved")
    sums = month.sums()[True]
    assert nanos(bars(ax, "spent")) == sums.nanos
    assert nanos(bars(ax, "saved by replay")) == sums.saved_nanos


def test_the_most_expensive_cells_and_the_others_are_all(month):
    ax = month.plot("most_expensive")
    by_cell = month.df.groupby(["notebook", "cell_id"], observed=True)["cost_usd"].sum()
    outside = month.df[month.df["notebook"].isna()]["cost_usd"].sum()
    most_expensive = sorted([*by_cell, outside], reverse=True)[: len(ax.patches)]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(most_expensive, abs=1e-9)
    rest = nanos([month.total().usd]) - nanos(bar.get_width() for bar in ax.patches)
    assert f"others: {format_money(rest / 1e9)}" in texts(ax)


def test_each_token_is_drawn_once(month):
    ax = month.plot("tokens")
    used = month.df[month.df["status"] != "replayed"]
    drawn = {container.get_label(): round(sum(container.datavalues)) for container in ax.containers}
    assert drawn["cache read"] == used["cache_read_tokens"].sum()
    assert drawn["reasoning"] == used["reasoning_tokens"].sum()
    assert drawn["fresh input"] + drawn["cache read"] + drawn["cache write"] == used["input_tokens"].sum()
    assert drawn["output"] + drawn["reasoning"] == used["output_tokens"].sum()


def test_parts_that_exceed_the_whole_add_nothing(ledger):
    ledger.record(
        call(input_tokens=10, cache_read_tokens=8, cache_write_tokens=8, output_tokens=2, reasoning_tokens=5)
    )
    assert sum(bars(ledger.plot("tokens"))) == 12


def test_every_timed_call_is_in_the_distribution(month):
    sent = month.df[month.df["status"] != "replayed"]
    for kind in ("first_token", "duration"):
        known = sent[f"{kind}_s"].gt(0).sum()
        assert sum(bar.get_height() for bar in month.plot(kind).patches) == known


def test_median_and_95th_percentile_are_marked_where_they_are(ledger):
    for number in range(1, 101):
        ledger.record(call(duration_s=float(number)))
    ax = ledger.plot("duration")
    assert [line.get_xdata()[0] for line in ax.lines] == pytest.approx([50.5, 95.05])
    assert "median 50 s" in texts(ax) or "median 51 s" in texts(ax)


def test_the_error_rate_is_that_of_the_calls_that_were_sent(ledger):
    for status, error in (
        [("ok", None)] * 6 + [("error", "A"), ("interrupted", "B")] + [("replayed", None)] * 5
    ):
        ledger.record(call(status=status, error=error))
    ax = ledger.plot("errors")
    assert sum(bars(ax)) == pytest.approx(0.25)
    assert bars(ax, "A") == pytest.approx([0.125])
    assert "2 errors in 8 calls (25 %)" in texts(ax)
    assert "left out: 5 replayed" in texts(ax)


def test_a_ledger_without_errors_says_so(ledger):
    ledger.record(call())
    assert "no errors" in texts(ledger.plot("errors"))


def test_every_call_with_price_and_duration_is_a_dot_until_there_are_thousands(month):
    counted = month.df.query("status != 'replayed' and cost_usd > 0 and duration_s > 0")
    dots = month.plot("latency").collections
    assert sum(len(some.get_offsets()) for some in dots) == len(counted)
    frame = month.exact.loc[np.repeat(month.df.index, 3)]
    (density,) = KINDS["latency"](frame).collections
    assert density.get_array().sum() == 3 * len(counted)


def test_dots_and_bars_of_a_model_have_one_colour(month):
    dots = {
        some.get_label(): tuple(some.get_facecolor()[0][:3]) for some in month.plot("latency").collections
    }
    stacks = {
        some.get_label(): some.patches[0].get_facecolor()[:3] for some in month.plot("model").containers
    }
    assert dots.keys() & stacks.keys()
    assert all(dots[model] == pytest.approx(stacks[model]) for model in dots.keys() & stacks.keys())


# One chart each


def test_many_models_share_a_grey(ledger):
    for number in range(20):
        ledger.record(call(model=f"model-{number}"))
    assert "14 others $14.00" in texts(ledger.plot("model"))


def test_one_more_model_than_colours_keeps_its_name(ledger):
    for number in range(7):
        ledger.record(call(model=f"model-{number}"))
    assert "others" not in texts(ledger.plot("model"))


def test_one_call_is_shown_on_a_scale_of_hours(ledger):
    ledger.record(call())
    first, last = num2date(ledger.plot().get_xlim())
    assert last - first < timedelta(hours=2)


def spent_daily(ledger, days, usd=1):
    for day in range(1, days + 1):
        moment = datetime(2026, 10, day, 12).astimezone()
        ledger.record(call(time=moment.astimezone(UTC), cost_nanos=usd * 10**9))


def test_the_projection_goes_on_at_the_months_pace_to_its_end(ledger):
    spent_daily(ledger, 10)
    ax = ledger.plot(until="2026-10-11")
    (projection,) = [line for line in ax.lines if line.get_label() == "projection"]
    assert projection.get_linestyle() == "--"
    assert list(projection.get_ydata()) == pytest.approx([10, 31])
    assert projection.get_xdata()[-1] == datetime.fromisoformat("2026-11-01")
    assert "projection for 31 Oct: $31.00" in texts(ax)


def test_a_month_that_is_over_and_a_first_day_have_no_projection(ledger):
    spent_daily(ledger, 10)
    assert "projection" not in texts(ledger.plot(until="2026-10-02"))
    later = datetime.fromisoformat("2026-11-02")
    assert "projection" not in texts(spending.cumulative(ledger.exact, now=later))


def test_the_ledgers_own_daily_budget_is_drawn_as_what_it_allows_by_each_midnight(ledger):
    spent_daily(ledger, 4)
    ledger.budget(daily=2)
    ax = ledger.plot(until="2026-10-05")
    (budget,) = [line for line in ax.lines if line.get_label() == "budget"]
    assert list(budget.get_ydata())[:4] == [2, 4, 6, 8]
    assert "budget $2.00 a day" in texts(ax)


def test_a_budget_that_is_far_above_is_named_and_squeezes_nothing(ledger):
    spent_daily(ledger, 4)
    ax = ledger.plot(daily=1000, until="2026-10-05")
    assert "the budget $1,000.00 a day is far above" in texts(ax)
    assert ax.get_ylim()[1] < 100


@pytest.mark.parametrize("daily", [0.7, 0.75, 0.8, 1.5])
def test_labels_of_lines_that_end_together_stand_one_below_the_other(month, daily):
    ax = month.plot(until="2026-10-20", daily=daily)
    ax.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 3  # projection, budget, and the notes below the title, which says what was spent
    for number, box in enumerate(boxes):
        assert not any(box.padded(-1).overlaps(other.padded(-1)) for other in boxes[:number])


def test_real_budgets_do_not_hold_for_simulated_calls(ledger):
    ledger.budget(daily=2)
    ledger.record(call(simulated=True))
    assert "budget" not in texts(ledger.plot())


def test_hours_are_those_of_the_clock_on_the_wall(ledger, berlin):
    ledger.record(call(time=datetime(2026, 7, 1, 22, 30, tzinfo=UTC)))  # 00:30 on Thursday, 2 July
    mesh = ledger.plot("hours").collections[0]
    assert mesh.get_array().shape == (1, 24)
    assert mesh.get_array()[0, 0] == 1.0
    assert "Thu 2, 00\N{EN DASH}01 h" in texts(plt.gca())


def test_the_line_never_runs_backwards_when_summer_ends(ledger, berlin):
    for minutes in range(0, 180, 10):
        ledger.record(call(time=datetime(2026, 10, 24, 23, tzinfo=UTC) + timedelta(minutes=minutes)))
    times = ledger.plot().lines[0].get_xdata()
    assert (np.diff(times).astype(int) >= 0).all()


def test_cells_are_distinguished_by_identifier_and_named_by_their_last_number(ledger):
    for count in (1, 2):
        ledger.record(call(notebook="a.ipynb", cell_id="x", execution_count=count))
    ledger.record(call(notebook="a.ipynb", execution_count=7))
    ledger.record(call())
    ax = ledger.plot("most_expensive")
    assert "a.ipynb [2]" in texts(ax)
    assert "$2.00 \N{MIDDLE DOT} 2 calls" in texts(ax)
    assert "a.ipynb [7]" in texts(ax)
    assert "outside a notebook" in texts(ax)


@pytest.mark.parametrize(("days", "unit"), [(1, "hour"), (30, "day"), (300, "week"), (1500, "month")])
def test_bars_stand_for_longer_periods_the_longer_the_time(days, unit):
    first = np.datetime64("2026-01-01T12:00", "us")
    bins = aggregates.binned(np.array([first, first + np.timedelta64(days, "D")]))
    assert bins.unit == unit
    assert bins.starts[0].item() <= first.item()
    if unit == "week":
        assert bins.first.weekday() == 0


# Words


@pytest.mark.parametrize(
    ("ticks", "expected"),
    [
        ([0, 1, 2], ["$0", "$1", "$2"]),
        ([0, 500, 1000], ["$0", "$500", "$1,000"]),
        ([0, 0.5, 1.0], ["$0", "$0.50", "$1.00"]),
        ([0, 0.002, 0.004], ["$0", "$0.002", "$0.004"]),
        ([0, 2.5e-7], ["$0", "$0.00000025"]),
    ],
)
def test_money_ticks_have_as_many_decimals_as_their_steps(ticks, expected):
    assert Dollars().format_ticks(ticks) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.0042, "4.2 ms"), (0.25, "0.25 s"), (1.234, "1.2 s"), (42, "42 s"), (123, "123 s"), (1200, "20 min")],
)
def test_durations_read_as_people_say_them(value, expected):
    assert seconds(value) == expected


def test_a_letter_that_the_font_lacks_is_a_box():
    assert canvas.legible("\N{TEST TUBE} qwen 通义") == "\N{WHITE VERTICAL RECTANGLE} qwen " + 2 * canvas.BOX
    assert canvas.shorten("two\nlines  $1", 30) == "two lines  $1"


# Unhappy data

LONG = "a-very-long-name-" * 12
ODD = {
    "nothing known": [{"cost_nanos": None, "status": "cancelled"}],
    "a billionth and a hundred thousand dollars": [{"cost_nanos": 1}, {"cost_nanos": 10**14}],
    "less than nothing": [{"cost_nanos": -(10**9), "duration_s": -1.0, "input_tokens": -5}],
    "times without end": [{"duration_s": float("inf"), "first_token_s": float("inf")}, {}],
    "no number": [{"duration_s": float("nan"), "first_token_s": float("nan")}],
    "one model and 300 others": [{"model": f"model-{n}", "cost_nanos": 10**9 // (n + 1)} for n in range(301)],
    "long names": [{"model": LONG, "notebook": LONG, "error": LONG, "provider": LONG, "status": "error"}],
    "names in other scripts": [
        {"model": word, "notebook": f"{word}.ipynb", "error": word, "status": "error"}
        for word in (
            "נותן",
            "مُحادثة",
            "通义千问",
            "🧪🤖👩\u200d🔬",
            "\u202egnihton",
            "two\nlines\t",
            "a  b  c",
            "_under",
            "",
        )
    ],
    "a century and more": [
        {"time": datetime(1970, 1, 1, tzinfo=UTC)},
        {"time": datetime(2100, 1, 1, tzinfo=UTC)},
    ],
    "ten within a millisecond": [
        {"time": datetime(2026, 11, 22, 12, 0, 0, number * 100, tzinfo=UTC)} for number in range(10)
    ],
    "all failed": [{"status": "error", "error": "E", "cost_nanos": None}] * 5,
    "all replayed": [{"status": "replayed", "cost_nanos": 0, "saved_nanos": 10**9}] * 5,
    "all unpriced": [{"cost_nanos": None, "input_tokens": 5}] * 5,
    "all simulated": [{"simulated": True}] * 5,
    "all free": [{"cost_nanos": 0}] * 5,
}


@pytest.mark.product
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("odd", ODD)
def test_odd_calls_are_drawn_without_a_warning_and_inside_the_picture(ledger, odd, kind):
    for changes in ODD[odd]:
        usual = {"duration_s": 2.0, "first_token_s": 0.5, "input_tokens": 9, "output_tokens": 3}
        ledger.record(call(**(usual | changes)))
    figure, ax = plt.subplots(figsize=(3.2, 2.4), layout="constrained")
    ledger.plot(kind, ax=ax)
    figure.canvas.draw()
    assert odd != "all simulated" or "5 simulated calls" in texts(ax)
    for word in [*ax.texts, *(ax.get_legend().get_texts() if ax.get_legend() else [])]:
        box = word.get_window_extent()
        assert box.x0 >= -1, word
        assert box.x1 <= figure.bbox.x1 + 1, word


# The made-up month


def test_the_month_is_the_same_for_the_same_seed_and_another_for_another():
    third = demo.records(seed=3)
    assert third == demo.records(seed=3)
    assert third != simulated_calls()


def test_the_month_has_all_that_a_ledger_can_have(month):
    frame = month.df
    assert {"ok", "error", "cancelled", "replayed"} <= set(frame["status"])
    assert frame["notebook"].nunique() >= 5
    assert frame["provider"].nunique() >= 4
    assert month.total().unpriced > 50
    assert frame["simulated"].all()
    assert all(demo.TAGS.items() <= tags.items() for tags in frame["tags"])


def test_writing_the_month_again_adds_nothing(tmp_path):
    path = tmp_path / "month.sqlite"
    first = demo.month(path)
    calls = first.total().calls
    first.close()
    second = demo.month(path)
    assert second.total().calls == calls
    assert path.stat().st_mode & 0o777 == 0o600
    second.close()


def test_february_ends_on_the_28th():
    assert max(record.time.astimezone().day for record in simulated_calls("2027-02")) == 28


@pytest.mark.parametrize(
    ("kind", "title"),
    [
        ("model", "claude-opus-5-5 took 54 % of $26.34"),
        ("cumulative", "Spent so far: $26.34"),
        ("hours", "Most was spent Fri, 11\N{EN DASH}12 h: $1.24"),
        ("saved", "Replay saved 20 % of $33.05"),
    ],
)
def test_the_title_says_what_was_found(month, kind, title):
    assert month.plot(kind).get_title("left") == title


def test_the_title_of_cells_names_the_most_expensive_one(month):
    title = month.plot("most_expensive").get_title("left")
    assert re.fullmatch(r"agent_\S+ \[\d+\] took \d+ % of \$26\.\d\d", title)


def test_days_are_ticks_and_the_month_is_named_once(month):
    ax = month.plot("model")
    ax.figure.draw_without_rendering()
    labels = [label.get_text() for label in ax.get_xticklabels() if label.get_text()]
    assert [label for label in labels if "Oct" in label] == ["1 Oct"]
    assert all(label.isdigit() for label in labels[1:])
    assert ax.xaxis.get_offset_text().get_text() == "2026"


def test_a_new_month_is_named_where_it_begins(ledger):
    for day in range(12):
        ledger.record(call(time=datetime(2026, 10, 25, 12, tzinfo=UTC) + timedelta(days=day)))
    ax = ledger.plot("model")
    ax.figure.draw_without_rendering()
    labels = " ".join(label.get_text() for label in ax.get_xticklabels())
    assert (labels.count("Oct"), labels.count("Nov")) == (1, 1)


def test_the_heatmap_has_a_scale(month):
    legend = month.plot("hours").get_legend()
    amounts = [text.get_text() for text in legend.get_texts()]
    assert amounts[-1] == "$0"
    assert len({patch.get_facecolor() for patch in legend.get_patches()}) == len(amounts) == 3


@pytest.mark.parametrize(
    ("style", "transparent"), [("default", True), ("dark_background", True), ("ggplot", False)]
)
def test_a_new_figure_is_transparent_unless_a_light_style_is_chosen(month, style, transparent):
    with plt.style.context(style):
        ax = month.plot("model")
    assert [patch.get_alpha() == 0 for patch in (ax.figure.patch, ax.patch)] == [transparent] * 2


def test_a_new_figure_is_white_with_black_text_in_colab_whose_dark_background_is_grey(month, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    ax = month.plot("model")
    assert [mpl.colors.to_hex(patch.get_facecolor(), True) for patch in (ax.figure.patch, ax.patch)] == [
        "#ffffffff"
    ] * 2
    assert canvas.ink(ax) == "black"


@pytest.mark.parametrize("kind", KINDS)
def test_text_is_legible_on_a_white_and_on_a_dark_notebook(month, kind):
    ax = month.plot(kind)
    ax.figure.canvas.draw()
    legend = ax.get_legend()
    ticks = [*ax.get_xticklabels(), *ax.get_yticklabels(), ax.xaxis.get_offset_text()]
    words = [*ax.texts, ax._left_title, *ticks, ax.xaxis.label, *(legend.get_texts() if legend else [])]
    assert not legend or legend.get_frame().get_alpha() == 0
    for word in filter(Text.get_text, words):
        assert word.get_alpha() in {None, 1}
        color = luminance(word.get_color())
        assert min(contrast(color, luminance(ground)) for ground in ("white", "#111111")) > 3.5, word


@pytest.mark.parametrize("kind", KINDS)
def test_the_inline_backend_draws_no_box_behind_a_chart(month, kind):
    assert backend_inline._fetch_figure_metadata(month.plot(kind).figure) is None


def luminance(color):
    """Return the relative luminance of WCAG 2."""
    parts = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in mpl.colors.to_rgb(color)
    ]
    return float(np.dot(parts, (0.2126, 0.7152, 0.0722)))


def contrast(one, other):
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


@pytest.mark.parametrize(
    ("hours", "labels", "beside"),
    [
        ((20, 22, 24, 26), ["20:00", "22:00", "28 Nov", "02:00"], "2026"),
        ((8, 10, 12), ["08:00", "10:00", "12:00"], "27 Nov 2026"),
    ],
)
def test_hours_say_their_day_once(hours, labels, beside):
    locator = Dates(maxticks=8)
    ticks = Days(locator)
    start = datetime(2026, 11, 27, tzinfo=UTC)
    values = [date2num(start + timedelta(hours=hour)) for hour in hours]
    locator.tick_values(start + timedelta(hours=hours[0]), start + timedelta(hours=hours[-1]))
    assert ticks.format_ticks(values) == labels
    assert ticks.get_offset() == beside


def test_the_amount_spent_stands_in_the_title_and_not_over_the_projection(ledger):
    spent_daily(ledger, 10)
    ax = ledger.plot(until="2026-10-11")
    assert ax.get_title("left") == "Spent so far: $10.00"
    assert not any("$10.00" in text.get_text() for text in ax.texts)


def test_a_ledger_without_replays_names_no_savings(ledger):
    ledger.record(call())
    assert [text.get_text() for text in ledger.plot("saved").get_legend().get_texts()] == ["spent  $1.00"]


def test_the_hours_of_a_single_day_are_named_below_its_row(ledger):
    ledger.record(call())
    ax = ledger.plot("hours")
    ax.figure.draw_without_rendering()
    below = ax.transData.transform((0, 1))[1]
    label = ax.get_xticklabels()[0].get_window_extent()
    assert 0 < below - label.y1 < label.height


def test_a_short_name_is_in_the_title_and_a_long_one_as_far_as_it_fits(ledger):
    ledger.record(call(notebook="a.ipynb", execution_count=6))
    assert ledger.plot("most_expensive").get_title("left") == "a [6] took 100 % of $1.00"
    ledger.record(call(notebook=f"{'long-' * 20}.ipynb", execution_count=6, cost_nanos=9 * 10**9))
    ax = ledger.plot("most_expensive")
    ax.figure.draw_without_rendering()
    title = ax._left_title.get_window_extent()
    assert ax.figure.bbox.width * 0.8 < title.x1 <= ax.figure.bbox.width


def test_a_chart_printed_where_no_figures_are_shown_is_text(month):
    with pytest.raises(NotImplementedError):  # IPython then uses the usual text
        month.plot("model")._ipython_display_()
