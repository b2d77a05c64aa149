"""The answers of a ledger in PostgreSQL are in the same database."""

from __future__ import annotations

from contextlib import closing

import pytest

from llmkit import Ledger
from llmkit.frames.answers.location import store_at
from llmkit.frames.answers.protocol import Answer
from llmkit.frames.answers.sqlite import SqliteAnswers


@pytest.mark.parametrize("first", ["ledger", "answers"])
def test_a_ledger_and_its_answers_share_a_database_whichever_comes_first(first, postgres):
    with closing(Ledger(postgres)) as ledger, closing(store_at(ledger.database)) as store:
        if first == "ledger":
            assert ledger.df.empty
        assert store.put(Answer(b"k", "ok")).result(60)
        assert ledger.df.empty
        assert set(store.get([b"k"])) == {b"k"}
        assert store_at(Ledger(postgres).database) is store


def test_a_ledger_in_a_file_has_no_database(tmp_path):
    with closing(Ledger(tmp_path / "ledger.sqlite")) as ledger:
        assert ledger.database is None
    assert isinstance(store_at(tmp_path / "answers.sqlite"), SqliteAnswers)
