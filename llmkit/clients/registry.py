"""Clients by name: `"provider:model"`, aliases, bare names, registered providers."""

from __future__ import annotations

import os
import threading
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from llmkit.clients.codec_client import CodecClient
from llmkit.clients.compatible import CompatibleClient
from llmkit.clients.credentials.keys import keys
from llmkit.clients.engine.engine import ProviderClient
from llmkit.clients.engine.recorded import RecordedClient
from llmkit.core import catalog, naming, settings
from llmkit.core.errors import ConfigurationError
from llmkit.core.naming import (
    ENTRY_POINTS,
    ModelName,
    aliases,
    model_names,
    provider_names,
    session_aliases,
    unknown_name,
)
from llmkit.core.redaction import redact, redact_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.clients.base import BaseLLMClient

__all__ = [
    "ModelName",
    "aliases",
    "client",
    "model_names",
    "provider_names",
    "recorded",
    "register",
    "resolve",
    "session_aliases",
    "shared_client",
    "unknown_name",
]

_shared: dict[tuple[int, str, tuple[str, ...]], ProviderClient | RecordedClient] = {}
_lock = threading.Lock()


def client(name: str | None = None, **options: Any) -> ProviderClient | RecordedClient:
    """Return a new client for a model name.

    Args:
        name: `"provider:model"`, a provider, an alias, or an unambiguous model name; by default
            the model of `%llm model`, then that in the settings, then the first provider with a key, then
            the sandbox.
        **options: Arguments of the client's class, such as `api_key`, `base_url`, `timeout`,
            `max_retries`, `fallback` or `client`.

    Returns:
        The client. Its calls are recorded, even if its class comes from another package.

    Raises:
        ConfigurationError: If the name is unknown; the message suggests similar ones.

    Example:
        >>> client("ollama:llama3.3").provider_name
        'ollama'
    """
    found = resolve(name)
    # An unknown name with an address is a compatible server.
    if options.get("base_url") and not naming.is_provider(found.provider):
        return CompatibleClient(found.provider, model=found.model, **options)
    factory = _factory(found.provider)
    if found.model is not None:
        options["model"] = found.model
    made = recorded(_make(factory, found, options), model=found.model)
    if isinstance(made, ProviderClient):
        made.model = found.model or made.model
    return made


def shared_client(name: str | None = None, fallback: tuple[str, ...] = ()) -> ProviderClient | RecordedClient:
    """Return the process's shared client for a name, for magics and batches."""
    found = resolve(name)
    key = (os.getpid(), str(found), fallback)  # a forked child must not share its parent's connections
    with _lock:
        if key not in _shared:
            _shared[key] = client(str(found), **({"fallback": fallback} if fallback else {}))
        return _shared[key]


def register(name: str, factory: Callable[..., BaseLLMClient]) -> None:
    """Register your own client under a name.

    Args:
        name: The part of model names before the colon.
        factory: A subclass of `BaseLLMClient`, or a function that returns one.

    Raises:
        ConfigurationError: If the name contains a colon or space.

    Example:
        ```python
        llmkit.register("mine", MyClient)
        reply = await llmkit.client("mine:large").generate_text(messages)
        ```
    """
    if not name or ":" in name or name.split() != [name]:
        raise ConfigurationError(f"{name!r} is not a valid provider name: use one word without a colon.")
    naming.registered[name] = factory
    with _lock:  # clients of other providers are kept with their connections
        for key in [key for key in _shared if ModelName.of(key[1]).provider == name]:
            del _shared[key]


def recorded(client: BaseLLMClient, model: str | None = None) -> ProviderClient | RecordedClient:
    """Return a client whose calls are recorded: the same one, or a wrapper if its class does not record."""
    if isinstance(client, (ProviderClient, RecordedClient)):
        return client
    return RecordedClient(client, model=model)


def resolve(name: str | None = None) -> ModelName:
    """Resolve a name to a provider and a model.

    Example:
        >>> str(resolve("claude-haiku-5-5"))
        'anthropic:claude-haiku-5-5'
    """
    try:
        return naming.resolve(name or _session_model() or settings.load().model or _first_with_key())
    except ConfigurationError as error:
        redact_error(error)  # the name may be a key by mistake
        raise


def _session_model() -> str:
    """Return the default model of the session: the first, if it names several to compare."""
    return naming.session_model.partition(",")[0]


def _first_with_key() -> str:
    for name in ("openai", "anthropic", "google"):
        if keys.find(name) is not None:
            return name
    return "sandbox"


def _factory(provider: str) -> Callable[..., BaseLLMClient]:
    if provider in naming.registered:
        return naming.registered[provider]
    if (known := catalog.providers().get(provider)) is not None:
        factory: Callable[..., BaseLLMClient] = catalog.load(provider, "client", known.client)
        return factory
    # Last, because it reads the metadata of all installed packages.
    for point in entry_points(group=ENTRY_POINTS, name=provider):
        loaded: Callable[..., BaseLLMClient] = point.load()
        return loaded
    raise unknown_name(redact(provider))


def _make(factory: Callable[..., BaseLLMClient], found: ModelName, options: dict[str, Any]) -> BaseLLMClient:
    """Call a client's class with the arguments that it accepts, which may not include `model`."""
    if factory is CompatibleClient or factory is CodecClient:
        return factory(found.provider, **options)
    # Our own classes accept every option; a TypeError there is a bug and keeps its traceback.
    if found.provider in catalog.providers() and found.provider not in naming.registered:
        return factory(**options)
    options.pop("model", None)
    try:
        return factory(**options)
    except TypeError as error:
        raise ConfigurationError(
            f"Cannot create {found.provider} with {sorted(options)}: {error}."
        ) from error
