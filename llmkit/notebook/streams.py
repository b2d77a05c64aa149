"""Opens the streams of the notebook's calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit import records
from llmkit.clients.registry import shared_client
from llmkit.core.money import to_nanos
from llmkit.providers.choices import AUTO_CACHE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from llmkit.clients.registry import ModelName
    from llmkit.clients.stream import TextStream
    from llmkit.content.messages import LLMMessage
    from llmkit.notebook.cell.parser import CellRequest
    from llmkit.notebook.session import Session


def open_stream(
    name: ModelName,
    messages: Sequence[LLMMessage],
    options: Mapping[str, Any],
    context: Mapping[str, Any],
    fallback: Sequence[str] = (),
) -> TextStream:
    """Open a call; nothing is sent before its first step.

    `options` are those of `stream_text`, and `context` those of `records.calling`.
    """
    client = shared_client(str(name), tuple(fallback))
    again = {"cache": AUTO_CACHE} if any(message.role == "assistant" for message in messages) else {}
    with records.calling(**context):
        stream: Any = client.stream_text(list(messages), name.model, **{**again, **options})
    return stream  # type: ignore[no-any-return]  # shared clients are metered: theirs is a TextStream


def call_context(session: Session, request: CellRequest) -> dict[str, Any]:
    """Return the context of one question's calls: what each may cost, whether it is replayed, its tags."""
    budget = session.defaults.budget if request.budget is None else request.budget
    return {
        "surface": "magic",
        "cap_nanos": None if budget is None else to_nanos(budget),
        "replay": "off" if request.no_cache else "refresh" if request.refresh else None,
        "tags": {**records.current_context().tags, **dict(request.tags)},
    }
