"""`max_cost` is a wall, whatever the calls of a job do."""

from __future__ import annotations

import asyncio
import json
import random

import pandas as pd
import pytest

from llmkit import InvalidRequestError
from llmkit.frames import Choice, JobStopped, YesNo, classify, decide, extract, score
from llmkit.frames import filter as keep
from llmkit.frames import map as ask
from llmkit.frames.cost_wall import CostWall, MaxCostReachedError
from tests.support.callers import hurry
from tests.support.products import few
from tests.support.rows import DROPPED, SILENT, RowServer, failure, said

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


INPUT, OUTPUT = 150, 600
"""What a token of gpt-4o-mini costs, in billionths of a dollar."""


class Charging:
    """Answers of random length, with faults, and counts what a provider may charge for them."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.nanos = 0

    def __call__(self, body):
        chance, most = self.random, body["max_tokens"]
        if chance.random() < 0.15:
            return chance.choice([failure(503, "down"), failure(429, "slow", "rate_limit_exceeded")])
        prompt, written = len(str(body["messages"])) // 4, chance.randint(1, most)
        self.nanos += prompt * INPUT + written * OUTPUT
        if (fault := chance.random()) < 0.1:
            return DROPPED if fault > 0.01 else SILENT
        text = json.dumps(self.filled(body)) if chance.random() < 0.8 else "no JSON"
        answer = said(
            text, "length" if written == most else chance.choice(["stop", "stop", "content_filter"])
        )
        answer["usage"] = {"prompt_tokens": prompt, "completion_tokens": written}
        return answer if chance.random() < 0.95 else (200, {"choices": []})

    def filled(self, body):
        """Values for each field of the schema, which is one of labels, a boolean or a number."""
        fields = (
            body.get("response_format", {}).get("json_schema", {}).get("schema", {}).get("properties", {})
        )
        return {name: self.random.choice(field.get("enum", [True, 1, "x"])) for name, field in fields.items()}


def verbs_of(seed):
    """A verb with its arguments."""
    questions = {"a": YesNo("Is it even?"), "b": Choice(["x", "y"])}
    schema = {"type": "object", "properties": {"number": {"type": "integer"}, "even": {"type": "boolean"}}}
    return [
        lambda frame, **options: ask(frame, "{{n}}", **options),
        lambda frame, **options: classify(frame, "n", ["odd", "even"], **options),
        lambda frame, **options: extract(frame, "n", schema, **options),
        lambda frame, **options: keep(frame, "n", "is even", **options),
        lambda frame, **options: score(frame, "n", "How large?", ["small", "large"], **options),
        lambda frame, **options: decide(frame, "n", questions, **options),
    ][seed % 6]


def cost_of_a_job(seed):
    """Run a job with random options at a server with faults; return what it may cost, and what is charged."""
    chance = random.Random(seed)
    most = chance.randrange(250_000, 2_000_000)
    frame = pd.DataFrame({"n": [f"row {chance.randrange(80)}" for _ in range(chance.randrange(5, 120))]})
    options = {
        "max_tokens": chance.choice([5, 20, 300]),
        "max_concurrent": chance.choice([None, 1, 4, 64]),
        "dedupe": chance.random() < 0.5,
        "store": False,
        "progress": False,
    }
    with RowServer(Charging(seed), delay=0.001) as server:
        server.sees_bodies = True
        client = server.client(max_retries=chance.randrange(4), timeout=chance.choice([1, 2, 4]))
        hurry(client)
        try:
            verbs_of(seed)(frame, model=client, max_cost=most / 1e9, **options)
        except JobStopped as stopped:
            assert stopped.reason == "max_cost"  # noqa: PT017 - it may stop
        return most, server.answer.nanos


@pytest.mark.parametrize("seed", few(range(12), {3, 5}))
def test_no_job_costs_more_than_it_may(seed, recorder):
    most, charged = cost_of_a_job(seed)
    assert 0 < charged <= worst(recorder) <= most


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_of_two_hundred_jobs_none_costs_more_than_it_may(recorder):
    shares = []
    for seed in range(200):
        recorder.records.clear()
        most, charged = cost_of_a_job(seed)
        assert charged <= worst(recorder) <= most, seed
        shares.append(worst(recorder) / most)
    print(f"the fullest reached {max(shares):.3f} of max_cost")  # noqa: T201 - for the one who soaks


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
