"""How it is measured: CPU of this process, contestants in turn, medians; and how it is shown."""

from __future__ import annotations

import gc
import json
import statistics
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

T = TypeVar("T")


class WrongAnswerError(Exception):
    """A contestant does not do its work, so that its time means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table.

    Attributes:
        benchmark: Name of the benchmark.
        case: What was done, e.g. the provider.
        name: Who did it.
        value: Median cost of one unit.
        unit: Of the value.
        ratio: To what it is compared with; the median of the rounds' ratios.
        goal: What the ratio should be at most; the value, where there is no ratio.
    """

    benchmark: str
    case: str
    name: str
    value: float
    unit: str
    ratio: float | None = None
    goal: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; `None` without one."""
        measured = self.value if self.ratio is None else self.ratio
        return None if self.goal is None else measured <= self.goal


def check(found: object, expected: object, who: str) -> None:
    """Make sure that a contestant does what it is timed for.

    Raises:
        WrongAnswerError: If it does not.
    """
    if found != expected:
        raise WrongAnswerError(f"{who} returned {str(found)[:200]!r}, not {str(expected)[:200]!r}.")


async def alternate(
    asks: dict[str, Callable[[], Awaitable[T]]], expected: T, *, times: int, rounds: int
) -> dict[str, list[float]]:
    """Time contestants in turn; each round begins with another one.

    Args:
        asks: What to await, by contestant.
        expected: What each one must return, or nothing is timed.
        times: Repetitions in a round.
        rounds: Rounds that count; one before them warms up.

    Returns:
        CPU seconds of all threads for one repetition, by contestant and round.
    """
    for name, ask in asks.items():
        check(await ask(), expected, name)
    seconds: dict[str, list[float]] = {name: [] for name in asks}
    names = list(asks)
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            gc.collect()
            start = time.process_time()
            for _ in range(times):
                answer = await asks[name]()
            spent = (time.process_time() - start) / times
            check(answer, expected, name)
            if turn:
                seconds[name].append(spent)
    return seconds


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median of the rounds' ratios: what disturbs the machine meets both of a round."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def show(rows: list[Row]) -> None:
    """Print a table."""
    cells = [("", "", "measured", "ratio", "goal", ""), *(_cells(row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        left = [cell.ljust(width) for cell, width in zip(line[:2], widths, strict=False)]
        right = [cell.rjust(width) for cell, width in zip(line[2:], widths[2:], strict=True)]
        print("  ".join([*left, *right]).rstrip())
    print()


def save(rows: list[Row], path: Path) -> None:
    """Write the rows as JSON."""
    table = [asdict(row) | {"met": row.met} for row in rows]
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def _cells(row: Row) -> tuple[str, ...]:
    limit = "" if row.goal is None else f"≤ {row.goal:g}" + (f" {row.unit}" if row.ratio is None else "x")
    return (
        row.case,
        row.name,
        f"{_rounded(row.value)} {row.unit}",
        "" if row.ratio is None else f"{row.ratio:.3f}x",
        limit,
        {None: "", True: "✓", False: "✗"}[row.met],
    )


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
