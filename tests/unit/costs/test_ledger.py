# ruff: noqa: PT031 - a warning is due at one of several calls
import html
import os
import pickle
import subprocess
import sys
import uuid
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest

import llmkit
from llmkit.core.errors import ConfigurationError
from llmkit.costs.ledger import Ledger
from llmkit.notebook.commands.doctor import examine_ledger
from llmkit.records import CallRecord, Recorder, session_id
from tests.support.processes import unmeasured


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m"}
    return CallRecord(**{"time": datetime.now(UTC)} | fields | changes)


def test_a_recorded_call_is_committed_and_shows_in_the_frame(ledger):
    recorder: Recorder = ledger
    assert recorder.record(call(cost_nanos=375, tags={"project": "thesis"})).result(10) is True
    (row,) = ledger.df.to_dict("records")
    assert (row["status"], row["cost_usd"], row["tags"]) == ("ok", 375e-9, {"project": "thesis"})


def test_importing_the_ledger_loads_nothing_heavy():
    heavy = "{'pandas', 'matplotlib', 'numpy', 'sqlite3', 'platformdirs'}"
    code = f"import sys, llmkit.costs.ledger; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.check_output([sys.executable, "-c", code], text=True, env=unmeasured())
    assert found.strip() == "[]"


def test_recording_and_adding_up_load_no_pandas():
    code = (
        "import sys, uuid; from datetime import UTC, datetime; from llmkit.costs.ledger import Ledger\n"
        "from llmkit.records import CallRecord\n"
        "books = Ledger(':memory:')\n"
        "books.record(CallRecord(time=datetime.now(UTC), uid='1', status='ok', provider='p', model='m'))\n"
        "print(books.total(), books.session_total(), 'pandas' in sys.modules)"
    )
    out = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert out.strip() == "$? over 1 call (1 without a known price) " * 2 + "False"


def test_a_total_is_exact_where_floats_are_not(ledger):
    for _ in range(10):
        ledger.record(call(cost_nanos=100_000_000))
    assert ledger.total().usd == 1.0
    assert ledger.summary()["cost_usd"].tolist() == [1.0]


def test_totals_leave_simulated_calls_out_once_a_real_one_cost_something(ledger):
    ledger.record(call(cost_nanos=5_000_000_000, simulated=True))
    assert str(ledger.total()) == "$5.00 over 1 simulated call"
    assert ledger.summary()["calls"].tolist() == [1]
    ledger.record(call(cost_nanos=1_000_000_000))
    assert (
        str(ledger.total()) == str(ledger.session_total()) == "$1.00 over 1 call; 1 simulated call left out"
    )
    assert ledger.summary()["cost_usd"].tolist() == [1.0]
    assert ledger.total(simulated=True).usd == 5.0
    assert ledger.total(simulated=False).usd == 1.0


def test_a_total_can_be_that_of_a_session_or_of_some_time(ledger):
    ledger.record(call(cost_nanos=1_000_000_000, session=session_id()))
    ledger.record(call(cost_nanos=2_000_000_000, session="other", time=datetime(2026, 1, 1, tzinfo=UTC)))
    assert ledger.total(session=session_id()).usd == 1.0
    assert ledger.total(since="2026-01-02").usd == 1.0
    assert ledger.total(since=date(2025, 1, 1)).usd == 3.0
    with pytest.raises(ConfigurationError, match="cannot be used as a date or time"):
        ledger.total(since="yesterday")


def test_a_summary_says_what_is_unknown(ledger):
    ledger.record(call(model="a", cost_nanos=10**9, input_tokens=3, output_tokens=4))
    ledger.record(call(model="a", status="error", error="RateLimitError"))
    ledger.record(call(model="b"))
    ledger.record(call(model="c", status="replayed", cost_nanos=0, saved_nanos=10**9))
    table = ledger.summary()
    assert table.columns.tolist() == [
        "calls", "errors", "input_tokens", "output_tokens", "cost_usd", "unpriced", "estimated",
        "saved_usd",
    ]  # fmt: skip
    assert table.index.tolist() == ["a", "c", "b"]
    assert table["cost_usd"].tolist()[:2] == [1.0, 0.0]
    assert pd.isna(table.loc["b", "cost_usd"])
    assert pd.isna(table.loc["b", "input_tokens"])
    assert table[["errors", "unpriced"]].to_numpy().tolist() == [[1, 0], [0, 0], [0, 1]]
    assert table["saved_usd"].tolist() == [0.0, 1.0, 0.0]


def test_a_summary_can_be_by_several_columns_by_tags_and_by_local_time(ledger):
    noon = datetime(2026, 7, 1, 12).astimezone()
    for tag in ("x", "x", "y"):
        ledger.record(call(time=noon, tags={"project": tag}))
    ledger.record(call(time=noon - timedelta(days=1), tags={"project": "y"}))
    assert ledger.summary(["model", "tags"])["calls"].tolist() == [2, 2]
    assert ledger.summary("day").index.tolist() == [pd.Timestamp("2026-06-30"), pd.Timestamp("2026-07-01")]
    assert ledger.summary("hour").index[-1] == pd.Timestamp("2026-07-01 12:00")
    assert ledger.summary(("month", "model")).index.tolist() == [
        (pd.Timestamp("2026-06-01"), "m"),
        (pd.Timestamp("2026-07-01"), "m"),
    ]


def test_a_day_is_a_local_day():
    code = (
        "import uuid; from datetime import UTC, datetime; from llmkit.costs.ledger import Ledger\n"
        "from llmkit.records import CallRecord\n"
        "books = Ledger(':memory:')\n"
        "for time in ('2026-03-28T23:30Z', '2026-03-29T21:30Z', '2026-03-29T22:30Z'):\n"
        "    books.record(CallRecord(time=datetime.fromisoformat(time), uid=time, status='ok',"
        " provider='p', model='m'))\n"
        "print(books.summary('day')['calls'].to_dict(), books.clear('2026-03-30'))"
    )
    environment = os.environ | {"TZ": "Europe/Berlin"}
    out = subprocess.check_output([sys.executable, "-c", code], text=True, env=environment)
    assert out.strip() == "{Timestamp('2026-03-29 00:00:00'): 2, Timestamp('2026-03-30 00:00:00'): 1} 2"


def test_an_empty_ledger_has_empty_tables(ledger):
    assert ledger.df.empty
    assert ledger.summary().empty
    assert ledger.summary(["day", "model"]).empty
    assert str(ledger.total()) == "$0.00 over 0 calls"
    assert not ledger.path.exists()


@pytest.mark.parametrize(("name", "hint"), [("modle", "'model'"), ("days", "'day'"), ("zzz", "Known: time,")])
def test_an_unknown_column_names_the_nearest(ledger, name, hint):
    with pytest.raises(ConfigurationError, match=hint):
        ledger.summary(name)


def test_a_summary_by_nothing_asks_for_a_column(ledger):
    with pytest.raises(ConfigurationError, match="by must name at least one column"):
        ledger.summary([])


@pytest.mark.parametrize("some", [lambda ledger: ledger, lambda ledger: ledger.where(model="m")])
def test_pickling_says_to_pass_the_path(ledger, some):
    with pytest.raises(TypeError, match=r"Pass ledger\.path.* Ledger\(path\)"):
        pickle.dumps(some(ledger))


def test_the_address_of_another_store_stays_as_it_is(ledger, monkeypatch):
    monkeypatch.setattr(type(ledger._store), "name", "postgresql://host/llm")
    assert ledger.path == "postgresql://host/llm"
    assert examine_ledger(ledger).ok


def test_clearing_deletes_for_every_reader(ledger):
    other = Ledger(ledger.path)
    for day in (1, 2, 3):
        ledger.record(call(time=datetime(2026, 11, day, 12, tzinfo=UTC)))
    assert len(ledger.df) == len(other.df) == 3
    assert other.clear("2026-11-02") == 1
    assert ledger.df["time"].dt.day.tolist() == [2, 3]
    assert ledger.clear() == 2
    assert other.df.empty
    ledger.record(call()).result(10)
    assert len(ledger.df) == len(other.df) == 1
    other.close()


def test_a_subscriber_gets_every_call_and_cannot_break_one(ledger, caplog):
    seen = []

    def broken(record):
        raise RuntimeError(record.uid)

    ledger.subscribe(broken)
    stop = ledger.subscribe(seen.append)
    first, second = call(), call()
    assert ledger.record(first).result(10) is True
    stop()
    stop()
    ledger.record(second)
    assert seen == [first]
    assert "A hook of calls failed" in caplog.text


def test_the_sum_of_the_session_needs_no_file(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    ledger = Ledger(blocked / "ledger.sqlite")
    with pytest.warns(Warning, match="Cannot write calls"):
        ledger.record(call(cost_nanos=10**9)).result(10)
        ledger.flush()
    assert ledger.session_total().usd == 1.0
    assert ledger.total().usd == 1.0
    assert len(ledger.df) == 1
    ledger._opened._writer.discard(before=None, column=0)


def test_files_are_written_for_their_owner_only(ledger, tmp_path):
    ledger.record(call(tags={"a": "ü,\n"}))
    ledger.record(call())
    ledger.to_csv(tmp_path / "calls.csv")
    ledger.to_parquet(tmp_path / "calls.parquet")
    for read, name in ((pd.read_csv, "calls.csv"), (pd.read_parquet, "calls.parquet")):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        frame = read(tmp_path / name)
        assert frame.columns.tolist() == ledger.df.columns.tolist()
        assert frame["tags"].tolist() == ['{"a": "\\u00fc,\\n"}', "{}"]


def test_without_pyarrow_the_error_names_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from llmkit.costs.ledger import Ledger; Ledger(':memory:').to_parquet('x')"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], text=True, capture_output=True, cwd=tmp_path, check=False
    )
    assert 'pip install "jupyter-llmkit[parquet]"' in run.stderr
    assert not list(tmp_path.iterdir())


def test_a_ledger_shows_itself_safely(tmp_path):
    ledger = Ledger(tmp_path / "<script>.sqlite")
    ledger.record(call(cost_nanos=10**9, model="<img onerror=alert(1)>"))
    shown = ledger._repr_mimebundle_()
    assert "$1.00 over 1 call" in shown["text/plain"]
    assert "<script" not in shown["text/html"]
    assert html.escape("<script>") in shown["text/html"]
    ledger.close()


def test_a_ledger_that_cannot_be_read_says_so_instead_of_breaking_the_cell(tmp_path):
    path = tmp_path / "ledger.sqlite"
    path.write_bytes(b"no database at all, but some other text" * 100)
    assert "cannot be read: file is not a database" in repr(Ledger(path))


@pytest.mark.parametrize("where", ["file", ":memory:", None])
def test_the_default_ledger_is_where_the_environment_says(where, tmp_path):
    environment = os.environ | {"XDG_DATA_HOME": str(tmp_path), "LLMKIT_LEDGER": where or ""}
    code = (
        "import os; from llmkit.costs.ledger import ledger; first = ledger.path\n"
        "os.environ['LLMKIT_LEDGER'] = 'elsewhere'; assert ledger.path == first; print(first)"
    )
    out = subprocess.check_output(
        [sys.executable, "-c", code], text=True, env=environment, cwd=tmp_path
    ).strip()
    default = str(tmp_path / "llmkit" / "ledger.sqlite")
    assert out == {"file": str(tmp_path / "file"), ":memory:": ":memory:", None: default}[where]
    assert isinstance(llmkit.ledger, Ledger)
