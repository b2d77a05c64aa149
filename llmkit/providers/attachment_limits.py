"""Attachments in requests: limits of the providers and the content they share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmkit.content.attachments import IMAGES, PDF
from llmkit.content.links import ANY_IMAGE, secrets_of
from llmkit.content.media import pages, pixels
from llmkit.core.errors import InvalidRequestError, LLMClientError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llmkit.content.attachments import Attachment
    from llmkit.content.messages import LLMMessage

MB = 2**20

SMALLER = "Make it smaller, or attach only a part."


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A provider's documented limits for attachments.

    Attributes:
        name: The provider's display name.
        types: Media types besides text.
        request: Maximum bytes of all attachments together, as base64.
        image: Maximum bytes of one image, as base64.
        side: Maximum pixels of an image's longer side.
        many: Number of images above which `many_side` applies.
        many_side: Maximum pixels of the longer side in that case.
        pages: Maximum pages of one PDF.
        links: Kinds of attachments that it downloads from a URL.
    """

    name: str
    types: frozenset[str] = frozenset({*IMAGES, PDF})
    request: int
    image: int | None = None
    side: int | None = None
    many: int | None = None
    many_side: int | None = None
    pages: int | None = None
    links: frozenset[str] = frozenset({"image", "pdf"})

    def side_of(self, images: int) -> int | None:
        """Return the maximum pixels of the longer side for this number of images."""
        return self.many_side if self.many is not None and images > self.many else self.side


def media(message: LLMMessage) -> list[Attachment]:
    """Return a message's images and PDFs."""
    return [one for one in message.attachments if one.kind != "text"]


def written(message: LLMMessage) -> str:
    """Return a message's text, preceded by its attached text files.

    Example:
        >>> from llmkit.content.attachments import attach
        >>> from llmkit.content.messages import LLMMessage
        >>> print(written(LLMMessage("user", "Sum up.", (attach(b"a,b", "t.csv"),))))
        File t.csv:
        ```
        a,b
        ```
        <BLANKLINE>
        Sum up.
    """
    files = [one for one in message.attachments if one.kind == "text"]
    return "".join(map(_file, files)) + message.content if files else message.content


def check(messages: Iterable[LLMMessage], limits: Limits) -> None:
    """Raise for attachments that the provider is known to refuse, before anything is sent."""
    messages = [message for message in messages if message.attachments]
    if not messages:
        return
    _check_roles(messages)
    sent = [one for message in messages for one in media(message)]
    size = sum(map(_encoded, sent))
    if size > limits.request:
        have = f"The attachments have {size / MB:.1f} MB as base64"
        raise InvalidRequestError(f"{have}; {limits.name} accepts {limits.request // MB} MB.", hint=SMALLER)
    side = limits.side_of(sum(one.kind == "image" for one in sent))
    for one in sent:
        _check_one(one, limits, side)


def without_media(body: object, messages: Iterable[LLMMessage]) -> object:
    """Return a request's body with attachments replaced by digests: recordings contain no files."""
    digests = {one.base64: f"sha256:{one.digest}" for m in messages for one in media(m) if not one.url}
    return _replaced(body, digests) if digests else body


def links(messages: Iterable[LLMMessage]) -> list[str]:
    """Return the confidential parts of attachment URLs: passwords, signatures, the query."""
    return [text for m in messages for one in m.attachments if one.url for text in secrets_of(one.url)]


def explain(error: LLMClientError, messages: Iterable[LLMMessage], model: str) -> None:
    """Convert a provider's error about an unsupported attachment."""
    sent = [one for message in messages for one in media(message)]
    for one in sent:
        if one.url:  # servers repeat URLs that they cannot download
            error.message = error.message.replace(one.url, one.shown_url)
    if not sent or error.status_code in _OTHERWISE:
        return
    if what := _refused(error.message.lower(), sent):
        error.message = f"{model} does not support {what}: {error.message}"
        error.hint = "Use a model that does, or remove the attachment."
        error.retryable = False


def _refused(said: str, sent: list[Attachment]) -> str:
    """Return the type or kind of attachment that a server refuses; empty for other errors."""
    kinds: list[str] = sorted({one.kind for one in sent})
    named = [kind for kind in kinds if _NAMED[kind].search(said)]
    if _NO_PARTS.search(said):
        return _either(named or kinds)
    if _BROKEN.search(said) or not _NOT_TAKEN.search(said):
        return ""
    types = [one.media_type for one in sent if one.media_type in said and "mime" in said]
    return _either(types or named)


def _either(kinds: list[str]) -> str:
    return " or ".join(dict.fromkeys(_WORDS.get(kind, kind) for kind in kinds))


_OTHERWISE = frozenset({401, 402, 403, 429})
"""Statuses of other errors, whatever they mention."""

_WORDS = {"image": "images", "pdf": "PDFs"}

_NOT_TAKEN = re.compile(
    r"not support|n't support|unsupported|only supported|no endpoints|at most 0|unknown variant"
    r"|not (a multimodal|multimodal|enabled|allowed|available|permitted)"
)

_BROKEN = re.compile(
    r"unsupported image[.,!]|valid image|image (data|url)[^.]{0,20}(not valid|invalid)|base64"
    r"|image (format|size|type)|dimension"
)
"""Messages about a damaged image, or one in the wrong form."""

_NAMED = {
    "image": re.compile(r"image|vision|multimodal|mmproj|modalit"),
    "pdf": re.compile(r"\bpdf|\bfiles?\b|document|file_data|modalit"),
}

_NO_PARTS = re.compile(r"content[^.]{0,40} be a (valid )?str|expected .?(text|string)\b")
"""Messages of servers that only accept text content."""


def _file(one: Attachment) -> str:
    text = one.text
    # The fence must be longer than every fence in the file.
    longest = max((len(run) for run in re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"File {one.name or 'without a name'}:\n{fence}\n{text.rstrip()}\n{fence}\n\n"


def _encoded(one: Attachment) -> int:
    # The length as base64, which is what the limits count.
    return (len(one.data) + 2) // 3 * 4


def _check_roles(messages: list[LLMMessage]) -> None:
    """Repeat the checks of `LLMMessage`, because a message is mutable."""
    for message in messages:
        if message.role != "user":
            raise InvalidRequestError(
                f"Only user messages can have attachments, got role {message.role}.",
                hint="Attach them to a user message.",
            )


def _check_one(one: Attachment, limits: Limits, side: int | None) -> None:
    problem = _pdf_problem(one, limits) if one.kind == "pdf" else _image_problem(one, limits, side)
    if problem:
        raise InvalidRequestError(f"{one.shown} {problem}", hint=SMALLER)
    if one.url and one.kind not in limits.links:
        raise InvalidRequestError(
            f"{one.shown}: {limits.name} does not accept {_WORDS[one.kind]} by URL.",
            hint="Download it, then attach the file.",
        )
    if one.media_type not in {*limits.types, ANY_IMAGE}:
        raise InvalidRequestError(
            f"{limits.name} does not support {one.media_type}.", hint="Convert it to PNG."
        )


def _pdf_problem(one: Attachment, limits: Limits) -> str:
    if limits.pages is None:
        return ""
    number = pages(one.data)
    if number is None or number <= limits.pages:
        return ""
    return f"has {number} pages; {limits.name} accepts {limits.pages}."


def _image_problem(one: Attachment, limits: Limits, side: int | None) -> str:
    if limits.image is not None and _encoded(one) > limits.image:
        size = f"{_encoded(one) / MB:.1f} MB as base64"
        return f"has {size}; {limits.name} accepts {limits.image // MB} MB per image."
    found = pixels(one.data)
    if side is not None and found is not None and max(found) > side:
        return f"has {found.width}x{found.height} pixels; {limits.name} accepts {side} per side."
    return ""


def _replaced(value: object, digests: dict[str, str]) -> object:
    if isinstance(value, str):
        head, comma, data = value.rpartition(";base64,")
        found = digests.get(data)
        return value if found is None else f"{head}{comma}{found}"
    if isinstance(value, dict):
        return {name: _replaced(item, digests) for name, item in value.items()}
    return [_replaced(item, digests) for item in value] if isinstance(value, (list, tuple)) else value
