"""Files and databases read as one ledger."""

from __future__ import annotations

import uuid
from contextlib import closing
from datetime import UTC, datetime

import pytest

from llmkit.core.errors import ConfigurationError
from llmkit.costs.ledger import Ledger
from llmkit.costs.store.sqlite.merged import MergedStore
from llmkit.records import CallRecord
from tests.support.postgres import ADMIN, PASSWORD
from tests.support.reference_store import ReferenceStore

START = datetime(2026, 11, 20, 9, tzinfo=UTC)
TABLE = {"m": {"input": 1.0, "output": 2.0}}


def call(**changes):
    fields = {"uid": uuid.uuid4().hex, "status": "ok", "provider": "openai", "model": "m", "time": START}
    fields |= {"input_tokens": 1000, "output_tokens": 100, "cost_nanos": 5_000_000, "price_source": "config"}
    return CallRecord(**fields | changes)


def write(ledger, *calls):
    for record in calls:
        ledger.record(record)
    assert ledger.flush()


def rows(ledger):
    return sorted(row for page in ledger.flushed_store().select(ledger.filters) for row in page)


@pytest.fixture
def laptop(tmp_path):
    with closing(Ledger(tmp_path / "laptop.sqlite")) as ledger:
        write(ledger, call(model="laptop's"))
        yield ledger


@pytest.fixture(params=["another store", pytest.param("postgres", marks=pytest.mark.full)])
def both(request, tmp_path, laptop):
    """A ledger that is no file, and one that reads it together with the laptop's."""
    if request.param == "postgres":
        address = request.getfixturevalue("postgres")
        shared, merged = Ledger(address), Ledger.merged(laptop.path, address)
    else:
        shared, other = (Ledger(store=ReferenceStore(tmp_path, lambda: datetime.now(UTC))) for _ in range(2))
        merged = Ledger(store=MergedStore([laptop.path, other.flushed_store()]))
    with closing(shared), closing(merged):
        yield shared, merged


def test_calls_of_both_count_and_new_ones_are_read(both, laptop):
    shared, merged = both
    assert merged.total().calls == 1, "the other has no calls yet"
    write(shared, call(tags={"project": "thesis"}), call())
    assert merged.total().calls == 3
    write(shared, call())
    write(laptop, call())
    assert rows(merged) == sorted([*rows(laptop), *rows(shared)])
    assert merged.summary("model")["calls"].to_dict() == {"m": 4, "laptop's": 1}


def test_a_call_that_is_in_both_counts_once_with_its_latest_correction(both, laptop):
    shared, merged = both
    write(laptop, call())
    laptop.copy_to(shared)
    assert merged.total().calls == 2
    shared.correct(prices=TABLE)
    assert rows(merged) == rows(shared)
    assert len(merged.corrections) == len(shared.corrections) == 1


def test_deleted_calls_are_gone(both):
    shared, merged = both
    write(shared, call(), call())
    assert merged.total().calls == 3
    shared.clear()
    assert merged.total().calls == 1


@pytest.mark.full
def test_calls_of_a_database_keep_their_users(laptop, postgres):
    write(laptop, call(model="in both"))
    with closing(Ledger.merged(laptop.path, postgres)) as merged, closing(Ledger(postgres)) as shared:
        assert merged.df["user"].isna().tolist() == [True, True]
        laptop.where(model="in both").copy_to(shared)
        write(shared, call(cost_nanos=10**9))
        assert merged.summary("user")["calls"].tolist() == [2, 1]
        assert merged.summary("user").index[0] == ADMIN
        assert merged.where(user=ADMIN).total().usd == 1.005
        assert merged.df["user"].dropna().tolist() == [ADMIN, ADMIN]


def test_a_ledger_of_files_has_no_users(laptop):
    with closing(Ledger.merged(laptop.path)) as merged:
        assert "user" not in merged.df
        for ledger in (merged, laptop):
            with pytest.raises(ConfigurationError, match="Unknown column 'user'"):
                ledger.summary("user")


@pytest.mark.full
def test_no_password_is_in_the_name_or_an_error(laptop, postgres):
    with closing(Ledger.merged(laptop.path, postgres)) as merged:
        assert "postgresql://" in str(merged.path)
        assert PASSWORD not in f"{merged.path} {merged!r}"
    wrong = postgres.replace(PASSWORD, "a-wrong-password")
    with closing(Ledger.merged(laptop.path, wrong)) as merged, pytest.raises(ConfigurationError) as caught:
        merged.total()
    assert "a-wrong-password" not in str(caught.value)
