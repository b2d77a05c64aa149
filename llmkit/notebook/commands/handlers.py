"""The subcommands of `%llm`."""

from __future__ import annotations

from getpass import getpass
from typing import TYPE_CHECKING, Any, get_args

from llmkit.core.errors import ConfigurationError
from llmkit.core.suggestions import did_you_mean
from llmkit.notebook.cell.values import tag
from llmkit.notebook.commands import session_commands
from llmkit.notebook.shell import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmkit.clients.registry import ModelName
    from llmkit.core.redaction import Secret
    from llmkit.notebook.cell.subcommands import Command
    from llmkit.notebook.session import Session


def run(session: Session, command: Command) -> Any:
    """Run a subcommand."""
    return _COMMANDS[command.name](session, command)


def _model(session: Session, command: Command) -> None:
    from llmkit.clients.registry import resolve
    from llmkit.notebook.commands.model_prices import full_name

    if "," in (command.argument or ""):
        raise ConfigurationError(
            "The default must be one model.", hint="%%llm a,b sends a prompt to several."
        )
    if command.argument:
        # An unknown name is refused now, not at the next question.
        resolve(command.argument)
        session.defaults.model = command.argument
    say(f"Model: {full_name(resolve(session.defaults.model or None))}")


def _models(_session: Session, command: Command) -> Any:
    """List models with aliases and prices in US dollars per million tokens, registered clients included."""
    import pandas as pd

    from llmkit.notebook.model_list import price_list, prices_note

    rows = [
        {
            "model": one.name,
            "alias": ", ".join(one.aliases),
            "input $/M": one.input,
            "cached $/M": one.cached,
            "output $/M": one.output,
            "price from": one.source,
        }
        for one in price_list(command.argument or "")
    ]
    say(prices_note())
    return pd.DataFrame(rows).set_index("model")


def _alias(session: Session, command: Command) -> None:
    """List the aliases, show one, set one (`fast=openai:gpt-6-luna`) or remove one."""
    from llmkit.clients import registry

    argument = command.argument or ""
    name, equals, target = argument.partition("=")
    if equals:
        _set_alias(session, name, target)
    elif argument.startswith("remove "):
        _remove_alias(session, argument.removeprefix("remove "))
        name = ""
    _show_aliases(registry.aliases(), name)


def _show_aliases(known: Mapping[str, str], name: str) -> None:
    if name and name not in known:
        raise ConfigurationError(f"{name!r} is not an alias.", hint=f"%llm alias {name}=MODEL adds it.")
    shown = {name: known[name]} if name else known
    width = max(map(len, shown))
    say("\n".join(f"{alias:<{width}}  {model}" for alias, model in shown.items()))


def _set_alias(session: Session, name: str, target: str) -> None:
    from llmkit.clients.registry import resolve
    from llmkit.core.redaction import redact

    # Aliases are listed in outputs, and a key may be typed here by mistake.
    if redact(name) != name:
        raise ConfigurationError("An alias must not look like a key.")
    # Restored if the new alias leads to no model.
    before = dict(session.defaults.aliases)
    session.defaults.aliases = {**before, name: target}
    try:
        resolve(name)
    except ConfigurationError:
        session.defaults.aliases = before
        raise


def _remove_alias(session: Session, name: str) -> None:
    aliases = dict(session.defaults.aliases)
    if aliases.pop(name, None) is None:
        raise ConfigurationError(
            f"{name!r} is not an alias of this session.",
            hint="%llm alias lists them; aliases in settings files stay.",
        )
    session.defaults.aliases = aliases


def _no_provider(typed: str) -> ConfigurationError:
    """Return the error for an unknown provider; the word is repeated only if nearly one: it may be a key."""
    from llmkit.core import catalog

    if near := did_you_mean(typed.lower(), catalog.providers(), ""):
        return ConfigurationError(f"No provider is called {typed!r}.", hint=near)
    return ConfigurationError(
        "%llm key takes the name of a provider.",
        hint="Write %llm key openai and enter the key when asked; a key in a cell is no longer secret.",
    )


def _key(session: Session, command: Command) -> None:
    """Read a key without showing it, and say if it changes the default model."""
    from llmkit.clients.credentials.keys import keys, save_key
    from llmkit.clients.registry import resolve
    from llmkit.core import catalog
    from llmkit.core.redaction import Secret

    provider = command.argument or ""
    if provider not in catalog.providers():
        raise _no_provider(provider)
    before = resolve(session.defaults.model or None)
    if not command.save and (secret := _secret(provider)) is not None:
        say(f"The {provider} key is the {secret.source}.")
        _say_switch(session, before)
        return
    value = Secret(getpass(f"{provider} key: "), "%llm key")  # tracebacks may show variables
    keys.set_key(provider, value.reveal())
    if command.save:
        save_key(provider, value.reveal())
    say(f"The {provider} key is set{' and saved in the keyring' if command.save else ' for this session'}.")
    _say_switch(session, before)


def _secret(provider: str) -> Secret | None:
    """Read a hosted runtime's secret again, unless something that comes before it has a key."""
    from llmkit.clients.credentials import runtime_secrets
    from llmkit.clients.credentials.keys import keys

    if keys.find(provider) is not runtime_secrets.found(provider) or not runtime_secrets.names(provider):
        return None
    return runtime_secrets.read(provider)


def _say_switch(session: Session, before: ModelName) -> None:
    """Say that the default model is another one now, and what it costs."""
    from llmkit.clients.registry import resolve
    from llmkit.notebook.commands.model_prices import charges, is_free

    if (after := resolve(session.defaults.model or None)) != before:
        session.was_free = session.was_free or is_free(before)
        say(f"The default model was {before}. {charges(after)}")


def _trust(_session: Session, command: Command) -> None:
    """List the addresses of project files that may receive keys; add or remove one."""
    from llmkit.clients.credentials.trust import file, trust

    argument = command.argument or ""
    url = argument.removeprefix("revoke ")
    known = trust(url or None, revoke=url != argument)
    listed = "\n".join(known) or "None: keys are sent only to addresses that you have set yourself."
    say(f"Addresses in project files that may receive your keys (in {file()}):\n{listed}")


def _cost(_session: Session, command: Command) -> Any:
    from llmkit.costs.ledger import ledger

    total = ledger.total()
    say(total)
    if not total.calls:
        return None
    frame = ledger.summary(by=command.argument or "model")
    # A terminal leaves out the columns in the middle; the money must not be one of them.
    first = [name for name in ("calls", "cost_usd") if name in frame]
    return frame[[*first, *(name for name in frame if name not in first)]]


def _jobs(_session: Session, _command: Command) -> Any:
    from llmkit.frames import jobs

    found = jobs()
    if len(found):
        # Batches alone expire; the index makes a wide table a little narrower.
        unused = [] if found["expires"].notna().any() else ["expires"]
        return found.drop(columns=unused).set_index("id")
    say('No jobs so far: df.llm.map("Summarise: {{text}}") asks the same of every row of a table.')
    return None


def _dashboard(_session: Session, command: Command) -> Any:
    from llmkit.costs.ledger import ledger

    return ledger.dashboard(by=command.argument or "model")


def _doctor(session: Session, _command: Command) -> None:
    """Report what works: sources of keys (never the keys), providers, the ledger."""
    from llmkit.core.bridge import bridge
    from llmkit.notebook.commands.doctor import examine

    say(bridge.run(examine(session.defaults.model or None)))


def _budget(_session: Session, command: Command) -> Any:
    """Show the budgets, or set some: `5`, `daily=5 per_call=0.10`, `off`."""
    from llmkit.costs.budgets.budget import budget
    from llmkit.costs.budgets.typed import read_changes

    return budget(**read_changes((command.argument or "").split()))


def _tags(session: Session, command: Command) -> None:
    """Show the labels of the notebook's calls, or set some: `project=thesis`, `off`."""
    argument = command.argument or ""
    if argument == "off":
        session.defaults.tags = {}
    elif argument:
        session.defaults.tags = {**session.defaults.tags, **dict(map(tag, argument.split()))}
    shown = ", ".join(f"{name}={value}" for name, value in session.defaults.tags.items())
    say(f"Tags: {shown}" if shown else "No tags: %llm tags project=thesis labels all later calls.")


def _replay(_session: Session, command: Command) -> None:
    """Show whether answers are replayed, or set it: `auto`, `only`, `off`, and a file."""
    from llmkit.clients.cassettes.replay import current, replay
    from llmkit.core.settings import ReplayMode

    words = (command.argument or "").split()
    modes: list[Any] = [word for word in words if word in get_args(ReplayMode)]
    files: list[Any] = [word for word in words if word not in modes]
    if max(len(modes), len(files)) > 1:
        raise ConfigurationError("Give one mode and one file at most.", hint="%llm replay auto demo.replay")
    if words:
        (file,), (mode,) = files or [None], modes or ["auto"]
        replay(file, mode=mode)
    say(current())


def _chat(session: Session, command: Command) -> Any:
    from llmkit.notebook.commands.open_chat import open_chat

    return open_chat(session, command.argument or "")


def _help(_session: Session, command: Command) -> None:
    from llmkit.notebook.cell.help import help_on, help_text

    topic = command.argument
    found = help_on(topic) if topic else help_text()
    say(found or f"There is no help on {topic}; see %llm help.")


_COMMANDS: dict[str, Callable[[Session, Command], Any]] = {
    "model": _model,
    "models": _models,
    "alias": _alias,
    "key": _key,
    "trust": _trust,
    "fix": session_commands.fix,
    "explain": session_commands.explain,
    "cost": _cost,
    "jobs": _jobs,
    "dashboard": _dashboard,
    "budget": _budget,
    "tags": _tags,
    "thread": session_commands.thread,
    "chat": _chat,
    "last": session_commands.last,
    "export": session_commands.export,
    "replay": _replay,
    "doctor": _doctor,
    "help": _help,
}
