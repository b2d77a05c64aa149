"""Results of tools under replay: recorded with the conversation that led to them, and taken from there."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from llmkit.clients.cassettes.cassette import DamagedRecordingError
from llmkit.clients.cassettes.recording import Recording
from llmkit.clients.cassettes.replay import current, current_mode
from llmkit.clients.cassettes.request_key import MARK, canonical_message, request_key
from llmkit.clients.cassettes.writing import in_thread
from llmkit.clients.tools.execution import Executed
from llmkit.content.parts import ToolResult
from llmkit.core.errors import ConfigurationError, InvalidRequestError
from llmkit.core.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmkit.content.messages import LLMMessage
    from llmkit.content.parts import ToolCall

TOOL = "tool"
"""What stands instead of a provider in the recording of a result."""


class Memory:
    """The recorded results of one answer's calls.

    Args:
        provider: Provider of the answer.
        messages: The conversation, the answer included.
    """

    def __init__(self, provider: str, messages: Sequence[LLMMessage]) -> None:
        self._provider = provider
        self._on = current_mode() != "off"
        self._messages = list(messages) if self._on else []

    async def recorded(self, call: ToolCall, place: int) -> Executed | None:
        """Return the recorded result of the call at this place in the answer, if there is one."""
        result = await asyncio.to_thread(self._read, call, place) if self._on else None
        if result is None:
            return None
        return Executed(call, result, error=result.content if result.is_error else "", recorded=True)

    def _read(self, call: ToolCall, place: int) -> ToolResult | None:
        if (key := self._key(call, place)) is None:
            return None
        try:
            found = current().cassette.read(key)
        except DamagedRecordingError:
            return None
        content = () if found is None or found.content is None else found.content
        return next((part for part in content if isinstance(part, ToolResult)), None)

    async def keep(self, call: ToolCall, place: int, done: Executed) -> None:
        """Record a result, if replay is on; what looks like a key is not recorded."""
        if not self._on or done.interrupted or redact(done.result.content) != done.result.content:
            return
        key = self._key(call, place)
        if key is None:
            return
        recording = Recording(text="", recorded_at=datetime.now(UTC), content=(done.result,))
        request, cassette = {"call": self._call(call)}, current().cassette

        def write() -> None:
            with contextlib.suppress(ConfigurationError):  # the answer's own recording says so
                cassette.write(key, recording, provider=TOOL, model=call.name, request=request)

        await in_thread(write)

    def _call(self, call: ToolCall) -> dict[str, Any]:
        return {"name": call.name, "arguments": call.raw, "id": call.id}

    def _key(self, call: ToolCall, place: int) -> str | None:
        """Return the key of a result; the same call twice in an answer may have two results."""
        try:
            conversation = list(map(canonical_message, self._messages))
            payload = {"messages": conversation, "call": self._call(call), "place": place}
            return MARK + request_key(self._provider, TOOL, payload)
        except InvalidRequestError:
            return None
