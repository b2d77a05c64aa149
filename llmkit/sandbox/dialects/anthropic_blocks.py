"""Blocks of Anthropic's Messages besides text: thinking, tools, searches with their sources."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from llmkit.sandbox.answers.thoughts import is_sealed, seal
from llmkit.sandbox.conversation import Invocation, Outcome
from llmkit.sandbox.dialects.dialect import RefusedError
from llmkit.sandbox.dialects.functions import effort, function, invocation, outcome, stray, unanswered, unique
from llmkit.sandbox.pieces import split

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llmkit.sandbox.conversation import Answer, Function, Source, Turn

_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_LEAST_BUDGET = 1024


def functions(tools: Any) -> tuple[tuple[Function, ...], bool]:
    """Return the functions of a request, and whether a search is among the tools."""
    found, searches = [], False
    for place, tool in enumerate(tools or ()):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if kind in {None, "custom"}:
            if not isinstance(tool, dict) or "input_schema" not in tool:
                raise RefusedError(400, f"tools.{place}.custom.input_schema: Field required")
            found.append(function(tool, f"tools.{place}", "input_schema"))
        searches = searches or str(kind).startswith("web_search_")
    return unique(found), searches


def choice(given: Any, known: tuple[Function, ...]) -> str:
    """Return `auto`, `none`, `required` or the name of a function."""
    if given is None:
        return "auto"
    kind = given.get("type") if isinstance(given, dict) else None
    if kind == "tool":
        if given.get("name") not in {one.name for one in known}:
            raise RefusedError(400, f"tool_choice: Tool '{given.get('name')}' not found in provided tools")
        return str(given["name"])
    if kind not in _CHOICES:
        raise RefusedError(400, "tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    return _CHOICES[kind]


def thinking(body: Mapping[str, Any], model: str) -> tuple[str, bool]:
    """Return how much to think, and whether the thoughts are shown."""
    given = body.get("thinking")
    fields = given if isinstance(given, dict) else {}
    wanted = (body.get("output_config") or {}).get("effort")
    kind = fields.get("type")
    if kind == "enabled":
        _check_budget(fields.get("budget_tokens"), body.get("max_tokens"))
    if kind == "disabled":
        wanted = "none"
    elif kind in {"enabled", "adaptive"}:
        wanted = wanted or "medium"
    elif not effort(model, None):
        wanted = None  # the effort alone does not switch thinking on
    return effort(model, wanted), fields.get("display") != "omitted"


def _check_budget(budget: Any, limit: Any) -> None:
    if not isinstance(budget, int) or budget < _LEAST_BUDGET:
        text = f"Input should be greater than or equal to {_LEAST_BUDGET}"
        raise RefusedError(400, f"thinking.enabled.budget_tokens: {text}")
    if isinstance(limit, int) and budget >= limit:
        raise RefusedError(400, "`max_tokens` must be greater than `thinking.budget_tokens`.")


def invocations(blocks: Sequence[Any]) -> tuple[Invocation, ...]:
    """Return the calls in a message."""
    used = (one for one in blocks if isinstance(one, dict) and one.get("type") == "tool_use")
    return tuple(invocation(one.get("id"), one.get("name"), one.get("input")) for one in used)


def outcomes(blocks: Sequence[Any]) -> tuple[Outcome, ...]:
    """Return the results in a message."""
    given = (one for one in blocks if isinstance(one, dict) and one.get("type") == "tool_result")
    return tuple(
        outcome(one.get("tool_use_id"), one.get("content"), failed=bool(one.get("is_error"))) for one in given
    )


def check_signature(block: dict[str, Any], where: str) -> None:
    """Refuse thinking and search results that did not come back as they were."""
    if block.get("type") == "thinking":
        if not is_sealed(str(block.get("thinking") or ""), block.get("signature")):
            raise RefusedError(400, f"{where}: Invalid `signature` in `thinking` block")
    elif block.get("type") == "redacted_thinking":
        raise RefusedError(400, f"{where}: Invalid `data` in `redacted_thinking` block")
    elif block.get("type") == "web_search_tool_result":
        pages = block.get("content")
        for page in pages if isinstance(pages, list) else ():
            if not is_sealed(str(page.get("url")), page.get("encrypted_content")):
                raise RefusedError(400, f"{where}: Invalid `encrypted_content` in `search_result` block")


def check_order(turns: Sequence[Turn]) -> None:
    """Refuse calls without results, and results without calls."""
    if (missing := stray(turns)) is not None:
        text = "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
        raise RefusedError(
            400, f"messages: unexpected `tool_use_id` found in `tool_result` blocks: {missing}. {text}"
        )
    if open_ := unanswered(turns):
        text = "`tool_use` ids were found without `tool_result` blocks immediately after"
        raise RefusedError(400, f"messages.{open_[0]}: {text}: {', '.join(open_[1])}.")


def blocks(answer: Answer, *, shows_thoughts: bool) -> Iterator[dict[str, Any]]:
    """Yield the blocks of an answer, whole."""
    if answer.thoughts:
        thought = answer.thought if shows_thoughts else ""
        yield {"type": "thinking", "thinking": thought, "signature": seal(thought)}
    if answer.sources:
        yield from _search(answer)
    yield from _texts(answer)
    for call in answer.calls:
        named = {"name": call.name, "input": dict(call.arguments), "caller": {"type": "direct"}}
        yield {"type": "tool_use", "id": f"toolu_{call.id}", **named}


def usage(answer: Answer) -> dict[str, Any]:
    """Return the use of the server's own tools."""
    searched = {"web_search_requests": 1, "web_fetch_requests": 0}
    return {"server_tool_use": searched} if answer.sources else {}


def deltas(block: dict[str, Any], pieces: Sequence[str]) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """Return a block as its first event has it, and what the others add."""
    kind = block["type"]
    if kind == "text":
        cited = block.get("citations") or ()
        begin = {**block, "text": "", **({"citations": []} if cited else {})}
        return begin, _text_deltas(pieces, cited)
    if kind == "thinking":
        return {**block, "thinking": "", "signature": ""}, _thought_deltas(block)
    if "input" in block:
        return {**block, "input": {}}, _input_deltas(block)
    return block, iter(())


def _text_deltas(pieces: Sequence[str], citations: Sequence[Any]) -> Iterator[dict[str, Any]]:
    yield from ({"type": "text_delta", "text": piece} for piece in pieces)
    yield from ({"type": "citations_delta", "citation": citation} for citation in citations)


def _thought_deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from ({"type": "thinking_delta", "thinking": piece} for piece in split(block["thinking"]))
    yield {"type": "signature_delta", "signature": block["signature"]}


def _input_deltas(block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "input_json_delta", "partial_json": ""}
    for piece in split(Invocation("", "", block["input"]).raw):
        yield {"type": "input_json_delta", "partial_json": piece}


def _search(answer: Answer) -> Iterator[dict[str, Any]]:
    """Yield the search that the server did, and what it found."""
    name, caller = f"srvtoolu_{answer.id}", {"type": "direct"}
    topic = answer.sources[0].title.partition(":")[0]
    query = {"name": "web_search", "input": {"query": topic}, "caller": caller}
    yield {"type": "server_tool_use", "id": name, **query}
    pages = [
        {
            "type": "web_search_result",
            "url": source.url,
            "title": source.title,
            "encrypted_content": seal(source.url),
            "page_age": None,
        }
        for source in answer.sources
    ]
    yield {"type": "web_search_tool_result", "tool_use_id": name, "content": pages, "caller": caller}


def _texts(answer: Answer) -> Iterator[dict[str, Any]]:
    """Yield the text, with a block of its own for each stretch that has a source."""
    text, known = answer.text, {source.start: source for source in answer.sources}
    edges = {0, len(text), *(place for one in answer.sources for place in (one.start, one.end))}
    for start, end in pairwise(sorted(edges)):
        source = known.get(start)
        cited = {"citations": [_citation(source, text[start:end])]} if source else {}
        yield {"type": "text", "text": text[start:end], **cited}


def _citation(source: Source, text: str) -> dict[str, Any]:
    return {
        "type": "web_search_result_location",
        "url": source.url,
        "title": source.title,
        "encrypted_index": seal(f"{source.url}#index"),
        "cited_text": text[:150],
    }
