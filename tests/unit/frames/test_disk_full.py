"""A disk that is full stops a job with what it has; nothing is lost, and nothing is paid twice."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from llmkit import Ledger, records
from llmkit.frames import JobStopped
from llmkit.frames import map as ask
from llmkit.frames.answers.sqlite import SqliteAnswers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FRAME = pd.DataFrame({"n": range(200)})
IN_FLIGHT = 4


def mount(*options: str) -> bool:
    try:
        return subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A file system of 1 MB."""
    place = tmp_path / "small"
    place.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)):
        pytest.skip("a small file system can be mounted by root only")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def books(disk) -> Iterator[Ledger]:
    ledger = Ledger(disk / "ledger.sqlite")
    before = records.set_recorder(lambda: ledger)
    yield ledger
    records.set_recorder(before)
    ledger.close()


def test_a_full_disk_stops_a_job_which_goes_on_when_there_is_room(rows, disk, books):
    rows.answer = lambda prompt: f"{prompt} {'x' * 4000}"
    store = SqliteAnswers(disk / "ledger.answers.sqlite")
    options = {"model": rows.client(), "max_concurrent": IN_FLIGHT, "store": store, "progress": False}

    with pytest.raises(JobStopped, match="database or disk is full") as first:
        ask(FRAME, "row {{n}}", **options)
    sent = len(rows.asked)
    answered = first.value.frame["llm"].notna()
    assert sent - IN_FLIGHT <= answered.sum() <= sent < len(FRAME)
    assert first.value.frame["llm_error"].isna().all()
    assert f"{store.name}: database or disk is full" in str(first.value)
    assert str(first.value).endswith("Run the cell again to go on: what was answered is not paid again.")

    # A few more answers may find room between the others.
    with pytest.raises(JobStopped, match="database or disk is full") as second:
        ask(FRAME, "row {{n}}", **options)
    assert second.value.frame["llm"].notna()[answered].all()
    assert len(rows.asked) - len(set(rows.asked)) <= IN_FLIGHT

    assert mount("-o", "remount,size=30m", str(disk))
    found = ask(FRAME, "row {{n}}", **options)
    assert found["llm"].str.startswith("row ").all()
    assert len(set(rows.asked)) == len(FRAME)
    assert len(rows.asked) <= len(FRAME) + 2 * IN_FLIGHT
    books.flush()
    assert len(books.df) == len(rows.asked)
    store.close()


def test_on_a_disk_without_any_room_nothing_is_sent(rows, disk):
    subprocess.run(["dd", "if=/dev/zero", f"of={disk / 'ballast'}"], capture_output=True, check=False)
    store = SqliteAnswers(disk / "ledger.answers.sqlite")
    with pytest.raises(
        JobStopped, match=r"Stopped after 0 of 200 rows: Cannot write the answers in"
    ) as caught:
        ask(FRAME, "row {{n}}", model=rows.client(), store=store, progress=False)
    assert rows.asked == []
    assert caught.value.frame["llm"].isna().all()
    store.close()
