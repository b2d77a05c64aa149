"""`ProviderClient`: encodes, sends, decodes, prices and records calls, for every provider."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from itertools import compress
from typing import TYPE_CHECKING, Any, TypedDict

from llmkit.clients.accounting.accounting import accounted, finished
from llmkit.clients.cassettes.playback import replayed
from llmkit.clients.cassettes.replay import current_mode
from llmkit.clients.cassettes.request_key import canonical_request, place
from llmkit.clients.credentials.access import blame_address
from llmkit.clients.credentials.health import Health, check
from llmkit.clients.engine.attempts import Attempts, Endpoint, warn_refused
from llmkit.clients.engine.call import Call
from llmkit.clients.engine.deadlines import Timeouts, timeouts
from llmkit.clients.engine.response_reader import accepted, read
from llmkit.clients.engine.retry import RetryPolicy
from llmkit.clients.fallback import Fallbacks
from llmkit.clients.local_servers import explain_down
from llmkit.clients.stream import TextStream
from llmkit.clients.tools.runner import ToolRunner
from llmkit.content.links import shown_link
from llmkit.content.messages import LLMMessage, messages_of, shown_to
from llmkit.content.schema import schema_of
from llmkit.content.tokens import TokenCount
from llmkit.content.tools import spread, tools_among
from llmkit.core import catalog, settings
from llmkit.core.errors import ConfigurationError, InvalidRequestError, LLMClientError, LLMTimeoutError
from llmkit.core.redaction import redact_error
from llmkit.hooks import trace_headers
from llmkit.providers.choices import choices_among
from llmkit.providers.codec import TEMPERATURE, Codec, ContractTemperature, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from llmkit.clients.accounting.accounting import Source
    from llmkit.clients.base import BaseLLMClient
    from llmkit.clients.credentials.access import Credentials
    from llmkit.clients.engine.recorded import RecordedClient
    from llmkit.clients.limiter.server import LimitKey
    from llmkit.content.messages import LLMResponse
    from llmkit.transport.base import Transport, WireRequest

LIST_TIMEOUT = 30.0
"""Timeout of listing models, in seconds."""


class Options(TypedDict, total=False):
    """Options of every client; `ProviderClient` describes them."""

    model: str | None
    timeout: float | Timeouts | None
    max_retries: int
    fallback: Sequence[str | BaseLLMClient]


class ProviderClient(ToolRunner):
    """A client with recorded calls; a provider adds a codec and a transport.

    Args:
        provider_name: Name of the provider.
        codec: Its wire format.
        transport: Sends its requests.
        model: Default model; by default the provider's first one in the catalogue.
        timeout: Seconds for a whole call, or `Timeouts`; by default from the settings, or 600 s.
        max_retries: Attempts after the first one.
        fallback: Models to try in this order if this one fails: names as for
            `llmkit.client`, or clients.
        credentials: The keys, with rotation; `None` if the transport has its own.
        simulated: Whether the sandbox answers, or a function that returns it.

    Raises:
        ConfigurationError: If a number is out of range, or a fallback is unknown.
    """

    def __init__(
        self,
        provider_name: str,
        *,
        codec: Codec,
        transport: Transport,
        model: str | None = None,
        timeout: float | Timeouts | None = None,
        max_retries: int = 2,
        fallback: Sequence[str | BaseLLMClient] = (),
        credentials: Credentials | None = None,
        simulated: bool | Callable[[], bool] = False,
    ) -> None:
        super().__init__(provider_name)
        if max_retries < 0:
            raise ConfigurationError(f"max_retries must be >= 0, got {max_retries}.")
        self.model = model
        self._simulated = simulated
        self._refusals: dict[str, frozenset[str]] = {}
        self._fallbacks = [_fallback_client(other) for other in fallback]
        named = [isinstance(other, str) for other in fallback]
        # Only these are closed with this client; a client that was passed belongs to the caller.
        self._made = list(compress(self._fallbacks, named))
        self._endpoint = Endpoint(
            codec=codec,
            transport=transport,
            timeouts=timeouts(timeout),
            retry=RetryPolicy(max_retries=max_retries),
            refused={},
            warned=set(),
            credentials=credentials,
        )

    def __repr__(self) -> str:
        try:
            place = "the sandbox" if self.simulated else shown_link(self.address)
        except LLMClientError:  # a setting names an address that cannot be used; a call says so
            place = "an unusable address"
        model = f":{self.model}" if self.model else ""
        return f"<{type(self).__name__} {self.provider_name}{model} at {place}>"

    async def generate_text(
        self,
        messages: list[LLMMessage],
        model: str | None = None,
        temperature: float = TEMPERATURE,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> LLMResponse:
        """Generate a complete answer; see `BaseLLMClient.generate_text`.

        Args:
            messages: The conversation.
            model: The provider's model name; by default the client's model.
            temperature: Sampling temperature.
            max_tokens: Maximum length of the answer, in tokens.
            **kwargs: `schema`: the required form of a JSON answer (a JSON schema, a
                dataclass, a `TypedDict`, a pydantic model, or `"json"` for any JSON object). It is sent by
                the provider's own mechanism, or in the system prompt if there is none; the answer is still
                text. Other keywords are parameters of the provider.

        Returns:
            The response with its tokens and price.

        Raises:
            InvalidRequestError: If the schema is invalid, or the provider does not support an attachment.
            LLMClientError: If there is no complete answer; the subclass says why.
        """
        call = self._call(messages, model, temperature, max_tokens, kwargs, stream=False)
        return await finished(call, self._source(call))

    def stream_text(
        self,
        messages: list[LLMMessage],
        model: str | None = None,
        temperature: float = TEMPERATURE,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> TextStream:
        """Stream an answer; see `BaseLLMClient.stream_text`.

        Args:
            messages: The conversation.
            model: The provider's model name; by default the client's model.
            temperature: Sampling temperature.
            max_tokens: Maximum length of the answer, in tokens.
            **kwargs: As for `generate_text`, including `schema`.

        Returns:
            A stream that also has `.response`, `.usage` and `.finish_reason`.
        """
        call = self._call(messages, model, temperature, max_tokens, kwargs, stream=True)
        return TextStream(accounted(call, self._source(call)), call)

    @property
    def endpoint(self) -> Endpoint:
        """What sends the requests."""
        return self._endpoint

    def request(
        self,
        messages: list[LLMMessage],
        model: str | None = None,
        temperature: float = TEMPERATURE,
        max_tokens: int | None = None,
        **kwargs: Any,
    ) -> Request:
        """Check the arguments of `generate_text` and return the request that it would send.

        Raises:
            InvalidRequestError: If an argument is invalid.
        """
        return self._call(messages, model, temperature, max_tokens, kwargs, stream=False).request

    def speaks(self, protocol: type[Codec]) -> bool:
        """Whether parameters of a protocol can be sent unchanged; see `FallbackClient`."""
        return isinstance(self._endpoint.codec, protocol)

    def take_over(self, call: Call, asked: Request) -> Source:
        """Call this client's model instead of one that failed; see `FallbackClient`."""
        model = self.default_model()
        messages = tuple(shown_to(asked.messages, self.provider_name))
        request = replace(asked, messages=messages, model=model, without=self._refused(model))
        warn_refused(self._endpoint, request, self._endpoint.codec.dropped(request))
        call.fall_back(request, self.provider_name, simulated=self.simulated)
        return Attempts(self._endpoint, call)

    async def list_models(self) -> list[str]:
        """List the provider's models, with a free call.

        Returns:
            The names, in the provider's order.

        Raises:
            LLMClientError: If the key is rejected or the provider is not available.
        """
        return (await self._listed())[0]

    async def _listed(self) -> tuple[list[str], Mapping[str, str]]:
        """Return the provider's models and the response headers."""
        codec, name = self._endpoint.codec, self.provider_name
        unlisted = f"If {name} has no list of models, name the model: {name}:MODEL. Otherwise: "
        body, headers = await self._free(codec.models_request(), "list its models", unlisted)
        return codec.decode_models(body), headers

    async def count_tokens(
        self, messages: list[LLMMessage] | str, model: str | None = None, tools: Iterable[Any] = ()
    ) -> TokenCount:
        """Count the tokens of a prompt; see `ToolRunner.count_tokens`. Replay alone never asks a provider."""
        options: dict[str, Any] = {"tools": spread(tools)} if tools else {}
        request = self._call(messages_of(messages), model, TEMPERATURE, None, options, stream=False).request
        codec = self._endpoint.codec.chosen(request)
        wire = None if current_mode() == "only" else codec.count_request(request)
        if wire is not None:
            try:
                body, _ = await self._free(wire, "count the tokens")
                return TokenCount(codec.decode_count(body), exact=True)
            except LLMClientError as error:
                if error.status_code not in {404, 405, 501}:  # a server without the endpoint
                    raise
        return await super().count_tokens(list(request.messages), request.model, request.tools)

    async def _free(
        self, request: WireRequest, task: str, unknown: str = ""
    ) -> tuple[bytes, Mapping[str, str]]:
        """Send a request that costs nothing; return the body of its answer, and the headers."""
        endpoint = self._endpoint
        request.headers = {**(request.headers or {}), **trace_headers()} or None
        try:
            async with asyncio.timeout(LIST_TIMEOUT):
                response = await accepted(await endpoint.transport.send(request), endpoint.codec)
                return await read(response), response.headers
        except TimeoutError as error:
            raise LLMTimeoutError(f"{endpoint.transport.address} did not {task} in time.") from error
        except LLMClientError as error:
            # A provider's answer to a wrong key may repeat the key.
            redact_error(error)
            blame_address(error, endpoint.transport.address, unknown)
            explain_down(error, self.provider_name, endpoint.transport.address)
            error.provider = error.provider or self.provider_name
            raise

    def load(self) -> None:
        """Import what the first call needs, so that it starts faster. Nothing is sent.

        Raises:
            AuthenticationError: If there is no key.
        """
        self._endpoint.transport.load()
        if self._endpoint.credentials is not None:
            self._endpoint.credentials.current()

    async def health_check(self) -> Health:
        """Check whether the provider answers and how fast, with a free call.

        Returns:
            The result, true if it answers; failures are returned, not raised.
        """
        return await check(self.provider_name, self._listed)

    async def close(self) -> None:
        """Close the connections of the running event loop; the client can be used again.

        Fallbacks that were passed by name are closed, too.
        """
        await self._endpoint.transport.aclose()
        for client in self._made:
            await client.close()

    @property
    def address(self) -> str:
        """The API's base URL."""
        return self._endpoint.transport.address

    @property
    def simulated(self) -> bool:
        """Whether the sandbox answers."""
        return self._simulated() if callable(self._simulated) else self._simulated

    def limit_key(self, model: str | None = None) -> LimitKey:
        """Return whose rate limits apply to requests of this client.

        Args:
            model: The provider's model name; by default the client's model.

        Returns:
            The server, a digest of the key, and the model.
        """
        credentials = self._endpoint.credentials
        key = None
        with suppress(LLMClientError):  # without a key; the call says so
            key = None if credentials is None else credentials.current()
        return self._endpoint.limit_key(self._plain(model or self.default_model()), key)

    def temperature_of(self, request: Request) -> float | None:
        """Return the temperature that is sent with a request.

        Args:
            request: The request.

        Returns:
            The number; `None` if the provider's default applies.
        """
        # Only the parameters matter here, and encoding large attachments takes time.
        bare = replace(request, messages=(LLMMessage(role="user", content="-"),))
        codec = self._endpoint.codec
        sent: float | None = codec.parameters(codec.encode(bare).body or {}).get("temperature")
        return sent

    @property
    def place(self) -> str:
        """The server, as far as it affects answers; the sandbox is one of its own."""
        return place(self.address, simulated=self.simulated)

    def default_model(self) -> str:
        """Return the default model of a call.

        Raises:
            ConfigurationError: If neither the client nor the catalogue has one.
        """
        if self.model is not None:
            return self.model
        known = catalog.providers().get(self.provider_name)
        if known is None or not known.models:
            raise ConfigurationError(
                f"No model given for {self.provider_name}.",
                hint=f'Pass model="…", or use llmkit.client("{self.provider_name}:…").',
            )
        return known.models[0]

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
        """Check the arguments and create the call."""
        defaults = settings.load()
        model = self._plain(model or self.default_model())
        # This type is the default argument, so nobody chose a temperature and the settings decide.
        if isinstance(temperature, ContractTemperature) and defaults.temperature is not None:
            temperature = defaults.temperature
        # This and functions as tools are ours, not the provider's.
        schema = schema_of(extra.pop("schema", None))
        tools, tool_choice = tools_among(extra)
        request = Request(
            messages=tuple(shown_to(_checked(messages), self.provider_name)),
            model=model,
            temperature=temperature,
            max_tokens=defaults.max_tokens if max_tokens is None else max_tokens,
            stream=stream,
            extra=extra,
            without=self._refused(model),
            schema=schema,
            tools=tools,
            tool_choice=tool_choice,
            **choices_among(extra),
        )
        if request.without and (dropped := self._endpoint.codec.dropped(request)):
            warn_refused(self._endpoint, request, dropped)
        return Call(request, self.provider_name, simulated=self.simulated)

    def _plain(self, model: str) -> str:
        """Return a model's name without meaningless prefixes, as in prices and the ledger."""
        known = catalog.providers().get(self.provider_name)
        return model if known is None else known.plain(model)

    def _refused(self, model: str) -> frozenset[str]:
        """Return the parameters that a model is known to refuse."""
        endpoint, known = self._endpoint, self._refusals.get(model)
        if known is None:
            provider = catalog.providers().get(self.provider_name)
            known = self._refusals[model] = frozenset() if provider is None else provider.refused(model)
        return known | endpoint.refused.get(endpoint.there(model), frozenset()) if endpoint.refused else known

    def _source(self, call: Call) -> Source:
        endpoint = self._endpoint
        source: Source = Attempts(endpoint, call)
        if self._fallbacks:
            source = Fallbacks(call, source, self._fallbacks, type(endpoint.codec))
        if current_mode(settings.recent()) == "off":
            return source
        return replayed(
            call, source, lambda: canonical_request(endpoint.codec, endpoint.transport.address, call)
        )


def _fallback_client(other: str | BaseLLMClient) -> ProviderClient | RecordedClient:
    from llmkit.clients.registry import client, recorded  # it creates clients, so it imports this module

    return client(other) if isinstance(other, str) else recorded(other)


def _checked(messages: list[LLMMessage] | str) -> tuple[LLMMessage, ...]:
    messages = messages_of(messages)
    if not messages:
        raise InvalidRequestError("No messages to send.", hint="Pass at least one user message.")
    for message in messages:
        if not isinstance(message, LLMMessage):
            raise InvalidRequestError(
                f"A message must be an LLMMessage, got {type(message).__name__}.",
                hint='Use LLMMessage(role="user", content="…").',
            )
    return tuple(messages)
