"""Usage in Anthropic's Messages API."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from llmkit.content.messages import Usage
from llmkit.prices.rates import US_INFERENCE
from llmkit.providers.json_fields import as_name, lenient_object, token_count, total
from llmkit.providers.usage import note

if TYPE_CHECKING:
    from llmkit.providers.codec import Answer

_TOOLS = {"web_search_requests": "web_searches", "code_execution_requests": "code_executions"}
_FREE = frozenset({"web_fetch_requests", "tool_search_requests"})
_ANYWHERE = frozenset({"global", "not_available"})


def note_usage(message: dict[str, Any], usage: Any, answer: Answer) -> None:
    """Merge an event's report: its counts cover the whole call so far."""
    usage = lenient_object(usage)
    if message.get("container"):
        usage = {**usage, "container": 1}
    if not usage:
        return
    note(answer, usage, partial(read_usage, model=answer.model))
    answer.tier = as_name(usage.get("service_tier")) or answer.tier
    if usage.get("speed") == "fast":  # treated as a service tier: it has its own prices
        answer.tier = "fast"


def read_usage(usage: dict[str, Any], model: str | None = None) -> Usage:
    """Parse the tokens: the input includes cache reads and writes."""
    iterations = usage.get("iterations")
    rounds = (
        [lenient_object(one) for one in iterations]
        if isinstance(iterations, list) and iterations
        else [usage]
    )
    own = [one for one in rounds if not _is_other(one, model)]
    counts = _counts(own or [usage])
    thought = lenient_object(usage.get("output_tokens_details")).get("thinking_tokens")
    return Usage(
        **counts,
        reasoning_tokens=token_count(thought),
        units={**_fees(usage), **_consulted([one for one in rounds if _is_other(one, model)])},
    )


def _counts(rounds: list[dict[str, Any]]) -> dict[str, int | None]:
    def tally(name: str) -> int | None:
        return total(*(token_count(one.get(name)) for one in rounds))

    read, write = tally("cache_read_input_tokens"), tally("cache_creation_input_tokens")
    fresh = tally("input_tokens")
    longer = [
        token_count(lenient_object(one.get("cache_creation")).get("ephemeral_1h_input_tokens"))
        for one in rounds
    ]
    return {
        # Anthropic's `input_tokens` excludes tokens read from or written to the cache.
        "input_tokens": None if fresh is None else total(fresh, read, write),
        "output_tokens": tally("output_tokens"),
        "cache_read_tokens": read,
        "cache_write_tokens": write,
        "cache_write_1h_tokens": total(*longer),
    }


def _is_other(iteration: dict[str, Any], model: str | None) -> bool:
    """Whether another model did this; names may lack their date."""
    theirs = as_name(iteration.get("model"))
    # An advisor has its own model and price.
    if iteration.get("type") == "advisor_message":
        return True
    if theirs is None or model is None:
        return False
    return not (theirs.startswith(model) or model.startswith(theirs))


def _consulted(rounds: list[dict[str, Any]]) -> dict[str, int]:
    units: dict[str, int] = {}
    for one in rounds:
        for unit, number in _counts([one]).items():
            if number:
                name = f"{as_name(one.get('model')) or 'advisor'}:{unit}"
                units[name] = units.get(name, 0) + number
    return units


def _fees(usage: dict[str, Any]) -> dict[str, int]:
    """Return the billed units besides tokens."""
    units = {
        _TOOLS.get(name, name): number
        for name, value in lenient_object(usage.get("server_tool_use")).items()
        if name not in _FREE and (number := token_count(value))
    }
    if usage.get("container"):  # its time is billed but not reported
        units["code_executions"] = max(1, units.get("code_executions", 0))
    if (place := as_name(usage.get("inference_geo"))) and place not in _ANYWHERE:
        units[US_INFERENCE if place == "us" else "regional_inference"] = 1
    return units
