"""What tests of tables share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from llmkit.frames.answers import location
from llmkit.frames.answers.sqlite import SqliteAnswers
from tests.support.rows import RowServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _fresh_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds the answers of another."""
    monkeypatch.setattr(location, "_open", {})


@pytest.fixture
def rows(recorder: object) -> Iterator[RowServer]:
    del recorder
    with RowServer() as server:
        yield server


@pytest.fixture
def store(tmp_path) -> Iterator[SqliteAnswers]:
    made = SqliteAnswers(tmp_path / "ledger.answers.sqlite")
    yield made
    made.close()
