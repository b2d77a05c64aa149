"""Fields of a request that OpenAI's two APIs share: formats, tools, the choice of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.sandbox.dialects.dialect import RefusedError
from llmkit.sandbox.dialects.formats import openai_problem
from llmkit.sandbox.dialects.functions import function, unique

if TYPE_CHECKING:
    from llmkit.sandbox.conversation import Function, Role

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "assistant",
    "function": "assistant",
}
"""Roles of messages, and what they are to the sandbox."""
_TIERS = ("auto", "default", "flex", "priority")
_SEARCH = ("web_search", "openrouter:web_search")


def missing(name: str) -> RefusedError:
    """Return the error for a parameter that is missing."""
    message = f"Missing required parameter: '{name}'."
    return RefusedError(400, message, code="missing_required_parameter", param=name)


def functions(tools: Any) -> tuple[tuple[Function, ...], bool]:
    """Return the functions, and whether a search is among the tools."""
    found, searches = [], False
    for place, tool in enumerate(tools or ()):
        kind = str(tool.get("type") if isinstance(tool, dict) else None)
        if kind.startswith(_SEARCH):
            searches = True
        elif kind == "function":
            found.append(function(tool.get("function"), f"tools[{place}].function"))
        else:
            text = f"Invalid value: '{kind}'. Supported values are: 'function' and 'custom'."
            raise RefusedError(400, text, code="invalid_value", param=f"tools[{place}].type")
    return unique(found), searches


def choice(given: Any, known: tuple[Function, ...], *, offered: bool = False) -> str:
    """Return `auto`, `none`, `required` or the name of a function.

    Args:
        given: The field `tool_choice`.
        known: The functions that may be called.
        offered: Whether there are other tools.
    """
    if given is None or (offered and _is_hosted(given)):
        return "auto"
    if not (known or offered):
        text = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
        raise RefusedError(400, text, param="tool_choice")
    fields = given if isinstance(given, dict) else {"name": given}
    named = fields.get("name", (fields.get("function") or {}).get("name"))
    if named not in {"auto", "none", "required", *(one.name for one in known)}:
        text = f"Tool choice {named!r} not found in 'tools' parameter."
        raise RefusedError(400, f"Invalid value for 'tool_choice': {text}", param="tool_choice")
    return str(named)


def _is_hosted(given: Any) -> bool:
    """Whether a choice is one of the provider's own tools."""
    return isinstance(given, dict) and given.get("type") != "function"


def service_tier(given: Any) -> dict[str, str]:
    """Return the field with the tier that serves a request: the one that was asked for."""
    if given not in {None, *_TIERS}:
        known = ", ".join(f"'{name}'" for name in _TIERS)
        text = f"Invalid value: '{given}'. Supported values are: {known}."
        raise RefusedError(400, text, code="invalid_value", param="service_tier")
    return {"service_tier": "default" if given in {None, "auto"} else str(given)}


def check_format(wanted: dict[str, Any], said: Any, where: str = "response_format") -> None:
    """Refuse a format that the API would refuse.

    Args:
        wanted: The format, in the form of Chat Completions.
        said: The conversation, in which JSON mode needs the word.
        where: The field that has the format.
    """
    kind = wanted.get("type")
    if wanted and kind not in {"text", "json_object", "json_schema"}:
        text = f"Invalid value: '{kind}'. Supported values are: 'json_object', 'json_schema', and 'text'."
        raise RefusedError(400, text, code="invalid_value", param=f"{where}.type")
    if kind == "json_object" and "json" not in str(said).lower():
        text = f"'messages' must contain the word 'json' in some form, to use '{where}' of type"
        raise RefusedError(400, f"{text} 'json_object'.", param="messages")
    if kind == "json_schema":
        _check_schema(wanted.get("json_schema"), where)


def _check_schema(described: Any, where: str) -> None:
    """Refuse a schema that the API would refuse."""
    if not isinstance(described, dict) or not described.get("name"):
        raise missing(f"{where}.json_schema.name")
    if problem := openai_problem(described.get("schema"), strict=bool(described.get("strict"))):
        text = f"Invalid schema for {where} '{described['name']}': {problem}"
        raise RefusedError(400, text, param=where)
