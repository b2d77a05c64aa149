"""The line that a job shows while it runs."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Protocol

from llmkit.core import rich_display
from llmkit.core.money import format_money, from_nanos

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.frames.answers.protocol import Answer

EVERY = 0.25
"""Seconds between two updates of the line."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a job is.

    Attributes:
        rows: Rows to answer.
        requests: Requests to make.
        done: Rows that have an answer or an error.
        failed: Rows that have an error.
        pending: Rows whose batch has not ended.
        asked: Requests that are answered.
        nanos: What they cost, in nano-dollars.
        exact: Whether all their prices are known.
        simulated: Whether the sandbox answers.
        unlimited: Whether a `max_cost` does not apply, because the calls are free.
        ended: Whether the job is over, by itself or not.
        in_flight: Requests under way.
        pause: Seconds until a rate limit has passed.
    """

    rows: int
    requests: int = 0
    done: int = 0
    failed: int = 0
    pending: int = 0
    asked: int = 0
    nanos: int = 0
    exact: bool = True
    simulated: bool = False
    unlimited: bool = False
    ended: bool = False
    in_flight: Callable[[], int] = lambda: 0
    pause: Callable[[], float] = lambda: 0.0
    started: float = field(default_factory=monotonic)

    def note(self, answer: Answer, rows: int) -> None:
        """Count an answer that was asked for."""
        self.asked += 1
        self.done += rows
        self.failed += rows if answer.status != "ok" else 0
        self.nanos += answer.cost_nanos or 0
        self.exact = self.exact and answer.cost_nanos is not None

    def line(self) -> str:
        """Return the line.

        Example:
            >>> Progress(rows=20, done=5, failed=1).line()
            '5/20 · 1 failed'
        """
        return " · ".join(self.parts())

    def parts(self) -> list[str]:
        """Return the parts of the line."""
        parts = [f"{self.done:,}/{self.rows:,}"]
        if self.failed:
            parts.append(f"{self.failed:,} failed")
        if self.pending:
            parts.append(f"{self.pending:,} pending")
        if self.asked:
            parts.append(self._cost())
        if self.unlimited:  # beside the word "simulated"
            parts.append("max_cost does not apply")
        left = self.requests - self.asked
        if self.asked and left > 0 and not self.ended:
            parts.append(f"{_span((monotonic() - self.started) / self.asked * left)} left")
            parts.append(f"{self.in_flight():,} at once")
        if not self.ended and (seconds := math.ceil(self.pause())) > 1:
            parts.append(f"rate limited: goes on in {seconds} s; an interrupt loses no answer")
        return parts

    def _cost(self) -> str:
        paid = format_money(from_nanos(self.nanos), about=not self.exact)
        left = self.requests - self.asked
        whole = (
            f" of {format_money(from_nanos(self.nanos * self.requests // self.asked), about=True)}"
            if left > 0
            else ""
        )
        return f"{paid}{whole}{' simulated' if self.simulated else ''}"


def _span(seconds: float) -> str:
    """Return a span of time.

    Example:
        >>> _span(250), _span(7400)
        ('4:10', '2:03:20')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Display(Protocol):
    """Shows the line of a job; the notebook layer has one of its own."""

    def show(self, progress: Progress) -> None:
        """Replace the line."""
        ...

    def end(self, progress: Progress) -> None:
        """Show the last line, which stays."""
        ...


class Console:
    """Writes the line to stderr: again and again in a terminal, else the last one alone."""

    def __init__(self) -> None:
        self._width = 0
        self._moves = sys.stderr.isatty()

    def show(self, progress: Progress) -> None:
        """Replace the line."""
        if self._moves:
            line = progress.line()
            sys.stderr.write(f"\r{line.ljust(self._width)}")
            sys.stderr.flush()
            self._width = len(line)

    def end(self, progress: Progress) -> None:
        """Show the last line."""
        self.show(progress)
        sys.stderr.write("\n" if self._moves else f"{progress.line()}\n")
        sys.stderr.flush()


class Unshown:
    """Shows nothing, for `progress=False`."""

    def show(self, progress: Progress) -> None:
        """Show nothing."""

    def end(self, progress: Progress) -> None:
        """Show nothing."""


def _usual() -> Display:
    return rich_display.progress_display() or Console()


_make: Callable[[], Display] = _usual


def set_display(make: Callable[[], Display]) -> Callable[[], Display]:
    """Set the function that makes the display of each job, and return the one before."""
    global _make
    before, _make = _make, make
    return before


class Line:
    """Shows the progress of one job, not too often."""

    def __init__(self, progress: Progress, *, shown: bool) -> None:
        self._progress = progress
        self._display: Display = _make() if shown else Unshown()
        self._next = 0.0

    def refresh(self) -> None:
        """Show the line, if the last time is a while ago."""
        now = monotonic()
        if now >= self._next:
            self._next = now + EVERY
            self._display.show(self._progress)

    def end(self) -> None:
        """Show the last line."""
        self._progress.ended = True
        self._display.end(self._progress)
