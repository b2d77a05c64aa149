"""Settings: arguments override the environment, which overrides files.

The project's file is the nearest `llmkit.toml`, or `pyproject.toml` with a table `[tool.llmkit]`, in the
current folder or above it. It overrides your own `llmkit.toml` (see `user_file`). Project files are
not trusted with the decision where your keys go.


```toml
[tool.llmkit]
model = "sonnet"
timeout = 60

[tool.llmkit.aliases]
fast = "openai:gpt-6-luna"

[tool.llmkit.prices."my-model"]    # US dollars per million tokens
input = 0.5
output = 1.5

[tool.llmkit.base_models]          # what an Azure deployment runs, for its price
"azure:my-deployment" = "gpt-4o-mini"

[tool.llmkit.magics]               # what `%config LLMMagics` lists
system = "Be brief."
budget = 0.05
```
"""

from __future__ import annotations

import os
import time
import tomllib
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from llmkit.core import addresses, catalog, environment
from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off", ""})
_KINDS = ("input_{}", "output_{}", "cache_{}_read")
PRICE_KEYS = frozenset(
    {
        *("input", "output", "cache_read", "cache_write", "cache_write_1h"),
        *(kind.format(what) for kind in _KINDS for what in ("audio", "image", "video")),
        *("output_reasoning", "output_citation"),
        *("requests", "web_searches", "social_searches", "storage_searches", "code_executions"),
    }
)
"""Keys of a price table: tokens in US dollars per million; requests, searches and code executions in US
dollars per thousand."""

MCP_KEYS = frozenset(
    {"command", "url", "env", "headers", "prefix", "only", "approve", "timeout", "start_timeout", "transport"}
)
"""Keys of a table `[mcp.NAME]`: the arguments of `llmkit.mcp`."""

ReplayMode = Literal["off", "auto", "only"]
"""`auto` replays a recorded answer, otherwise calls and records; `only` never calls."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Values from the environment and the settings files.

    Attributes:
        model: Default model, an alias or `provider:model` (`LLMKIT_MODEL`, `LLM_DEFAULT_MODEL`).
        temperature: Default temperature (`LLMKIT_TEMPERATURE`, `LLM_DEFAULT_TEMPERATURE`).
        max_tokens: Default limit of an answer, in tokens (`LLMKIT_MAX_TOKENS`, `LLM_MAX_TOKENS`).
        timeout: Default limit of a call, in seconds (`LLMKIT_TIMEOUT`, `LLM_TIMEOUT`).
        sandbox: Whether the sandbox answers for every provider (`LLMKIT_SANDBOX`).
        replay: Whether recorded answers are replayed (`LLMKIT_REPLAY`).
        replay_file: File of recordings (`LLMKIT_REPLAY_FILE`); in a settings file, relative to it.
        aliases: The user's model aliases.
        prices: The user's prices by model, in US dollars per million tokens.
        base_models: The model behind a name, by `provider:name`, for its price; for deployments on Azure.
        base_urls: Base URLs by provider.
        projects: The project file, by provider for which it sets the base URL.
        dotenv: Whether keys are read from a `.env` in the current folder; only your own file may set it.
        magics: Defaults of the magics, by the names that `%config LLMMagics` lists.
        mcp: MCP servers by name, as for `llmkit.mcp`; only your own file may set them.
        otel: Whether spans are made (`LLMKIT_OTEL`, which no file may set); `None` if a provider is set.
    """

    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    timeout: float | None = None
    sandbox: bool = False
    replay: ReplayMode = "off"
    replay_file: str | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    base_models: Mapping[str, str] = field(default_factory=dict)
    base_urls: Mapping[str, str] = field(default_factory=dict)
    projects: Mapping[str, str] = field(default_factory=dict)
    dotenv: bool = False
    magics: Mapping[str, Any] = field(default_factory=dict)
    mcp: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    otel: bool | None = None


def _number(value: Any) -> float:
    number = float(value)
    if not 0 <= number < float("inf"):
        raise ValueError("must be a finite number >= 0")
    return number


def _count(value: Any) -> int:
    count = int(value)
    if count < 1:
        raise ValueError("must be an integer >= 1")
    return count


def _flag(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in TRUE | FALSE:
        raise ValueError("must be 1 or 0")
    return word in TRUE


def _mode(value: Any) -> str:
    word = str(value).strip().lower()
    if word not in get_args(ReplayMode):
        raise ValueError("must be off, auto or only")
    return word


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be a non-empty string")
    return value.strip()


def _texts(value: Any) -> dict[str, str]:
    return {str(key): _text(text) for key, text in dict(value).items()}


def _prices(value: Any) -> dict[str, dict[str, float]]:
    return {str(model): _price(str(model), dict(entry)) for model, entry in dict(value).items()}


def price_table(value: Any) -> dict[str, dict[str, float]]:
    """Validate a price table in the form of `[tool.llmkit.prices]`.

    Example:
        >>> price_table({"my-model": {"input": "0.5", "output": 1.5}})
        {'my-model': {'input': 0.5, 'output': 1.5}}
    """
    try:
        return _prices(value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"Invalid price table: {str(error)[:200]}.",
            hint='Use the form {"my-model": {"input": 0.5, "output": 1.5}}, in dollars per million tokens.',
        ) from error


def _price(model: str, entry: dict[str, Any]) -> dict[str, float]:
    # A misspelt key would silently leave out a part of the price.
    if unknown := sorted(set(entry) - PRICE_KEYS):
        raise ValueError(f"the price of {model} has unknown keys: {', '.join(unknown)}")
    if "input" not in entry or "output" not in entry:
        raise ValueError(f"the price of {model} needs both input and output")
    return {key: _number(usd) for key, usd in entry.items()}


def _servers(value: Any) -> dict[str, dict[str, Any]]:
    servers = {str(name): dict(options) for name, options in dict(value).items()}
    for name, options in servers.items():
        if unknown := options.keys() - MCP_KEYS:
            raise ValueError(
                f"{name} has an unknown key {min(unknown)}; known: {', '.join(sorted(MCP_KEYS))}"
            )
        if ("url" in options) == ("command" in options):
            raise ValueError(f"{name} needs either command or url")
        if isinstance(options.get("command", []), str):
            raise ValueError(  # noqa: TRY004 - as for every other setting
                f'the command of {name} must be a list, e.g. ["uvx", "mcp-server-git"]'
            )
    return servers


_READERS: dict[str, Callable[[Any], Any]] = {
    "model": _text,
    "temperature": _number,
    "max_tokens": _count,
    "timeout": _number,
    "sandbox": _flag,
    "replay": _mode,
    "replay_file": _text,
    "aliases": _texts,
    "prices": _prices,
    "base_models": _texts,
    "base_urls": _texts,
    "dotenv": _flag,
    "magics": dict,  # traitlets checks the values
    "mcp": _servers,
    "otel": _flag,
}

_ENVIRONMENT = {
    "model": ("LLMKIT_MODEL", "LLM_DEFAULT_MODEL"),
    "temperature": ("LLMKIT_TEMPERATURE", "LLM_DEFAULT_TEMPERATURE"),
    "max_tokens": ("LLMKIT_MAX_TOKENS", "LLM_MAX_TOKENS"),
    "timeout": ("LLMKIT_TIMEOUT", "LLM_TIMEOUT"),
    "sandbox": ("LLMKIT_SANDBOX",),
    "replay": ("LLMKIT_REPLAY",),
    "replay_file": ("LLMKIT_REPLAY_FILE",),
    "otel": ("LLMKIT_OTEL",),
}
_VARIABLES = tuple(name for names in _ENVIRONMENT.values() for name in names)


def load() -> Settings:
    """Return the current settings.

    Example:
        >>> load().sandbox in (True, False)
        True
    """
    global _recent  # noqa: PLW0603 - a cache
    here = os.getcwd()  # noqa: PTH109 - a tenth of the CPU of Path.cwd()
    # The second is part of the cache key: an edited file is noticed within one second.
    second = int(time.monotonic())
    found = _load(here, second, environment.stamp())
    _recent = (second, found)
    return found


_recent: tuple[int, Settings] | None = None


def recent() -> Settings:
    """Return the settings as of the last `load` in this second, or load them.

    For the rest of a call that has loaded them: asking for the working directory gives the interpreter's
    lock away, and having it back costs more than the rest while other threads run.
    """
    if _recent is not None and _recent[0] == int(time.monotonic()):
        return _recent[1]
    return load()


def replay_mode() -> ReplayMode:
    """Return `load().replay`."""
    return load().replay


@lru_cache(maxsize=8)
def _load(folder: str, _second: int, _stamp: object) -> Settings:
    """Return the settings, read again if a variable changed; files are checked once a second."""
    values = _merged(_own_values(), *_file_values(Path(folder)))
    given = {name: text for name in _VARIABLES if (text := os.environ.get(name, "")).strip()}
    # Variables override files, because they apply to this process alone.
    for name, names in _ENVIRONMENT.items():
        if (variable := next((n for n in names if n in given), None)) is not None:
            values[name] = _read(name, given[variable], f"the environment variable {variable}")
    return Settings(**values)


def first_set(variables: tuple[str, ...]) -> str | None:
    """Return the first of these environment variables that is not blank."""
    return next((name for name in variables if os.environ.get(name, "").strip()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A base URL and its source.

    Attributes:
        url: The address, normalized.
        source: The variable or file that sets it.
        project: Whether only a project file sets it; keys are then not sent there without `llmkit.trust`.
    """

    url: str
    source: str
    project: bool = False


def manner(provider: catalog.Provider) -> addresses.Manner:
    """Return how a provider's base URLs are written."""
    return _manner(provider.name)


@lru_cache(maxsize=64)
def _manner(name: str) -> addresses.Manner:
    provider = catalog.providers()[name]
    return addresses.Manner(
        protocol=provider.protocol,
        home=provider.base_url or "",
        local=provider.local,
        path=provider.root,
        native=provider.native,
    )


def address(provider: catalog.Provider) -> Named | None:
    """Return a provider's base URL and its source: environment, then file, then catalogue."""
    for variable in provider.base_url_env:
        if given := os.environ.get(variable, "").strip(addresses.QUOTES):
            return Named(url=addresses.normalize(given, variable, manner(provider)), source=variable)
    found = load()
    if (text := found.base_urls.get(provider.name)) is not None:
        file = found.projects.get(provider.name)
        source = f"base_urls.{provider.name} in {file or user_file()}"
        return Named(
            url=addresses.normalize(text, source, manner(provider)), source=source, project=file is not None
        )
    return None if provider.base_url is None else Named(url=provider.base_url, source="the catalogue")


def base_url(provider: catalog.Provider) -> str | None:
    """Return a provider's base URL: from the environment, then the file, then the catalogue."""
    found = address(provider)
    return None if found is None else found.url


def check_environment_variables(required: tuple[str, ...] | None = None) -> None:
    """Check that the environment variables for keys are set.

    Args:
        required: Names of the variables; by default those of OpenAI, Anthropic and Google, for
            which any one of a provider's names is enough.

    Raises:
        ConfigurationError: If variables are missing; it is a `ValueError` and names them.

    Example:
        >>> check_environment_variables(())
    """
    if required is None:
        known = catalog.providers()
        missing = [
            known[name].key_env[0]
            for name in ("openai", "anthropic", "google")
            if first_set(known[name].key_env) is None
        ]
    else:
        missing = [name for name in required if first_set((name,)) is None]
    if missing:
        from llmkit.core import runtimes

        raise ConfigurationError(
            f"Missing environment variables: {', '.join(missing)}.",
            hint=f"Set them, run {runtimes.command('key PROVIDER')}, or use the sandbox, which needs no key.",
        )


def user_file() -> Path:
    """Return the path of the user's own settings file.

    Example:
        >>> user_file().name
        'llmkit.toml'
    """
    from platformdirs import user_config_path

    return user_config_path("llmkit", appauthor=False) / "llmkit.toml"


def _own_values() -> Mapping[str, Any]:
    """Return the values of the user's own settings file."""
    path = user_file()
    try:
        stamp = path.stat().st_mtime_ns
    except OSError:
        return {}
    return _parse(path, stamp) or {}


def _file_values(folder: Path) -> tuple[Mapping[str, Any], Path | None]:
    """Return the values and path of the nearest project file at or above a folder."""
    own = user_file()
    for place in (folder, *folder.parents):
        for path in (place / "llmkit.toml", place / "pyproject.toml"):
            try:
                stamp = path.stat().st_mtime_ns
            except OSError:
                continue
            # A folder may lie below the user's own settings file, which is not a project's.
            if path != own and (values := _parse(path, stamp)) is not None:
                return values, path
    return {}, None


def _merged(own: Mapping[str, Any], project: Mapping[str, Any], file: Path | None) -> dict[str, Any]:
    """Override the user's values with the project's; tables are merged."""
    if "dotenv" in project:
        raise ConfigurationError(
            f"dotenv in {file} is ignored: a project must not choose the source of your keys.",
            hint=f"Set it in your own {user_file()}.",
        )
    if "mcp" in project:
        raise ConfigurationError(
            f"mcp in {file} is refused: a project must not choose commands that run on your computer.",
            hint=f"Move the table to your own {user_file()}.",
        )
    tables = {
        name: {**own.get(name, {}), **project.get(name, {})}
        for name in ("aliases", "prices", "base_models", "base_urls", "magics")
        if name in own or name in project
    }
    # Keys are not sent to these addresses until the user trusts them.
    projects = dict.fromkeys(project.get("base_urls", ()), str(file))
    return {**own, **project, **tables, **({"projects": projects} if projects else {})}


@lru_cache(maxsize=64)
def _parse(path: Path, _stamp: int) -> Mapping[str, Any] | None:
    """Read one file; the stamp is a cache key that changes when the file is edited."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        if path.name == "pyproject.toml":
            return None  # other tools report errors in this file
        raise ConfigurationError(f"Cannot read {path}: {error}.") from error
    table = data if path.name == "llmkit.toml" else data.get("tool", {}).get("llmkit")
    if table is None:
        return None
    known = {f.name for f in fields(Settings)} - {"projects", "otel"}
    if unknown := sorted(set(table) - known):
        raise ConfigurationError(
            f"{path} has unknown settings: {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
        )
    values = {name: _read(name, value, str(path)) for name, value in table.items()}
    if (file := values.get("replay_file")) is not None:
        # Relative to the settings file, because the current folder differs between tools.
        values["replay_file"] = str(path.parent / Path(file).expanduser())
    return values


def _read(name: str, value: Any, source: str) -> Any:
    try:
        return _READERS[name](value)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"Invalid {name} = {value!r} in {source}: {error}.") from error
