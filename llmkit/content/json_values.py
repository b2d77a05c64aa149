"""Extraction of JSON values from an answer's text, in order (pure)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from llmkit.content.fences import Fence

TRIES = 200
"""Failed attempts to parse JSON before the rest of a text is skipped."""

JSON_FENCES = frozenset({"", "json", "json5", "jsonc", "jsonl", "jsonlines", "ndjson"})
"""Languages of code blocks that may hold JSON."""

_START = re.compile(r"[{\[]")
_OBJECT = re.compile(r"\{\s*\"|\[\s*[{\[\"]")
_BETWEEN = re.compile(r"\s*[,;]?\s*(?:(?:[-*•]|\d+[.):])\s*)?")
_LINE_OF_JSON = re.compile(r"(?m)^\s*[{\[\]}\"].*$")
_CORRECTED = re.compile(
    r"(?i)\b(corrected|correction|correcting|the correct|fix(ed|ing)?|revis|amend|updated|improved|final"
    r"|sorry|apolog|mistake|wrong|incorrect|actually|wait|oops|hmm|attempt|try|retry|instead|rather|better"
    r"|second thought|reflection|should (be|have|read)|let me|draft|not quite|re-?check|double-?check"
    r"|korrig|berichtig|richtig|endg|corrig|corregi)"
)
_FIRST = re.compile(
    r"(?i)\b(first (attempt|try|draft|version)|draft|instead of|rather than|wrong|incorrect|not this)"
)


def no_number(name: str) -> Any:
    """Reject NaN and infinities, which Python's parser would accept."""
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=no_number)


@dataclass(frozen=True, slots=True)
class Values:
    """Values found in one kind of place.

    Attributes:
        values: The complete values.
        gaps: The text before each value.
        broken: Whether there is also an incomplete value.
        listed: Whether only line breaks and bullets separate them, as in JSON Lines.
        inner: Whether they are surrounded by other text.
    """

    values: list[Any] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    broken: bool = False
    listed: bool = False
    inner: bool = False

    @property
    def corrected(self) -> bool:
        """Whether the text between values says that a later value replaces an earlier one."""
        return is_corrected(self.gaps)


def is_corrected(gaps: Sequence[str]) -> bool:
    """Whether a text says that the following value replaces the previous one.

    Example:
        >>> is_corrected(["First attempt:", "Corrected:"]), is_corrected(["Rome:", "Oslo:"])
        (True, False)
    """
    first, *later = gaps or [""]
    words = [_LINE_OF_JSON.sub("", gap) for gap in later]
    return bool(later) and (any(map(_CORRECTED.search, words)) or _FIRST.search(first) is not None)


def places(text: str, blocks: Sequence[Fence]) -> Iterator[Values]:
    """Yield the values of the whole text, of its code blocks, and of the text around them."""
    whole = sequence(text)
    if whole:
        yield Values(whole, [""] * len(whole), listed=True)
        return
    fenced = _in_blocks(blocks)
    if fenced.values:
        yield _with_later(fenced, text, blocks)
    inner = _between_words(text)
    if inner.values or inner.broken:
        yield inner


def sequence(source: str) -> list[Any]:
    r"""Return the values if a text has nothing else: one of any kind, or several objects and lists.

    Example:
        >>> sequence('{"n": 1}\n{"n": 2}'), sequence("n: 1")
        ([{'n': 1}, {'n': 2}], [])
    """
    try:
        return [json.loads(source, parse_constant=no_number)]
    except (ValueError, RecursionError):
        pass
    found: list[Any] = []
    place = _blank(source, 0)
    while place < len(source):
        if source[place] not in "{[":
            return []
        try:
            value, place = _DECODER.raw_decode(source, place)
        except (ValueError, RecursionError):
            return []
        found.append(value)
        place = _blank(source, place)
    return found


def distinct(values: Sequence[Any]) -> list[Any]:
    """Remove duplicate values, keeping the last of each."""
    # As text, because objects cannot be hashed and True equals 1.
    keys = [json.dumps(value, sort_keys=True) for value in values]
    return [value for place, value in enumerate(values) if keys[place] not in keys[place + 1 :]]


def _blank(source: str, place: int) -> int:
    """Return the index after the line breaks and comma between two values."""
    while place < len(source) and source[place] in " \t\r\n,\ufeff":
        place += 1
    return place


def _in_blocks(blocks: Sequence[Fence]) -> Values:
    found = Values()
    broken = False
    for block in blocks:
        if block.language not in JSON_FENCES:
            continue
        inside = sequence(block.code)
        found.values.extend(inside)
        found.gaps.extend([block.before, *[""] * (len(inside) - 1)] if inside else [])
        named = block.language or _OBJECT.match(block.code.lstrip())
        broken = broken or bool(not inside and named and block.code.strip())
    return Values(found.values, found.gaps, broken=broken)


def _with_later(fenced: Values, text: str, blocks: Sequence[Fence]) -> Values:
    """Return the values in code blocks, with similar values that follow outside of them.

    Text before a block is ignored: the block is the answer. A later value may replace it.
    """
    others = [block.code for block in blocks if block.language not in JSON_FENCES]
    for code in others:
        # Code in another language may have braces that look like JSON.
        text = text.replace(code, "", 1)
    found = _between_words(text)
    known = flat(fenced.values)
    later = len(distinct([*flat(found.values[-1:]), *known])) > len(distinct(known))
    if not later or not are_alike([*fenced.values, *found.values]):
        return fenced
    return replace(found, inner=False, broken=found.broken or fenced.broken)


def are_alike(values: Sequence[Any]) -> bool:
    """Whether values are similar records: objects with the same keys, or lists of them."""
    records = flat(values)
    if not all(isinstance(item, dict) for item in records):
        return False
    return len({frozenset(item) for item in records}) <= 1


def flat(values: Sequence[Any]) -> list[Any]:
    """Return values as one list, in which a list's items take its place.

    Example:
        >>> flat([{"n": 1}, [{"n": 2}, {"n": 3}]])
        [{'n': 1}, {'n': 2}, {'n': 3}]
    """
    return [item for one in values for item in (one if isinstance(one, list) else [one])]


def _between_words(text: str) -> Values:
    """Find values in surrounding text; footnote numbers and empty values only count alone."""
    spans, broken = _spans(text)
    rich = [span for span in spans if _is_rich(span[2])]
    spans = rich or spans
    gaps, end = [], 0
    for start, stop, _ in spans:
        gaps.append(text[end:start])
        end = stop
    listed = all(_BETWEEN.fullmatch(gap) for gap in gaps[1:])
    return Values([value for _, _, value in spans], gaps, broken=broken, listed=listed, inner=True)


def _spans(text: str) -> tuple[list[tuple[int, int, Any]], bool]:
    """Return the values with their positions, and whether there is an incomplete one."""
    spans: list[tuple[int, int, Any]] = []
    failed: list[int] = []
    end = 0
    for match in _START.finditer(text):
        start = match.start()
        if start < end:
            continue
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            failed.append(start)
            # A text with thousands of braces would otherwise take quadratic time.
            if len(failed) >= TRIES:
                return spans, True
            continue
        spans.append((start, end, value))
    return spans, any(_is_broken(text, start, spans) for start in failed)


def _is_broken(text: str, start: int, spans: Sequence[tuple[int, int, Any]]) -> bool:
    """Whether incomplete JSON begins at a position, rather than a brace in prose."""
    if not _OBJECT.match(text, start):
        return False
    line = text[text.rfind("\n", 0, start) + 1 : start]
    if _BETWEEN.fullmatch(line):
        return True
    stop = next((place for place, _, _ in spans if place > start), len(text))
    between = text[start:stop]
    return sum(map(between.count, "{[")) > sum(map(between.count, "}]"))


def _is_rich(value: Any) -> bool:
    """Whether a value is a non-empty object, or a list with more than plain values."""
    if isinstance(value, list):
        return any(isinstance(one, (dict, list)) for one in value)
    return bool(value)
