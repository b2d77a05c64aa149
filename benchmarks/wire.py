"""`calls`, `first` and `streams`: what a call costs the client's process, beside the SDKs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import fake_server
from contestants import BARE, FIRST, LLMKIT, LLMKIT_AIOHTTP, SDK, contestants
from frames import BURST, CHUNKS, MODELS, PLAIN, Reply
from measure import Row, alternate, check, ratio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CALL_GOALS = {1: 3.0, 64: 2.6}
"""What llmkit's call may cost, in bare calls (aiohttp + orjson), by the number in flight."""

FIRST_GOAL = 0.9
"""What the first answer of a process may cost, in the official SDK's."""

CHUNK_GOALS = {"openai": 0.1, "anthropic": 0.3, "google": 0.1}
EACH = 4
"""Calls that each of those in flight makes, one after the other, in one repetition."""


def calls(*, quick: bool) -> list[Row]:
    """Measure plain calls, one after the other and many in flight."""
    rows: list[Row] = []
    with fake_server.running() as url:
        for provider in MODELS:
            for width, goal in CALL_GOALS.items():
                case = f"{provider}, {'one by one' if width == 1 else f'{width} in flight'}"
                pace = Pace((10 if width == 1 else 1) * (1 if quick else 4), 9 if quick else 15)
                seconds = asyncio.run(_calls(provider, url, pace, width))
                rows += _rows("calls", case, seconds, width * EACH, goal, to=BARE)
    return rows


def first(*, quick: bool) -> list[Row]:
    """Measure whole processes that make one call and end."""
    seconds: dict[tuple[str, str], list[float]] = {}
    with fake_server.running() as url:
        for turn in range((7 if quick else 15) + 1):
            for provider, name in ((provider, name) for provider in MODELS for name in FIRST):
                spent = _first(FIRST[name][provider], url + ("/v1" if provider == "openai" else ""))
                if turn:
                    seconds.setdefault((provider, name), []).append(spent)
    return [
        row
        for provider in MODELS
        for row in _rows(
            "first", provider, {name: seconds[provider, name] for name in FIRST}, 1, FIRST_GOAL, unit="ms"
        )
    ]


def _first(code: str, url: str) -> float:
    """Return the CPU seconds of a Python process that asks once and prints the answer."""
    process = subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE)
    assert process.stdout is not None
    text = process.stdout.read().decode().strip()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    check((process.returncode, text), (0, PLAIN.text.strip()), code)
    return usage.ru_utime + usage.ru_stime


def streams(*, quick: bool) -> list[Row]:
    """Measure bursts of 2,000 chunks, per chunk: as one body, and with an HTTP chunk for each event."""
    pace = Pace(1, 7) if quick else Pace(3, 9)
    rows: list[Row] = []
    with fake_server.running() as url:
        for framing, path in (("one body", ""), ("HTTP chunks", "/chunked")):
            for provider, goal in CHUNK_GOALS.items():
                seconds = asyncio.run(_streams(provider, url + path, pace))
                rows += _rows("streams", f"{provider}, {framing}", seconds, CHUNKS, goal)
    return rows


class Pace(NamedTuple):
    """How often: repetitions in a round, and rounds."""

    times: int
    rounds: int


async def _calls(provider: str, url: str, pace: Pace, width: int) -> dict[str, list[float]]:
    async with contestants(provider, url) as found:
        asks = {name: partial(_at_once, contestant.call, width) for name, contestant in found.items()}
        return await _booked(asks, PLAIN, pace, width * EACH)


async def _at_once(ask: Callable[[], Awaitable[Reply]], width: int) -> Reply:
    """Keep so many calls in flight, and return what each one returned."""

    async def caller() -> None:
        for _ in range(EACH):
            check(await ask(), PLAIN, "A call")

    await asyncio.gather(*(caller() for _ in range(width)))
    return PLAIN


async def _streams(provider: str, url: str, pace: Pace) -> dict[str, list[float]]:
    async with contestants(provider, url) as found:
        return await _booked({name: contestant.stream for name, contestant in found.items()}, BURST, pace)


async def _booked(
    asks: dict[str, Callable[[], Awaitable[Reply]]], expected: Reply, pace: Pace, calls_each: int = 1
) -> dict[str, list[float]]:
    """Measure, and make sure that each of llmkit's calls left its priced row meanwhile."""
    import llmkit

    before = llmkit.ledger.total()
    seconds = await alternate(asks, expected, times=pace.times, rounds=pace.rounds)
    after = llmkit.ledger.total()
    ours = sum(name in {LLMKIT, LLMKIT_AIOHTTP} for name in asks)
    made = ours * (1 + pace.times * (pace.rounds + 1)) * calls_each
    check((after.calls - before.calls, after.unpriced), (made, 0), "The ledger")
    return seconds


def _rows(
    benchmark: str,
    case: str,
    seconds: dict[str, list[float]],
    units: int,
    goal: float,
    *,
    to: str = SDK,
    unit: str = "µs",
) -> list[Row]:
    return [
        Row(
            benchmark=benchmark,
            case=case,
            name=name,
            value=median(each) / units * {"µs": 1e6, "ms": 1e3}[unit],
            unit=unit,
            ratio=ratio(each, seconds[to]),
            goal=goal if name == LLMKIT else None,
        )
        for name, each in seconds.items()
    ]
