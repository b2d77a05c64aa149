"""`batches`: rows of a batch's file that are written and sent, and that are read, priced and stored."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import fake_server
from contestants import KEY, LIMIT, PROMPT
from frames import MODELS, PLAIN
from measure import Row, check

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

GOAL = 25.0
"""Microseconds of CPU that a row may cost: 40,000 rows per CPU second."""


def batches(*, quick: bool) -> list[Row]:
    """Measure the file of a batch on its way out and its results on their way in, with the ledger on."""
    size, rounds = (2_000, 7) if quick else (10_000, 15)
    with fake_server.running() as url:
        seconds = asyncio.run(_seconds(f"{url}/v1", size, rounds))
    return [
        Row(
            benchmark="batches",
            case=f"{size:,} rows",
            name=name,
            value=median(each) * 1e6,
            unit="µs/row",
            goal=GOAL,
        )
        for name, each in seconds.items()
    ]


async def _seconds(url: str, size: int, rounds: int) -> dict[str, list[float]]:
    import llmkit

    client = llmkit.client(f"openai:{MODELS['openai']}", api_key=KEY, base_url=url)
    async with client:
        asks: dict[str, Callable[[], Awaitable[int]]] = {
            "out": lambda: _out(client, size),
            "in": lambda: _in(client, size),
        }
        seconds: dict[str, list[float]] = {name: [] for name in asks}
        for turn in range(rounds + 1):
            for name, ask in asks.items():
                start = time.process_time()
                check(await ask(), size, name)
                if turn:
                    seconds[name].append((time.process_time() - start) / size)
    return seconds


async def _out(client: Any, size: int) -> int:
    from llmkit.clients.batches import jobs
    from llmkit.clients.batches.state import BatchRequest
    from llmkit.content.messages import LLMMessage

    requests = (
        BatchRequest(
            id=f"r{row}", messages=[LLMMessage("user", f"{PROMPT} {row}")], options={"max_tokens": LIMIT}
        )
        for row in range(size)
    )
    return sum([len(state.ids) async for state in jobs.submit(client, uuid4().hex[:16], requests)])


async def _in(client: Any, size: int) -> int:
    from llmkit.clients.batches import jobs
    from llmkit.clients.batches.state import BatchState

    job = uuid4().hex[:16]
    state = BatchState(
        provider="openai",
        model=MODELS["openai"],
        job=job,
        batch="batch_1",
        created=datetime.now(UTC),
        ending="completed",
        total=size,
        files=(f"/files/{job}-{size}/content",),
        path="/chat/completions",
        ids=tuple(f"r{row}" for row in range(size)),
    )
    return sum([answer.content == PLAIN.text async for _, answer in jobs.results(client, state)])
