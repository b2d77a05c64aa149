"""From a name to a client: `"provider:model"`, aliases, bare names, other people's providers."""

from __future__ import annotations

import difflib
import importlib
import os
import threading
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from llmkit import catalog, settings
from llmkit.clients.compatible import CompatibleClient
from llmkit.clients.engine import ProviderClient
from llmkit.clients.keys import keys
from llmkit.clients.metered import MeteredClient
from llmkit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmkit.clients.base import BaseLLMClient

ENTRY_POINTS = "llmkit.clients"
"""Group in which another package announces its clients, by provider name."""

session_aliases: dict[str, str] = {}
"""Short names of models for this session alone; they win over those of the settings."""

_registered: dict[str, Callable[..., BaseLLMClient]] = {}
_shared: dict[tuple[int, str, tuple[str, ...]], ProviderClient | MeteredClient] = {}
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class ModelName:
    """A name that was resolved.

    Attributes:
        provider: Name of the provider.
        model: The provider's name of the model; `None` for its default.
    """

    provider: str
    model: str | None

    @classmethod
    def of(cls, name: str) -> ModelName:
        """Take a resolved name apart: the inverse of `str`."""
        provider, colon, model = name.partition(":")
        return cls(provider, model if colon else None)

    def __str__(self) -> str:
        return self.provider if self.model is None else f"{self.provider}:{self.model}"


def client(name: str | None = None, **options: Any) -> ProviderClient | MeteredClient:
    """Return a new client by name.

    Args:
        name: `"provider:model"`, a provider, an alias, or a model whose provider is clear; by default
            the settings' model, or the first provider that has a key, or the sandbox.
        **options: Arguments of the client's class, such as `api_key`, `base_url`, `timeout`,
            `max_retries`, `fallback` or `client`.

    Returns:
        The client; its calls are recorded, also those of another package's plain class.

    Raises:
        ConfigurationError: If the name is not known; the message lists the nearest ones.

    Example:
        >>> client("ollama:llama3.3").provider_name
        'ollama'
    """
    found = resolve(name)
    if options.get("base_url") and not _is_provider(found.provider):
        return CompatibleClient(found.provider, model=found.model, **options)
    factory = _factory(found.provider)
    if found.model is not None:
        options["model"] = found.model
    return metered(_make(factory, found, options), model=found.model)


def shared_client(name: str | None = None, fallback: tuple[str, ...] = ()) -> ProviderClient | MeteredClient:
    """Return the process's one client for a name, as magics and batches use it.

    Args:
        name: As for `client`.
        fallback: Names of the models that stand in for it.

    Raises:
        ConfigurationError: If the name is not known.
    """
    found = resolve(name)
    key = (os.getpid(), str(found), fallback)  # a fork must not share its parent's connections
    with _lock:
        if key not in _shared:
            _shared[key] = client(str(found), **({"fallback": fallback} if fallback else {}))
        return _shared[key]


def register(name: str, factory: Callable[..., BaseLLMClient]) -> None:
    """Make a client of your own known by a name.

    Args:
        name: What stands before the colon.
        factory: A subclass of `BaseLLMClient`, or a function that returns one.

    Raises:
        ConfigurationError: If the name has a colon or blank in it.

    Example:
        ```python
        llmkit.register("mine", MyClient)
        reply = await llmkit.client("mine:large").generate_text(messages)
        ```
    """
    if not name or ":" in name or name.split() != [name]:
        raise ConfigurationError(
            f"{name!r} cannot be a provider's name: one word without a colon is expected."
        )
    _registered[name] = factory
    with _lock:  # clients of other providers stay: they have connections
        for key in [key for key in _shared if ModelName.of(key[1]).provider == name]:
            del _shared[key]


def metered(client: BaseLLMClient, model: str | None = None) -> ProviderClient | MeteredClient:
    """Return a client whose calls are recorded: the same one, or a plain one adapted.

    Args:
        client: Any client.
        model: Model to use where a call names none.
    """
    if isinstance(client, (ProviderClient, MeteredClient)):
        return client
    return MeteredClient(client, model=model)


def resolve(name: str | None = None) -> ModelName:
    """Find out which provider and model a name means.

    Args:
        name: As for `client`.

    Raises:
        ConfigurationError: If it is not known, or belongs to several providers.

    Example:
        >>> str(resolve("claude-haiku-5-5"))
        'anthropic:claude-haiku-5-5'
    """
    name = (name or settings.load().model or _first_with_key()).strip()
    name = _follow(name, aliases())
    provider, colon, model = name.partition(":")
    if colon and provider and model:
        known = catalog.providers().get(provider)
        return ModelName(provider, model if known is None else known.plain(model))
    if _is_provider(name):
        return ModelName(name, None)
    return ModelName(_owner(name), name)


def provider_names() -> list[str]:
    """Return the names of all providers: llmkit's, registered ones, other packages'."""
    plugins = [point.name for point in entry_points(group=ENTRY_POINTS)]
    return list(dict.fromkeys([*_registered, *catalog.providers(), *plugins]))


def _is_provider(name: str) -> bool:
    """Whether a provider has this name; other packages are asked only for names that are not ours."""
    ours = name in _registered or name in catalog.providers()
    return ours or bool(entry_points(group=ENTRY_POINTS, name=name))


def model_names() -> list[str]:
    """Return what `resolve` knows by name: aliases and the catalogue's models with their providers."""
    listed = [f"{p.name}:{model}" for p in catalog.providers().values() for model in p.models]
    return [*aliases(), *provider_names(), *listed]


def aliases() -> dict[str, str]:
    """Return what each short name stands for: llmkit's own, the settings', this session's.

    Example:
        >>> aliases()["sonnet"].partition(":")[0]
        'anthropic'
    """
    return {**catalog.aliases(), **settings.load().aliases, **session_aliases}


def _follow(name: str, short: Mapping[str, str]) -> str:
    """Return what a name stands for: an alias may stand for another one."""
    passed = [name]
    while (target := short.get(passed[-1])) is not None:
        if target in passed:
            raise ConfigurationError(
                f"The alias {name!r} leads back to itself: {' → '.join([*passed, target])}.",
                hint=f"Let it stand for a model: %llm alias {name}=openai:gpt-6-luna.",
            )
        passed.append(target)
    return passed[-1]


def unknown_name(name: str) -> ConfigurationError:
    """Return the error for a name that is not known, with the nearest ones."""
    bare = {n.partition(":")[2] or n: n for n in model_names()}
    near = difflib.get_close_matches(name, [*bare, *model_names()], n=3, cutoff=0.5)
    hint = (
        f"Did you mean {', '.join(dict.fromkeys(bare.get(n, n) for n in near))}?"
        if near
        else "See %llm models."
    )
    return ConfigurationError(f"No model or provider is called {name!r}.", hint=hint)


def _owner(model: str) -> str:
    """Return the one provider of a bare model name."""
    owners = _owners(model)
    if not owners:
        raise unknown_name(model)
    if len(owners) > 1:
        choices = ", ".join(f"{owner}:{model}" for owner in owners)
        raise ConfigurationError(f"{model!r} is ambiguous.", hint=f"Write one of: {choices}.")
    return owners[0]


def _owners(model: str) -> list[str]:
    """Return the providers of a bare model name: those that list it, else those whose names begin so."""
    known = catalog.providers().values()
    main = [p.name for p in known if model in p.models and p.name != "google-legacy"]
    return main or [p.name for p in known if any(model.startswith(prefix) for prefix in p.prefixes)]


def _first_with_key() -> str:
    for name in ("openai", "anthropic", "google"):
        if keys.find(name) is not None:
            return name
    return "sandbox"


def _factory(provider: str) -> Callable[..., BaseLLMClient]:
    if provider in _registered:
        return _registered[provider]
    if (known := catalog.providers().get(provider)) is not None:
        module, _, attribute = known.client.partition(":")
        factory: Callable[..., BaseLLMClient] = getattr(importlib.import_module(module), attribute)
        return factory
    for point in entry_points(group=ENTRY_POINTS, name=provider):
        loaded: Callable[..., BaseLLMClient] = point.load()
        return loaded
    raise unknown_name(provider)


def _make(factory: Callable[..., BaseLLMClient], found: ModelName, options: dict[str, Any]) -> BaseLLMClient:
    """Call a client's class with what it takes: a plain one may not know `model`."""
    if factory is CompatibleClient:
        return factory(found.provider, **options)
    if found.provider in catalog.providers() and found.provider not in _registered:
        return factory(**options)
    options.pop("model", None)
    try:
        return factory(**options)
    except TypeError as error:
        raise ConfigurationError(
            f"{found.provider} cannot be made with {sorted(options)}: {error}."
        ) from error
