"""The subcommands of `%llm`."""

from __future__ import annotations

import asyncio
from getpass import getpass
from typing import TYPE_CHECKING, Any

from llmkit.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmkit.catalog import Provider
    from llmkit.notebook.cell import Command
    from llmkit.notebook.magics import LLMMagics

PATIENCE = 10.0
"""Seconds that `%llm doctor` waits for a provider."""


def run(magics: LLMMagics, command: Command) -> Any:
    """Carry out a subcommand.

    Args:
        magics: The magics: settings and the shell.
        command: Which one, and its argument.

    Returns:
        A table for the notebook to show, or `None` where a line was printed.

    Raises:
        ConfigurationError: If the argument is not known.
    """
    return _COMMANDS[command.name](magics, command)


def _model(magics: LLMMagics, command: Command) -> None:
    from llmkit.clients.registry import resolve

    if command.argument:
        resolve(command.argument)
        magics.model = command.argument
    _say(f"Model: {resolve(magics.model or None)}")


def _models(_magics: LLMMagics, command: Command) -> Any:
    """List models with aliases and prices in US dollars per million tokens."""
    import pandas as pd

    from llmkit import catalog, prices, settings
    from llmkit.messages import Usage

    names = {**catalog.aliases(), **settings.load().aliases}
    million = 1_000_000
    rows = []
    for provider in catalog.providers().values():
        for model in provider.models:
            full = f"{provider.name}:{model}"
            if command.argument and command.argument.lower() not in full.lower():
                continue
            into = prices.price(provider.name, (model,), Usage(input_tokens=million, output_tokens=0))
            out = prices.price(provider.name, (model,), Usage(input_tokens=0, output_tokens=million))
            rows.append(
                {
                    "model": full,
                    "alias": ", ".join(alias for alias, target in names.items() if target == full),
                    "input $/M": None if into is None else into.usd,
                    "output $/M": None if out is None else out.usd,
                }
            )
    if not rows:
        raise ConfigurationError(
            f"No listed model has {command.argument!r} in its name.", hint="Any provider:model can be asked."
        )
    return pd.DataFrame(rows).set_index("model")


def _key(_magics: LLMMagics, command: Command) -> None:
    from llmkit import catalog
    from llmkit.clients.keys import keys, save_key
    from llmkit.clients.registry import unknown_name

    provider = command.argument or ""
    if provider not in catalog.providers():
        raise unknown_name(provider)
    value = getpass(f"{provider} key: ")
    keys.set_key(provider, value)
    if command.save:
        save_key(provider, value)
    _say(f"The {provider} key is set{' and saved in the keyring' if command.save else ' for this session'}.")


def _cost(_magics: LLMMagics, command: Command) -> Any:
    from llmkit.costs.ledger import ledger

    total = ledger.total()
    _say(total)
    return ledger.summary(by=command.argument or "model") if total.calls else None


def _doctor(magics: LLMMagics, _command: Command) -> None:
    """Say what works: keys and where they come from (never the keys), providers, the ledger."""
    from llmkit import catalog, prices
    from llmkit.clients.registry import resolve
    from llmkit.notebook.bridge import bridge

    async def all_of_them() -> list[str]:
        shown = [
            p for p in catalog.providers().values() if p.key_env and not p.local and p.name != "google-legacy"
        ]
        return await asyncio.gather(*(_examine(provider) for provider in shown))

    lines = [f"model    {resolve(magics.model or None)}", *bridge.run(all_of_them())]
    lines += [_books(), f"prices   {prices.data_version()}"]
    _say("\n".join(lines))


def _books() -> str:
    """Examine the ledger."""
    from llmkit.costs.ledger import ledger

    try:
        line = f"ledger   {ledger.path}: {ledger.total()}"
    except ConfigurationError as error:
        return f"✗ ledger   {error}"
    return (
        f"✗ {line}; it cannot be written, {ledger.waiting} calls wait in memory" if ledger.waiting else line
    )


async def _examine(provider: Provider) -> str:
    """Examine one provider; only those with a key are asked for their models."""
    from llmkit.clients.engine import ProviderClient
    from llmkit.clients.keys import keys
    from llmkit.clients.registry import shared_client

    key = keys.find(provider.name)
    client = shared_client(provider.name)
    if not isinstance(client, ProviderClient) or (key is None and not client.simulated):
        return f"✗ {provider.name:<11} no key: %llm key {provider.name}, or set {provider.key_env[0]}"
    source = "sandbox" if client.simulated or key is None else f"key from {key.source}"
    try:
        async with asyncio.timeout(PATIENCE):
            health = await client.health_check()
    except TimeoutError:
        return f"✗ {provider.name:<11} {source}; no answer in {PATIENCE:g} s"
    if health.ok:
        return f"✓ {provider.name:<11} {source}; {len(health.models)} models in {health.latency_s:.1f} s"
    return f"✗ {provider.name:<11} {source}; {health.error}"


def _help(_magics: LLMMagics, command: Command) -> None:
    from llmkit.notebook.cell import help_text

    lines = help_text().splitlines()
    topic = command.argument
    found = [line for line in lines if not topic or topic in line]
    _say("\n".join(found) or f"Nothing about {topic}; see %llm help.")


def _say(line: object) -> None:
    print(line)  # noqa: T201 - a subcommand answers in words


_COMMANDS: dict[str, Callable[[LLMMagics, Command], Any]] = {
    "model": _model,
    "models": _models,
    "key": _key,
    "cost": _cost,
    "doctor": _doctor,
    "help": _help,
}
