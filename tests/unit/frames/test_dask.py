"""Dask frames, in one process: lazy, of pandas' columns, without keys in the graph."""

from __future__ import annotations

import asyncio
import json
import pickle

import dask
import dask.dataframe as dd
import pandas as pd
import pytest

import llmkit.frames
from llmkit import InvalidRequestError, frames, tags
from llmkit.core import processes
from llmkit.frames import JobStopped, Plan, YesNo
from llmkit.frames.answers import location
from llmkit.frames.answers.sqlite import SqliteAnswers
from llmkit.frames.cost_wall import MaxCostReachedError, SharedCostWall
from llmkit.frames.shared_job import SharedJob, part_of
from llmkit.frames.stopped import JobInterrupted
from tests.support.rows import failure

SECRET = "a-made-up-key-of-nobody"
MODEL = {"model": "openai:gpt-4o-mini"}


@pytest.fixture(autouse=True)
def _ledger_in_a_file(tmp_path, monkeypatch, rows):
    """Each test has its store; the key and the address come from the environment, as for workers."""
    store = SqliteAnswers(tmp_path / "ledger.answers.sqlite")
    monkeypatch.setattr(location, "answers_path", lambda _: tmp_path / "ledger.answers.sqlite")
    monkeypatch.setattr(location, "_open", {None: store})
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_BASE_URL", rows.url)
    yield
    store.close()


def lazy(texts, parts=2, **columns):
    return dd.from_pandas(pd.DataFrame({"text": texts, **columns}), npartitions=parts)


def test_nothing_is_asked_until_it_is_computed_and_nothing_twice(rows):
    found = lazy(["a", "b", None, "c"], n=range(4)).llm.map("text", out="said", **MODEL)
    assert isinstance(found, dd.DataFrame)
    assert list(found.columns) == ["text", "n", "said", "said_error"]
    assert rows.asked == []
    for _ in range(2):
        assert found["said"].astype(object).compute().tolist() == ["A", "B", pd.NA, "C"]
    assert sorted(rows.asked) == ["a", "b", "c"]


@pytest.mark.parametrize("convert", [True, False])
def test_texts_of_arrow_and_of_python_are_asked_alike(convert, rows):
    rows.answer = lambda text: json.dumps({"label": {"a": "x", "b": "y"}[text]})
    with dask.config.set({"dataframe.convert-string": convert}):
        found = lazy(["a", "b"]).llm.classify("text", ["x", "y"], out="l", meta=True, **MODEL).compute()
    assert sorted(rows.asked) == ["a", "b"]
    assert found["l"].tolist() == ["x", "y"]


def test_equal_rows_of_partitions_that_run_at_the_same_time_are_asked_once(rows):
    rows.delay = 0.2
    rows.answer = lambda text: failure(400, "no") if text == "bad" else text.upper()
    with dask.config.set(scheduler="threads", num_workers=3):
        found = lazy(["a", "bad", "b"] * 3, parts=3).llm.map("text", **MODEL).compute()
    assert found["llm"].fillna("-").tolist() == ["A", "-", "B"] * 3
    assert found["llm_error"].fillna("-").str[:7].tolist() == ["-", "invalid", "-"] * 3
    assert sorted(rows.asked) == ["a", "b", "bad"]


def test_the_graph_pickles_and_holds_neither_key_nor_address(rows):
    with tags(project="x"):
        found = lazy(["a"], parts=1).llm.decide("text", {"q": YesNo("Really?")}, **MODEL)
    graph = pickle.dumps(found)
    assert SECRET.encode() not in graph
    assert rows.url.encode() not in graph
    assert b"project" in graph
    assert pickle.loads(graph).compute()["q_error"].notna().all()


def test_labels_and_the_notebook_of_the_call_are_those_of_its_rows(rows, recorder):
    with tags(project="x"):
        found = lazy(["a", "b"]).llm.map("text", job="mine", **MODEL)
    found.compute()
    assert [dict(one.tags) for one in recorder.records] == [{"project": "x", "job": "mine"}] * 2
    assert {one.surface for one in recorder.records} == {"table"}


async def test_the_twins_give_the_same_lazy_frame(rows):
    found = await frames.amap(lazy(["a", "b"]), "{{text}}!", **MODEL)
    assert rows.asked == []
    assert found.compute(scheduler="sync")["llm"].tolist() == ["A!", "B!"]


def test_filter_drops_rows_in_each_partition(rows):
    rows.answer = lambda text: '{"keep": %s}' % ("true" if text in "ac" else "false")
    found = lazy(["a", "b", "c", "d"]).llm.filter("text", "is in the list", **MODEL)
    assert found.compute()["text"].tolist() == ["a", "c"]


def test_datetimes_have_a_zone_in_every_partition(rows):
    said = {"a": '"2026-01-02T03:04:05.000007Z"', "b": '"2026-01-02T03:04:05"', "c": "null"}
    rows.answer = lambda text: f'{{"at": {said[text]}}}'
    schema = {"properties": {"at": {"type": ["string", "null"], "format": "date-time"}}}
    found = lazy(["a", "b", "c"], parts=3).llm.extract("text", schema, **MODEL)
    column = found.compute()["at"]
    assert str(column.dtype) == str(found["at"].dtype) == "datetime64[us, UTC]"
    assert column.dt.floor("s").dropna().astype(str).tolist() == ["2026-01-02 03:04:05+00:00"] * 2
    assert column[0].microsecond == 7


def test_examples_that_can_be_read_once_reach_every_partition(rows):
    rows.answer = lambda text: '{"label": "x"}'
    examples = iter([("an example", "x")])
    found = lazy(["a", "b"]).llm.classify("text", ["x", "y"], examples=examples, **MODEL).compute()
    assert found["label"].tolist() == ["x", "x"]
    assert all("an example" in str(body["messages"]) for body in rows.bodies)


def test_a_plan_of_all_partitions_is_their_sum(rows):
    frame = lazy(["a", "b", "c", None])
    frame.llm.map("text", **MODEL).partitions[0].compute()
    plan = frame.llm.map("text", dry_run=True, **MODEL)
    assert isinstance(plan, Plan)
    assert (plan.rows, plan.requests, plan.already_paid) == (4, 1, 2)
    assert plan.costs["at_most_usd"]["now"] > plan.costs["expected_usd"]["now"] > 0
    assert sorted(rows.asked) == ["a", "b"]


def test_a_job_that_stops_arrives_as_such_with_the_rows_of_its_partition(rows):
    rows.answer = lambda text: failure(401, "no such key") if text == "c" else text.upper()
    with pytest.raises(JobStopped, match="no such key") as stopped:
        lazy(["a", "b", "c", "d"]).llm.map("text", **MODEL).compute(scheduler="sync")
    assert stopped.value.reason == "AuthenticationError"
    assert stopped.value.frame["text"].tolist() == ["c", "d"]


@pytest.mark.parametrize("kind", [JobStopped, JobInterrupted])
def test_the_exception_of_a_stopped_job_travels_between_processes(kind):
    frame = pd.DataFrame({"a": [1]})
    found = pickle.loads(pickle.dumps(kind("Stopped.", frame=frame, reason="max_cost", hint="Go on.")))
    assert (type(found), str(found), found.reason) == (kind, "Stopped. Go on.", "max_cost")
    assert found.frame.equals(frame)


def test_one_max_cost_holds_for_all_partitions(rows, recorder):
    rows.delay = 0.01
    frame = lazy([f"row {n}" for n in range(10, 70)], parts=3)
    found = frame.llm.map("text", max_cost=0.00003, max_tokens=10, **MODEL)
    with (
        dask.config.set(scheduler="threads", num_workers=3),
        pytest.raises(JobStopped, match=r"max_cost of \$0\.00003") as stopped,
    ):
        found.compute()
    assert stopped.value.reason == "max_cost"
    # The same frame, computed again, has no money left.
    with pytest.raises(JobStopped, match=r"max_cost of \$0\.00003"):
        found.compute(scheduler="sync")
    assert 0 < sum(one.at_most_nanos or one.cost_nanos or 0 for one in recorder.records) <= 30_000
    assert frame.llm.map("text", max_cost=1, max_tokens=10, **MODEL).compute()["llm"].notna().all()
    assert sorted(rows.asked) == sorted(f"row {n}" for n in range(10, 70))


def test_a_wall_cannot_hold_over_processes_whose_stores_are_in_memory(rows, monkeypatch):
    monkeypatch.setattr(location, "_open", {})
    elsewhere = SharedJob(owner=processes.current()._replace(pid=1).text())
    with part_of(elsewhere), pytest.raises(JobStopped, match="needs a ledger in a file"):
        frames.map(pd.DataFrame({"text": ["a"]}), "text", max_cost=1, progress=False, **MODEL)
    assert rows.asked == []


async def test_a_call_waits_for_what_a_call_of_another_part_gives_back(store):
    first, second = SharedCostWall(store, "job", 100), SharedCostWall(store, "job", 100)
    await first.reserve("a", 90)
    waiting = asyncio.create_task(second.reserve("b", 50))
    await asyncio.sleep(0)
    assert not waiting.done()
    first.settle("a", 40)
    await asyncio.wait_for(waiting, 60)
    second.settle("b", None)
    with pytest.raises(MaxCostReachedError, match="leaves"):
        await first.reserve("c", 11)
    with pytest.raises(MaxCostReachedError, match="no known price"):
        await first.reserve("c", None)
    first.close()
    second.close()


CLIENT = llmkit.OpenAIClient("k", model="gpt-4o-mini")
REFUSED = {
    "a client": ({"model": CLIENT}, "model must be a name"),
    "a batch": ({"mode": "batch"}, 'mode="batch" does not work on a Dask frame'),
    "a limit": ({"limit": 2}, "limit does not work on a Dask frame"),
    "each row for itself": ({"dedupe": False}, "dedupe=False does not work on a Dask frame"),
    "a store": ({"store": SqliteAnswers(None)}, "store is True or False"),
    "a wall without a store": ({"store": False, "max_cost": 1}, "max_cost on a Dask frame needs the store"),
    "a series": ({"prompt": pd.Series(["a"])}, "a prompt is a template, a column or a callable, got Series"),
    "no such column": ({"prompt": "{{txt}}"}, "no column txt"),
    "no such option": ({"max_toknes": 1}, "Did you mean 'max_tokens'"),
    "a column that exists": ({"out": "text"}, "a column 'text' already"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_is_refused_before_anything_is_computed(what, rows):
    options, problem = REFUSED[what]
    with pytest.raises(InvalidRequestError) as caught:
        frames.map(lazy(["a"]), **{"prompt": "text", **MODEL, **options})
    assert problem in str(caught.value)
    assert rows.asked == []


def test_without_a_store_nothing_is_kept(rows, tmp_path):
    for _ in range(2):
        found = lazy(["a", "b"]).llm.map("text", store=False, **MODEL).compute()
        assert found["llm"].tolist() == ["A", "B"]
    assert len(rows.asked) == 4
    assert not (tmp_path / "ledger.answers.sqlite").exists()


def test_the_model_and_the_output_limit_of_the_settings_are_those_of_the_caller(rows, monkeypatch):
    monkeypatch.setenv("LLM_DEFAULT_MODEL", "openai:gpt-4o-mini")
    monkeypatch.setenv("LLM_MAX_TOKENS", "33")
    found = lazy(["a"], parts=1).llm.map("text")
    monkeypatch.setenv("LLM_DEFAULT_MODEL", "openai:another")
    monkeypatch.setenv("LLM_MAX_TOKENS", "44")
    assert found.compute()["llm"].tolist() == ["A"]
    assert rows.bodies[0]["model"] == "gpt-4o-mini"
    assert 33 in rows.bodies[0].values()


def test_the_accessor_counts_partitions_and_a_missing_argument_is_named(rows):
    frame = lazy(["a", "b"])
    assert repr(frame.llm).startswith("<llmkit on 2 partitions: map, ")
    with pytest.raises(TypeError, match="prompt"):
        frame.llm.map()
    with pytest.raises(InvalidRequestError, match=r"A Dask frame has no rows yet. Compute it first"):
        frames.answer(frame, 0)
