"""A sum in which a price is an estimate is written with `≈` everywhere, until somebody says what it was."""

import sqlite3
import uuid
from contextlib import closing
from datetime import UTC, datetime
from types import SimpleNamespace

import matplotlib as mpl
import pytest

from llmkit.content.messages import LLMResponse
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.sqlite import rollups, schema
from llmkit.notebook.chat.header import money_form
from llmkit.notebook.compare.comparison import Comparison, ModelAnswer
from llmkit.notebook.compare.drawing import summary_line
from llmkit.notebook.display.footer import build_footer
from llmkit.records import CallRecord

mpl.use("Agg")

from matplotlib import pyplot as plt

FEE = {"m": {"input": 1.0, "output": 2.0, "web_searches": 10.0}}
NO_FEE = {"m": {"input": 1.0, "output": 2.0}}


@pytest.fixture
def ledger(tmp_path):
    with closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        yield ledger


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m"}
    fields |= {
        "input_tokens": 1000,
        "output_tokens": 100,
        "cost_nanos": 10_000_000,
        "usage_source": "reported",
    }
    return CallRecord(**{"time": datetime.now(UTC)} | fields | changes)


def write(ledger, *records):
    for record in records:
        ledger.record(record)
    assert ledger.flush()


GUESS = {"usage_source": "estimated"}
CUT = {"usage_source": "reported", "status": "cancelled", "at_most_nanos": 90_000_000}


@pytest.mark.parametrize("changes", [GUESS, {"usage_source": "partial"}, {"usage_source": "incomplete"}, CUT])
def test_every_sum_of_money_says_that_a_price_is_an_estimate(ledger, changes):
    write(ledger, call(), call(**changes))
    text = "≈$0.02 over 2 calls, 1 of them estimated"
    assert repr(ledger.total()) == repr(ledger.session_total()) == text
    assert text in repr(ledger)
    assert ledger.summary()["estimated"].tolist() == [1]
    assert ledger.summary("surface")["estimated"].tolist() == [1], "added up from the rows"
    assert "≈$0.02 spent" in repr(ledger.budget())
    with closing(ledger.dashboard(since="all")) as board:
        assert "≈$0.02" in repr(board)
        assert "1 call with an estimated price" in repr(board)
    figure, ax = plt.subplots()
    ledger.plot("model", ax=ax)
    assert "2 calls, 1 of them estimated" in " ".join(text.get_text() for text in ax.texts)
    plt.close(figure)


def test_exact_sums_are_written_without_the_mark(ledger):
    replayed = call(status="replayed", cost_nanos=0, saved_nanos=5, usage_source="estimated")
    free = call(cost_nanos=0, usage_source="estimated")
    failed = call(status="error", cost_nanos=None, usage_source=None, input_tokens=None, output_tokens=None)
    write(ledger, call(), call(usage_source=None), replayed, free, failed)
    with closing(ledger.dashboard(since="all")) as board:
        assert "≈" not in repr(ledger.total()) + repr(ledger.budget()) + repr(board)


def test_only_the_notebook_with_an_estimate_has_an_estimated_sum(ledger, monkeypatch):
    monkeypatch.setenv("LLMKIT_NOTEBOOK", "a.ipynb")
    ledger.budget(per_notebook=1)
    write(ledger, call(notebook="a.ipynb", **GUESS), call(notebook="b.ipynb"))
    found = {}
    for name in ("a.ipynb", "b.ipynb"):
        monkeypatch.setattr(
            "llmkit.costs.budgets.budget.current_context", lambda name=name: SimpleNamespace(notebook=name)
        )
        found[name] = ledger.budget().notebook_estimated
    assert found == {"a.ipynb": 1, "b.ipynb": 0}


def test_what_is_settled_is_no_estimate_and_undoing_that_makes_it_one_again(ledger):
    cut, guess = call(**CUT | GUESS), call(**GUESS)
    write(ledger, cut, guess)
    first, second = ledger.settle(cut.uid), ledger.settle(guess.uid, 0.5)
    assert (first.settled, first.calls, second.settled, second.calls) == (1, 0, 1, 1)
    assert (ledger.total().estimated, ledger.df["usage_source"].tolist()) == (0, ["settled", "settled"])
    assert ledger.settle(cut.uid).run not in set(ledger.corrections["run"]), "a second time changes nothing"
    for run in (first.run, second.run):
        ledger.correct(undo=run)
    assert (ledger.total().estimated, ledger.df["usage_source"].tolist()) == (2, ["estimated", "estimated"])


@pytest.mark.parametrize(
    ("prices", "source"), [(FEE, "reported"), ({"m": {"input": 1, "output": 2}}, "incomplete")]
)
def test_a_correction_that_prices_all_that_was_used_makes_a_price_exact(ledger, prices, source):
    write(ledger, call(usage_source="incomplete", units={"web_searches": 2}), call(**GUESS))
    done = ledger.correct(prices=prices)
    assert ledger.df["usage_source"].tolist() == [source, "estimated"], (
        "tokens that were guessed stay a guess"
    )
    ledger.correct(undo=done.run)
    assert ledger.total().estimated == 2


def test_estimates_are_counted_without_reading_the_other_rows(ledger):
    write(ledger, *(call() for _ in range(50)), call(**GUESS))
    with closing(sqlite3.connect(ledger.path)) as connection:
        query = rollups._estimates(["simulated", "status"], schema.estimated(), since=False)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert "calls_estimated" in plan[0]


def test_a_file_that_only_an_older_llmkit_wrote_to_is_counted_too(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in (*schema.MIGRATIONS[0], "PRAGMA user_version = 1"):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO calls (time, uid, status, provider, model, cost_nanos, usage_source)"
            " VALUES (1, 'a', 'ok', 'p', 'm', 5, 'estimated'), (2, 'b', 'ok', 'p', 'm', 5, 'reported')"
        )
    path.chmod(0o400)
    with closing(Ledger(path)) as ledger:
        assert (ledger.total().estimated, ledger.sums(session=None)[False].estimated) == (1, 1)
        path.chmod(0o600)
        write(ledger, call(**GUESS))
        assert ledger.total().estimated == ledger.summary()["estimated"].sum() == 2
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO calls (time, uid, status, cost_nanos, usage_source)"
            " VALUES (3, 'c', 'ok', 5, 'partial')"
        )
        connection.commit()
    with closing(Ledger(path)) as ledger:
        assert ledger.total().estimated == 3


def answer(cost=0.01, source="reported", **fields):
    return LLMResponse("Hi", "openai", "m", cost_estimate=cost, usage_source=source, **fields)


def test_the_footer_marks_its_own_price_and_the_sum():
    line = build_footer(answer(source="partial"), session_cost=0.03, estimated=True)
    assert line.facts[-2:] == ("≈$0.01", "Σ ≈$0.03")
    assert build_footer(answer(), session_cost=0.03).facts[-2:] == ("$0.01", "Σ $0.03")
    assert build_footer(answer(0.0, "incomplete")).facts[-1] == "≈$0.00", (
        "a fee is missing, so it is not free"
    )
    assert build_footer(answer(0.0, "estimated")).facts[-1] == "free"


@pytest.mark.parametrize(("source", "text"), [("partial", "≈$0.02"), ("reported", "$0.02")])
def test_the_chats_header_and_the_comparisons_line_mark_their_sums(source, text):
    answers = [answer(), answer(source=source)]
    nodes = [SimpleNamespace(response=each) for each in answers]
    assert money_form(nodes, None)["cost"] == text
    entries = [
        ModelAnswer(label=f"m{place}", provider="openai", model="m", status="ok", text="Hi", outcome=each)
        for place, each in enumerate(answers)
    ]
    assert summary_line(Comparison(entries)).facts[1] == text
