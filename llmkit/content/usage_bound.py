"""The most that a request can use: what its price depends on, without any of its text."""

from __future__ import annotations

from typing import NamedTuple


class UsageBound(NamedTuple):
    """The most that one request can use.

    Attributes:
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens of all answers, reasoning included.
        input_kinds: Kinds of tokens with their own price that the prompt may have, e.g. `input_image_tokens`.
        searches: Number of searches that the request allows, if it says so.
        in_the_us: Whether inference is restricted to the USA.
        tiers: Service tiers that may answer; `None` is the default one.
        cached: Whether the prompt may be written to a cache.
        cached_1h: Whether it may be written to a cache for an hour.
    """

    input_tokens: int
    output_tokens: int
    input_kinds: tuple[str, ...] = ()
    searches: int = 0
    in_the_us: bool = False
    tiers: tuple[str | None, ...] = (None,)
    cached: bool = False
    cached_1h: bool = False
