"""What an answer may have besides text: sources, and an image."""

from __future__ import annotations

import io
import re
import zlib
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.answers import topic
from llmkit.sandbox.conversation import Source

if TYPE_CHECKING:
    from llmkit.sandbox.conversation import Ask

IMAGE_TOKENS = 1290
"""Output tokens of an image, as Gemini counts one of 1024 by 1024 pixels."""

_ASKS_SOURCES = re.compile(
    r"\b(?:sources?|cite|citations?|references?|search|look up|latest|news|the web|internet|online)\b",
    re.IGNORECASE,
)
_ASKS_IMAGE = re.compile(
    r"\b(?:draw|paint|sketch|image|picture|illustration|logo|chart|plot|photo)\b", re.IGNORECASE
)
_WISHES = re.compile(
    r"^(?:please\s+)?(?:draw|paint|sketch|plot|search(?:\s+the\s+web)?(?:\s+for)?|look up|find)\b:?\s*"
    r"(?:an?\s+(?:image|picture|illustration|photo)\s+of\s+)?"
    r"|[,;.]?\s*(?:and\s+)?(?:cite|with|name|give)\s+(?:me\s+|your\s+|the\s+|some\s+|an?\s+)?sources?\b",
    re.IGNORECASE,
)
_CHART = re.compile(r"\b(?:chart|plot|graph|diagram)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"\S[^.!?\n]*[.!?]?")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_COLOURS = {
    "red": "#c44e52", "green": "#55a868", "blue": "#4c72b0", "yellow": "#e6c229", "orange": "#dd8452",
    "violet": "#8172b3", "purple": "#8172b3", "black": "#222222", "grey": "#8c8c8c", "white": "#ffffff",
}  # fmt: skip
_WIDTH, _HEIGHT = 256, 192
_EDGE = 16


PAGES = "A page of example.org gives an overview of “{topic}”. Another page there goes into the details."
"""What the sandbox finds about a topic."""


def subject_of(text: str) -> str:
    """Return what a prompt is about, without the wish for an image or sources.

    Example:
        >>> subject_of("Draw a blue boat and cite sources"), subject_of("Search the web for the tides")
        ('blue boat', 'tides')
    """
    bare = _WISHES.sub(" ", text).strip()
    return topic(bare) or topic(text) or "it"


def wants_sources(ask: Ask) -> bool:
    """Whether a search is offered and asked for."""
    return ask.searches and bool(_ASKS_SOURCES.search(ask.last_user_text))


def sources(ask: Ask, text: str, subject: str) -> tuple[Source, ...]:
    """Return the pages that a text is based on, if a search is asked for.

    Example:
        >>> from llmkit.sandbox.conversation import Ask, Turn
        >>> asked = Ask(model="sandbox", turns=(Turn("user", "Tides? Cite sources."),), searches=True)
        >>> [(one.url, one.start, one.end) for one in sources(asked, "The moon. The sun.", "tides")]
        [('https://example.org/tides', 0, 9), ('https://example.org/more/tides', 10, 18)]
    """
    if not wants_sources(ask):
        return ()
    spans = [found.span() for found in _SENTENCE.finditer(text) if len(found[0]) > 1]
    chosen = spans[:1] + spans[1:][-1:]
    slug = re.sub(r"\W+", "-", subject.lower()).strip("-")[:40] or "page"
    pages = ((f"{subject}: an overview", slug), (f"More about {subject}", f"more/{slug}"))
    return tuple(
        Source(title, f"https://example.org/{path}", *span)
        for (title, path), span in zip(pages, chosen, strict=False)
    )


def wants_image(ask: Ask) -> bool:
    """Whether an image can be made and is asked for."""
    return ask.draws and bool(_ASKS_IMAGE.search(ask.last_user_text))


def draw(text: str) -> bytes:
    r"""Draw a prompt as a PNG: bars of its numbers if it asks for a chart, else a tile in its colour.

    Example:
        >>> draw("a red square")[:4]
        b'\x89PNG'
    """
    from PIL import Image, ImageDraw

    colour = next((code for name, code in _COLOURS.items() if name in text.lower()), _by_chance(text))
    image = Image.new("RGB", (_WIDTH, _HEIGHT), "#f4f4f4" if _CHART.search(text) else colour)
    pen = ImageDraw.Draw(image)
    if _CHART.search(text):
        values = [abs(float(number)) for number in _NUMBER.findall(text)][:24] or [3, 5, 2, 6]
        room = (_WIDTH - 2 * _EDGE) / len(values)
        for place, value in enumerate(values):
            left, top = _EDGE + place * room, _EDGE + (1 - value / (max(values) or 1)) * (_HEIGHT - 2 * _EDGE)
            pen.rectangle((left, top, left + 0.8 * room, _HEIGHT - _EDGE), fill=colour)
    else:
        pen.ellipse((_WIDTH / 4, _HEIGHT / 4, 3 * _WIDTH / 4, 3 * _HEIGHT / 4), outline="#ffffff", width=6)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _by_chance(text: str) -> str:
    """Return a colour for a text, always the same."""
    codes = list(_COLOURS.values())
    return codes[zlib.crc32(text.encode()) % len(codes)]
