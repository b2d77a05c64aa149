import gc
import inspect
import uuid
from datetime import UTC, datetime, timedelta

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib import pyplot as plt

from llmkit.core.errors import ConfigurationError
from llmkit.costs.calls import Calls
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.filters import FilterOptions, Filters, read
from llmkit.records import CallRecord

mpl.use("Agg")

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


def call(number, **changes):
    fields = {
        "time": START + timedelta(days=number),
        "uid": f"{number:032x}",
        "status": "ok",
        "provider": "openai" if number % 2 else "google",
        "model": f"m{number % 3}",
        "notebook": f"{number % 2}.ipynb",
        "surface": "batch" if number > 7 else "magic",
        "session": f"s{number % 4}",
        "input_tokens": 10,
        "output_tokens": number,
        "cost_nanos": 100_000_001 * number,
        "usage_source": "reported",
        "tags": {"project": f"p{number % 2}", "step": str(number % 3)} if number else {},
    }
    return CallRecord(**fields | changes)


@pytest.fixture
def ledger():
    ledger = Ledger(":memory:")
    for number in range(10):
        ledger.record(call(number))
    ledger.record(call(10, simulated=True, status="error", error="RateLimitError"))
    ledger.flush()
    return ledger


def numbers(calls):
    return [int(uid, 16) for uid in calls.df["uid"]]


CHOICES = {
    "provider": ({"provider": "openai"}, {1, 3, 5, 7, 9}),
    "models": ({"model": ["m0", "m1"]}, {0, 1, 3, 4, 6, 7, 9, 10}),
    "notebook": ({"notebook": "1.ipynb"}, {1, 3, 5, 7, 9}),
    "status": ({"status": ("error", "interrupted")}, {10}),
    "surface": ({"surface": "batch"}, {8, 9, 10}),
    "session": ({"session": "s3"}, {3, 7}),
    "tag": ({"tag": "project"}, set(range(1, 11))),
    "tag and value": ({"tag": "project=p1"}, {1, 3, 5, 7, 9}),
    "tags by name": ({"tags": {"project": "p1", "step": "0"}}, {3, 9}),
    "a tag with any value": ({"tags": {"project": None, "step": "0"}}, {3, 6, 9}),
    "tags as a list": ({"tags": ["project=p0", "step=1"]}, {4, 10}),
    "since": ({"since": START + timedelta(days=8)}, {8, 9, 10}),
    "until": ({"until": START + timedelta(days=2)}, {0, 1}),
    "real": ({"simulated": False}, set(range(10))),
    "simulated": ({"simulated": True}, {10}),
    "several": ({"provider": "openai", "surface": "batch", "tag": "step=0"}, {9}),
}


@pytest.mark.parametrize(("filters", "expected"), CHOICES.values(), ids=CHOICES)
def test_where_chooses_the_calls_that_pass_all_filters(ledger, filters, expected):
    assert set(numbers(ledger.where(**filters))) == expected
    assert ledger.query(**filters)["uid"].tolist() == ledger.where(**filters).df["uid"].tolist()


@pytest.mark.parametrize("filters", [filters for filters, _ in CHOICES.values()], ids=CHOICES)
def test_totals_and_summaries_of_chosen_calls_are_those_of_a_ledger_of_them_alone(ledger, filters):
    calls, alone = ledger.where(**filters), Ledger(":memory:")
    for number in numbers(calls):
        alone.record(call(number, **({"simulated": True, "status": "error"} if number == 10 else {})))
    assert (calls.total().usd, calls.total().calls) == (alone.total().usd, alone.total().calls)
    assert {kind: sums for kind, sums in calls.sums().items() if sums.calls} == alone.sums()
    for by in ("model", ["surface", "provider"], "day", "tag:step"):
        assert calls.summary(by).sort_index().to_csv() == alone.summary(by).sort_index().to_csv()


def test_where_chains_and_every_filter_holds(ledger):
    calls = ledger.where(provider="openai").where(model=["m0", "m1"], since=START + timedelta(days=2))
    assert numbers(calls) == [3, 7, 9]
    assert numbers(calls.where(model=["m1", "m2"], until=START + timedelta(days=8))) == [7]
    assert numbers(calls.where(since=START, tag="step").where(tag="project=p1")) == [3, 7, 9]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"model": "m0"}, {"model": "m1"}),
        ({"simulated": True}, {"simulated": False}),
        ({"until": START}, {"since": START}),
        ({"tag": "project=p0"}, {"tag": "project=p1"}),
    ],
)
def test_filters_that_exclude_each_other_leave_nothing(ledger, one, other):
    calls = ledger.where(**one).where(**other)
    assert (numbers(calls), calls.total().calls, len(calls.summary())) == ([], 0, 0)


def test_a_ledger_is_all_of_its_calls(ledger):
    assert isinstance(ledger, Calls)
    assert ledger.where() is ledger
    assert ledger.where(model=None).df.equals(ledger.df)
    assert ledger.where(model="m0").ledger is ledger


def test_calls_that_are_made_later_are_among_them(ledger):
    calls = ledger.where(model="m0")
    before = calls.total().calls
    ledger.record(call(12))
    assert calls.total().calls == before + 1


def test_a_filter_in_a_method_holds_besides_those_of_the_calls(ledger):
    calls = ledger.where(provider="openai")
    assert calls.total(model="m0").usd == pytest.approx(1.200000012)
    assert calls.summary("notebook", model="m0")["calls"].tolist() == [2]
    assert calls.reprice("gpt-6-luna", only_model="m0").calls == 2
    assert calls.correct(prices={"m1": {"input": 1, "output": 1}}, dry_run=True, model="m1").examined == 2


def test_what_chosen_calls_would_cost_is_asked_of_them_alone(ledger):
    repriced = ledger.where(tag="project=p1").reprice("m", prices={"m": {"input": 1, "output": 2}})
    assert (repriced.calls, repriced.what_if_nanos) == (5, 1000 * (5 * 10 + 2 * (1 + 3 + 5 + 7 + 9)))


def test_only_chosen_calls_are_corrected(ledger):
    prices = {f"m{number}": {"input": 1, "output": 2} for number in range(3)}
    corrected = ledger.where(surface="batch").correct(prices=prices, reason="new contract")
    assert (corrected.calls, set(ledger.corrections["uid"])) == (2, {f"{8:032x}", f"{9:032x}"})
    assert ledger.where(simulated=True).correct(prices=prices, dry_run=True).calls == 1


def test_only_chosen_calls_are_reconciled(ledger):
    rows = {"date": ["2026-11-04", "2026-11-06"], "model": ["m0", "m2"], "cost": [0.300000003, 0.500000005]}
    assert ledger.reconcile(pd.DataFrame(rows))["status"].tolist() == ["match", "only ours", "match"]
    assert ledger.where(provider="openai").reconcile(pd.DataFrame(rows))["status"].tolist() == ["match"] * 2
    days = {"since": START + timedelta(days=5, hours=3), "until": START + timedelta(days=5, hours=4)}
    found = ledger.where(**days).reconcile(pd.DataFrame(rows))
    assert found["status"].tolist() == ["match"], "the whole UTC day"


@pytest.mark.parametrize("providers", ["google", ["google", "mistral"]])
def test_an_export_of_another_provider_is_refused(ledger, providers):
    theirs = {"input_tokens": 10, "output_tokens": 1, "model": "m1"}
    pages = {"data": [{"start_time": 1793534400, "results": [theirs]}]}
    with pytest.raises(ConfigurationError, match=r"openai's, not google"):
        ledger.where(provider=providers).reconcile(pages)


def test_chosen_calls_are_drawn(ledger):
    calls = ledger.where(provider="openai", since=START + timedelta(days=4))
    with plt.ioff():
        line = calls.plot.cumulative().lines[0]
        assert line.get_ydata()[-1] == pytest.approx(0.1 * (5 + 7 + 9))
        assert calls.plot("cumulative").lines[0].get_ydata()[-1] == line.get_ydata()[-1]
        assert "provider openai" in calls.plot.model().texts[0].get_text()
    plt.close("all")


def test_every_kind_of_chart_is_an_attribute_of_plot(ledger):
    from llmkit.costs.charts import KINDS

    for kind in KINDS:
        title = getattr(ledger.plot, kind)().get_title("left")
        assert title == ledger.plot(kind).get_title("left")
        plt.close("all")
    assert ledger.plot("dearest").get_title("left") == ledger.plot.dearest().get_title("left")
    plt.close("all")


def test_chosen_calls_are_written_to_files(ledger, tmp_path):
    ledger.where(model="m1").to_csv(tmp_path / "m1.csv")
    ledger.where(model="m1").to_parquet(tmp_path / "m1.parquet")
    ledger.where(model="m1").to_excel(tmp_path / "m1.xlsx")
    for read_file, name in ((pd.read_csv, "csv"), (pd.read_parquet, "parquet"), (pd.read_excel, "xlsx")):
        assert read_file(tmp_path / f"m1.{name}")["output_tokens"].tolist() == [1, 4, 7, 10]


def test_a_dashboard_has_the_chosen_calls_alone(ledger):
    board = ledger.where(surface="batch").dashboard(since="all", simulated=False)
    try:
        assert sorted(board.df["output_tokens"]) == [8, 9]
        ledger.record(call(11))
        ledger.record(call(13, surface="chat"))
    finally:
        board.close()


def test_a_dashboard_takes_filters_that_are_no_controls(ledger):
    board = ledger.dashboard(since="all", provider="openai", model=["m0", "m1"], notebook="1.ipynb")
    try:
        assert sorted(board.df["output_tokens"]) == [1, 3, 7, 9]
        assert (board.settings.notebook, board.settings.model) == ("1.ipynb", None)
    finally:
        board.close()


def test_calls_say_which_they_are_and_what_they_cost(ledger):
    calls = ledger.where(model=["m0", "m1"], tags={"project": "p1", "step": None}, simulated=False)
    said = "Calls (model m0, m1; tag project=p1; tag step; not simulated): $2.00 over 4 calls"
    assert repr(calls) == said
    shown = calls._repr_html_()
    assert "$2.00 over 4 calls" in shown
    assert shown.count("<tr") == 5


def test_the_table_of_many_calls_is_cut_and_what_a_model_is_called_is_text():
    ledger = Ledger(":memory:")
    for number in range(100):
        ledger.record(call(number, model="<script>alert(1)</script> $x$", uid=uuid.uuid4().hex))
    shown = ledger.where(provider=["openai", "google"])._repr_html_()
    assert shown.count("<tr") < 15
    assert "<script" not in shown
    assert shown.startswith('<div class="mathjax_ignore')


@pytest.mark.parametrize(
    "use",
    [
        lambda ledger: ledger.where(modl="m"),
        lambda ledger: ledger.query(modl="m"),
        lambda ledger: ledger.total(modl="m"),
        lambda ledger: ledger.plot("model", modl="m"),
        lambda ledger: ledger.plot.model(modl="m"),
        lambda ledger: ledger.correct(modl="m"),
        lambda ledger: ledger.dashboard(modl="m"),
    ],
)
def test_a_filter_that_does_not_exist_is_refused_with_the_nearest_one(ledger, use):
    with pytest.raises(ConfigurationError, match=r"Unknown filter 'modl'.*Did you mean 'model'\?") as caught:
        use(ledger)
    assert isinstance(caught.value, TypeError)  # as for any unknown keyword argument


@pytest.mark.parametrize("filters", [{"model": 3}, {"tags": 3}, {"tag": {"a": "b"}}, {"since": "soon"}])
def test_a_value_that_cannot_be_used_is_refused(ledger, filters):
    with pytest.raises(ConfigurationError, match=r"must be a string|cannot be used"):
        ledger.where(**filters)


def test_completion_and_help_know_every_filter():
    for method in (Ledger.where, Ledger.query, Ledger.total, Ledger.reprice, Ledger.correct):
        parameters = inspect.signature(method).parameters
        assert set(parameters) >= set(FilterOptions.__annotations__)
        assert "filters" not in parameters
    assert inspect.signature(Ledger.where).parameters["since"].annotation == "date | str | None"
    assert next(iter(inspect.signature(Ledger.reprice).parameters)) == "self"


def test_filters_in_words():
    everything = read(
        {"model": "m", "session": ["a", "b"], "tags": "x", "since": "2026-11-01", "until": None}
    )
    assert str(everything) == "model m; session a, b; tag x; since 2026-11-01 00:00"
    assert (str(Filters()), Filters() & Filters()) == ("", Filters())


def test_chosen_calls_are_read_once_and_then_only_the_new_ones(ledger, monkeypatch):
    chosen, read = ledger.where(model="m1"), []
    store = ledger.flushed_store()
    pages = type(store).read

    def counted(*arguments):
        page = pages(*arguments)
        read.append(len(page.rows))
        return page

    assert numbers(chosen) == [1, 4, 7, 10]
    monkeypatch.setattr(type(store), "read", counted)
    ledger.record(call(13)).result(10)
    ledger.record(call(14)).result(10)
    assert chosen.exact["uid"].tolist() == [f"{number:032x}" for number in (1, 4, 7, 10, 13)]
    assert numbers(chosen) == [1, 4, 7, 10, 13]
    assert sum(read) == 1
    assert ledger.clear() == 13
    assert chosen.df.empty


def test_chosen_calls_release_their_rows(ledger):
    for _ in range(3):
        assert len(ledger.where(model="m1").df) == 4
    gc.collect()
    assert not ledger._frames
