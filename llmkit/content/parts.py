"""Parts of messages and answers: text, reasoning, tool calls and their results, sources, media."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from llmkit.content.attachments import Attachment
from llmkit.core.brief import brief
from llmkit.core.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

INVENTED = "llmkit_"
"""Prefix of the identifiers of calls to which the provider gave none; they are not sent."""


class _OneLine:
    """Shows a part in one short line."""

    __slots__ = ()

    def __repr__(self) -> str:
        shown = (one.name for one in fields(self) if one.repr)  # type: ignore[arg-type]  # parts are dataclasses
        return f"{type(self).__name__}({', '.join(f'{name}={brief(getattr(self, name))}' for name in shown)})"


@dataclass(frozen=True, slots=True, repr=False)
class Text(_OneLine):
    """Text.

    Args:
        text: As the provider wrote it.
        opaque: What the provider needs back with it, unchanged, in its own format.
        provider: Name of the provider that wrote it; `opaque` goes back only there.

    Example:
        >>> Text("Paris").text
        'Paris'
    """

    text: str
    opaque: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    provider: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Reasoning(_OneLine):
    """Reasoning of a model, or a summary of it.

    Args:
        text: The text; often empty, because the provider keeps it or sends it encrypted in `opaque`.
        opaque: As in `Text`.
        provider: As in `Text`.

    Example:
        >>> Reasoning("The user wants a river.").text
        'The user wants a river.'
    """

    text: str = ""
    opaque: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    provider: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class ToolCall(_OneLine):
    """A model's request to call a tool. Name and arguments are a model's words: do not trust them.

    Args:
        id: Identifier, which the result repeats.
        name: Name of the tool.
        arguments: The arguments by name; `None` if `raw` is not a JSON object. Taken from `raw` if omitted.
        raw: The arguments as the model wrote them; `""` means no arguments. Made from `arguments` if omitted.
        opaque: As in `Text`.
        provider: As in `Text`.

    Example:
        >>> ToolCall("call_1", "add", raw='{"a": 1}').arguments
        {'a': 1}
        >>> ToolCall("call_1", "add", raw='{"a": ').arguments is None
        True
    """

    id: str
    name: str
    arguments: Mapping[str, Any] | None = field(default=None, hash=False)
    raw: str = ""
    opaque: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    provider: str | None = None

    def __post_init__(self) -> None:
        if self.arguments is None:
            object.__setattr__(self, "arguments", _object_of(self.raw))
        elif not self.raw and self.arguments:
            object.__setattr__(self, "raw", json_text(self.arguments))


@dataclass(frozen=True, slots=True, repr=False)
class ToolResult(_OneLine):
    """The result of a tool, for the model.

    Args:
        call_id: The `id` of the `ToolCall`.
        name: Name of the tool.
        content: The result as text.
        is_error: Whether the tool failed; then `content` says why.
        attachments: Images and PDFs of the result.
        opaque: As in `Text`.
        provider: As in `Text`.

    Example:
        >>> ToolResult("call_1", "add", "3").content
        '3'
    """

    call_id: str
    name: str
    content: str
    is_error: bool = False
    attachments: tuple[Attachment, ...] = ()
    opaque: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    provider: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Citation(_OneLine):
    """A source of the answer. Title, address and quotation are not to be trusted.

    Args:
        title: Title of the source.
        url: Its address; `None` for a file.
        quote: The quoted words of the source.
        start: First character of `content` that it supports; `None` if unknown.
        end: The character after the last one.
        opaque: As in `Text`.
        provider: As in `Text`.

    Example:
        >>> Citation("Rivers of Europe", url="https://example.org/rivers").url
        'https://example.org/rivers'
    """

    title: str
    url: str | None = None
    quote: str | None = None
    start: int | None = None
    end: int | None = None
    opaque: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    provider: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Media(_OneLine):
    """An image or a sound that the model made.

    Args:
        attachment: The file.
        opaque: As in `Text`.
        provider: As in `Text`.

    Example:
        >>> from llmkit.content.attachments import Attachment
        >>> Media(Attachment("image/gif", b"GIF89a...")).attachment.media_type
        'image/gif'
    """

    attachment: Attachment
    opaque: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    provider: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Other(_OneLine):
    """Any other part, such as the work of a provider's own tool, in the provider's format.

    Args:
        kind: The provider's word for it.
        data: The part, as JSON values; it goes back to the provider unchanged.
        opaque: As in `Text`.
        provider: As in `Text`.

    Example:
        >>> Other("web_search_call", {"type": "web_search_call", "id": "ws_1"}).kind
        'web_search_call'
    """

    kind: str
    data: Mapping[str, Any] = field(default_factory=dict, hash=False)
    opaque: Mapping[str, Any] | None = field(default=None, repr=False, hash=False)
    provider: str | None = None


Part: TypeAlias = Text | Reasoning | ToolCall | ToolResult | Citation | Media | Other

KINDS: dict[str, type[Part]] = {
    "text": Text,
    "reasoning": Reasoning,
    "tool_call": ToolCall,
    "tool_result": ToolResult,
    "citation": Citation,
    "media": Media,
    "other": Other,
}
"""The kinds of parts by their names in files."""

_NAMES = {kind: name for name, kind in KINDS.items()}

PARTS = tuple(KINDS.values())


def text_of(parts: Iterable[Part]) -> str:
    r"""Return the text of parts; a blank line stands where a call, a file or another part separates texts.

    Example:
        >>> text_of([Text("Let me look."), ToolCall("1", "look"), Text("Found.")])
        'Let me look.\n\nFound.'
    """
    whole, apart = "", False
    for part in parts:
        if isinstance(part, Text):
            if part.text:
                whole += gap(whole, part.text) * "\n" + part.text if apart else part.text
                apart = False
        elif not isinstance(part, Reasoning | Citation):
            apart = True
    return whole


def gap(before: str, after: str) -> int:
    """Return the number of line breaks to put between two texts so that a blank line separates them."""
    if not before:
        return 0
    there = len(before) - len(before.rstrip("\n")) + len(after) - len(after.lstrip("\n"))
    return max(2 - there, 0)


def for_provider(parts: Iterable[Part], provider: str) -> Iterator[Part]:
    """Yield what a provider may see of parts: another provider's private data stays away from it."""
    for part in parts:
        if part.provider is None or part.provider == provider:
            yield part
        elif isinstance(part, Text | ToolCall | ToolResult | Media):
            yield replace(part, opaque=None)


def invented_id(name: str, raw: str, place: int) -> str:
    """Return an identifier for a call without one; the same call at the same place has the same."""
    digest = hashlib.sha256(f"{place}\0{name}\0{raw}".encode(errors="surrogatepass"))
    return INVENTED + digest.hexdigest()[:16]


Writers: TypeAlias = "Mapping[type[Any], Callable[[Any], dict[str, Any] | None]]"
"""Writes a part in another form, by its kind."""


def each_written(parts: Iterable[Part], writers: Writers) -> Iterator[dict[str, Any]]:
    """Yield parts in another form, each by the writer of its kind; one that returns `None` leaves it out."""
    for part in parts:
        write = writers.get(type(part))
        if write is not None and (written := write(part)) is not None:
            yield written


def values_of(part: Part) -> dict[str, Any]:
    """Return a part as JSON values, without the fields that have their default.

    Example:
        >>> values_of(Text("Hi"))
        {'part': 'text', 'text': 'Hi'}
    """
    values: dict[str, Any] = {"part": _NAMES[type(part)]}
    for each in fields(part):
        value = getattr(part, each.name)
        if value is None or value == () or value is False:
            continue
        if isinstance(value, Attachment):
            value = _file_values(value)
        elif each.name == "attachments":
            value = [_file_values(one) for one in value]
        values[each.name] = value
    if isinstance(part, ToolCall):  # the arguments follow from `raw`, unless somebody changed them
        values.pop("arguments" if part.arguments == _object_of(part.raw) else "raw", None)
    return values


def part_of(values: Mapping[str, Any]) -> Part:
    """Return the part of JSON values; the inverse of `values_of`.

    Raises:
        ValueError: If they are not those of a part.

    Example:
        >>> part_of({"part": "text", "text": "Hi"})
        Text(text='Hi', provider=None)
    """
    given = dict(values)
    kind = KINDS.get(given.pop("part", None))
    if kind is None:
        raise ValueError(f"{str(values.get('part'))[:40]!r} is not a kind of part")
    try:
        if "attachment" in given:
            given["attachment"] = _file_of(given["attachment"])
        if "attachments" in given:
            given["attachments"] = tuple(map(_file_of, given["attachments"]))
        part = kind(**given)
    except (TypeError, KeyError, binascii.Error, InvalidRequestError) as error:
        raise ValueError(f"a part is invalid: {error}") from error
    _check(part)
    return part


_TEXTS = {"text", "id", "name", "raw", "call_id", "content", "title", "kind"}


def _check(part: Part) -> None:
    """Check the types of a part that was read from a file."""
    for each in fields(part):
        value = getattr(part, each.name)
        if each.name in _TEXTS and not isinstance(value, str):
            raise ValueError(f"{each.name} of a part is {value!r:.40}")
        if each.name in {"opaque", "data"} and not isinstance(value, dict | None):
            raise ValueError(f"{each.name} of a part is not an object")


def _file_values(file: Attachment) -> dict[str, Any]:
    values = {"media_type": file.media_type, "name": file.name, "url": file.url, "data": file.base64}
    return {name: value for name, value in values.items() if value}


def _file_of(values: Mapping[str, Any]) -> Attachment:
    data = base64.b64decode(values.get("data", ""), validate=True)
    return Attachment(values["media_type"], data, values.get("name", ""), url=values.get("url", ""))


def json_text(value: Any) -> str:
    """Return JSON values as text; an empty one if they are nested too deeply."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return ""


def _object_of(raw: str) -> dict[str, Any] | None:
    """Return the JSON object of a text, an empty one for a blank text, and `None` for anything else."""
    if not raw.strip():
        return {}
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
