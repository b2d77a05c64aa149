"""A server with rate limits in the time of the running loop, behind a client's transport."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from llmkit.clients.credentials.access import Credentials
from llmkit.clients.engine.engine import ProviderClient
from llmkit.providers.anthropic import AnthropicCodec
from llmkit.providers.google import GoogleCodec
from llmkit.providers.openai_chat import OpenAICodec
from llmkit.sandbox.dialects import rate_headers
from llmkit.sandbox.dialects.dialect import RefusedError
from llmkit.sandbox.rate_limits import Limits, RateLimiter

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from llmkit.transport.base import WireRequest

START = 1_800_000_000.0
CODECS = {"openai": OpenAICodec, "anthropic": AnthropicCodec, "google": GoogleCodec}


class LoopTime:
    """The sandbox's clock, in the running loop's time."""

    def now(self) -> float:
        return START + asyncio.get_running_loop().time()


class Tokens(NamedTuple):
    """What one request needs."""

    prompt: int
    answer: int


class LimitedServer:
    """Counts answers and refusals, and takes some time for an answer.

    Attributes:
        seconds: Shortest and longest time for an answer.
        sent: Times of requests; `refused` and `answered` are those of their ends.
        used: What was counted, by unit.
        lying: Headers that replace the true ones.
        explains: Whether a refusal has details, as Google's have.
    """

    address = "http://limited.invalid/v1"

    def __init__(self, dialect: str, *, seconds: tuple[float, float] = (0.5, 4.0), **limits: int) -> None:
        self.dialect = dialect
        self.seconds = seconds
        self._limits = Limits(**limits)
        self.limits = RateLimiter(self._limits, LoopTime())
        self.sent: list[float] = []
        self.refused: list[float] = []
        self.answered: list[float] = []
        self.used: Counter[str] = Counter()
        self.sizes = random.Random(14)
        self.lying: Mapping[str, str] = {}
        self.explains = True

    def client(self, **options: Any) -> ProviderClient:
        """Return a client of this server."""
        credentials = Credentials(self.dialect, "a-made-up-key")
        codec = CODECS[self.dialect]()
        return ProviderClient(
            self.dialect, codec=codec, transport=self, credentials=credentials, model="m", **options
        )

    @property
    def sizes_of_limits(self) -> dict[str, int]:
        """What a minute allows, by unit."""
        return {unit: limit for unit in self.used if (limit := self._limits.of(unit))}

    def load(self) -> None: ...

    async def aclose(self) -> None: ...

    async def send(self, request: WireRequest) -> Response:
        needs = self._needs(request.body)
        self.sent.append(LoopTime().now() - START)
        try:
            metered = self._metered(request.body, needs)
            if breach := self.limits.take((), metered):
                raise self._limited(breach)
        except RefusedError as refused:
            self.refused.append(LoopTime().now() - START)
            details = list(refused.details or ()) if self.explains else []
            body = {"error": {"message": "Rate limit", "details": details}}
            return Response(429, {**refused.headers, **self._headers(metered)}, body)
        self.used.update(metered)
        await asyncio.sleep(self.sizes.uniform(*self.seconds))
        if self.dialect == "anthropic":
            self.limits.charge((), {"output-tokens": needs.answer})
            self.used["output-tokens"] += needs.answer
        self.answered.append(LoopTime().now() - START)
        return Response(200, self._headers(metered), self._body(needs))

    def _needs(self, body: Any) -> Tokens:
        return Tokens(len(orjson.dumps(body)) // 4, self.sizes.randrange(20, 300))

    def _metered(self, body: Any, needs: Tokens) -> dict[str, int]:
        if self.dialect == "anthropic":
            return {"requests": 1, "input-tokens": needs.prompt, "output-tokens": 0}
        if self.dialect == "google":
            return {"requests": 1, "tokens": needs.prompt}
        most = body.get("max_tokens") or body.get("max_completion_tokens") or 0
        return {"requests": 1, "tokens": max(needs.prompt, most)}

    def _limited(self, breach: Any) -> RefusedError:
        if self.dialect == "openai":
            return rate_headers.openai_limited("m", breach)
        if self.dialect == "anthropic":
            return rate_headers.anthropic_limited(breach)
        return rate_headers.google_limited("m", breach)

    def _headers(self, metered: Mapping[str, int]) -> dict[str, str]:
        levels = self.limits.levels((), metered)
        found = {"date": formatdate(LoopTime().now(), usegmt=True)}
        if self.dialect == "openai":
            found |= rate_headers.openai_headers(levels)
        if self.dialect == "anthropic":
            found |= rate_headers.anthropic_headers(levels)
        return {**found, **self.lying}

    def _body(self, needs: Tokens) -> Any:
        if self.dialect == "anthropic":
            usage = {"input_tokens": needs.prompt, "output_tokens": needs.answer}
            content = [{"type": "text", "text": "Yes."}]
            return {"type": "message", "content": content, "stop_reason": "end_turn", "usage": usage}
        if self.dialect == "google":
            usage = {"promptTokenCount": needs.prompt, "candidatesTokenCount": needs.answer}
            candidate = {"content": {"parts": [{"text": "Yes."}]}, "finishReason": "STOP"}
            return {"candidates": [candidate], "usageMetadata": usage}
        usage = {"prompt_tokens": needs.prompt, "completion_tokens": needs.answer}
        choice = {"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop", "index": 0}
        return {"choices": [choice], "usage": usage}


class Response:
    """A response whose body has arrived."""

    cause = None

    def __init__(self, status: int, headers: Mapping[str, str], body: Any) -> None:
        self.status = status
        self.headers = headers
        self._body = orjson.dumps(body)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        yield self._body

    async def aclose(self) -> None: ...
