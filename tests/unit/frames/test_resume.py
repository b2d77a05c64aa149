"""Once paid is paid: the requests that reach the server are exactly the new distinct rows."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pytest

from llmkit import OpenAIClient
from llmkit.frames import JobStopped
from llmkit.frames import map as ask
from tests.support.rows import failure, said

FRAME = pd.DataFrame({"text": [f"row {n % 40}" for n in range(50)], "other": range(50)})


@pytest.fixture
def again(rows, store):
    """Ask for all rows; return how many requests that took."""

    def run(frame=FRAME, prompt="Say {{text}}", **options):
        before = len(rows.asked)
        client = options.pop("client", None) or rows.client()
        found = ask(frame, prompt, **{"model": client, "store": store, "progress": False, **options})
        return len(rows.asked) - before, found

    return run


CHANGES = {
    "nothing": (FRAME, 0),
    "sorted": (FRAME.sort_values("text", ascending=False), 0),
    "shuffled": (FRAME.sample(frac=1, random_state=1), 0),
    "filtered": (FRAME[FRAME["other"] % 3 == 0], 0),
    "appended": (pd.concat([FRAME, pd.DataFrame({"text": ["new 1", "new 2", "new 2"]})]), 2),
    "edited": (FRAME.assign(text=["changed", *FRAME["text"][1:]]), 1),
    "other column changed": (FRAME.assign(other=0), 0),
    "other column renamed": (FRAME.rename(columns={"other": "more"}), 0),
    "another index": (FRAME.set_index(FRAME["other"] + 100), 0),
    "polars": (pl.DataFrame(FRAME.to_dict("list")), 0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_frame_costs_its_new_distinct_rows(change, again):
    assert again()[0] == 40
    frame, new = CHANGES[change]
    assert again(frame)[0] == new
    assert again(frame)[0] == 0


def test_a_renamed_column_asks_the_same(again):
    again()
    assert again(FRAME.rename(columns={"text": "body"}), "Say {{body}}")[0] == 0


def test_how_it_is_asked_does_not_matter(again):
    again()
    for options in ({"out": "x"}, {"mode": "flex"}, {"max_concurrent": 1}, {"job": "j"}, {"user": "me"}):
        assert again(**options)[0] == 0
    assert again(service_tier="priority")[0] == 0


def test_what_is_asked_does_matter(again, rows):
    again()
    for options in (
        {"prompt": "Tell {{text}}"},
        {"system": "Be brief."},
        {"temperature": 0.5},
        {"seed": 7},
        {"client": rows.client(model="gpt-4o")},
    ):
        assert again(**options)[0] == 40


def test_the_sandbox_never_stands_in_for_a_server(again, server, rows):
    del rows
    ask(FRAME, "Say {{text}}", model=OpenAIClient("k", server.url(), model="gpt-4o-mini"), progress=False)
    assert again()[0] == 40


FAILED = {
    "rate_limit": failure(429, "slow", "rate_limit_exceeded"),
    "server": failure(503, "down"),
    "invalid": failure(400, "bad"),
    "refusal": said("No.", "content_filter"),
    "length": said("I wa", "length"),
}


@pytest.mark.parametrize(
    ("kind", "retry", "asked"),
    [
        ("rate_limit", True, 1), ("rate_limit", False, 0), ("rate_limit", "all", 1),
        ("server", True, 1), ("server", False, 0),
        ("invalid", True, 0), ("invalid", "all", 1),
        ("refusal", True, 0), ("refusal", "all", 1),
        ("length", True, 0), ("length", False, 0), ("length", "all", 1),
    ],
)  # fmt: skip
def test_a_failed_row_is_asked_again_if_it_was_not_answered_or_on_request(kind, retry, asked, again, rows):
    rows.answer = lambda prompt: FAILED[kind] if prompt == "Say row 7" else prompt
    _, found = again()
    assert found["llm_error"].dropna().str.startswith(kind).all()
    count, found = again(retry_failed=retry)
    assert count == asked
    assert found["llm_error"].notna().sum() == 2  # two rows are equal


def test_a_raised_limit_asks_again_only_what_was_cut(again, rows):
    rows.answer = lambda prompt: said("cut", "length") if prompt.endswith("7") else prompt
    again(max_tokens=10)
    assert again(max_tokens=5)[0] == 0
    assert again(max_tokens=20)[0] == 4


def test_what_was_answered_before_a_stop_is_not_asked_again(again, rows):
    rows.answer = lambda prompt: failure(401, "no") if len(rows.asked) > 20 else prompt
    with pytest.raises(JobStopped) as stopped:
        again(max_concurrent=1)
    there = stopped.value.frame["llm"].notna()
    rows.answer = str.upper
    count, found = again()
    assert count == 40 - FRAME["text"][there].nunique()
    assert found["llm"].notna().all()


def test_without_a_store_all_is_asked_again(again):
    assert again(store=False)[0] == 40
    assert again(store=False)[0] == 40


@pytest.mark.filterwarnings("ignore:Cannot write answers")
def test_a_disk_that_is_full_stops_the_job_with_what_it_has(again, store, rows):
    again(limit=3)
    store._connection.execute("PRAGMA max_page_count = 1")
    rows.answer = lambda prompt: "long " * 40_000
    with pytest.raises(JobStopped, match="full") as stopped:
        again(max_concurrent=1)
    assert stopped.value.frame["llm"].notna().sum() >= 4
    store._connection.execute("PRAGMA max_page_count = 1000000")
    rows.answer = str.upper
    assert again()[0] == 40 - 4  # the answer that stayed in memory is there, too
