"""Sizes of images, page counts of PDFs, and bounds of their tokens, without a library."""

from __future__ import annotations

import re
import zlib
from math import ceil
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmkit.content.attachments import Attachment

MOST_PAGES = 1000
"""Maximum pages of a PDF that any provider accepts (Gemini; Anthropic accepts 600)."""

PAGE_TEXT = 3000
"""Approximate maximum of text tokens per page (Anthropic documents 1,500 to 3,000)."""

_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_LIST = re.compile(rb"/Type\s*/ObjStm\b")
_STREAM = re.compile(rb"stream\r?\n")
_UNPACKED = 2**24
"""Maximum decompressed bytes of a PDF's object streams: a small file can expand to gigabytes."""

_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""JPEG markers that are followed by the size."""

_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""JPEG markers without a length."""


class Pixels(NamedTuple):
    """The size of an image."""

    width: int
    height: int


ImageTokens: TypeAlias = "Callable[[Pixels | None, str], int]"
"""Tokens of an image of a size, `None` if that is unknown, for a model."""


def pixels(data: bytes) -> Pixels | None:
    r"""Read the size of a PNG, JPEG, GIF or WebP image.

    Example:
        >>> pixels(b"GIF89a" + (640).to_bytes(2, "little") + (480).to_bytes(2, "little"))
        Pixels(width=640, height=480)

    Source: PNG (W3C), section 11.2.2; GIF89a, section 18; ITU-T T.81, annex B; RFC 9649 for WebP.
    """
    if data.startswith(b"\x89PNG"):
        return _size(data[16:20], data[20:24], "big")
    if data.startswith(b"GIF8"):
        return _size(data[6:8], data[8:10], "little")
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    return _webp(data) if data[8:12] == b"WEBP" else None


def pages(data: bytes) -> int | None:
    """Count the pages of a PDF, including those in compressed object streams.

    Example:
        >>> pages(b"%PDF-1.4 1 0 obj << /Type /Page >> endobj 2 0 obj << /Type /Pages >> endobj")
        1
    """
    found = len(_PAGE.findall(data))
    room = _UNPACKED
    for packed in _object_lists(data):
        try:
            listed = zlib.decompressobj().decompress(packed, room)
        except zlib.error:
            return None
        found += len(_PAGE.findall(listed))
        room -= len(listed)
        if room <= 0:
            return None
    return found or None


def most_tokens(attachment: Attachment, image_tokens: ImageTokens | None = None, model: str = "") -> int:
    """Return a number of tokens that an image or a PDF very rarely exceeds.

    An attachment given by its address counts as the most expensive one that the provider takes.
    `image_tokens` is the provider's formula; without it, the largest count of all formulas is used.
    """
    count = image_tokens or most_expensive_image
    if attachment.kind == "image":
        return count(pixels(attachment.data), model)
    # A page that cannot be counted has a kilobyte at least; the file behind an address is unknown.
    room = MOST_PAGES if attachment.url else len(attachment.data) // 1000
    number = pages(attachment.data) or min(MOST_PAGES, max(1, room))
    return number * (PAGE_TEXT + count(_PRINTED, model))


def _object_lists(data: bytes) -> Iterator[bytes]:
    """Yield a PDF's decompressed object streams."""
    place = 0
    while (head := _LIST.search(data, place)) and (start := _STREAM.search(data, head.end())):
        end = data.find(b"endstream", start.end())
        if end < 0:
            return
        yield data[start.end() : end]
        place = end


def openai_image(size: Pixels | None, model: str) -> int:
    """Return the larger of the tile and patch counts, because the model's name does not say which applies."""
    size = size or Pixels(10_000, 10_000)
    shrink = min(1.0, 2048 / max(size), 768 / min(size))  # then divided into tiles of 512 pixels
    tiles = ceil(size.width * shrink / 512) * ceil(size.height * shrink / 512)
    patches = min(10_000, ceil(size.width / 32) * ceil(size.height / 32))
    if "gpt-4o-mini" in model:  # its tokens are cheap, so images use more of them
        return 2833 + 5667 * tiles
    return max(85 + 170 * tiles, ceil(patches * 2.46))


def anthropic_image(size: Pixels | None, model: str) -> int:  # noqa: ARG001 - the same for all
    """Count patches of 28 pixels, after scaling down to the model's maximum."""
    return 4784 if size is None else min(4784, ceil(size.width / 28) * ceil(size.height / 28) + 1)


def google_image(size: Pixels | None, model: str) -> int:  # noqa: ARG001 - the same for all
    """Return the larger of Gemini 3's highest resolution and Gemini 2's tiles."""
    size = size or Pixels(10_000, 10_000)
    unit = min(768, max(256, min(size) * 2 // 3))
    return max(2240, 258 * ceil(size.width / unit) * ceil(size.height / unit))


def most_expensive_image(size: Pixels | None, model: str) -> int:
    """Return the largest count of all formulas: most servers do not document theirs."""
    return max(count(size, model) for count in (openai_image, anthropic_image, google_image))


_PRINTED = Pixels(1275, 1650)
"""Size of a PDF page as an image at 150 dots per inch."""


def _size(width: bytes, height: bytes, order: Literal["big", "little"]) -> Pixels | None:
    found = Pixels(int.from_bytes(width, order), int.from_bytes(height, order))
    return found if all(found) else None


def _jpeg(data: bytes) -> Pixels | None:
    """Skip segments until the one with the size."""
    place = 2
    while place + 9 <= len(data):
        if data[place] != 0xFF:
            return None
        marker = data[place + 1]
        if marker in _FRAMES:
            return _size(data[place + 7 : place + 9], data[place + 5 : place + 7], "big")
        if marker == 0xFF:  # padding
            place += 1
        elif marker in _BARE:
            place += 2
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def _webp(data: bytes) -> Pixels | None:
    """Read the size from the first chunk, which has one of three formats."""
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return Pixels(int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1)
    if kind == b"VP8L" and len(data) >= 25:  # 14 bits each, minus one
        bits = int.from_bytes(data[21:25], "little")
        return Pixels((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 " and len(data) >= 30:  # 14 bits each; the upper two are a scale
        return Pixels(
            int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
        )
    return None
