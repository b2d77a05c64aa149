"""Usage in Chat Completions and compatible servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.content.messages import Usage
from llmkit.prices.rates import MODALITIES
from llmkit.providers.json_fields import as_name, dollars, lenient_object, token_count, total
from llmkit.providers.usage import note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.providers.codec import Answer

TICKS = 10**10
"""xAI's ticks per US dollar."""

_PLAIN = frozenset(
    {"prompt_tokens", "completion_tokens", "total_tokens"}
    | {"prompt_tokens_details", "completion_tokens_details"}
)
"""Fields that count tokens, and no other unit."""
_MEDIA = tuple(f"{kind}_tokens" for kind in MODALITIES)
_READ = ("prompt_cache_hit_tokens", "cached_tokens", "cached_prompt_text_tokens", "cache_read_input_tokens")
_WRITTEN = ("cache_write_tokens", "cache_creation_tokens", "cache_creation_input_tokens")
_SEARCHING = ("citation_tokens", "num_search_queries", "search_context_size")
"""Perplexity's names."""
_LISTED_TOOLS = ("web_search_requests", "web_fetch_requests", "tool_search_requests")
"""Server tools that are free or have a listed fee."""


def note_usages(data: dict[str, Any], answer: Answer) -> None:
    """Merge the report of an event or response, in OpenAI's field or in Groq's."""
    if "x_groq" in data and (groq := lenient_object(lenient_object(data["x_groq"]).get("usage"))):
        note_usage(groq, answer)
    if usage := lenient_object(data.get("usage")):
        note_usage(usage, answer)
    if data.get("usage_breakdown"):  # Groq's systems: models with their own prices, and tools
        note(answer, {"usage_breakdown": 1}, read_usage)


def note_usage(usage: dict[str, Any], answer: Answer) -> None:
    """Merge an event's report: its counts cover the whole call so far."""
    note(answer, usage, read_usage)
    answer.tier = as_name(usage.get("service_tier")) or answer.tier  # proxies put it there
    if answer.cost_source == "provider" and ("cost" in usage or "cost_in_usd_ticks" in usage):
        # From the merged report, because the last one may leave the cost out.
        answer.cost_usd = stated(answer.report or usage)


def note_tools(answer: Answer) -> None:
    """Note that the server used its own tools, which it does not count (Groq)."""
    note(answer, {"executed_tools": 1}, read_usage)


def read_usage(usage: dict[str, Any]) -> Usage:
    """Parse the tokens: the input includes cached tokens, the output reasoning."""
    prompt = _most(usage, ("prompt_tokens", "input_tokens"))
    completion = _most(usage, ("completion_tokens", "output_tokens"))
    before = lenient_object(usage.get("prompt_tokens_details")) or lenient_object(
        usage.get("input_tokens_details")
    )
    after = lenient_object(usage.get("completion_tokens_details")) or lenient_object(
        usage.get("output_tokens_details")
    )
    reasoning = token_count(after.get("reasoning_tokens"))
    if reasoning is None:
        reasoning = token_count(usage.get("reasoning_tokens"))
    if completion is not None:
        completion += _beside(usage, prompt or 0, completion, reasoning or 0)
    read = token_count(before.get("cached_tokens"))
    written = before
    if not usage.keys() <= _PLAIN:  # further names of cached tokens
        read, written = _most({**usage, "": read}, ("", *_READ)), {**usage, **before}
    longer = lenient_object(before.get("cache_creation_token_details")).get("ephemeral_1h_input_tokens")
    return Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cache_read_tokens=read,
        cache_write_tokens=_most(written, _WRITTEN),
        cache_write_1h_tokens=token_count(longer),
        reasoning_tokens=reasoning,
        units={} if _is_text(usage, before, after) else _units(usage, before, after),
    )


def _beside(usage: dict[str, Any], prompt: int, completion: int, reasoning: int) -> int:
    """Return output that the completion count excludes: xAI's reasoning, Perplexity's reading."""
    if not usage.keys().isdisjoint(_SEARCHING):
        return reasoning + (token_count(usage.get("citation_tokens")) or 0)
    whole = token_count(usage.get("total_tokens"))
    if whole is None:
        # Fields of xAI, which counts reasoning beside the completion.
        own = "cost_in_usd_ticks" in usage or "num_sources_used" in usage
        return reasoning if own or reasoning > completion else 0
    # The total shows whether the completion already includes the reasoning.
    return reasoning if whole == prompt + completion + reasoning else 0


def _is_text(usage: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Whether a report counts text alone, which is the common case."""
    return usage.keys() <= _PLAIN and not any(map(before.get, _MEDIA)) and not any(map(after.get, _MEDIA))


def _units(usage: dict[str, Any], before: dict[str, Any], after: dict[str, Any]) -> dict[str, int]:
    cached = lenient_object(before.get("cached_tokens_details"))
    tools = lenient_object(usage.get("server_tool_use"))
    units: dict[str, int | None] = {
        "output_citation_tokens": token_count(usage.get("citation_tokens")),
        "web_searches": total(
            token_count(usage.get("num_search_queries")), token_count(tools.get("web_search_requests"))
        ),
        "searched_sources": token_count(usage.get("num_sources_used")),
    }
    for side, details in (("input", before), ("output", after)):
        units |= {f"{side}_{name}": token_count(details[name]) for name in _MEDIA if name in details}
    found = {unit: number for unit, number in units.items() if number}
    for kind in MODALITIES:
        if cached and f"input_{kind}_tokens" in found:
            found[f"cache_{kind}_read_tokens"] = token_count(cached.get(f"{kind}_tokens")) or 0
    return found | dict.fromkeys(_fees(usage), 1)


def _fees(usage: dict[str, Any]) -> Iterator[str]:
    """Yield the fees that a report shows without their amounts."""
    if usage.get("usage_breakdown"):
        yield "consulted_models"
    if any(_tells_of_tools(name, value) for name, value in usage.items()):
        yield "server_tools"
    if _bills_elsewhere(usage):
        yield "billed_elsewhere"


def _tells_of_tools(name: str, value: Any) -> bool:
    """Whether a server reports use of its own tools with unknown fees."""
    if "tool" not in name or "token" in name:
        return False
    listed = _LISTED_TOOLS if name == "server_tool_use" else ()
    return any(
        token_count(number)
        for tool, number in (lenient_object(value) or {"": value}).items()
        if tool not in listed
    )


def stated(usage: dict[str, Any]) -> float | None:
    """Return the cost that a server reports, in US dollars."""
    if _bills_elsewhere(usage):
        return None
    if (ticks := token_count(usage.get("cost_in_usd_ticks"))) is not None:
        return ticks / TICKS
    cost = usage.get("cost")
    if isinstance(cost, dict):
        return _total_of(cost)
    usd, upstream = dollars(cost), _upstream(usage)
    if usd is None or not upstream:
        return usd
    # OpenRouter's price is complete, unless the provider charges the user's own key.
    own_key = usage.get("is_byok")
    return usd + upstream if own_key or (own_key is None and usd == 0) else usd


def _bills_elsewhere(usage: dict[str, Any]) -> bool:
    """Whether a provider charges the user's own key an unknown amount."""
    return bool(usage.get("is_byok")) and _upstream(usage) is None


def _upstream(usage: dict[str, Any]) -> float | None:
    """Return what a provider charges the user's own key: one amount, or the sum of two sides."""
    details = lenient_object(usage.get("cost_details"))
    whole = dollars(details.get("upstream_inference_cost"))
    sides = [dollars(details.get(f"upstream_inference_{side}_cost")) for side in ("prompt", "completions")]
    known = [usd for usd in sides if usd is not None]
    return sum(known) if whole is None and len(known) == len(sides) else whole


def _total_of(cost: dict[str, Any]) -> float | None:
    """Return the sum of a price in parts; the server's own sum if it reports one."""
    whole = dollars(cost.get("total_cost"))
    parts = [usd for name, value in cost.items() if name.endswith("_cost") and (usd := dollars(value))]
    return sum(parts) if whole is None and parts else whole


def _most(values: dict[str, Any], names: tuple[str, ...]) -> int | None:
    """Return the largest count, because servers with several names may fill in only one."""
    most = None
    for name in names:
        if (value := values.get(name)) is not None and (n := token_count(value)) is not None:
            most = n if most is None or n > most else most
    return most
