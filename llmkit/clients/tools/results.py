"""What a tool returns, as the result that a model gets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkit.content.attachments import Attachment, attach
from llmkit.content.describe import card
from llmkit.content.parts import ToolCall, ToolResult
from llmkit.core.errors import InvalidRequestError
from llmkit.core.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterable


def result_of(call: ToolCall, value: Any, limit: int) -> ToolResult:
    """Return a value as the result of a call.

    Text stays, JSON values are written as JSON, a figure or image becomes an attachment, and a DataFrame or
    any other object is described as on its card. What looks like a key is redacted.

    Args:
        call: The call.
        value: What the tool returned.
        limit: Maximum number of characters.

    Example:
        >>> result_of(ToolCall("1", "rivers"), ["Rhine", "Elbe"], 100).content
        '["Rhine", "Elbe"]'
    """
    try:
        return _result_of(call, value, limit)
    except Exception as error:  # noqa: BLE001 - an object may fail at anything that it is asked
        return raised(call, error)


def failed(call: ToolCall, message: str, limit: int = 20_000) -> ToolResult:
    """Return an error as the result of a call."""
    return ToolResult(call.id, call.name, _written(message, limit), is_error=True)


def raised(call: ToolCall, error: BaseException) -> ToolResult:
    """Return an exception as the result of a call: its type and message, no traceback."""
    try:
        said = str(error)
    except Exception:  # noqa: BLE001 - an exception may fail to describe itself
        said = ""
    return failed(call, f"{type(error).__name__}: {said}".rstrip(": "))


def cut(text: str, limit: int) -> str:
    r"""Return a text of at most so many characters, which says that it was cut.

    Example:
        >>> cut("a long result", 6)
        'a long\n[cut: 6 of 13 characters]'
    """
    return text if len(text) <= limit else f"{text[:limit]}\n[cut: {limit:,} of {len(text):,} characters]"


def _result_of(call: ToolCall, value: Any, limit: int) -> ToolResult:
    if isinstance(value, ToolResult):  # e.g. of a server, which does not know the call
        return replace(value, call_id=call.id, name=call.name, content=_written(value.content, limit))
    file = _file(value)
    if file is None or file.kind == "text":
        return ToolResult(call.id, call.name, _written(_text(value) if file is None else file.text, limit))
    return ToolResult(
        call.id, call.name, f"({file.kind}: {file.name or file.media_type})", attachments=(file,)
    )


def _written(text: str, limit: int) -> str:
    """Return a text as it may be sent: without keys and unpaired surrogates, and not too long."""
    return cut(redact(text.encode(errors="replace").decode()), limit)


def _file(value: Any) -> Attachment | None:
    """Return a figure or an image as an attachment; `None` for anything else."""
    if isinstance(value, Attachment):
        return value
    pictured = any(hasattr(value, name) for name in ("savefig", "getexif", "_repr_png_", "_repr_jpeg_"))
    if isinstance(value, type) or not (pictured or hasattr(getattr(value, "figure", None), "savefig")):
        return None
    try:
        return attach(value)
    except (InvalidRequestError, TypeError, ValueError, OSError):
        return None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return "Done; the tool returned nothing."
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)
    except (TypeError, ValueError, RecursionError):
        return card("result", value).text


def _plain(value: Any) -> Any:
    """Return numbers, dates and models as JSON values."""
    for method in ("model_dump", "item", "isoformat"):
        convert = getattr(value, method, None)
        if callable(convert) and not isinstance(value, type):
            return convert()
    if isinstance(value, set | frozenset | tuple):
        return _sorted(value)
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _sorted(values: Iterable[Any]) -> list[Any]:
    return sorted(values, key=str)
