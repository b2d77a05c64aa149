import copy
import json
import math
import pickle
import uuid
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmkit.costs.frame import frame as frames
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.rows import COLUMNS, encode
from llmkit.costs.store.sqlite import sqlite_store as store
from llmkit.records import CallRecord
from tests.support.examples import examples

counts = st.none() | st.integers(0, 2**62)
money = st.none() | st.integers(0, 10**12)
seconds = st.none() | st.floats(0, 1e9)
words = st.none() | st.text(max_size=8)
records = st.builds(
    CallRecord,
    time=st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    uid=st.uuids().map(lambda uid: uid.hex),
    status=st.sampled_from(["ok", "error", "interrupted", "cancelled", "replayed", "lost"]),
    surface=st.sampled_from(["magic", "chat", "api", "batch"]),
    provider=st.text(max_size=8),
    model=st.text(max_size=8),
    tags=st.dictionaries(st.text(max_size=4), st.text(max_size=4), max_size=3),
    simulated=st.booleans(),
    attempts=st.integers(0, 9),
    units=st.dictionaries(st.sampled_from(["web_searches", "requests"]), st.integers(0, 2**62)),
    **dict.fromkeys(["cost_nanos", "saved_nanos", "at_most_nanos"], money),
    **dict.fromkeys(["first_token_s", "duration_s"], seconds),
    **dict.fromkeys(["model_served", "finish_reason", "error", "notebook", "cell_id", "session"], words),
    **dict.fromkeys(["price_source", "price_date", "usage_source"], words),
    **dict.fromkeys(["input_tokens", "output_tokens", "cache_read_tokens", "execution_count"], counts),
    **dict.fromkeys(["cache_write_tokens", "reasoning_tokens"], counts),
)


@pytest.fixture
def ledger():
    return Ledger(":memory:")


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m"}
    return CallRecord(**{"time": datetime.now(UTC)} | fields | changes)


def as_records(frame):
    """Undo what the frame does to a record's fields."""
    for row in frame.astype(object).to_dict("records"):
        fields = {name: None if not isinstance(v, dict) and pd.isna(v) else v for name, v in row.items()}
        for name in ("cost", "saved", "at_most"):
            usd = fields.pop(f"{name}_usd")
            fields[f"{name}_nanos"] = None if usd is None else round(usd * 10**9)
        fields |= {"tags": dict(fields["tags"]), "units": json.loads(fields["units"] or "{}")}
        yield CallRecord(**fields | {"time": fields["time"].to_pydatetime()})


def test_the_columns_are_these_in_this_order(ledger):
    expected = (
        "time uid status surface provider model model_served input_tokens output_tokens cache_read_tokens"
        " cache_write_tokens reasoning_tokens cost_usd saved_usd price_source price_date usage_source"
        " first_token_s duration_s attempts finish_reason error notebook cell_id execution_count session"
        " tags simulated fallback_from key_source cache_write_1h_tokens service_tier at_most_usd"
        " units parent_uid step"
    )
    assert ledger.df.columns.tolist() == expected.split()
    empty = ledger.df.dtypes
    ledger.record(call())
    full = ledger.df.dtypes
    assert empty.map(str).tolist() == full.map(str).tolist()
    assert str(full["time"]) == "datetime64[us, UTC]"
    assert str(full["input_tokens"]) == "Int64"
    assert str(full["cost_usd"]) == str(full["at_most_usd"]) == "float64"
    assert str(full["simulated"]) == "bool"
    assert ledger.df["status"].cat.categories.tolist() == [
        "ok",
        "error",
        "interrupted",
        "cancelled",
        "replayed",
        "lost",
    ]


@examples(40)
@given(st.lists(records, max_size=6, unique_by=lambda record: record.uid))
def test_what_is_recorded_is_what_the_frame_shows(calls):
    with closing(Ledger(":memory:")) as ledger:
        half = len(calls) // 2
        for record in calls[:half]:
            ledger.record(record)
        assert len(ledger.df) == half
        for record in calls[half:]:
            ledger.record(record)
        assert list(as_records(ledger.df)) == calls


@examples(20)
@given(st.lists(records, min_size=1, unique_by=lambda record: record.uid))
def test_the_sum_of_a_summary_is_the_total(calls):
    with closing(Ledger(":memory:")) as ledger:
        for record in calls:
            ledger.record(record)
        total, table = ledger.total(), ledger.summary(["status", "surface"])
        assert table["calls"].sum() == total.calls
        assert table["unpriced"].sum() == total.unpriced
        known = 0.0 if math.isnan(total.usd) else total.usd
        assert round(table["cost_usd"].sum() * 10**9) == round(known * 10**9)


def test_only_new_rows_are_read(ledger):
    ledger.record(call())
    assert len(ledger.df) == 1
    read = []

    class Spy:
        def __getattr__(self, name):
            return getattr(ledger._opened, name)

        def read(self, *arguments):
            page = ledger._opened.read(*arguments)
            read.append(len(page.rows))
            return page

    ledger._frames[ledger]._store = Spy()
    ledger.record(call(model="new"))
    assert ledger.df["model"].tolist() == ["m", "new"]
    assert ledger.df.shape[0] == 2
    assert read == [1, 0]


def test_many_pages_make_one_frame(ledger, monkeypatch):
    monkeypatch.setattr(frames, "READ", 7)
    for number in range(30):
        ledger.record(call(model=f"m{number % 9}", input_tokens=number if number % 3 else None))
    frame = ledger.df
    assert frame["model"].tolist() == [f"m{number % 9}" for number in range(30)]
    assert frame["input_tokens"].isna().sum() == 10
    assert frame["model"].cat.categories.tolist() == [f"m{number}" for number in range(9)]


def test_what_a_user_does_to_a_frame_stays_in_that_frame(ledger):
    for _ in range(3):
        ledger.record(call(cost_nanos=10**9, input_tokens=5, tags={"a": "b"}))
    before = ledger.df.copy(deep=True)
    mine = ledger.df
    mine.loc[0, "cost_usd"] = 99.0
    mine["input_tokens"] = 0
    mine.loc[1, "status"] = "error"
    mine.insert(0, "note", "x")
    mine.index = [7, 8, 9]
    pd.testing.assert_frame_equal(ledger.df, before)
    ledger.record(call())
    pd.testing.assert_frame_equal(ledger.df.iloc[:3], before, check_categorical=False)


def test_tags_cannot_be_changed_but_copied_and_grouped_by(ledger):
    ledger.record(call(tags={"a": "b"}))
    (tags,) = ledger.df["tags"]
    for change in (lambda: tags.update(a="c"), lambda: tags.pop("a"), lambda: tags.__setitem__("a", "c")):
        with pytest.raises(TypeError, match="make a copy"):
            change()
    assert pickle.loads(pickle.dumps(tags)) == copy.deepcopy(tags) == tags == {"a": "b"}
    assert json.dumps(tags) == '{"a": "b"}'
    assert hash(tags) == hash(copy.copy(tags))


@pytest.mark.parametrize("tags", [{"a": "\ud800"}, {"ü\0": "\n"}, {"n": 1}, {"n": 2**70}])
def test_tags_may_say_anything(ledger, tags):
    ledger.record(call(tags=tags))
    assert ledger.df["tags"].tolist() == [tags]


def test_a_row_that_another_hand_spoiled_does_not_hide_the_others(tmp_path):
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.record(call(input_tokens=1))
    ledger.record(call(input_tokens=2)).result(10)
    with closing(store.database.open_file(ledger.path, timeout=5)) as connection:
        connection.execute(
            "UPDATE calls SET input_tokens = 'many', tags = '{', duration_s = 'x' WHERE id = 1"
        )
    frame = ledger.df
    assert frame["input_tokens"].tolist() == [pd.NA, 2]
    assert frame["tags"].tolist() == [{}, {}]
    ledger.close()


def test_sqlites_limits_do_not_keep_a_record_out(ledger):
    strange = call(
        model="\ud800",
        input_tokens=2**70,
        output_tokens=2.5,
        duration_s=float("nan"),
        error=ValueError,
        cost_nanos="1",
    )
    ledger.record(strange)
    ledger.record(call())
    frame = ledger.df
    assert len(frame) == 2
    assert frame["model"].tolist() == ["?", "m"]
    assert frame["input_tokens"].isna().all()
    assert frame["output_tokens"].isna().all()


def test_every_field_of_a_record_has_its_column():
    assert list(COLUMNS) == list(asdict(call()))
    assert [name.replace("_usd", "_nanos") for name in frames.COLUMNS] == list(COLUMNS)


def test_two_records_of_the_same_call_make_one_row(ledger):
    record = call()
    assert ledger.record(record).result(10)
    assert ledger.record(replace(record)).result(10)
    assert len(ledger.df) == 1


def test_whole_nano_dollars_stay_exact_where_floats_are_not(ledger):
    amounts = [1, 2**53 + 1, 9 * 10**18, None, 0]
    for nanos in amounts:
        ledger.record(call(cost_nanos=nanos, saved_nanos=nanos, at_most_nanos=nanos))
    for frame in (ledger.exact, ledger.where(status="ok").exact):
        for name in ("cost_nanos", "saved_nanos", "at_most_nanos"):
            assert str(frame[name].dtype) == "Int64"
            assert [None if pd.isna(nanos) else nanos for nanos in frame[name]] == amounts
    both = ledger.where(model="m").sums()[False].nanos, ledger.total().usd
    assert both == (2**53 + 2 + 9 * 10**18, (2**53 + 2 + 9 * 10**18) / 10**9)


def test_dollars_are_those_of_the_nano_dollars_however_the_rows_came(ledger, monkeypatch):
    monkeypatch.setattr(frames, "READ", 3)
    for number in range(40):
        ledger.record(
            call(cost_nanos=number if number % 3 else None, at_most_nanos=None if number < 30 else 5)
        )
        if number % 4 == 0:
            mine = ledger.df
            mine["cost_usd"] *= 2
            mine.loc[:, "at_most_usd"] = 99.0
        exact, shown = frames.in_dollars(ledger.exact), ledger.df
        pd.testing.assert_frame_equal(exact, shown)
    assert shown["cost_usd"].sum() == pytest.approx(sum(n for n in range(40) if n % 3) / 10**9)


def test_rows_that_wait_to_be_written_are_in_dollars_too(ledger, monkeypatch):
    ledger.record(call(cost_nanos=1))
    assert ledger.df["cost_usd"].tolist() == [1e-9]
    store = ledger._opened
    late = [encode(call(uid="late", cost_nanos=2, at_most_nanos=7))]
    monkeypatch.setattr(store, "unwritten", lambda: late)
    assert ledger.df["cost_usd"].tolist() == [1e-9, 2e-9]
    assert ledger.exact["at_most_nanos"].tolist() == [pd.NA, 7]
    late[:] = [encode(call(uid="later", cost_nanos=None)), *late]
    assert ledger.df["cost_usd"].fillna(-1).tolist() == [1e-9, -1, 2e-9]
    monkeypatch.undo()
    ledger.record(call(cost_nanos=3))
    assert ledger.df["cost_usd"].tolist() == [1e-9, 3e-9]
