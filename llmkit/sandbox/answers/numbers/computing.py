"""Answers that are computed from the question: arithmetic, whole numbers, statistics, units and dates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmkit.sandbox.answers.numbers.arithmetic import arithmetic
from llmkit.sandbox.answers.numbers.conversions import conversion
from llmkit.sandbox.answers.numbers.dates import about_dates
from llmkit.sandbox.answers.numbers.integers import about_integer
from llmkit.sandbox.answers.numbers.puzzles import puzzle
from llmkit.sandbox.answers.numbers.statistics import about_numbers

if TYPE_CHECKING:
    from llmkit.sandbox.answers.finding import Finding

_LONGEST = 1_000
_WAYS = (about_integer, puzzle, conversion, arithmetic, about_dates, about_numbers)


def computed(text: str) -> Finding | None:
    """Compute the answer to a plain question.

    Example:
        >>> computed("2 to the power of 10").short
        '1024'
    """
    return next((found for way in _WAYS if (found := way(text))), None) if len(text) <= _LONGEST else None
