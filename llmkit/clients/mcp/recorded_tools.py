"""The tools that an MCP server lists, under replay: a run plays back without the server."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from llmkit.clients.cassettes.cassette import DamagedRecordingError
from llmkit.clients.cassettes.recording import Recording
from llmkit.clients.cassettes.replay import current, current_mode
from llmkit.clients.cassettes.request_key import MARK, request_key
from llmkit.core.errors import ConfigurationError
from llmkit.core.redaction import redact

SERVER = "mcp"
"""What stands instead of a provider in the recording of a list of tools."""


def read(identity: str) -> list[dict[str, Any]] | None:
    """Return the recorded list of a server's tools, if there is one.

    A recording comes from a file that others may have written. It is only told to the model: a call asks the
    server itself, and is refused if the server describes the tool differently.
    """
    if current_mode() == "off":
        return None
    try:
        found = current().cassette.read(_key(identity))
        listed = None if found is None else json.loads(found.text)
    except (DamagedRecordingError, ValueError):
        return None
    fits = isinstance(listed, list) and all(isinstance(one, dict) and "name" in one for one in listed)
    return listed if fits else None


def keep(identity: str, name: str, listed: list[dict[str, Any]]) -> None:
    """Record a list of tools, if replay is on; what looks like a key is not recorded."""
    text = json.dumps(listed)
    if current_mode() == "off" or redact(text) != text:
        return
    recording = Recording(text=text, recorded_at=datetime.now(UTC))
    try:
        current().cassette.write(
            _key(identity), recording, provider=SERVER, model=redact(name), request={"tools": "list"}
        )
    except ConfigurationError:  # the answer's own recording says so
        return


def _key(identity: str) -> str:
    return MARK + request_key(SERVER, "", identity)
