"""Upper bound of a request's cost, before it is sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from llmkit.content import tokens
from llmkit.content.schema import instruction
from llmkit.content.tools import described
from llmkit.content.usage_bound import UsageBound
from llmkit.core import catalog
from llmkit.prices import worst_case
from llmkit.prices.rates import MODALITIES
from llmkit.providers.formats import codec_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from llmkit.providers.codec import Codec, Request


PER_REQUEST = 32
"""Maximum number of tokens that the message format adds to a prompt."""

PER_TOOLS = 1024
"""Maximum tokens of the system prompt that a provider adds to a request with tools or a schema (Anthropic
documents up to 804)."""


class CostBound(NamedTuple):
    """Maximum usage of one request.

    Attributes:
        nanos: Its price in nano-dollars; `None` if the model's price is unknown.
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of all answers, reasoning included.
    """

    nanos: int | None
    input_tokens: int
    output_tokens: int


def cost_bound(
    request: Request, provider: str, *, when: datetime | None = None, tier: str | None = None
) -> CostBound:
    """Return the maximum usage of one request.

    Input and output count as the most expensive kind of token that they may have: images, audio, reasoning.
    The bound leaves out what is unknown in advance: tokens that the provider adds, such as search results,
    and searches, unless the request limits their number (`max_uses`). `tier` is the service tier where it
    is certain, as in a batch.

    Example:
        >>> from llmkit.providers.codec import Request
        >>> from llmkit.content.messages import LLMMessage
        >>> hello = (LLMMessage(role="user", content="Hello"),)
        >>> cost_bound(Request(messages=hello, model="gpt-4o-mini", max_tokens=100), "openai")
        CostBound(nanos=67650, input_tokens=51, output_tokens=100)
    """
    most = usage_bound(request, provider)
    if tier is not None:
        most = most._replace(tiers=(tier,))
    nanos = worst_case.nanos(provider, request.model, most, when)
    return CostBound(nanos, most.input_tokens, most.output_tokens)


def usage_bound(
    request: Request, provider: str, count: Callable[[str], int] = tokens.upper_bound
) -> UsageBound:
    """Return the most that one request can use.

    Args:
        request: The request.
        provider: Its provider.
        count: Function that returns the most tokens of a text; `tokens.size` is faster but less close.

    Returns:
        The bound, for `worst_case.nanos`.
    """
    codec = codec_of(provider)
    # Parameters may contain tools and schemas, which count as input.
    extra = _written(request) if request.extra else ""
    if request.tools:
        extra += described(request.tools)
    before = _input(request, codec, extra, count)
    # Anthropic caches only marked parts; other providers cache automatically.
    marked = "cache_control" in extra
    cached = marked or request.cache == "auto" or codec.caches_unasked
    if not (extra or request.tier):  # the common case, and every call asks
        return UsageBound(before, _output(request, codec), tuple(_input_kinds(request)), cached=cached)
    # The limit applies to each choice, not to their sum.
    after = _output(request, codec) * max([1, *_numbers(request.extra, codec.choice_parameters, codec)])
    return UsageBound(
        input_tokens=before,
        output_tokens=after,
        input_kinds=tuple(_input_kinds(request)),
        searches=_searches(request),
        in_the_us=request.extra.get("inference_geo") == "us",
        tiers=_tiers(request, codec),
        cached=cached,
        cached_1h=marked,
    )


def _input(request: Request, codec: type[Codec], extra: str, count: Callable[[str], int]) -> int:
    """Return the most tokens of a prompt, with its schema, its tools and its further parameters."""
    most = tokens.upper_bound_prompt(request.messages, codec.image_tokens, request.model, count)
    most += PER_REQUEST
    if extra:
        most += count(extra)
    if request.schema is not None:
        most += count(instruction(request.schema)) + PER_TOOLS
    if request.tools or "tools" in extra:
        most += PER_TOOLS
    return most


def _output(request: Request, codec: type[Codec]) -> int:
    """Return the output limit of one answer: the request's, the wire format's or the model's."""
    given = [request.max_tokens] if request.max_tokens else []
    if request.extra:
        given += _numbers(request.extra, codec.limit_parameters - request.without, codec)
    if not codec.sends_limit(request):
        given = []
    return max(given, default=codec.most_output(request) or catalog.output_limit(request.model))


def _numbers(extra: Any, names: frozenset[str], codec: type[Codec]) -> list[int]:
    """Return the values of numeric parameters, including nested ones."""
    return [int(value) for name, value in _parameters(extra, codec) if name in names and _is_count(value)]


def _parameters(extra: Any, codec: type[Codec]) -> Iterator[tuple[str, Any]]:
    for name, value in extra.items():
        if name in codec.nested_parameters and isinstance(value, dict):
            yield from _parameters(value, codec)
        else:
            yield name, value


def _is_count(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _input_kinds(request: Request) -> list[str]:
    """Return the kinds of tokens with their own price that the prompt may have."""
    attached = [one for message in request.messages if message.attachments for one in message.attachments]
    if not (attached or request.extra):
        return []
    # Parameters name a modality in many ways; a false match only raises the bound.
    sent = _written(request).lower() if request.extra else ""
    pictures = any(one.kind != "text" for one in attached)
    there = {"audio": "audio" in sent, "video": "video" in sent, "image": pictures or "image" in sent}
    return [f"input_{kind}_tokens" for kind in MODALITIES if there[kind]]


def _searches(request: Request) -> int:
    """Return how many searches a request allows, if it says so."""
    tools = request.extra.get("tools")
    listed = [*(tools if isinstance(tools, list) else ()), *request.tools]
    limits: list[Any] = [tool.get("max_uses") for tool in listed if isinstance(tool, dict)]
    return sum(limit for limit in limits if _is_count(limit) and isinstance(limit, int))


def _tiers(request: Request, codec: type[Codec]) -> tuple[str | None, ...]:
    """Return the service tiers that may answer: the requested one, or the default one."""
    parameters = _parameters(request.extra, codec)
    asked = (value for name, value in parameters if name in codec.tier_parameters)
    named = [tier for tier in (*asked, codec.tiers.get(request.tier or "")) if isinstance(tier, str)]
    # A provider may answer in the default tier although another was requested.
    return tuple(dict.fromkeys((None, *named)))


def _written(request: Request) -> str:
    """Return a request's further parameters as text; what JSON cannot say is refused when it is encoded."""
    try:
        return json.dumps(dict(request.extra), default=str, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return str(dict(request.extra))
