"""Usage in the Responses API, which counts its own tools apart.

Source: OpenAI's API reference, "The response object": `tool_usage`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkit.providers import usage_openai
from llmkit.providers.json_fields import as_list, as_name, lenient_object, token_count

if TYPE_CHECKING:
    from llmkit.content.messages import Usage

IMAGES = "image_generation"
"""The tool that makes images; a model of its own works for it, at its own price."""

CACHED_FROM = 1024
"""Tokens of the shortest prompt that is cached."""

_FEES = frozenset({"file_search_call", "code_interpreter_call"})
"""Work that has a fee and is not in any report."""


def reported(response: dict[str, Any]) -> dict[str, Any]:
    """Return what a response reports: its tokens, and the work of the server's tools."""
    items = list(map(lenient_object, as_list(response.get("output"))))
    kinds = {item.get("type") for item in items}
    own = {
        "tool_usage": lenient_object(response.get("tool_usage")),
        "image_model": _image_model(response) if f"{IMAGES}_call" in kinds else None,
        "searches": sum(map(_is_search, items)),
        "fees": bool(kinds & _FEES),
    }
    return {**lenient_object(response.get("usage")), **{name: value for name, value in own.items() if value}}


def read_usage(report: dict[str, Any]) -> Usage:
    """Parse the tokens of a report, with the use of the server's tools as units."""
    own = {"tool_usage", "image_model", "searches", "fees"}
    usage = usage_openai.read_usage({name: value for name, value in report.items() if name not in own})
    if own.isdisjoint(report):  # the common case
        return usage
    tools = lenient_object(report.get("tool_usage"))
    searches = token_count(lenient_object(tools.get("web_search")).get("num_requests"))
    model = as_name(report.get("image_model"))
    units = {
        # A report counts what is billed; without one, each search is.
        "web_searches": token_count(report.get("searches")) if searches is None else searches,
        "server_tools": 1 if report.get("fees") else 0,
        **_images(model or IMAGES, lenient_object(tools.get("image_gen")), drawn=model is not None),
    }
    return replace(usage, units={**usage.units, **{name: count for name, count in units.items() if count}})


def _image_model(response: dict[str, Any]) -> str:
    """Return the model that made the images, which the server names among the tools."""
    tools = map(lenient_object, as_list(response.get("tools")))
    named = (as_name(tool.get("model")) for tool in tools if tool.get("type") == IMAGES)
    return next(filter(None, named), IMAGES)


def _is_search(item: dict[str, Any]) -> bool:
    """Whether an item is a search; to open a page costs nothing."""
    action = lenient_object(item.get("action")).get("type", "search")
    return item.get("type") == "web_search_call" and action == "search"


def _images(model: str, tool: dict[str, Any], *, drawn: bool) -> dict[str, int | None]:
    """Return what the images used; the output is images unless the report says otherwise."""
    before, after = (lenient_object(tool.get(f"{side}_tokens_details")) for side in ("input", "output"))
    cached = lenient_object(tool.get("cached_tokens_details"))
    asked, written = token_count(tool.get("input_tokens")), token_count(tool.get("output_tokens"))
    # Units without a price mark the price as incomplete.
    unknown = asked and asked >= CACHED_FROM and tool.get("cached_tokens") is None
    units = {
        "input_tokens": asked,
        "input_image_tokens": token_count(before.get("image_tokens")),
        "output_tokens": written,
        "output_image_tokens": token_count(after.get("image_tokens")) if after else written,
        "cache_read_tokens": token_count(tool.get("cached_tokens")),
        "cache_image_read_tokens": token_count(cached.get("image_tokens")),
        "cache_not_counted": 1 if unknown else 0,
        "images_not_counted": 1 if drawn and not written else 0,
    }
    return {f"{model}:{unit}": count for unit, count in units.items()}
