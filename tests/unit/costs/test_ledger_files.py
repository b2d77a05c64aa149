"""The ledger's rows in other programs' files, and the times and names that choose them."""

import json
import sqlite3
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone

import numpy as np
import pandas as pd
import pytest

from llmkit import ConfigurationError
from llmkit.core.timestamps import aware
from llmkit.costs.frame.files import LedgerFrame
from llmkit.costs.ledger import Ledger
from llmkit.records import CallRecord

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
TAGS = {
    "no call has a tag": [{}, {}],
    "one of two calls has tags": [{}, {"project": "thesis"}],
    "each call has another tag": [{"project": "thesis"}, {"student": "Zoë"}],
    "there is no call": [],
}
FORMATS = {"parquet": "parquet", "feather": "feather", "csv": "csv"}


def ledger_of(*tags, **changes):
    ledger = Ledger(":memory:")
    for place, labels in enumerate(tags):
        fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m", "tags": labels}
        when = NOON + timedelta(seconds=place)
        ledger.record(
            CallRecord(
                **{"time": when, "cost_nanos": 375, "input_tokens": 10, "output_tokens": 1} | fields | changes
            )
        )
    return ledger


@pytest.mark.parametrize("tags", TAGS.values(), ids=TAGS)
@pytest.mark.parametrize("kind", FORMATS)
def test_the_table_is_written_as_it_is(tags, kind, tmp_path):
    frame = ledger_of(*tags).df
    getattr(frame, f"to_{kind}")(tmp_path / "calls")
    back = getattr(pd, f"read_{kind}")(tmp_path / "calls")
    assert back["uid"].tolist() == frame["uid"].tolist()
    assert back["cost_usd"].tolist() == [375e-9] * len(tags)
    assert [json.loads(text) for text in back["tags"]] == tags
    if kind != "csv" and tags:
        assert back["time"].tolist() == frame["time"].tolist()


def test_json_lines_have_the_tags_as_objects(tmp_path):
    ledger_of({}, {"project": "thesis"}).df.to_json(
        tmp_path / "calls", orient="records", lines=True, date_format="iso"
    )
    rows = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    assert [row["tags"] for row in rows] == [{}, {"project": "thesis"}]
    assert datetime.fromisoformat(rows[0]["time"]) == NOON


def test_the_table_goes_into_a_database():
    connection = sqlite3.connect(":memory:")
    ledger_of({}, {"project": "thesis"}).df.to_sql("calls", connection, index=False)
    found = connection.execute("SELECT tags FROM calls").fetchall()
    connection.close()
    assert found == [("{}",), ('{"project": "thesis"}',)]


@pytest.mark.parametrize("tags", TAGS.values(), ids=TAGS)
@pytest.mark.parametrize("way", ["ledger", "df"])
def test_excel_holds_the_calls_with_utc_times(tags, way, tmp_path):
    pytest.importorskip("openpyxl")
    ledger, path = ledger_of(*tags), tmp_path / "calls.xlsx"
    ledger.to_excel(path) if way == "ledger" else ledger.df.to_excel(path, index=False)
    back = pd.read_excel(path)
    assert back["time"].tolist() == [time.replace(tzinfo=None) for time in ledger.df["time"]]
    assert back["cost_usd"].tolist() == [375e-9] * len(tags)
    assert [json.loads(text) for text in back["tags"]] == tags


def test_parts_of_the_table_and_times_as_its_index_go_into_excel_too(tmp_path):
    pytest.importorskip("openpyxl")
    frame = ledger_of({}, {"project": "thesis"}).df
    frame[frame["model"] == "m"].set_index(["time", "model"]).to_excel(tmp_path / "two.xlsx")
    frame.set_index("time").to_excel(tmp_path / "one.xlsx")
    assert pd.read_excel(tmp_path / "two.xlsx").shape[0] == 2
    assert pd.read_excel(tmp_path / "one.xlsx")["time"][0] == pd.Timestamp("2026-11-22 12:00")


def test_what_a_server_says_is_neither_a_formula_nor_an_illegal_character_in_excel(tmp_path):
    pytest.importorskip("openpyxl")
    import openpyxl

    path = tmp_path / "calls.xlsx"
    ledger_of({}, model_served='=HYPERLINK("http://127.0.0.1")', error="a\x1b[31mb").to_excel(path)
    sheet = openpyxl.load_workbook(path)["calls"]
    cells = {name.value: cell for name, cell in zip(sheet[1], sheet[2], strict=True)}
    assert cells["model_served"].data_type == "s"
    assert cells["error"].value == "a\N{REPLACEMENT CHARACTER}[31mb"


def test_a_new_excel_file_is_its_owners_only(tmp_path):
    pytest.importorskip("openpyxl")
    ledger_of({}).to_excel(tmp_path / "calls.xlsx")
    assert (tmp_path / "calls.xlsx").stat().st_mode & 0o777 == 0o600


def test_what_the_ledger_tells_goes_into_excel_too(tmp_path):
    pytest.importorskip("openpyxl")
    ledger = ledger_of({})
    ledger.correct(prices={"m": {"input": 1, "output": 2}})
    export = pd.DataFrame({"date": ["2026-11-22"], "model": ["m"], "cost": [0.1]})
    for table in (ledger.corrections, ledger.summary(["time", "tags"]), ledger.reconcile(export)):
        table.to_excel(tmp_path / "told.xlsx")
        assert len(pd.read_excel(tmp_path / "told.xlsx")) == 1


def test_writing_leaves_the_table_as_it_was(tmp_path):
    frame = ledger_of({"project": "thesis"}).df
    frame.to_parquet(tmp_path / "calls")
    assert frame["tags"][0] == {"project": "thesis"}
    assert isinstance(frame.copy(), LedgerFrame)


BEFORE = [
    pd.Timestamp("2026-11-22T12:00:01Z"),
    pd.Timestamp("2026-11-22T21:00:01", tz="Asia/Tokyo"),
    pd.Timestamp("2026-11-22T12:00:01").to_pydatetime().replace(tzinfo=UTC),
    datetime(2026, 11, 22, 13, 0, 1, tzinfo=timezone(timedelta(hours=1))),
    "2026-11-22T12:00:01Z",
    " 2026-11-22T12:00:01+00:00 ",
]


@pytest.mark.parametrize("when", BEFORE, ids=str)
def test_a_time_with_a_zone_divides_the_calls(when):
    ledger = ledger_of({}, {})
    assert len(ledger.query(since=when)) == len(ledger.query(until=when)) == 1
    assert ledger.total(since=when).calls == 1


LOCAL = [
    pd.Timestamp("2026-11-22"),
    np.datetime64("2026-11-22"),
    np.datetime64("2026-11-22T00:00:00.000000000"),
    date(2026, 11, 22),
    datetime(2026, 11, 22),  # noqa: DTZ001 - the point
    "2026-11-22",
    "20261122",
]


@pytest.mark.parametrize("when", LOCAL, ids=repr)
def test_a_time_without_a_zone_is_local(when, monkeypatch):
    import time

    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert aware(when) == datetime(2026, 11, 22, 5, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


NO_TIMES = [pd.NaT, np.datetime64("NaT", "ns"), pd.NA, float("nan"), 5, True, "", "rubbish", "NaT", b"2026"]
NO_TIMES += [[], {}, time(3), timedelta(1), pd.Period("2026-11"), np.datetime64("20000-01-01")]


@pytest.mark.parametrize("when", NO_TIMES, ids=repr)
def test_what_is_no_time_is_refused(when):
    ledger = ledger_of({})
    for ask in (ledger.query, ledger.total, ledger.plot, ledger.reprice):
        with pytest.raises(ConfigurationError, match="cannot be used as a date or time"):
            ask(since=when)


def test_weeks_begin_on_monday():
    ledger = ledger_of({}, {})  # a Sunday
    for when in (NOON + timedelta(days=1), NOON + timedelta(days=7)):
        ledger.record(CallRecord(time=when, uid=uuid.uuid4().hex, status="ok", provider="openai", model="m"))
    weeks = ledger.summary("week")
    assert weeks["calls"].to_dict() == {pd.Timestamp("2026-11-16"): 2, pd.Timestamp("2026-11-23"): 2}


@pytest.mark.parametrize("by", [None, [], ()])
def test_a_summary_needs_something_to_group_by(by):
    with pytest.raises(ConfigurationError, match=r"by must name at least one column.*total\(\)"):
        ledger_of({}).summary(by)


@pytest.mark.parametrize("by", [5, b"model", [None], ["model", 5], {"model": 1}, object()])
def test_what_is_no_name_of_a_column_is_refused(by):
    with pytest.raises(ConfigurationError, match="must be a string or a list of strings"):
        ledger_of({}).summary(by)


@pytest.mark.parametrize(
    ("by", "near"), [("moddel", "model"), ("weeks", "week"), (["model", "notbook"], "notebook")]
)
def test_an_unknown_column_is_answered_with_the_nearest(by, near):
    with pytest.raises(ConfigurationError, match=f"Did you mean '{near}"):
        ledger_of({}).summary(by)


@pytest.mark.parametrize("by", ["cost_usd", "input_tokens", "tags", ["model", "model"], {"model"}, "tag:x"])
@pytest.mark.parametrize("calls", [0, 2])
def test_every_column_can_be_grouped_by(by, calls):
    assert ledger_of(*[{}] * calls).summary(by)["calls"].sum() == calls


@pytest.mark.parametrize("filters", [{"provider": 5}, {"model": [None]}, {"status": b"ok"}, {"tag": 5}])
def test_what_is_no_name_to_choose_by_is_refused(filters):
    with pytest.raises(ConfigurationError, match="must be a string or a list of strings"):
        ledger_of({}).query(**filters)


def test_several_names_may_come_in_any_collection():
    ledger = ledger_of({})
    for several in ({"openai"}, ("openai", "x"), pd.Series(["openai"]), np.array(["openai"])):
        assert len(ledger.query(provider=several)) == 1
