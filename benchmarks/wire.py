"""`calls` and `streams`: what a call costs the client's process, beside the SDKs."""

from __future__ import annotations

import asyncio
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import standin
from contestants import LLMKIT, LLMKIT_AIOHTTP, SDK, contestants
from frames import BURST, CHUNKS, MODELS, PLAIN, Reply
from measure import Row, alternate, check, ratio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CALL_GOALS = dict.fromkeys(MODELS, 0.7)
CHUNK_GOALS = {"openai": 0.1, "anthropic": 0.3, "google": 0.1}


def calls(*, quick: bool) -> list[Row]:
    """Measure plain calls, one after the other."""
    pace = Pace(40, 7) if quick else Pace(150, 9)
    with standin.running() as url:
        return [
            row
            for provider, goal in CALL_GOALS.items()
            for row in _rows("calls", provider, asyncio.run(_calls(provider, url, pace)), 1, goal)
        ]


def streams(*, quick: bool) -> list[Row]:
    """Measure bursts of 2,000 chunks, per chunk: as one body, and with an HTTP chunk for each event."""
    pace = Pace(1, 7) if quick else Pace(3, 9)
    rows: list[Row] = []
    with standin.running() as url:
        for framing, path in (("one body", ""), ("HTTP chunks", "/chunked")):
            for provider, goal in CHUNK_GOALS.items():
                seconds = asyncio.run(_streams(provider, url + path, pace))
                rows += _rows("streams", f"{provider}, {framing}", seconds, CHUNKS, goal)
    return rows


class Pace(NamedTuple):
    """How often: repetitions in a round, and rounds."""

    times: int
    rounds: int


async def _calls(provider: str, url: str, pace: Pace) -> dict[str, list[float]]:
    async with contestants(provider, url) as found:
        return await _booked({name: contestant.call for name, contestant in found.items()}, PLAIN, pace)


async def _streams(provider: str, url: str, pace: Pace) -> dict[str, list[float]]:
    async with contestants(provider, url) as found:
        return await _booked({name: contestant.stream for name, contestant in found.items()}, BURST, pace)


async def _booked(
    asks: dict[str, Callable[[], Awaitable[Reply]]], expected: Reply, pace: Pace
) -> dict[str, list[float]]:
    """Measure, and make sure that each of llmkit's calls left its priced row meanwhile."""
    import llmkit

    before = llmkit.ledger.total()
    seconds = await alternate(asks, expected, times=pace.times, rounds=pace.rounds)
    after = llmkit.ledger.total()
    ours = sum(name in {LLMKIT, LLMKIT_AIOHTTP} for name in asks)
    made = ours * (1 + pace.times * (pace.rounds + 1))
    check((after.calls - before.calls, after.unpriced), (made, 0), "The ledger")
    return seconds


def _rows(benchmark: str, case: str, seconds: dict[str, list[float]], units: int, goal: float) -> list[Row]:
    return [
        Row(
            benchmark=benchmark,
            case=case,
            name=name,
            value=median(each) / units * 1e6,
            unit="µs",
            ratio=ratio(each, seconds[SDK]),
            goal=goal if name == LLMKIT else None,
        )
        for name, each in seconds.items()
    ]
