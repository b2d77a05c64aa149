"""`tables`: rows of a table per CPU second, beside the SDK with `gather` and bare aiohttp; memory per row."""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
import tracemalloc
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

import fake_server
import pandas as pd
from contestants import BARE, KEY, LIMIT, PROMPT, SDK, contestants
from frames import MODELS, PLAIN, Reply
from measure import Row, alternate, check, ratio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WIDTH = 64
"""Rows in flight."""

BATCH, MAP, STORED = "llmkit.batch", "frames.map, store=False", "frames.map"
GOALS = {BATCH: 1 / 0.33, MAP: 1 / 0.33, STORED: 1 / 0.30}
"""What a row may cost, in rows of bare aiohttp; with the ledger and, for `frames.map`, its store."""

_numbers = itertools.count()

AGAIN_GOAL = 10.0
"""Microseconds of CPU of a row that is answered already."""

MEMORY_GOAL = 2_000
"""Bytes that a row may need beyond the list or the frame of its answers."""


def tables(*, quick: bool) -> list[Row]:
    """Measure rows at 64 in flight, each contestant with its own way of sending many."""
    size, rounds = (512, 9) if quick else (2048, 15)
    with fake_server.running() as url:
        seconds = asyncio.run(_seconds(url, size, rounds))
        again = asyncio.run(_again(url, 8192 if quick else 100_000, rounds))
        memory = asyncio.run(_memory(url, 8192))
    rows = [
        Row(
            benchmark="tables",
            case=f"{WIDTH} in flight",
            name=name,
            value=1 / (median(each) / size),
            unit="rows/CPU s",
            ratio=ratio(each, seconds[BARE]),
            goal=GOALS.get(name),
        )
        for name, each in seconds.items()
    ]
    rows.append(
        Row(
            benchmark="tables",
            case="answered already",
            name=STORED,
            value=again * 1e6,
            unit="µs/row",
            goal=AGAIN_GOAL,
        )
    )
    held = (
        Row(benchmark="tables", case="memory", name=name, value=size, unit="bytes/row", goal=MEMORY_GOAL)
        for name, size in memory.items()
    )
    return [*rows, *held]


async def _seconds(url: str, size: int, rounds: int) -> dict[str, list[float]]:
    import llmkit

    async with (
        contestants("openai", url) as found,
        llmkit.client(f"openai:{MODELS['openai']}", api_key=KEY, base_url=f"{url}/v1") as client,
    ):
        asks: dict[str, Callable[[], Awaitable[int]]] = {
            BARE: partial(_gathered, found[BARE].call, size),
            SDK: partial(_gathered, found[SDK].call, size),
            BATCH: partial(_batch, client, size),
            MAP: partial(_mapped, client, size, store=False),
            STORED: partial(_mapped, client, size, store=True),
        }
        return await alternate(asks, size, times=1, rounds=rounds)


async def _gathered(call: Callable[[], Awaitable[Reply]], size: int) -> int:
    """Ask for so many rows with `gather` and a semaphore, as users do."""
    places = asyncio.Semaphore(WIDTH)

    async def row() -> Reply:
        async with places:
            return await call()

    answers = await asyncio.gather(*(row() for _ in range(size)))
    return sum(answer == PLAIN for answer in answers)


async def _batch(client: Any, size: int) -> int:
    answers = await _answers(client, size)
    return sum(answer.content == PLAIN.text for answer in answers)


async def _mapped(client: Any, size: int, *, store: bool) -> int:
    """Ask for so many rows of a frame."""
    found = await _asked(client, _frame(size), store=store)
    return int((found["llm"] == PLAIN.text).sum())


def _frame(size: int) -> pd.DataFrame:
    """Return a frame whose prompts are others than those of any frame before."""
    return pd.DataFrame({"number": [next(_numbers) for _ in range(size)]})


async def _asked(client: Any, frame: pd.DataFrame, *, store: bool) -> pd.DataFrame:
    import llmkit.frames

    options = {"model": client, "max_tokens": LIMIT, "max_concurrent": WIDTH, "progress": False}
    return await llmkit.frames.amap(frame, f"{PROMPT} {{{{number}}}}", store=store, **options)


async def _again(url: str, size: int, rounds: int) -> float:
    """Return the CPU seconds of a row whose answer is stored."""
    import llmkit

    async with llmkit.client(f"openai:{MODELS['openai']}", api_key=KEY, base_url=f"{url}/v1") as client:
        frame, seconds = _frame(size), []
        await _asked(client, frame, store=True)
        for _ in range(rounds):
            gc.collect()
            start = time.process_time()
            found = await _asked(client, frame, store=True)
            seconds.append((time.process_time() - start) / size)
            check(int((found["llm"] == PLAIN.text).sum()), size, STORED)
    return median(seconds)


async def _answers(client: Any, size: int) -> list[Any]:
    import llmkit

    options = {"max_tokens": LIMIT, "max_concurrent": WIDTH, "progress": False}
    return await llmkit.batch([PROMPT] * size, client, **options)


async def _memory(url: str, size: int) -> dict[str, float]:
    """Return the bytes for each row that are held at the peak."""
    import llmkit

    async with llmkit.client(f"openai:{MODELS['openai']}", api_key=KEY, base_url=f"{url}/v1") as client:
        await _answers(client, WIDTH)
        await _mapped(client, WIDTH, store=True)
        return {
            BATCH: await _peak(lambda: _answers(client, size)) / size,
            STORED: await _peak(lambda: _asked(client, _frame(size), store=True)) / size,
        }


async def _peak(ask: Callable[[], Awaitable[Any]]) -> float:
    """Return the bytes held at the peak, without the frame that comes of it."""
    gc.collect()
    tracemalloc.start()
    try:
        found = await ask()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    kept = int(found.memory_usage(deep=True).sum()) if isinstance(found, pd.DataFrame) else 0
    return peak - kept
