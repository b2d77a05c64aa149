"""The images and PDFs of a request, checked as the providers check them."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from llmkit.content.attachments import IMAGES, PDF, Attachment
from llmkit.content.links import ANY_IMAGE, type_of
from llmkit.content.media import pages, pixels
from llmkit.core.errors import InvalidRequestError
from llmkit.sandbox.dialects.dialect import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator


def decoded(
    kind: Any, data: Any, where: str, *, name: str = "", taken: tuple[str, ...] = (*IMAGES, PDF)
) -> Attachment:
    """Read an image or a PDF of a request.

    Example:
        >>> decoded("image/gif", "R0lGODlhAgABAA==", "content.0")
        Attachment('image/gif', 10 bytes, name='')
    """
    if kind not in taken:
        raise RefusedError(
            400, f"{where}: Unsupported MIME type: {kind!r}; supported are {', '.join(taken)}."
        )
    try:
        raw = base64.b64decode(data if isinstance(data, str) else "", validate=True)
        found = Attachment(kind, raw, name)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(400, f"{where}: Base64 decoding failed: {error}.") from None
    except InvalidRequestError as error:
        raise RefusedError(400, f"{where}: {error.message}") from None
    if found.kind == "image" and pixels(raw) is None:
        raise RefusedError(400, f"{where}: Could not process image: its size cannot be read.")
    return found


def from_url(url: Any, where: str, *, name: str = "", taken: tuple[str, ...] = (*IMAGES, PDF)) -> Attachment:
    """Read an image or a PDF from a data URL, or record its address."""
    if isinstance(url, str) and url.startswith(("http://", "https://")):
        return at_address(url, where, name=name, taken=taken)
    head, comma, data = url.partition(";base64,") if isinstance(url, str) else ("", "", "")
    if not comma or not head.startswith("data:"):
        raise RefusedError(400, f"{where}: expected a base64-encoded data URL or a web address.")
    return decoded(head.removeprefix("data:"), data, where, name=name, taken=taken)


def at_address(
    url: Any, where: str, *, name: str = "", taken: tuple[str, ...] = (*IMAGES, PDF)
) -> Attachment:
    """Record an image or a PDF that is given by its web address; nothing is downloaded."""
    try:
        kind = type_of(url, name)
        found = Attachment(PDF if taken == (PDF,) else kind, name=name, url=url)
    except (InvalidRequestError, AttributeError, TypeError):
        raise RefusedError(400, f"{where}: the address of an image or a PDF was expected.") from None
    if found.media_type not in {*taken, ANY_IMAGE}:
        raise RefusedError(400, f"{where}: Unsupported MIME type: {found.media_type!r}.")
    return found


def facts(media: tuple[Attachment, ...]) -> Iterator[str]:
    r"""Describe each attachment by its bytes or its address, to prove that it arrived.

    Example:
        >>> list(facts((Attachment("image/gif", b"GIF89a\x02\x00\x01\x00"),)))
        ['image/gif 2x1, 10 bytes']
    """
    for one in media:
        if one.url:
            yield f"{one.kind} at {one.shown_url}: an address, from which the sandbox loads nothing"
            continue
        size = pixels(one.data)
        shown = f"{pages(one.data)} pages" if size is None else f"{size.width}x{size.height}"
        name = f", {one.name}" if one.name else ""
        yield f"{one.media_type} {shown}, {len(one.data)} bytes{name}"
