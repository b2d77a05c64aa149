"""What llmkit knows of providers and models, read from `catalog.toml`."""

from __future__ import annotations

import fnmatch
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """One provider of models; the fields are explained in `catalog.toml`.

    Attributes:
        name: How it is written before the colon, e.g. `"openai"`.
        client: `"module:Class"` of its client.
        key_env: Environment variables that may hold its key.
        base_url: Where its API is.
        base_url_env: Environment variables that may hold another address.
        codec: `"module:Class"` of the wire format that it speaks.
        protocol: Whose requests add what to an address; a key of `addresses.ENDPOINTS`.
        native: Paths of its other APIs, which an address may end in by mistake.
        noise: What may stand before the name of a model and says nothing.
        prices: Its name in the price data.
        local: Whether it runs on the user's own machine and costs nothing.
        start: The command that starts it there.
        sandbox: Whether it is the sandbox.
        models: Names to offer; the first is the default.
        prefixes: A bare model name that begins so belongs to this provider.
        fallbacks: Model to take instead, by model.
        refuses: Patterns of the models that do not take a parameter, by parameter.
    """

    name: str
    client: str = "llmkit.clients.codec_client:CodecClient"
    key_env: tuple[str, ...] = ()
    base_url: str | None = None
    base_url_env: tuple[str, ...] = ()
    codec: str = "llmkit.providers.openai_chat:CompatibleCodec"
    protocol: str = "openai"
    native: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()
    prices: str | None = None
    local: bool = False
    start: str | None = None
    sandbox: bool = False
    models: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    fallbacks: Mapping[str, str] = field(default_factory=dict)
    refuses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def plain(self, model: str) -> str:
        """Return the name of a model without what says nothing.

        Example:
            >>> providers()["google"].plain("models/gemini-2.5-flash")
            'gemini-2.5-flash'
        """
        for prefix in self.noise:
            model = model.removeprefix(prefix)
        return model

    def refused(self, model: str) -> frozenset[str]:
        """Return the parameters that a model is known not to take.

        Example:
            >>> sorted(providers()["openai"].refused("o3-mini"))
            ['temperature']
        """
        return frozenset(
            parameter
            for parameter, patterns in self.refuses.items()
            if any(fnmatch.fnmatchcase(model, pattern) for pattern in patterns)
        )


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
    return {name: Provider(name=name, **_frozen(entry)) for name, entry in entries.items()}


def _frozen(entry: dict[str, Any]) -> Any:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


def aliases() -> Mapping[str, str]:
    """Return the short names that come with llmkit, each with its `provider:model`."""
    aliases: Mapping[str, str] = _data()["aliases"]
    return aliases


def output_limit(model: str) -> int:
    """Return how many tokens an answer of a model can have.

    Example:
        >>> output_limit("gpt-4o-mini-2024-07-18"), output_limit("anthropic/claude-haiku-4-5")
        (16384, 64000)
    """
    limits: dict[str, Any] = _data()["outputs"]
    name = model.rpartition("/")[2].removeprefix("ft:").lower()  # fine-tuned: ft:gpt-4o-mini:org::id
    for tokens, patterns in limits["models"].items():
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            return int(tokens)
    return int(limits["other"])


def prices() -> Mapping[str, Mapping[str, float]]:
    """Return the prices that come with llmkit, in US dollars per million tokens, by model."""
    prices: Mapping[str, Mapping[str, float]] = _data()["prices"]
    return prices
