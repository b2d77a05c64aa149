"""The answers of a ledger in PostgreSQL are in the same database."""

from __future__ import annotations

from contextlib import closing

import pytest

from llmkit import Ledger
from llmkit.core.postgres import Address, Database, upgrade
from llmkit.costs.store.postgres import schema
from llmkit.frames.answers.location import store_at
from llmkit.frames.answers.postgres import answer_tables
from llmkit.frames.answers.protocol import Answer
from llmkit.frames.answers.sqlite import SqliteAnswers
from tests.support.postgres import PASSWORD, server


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


@pytest.mark.parametrize("first", ["ledger", "answers"])
def test_an_administrator_makes_all_tables_at_once_for_users_who_may_make_none(first, postgres):
    server().create_role("guest")
    with closing(Ledger(postgres)) as ledger, closing(store_at(ledger.database)) as store:
        if first == "ledger":
            ledger.budget(daily=5)
        else:
            store.jobs()
    guests = f"postgresql://guest:{PASSWORD}@{postgres.partition('@')[2]}"
    with closing(Ledger(guests)) as ledger, closing(store_at(ledger.database)) as store:
        assert store.put(Answer(b"k", "ok")).result(60)
        assert set(store.get([b"k"])) == {b"k"}


def test_an_administrator_brings_all_tables_up_to_date_and_users_do_with_what_is_there(postgres, monkeypatch):
    def prepare(connection):
        upgrade(connection, "ledger", schema.STEPS, "d")

    def version(user):
        used = Database(Address(f"postgresql://{user}:{PASSWORD}@{postgres.partition('@')[2]}"), prepare)
        rows = used.run(lambda connection: connection.execute("SELECT * FROM llmkit.versions").fetchall())
        used.close()
        return dict(rows)["answers"]

    server().create_role("guest")
    assert version("admin") == 1
    more = (*answer_tables.STEPS, ["CREATE TABLE llmkit.more (n integer)"])
    monkeypatch.setattr(answer_tables, "STEPS", more)
    assert version("guest") == 1
    assert version("admin") == 2
