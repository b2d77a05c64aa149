"""What an MCP server says about a tool and its result, as ours."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

from llmkit.content.attachments import Attachment, attach
from llmkit.content.parts import ToolResult, json_text
from llmkit.core.errors import BadResponseError, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_UNFIT = re.compile(r"[^A-Za-z0-9_-]")
_AUTHORS = "Report it to the server's authors, or name the tools that you want in only=."


def digest(server: str, told: Mapping[str, Any]) -> str:
    """Return what an approval covers: the server, and all that it says about a tool."""
    said = [server, *(told.get(field) for field in ("name", "title", "description", "inputSchema"))]
    return hashlib.sha256(json_text(said).encode("utf-8", "surrogatepass")).hexdigest()


def names_of(tools: Iterable[Mapping[str, Any]], prefix: str, server: str) -> dict[str, str]:
    """Return the names that models may use, and the server's own.

    Raises:
        BadResponseError: If two tools have one name.
    """
    found: dict[str, str] = {}
    for told in tools:
        name = (prefix + _UNFIT.sub("_", told["name"]))[:64]
        if name in found or not told["name"]:
            raise BadResponseError(
                f"The MCP server {server} has two tools named {name!r}, or one without a name.", hint=_AUTHORS
            )
        found[name] = told["name"]
    return found


def schema_of(told: Mapping[str, Any], server: str) -> dict[str, Any]:
    """Return the JSON schema of a tool's arguments.

    Raises:
        BadResponseError: If it is none, or refers to another document: that would be loaded from its address.
    """
    import jsonschema

    schema = dict(told["inputSchema"])
    problem = ""
    if schema.setdefault("type", "object") != "object":
        problem = "its type is not object"
    elif any(not str(target).startswith("#") for target in _references(schema)):
        problem = "it refers to another document"
    else:
        try:
            jsonschema.validators.validator_for(schema).check_schema(schema)
        except (jsonschema.SchemaError, RecursionError) as error:
            problem = str(getattr(error, "message", error))[:200]
    if problem:
        raise BadResponseError(
            f"The MCP server {server} gives the tool {told['name']!r:.80} an invalid schema: {problem}.",
            hint=_AUTHORS,
        )
    return schema


def _references(schema: Any) -> Iterator[Any]:
    pending = [schema]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            yield from (value[key] for key in ("$ref", "$dynamicRef") if key in value)
            pending += value.values()
        elif isinstance(value, list):
            pending += value


def result_of(name: str, given: Mapping[str, Any]) -> ToolResult:
    """Return a result: its text, its structured content unless the text repeats it, and its images."""
    texts: list[str] = []
    files: list[Attachment] = []
    for block in given.get("content", ()):
        file = _file(block)
        if file is None:
            texts.append(_text(block))
        else:
            files.append(file)
    structured = given.get("structuredContent")
    if structured is not None and not _repeated(structured, texts):
        texts.append(json_text(structured))
    text = "\n".join(filter(None, texts)) or (
        f"({len(files)} files)" if files else "Done; it returned nothing."
    )
    return ToolResult("", name, text, is_error=bool(given.get("isError")), attachments=tuple(files))


def _repeated(structured: Any, texts: list[str]) -> bool:
    """Whether texts say what the structured content says: as one JSON text, or one text for each value."""
    values = structured.get("result", structured) if isinstance(structured, dict) else structured
    said = [_value(text) for text in texts]
    return structured in said or said == (values if isinstance(values, list) else [values])


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(block: Mapping[str, Any]) -> str:
    kind, inner = block.get("type"), block.get("resource") or {}
    if kind == "text":
        return str(block.get("text", ""))
    if kind == "resource_link":
        return f"{block.get('title') or block.get('name') or 'Resource'}: {block.get('uri')}"
    if "text" in inner:
        return str(inner["text"])
    return f"({kind} {block.get('mimeType') or inner.get('mimeType') or ''} left out: models cannot read it)"


def _file(block: Mapping[str, Any]) -> Attachment | None:
    """Return an image or a PDF; `None` for what is none, whatever it says about itself."""
    data = block.get("data") or (block.get("resource") or {}).get("blob")
    if not isinstance(data, str):
        return None
    try:
        file = attach(base64.b64decode(data, validate=True))
    except (binascii.Error, InvalidRequestError):
        return None
    return file if file.kind in {"image", "pdf"} else None
