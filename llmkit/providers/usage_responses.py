"""Usage in the Responses API, which counts its own tools apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkit.providers import usage_openai
from llmkit.providers.json_fields import lenient_object, token_count

if TYPE_CHECKING:
    from llmkit.content.messages import Usage


def read_usage(report: dict[str, Any]) -> Usage:
    """Parse the tokens of a report, with the use of the server's tools as units."""
    usage = usage_openai.read_usage({name: value for name, value in report.items() if name != "tool_usage"})
    tools = lenient_object(report.get("tool_usage"))
    searches = token_count(lenient_object(tools.get("web_search")).get("num_requests"))
    images = lenient_object(tools.get("image_gen"))
    units = {
        "web_searches": searches,
        "image_generation:input_tokens": token_count(images.get("input_tokens")),
        "image_generation:output_tokens": token_count(images.get("output_tokens")),
    }
    return replace(usage, units={**usage.units, **{name: count for name, count in units.items() if count}})
