"""`llmkit.batch(…, job="name")`: what was answered is not asked again, by whatever process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from typing import TypedDict

import pytest

import llmkit
from llmkit import InvalidRequestError, LLMClientError, LLMMessage, LLMResponse
from llmkit.frames.kept_responses import _read, _written
from llmkit.parts import Media, Other, Reasoning, Text, ToolCall
from tests.support.processes import unmeasured
from tests.support.rows import RowServer, failure, said


async def again(prompts, client, **options):
    return await llmkit.batch(prompts, client, progress=False, **{"job": "mine", **options})


async def test_answers_are_asked_once_in_any_order_and_cost_nothing_the_second_time(rows, recorder):
    first = await again(["a", "b"], rows.client())
    second = await again(["c", "b", "a"], rows.client())
    assert [one.content for one in second] == ["C", "B", "A"]
    assert sorted(rows.asked) == ["a", "b", "c"]
    assert [one.replayed for one in second] == [False, True, True]
    assert [one.cost_estimate for one in second[1:]] == [0, 0]
    assert [one.saved_cost for one in second[1:]] == [first[1].cost_estimate, first[0].cost_estimate]
    assert [one.uid for one in second[1:]] == [first[1].uid, first[0].uid]
    assert {dict(one.tags)["job"] for one in recorder.records} == {"mine"}
    assert {one.surface for one in recorder.records} == {"batch"}


async def test_equal_prompts_are_several_samples_each_with_its_own_answer(rows):
    numbers = iter(range(100))
    rows.answer = lambda text: f"{text} {next(numbers)}"
    first = await again(["a", "b", "a"], rows.client(), max_concurrent=1)
    assert [one.content for one in first] == ["a 0", "b 1", "a 2"]
    second = await again(["a", "a", "a", "b"], rows.client())
    assert [one.content for one in second] == ["a 0", "a 2", "a 3", "b 1"]


async def test_with_dedupe_equal_prompts_are_one(rows):
    for _ in range(2):
        found = await again(["a", "a", "b"], rows.client(), dedupe=True)
        assert [one.content for one in found] == ["A", "A", "B"]
    assert sorted(rows.asked) == ["a", "b"]


@pytest.mark.parametrize(
    "other",
    [{"job": "another"}, {"system": "Be brief."}, {"temperature": 0.1}, {"schema": {"type": "object"}}],
)
async def test_another_job_or_question_is_asked_anew_and_without_a_job_nothing_is_kept(other, rows):
    rows.answer = lambda text: json.dumps({"said": text})
    await again(["a"], rows.client())
    await again(["a"], rows.client(), **other)
    await llmkit.batch(["a"], rows.client(), progress=False)
    assert len(rows.asked) == 3


async def test_errors_are_asked_again_and_the_others_are_not(rows):
    rows.answer = lambda text: failure(503, "down") if text == "b" else text.upper()
    first, second = await again(["a", "b"], rows.client())
    assert first.content == "A"
    assert isinstance(second, LLMClientError)
    rows.answer = str.upper
    assert [one.content for one in await again(["a", "b"], rows.client())] == ["A", "B"]
    assert sorted(rows.asked) == ["a", "b", "b"]


async def test_a_cut_answer_is_asked_again_with_a_higher_limit_only(rows):
    rows.answer = lambda text: said("cut", "length")
    for limit in (5, 5, 3):
        (one,) = await again(["a"], rows.client(), max_tokens=limit)
        assert (one.content, one.finish_reason) == ("cut", "length")
    assert len(rows.asked) == 1
    rows.answer = str.upper
    (one,) = await again(["a"], rows.client(), max_tokens=9)
    assert (one.content, len(rows.asked)) == ("A", 2)
    (one,) = await again(["a"], rows.client(), max_tokens=3)
    assert (one.content, len(rows.asked)) == ("A", 2)


async def test_a_value_is_read_from_a_kept_answer(rows):
    class River(TypedDict):
        name: str

    rows.answer = lambda _: '{"name": "Rhine"}'
    for _ in range(2):
        (one,) = await again(["a"], rows.client(), schema=River)
        assert one.value == {"name": "Rhine"}
    assert len(rows.asked) == 1


async def test_other_tools_are_another_question(rows):
    def weather(city: str) -> str:
        """Tell the weather."""
        return city

    def time(city: str) -> str:
        """Tell the time."""
        return city

    for tools in ([weather], [weather], [time]):
        await again(["a"], rows.client(), tools=[llmkit.tool(one) for one in tools])
    assert len(rows.asked) == 2


async def test_a_prompt_that_cannot_be_sent_is_an_error_in_its_place(rows):
    for _ in range(2):
        found = await again(["a", "", [LLMMessage("user", "b")], ["no message"]], rows.client())
        assert [isinstance(one, LLMClientError) for one in found] == [False, True, False, True]
    assert sorted(rows.asked) == ["a", "b"]


@pytest.mark.parametrize("job", ["", " ", 7])
async def test_a_job_needs_a_name(job, rows):
    with pytest.raises(InvalidRequestError, match="job must be a text"):
        await again(["a"], rows.client(), job=job)
    assert rows.asked == []


async def test_what_was_answered_before_a_batch_was_cancelled_is_kept(rows):
    rows.delay, rows.wanted = 0.02, 20
    prompts = [f"p{n}" for n in range(60)]
    work = asyncio.create_task(again(prompts, rows.client(), max_concurrent=4))
    assert await asyncio.to_thread(rows.enough.wait, 60)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert [one.content for one in await again(prompts, rows.client())] == [one.upper() for one in prompts]
    assert len(rows.asked) <= 60 + 4


def test_a_response_is_kept_whole():
    usage = llmkit.Usage(input_tokens=3, output_tokens=4, units={"web_searches": 1})
    parts = (
        Reasoning("thought"), Text("said"), ToolCall("c1", "f", {"a": 1}),
        Media(llmkit.attach(b"\x89PNG\r\n\x1a\n", "x.png")), Other("new", {"type": "new"}, provider="openai"),
    )  # fmt: skip
    whole = LLMResponse(
        "said", "openai", "m", prompt_tokens=3, completion_tokens=4, cost_estimate=0.5, response_time=1.5,
        finish_reason="stop", usage=usage, usage_source="provider", price_source="genai-prices",
        request_id="r", attempts=2, first_token_s=0.5, uid="u", simulated=True, fallback_from="x:y",
        note="a note", raw_parts=({"type": "new"},), parts=parts,
    )  # fmt: skip
    assert _read(_written(whole)) == whole
    bare = LLMResponse("half \ud83d", "openai", "m")
    assert _read(_written(bare)) == replace(bare)


CHILD = """
import asyncio, sys
import llmkit

async def main():
    client = llmkit.OpenAIClient("k", sys.argv[1], model="gpt-4o-mini", max_retries=0)
    prompts = [f"p{n}" for n in range(300)]
    answers = await llmkit.batch(prompts, client, job="mine", progress=False)
    assert [one.content for one in answers] == [one.upper() for one in prompts]
    await client.close()

asyncio.run(main())
"""


def test_a_killed_process_loses_nothing_that_was_answered(tmp_path):
    environment = {**unmeasured(), "LLMKIT_LEDGER": str(tmp_path / "ledger.sqlite")}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    with RowServer(delay=0.02) as server:
        server.wanted = 80
        command = [sys.executable, "-c", CHILD, server.url]
        child = subprocess.Popen(command, env=environment)
        assert server.enough.wait(60)
        child.kill()
        assert child.wait(60) == -signal.SIGKILL
        with closing(sqlite3.connect(tmp_path / "ledger.answers.sqlite")) as store:
            finished = {text.lower() for (text,) in store.execute("SELECT text FROM answers")}
        before = len(server.asked)
        assert subprocess.run(command, env=environment, check=False, timeout=120).returncode == 0
        assert finished
        assert not finished.intersection(server.asked[before:])
        assert len(server.asked) == before + 300 - len(finished)
