"""Puts the parts of an answer together in the order in which they came."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from llmkit.content.parts import Citation, Other, Part, Reasoning, Text
from llmkit.providers.codec import kind_of
from llmkit.providers.raw_parts import finished

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmkit.providers.codec import Answer


def assembled(answer: Answer, provider: str) -> tuple[Part, ...]:
    """Return the parts of an answer, with the provider's name on all that only it understands.

    Args:
        answer: The answer, whole or cut.
        provider: Name of the provider that wrote it.
    """
    if answer.whole is not None:
        return answer.whole
    if not answer.marks:  # the common case
        text = "".join(answer.texts)
        return (Text(text),) if text else ()
    parts = list(_Assembly(answer).parts())
    finished_parts = parts if answer.codec is None else answer.codec.finish_parts(parts)
    return tuple(_owned(part, provider) for part in finished_parts)


class _Assembly:
    """The text of an answer, cut where its parts begin."""

    def __init__(self, answer: Answer) -> None:
        self._marks = answer.marks
        self._codec = answer.codec
        self._text = "".join(answer.texts)
        self._starts = [0, *accumulate(map(len, answer.texts))]
        self._gaps = [(self._place(texts, here), size) for texts, here, size in answer.gaps]

    def parts(self) -> Iterator[Part]:
        """Yield the parts in order; a source belongs to a text and follows it, wherever it came."""
        opaque: dict[str, Any] | None = None
        done = 0
        sources: list[Part] = []
        for texts, here, raw, is_text in self._marks:
            read = () if is_text else self._read(finished(raw))
            if read and all(isinstance(part, Citation) for part in read):
                sources += read
                continue
            place = max(done, self._place(texts, here))
            yield from self._between(done, place, opaque)
            yield from sources
            yield from read
            done, opaque, sources = place, raw if is_text else None, []
        yield from self._between(done, len(self._text), opaque)
        yield from sources

    def _read(self, raw: dict[str, Any]) -> tuple[Part, ...]:
        return (Other(kind_of(raw), raw),) if self._codec is None else tuple(self._codec.read_part(raw))

    def _place(self, texts: int, here: int) -> int:
        return min(self._starts[min(texts, len(self._starts) - 1)] + here, len(self._text))

    def _between(self, start: int, end: int, opaque: dict[str, Any] | None) -> Iterator[Text]:
        """Yield the text between two places as the provider wrote it, without our line breaks."""
        skipped = sum(size for place, size in self._gaps if start <= place < end)
        if end > start or opaque:
            yield Text(self._text[start + skipped : end], opaque or None)


def _owned(part: Part, provider: str) -> Part:
    """Return a part with its provider's name, if it has something that only this provider understands."""
    private = part.opaque is not None or isinstance(part, Reasoning | Other)
    return replace(part, provider=provider) if private and part.provider is None else part
