"""What a comparison measures of each answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmkit.content.messages import LLMResponse
    from llmkit.notebook.compare.comparison import ModelAnswer

AT_ONCE = 0.05
"""Text that arrives within so many seconds says nothing about how fast it was written."""


SMALLEST = {"cost": "cost_usd", "time": "duration_s", "first_token": "first_token_s"}
"""Measures of which less is better, and their columns."""

LARGEST = {"tokens_per_s": "tokens_per_s"}
"""Measures of which more is better, and their columns."""


def measured(entry: ModelAnswer, column: str) -> float | None:
    """Return what a model did by one measure."""
    found = entry.outcome
    if entry.status != "ok" or found is None:
        return None
    if found.replayed:
        return found.saved_cost if column == "cost_usd" else None
    value: float | None = entry.row[column]
    return value


def tokens_per_second(found: LLMResponse | None) -> float | None:
    """Return how fast an answer was written, from its first text on.

    Example:
        >>> from llmkit.content.messages import LLMResponse
        >>> tokens_per_second(LLMResponse("Hi", "openai", "x", completion_tokens=90, response_time=2.0,
        ...     first_token_s=0.5))
        60.0
    """
    if found is None or found.replayed or not found.completion_tokens:
        return None
    if found.response_time is None or found.first_token_s is None:
        return None
    seconds = found.response_time - found.first_token_s
    return found.completion_tokens / seconds if seconds >= AT_ONCE else None
