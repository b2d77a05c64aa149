"""Names of models and providers: aliases, resolution, suggestions for unknown names.

Aliases and registered providers are added here. Clients and cost reports both resolve names
here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from llmkit.core import catalog, settings
from llmkit.core.errors import ConfigurationError
from llmkit.core.suggestions import near

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

ENTRY_POINTS = "llmkit.clients"
"""Entry point group for the clients of other packages, by provider name."""

session_aliases: dict[str, str] = {}
"""Aliases of this session; they override those of the settings."""

session_model = ""
"""Default model of this session (`%llm model`); it overrides that of the settings."""

registered: dict[str, Callable[..., Any]] = {}
"""Client factories registered in this process, by provider name."""


@dataclass(frozen=True, slots=True)
class ModelName:
    """A resolved model name.

    Attributes:
        provider: Name of the provider.
        model: The provider's model name; `None` for its default model.
    """

    provider: str
    model: str | None

    @classmethod
    def of(cls, name: str) -> ModelName:
        """Parse a qualified name: the inverse of `str`."""
        provider, colon, model = name.partition(":")
        return cls(provider, model if colon else None)

    def __str__(self) -> str:
        return self.provider if self.model is None else f"{self.provider}:{self.model}"


def resolve(name: str) -> ModelName:
    """Resolve a name to a provider and a model.

    Example:
        >>> str(resolve("claude-haiku-5-5"))
        'anthropic:claude-haiku-5-5'
    """
    name = follow(name.strip())
    provider, colon, model = name.partition(":")
    if colon and provider and model:
        known = catalog.providers().get(provider)
        return ModelName(provider, model if known is None else known.plain(model))
    if is_provider(name):
        return ModelName(name, None)
    return ModelName(_owner(name), name)


def aliases() -> dict[str, str]:
    """Return all aliases with their targets: built-in, from the settings, of this session.

    Example:
        >>> aliases()["sonnet"].partition(":")[0]
        'anthropic'
    """
    return {**catalog.aliases(), **settings.load().aliases, **session_aliases}


def follow(name: str, short: Mapping[str, str] | None = None) -> str:
    """Resolve a name's aliases; an alias may refer to another one."""
    short = aliases() if short is None else short
    passed = [name]
    while (target := short.get(passed[-1])) is not None:
        if target in passed:
            raise ConfigurationError(
                f"The alias {name!r} refers to itself: {' → '.join([*passed, target])}.",
                hint=f"Set it to a model: %llm alias {name}=openai:gpt-6-luna.",
            )
        passed.append(target)
    return passed[-1]


def provider_names() -> list[str]:
    """Return the names of all providers: built-in, registered, from other packages."""
    plugins = [point.name for point in entry_points(group=ENTRY_POINTS)]
    return list(dict.fromkeys([*registered, *catalog.providers(), *plugins]))


def is_provider(name: str) -> bool:
    """Return whether a provider has this name; entry points are read only if it is not built in."""
    ours = name in registered or name in catalog.providers()
    return ours or bool(entry_points(group=ENTRY_POINTS, name=name))


def model_names() -> list[str]:
    """Return the names that `resolve` accepts: aliases, and the catalogue's models with their providers."""
    listed = [f"{p.name}:{model}" for p in catalog.providers().values() for model in p.models]
    return [*aliases(), *provider_names(), *listed]


def is_model(word: str) -> bool:
    """Whether a word clearly names a model: an alias, `provider:model`, or a model's own name.

    A provider alone does not count: its name may be an English word.

    Example:
        >>> is_model("sonnet"), is_model("openai:gpt-4o"), is_model("gpt-4o-2024"), is_model("google")
        (True, True, True, False)
    """
    if word in aliases():
        return True
    provider, colon, model = word.partition(":")
    if colon:
        return bool(model.strip("/?!.:")) and is_provider(provider)
    listed = any(word in one.models for one in catalog.providers().values())
    # Models have a hyphen and a digit in their names; few English words have both.
    named = re.fullmatch(r"[a-z][a-z0-9.]*-[\w.-]*\w", word) and any(map(str.isdecimal, word))
    return listed or bool(named and owners(word))


def owners(model: str) -> list[str]:
    """Return the providers of a bare model name: those that list it, otherwise those with a matching prefix.

    Example:
        >>> owners("gpt-6-luna")
        ['openai']
    """
    known = catalog.providers().values()
    # A superseded provider lists the same models, which would make their names ambiguous.
    main = [p.name for p in known if model in p.models and not p.superseded_by]
    return main or [p.name for p in known if any(model.startswith(prefix) for prefix in p.prefixes)]


def unknown_name(name: str, others: Iterable[str] = ()) -> ConfigurationError:
    """Return the error for an unknown name, with similar names."""
    names = [*model_names(), *others]
    bare: dict[str, str] = {}
    for one in names:
        bare.setdefault(one.partition(":")[2] or one, one)
    # The catalogue lists a provider's newest models first; likeness would prefer those with short names.
    family = [n for n in bare if name and n.startswith(f"{name.lower()}-")]
    similar = dict.fromkeys(bare.get(n, n) for n in [*family[:3], *near(name, [*bare, *names])])
    found = ", ".join([*similar][:3])
    hint = f"Did you mean {found}?" if found else "See %llm models."
    return ConfigurationError(f"Unknown model or provider: {name[:100]!r}.", hint=hint)


def _owner(model: str) -> str:
    """Return the one provider of a bare model name."""
    found = owners(model)
    if not found:
        raise unknown_name(model)
    if len(found) > 1:
        choices = ", ".join(f"{owner}:{model}" for owner in found)
        raise ConfigurationError(f"{model!r} is ambiguous.", hint=f"Use one of: {choices}.")
    return found[0]
