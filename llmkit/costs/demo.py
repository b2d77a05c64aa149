"""A made-up month of calls for trying the ledger and its charts; every row is marked as simulated.

It is the month of one person with six habits (`HABITS`): a nightly job, a survey coded in batches, a
draft discussed in a chat, a prototype of an agent, an evaluation of retrieval, and lessons that are run
repeatedly. Prices are the real list prices.
"""

from __future__ import annotations

import calendar
import random
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from llmkit import prices
from llmkit.content.messages import Usage
from llmkit.costs.ledger import Ledger
from llmkit.records import CallRecord

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from llmkit.records import CallStatus, Surface

TAGS = {"demo": "made-up month"}
"""Every row carries this label, beside `project` and `simulated`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """Calls that a person makes regularly.

    Attributes:
        notebook: File name; `None` is a script.
        project: The tag `project` of its rows.
        surface: Where the calls are made.
        models: `provider:model`, the usual one first.
        calls: Average number of calls per day.
        days: Days of the month.
        hours: Local hours.
        cells: Number of cells that make the calls.
        tokens: Median of input and of output tokens.
        cached: Share of the input that is read from the provider's cache.
        reasoning: Share of the output that is reasoning.
        replayed: Share of the calls that are replayed.
        pace: Seconds to the first text, and tokens per second after it.
    """

    notebook: str | None
    project: str
    surface: Surface
    models: tuple[str, ...]
    calls: int
    days: tuple[int, ...]
    hours: tuple[int, ...]
    cells: int
    tokens: tuple[int, int]
    cached: float = 0.0
    reasoning: float = 0.0
    replayed: float = 0.0
    pace: tuple[float, float] = (0.6, 90.0)


DAILY = tuple(range(1, 32))
OFFICE = (9, 10, 10, 11, 11, 13, 14, 14, 15, 16)
EVENING = (16, 17, 20, 21, 21, 22)

HABITS = (
    Habit(
        notebook=None, project="monitoring", surface="batch", models=("openai:gpt-6-luna",),
        calls=45, days=DAILY, hours=(2,), cells=1, tokens=(1800, 160), pace=(0.5, 120.0),
    ),
    Habit(
        notebook="survey_coding.ipynb", project="survey", surface="batch",
        models=("openai:gpt-5.4-mini", "ollama:qwen3"), calls=190, days=(5, 6, 7, 8, 9, 12, 13), hours=OFFICE,
        cells=3, tokens=(620, 45), pace=(0.4, 140.0),
    ),
    Habit(
        notebook="thesis_draft.ipynb", project="thesis", surface="chat",
        models=("anthropic:claude-sonnet-5-5",), calls=22, days=DAILY[::2], hours=EVENING, cells=2,
        tokens=(14_000, 900), cached=0.7, pace=(1.1, 70.0),
    ),
    Habit(
        notebook="agent_prototype.ipynb", project="assistant", surface="api",
        models=("anthropic:claude-opus-5-5", "openai:gpt-6.1-terra"), calls=38, days=tuple(range(14, 24)),
        hours=OFFICE, cells=5, tokens=(9_000, 1_500), cached=0.2, reasoning=0.6, pace=(2.6, 55.0),
    ),
    Habit(
        notebook="retrieval_eval.ipynb", project="assistant", surface="api",
        models=("google:gemini-3.8-flash", "openrouter:lab/preview-1"),
        calls=60, days=(19, 20, 21, 22, 26, 27, 28), hours=OFFICE, cells=4, tokens=(5_200, 240),
        pace=(0.7, 160.0),
    ),
    Habit(
        notebook="lessons.ipynb", project="teaching", surface="magic",
        models=("anthropic:claude-sonnet-5-5", "anthropic:claude-haiku-5-5"), calls=48,
        days=tuple(range(1, 32, 2)), hours=OFFICE, cells=12, tokens=(3_600, 900), replayed=0.8,
        pace=(0.9, 80.0),
    ),
)  # fmt: skip
"""The habits of the month."""

OUTAGE = (21, "anthropic")
"""The day and the provider of an outage."""


def records(month: str = "2026-10", *, seed: int = 0) -> list[CallRecord]:
    """Return the calls of a made-up month.

    Example:
        >>> calls = records("2026-10", seed=1)
        >>> len(calls) > 3000, all(call.simulated for call in calls), calls == records("2026-10", seed=1)
        (True, True, True)
    """
    first = date.fromisoformat(f"{month}-01")
    rng = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    made = [record for habit in HABITS for record in _habit(habit, first, rng)]
    return sorted(made, key=lambda record: (record.time, record.uid))


def month(path: str | os.PathLike[str], month: str = "2026-10", *, seed: int = 0) -> Ledger:
    """Return a ledger with a made-up month of calls.

    Example:
        >>> month(":memory:").total().simulated
        True
    """
    ledger = Ledger(path)
    for record in records(month, seed=seed):
        ledger.record(record)
    ledger.flush()
    return ledger


def _habit(habit: Habit, first: date, rng: random.Random) -> Iterator[CallRecord]:
    _, last = calendar.monthrange(first.year, first.month)
    for day in habit.days:
        if day > last:
            return
        session = f"{rng.getrandbits(48):012x}"
        weekend = first.replace(day=day).weekday() >= 5 and habit.notebook is not None
        for _ in range(round(habit.calls * rng.uniform(0.6, 1.4) * (0.25 if weekend else 1.0))):
            time = datetime(first.year, first.month, day, rng.choice(habit.hours)).astimezone(UTC)
            time += timedelta(seconds=rng.randrange(3600), milliseconds=rng.randrange(1000))
            yield _call(habit, time, day, session, rng)


def _call(habit: Habit, time: datetime, day: int, session: str, rng: random.Random) -> CallRecord:
    usual, *others = habit.models
    name = rng.choice(others) if others and rng.random() < 0.25 else usual
    provider, _, model = name.partition(":")
    status, error = _ending(habit, provider, day, rng)
    usage = _usage(habit, rng) if error is None else Usage()
    replayed = status == "replayed"
    first, duration = _times(habit, usage, replayed, rng)
    place = _cell(habit, rng)
    record = CallRecord(
        time=time,
        uid=f"{rng.getrandbits(128):032x}",
        status=status,
        surface=habit.surface,
        provider=provider,
        model=model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        duration_s=duration,
        attempts=0 if replayed else 3 if error else 1,
        finish_reason="stop" if status in {"ok", "replayed"} else None,
        error=error,
        session=session,
        tags={**TAGS, "project": habit.project},
        simulated=True,
        **place,
    )
    if error is None:
        record = replace(record, model_served=model, usage_source="reported", first_token_s=first)
    return _priced(record, usage)


def _cell(habit: Habit, rng: random.Random) -> dict[str, Any]:
    # A few cells make most of the calls.
    cell = min(int(rng.expovariate(1.2) * 2), habit.cells - 1)
    if habit.notebook is None:
        return {}
    place = {"notebook": habit.notebook, "cell_id": f"{habit.notebook}-{cell}"}
    return {**place, "execution_count": 3 + 2 * cell}


def _priced(record: CallRecord, usage: Usage) -> CallRecord:
    price = prices.price(record.provider, (record.model,), usage, when=record.time)
    nanos = None if price is None else price.nanos
    money: dict[str, Any] = {"cost_nanos": nanos}
    if record.status == "replayed":
        money = {"cost_nanos": 0, "saved_nanos": nanos}
    if price is None:
        return replace(record, **money)
    return replace(record, **money, price_source=price.source, price_date=price.date)


def _ending(habit: Habit, provider: str, day: int, rng: random.Random) -> tuple[CallStatus, str | None]:
    chance = rng.random()
    if chance < habit.replayed:
        return "replayed", None
    if (day, provider) == OUTAGE and chance < 0.55:
        return "error", "ProviderNotAvailableError" if chance < 0.4 else "LLMTimeoutError"
    if habit.surface == "batch" and chance < 0.03:
        return "error", "RateLimitError"
    if chance > 0.995:
        return "error", "LLMTimeoutError"
    return ("cancelled" if habit.surface == "chat" and chance > 0.93 else "ok"), None


def _usage(habit: Habit, rng: random.Random) -> Usage:
    asked, answered = (max(1, round(median * rng.lognormvariate(0, 0.45))) for median in habit.tokens)
    read = round(asked * min(1.0, habit.cached * rng.uniform(0.7, 1.2)))
    return Usage(
        input_tokens=asked,
        output_tokens=answered,
        cache_read_tokens=read,
        cache_write_tokens=round((asked - read) * 0.5) if habit.cached else 0,
        reasoning_tokens=round(answered * habit.reasoning * rng.uniform(0.6, 1.3)),
    )


def _times(
    habit: Habit,
    usage: Usage,
    replayed: bool,  # noqa: FBT001 - one of four facts of a call
    rng: random.Random,
) -> tuple[float, float]:
    if replayed:
        return 0.002, 0.004
    if usage.output_tokens is None:
        return 0.0, round(rng.uniform(8, 40), 3)
    wait, speed = habit.pace
    first = wait * rng.lognormvariate(0, 0.35) + (usage.reasoning_tokens or 0) / speed
    rest = (usage.output_tokens - (usage.reasoning_tokens or 0)) / speed * rng.lognormvariate(0, 0.2)
    return round(first, 3), round(first + rest, 3)
