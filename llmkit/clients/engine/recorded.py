"""Recording of clients that do not record: any plain subclass of `BaseLLMClient`."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from llmkit.clients.accounting.accounting import accounted, finished
from llmkit.clients.cassettes.playback import replayed
from llmkit.clients.cassettes.request_key import canonical_client_request
from llmkit.clients.engine.call import Call
from llmkit.clients.stream import TextStream
from llmkit.clients.tools.runner import ToolRunner
from llmkit.content.messages import Usage, messages_of
from llmkit.content.schema import in_prompt, schema_of
from llmkit.content.tools import Tool, tools_among
from llmkit.providers.choices import WORDS, choices_among, is_chosen
from llmkit.providers.codec import TEMPERATURE, ContractTemperature, Request
from llmkit.providers.openai_chat import function_tool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from llmkit.clients.accounting.accounting import Source
    from llmkit.clients.base import BaseLLMClient
    from llmkit.content.messages import LLMMessage, LLMResponse
    from llmkit.providers.codec import Codec


logger = logging.getLogger(__name__)


class RecordedClient(ToolRunner):
    """Records the calls of another client."""

    def __init__(self, inner: BaseLLMClient, model: str | None = None) -> None:
        super().__init__(inner.provider_name)
        self.inner = inner
        self.model = model

    def default_model(self) -> str:
        """Return the default model of a call."""
        return self.model or str(getattr(self.inner, "model", None) or self.provider_name)

    @property
    def place(self) -> str:
        """The server, which only the other client knows."""
        return ""

    def __repr__(self) -> str:
        return f"<{type(self.inner).__name__} {self.provider_name}:{self.default_model()}, recorded>"

    async def generate_text(
        self,
        messages: list[LLMMessage],
        model: str | None = None,
        temperature: float = TEMPERATURE,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> LLMResponse:
        """Generate a complete answer; see `ProviderClient.generate_text`."""
        call = self._call(messages, model, temperature, max_tokens, kwargs, stream=False)
        return await finished(call, self._recorded(call))

    def stream_text(
        self,
        messages: list[LLMMessage],
        model: str | None = None,
        temperature: float = TEMPERATURE,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> TextStream:
        """Stream an answer; see `ProviderClient.stream_text`."""
        call = self._call(messages, model, temperature, max_tokens, kwargs, stream=True)
        return TextStream(accounted(call, self._recorded(call)), call)

    def speaks(self, protocol: type[Codec]) -> bool:  # noqa: ARG002 - its parameters are unknown
        """Whether parameters of a protocol can be sent unchanged; see `FallbackClient`."""
        return False

    def take_over(self, call: Call, asked: Request) -> Source:
        """Call this client instead of one that failed; see `FallbackClient`."""
        # What another server refuses says nothing about this client's.
        request = replace(asked, model=self.default_model(), without=frozenset())
        call.fall_back(request, self.provider_name, simulated=False)
        return self._source(call)

    async def close(self) -> None:
        """Close the other client."""
        await self.inner.close()

    def _call(
        self,
        messages: list[LLMMessage],
        model: str | None,
        temperature: float,
        max_tokens: int | None,
        extra: dict[str, Any],
        *,
        stream: bool,
    ) -> Call:
        schema = schema_of(extra.pop("schema", None))
        tools, tool_choice = tools_among(extra)
        request = Request(
            messages=tuple(messages_of(messages)),
            model=model or self.default_model(),
            temperature=temperature,
            max_tokens=max_tokens,
            stream=stream,
            extra=extra,
            schema=schema,
            tools=tools,
            tool_choice=tool_choice,
            **choices_among(extra),
        )
        return Call(request, self.provider_name)

    def _recorded(self, call: Call) -> Source:
        return replayed(call, self._source(call), lambda: canonical_client_request(call))

    def _source(self, call: Call) -> Source:
        request = call.request
        asked = request.messages if request.schema is None else in_prompt(request.messages, request.schema)
        messages, options = list(asked), self._options(request)
        if request.stream:
            return Pieces(call, self.inner.stream_text(messages, **options))

        async def whole() -> AsyncGenerator[str, None]:
            response = await self.inner.generate_text(messages, **options)
            _take_over(call, response)
            yield response.content

        return Pieces(call, whole())

    def _options(self, request: Request) -> dict[str, Any]:
        """Return only the arguments that were set, because the other client has its own defaults."""
        # The default may be only the provider's name, which is not a model: the client then uses its own.
        named = request.model if request.model != self.default_model() or self.model else None
        chosen = None if isinstance(request.temperature, ContractTemperature) else request.temperature
        given: dict[str, Any] = {"model": named, "max_tokens": request.max_tokens, "temperature": chosen}
        if request.tools:  # in the form that most servers know
            tools = [function_tool(one) if isinstance(one, Tool) else one for one in request.tools]
            given["tools"] = tools
        given["tool_choice"] = request.tool_choice
        given |= {name: word for name in WORDS if is_chosen(word := getattr(request, name))}
        return {name: value for name, value in given.items() if value is not None} | dict(request.extra)


class Pieces:
    """A call's text as another client yields it."""

    def __init__(self, call: Call, source: AsyncGenerator[str, None]) -> None:
        self._call = call
        self._source = source
        self._begun = False

    async def next(self) -> list[str] | None:
        """Return the next chunk; `None` at the end."""
        if not self._begun:
            self._begun = True
            # On the first read, because the other client's generator sends nothing before it.
            await self._call.begin()
        with self._call.sending(str, foreign=True):
            piece = await anext(self._source, None)
        return None if piece is None else [piece]

    async def aclose(self) -> None:
        """Close the generator."""
        await self._source.aclose()


def _take_over(call: Call, response: LLMResponse) -> None:
    """Read the other client's metadata about its answer."""
    # A client from another package may fill in only these two counts of the contract.
    tokens = Usage(input_tokens=response.prompt_tokens, output_tokens=response.completion_tokens)
    call.answer.usage = response.usage or tokens
    call.answer.model = response.model
    call.answer.finish_reason = response.finish_reason
    call.answer.parts, call.answer.whole = list(response.raw_parts), response.parts
    call.answer.cost_usd = _usable(response.cost_estimate)


def _usable(usd: float | None) -> float | None:
    """Return a cost that can be recorded: the row of a call must not fail because of its price."""
    if usd is None or (math.isfinite(usd) and usd >= 0):
        return usd
    logger.warning("cost_estimate must be a number of dollars, 0 or more, got %s: it is ignored.", usd)
    return None
