"""Labels, levels and conditions: judged by the words that a text shares with them, without a model.

A prompt describes a question as `llmkit.frames` does: `NAME: QUESTION`, and below it a line for each label,
`- LABEL: DESCRIPTION`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llmkit.sandbox.answers.texts.classifying import by_mood, related
from llmkit.sandbox.answers.texts.lexicon import BAD, GOOD, score

if TYPE_CHECKING:
    from collections.abc import Sequence

_LABEL = re.compile(r"^- ([^:\n]+?)(?:: (.+))?$", re.MULTILINE)
_WORD = re.compile(r"[^\W\d_]{3,}")
_COMMON = re.compile(
    r"the|and|for|are|was|were|has|have|had|not|but|you|your|our|its|his|her|their|this|that|these|those|with"
    r"|from|does|did|can|will|would|there|here|when|where|what|which|who|how|why|all|any|one|only|very|just|too"
    r"|input|holds?|true|false|yes|answer|question|text|message|ask(?:s|ed)?|mention(?:s|ed)?|about|contains?"
    r"|writer|customer"
)
_STRONG = re.compile(
    r"!|\b(?:never|again|still|unacceptable|outrageous|terrible|awful|worst|furious|angry|now|immediately"
    r"|annoying|annoyed|nobody|no one|waiting|useless|ridiculous|disappointed|frustrat\w*)\b",
    re.IGNORECASE,
)
_WAY_OUT = re.compile(r"\b(?:none|other|neither)\b", re.IGNORECASE)
_MOODS = re.compile(
    r"\b(?:(happy|satisfied|positive|pleased|content|praises?|recommend|likes?|good)"
    r"|angry|unhappy|negative|upset|complain\w*|dissatisfied|frustrated|annoyed|bad|furious|rude)\b",
    re.IGNORECASE,
)
_URGENT = re.compile(
    r"\b(?:urgent\w*|asap|immediately|emergency|right now|at once|deadline)\b", re.IGNORECASE
)
_ABOUT = re.compile(r"\b(?:about|topic|related|concern(?:s|ing)?)\b", re.IGNORECASE)
_POOR = BAD | {"low", "negative", "none"}
_MOOD = 1.5
_STEM = 5


@dataclass(frozen=True, slots=True)
class Described:
    """What a prompt says of a question.

    Attributes:
        question: The question.
        labels: Descriptions by label; empty ones if there are none.
    """

    question: str
    labels: dict[str, str]

    @property
    def is_scale(self) -> bool:
        """Whether the labels are levels."""
        return "lowest to the highest" in self.question


def described(name: str, prompt: str) -> Described | None:
    r"""Return what a prompt says of a question; `None` if it is silent about it.

    Example:
        >>> described("team", "team: Who answers? One of:\n- a: money\n- b").labels
        {'a': 'money', 'b': ''}
    """
    found = re.search(rf"^{re.escape(name)}: (.*)\n?((?:- .*\n?)*)", prompt, re.MULTILINE)
    return None if found is None else Described(found[1], dict(_LABEL.findall(found[2])))


def by_words(options: Sequence[Any], text: str, labels: dict[str, str]) -> list[Any]:
    """Return the labels whose words occur in a text, those with most words first.

    Example:
        >>> by_words(["a", "b"], "Charged twice!", {"a": "it crashes", "b": "charges, refunds"})
        ['b']
    """
    there = _stems(text)
    shared = {place: len(there & _stems(f"{one} {labels.get(one, '')}")) for place, one in enumerate(options)}
    mood = None if any(shared.values()) else by_mood([str(one) for one in options], text)
    if mood is not None:
        return [one for one in options if str(one) == mood]
    if not any(shared.values()):
        # Common labels such as "billing" have words of their own, for descriptions that say little.
        shared = {place: len(there & related(str(one))) for place, one in enumerate(options)}
    best = sorted((place for place, count in shared.items() if count), key=lambda place: -shared[place])
    return [options[place] for place in best]


def way_out(options: Sequence[Any]) -> Any:
    """Return the label for what fits none, if there is one; else the first.

    Example:
        >>> way_out(["billing", "none of these"])
        'none of these'
    """
    return next(
        (one for one in options if re.search(r"\b(?:none|other|neither)\b", str(one), re.IGNORECASE)),
        options[0],
    )


def level(levels: Sequence[Any], text: str) -> Any:
    """Return a level by the number of strong words and exclamation marks.

    Example:
        >>> level(["calm", "annoyed", "furious"], "Still broken!")
        'furious'
    """
    if rises := _direction(levels):
        place = max(-_MOOD, min(_MOOD, rises * score(text))) / (2 * _MOOD) + 0.5
        return levels[round(place * (len(levels) - 1))]
    return levels[min(len(_STRONG.findall(text)), len(levels) - 1)]


def _direction(levels: Sequence[Any]) -> int:
    """Return whether levels go from bad to good (1), from good to bad (-1), or measure something else (0)."""
    low, high = (_WORD.findall(str(one).lower()) for one in (levels[0], levels[-1]))
    up = bool(GOOD.intersection(high)) or bool(BAD.intersection(low))
    down = bool(GOOD.intersection(low)) and bool(_POOR.intersection(high))
    return -1 if down else int(up)


def applies(condition: str, text: str) -> bool:
    """Whether a text has a word of a condition, or one that speaks for it.

    Example:
        >>> applies("mentions a refund", "Where are my refunds?")
        True
    """
    if _stems(condition) & _stems(text):
        return True
    if found := _MOODS.search(condition):
        return score(text) > 0 if found[1] else score(text) < 0
    if _URGENT.search(condition):
        return bool(_URGENT.search(text))
    return bool(_ABOUT.search(condition) and _stems(text) & related(condition))


def _stems(text: str) -> frozenset[str]:
    """Return the beginnings of the words that say something."""
    return frozenset(word[:_STEM] for word in _WORD.findall(text.lower()) if not _COMMON.fullmatch(word))
