"""Parts of an answer besides its text: collecting and describing them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llmkit.content.messages import ALTERNATIVE
from llmkit.content.parts import Reasoning, Text
from llmkit.content.reasoning import spoken
from llmkit.providers.codec import Mark

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from llmkit.providers.codec import Answer

Part = dict[str, Any]

DEPTH = 8
"""Levels of a part's JSON at which fragments are joined; deeper values are replaced."""

_FIXED = frozenset({"id", "type", "index", "name", "format", "role", "status", "call_id", "thoughtSignature"})
"""Strings that a server repeats in every fragment rather than continuing them."""


_REASONING = ("reasoning_content", "reasoning", "reasoning_text", "thinking", "thought")
"""The servers' fields for reasoning."""

_MEDIA = {
    **dict.fromkeys(("image", "image_url", "output_image"), "image"),
    **dict.fromkeys(("container_upload", "file", "document"), "file"),
    **dict.fromkeys(("audio", "input_audio", "output_audio"), "audio clip"),
    **dict.fromkeys(("video", "video_url"), "video"),
}
"""Names of media, by the type of the part."""


class _Pieces(list[str]):
    """The fragments of a growing text; joined once, because repeated joining would take quadratic time."""


def merge(answer: Answer, key: object, piece: Part) -> None:
    """Add a fragment to the part with this key, or start the part."""
    known = answer.growing.get(key)
    if answer.events is not None:
        _emit(answer, piece, known)
    if known is None:
        answer.growing[key] = piece
        answer.parts.append(piece)
        answer.marks.append(Mark(len(answer.texts), answer.here, piece, is_text=False))
    else:
        _grow(known, piece, DEPTH)


def gathered(answer: Answer) -> tuple[Part, ...]:
    """Return the parts of an answer as the provider sent them, in order of their start."""
    parts = (finished(part) for part in answer.parts if part.get("type") != ALTERNATIVE)
    return tuple(parts if answer.codec is None else map(answer.codec.as_sent, parts))


def flush(answer: Answer) -> None:
    """Add the parts that no further event can continue to the events; reasoning was added piece by piece."""
    if answer.events is None or answer.codec is None:
        return
    for raw in answer.parts[answer.emitted :]:
        whole = answer.codec.read_part(finished(raw))
        answer.events.extend(part for part in whole if not isinstance(part, Reasoning))
    answer.emitted = len(answer.parts)


def sentence(parts: Sequence[Part], text: str) -> str:
    """Describe the parts besides or instead of the text; empty if there is nothing to describe.

    Example:
        >>> sentence([{"functionCall": {"name": "get_weather"}}], "")
        'The answer has no text: a call of the tool get_weather. It is in response.raw_parts.'
        >>> sentence([], "")
        'The answer is empty.'
    """
    silent = not spoken(text).strip()
    if not (parts or silent):  # the common case
        return ""
    found = list(_listed(parts, silent=silent))
    if text.strip() and silent:
        found.append("only reasoning")
    if not found:
        if not silent:
            return ""
        if not parts:
            return "The answer is empty."
        found = ["something other than text"]
    if silent:
        return f"The answer has no text: {_and(found)}.{_where(parts, found)}"
    return f"Besides its text, the answer has {_and(found)}.{_where(parts, found)}"


def said(answer: Answer, text: str) -> None:
    """Add a text to the events, after the parts that its block ends."""
    assert answer.events is not None
    if answer.emitted < len(answer.parts) and answer.marks[-1].is_text:
        flush(answer)
    answer.events.append(Text(text))


def _emit(answer: Answer, piece: Part, known: Part | None) -> None:
    """Add a fragment to the events, if it is reasoning, after the parts that it ends."""
    assert answer.events is not None
    if known is None:
        flush(answer)
    if answer.codec is not None and _is_reasoning(piece):
        typed = {"type": (known or piece).get("type"), **piece}  # Anthropic names it only at the start
        pieces = (part for part in answer.codec.read_part(typed) if isinstance(part, Reasoning))
        answer.events.extend(Reasoning(part.text) for part in pieces if part.text)


def _grow(whole: Part, piece: Part, depth: int) -> None:
    for name, new in piece.items():
        old = whole.get(name)
        if new is None or (name in _FIXED and old not in (None, "")):
            continue
        if isinstance(old, dict) and isinstance(new, dict) and depth:
            _grow(old, new, depth - 1)
        else:
            whole[name] = _joined(old, new)


def _joined(old: Any, new: Any) -> Any:
    """Return texts as pieces and lists as one list; anything else is replaced."""
    if isinstance(old, _Pieces) and isinstance(new, str):
        old.append(new)
        return old
    if isinstance(old, str) and isinstance(new, str):
        return _Pieces([old, new])
    if isinstance(old, list) and isinstance(new, list):
        old.extend(new)
        return old
    return new


def finished(part: Part, depth: int = DEPTH) -> Part:
    """Return a part with its fragments joined and Anthropic's tool input parsed."""
    whole = dict(part)
    for name, value in part.items():
        if isinstance(value, _Pieces):
            whole[name] = "".join(value)
        elif isinstance(value, dict) and depth:
            whole[name] = finished(value, depth - 1)
    written = whole.pop("partial_json", None)
    return whole if written is None else {**whole, "input": _read(written, whole.get("input"))}


def _read(written: Any, otherwise: Any) -> Any:
    """Parse a JSON text; return the text itself if it is truncated."""
    if not written:
        return otherwise
    try:
        return json.loads(written)
    except (ValueError, TypeError, RecursionError):
        return written


def _listed(parts: Sequence[Part], *, silent: bool) -> Iterator[str]:
    """Yield descriptions of the parts; reasoning and code only if there is no text."""
    names = list(filter(None, map(_tool, parts)))
    if names:
        yield f"a call of the tool {names[0]}" if len(names) == 1 else f"calls of the tools {_and(names)}"
    kinds = [kind for kind in map(_medium, parts) if kind]
    for kind in dict.fromkeys(kinds):
        many = kinds.count(kind)
        yield f"{many} {kind}s" if many > 1 else f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
    if silent:
        yield from _unseen(parts, alone=not (names or kinds))


def _unseen(parts: Sequence[Part], *, alone: bool) -> Iterator[str]:
    """Yield what a reader does not see: work of the server, and reasoning."""
    works = list(filter(None, map(_work, parts)))
    yield from dict.fromkeys(works)
    if any(map(_is_reasoning, parts)):
        yield "only reasoning" if alone and not works else "reasoning"


def _tool(part: Part) -> str:
    """Return the display name of the tool that a part calls; empty if it calls none."""
    for holder in ("functionCall", "function_call", "function", "custom"):
        if isinstance(part.get(holder), dict):
            return _name(part[holder].get("name"))
    return _name(part.get("name")) if str(part.get("type")) in {"tool_use", "function_call", "custom"} else ""


def _name(value: Any) -> str:
    """Return a name written by a model, shortened and without non-printable characters."""
    name = "".join(c if c.isprintable() else " " for c in str(value)[:60]) if value else ""
    return " ".join(name.split()) or "(without a name)"


def _medium(part: Part) -> str:
    """Return the kind of media: image, audio, video, file; empty for other parts."""
    data = part.get("inlineData") or part.get("inline_data") or part.get("fileData")
    if isinstance(data, dict):
        kind = str(data.get("mimeType") or data.get("mime_type")).partition("/")[0]
        return {"image": "image", "audio": "audio clip", "video": "video"}.get(kind, "file")
    if "audio" in part:
        return "audio clip"
    kind = str(part.get("type"))
    return _MEDIA.get(kind, "")


def _work(part: Part) -> str:
    """Describe the work of a server tool; empty for other parts."""
    if "executableCode" in part:
        return "code"
    if "codeExecutionResult" in part:
        return "the result of code"
    if "promptFeedback" in part:
        return "a notice that the prompt was blocked"
    kind = str(part.get("type"))
    if kind in {"server_tool_use", "mcp_tool_use"}:
        return f"work of the server's tool {_name(part.get('name'))}"
    if kind.endswith("_tool_result"):
        return "the result of a server's tool"
    return (
        "work of the server's tools" if part.keys() & {"executed_tools", "toolCall", "toolResponse"} else ""
    )


def _is_reasoning(part: Part) -> bool:
    kind = str(part.get("type"))
    named = any(name in part for name in _REASONING)
    return named or kind in {"thinking", "redacted_thinking"} or kind.startswith("reasoning")


def _and(words: Iterable[str]) -> str:
    *before, last = words
    return f"{', '.join(before)} and {last}" if before else last


def _where(parts: Sequence[Part], found: Sequence[str]) -> str:
    if not parts:
        return ""
    several = len(found) > 1 or found[0].startswith("calls") or found[0][0].isdigit()
    return f" {'They are' if several else 'It is'} in response.raw_parts."
