"""How each sandbox model speaks: lists, length and speed. Prices are in `core/catalog.toml`."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Literal

Style = Literal["sentence", "numbered", "bullets", "detailed"]
Length = Literal["short", "plain", "full"]


@dataclass(frozen=True, slots=True)
class Voice:
    """How a model speaks.

    Attributes:
        lists: The form of a list for which none is asked.
        length: Whether an answer is bare, one with the main thing, or one with all that is known.
        unknown: What it says where it knows nothing.
    """

    lists: Style
    length: Length
    unknown: str


_NEXT = "`%llm key openai` (or `anthropic`, `google`) stores a key, and then a real model answers."
_VOICES = (
    Voice("sentence", "plain", f"The llmkit sandbox cannot answer that, and no model was asked: {_NEXT}"),
    Voice(
        "numbered",
        "short",
        f"Not known here: this is the llmkit sandbox, and no model was asked. {_NEXT}",
    ),
    Voice(
        "bullets",
        "full",
        f"That is beyond the llmkit sandbox's few facts, and no model was asked. {_NEXT}",
    ),
    Voice(
        "detailed",
        "full",
        f"I looked through what the llmkit sandbox knows and found nothing; no model was asked. {_NEXT}",
    ),
)
_MODELS = {
    "sandbox": (0, 1.0),  # a sentence
    "sandbox-mini": (1, 2.0),  # the bare answer, at twice the speed
    "sandbox-thinking": (3, 0.7),  # slower, with details
    "one": (1, 1.0),
    "two": (2, 1.0),
    "three": (3, 1.0),
}
"""Which voice a model has, and the factor of the sandbox's tokens per second."""


def voice(model: str) -> Voice:
    """Return how a model speaks; real names that the sandbox answers for have one of four voices.

    Example:
        >>> voice("sandbox-mini").length
        'short'
    """
    # Unlike hash(), CRC-32 is the same in every process.
    return _VOICES[_MODELS[model][0] if model in _MODELS else zlib.crc32(model.encode()) % len(_VOICES)]


def speed(model: str) -> float:
    """Return the factor of the sandbox's tokens per second for a model.

    Example:
        >>> speed("sandbox-mini")
        2.0
    """
    return _MODELS[model][1] if model in _MODELS else 1.0
