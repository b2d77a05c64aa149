"""What a call used, in the words of Chat Completions and of the servers that speak it."""

from __future__ import annotations

from typing import Any

from llmkit.clients.codec import count, part
from llmkit.messages import Usage


def read_usage(usage: dict[str, Any]) -> Usage:
    """Read the tokens: the input includes what was cached, the output the reasoning.

    Args:
        usage: The `usage` object; details in OpenAI's place, DeepSeek's or Hugging Face's.
    """
    prompt, completion = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    details = part(usage.get("prompt_tokens_details"))
    reasoning = count(part(usage.get("completion_tokens_details")).get("reasoning_tokens"))
    if reasoning and prompt is not None and completion is not None:
        # xAI counts reasoning beside the completion; only the total tells the two manners apart.
        completion += reasoning if usage.get("total_tokens") == prompt + completion + reasoning else 0
    read = (details.get("cached_tokens"), usage.get("prompt_cache_hit_tokens"), usage.get("cached_tokens"))
    write = (details.get("cache_write_tokens"), details.get("cache_creation_tokens"))
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=_first(read),
        cache_write_tokens=_first(write),
        reasoning_tokens=reasoning,
    )


def _first(values: tuple[Any, ...]) -> int | None:
    return next((n for value in values if (n := count(value)) is not None), None)


def dollars(value: Any) -> float | None:
    """Return an amount in US dollars that a server states; `None` for anything else."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and 0 <= value < float("inf") else None
