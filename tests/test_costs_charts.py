import uuid
from datetime import UTC, datetime, timedelta

import matplotlib as mpl
import pytest

from llmkit.costs.ledger import Ledger
from llmkit.errors import ConfigurationError
from llmkit.records import CallRecord

mpl.use("Agg")

from matplotlib import pyplot as plt


@pytest.fixture
def ledger():
    yield Ledger(":memory:")
    plt.close("all")


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
    ax.figure.canvas.draw()
    return " ".join(text.get_text() for text in ax.findobj(mpl.text.Text))


@pytest.mark.parametrize("kind", ["cumulative", "model"])
def test_an_empty_ledger_shows_a_hint(ledger, kind):
    assert "No calls yet" in texts(ledger.plot(kind))


@pytest.mark.parametrize("kind", ["cumulative", "model"])
def test_a_chart_says_what_was_spent_and_how_many_calls_have_no_price(ledger, kind):
    for day in range(12):
        ledger.record(call(time=datetime(2026, 11, 1 + day, 12, tzinfo=UTC), model=f"m{day % 2}"))
    ledger.record(call(cost_nanos=None))
    shown = texts(ledger.plot(kind))
    assert "13 calls, 1 without a known price" in shown
    assert "$12.0000" in shown if kind == "cumulative" else "m0  $6.0000" in shown


@pytest.mark.parametrize("kind", ["cumulative", "model"])
def test_a_ledger_without_any_known_price_draws_no_zero(ledger, kind):
    ledger.record(call(cost_nanos=None))
    shown = texts(ledger.plot(kind))
    assert "1 without a known price" in shown
    assert "$0.00" not in shown.split()


def test_one_call_is_shown_on_a_scale_of_hours(ledger):
    ledger.record(call())
    first, last = mpl.dates.num2date(ledger.plot().get_xlim())
    assert last - first < timedelta(hours=2)


def test_simulated_calls_are_drawn_as_such(ledger):
    ledger.record(call(simulated=True))
    assert "1 simulated call: not real money" in texts(ledger.plot())
    assert "No calls yet" in texts(ledger.plot(simulated=False))


def test_many_models_share_a_grey(ledger):
    for number in range(20):
        ledger.record(call(model=f"model-{number}"))
    assert "14 others  $14.0000" in texts(ledger.plot("model"))


def test_a_chart_is_drawn_where_it_is_wanted_without_another_figure(ledger):
    ledger.record(call())
    figure, ax = plt.subplots()
    assert ledger.plot(ax=ax) is ax
    assert plt.get_fignums() == [figure.number]


def test_an_unknown_chart_names_the_nearest(ledger):
    with pytest.raises(ConfigurationError, match="Did you mean 'cumulative'"):
        ledger.plot("cumulativ")
