"""Where a ledger may be kept, and what is refused before anything is written or sent."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

import llmkit
from llmkit.costs.ledger import Ledger
from llmkit.notebook.commands.doctor import examine_ledger
from llmkit.records import CallRecord, set_recorder

ADDRESSES = [
    "mysql://anna:hunter2@db.example/books",
    "sqlite:///books.sqlite",
    "postgresql+psycopg://anna:hunter2@db.example/books",
    "file:///books.sqlite",
    "s3://books/a.sqlite",
]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_of_a_database_is_refused_and_makes_no_folder(address, monkeypatch, empty_folder):
    monkeypatch.setenv("LLMKIT_LEDGER", address)
    scheme = re.escape(address.partition(":")[0])
    for use in (lambda: Ledger().total(), lambda: Ledger().df, lambda: Ledger().guard(None)):
        with pytest.raises(
            llmkit.ConfigurationError, match=f"^LLMKIT_LEDGER is a URL .{scheme}://"
        ) as caught:
            use()
        assert "hunter2" not in str(caught.value)
    assert not list(empty_folder.iterdir())


def test_an_address_given_in_python_is_refused_likewise(empty_folder):
    for place in (ADDRESSES[0], Path(ADDRESSES[0])):
        with pytest.raises(llmkit.ConfigurationError, match=r"^Ledger\(path\) is a URL"):
            Ledger(place).total()
    assert not list(empty_folder.iterdir())


def test_a_refused_ledger_still_shows_itself_and_is_examined(monkeypatch):
    monkeypatch.setenv("LLMKIT_LEDGER", ADDRESSES[0])
    ledger = Ledger()
    assert "is a URL" in repr(ledger)
    assert "is a URL" in ledger._repr_html_()
    found = examine_ledger(ledger)
    assert not found.ok
    assert "is a URL" in found.text


async def test_no_call_is_sent_that_could_not_be_recorded():
    ledger = Ledger(ADDRESSES[0])
    before = set_recorder(lambda: ledger)
    try:
        async with llmkit.client("sandbox") as client:
            with pytest.raises(llmkit.ConfigurationError, match="is a URL"):
                await client.generate_text([llmkit.LLMMessage(role="user", content="Hello")])
    finally:
        set_recorder(before)


def test_a_folder_is_refused_with_the_name_of_a_file_in_it(monkeypatch, empty_folder):
    monkeypatch.setenv("LLMKIT_LEDGER", str(empty_folder))
    with pytest.raises(llmkit.ConfigurationError, match=r"is the folder .*such as .*ledger\.sqlite"):
        Ledger().total()


def test_a_path_may_begin_at_home(monkeypatch, empty_folder):
    monkeypatch.setenv("HOME", str(empty_folder))
    ledger = Ledger("~/books/calls.sqlite")
    call = CallRecord(time=datetime.now(UTC), uid="0" * 32, status="ok", provider="p", model="m")
    assert ledger.record(call).result()
    ledger.close()
    assert (empty_folder / "books" / "calls.sqlite").exists()


def test_blanks_are_no_path(monkeypatch):
    monkeypatch.setenv("LLMKIT_LEDGER", "  ")
    assert Ledger().path.name == "ledger.sqlite"
