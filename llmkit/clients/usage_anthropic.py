"""What a call used, in the words of the Messages API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from llmkit.clients.codec import Answer, count, part, total, word
from llmkit.messages import Usage


def note_usage(usage: Any, answer: Answer) -> None:
    """Take over counts: they are cumulative, and what a later event says replaces the earlier."""
    usage = part(usage)
    new = read_usage(usage)
    old = answer.usage or Usage()
    changes = {name: n for name in Usage.__dataclass_fields__ if (n := getattr(new, name)) is not None}
    if changes:
        answer.usage = replace(old, **_whole_input(changes, old))
    answer.tier = word(usage.get("service_tier")) or answer.tier
    if usage.get("speed") == "fast":  # a service tier in all but its name: it has prices of its own
        answer.tier = "fast"


def read_usage(usage: dict[str, Any]) -> Usage:
    """Read the tokens: all the input, with what was read from and written to the cache.

    Args:
        usage: The `usage` object. Where it lists `iterations`, each one was charged: they are summed.
    """
    iterations = usage.get("iterations")
    rounds = [part(one) for one in iterations] if isinstance(iterations, list) and iterations else [usage]

    def tally(name: str) -> int | None:
        return total(*(count(one.get(name)) for one in rounds))

    read, write = tally("cache_read_input_tokens"), tally("cache_creation_input_tokens")
    fresh = tally("input_tokens")
    return Usage(
        input_tokens=None if fresh is None else total(fresh, read, write),
        output_tokens=tally("output_tokens"),
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=total(
            *(count(part(one.get("cache_creation")).get("ephemeral_1h_input_tokens")) for one in rounds)
        ),
        reasoning_tokens=count(part(usage.get("output_tokens_details")).get("thinking_tokens")),
    )


def _whole_input(changes: dict[str, int], old: Usage) -> dict[str, int]:
    """Keep the cached part in the input when a later event repeats only the fresh part."""
    if "input_tokens" in changes:
        for name in ("cache_read", "cache_write"):
            if f"{name}_tokens" not in changes:
                changes["input_tokens"] += getattr(old, f"{name}_tokens") or 0
    return changes
