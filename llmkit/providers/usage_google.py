"""Usage in the Gemini API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.content.messages import Usage
from llmkit.providers.json_fields import as_name, lenient_object, token_count, total
from llmkit.providers.usage import note

if TYPE_CHECKING:
    from llmkit.providers.codec import Answer

KINDS = {"AUDIO": "audio", "IMAGE": "image", "DOCUMENT": "image", "VIDEO": "video"}
"""Modalities that may have their own price; pages of a document count as images."""

_PLACES = (
    ("promptTokensDetails", "input_{}_tokens"),
    ("toolUsePromptTokensDetails", "input_{}_tokens"),
    ("candidatesTokensDetails", "output_{}_tokens"),
    ("cacheTokensDetails", "cache_{}_read_tokens"),
)


def note_usage(usage: dict[str, Any], answer: Answer) -> None:
    """Merge an event's report: its counts cover the whole call so far."""
    note(answer, usage, read_usage)
    if "trafficType" in usage or "serviceTier" in usage:
        answer.tier = tier_of(usage.get("serviceTier")) or tier_of(usage.get("trafficType")) or answer.tier


def note_search(answer: Answer) -> None:
    """Note a search; whether it is billed depends on the day's other searches."""
    note(answer, {"groundedPrompts": 1}, read_usage)


def tier_of(name: Any) -> str | None:
    """Return a service tier by its common name.

    Example:
        >>> tier_of("ON_DEMAND_FLEX"), tier_of("ON_DEMAND")
        ('flex', 'standard')
    """
    tier = (as_name(name) or "").lower()
    if tier.endswith("unspecified"):
        return None
    return "standard" if tier == "on_demand" else tier.removeprefix("on_demand_") or None


def read_usage(usage: dict[str, Any]) -> Usage:
    """Parse the tokens: Google's candidate count excludes thoughts, our output includes them."""
    candidates, thoughts = (
        token_count(usage.get("candidatesTokenCount")),
        token_count(usage.get("thoughtsTokenCount")),
    )
    prompt = total(
        token_count(usage.get("promptTokenCount")), token_count(usage.get("toolUsePromptTokenCount"))
    )
    everything = token_count(usage.get("totalTokenCount"))
    if thoughts is None and prompt is not None and everything is not None:
        # The former SDK omits the thoughts, but not from the total.
        thoughts = max(everything - prompt - (candidates or 0), 0) or None
    output = total(candidates, thoughts)
    if output is None and prompt is not None and everything == prompt:
        output = 0  # Google's JSON omits zero counts
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cache_read_tokens=token_count(usage.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
        units=_units(usage),
    )


def _units(usage: dict[str, Any]) -> dict[str, int]:
    units: dict[str, int] = {}
    for place, name in _PLACES:
        details = usage.get(place)
        for one in details if isinstance(details, list) else ():
            kind, number = (
                KINDS.get(str(lenient_object(one).get("modality")).upper()),
                token_count(lenient_object(one).get("tokenCount")),
            )
            if kind and number:
                units[name.format(kind)] = units.get(name.format(kind), 0) + number
    if usage.get("cacheTokensDetails"):
        for kind in set(KINDS.values()):
            if f"input_{kind}_tokens" in units:
                # Details that omit a kind mean that none of it was cached.
                units.setdefault(f"cache_{kind}_read_tokens", 0)
    if usage.get("groundedPrompts"):
        units["grounded_prompts"] = 1
    return units
