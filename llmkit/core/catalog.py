"""Providers and models, read from `catalog.toml`."""

from __future__ import annotations

import fnmatch
import importlib
import tomllib
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider; `catalog.toml` explains the fields.

    Attributes:
        name: The part of a model name before the colon, e.g. `"openai"`.
        client: Its client class as `"module:Class"`.
        key_env: Environment variables for its key.
        base_url: Its default base URL.
        base_url_env: Environment variables that override the base URL.
        root: The path of its API, for an address without one.
        codec: `"module:Class"` of the wire format that it speaks.
        protocol: Whose requests add what to an address; a key of `addresses.ENDPOINTS`.
        native: Paths of its other APIs, which users may append by mistake.
        noise: Meaningless prefixes of its model names.
        header_env: Environment variables that set a header of its requests, by header.
        headers_env: Environment variable with further headers, one `name: value` per line.
        prices: Its name in the price data.
        local: Whether it runs on the user's own machine and costs nothing.
        start: The command that starts a local server.
        sandbox: Whether it is the sandbox.
        superseded_by: The provider to use instead; this one works, but is not offered.
        models: Suggested models; the first is the default.
        prefixes: Prefixes of bare model names that belong to this provider.
        fallbacks: Alternative model, by model.
        refuses: Patterns of models that refuse a parameter, by parameter.
        reasons: Patterns of models that reason, and can say so.
        effort: Levels of effort, by pattern of models; the first that matches counts.
        tiers: Factors of the price in other service tiers than the usual one.
        responses: Patterns of models that only the Responses API has; `None` if there is no such API.
        decisions: Patterns of models that the provider's Decisions API has.
    """

    name: str
    client: str = "llmkit.clients.codec_client:CodecClient"
    key_env: tuple[str, ...] = ()
    base_url: str | None = None
    base_url_env: tuple[str, ...] = ()
    root: str = ""
    codec: str = "llmkit.providers.openai_chat:CompatibleCodec"
    protocol: str = "openai"
    native: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()
    header_env: Mapping[str, str] = field(default_factory=dict)
    headers_env: str = ""
    prices: str | None = None
    local: bool = False
    start: str | None = None
    sandbox: bool = False
    superseded_by: str | None = None
    models: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    refuses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    effort: Mapping[str, str] = field(default_factory=dict)
    tiers: Mapping[str, float] = field(default_factory=dict)
    responses: tuple[str, ...] | None = None
    decisions: tuple[str, ...] = ()

    def plain(self, model: str) -> str:
        """Return a model name without meaningless prefixes.

        Example:
            >>> providers()["google"].plain("models/gemini-2.5-flash")
            'gemini-2.5-flash'
        """
        for prefix in self.noise:
            model = model.removeprefix(prefix)
        return model

    def refused(self, model: str) -> frozenset[str]:
        """Return the parameters that a model is known to refuse.

        Example:
            >>> sorted(providers()["openai"].refused("o3-mini"))
            ['temperature']
        """
        return frozenset(name for name, patterns in self.refuses.items() if matches(model, patterns))

    def effort_levels(self, model: str) -> dict[str, int | str] | None:
        """Return a model's levels of effort, and what is sent for each; `None` if the model is not listed.

        Example:
            >>> providers()["google"].effort_levels("gemini-2.5-flash")["none"]
            0
            >>> list(providers()["openai"].effort_levels("o3-mini"))
            ['low', 'medium', 'high']
        """
        for pattern, levels in self.effort.items():
            if fnmatch.fnmatchcase(model, pattern):
                pairs = (level.partition("=") for level in levels.split())
                return {level: int(tokens) if tokens else level for level, _, tokens in pairs}
        return None


def matches(model: str, patterns: Iterable[str]) -> bool:
    """Whether a model's name matches one of these patterns.

    Example:
        >>> matches("gpt-5-pro", ["*-pro"])
        True
    """
    return any(fnmatch.fnmatchcase(model, pattern) for pattern in patterns)


@cache
def _data() -> dict[str, Any]:
    return tomllib.loads(files("llmkit.core").joinpath("catalog.toml").read_text(encoding="utf-8"))


@cache
def providers() -> Mapping[str, Provider]:
    """Return the known providers by name.

    Example:
        >>> providers()["ollama"].local
        True
    """
    entries: dict[str, dict[str, Any]] = _data()["providers"]
    # TOML's lists become tuples, because everybody shares these objects.
    return {name: Provider(name=name, **_frozen(entry)) for name, entry in entries.items()}


def _frozen(entry: dict[str, Any]) -> Any:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


def load(provider: str, field: str, place: str) -> Any:
    """Import what a field of a provider's table names as `"module:Class"`.

    Raises:
        ConfigurationError: If there is no such class.
    """
    module, _, name = place.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:  # ValueError: an empty or relative name
        raise ConfigurationError(
            f"The {field} of {provider} cannot be loaded from {place!r}: {error}.",
            hint=f'In the catalogue, write {field} = "module:Class".',
        ) from error


def tier_factor(listing: str, tier: str) -> float | None:
    """Return the factor of a service tier by a provider's name in the price data; `None` if none is listed.

    Example:
        >>> tier_factor("google", "flex")
        0.5
    """
    found = (known.tiers.get(tier) for known in providers().values() if known.prices == listing)
    return next((factor for factor in found if factor is not None), None)


def aliases() -> Mapping[str, str]:
    """Return llmkit's built-in aliases and their `provider:model`."""
    aliases: Mapping[str, str] = _data()["aliases"]
    return aliases


@lru_cache(maxsize=1024)
def output_limit(model: str) -> int:
    """Return a model's maximum output in tokens.

    Example:
        >>> output_limit("gpt-4o-mini-2024-07-18"), output_limit("anthropic/claude-haiku-4-5")
        (16384, 64000)
    """
    limits: dict[str, Any] = _data()["outputs"]
    name = model.rpartition("/")[2].removeprefix("ft:").lower()  # fine-tuned: ft:gpt-4o-mini:org::id
    for tokens, patterns in limits["models"].items():
        if matches(name, patterns):
            return int(tokens)
    # An unknown model counts as one with the longest answers, so that a budget holds.
    return int(limits["other"])


def prices() -> Mapping[str, Mapping[str, float]]:
    """Return llmkit's built-in prices by model, in US dollars per million tokens."""
    prices: Mapping[str, Mapping[str, float]] = _data()["prices"]
    return prices
