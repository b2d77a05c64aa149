"""What a call used, in Gemini's words."""

from __future__ import annotations

from typing import Any

from llmkit.clients.codec import count, total
from llmkit.messages import Usage


def read_usage(usage: dict[str, Any]) -> Usage:
    """Read the tokens: candidates exclude the thoughts, the output includes them.

    Args:
        usage: The `usageMetadata` object.
    """
    candidates, thoughts = count(usage.get("candidatesTokenCount")), count(usage.get("thoughtsTokenCount"))
    prompt = total(count(usage.get("promptTokenCount")), count(usage.get("toolUsePromptTokenCount")))
    everything = count(usage.get("totalTokenCount"))
    if thoughts is None and prompt is not None and everything is not None:
        # The former SDK drops the thoughts, but not from the total.
        thoughts = max(everything - prompt - (candidates or 0), 0) or None
    output = total(candidates, thoughts)
    if output is None and prompt is not None and everything == prompt:
        output = 0  # zero counts are left out of Google's JSON
    return Usage(
        input_tokens=prompt,
        output_tokens=output,
        cache_read_tokens=count(usage.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
    )
