"""`max_cost` is a wall, whatever the calls of a job do."""

from __future__ import annotations

import asyncio
import random

import pandas as pd
import pytest

from llmkit import InvalidRequestError
from llmkit.frames import JobStopped
from llmkit.frames import map as ask
from llmkit.frames.cost_wall import CostWall, MaxCostReachedError
from tests.support.callers import hurry
from tests.support.rows import RowServer, failure, said

FRAME = pd.DataFrame({"n": [f"row {n}" for n in range(60)]})


def worst(recorder):
    return sum(one.at_most_nanos or one.cost_nanos or 0 for one in recorder.records)


def test_a_job_stops_before_it_can_cost_more(rows, recorder):
    with pytest.raises(JobStopped, match=r"max_cost of \$0\.00003") as stopped:
        ask(FRAME, "{{n}}", model=rows.client(), max_cost=0.00003, max_tokens=10, progress=False)
    assert stopped.value.reason == "max_cost"
    assert 0 < worst(recorder) <= 30_000
    there = stopped.value.frame["llm"].notna().sum()
    assert there == len(recorder.records) > 0


def test_it_goes_on_where_it_stopped(rows, recorder):
    with pytest.raises(JobStopped):
        ask(FRAME, "{{n}}", model=rows.client(), max_cost=0.00003, max_tokens=10, progress=False)
    found = ask(FRAME, "{{n}}", model=rows.client(), max_cost=1, max_tokens=10, progress=False)
    assert found["llm"].notna().all()
    assert sorted(rows.asked) == sorted(FRAME["n"])


def test_a_maximum_needs_a_price(rows):
    with pytest.raises(InvalidRequestError, match="max_cost needs the price of openai:unheard-of"):
        ask(FRAME, "{{n}}", model=rows.client(model="unheard-of"), max_cost=1, progress=False)
    with pytest.raises(InvalidRequestError, match="max_cost must be US dollars"):
        ask(FRAME, "{{n}}", model=rows.client(), max_cost=-1, progress=False)
    assert rows.asked == []


def faults_of(seed):
    chance = random.Random(seed)

    def answer(prompt):
        if chance.random() < 0.3:
            return chance.choice([failure(503, "down"), (200, {"choices": []}), said("x", "length")])
        return prompt

    return answer


@pytest.mark.parametrize("seed", range(10))
def test_no_job_costs_more_than_it_may(seed, recorder):
    most = random.Random(seed).randrange(10_000, 400_000)
    with RowServer(faults_of(seed), delay=0.001) as server:
        client = server.client(max_retries=2)
        hurry(client)
        try:
            ask(FRAME, "{{n}}", model=client, max_cost=most / 1e9, max_tokens=20, store=False, progress=False)
        except JobStopped as stopped:
            assert stopped.reason == "max_cost"  # noqa: PT017 - it may stop
    assert worst(recorder) <= most


async def test_calls_that_all_wait_for_one_another_are_refused():
    wall = CostWall(100)
    await wall.reserve("a", 50)
    await wall.reserve("b", 50)
    waiting = asyncio.create_task(wall.reserve("a", 60))
    await asyncio.sleep(0)
    with pytest.raises(MaxCostReachedError):
        await wall.reserve("b", 60)
    wall.settle("b", 40)  # the call has failed, and cost something
    await waiting


async def test_a_call_waits_for_what_another_gives_back():
    wall = CostWall(100)
    await wall.reserve("a", 90)
    waiting = asyncio.create_task(wall.reserve("b", 50))
    await asyncio.sleep(0)
    wall.settle("a", 40)
    await waiting
    wall.settle("b", None)  # what it cost is unknown, so all of it counts
    with pytest.raises(MaxCostReachedError):
        await wall.reserve("c", 11)
