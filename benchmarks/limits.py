"""`limits`: how much of a server's rate limits a batch uses, and how often it is refused, in faster time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from contestants import KEY
from measure import Row, check

if TYPE_CHECKING:
    from collections.abc import Callable

SPEED = 4
"""Seconds of the server and of the limiter in one second."""

REQUESTS, TOKENS = 500, 100_000
FIRST = 100
"""Answers after which nothing may be refused."""

LIMIT = 200
"""The longest answer in tokens; the prompt has more."""

_PROMPT = "Answer in a few words: " + "what do foxes eat, and where do they sleep? " * 25
_START = 1_800_000_000.0


class FastClock:
    """The running loop's time, faster."""

    def time(self) -> float:
        return asyncio.get_running_loop().time() * SPEED

    def call_later(self, delay: float, callback: Callable[[], Any], /) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(delay / SPEED, callback)


def limits(*, quick: bool) -> list[Row]:
    """Measure a batch at the sandbox with rate limits, with OpenAI's headers and Anthropic's."""
    return [
        row
        for provider, model in (("openai", "gpt-6-luna"), ("anthropic", "claude-haiku-5-5"))
        for row in asyncio.run(_job(provider, model, 1000 if quick else 3000))
    ]


async def _job(provider: str, model: str, size: int) -> list[Row]:
    import llmkit
    from llmkit.clients.limiter import limiter_of
    from llmkit.sandbox import SandboxServer

    begin = time.monotonic()
    options: dict[str, Any] = {"requests_per_minute": REQUESTS, "tokens_per_minute": TOKENS}

    def now() -> float:
        return _START + (time.monotonic() - begin) * SPEED

    with SandboxServer(rate=0, first_token=0.05, clock=now, **options) as server:
        async with llmkit.client(f"{provider}:{model}", api_key=KEY, base_url=server.url(provider)) as client:
            limiter_of(client).server.clock = FastClock()
            started = now()
            answers = await llmkit.batch([_PROMPT] * size, client, max_tokens=LIMIT, progress=False)
            minutes = (now() - started) / 60
        statuses = [request.status for request in sorted(server.requests, key=lambda one: one.ended_at)]
    check(sum(isinstance(answer, llmkit.LLMResponse) for answer in answers), size, "The batch")
    prompt = sum(answer.prompt_tokens for answer in answers)
    counted = max(prompt, size * LIMIT) if provider == "openai" else prompt
    # Anthropic counts prompt and answer apart. The buckets are full at first.
    used = max(size / REQUESTS, counted / TOKENS) / (1 + minutes)
    refused = statuses[FIRST:].count(429)
    case = f"{size} rows, {minutes:.1f} min"
    return [
        Row(benchmark="limits", case=case, name=provider, value=100 * (1 - used), unit="% unused", goal=10),
        Row(benchmark="limits", case=case, name=provider, value=refused, unit="refused", goal=0),
    ]
