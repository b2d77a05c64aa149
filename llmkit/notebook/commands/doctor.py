"""`%llm doctor`: what works, what does not, and what to do about it.

All checks run concurrently on the bridge, each with its own deadline. Blocking checks run in threads that are
not joined, so that an interrupt ends the cell at once.
"""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import sqlite3
import stat
import sys
import textwrap
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.core.errors import ConfigurationError, LLMClientError
from llmkit.transport.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from llmkit.clients.credentials.health import Health
    from llmkit.core.catalog import Provider
    from llmkit.core.postgres import Address
    from llmkit.costs.ledger import Ledger

PATIENCE = 8.0
"""Timeout of each check in seconds."""

WIDTH = 90
"""Width of the report in columns: JupyterLab breaks longer lines in a window of 1,100 pixels."""

SKEW = 60.0
"""Seconds that this machine's clock may be off before certificates and signatures fail."""

ROOM = 100_000_000
"""Minimum free space for the ledger in bytes."""

WIDGETS = ("ipywidgets", "anywidget", "jupyterlab_widgets")
LAB_EXTENSION = Path("@jupyter-widgets", "jupyterlab-manager")
_NO_EXTENSION = (
    "no labextension in this environment: where JupyterLab runs, pip install jupyterlab_widgets, and reload"
    " the page"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report."""

    name: str
    text: str  # the result, and what to do about a problem
    ok: bool | None = True  # `None` if there is nothing to judge
    health: Health | None = None  # of a provider

    def __str__(self) -> str:
        mark = "·" if self.ok is None else "✓" if self.ok else "✗"
        lines = textwrap.wrap(self.text, WIDTH - 15, break_on_hyphens=False)
        return f"{mark} {self.name:<12} " + f"\n{' ' * 15}".join(lines)


async def examine(model: str | None = None) -> str:
    """Run all checks and return the report."""
    return "\n".join(map(str, await findings(model)))


async def findings(model: str | None = None) -> list[Finding]:
    """Run all checks and return what they found, in the order of the report."""
    name = await in_thread(_resolved, model)
    asked = _providers(name)
    findings = await asyncio.gather(
        *(
            _in_time(provider.name, _provider(provider, default=_default_provider(name)))
            for provider in asked
        ),
        *(_in_time(what, in_thread(look)) for what, look in _LOCAL.items()),
    )
    answers, local = findings[: len(asked)], findings[len(asked) :]
    found = {finding.name: finding.health for finding in answers if finding.health is not None}
    return [_model(name, found), *answers, _clock(list(found.values())), *local]


async def _in_time(name: str, check: Awaitable[Finding]) -> Finding:
    try:
        async with asyncio.timeout(PATIENCE):
            return await check
    except TimeoutError:
        text = f"no answer in {PATIENCE:g} s: check the network, a proxy, or the disk, and try again"
        return Finding(name=name, ok=False, text=text)
    except (LLMClientError, OSError) as error:
        return Finding(name=name, ok=False, text=str(error))


def _resolved(model: str | None) -> str | LLMClientError:
    """Return the default model's full name, or why there is none."""
    from llmkit.clients.registry import resolve, shared_client

    try:
        name = resolve(model)
        return f"{name.provider}:{name.model or shared_client(name.provider).default_model()}"
    except LLMClientError as error:
        return error


def _default_provider(name: str | LLMClientError) -> str | None:
    return name.partition(":")[0] if isinstance(name, str) else None


def _providers(name: str | LLMClientError) -> list[Provider]:
    """Return the providers to check: those that need a key, and the default model's."""
    from llmkit.core import catalog

    return [
        provider
        for provider in catalog.providers().values()
        if provider.name == _default_provider(name)
        or (provider.key_env and not provider.local and not provider.superseded_by)
    ]


async def _provider(provider: Provider, *, default: str | None) -> Finding:
    """Check one provider; its models are listed only if there is a key."""
    from llmkit.clients.credentials.keys import keys
    from llmkit.clients.engine.engine import ProviderClient
    from llmkit.clients.registry import shared_client

    key = await in_thread(keys.find, provider.name)  # a keyring may ask the user
    client = await in_thread(shared_client, provider.name)
    if not isinstance(client, ProviderClient):
        return Finding(name=provider.name, ok=None, text="client of another package: not checked")
    if key is None and not client.simulated and not provider.local:
        return _without_key(provider, needed=provider.name == default)
    source = "sandbox" if client.simulated else f"key from {key.source}" if key else "no key needed"
    await in_thread(client.load)  # imports an SDK, which would hold up the other checks
    return _answered(provider.name, source, await client.health_check(), simulated=client.simulated)


def _without_key(provider: Provider, *, needed: bool) -> Finding:
    """Report that there is no key: a fault only if the default model needs one."""
    from llmkit.clients.credentials import runtime_secrets

    # Reading a secret may show a dialog, which only a call does.
    if runtime_secrets.unread(provider.name):
        text = f"no key yet: a call reads the secret {provider.key_env[0]}; or %llm key {provider.name}"
        return Finding(name=provider.name, ok=None, text=text)
    refusal = runtime_secrets.refusal(provider.name)
    text = f"no key: {refusal}%llm key {provider.name}, or set {provider.key_env[0]}"
    return Finding(name=provider.name, ok=False if needed else None, text=text)


def _answered(name: str, source: str, health: Health, *, simulated: bool) -> Finding:
    if health.error is None:
        text = f"{source}; {len(health.models)} models in {health.latency_s:.1f} s"
        # The sandbox's models and clock say nothing about the provider that it simulates.
        return Finding(name=name, text=text, health=None if simulated else health)
    tls = "; is this machine's clock right?" if "certificate" in str(health.error).lower() else ""
    return Finding(name=name, ok=False, text=f"{source}; {health.error}{tls}")


def _model(name: str | LLMClientError, found: dict[str, Health]) -> Finding:
    if isinstance(name, LLMClientError):
        return Finding(name="model", ok=False, text=str(name))
    provider, _, model = name.partition(":")
    health = found.get(provider)
    if health is None:
        return Finding(name="model", ok=None, text=f"{name}; not checked against a list of models")
    if model in health.models:
        return Finding(name="model", text=f"{name}; {provider} lists it")
    text = f"{name}; {provider} does not list it: see %llm models {provider}, then %llm model NAME"
    return Finding(name="model", ok=False, text=text)


def _clock(found: list[Health]) -> Finding:
    """Compare this machine's clock with the providers'; the closest counts, because one may be wrong."""
    skews = sorted((health.skew_s for health in found if health.skew_s is not None), key=abs)
    if not skews:
        return Finding(name="clock", ok=None, text="not checked: no provider sent the time")
    skew = skews[0]
    if abs(skew) <= SKEW:
        return Finding(name="clock", text="correct to within a minute")
    way = "ahead" if skew > 0 else "behind"
    text = (
        f"{abs(skew):,.0f} s {way}: certificates and signatures will be refused; set the clock, or turn"
        " on time synchronisation (timedatectl set-ntp true; restart a suspended virtual machine)"
    )
    return Finding(name="clock", ok=False, text=text)


def _ledger() -> Finding:
    from llmkit.costs.ledger import ledger

    return examine_ledger(ledger)


def examine_ledger(ledger: Ledger) -> Finding:
    """Check a ledger: its path and contents, whether it is writable, and who can read it."""
    try:
        path = ledger.path
    except ConfigurationError as error:
        return Finding(name="ledger", ok=False, text=str(error))
    if str(path) == ":memory:":
        return Finding(name="ledger", text="in memory: its rows are lost when this process ends")
    if isinstance(path, str):
        return _examine_database(ledger, path)
    from llmkit.core import runtimes

    if not path.exists():
        text = f"{path}; does not exist yet: the first call creates it"
        return _judged("ledger", text, runtimes.loss_of(path), _unwritable(path))
    try:
        facts = _facts(path)
    except sqlite3.Error as error:
        text = f"{path} cannot be read: {error}. Move it away, or set LLMKIT_LEDGER to another file"
        return Finding(name="ledger", ok=False, text=text)
    waiting = (
        f"{ledger.waiting} calls are kept in memory because it cannot be written" if ledger.waiting else ""
    )
    where, locks = _drive(path)
    loss = runtimes.loss_of(path)
    return _judged(
        "ledger", f"{path}; {facts}{where}", waiting, loss, locks, _unwritable(path), _open_to_others(path)
    )


def _examine_database(ledger: Ledger, address: str) -> Finding:
    """Ask a ledger that is no file: a database that does not answer has no total."""
    try:
        calls = ledger.sums()
    except ConfigurationError as error:
        return Finding(name="ledger", ok=False, text=str(error))
    waiting = f"{ledger.waiting} calls wait here until it can be written" if ledger.waiting else ""
    count = sum(one.calls for one in calls.values())
    return _judged("ledger", f"{address}; {count:,} rows that you may read", waiting)


def _answers() -> Finding:
    from llmkit.costs.ledger import ledger

    return examine_answers(ledger)


def examine_answers(ledger: Ledger) -> Finding:
    """Report the answers of tables: what they take, and how to delete them."""
    from llmkit.frames.answers.location import answers_path

    try:
        place = ledger.path
    except ConfigurationError:  # the line about the ledger says it
        return Finding(name="answers", ok=None, text="not checked: they are beside the ledger")
    if ledger.database is not None:
        return _shared_answers(ledger.database)
    if isinstance(place, str) or str(place) == ":memory:":
        return Finding(name="answers", ok=None, text="of tables: in memory, lost when this process ends")
    path = answers_path(place)
    if not path.exists():
        return Finding(name="answers", ok=None, text=f"{path}; does not exist yet: df.llm creates it")
    try:
        facts = _facts(path, "answers")
    except sqlite3.Error as error:
        text = f"{path} cannot be read: {error}. Move it away: what it has would be paid again"
        return Finding(name="answers", ok=False, text=text)
    return _judged("answers", f"{path}; {facts}; {_FORGET}", _open_to_others(path))


_FORGET = "to delete the old ones: llmkit.frames.forget(older_than=timedelta(days=30))"


def _shared_answers(database: Address) -> Finding:
    """Report the answers in a database."""
    from llmkit.frames.answers.location import store_at

    try:
        size = store_at(database).size()
    except ConfigurationError as error:
        return Finding(name="answers", ok=False, text=str(error))
    text = f"{database.name}; {size / 1e6:,.1f} MB of yours, which other users cannot read; {_FORGET}"
    return Finding(name="answers", ok=True, text=text)


def _drive(path: Path) -> tuple[str, str]:
    """Say that a ledger is on a network drive, and what is wrong with its locks."""
    from llmkit.core import filesystems

    kind = filesystems.network_type(path)
    if kind is None:
        return "", ""
    problem = filesystems.lock_problem(path)
    way_out = f"{problem}: set LLMKIT_LEDGER to a file on a local disk" if problem else ""
    return f"; on a network drive ({kind}): a rollback journal instead of a write-ahead log", way_out


def _judged(name: str, text: str, *troubles: str) -> Finding:
    found = [problem for problem in troubles if problem]
    return Finding(name=name, ok=not found, text="; ".join([text, *found]))


def _facts(path: Path, table: str = "calls") -> str:
    """Read a database's size, rows and version; wait at most 2 s for a lock."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=2)) as connection:
        (schema,) = connection.execute("PRAGMA user_version").fetchone()
        (rows,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - a name of our own
    # The latest rows are still in the write-ahead log.
    parts = (path, path.with_name(f"{path.name}-wal"))
    size = sum(part.stat().st_size for part in parts if part.exists())
    mode = stat.S_IMODE(path.stat().st_mode)
    return f"{rows:,} rows, {size / 1e6:,.1f} MB, permissions {mode:03o}, schema {schema}"


def _unwritable(path: Path) -> str:
    """Say why a ledger cannot be written, and what to do."""
    # A folder that does not exist yet will be made in the nearest one that does.
    folder = next(place for place in (path.parent, *path.parents) if place.exists())
    if not (os.access(folder, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))):
        return "it cannot be written: change its owner, or set LLMKIT_LEDGER to another file"
    free = shutil.disk_usage(folder).free
    return f"only {free / 1e6:,.0f} MB are free there: delete some files" if free < ROOM else ""


def _open_to_others(path: Path) -> str:
    others = os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    return f"other users of this machine can read it: chmod 600 {path}" if others else ""


def _budget() -> Finding:
    """Report the budget: a used-up one explains why calls are refused."""
    from llmkit.costs.budgets.budget import budget

    state = budget()
    left = [usd for usd in (state.left, state.notebook_left) if usd is not None]
    text = "; ".join(" ".join(line.split()) for line in repr(state).splitlines())
    return _judged("budget", text, "used up: raise it with %llm budget" if left and min(left) <= 0 else "")


def _replay() -> Finding:
    """Report whether answers are replayed, and from which file."""
    from llmkit.clients.cassettes.replay import current

    state = current()
    return Finding(name="replay", ok=None, text=repr(state) if state else "off")


def _prices() -> Finding:
    from llmkit import prices

    return Finding(
        name="prices",
        ok=None,
        text=f"{prices.genai_data.data_version()}; to update: pip install -U genai-prices",
    )


def _addresses() -> Finding:
    """Report which addresses of project files may receive keys, and the proxies."""
    from llmkit.clients.credentials.trust import is_trusted, trusted
    from llmkit.core import catalog, settings

    known = catalog.providers()
    named = {name: settings.address(known[name]) for name in settings.load().projects if name in known}
    of_projects = [found for found in named.values() if found is not None and found.project]
    text = [
        *(
            f"{found.source} names {found.url}: your keys are not sent there"
            for found in of_projects
            if not is_trusted(found.url)
        ),
        *(f"{url} may receive your keys (%llm trust revoke {url})" for url in trusted()),
        *(f"through {proxy}" for proxy in _proxies()),
    ]
    said = "; ".join(text) or "keys are sent only to addresses that you have named"
    return Finding(name="addresses", ok=None, text=said)


def _proxies() -> list[str]:
    from llmkit.transport.proxies import proxy_for

    found = (proxy_for(f"{scheme}://example.com") for scheme in ("http", "https"))
    return sorted({str(proxy) for proxy in found if proxy})


def _tracing() -> Finding:
    """Report whether spans are sent, and whether a collector listens."""
    from llmkit.otel.status import status

    found = status()
    return Finding(name="tracing", ok=found.ok, text=found.text)


def _widgets() -> Finding:
    """Check the packages that widgets need, in this environment and in JupyterLab."""
    found = {name: _version(name) for name in WIDGETS}
    text = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    missing = " ".join(name for name, number in found.items() if not number)
    in_lab = any((folder / LAB_EXTENSION).is_dir() for folder in _extension_folders())
    install = f"missing: pip install {missing}" * bool(missing)
    return _judged("widgets", text or "none", install, _NO_EXTENSION * (not in_lab))


def _extension_folders() -> Iterator[Path]:
    try:
        from jupyter_core.paths import jupyter_path
    except ImportError:
        yield Path(sys.prefix, "share", "jupyter", "labextensions")
        return
    yield from map(Path, jupyter_path("labextensions"))


def _versions() -> Finding:
    from llmkit import __version__

    names = {"IPython": "ipython", "ipykernel": "ipykernel"}
    shown = [f"{name} {_version(package) or 'is not installed'}" for name, package in names.items()]
    text = ", ".join([f"llmkit {__version__}", *shown, f"Python {platform.python_version()}"])
    return Finding(name="versions", ok=None, text=text)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


_LOCAL: dict[str, Callable[[], Finding]] = {
    "ledger": _ledger,
    "answers": _answers,
    "budget": _budget,
    "replay": _replay,
    "addresses": _addresses,
    "prices": _prices,
    "tracing": _tracing,
    "widgets": _widgets,
    "versions": _versions,
}
"""Checks of this machine, in the order of the report."""
