"""Files that a model made: base64 data to attachments."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from llmkit.content.attachments import Attachment, media_type
from llmkit.core.errors import InvalidRequestError


def made(kind: str, data: Any) -> Attachment | None:
    """Return the attachment of base64 data; `None` if it is not a file that we know.

    Args:
        kind: The media type that the server names; an image's is taken from its data.
        data: The base64 text.
    """
    if not isinstance(data, str) or not data:
        return None
    try:
        content = base64.b64decode(data)
        return Attachment(kind if kind.startswith("audio/") else media_type(content) or kind, content)
    except (binascii.Error, ValueError, InvalidRequestError):
        return None


def from_data_url(url: Any) -> Attachment | None:
    """Return the attachment of a `data:` URL; `None` for any other address, which is not loaded.

    Example:
        >>> from_data_url("https://example.org/a.png") is None
        True
    """
    if not isinstance(url, str) or not url.startswith("data:"):
        return None
    head, comma, data = url[5:].partition(";base64,")
    return made(head, data) if comma else None
