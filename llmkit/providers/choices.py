"""`effort`, `tier`, `cache` and `api`: one word for what each provider calls by another name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmkit.core import catalog
from llmkit.core.errors import InvalidRequestError
from llmkit.core.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmkit.providers.codec import Request

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""How much a model reasons."""

TIERS = ("standard", "flex", "priority")
"""Service tiers: the usual one, a cheaper and slower one, a faster and dearer one."""

CACHES = ("auto", "off")
"""Whether a prompt that comes again is cached."""

APIS = ("auto", "responses", "chat")
"""Which of OpenAI's two APIs is used."""


class Unchosen(str):
    """A word that nobody chose: it is not part of what was asked."""

    __slots__ = ()


AUTO_CACHE = Unchosen("auto")
"""`cache` of a conversation and of a run with tools, whose prompts come again."""

WORDS = {"effort": EFFORTS, "tier": TIERS, "cache": CACHES, "api": APIS}


def is_chosen(word: str | None) -> bool:
    """Whether somebody chose a word.

    Example:
        >>> is_chosen("auto"), is_chosen(AUTO_CACHE), is_chosen(None)
        (True, False, False)
    """
    return word is not None and not isinstance(word, Unchosen)


def choices_among(extra: dict[str, Any]) -> dict[str, Any]:
    """Take the choices out of the parameters of a call.

    Example:
        >>> choices_among({"effort": "low", "top_p": 0.9})
        {'effort': 'low'}

    Raises:
        InvalidRequestError: If a word is unknown.
    """
    if not extra:
        return {}
    given = {name: extra.pop(name) for name in WORDS if name in extra}
    for name, word in given.items():
        words = WORDS[name]
        if word is not None and word not in words:
            others = f"Use one of {', '.join(words)}."
            raise InvalidRequestError(
                f"{name} is {word!r:.40}, which is none of its words.",
                hint=did_you_mean(str(word), words, others),
            )
    return {name: word for name, word in given.items() if word is not None}


def effort_of(request: Request, provider: str) -> int | str | None:
    """Return the level of effort for a model: a word, or a number of tokens where the catalogue has one.

    Raises:
        InvalidRequestError: If the model has no such level; a model that is not listed may have any.
    """
    effort = request.effort
    known = catalog.providers().get(provider)
    levels = None if known is None else known.effort_levels(request.model)
    if effort is None or levels is None:
        return effort
    if effort in levels:
        return levels[effort]
    hint = (
        f"Use one of {', '.join(levels)}." if levels else "Leave effort out, or choose a model that reasons."
    )
    raise InvalidRequestError(f"{request.model} has no effort {effort!r}.", hint=hint)


def tier_of(request: Request, names: Mapping[str, str]) -> str | None:
    """Return the provider's name of the chosen service tier.

    Raises:
        InvalidRequestError: If the provider has no such tier.
    """
    if request.tier is None:
        return None
    if request.tier not in names:
        raise InvalidRequestError(
            f"The provider of {request.model} has no tier {request.tier!r}.",
            hint=f"Use one of {', '.join(names)}." if names else "Leave tier out.",
        )
    return names[request.tier]


def comes_again(request: Request) -> bool:
    """Whether the beginning of a prompt comes again and may be cached: in a conversation, or with tools."""
    return request.cache == "auto" and (
        bool(request.tools) or any(message.role == "assistant" for message in request.messages)
    )
