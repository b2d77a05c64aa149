"""Statistics of the numbers that a question lists."""

from __future__ import annotations

import re
import statistics
from typing import TYPE_CHECKING

from llmkit.sandbox.answers.finding import Finding
from llmkit.sandbox.answers.numbers.arithmetic import written
from llmkit.sandbox.answers.numbers.number_words import NUMBER, as_number
from llmkit.sandbox.answers.wording import left_over

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def _product(values: Sequence[float]) -> float:
    result: float = 1
    for value in values:
        result *= value
    return result


_MEASURES: tuple[tuple[str, str, Callable[[Sequence[float]], float]], ...] = (
    (r"medians?", "median", statistics.median),
    (r"means?|averages?", "mean", statistics.fmean),
    (r"modes?|most frequent|most common", "mode", statistics.mode),
    (r"standard deviations?|std|stdev|sd", "standard deviation", statistics.stdev),
    (r"variances?", "variance", statistics.variance),
    (r"ranges?", "range", lambda values: max(values) - min(values)),
    (r"product", "product", _product),
    (r"sums?|totals?|add(?: up)?(?: all)?", "sum", sum),
    (r"max(?:imum)?|largest|highest|biggest|greatest", "largest", max),
    (r"min(?:imum)?|smallest|lowest|least", "smallest", min),
    (r"how many|count", "count", len),
)
_PATTERNS = tuple((re.compile(rf"\b(?:{pattern})\b"), name, measure) for pattern, name, measure in _MEASURES)
_SPREAD = frozenset({"standard deviation", "variance"})
_SORT = re.compile(r"\b(?:sort|order|arrange|rank)(?:ed)?\b")
_DOWN = re.compile(
    r"\b(?:descending|decreasing|largest first|highest to lowest|largest to smallest|reverse|high to low)\b"
)
_ORDER_WORDS = re.compile(
    r"\b(?:sort|order|arrange|rank|ascending|increasing|descending|decreasing|smallest|largest"
    r"|highest|lowest|first|numerically|reverse|following|high|low)(?:ed)?\b"
)
_CONTEXT = re.compile(
    r"\b(?:following|integers?|figures?|calculate|compute|find|among|out of|sample|population"
    r"|set|list|dataset|data set|add|sequence|series|array)\b"
)
_FEWEST = 2


def listed_numbers(text: str) -> list[float]:
    """Return the numbers in a plain text.

    Example:
        >>> listed_numbers("3, 8, ten and 15")
        [3, 8, 10, 15]
    """
    spaced = re.sub(r",(?=\s)|,(?=\d{1,2}(?!\d))", " , ", text)
    return [as_number(found[0]) for found in NUMBER.finditer(spaced)]


def about_numbers(text: str) -> Finding | None:
    """Answer a plain question about the numbers that it lists.

    Example:
        >>> about_numbers("what is the median of 4, 9, 1, 7?").text
        'The median of 4, 9, 1 and 7 is 5.5.'
    """
    numbers = listed_numbers(text)
    if len(numbers) < _FEWEST:
        return None
    if _SORT.search(text) and not left_over(text, [NUMBER, _ORDER_WORDS, _CONTEXT]):
        return _sorted(numbers, down=bool(_DOWN.search(text)))
    asked = [one for one in _PATTERNS if one[0].search(text)]
    rest = left_over(text, [NUMBER, _CONTEXT, *(pattern for pattern, _, _ in asked)])
    if not asked or rest:
        return None
    return _measured(numbers, {name: written(measure(numbers)) for _, name, measure in asked})


def _measured(numbers: list[float], values: dict[str, str]) -> Finding:
    shown = ", ".join(map(written, numbers[:-1])) + f" and {written(numbers[-1])}"
    first = next(iter(values))
    note = " It divides by n \u2212 1, as for a sample." if first in _SPREAD else ""
    if len(values) == 1:
        return Finding(text=f"The {first} of {shown} is {values[first]}.{note}", short=values[first])
    parts = " and ".join(f"the {name} is {value}" for name, value in values.items())
    return Finding(
        text=f"Of {shown}, {parts}.",
        short=", ".join(values.values()),
        head=("measure", "value"),
        rows=tuple(values.items()),
    )


def _sorted(numbers: list[float], *, down: bool) -> Finding:
    names = [written(one) for one in sorted(numbers, reverse=down)]
    return Finding(
        text=", ".join(names), short=", ".join(names), head=("number",), rows=tuple((one,) for one in names)
    )
