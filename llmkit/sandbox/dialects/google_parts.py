"""Parts of Gemini's contents besides text: thoughts, function calls, images, grounding."""

from __future__ import annotations

import base64
import json
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from llmkit.sandbox.answers.thoughts import is_sealed, seal
from llmkit.sandbox.conversation import Function, Invocation, Outcome
from llmkit.sandbox.dialects.dialect import RefusedError, pick
from llmkit.sandbox.dialects.functions import THINKS, effort, function, invocation, unique

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmkit.sandbox.conversation import Answer, Turn

_MODES = {"AUTO": "auto", "NONE": "none", "ANY": "required", "VALIDATED": "auto", "MODE_UNSPECIFIED": "auto"}
_SKIPPED = frozenset({"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"})
"""Signatures that the API takes for calls of other models. Source: Gemini API, "Thought signatures"."""

_TEXT = "text"
_SEARCHES = ("googleSearch", "googleSearchRetrieval")


def functions(tools: Any) -> tuple[tuple[Function, ...], bool]:
    """Return the functions of a request, and whether a search is among the tools."""
    found, searches = [], False
    for place, tool in enumerate(tools or ()):
        fields = tool if isinstance(tool, dict) else {}
        for number, one in enumerate(pick(fields, "functionDeclarations") or ()):
            schema = pick(one, "parametersJsonSchema") or one.get("parameters")
            described = {**one, "parameters": schema}
            found.append(function(described, f"tools[{place}].function_declarations[{number}]"))
        searches = searches or any(pick(fields, name) is not None for name in _SEARCHES)
    return unique(found), searches


def choice(config: Any) -> str:
    """Return `auto`, `none`, `required` or the name of a function."""
    calling = pick(config or {}, "functionCallingConfig") or {}
    mode = str(calling.get("mode", "AUTO"))
    if mode not in _MODES:
        raise RefusedError(400, f"Invalid value at 'tool_config.function_calling_config.mode': {mode!r}")
    names: list[Any] = pick(calling, "allowedFunctionNames") or []
    return str(names[0]) if len(names) == 1 and mode != "NONE" else _MODES[mode]


def thinking(settings: Mapping[str, Any], model: str) -> tuple[str, bool]:
    """Return how much to think, and whether the thoughts are shown."""
    config = pick(settings, "thinkingConfig")
    fields = config if isinstance(config, dict) else {}
    budget, level = pick(fields, "thinkingBudget"), pick(fields, "thinkingLevel")
    asked = str(level).lower() if level else "none" if budget == 0 else "medium" if fields else None
    shown = pick(fields, "includeThoughts")
    return effort(model, asked), bool(shown) if shown is not None else THINKS in model


def calls(parts: Sequence[Any]) -> tuple[Invocation, ...]:
    """Return the calls in a content."""
    made = (pick(part, "functionCall") for part in parts if isinstance(part, dict))
    return tuple(invocation(one.get("id"), one.get("name"), one.get("args")) for one in made if one)


def outcomes(parts: Sequence[Any]) -> tuple[Outcome, ...]:
    """Return the results in a content."""
    given = (pick(part, "functionResponse") for part in parts if isinstance(part, dict))
    return tuple(_outcome(one) for one in given if one)


def _outcome(given: dict[str, Any]) -> Outcome:
    response = given.get("response")
    fields = response if isinstance(response, dict) else {"output": response}
    failed = "error" in fields
    value = fields.get("error", fields.get("output", fields.get("result", fields)))
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Outcome(str(given.get("id") or ""), text, str(given.get("name") or ""), failed)


def check_signature(part: dict[str, Any], where: str) -> None:
    """Refuse a signature that did not come back on the part that had it."""
    signature = pick(part, "thoughtSignature")
    if signature is None or signature in _SKIPPED:
        return
    # JSON of protocol buffers may also use the URL-safe base64 alphabet.
    plain = str(signature).replace("-", "+").replace("_", "/")
    if not is_sealed(_signed(part), plain):
        raise RefusedError(400, f"Corrupted thought signature at '{where}'.")


def _signed(part: Mapping[str, Any]) -> str:
    """Return what the signature of a part covers."""
    call = pick(part, "functionCall")
    return f"{call.get('name')}{json.dumps(call.get('args') or {}, sort_keys=True)}" if call else _TEXT


def check_order(turns: Sequence[Turn]) -> None:
    """Refuse calls without as many results right after them."""
    for turn, after in zip_longest(turns, turns[1:]):
        if turn.calls and len(turn.calls) != len(after.outcomes if after else ()):
            text = "number of function response parts is equal to the number of function call parts"
            raise RefusedError(400, f"Please ensure that the {text} of the function call turn.")


def check_signed(turns: Sequence[Turn], contents: Sequence[Any]) -> None:
    """Refuse calls since the user's last text whose first one has no signature."""
    start = max((n for n, turn in enumerate(turns) if turn.role == "user" and not turn.outcomes), default=0)
    for place, content in enumerate(contents[start:], start + 1):
        made = [part for part in content["parts"] if pick(part, "functionCall")]
        if made and pick(made[0], "thoughtSignature") is None:
            text = "Function call is missing a thought_signature in functionCall parts."
            name = pick(made[0], "functionCall").get("name")
            more = f"Additional data, function call `default_api:{name}`, position {place}."
            raise RefusedError(400, f"{text} {more}")


def after_text(answer: Answer) -> list[dict[str, Any]]:
    """Return the parts after the text: calls, of which the first is signed, and an image."""
    found: list[dict[str, Any]] = []
    for place, call in enumerate(answer.calls):
        part: dict[str, Any] = {"functionCall": {"name": call.name, "args": dict(call.arguments)}}
        if answer.thoughts and not place:
            part["thoughtSignature"] = seal(_signed(part))
        found.append(part)
    if answer.image:
        data = base64.b64encode(answer.image).decode()
        found.append({"inlineData": {"mimeType": "image/png", "data": data}})
    return found


def text_signature(answer: Answer) -> dict[str, Any]:
    """Return the signature of the last text."""
    return {"thoughtSignature": seal(_TEXT)} if answer.thoughts and answer.pieces else {}


def grounding(answer: Answer) -> dict[str, Any]:
    """Return the sources of an answer; places are counted in bytes."""
    if not answer.sources:
        return {}
    text = answer.text

    def place(characters: int) -> int:
        return len(text[:characters].encode())

    supports = [
        {
            "segment": {
                "startIndex": place(one.start),
                "endIndex": place(one.end),
                "text": text[one.start : one.end],
            },
            "groundingChunkIndices": [number],
        }
        for number, one in enumerate(answer.sources)
    ]
    return {
        "groundingMetadata": {
            "webSearchQueries": [answer.sources[0].title.partition(":")[0]],
            "searchEntryPoint": {"renderedContent": "<div>example.org</div>"},
            "groundingChunks": [{"web": {"uri": one.url, "title": one.title}} for one in answer.sources],
            "groundingSupports": supports,
        }
    }
