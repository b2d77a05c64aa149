"""Input items of OpenAI's Responses, checked as the API checks them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.content.attachments import IMAGES, PDF
from llmkit.sandbox.answers.thoughts import is_sealed
from llmkit.sandbox.conversation import Turn
from llmkit.sandbox.dialects.dialect import RefusedError, text_of
from llmkit.sandbox.dialects.functions import invocation, outcome
from llmkit.sandbox.dialects.openai_fields import ROLES, missing
from llmkit.sandbox.dialects.parts import from_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.content.attachments import Attachment

_CONTENT = ("input_text", "input_image", "input_file", "output_text", "refusal", "text")
_CALLS = frozenset({"function_call", "custom_tool_call"})
_MARK = 9  # characters of a thought's mark, behind the prefix of an identifier


def turns(given: Any) -> tuple[Turn, ...]:
    """Read the input: a text, or items."""
    if isinstance(given, str):
        return (Turn("user", given),)
    if not isinstance(given, list):
        text = "Invalid type for 'input': expected a string or an array of items."
        raise RefusedError(400, text, code="invalid_type", param="input")
    items = [_checked(item, f"input[{place}]") for place, item in enumerate(given)]
    _check_order(items)
    _check_thoughts(items)
    return tuple(turn for place, item in enumerate(items) if (turn := _turn(item, f"input[{place}]")))


def _checked(item: Any, where: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise RefusedError(
            400, f"Invalid type for '{where}': expected an object.", code="invalid_type", param=where
        )
    kind = item.get("type")
    if "role" not in item and not str(kind).endswith(("_call", "_output", "reasoning", "compaction")):
        text = f"Invalid value: '{kind}'. Supported values are: 'message', 'reasoning', 'function_call'."
        raise RefusedError(400, text, code="invalid_value", param=where)
    if kind == "reasoning":
        _check_reasoning(item, where)
    return item


def _check_reasoning(item: dict[str, Any], where: str) -> None:
    """Refuse reasoning that did not come back as it was."""
    name, content = str(item.get("id")), item.get("encrypted_content")
    if not isinstance(item.get("summary"), list):
        raise missing(f"{where}.summary")
    if content is None:
        text = f"Item with id '{name}' not found. Items are not persisted when `store` is set to false."
        raise RefusedError(404, text, code="item_not_found", param="input")
    if not is_sealed(name, content):
        text = "Encrypted content could not be decrypted or parsed."
        message = f"The encrypted content for item {name} could not be verified. Reason: {text}"
        raise RefusedError(400, message, code="invalid_encrypted_content")


def _check_order(items: list[dict[str, Any]]) -> None:
    """Refuse calls without results, and results without calls."""
    calls = {str(item.get("call_id")) for item in items if item.get("type") in _CALLS}
    results = {str(item.get("call_id")) for item in items if str(item.get("type")).endswith("_output")}
    if open_ := sorted(calls - results):
        raise RefusedError(400, f"No tool output found for function call {open_[0]}.", param="input")
    if stray := sorted(results - calls):
        text = f"No tool call found for function call output with call_id {stray[0]}."
        raise RefusedError(400, text, param="input")


def _check_thoughts(items: list[dict[str, Any]]) -> None:
    """Refuse calls without the reasoning before them."""
    thoughts = {str(item.get("id"))[: _MARK + 3] for item in items if item.get("type") == "reasoning"}
    for item in items:
        name = str(item.get("id"))
        needed = f"rs_{name[3 : 3 + _MARK]}"
        if item.get("type") == "function_call" and name.startswith("fc_t") and needed not in thoughts:
            text = f"Item '{name}' of type 'function_call' was provided without its required 'reasoning' item"
            raise RefusedError(400, f"{text}: '{needed}…'.", param="input")


def _turn(item: dict[str, Any], where: str) -> Turn | None:
    """Read one item; `None` for reasoning, and for what hosted tools did."""
    kind = item.get("type")
    if kind == "function_call":
        call = invocation(item.get("call_id"), item.get("name"), item.get("arguments"))
        return Turn("assistant", "", calls=(call,))
    if kind == "function_call_output":
        return Turn("user", "", outcomes=(outcome(item.get("call_id"), item.get("output")),))
    if "role" not in item:
        return None
    role, content = item["role"], item.get("content")
    if role not in ROLES or role in {"tool", "function"}:
        text = (
            f"Invalid value: '{role}'. Supported values are: 'assistant', 'system', 'developer', and 'user'."
        )
        raise RefusedError(400, text, code="invalid_value", param=f"{where}.role")
    media = tuple(_media(content, f"{where}.content"))
    return Turn(ROLES[role], text_of(content, f"{where}.content"), media)


def _media(content: Any, where: str) -> Iterator[Attachment]:
    """Yield the images and files of a message."""
    for place, part in enumerate(content if isinstance(content, list) else ()):
        kind = part.get("type") if isinstance(part, dict) else None
        here = f"{where}[{place}]"
        if kind not in _CONTENT:
            known = ", ".join(f"'{name}'" for name in _CONTENT)
            text = f"Invalid value: '{kind}'. Supported values are: {known}."
            raise RefusedError(400, text, code="invalid_value", param=f"{here}.type")
        if kind == "input_image":
            yield from_url(part.get("image_url"), f"{here}.image_url", taken=IMAGES)
        elif kind == "input_file":
            name, field = str(part.get("filename") or ""), "file_url" if "file_url" in part else "file_data"
            yield from_url(part.get(field), f"{here}.{field}", name=name, taken=(PDF,))
