"""What every test has: no keys, no settings and no network but this machine's own."""

from __future__ import annotations

import gc
import ipaddress
import logging
import os
import signal
import socket
import sys
import tempfile
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from llmkit import records, sandbox
from llmkit.core import catalog
from tests.support import callers, products
from tests.support import postgres as postgres_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from llmkit.records import CallIntent, CallRecord

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: `pytest &` in a script
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A shared machine may stall for a second; a slow example is no failure.
hypothesis.settings.register_profile("full", deadline=None, max_examples=100)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=20)

FOLDERS = ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "IPYTHONDIR", "MPLCONFIGDIR")
JUPYTER = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR")

outside: list[str] = []
"""Where tests tried to connect to; each one fails its test."""


FORMER_HTTP = ("ByteStream.__aiter__", "safe_async_iterate")
"""httpx, and some releases of httpx2, leave these generators to the loop, which closes them too late."""


def is_local(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if not name or name == "localhost":
        return True
    try:
        return ipaddress.ip_address(str(name)).is_loopback
    except ValueError:
        return False


def watch_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what would leave this machine; `*.invalid` is refused as a name server would."""
    if event == "socket.connect":
        host = arguments[1][0] if isinstance(arguments[1], tuple) else None
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if is_local(host):
        return
    name = host.decode() if isinstance(host, bytes) else str(host)
    if not name.endswith(".invalid"):
        outside.append(name)
    raise socket.gaierror(socket.EAI_NONAME, f"no network in tests: {host}")


def _watched(event: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def watched(*arguments: Any, **options: Any) -> Any:
        watch_network(event, arguments)
        return function(*arguments, **options)

    return watched


if sys.gettrace() is None:
    sys.addaudithook(watch_network)
else:
    # While coverage measures with a trace function: a hook in Python makes threads that start at once fail,
    # because Python 3.11 takes no trace function while the hook hears of another.
    socket.getaddrinfo = _watched("socket.getaddrinfo", socket.getaddrinfo)
    socket.socket.connect = _watched("socket.connect", socket.socket.connect)  # type: ignore[method-assign]


def provider_variables() -> list[str]:
    """Return the variables that would lead a test to a real provider or to the user's settings."""
    known = [name for p in catalog.providers().values() for name in (*p.key_env, *p.base_url_env)]
    ours = [name for name in os.environ if name.startswith(("LLM_", "LLMKIT_"))]
    proxies = [name for name in os.environ if name.lower().endswith("_proxy")]
    return [*known, *ours, *proxies]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run whole products and more examples, as CI does")


def pytest_configure(config: pytest.Config) -> None:
    # jsonschema makes a parser of IRIs at import if this is installed: 0.7 s for a format that no test has.
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]
    hypothesis.settings.load_profile("full" if config.getoption("full") else "quick")
    gc.disable()  # until the tests are collected: their objects stay, and searching them takes seconds


def pytest_collection_finish() -> None:
    gc.enable()
    gc.collect()
    gc.freeze()  # what is there by now is not searched again by any collection during the tests


def pytest_unconfigure() -> None:
    postgres_server.remove_server()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out soaks and, without `--full`, most of a product, unless they are asked for by name."""
    products.mark_full([item for item in items if item.get_closest_marker("product")])
    wanted = config.option.markexpr
    left_out = {name for name in ("full", "soak") if name not in wanted}
    if config.getoption("full"):
        left_out.discard("full")
    if any("::" in argument for argument in config.args):
        return
    out = [item for item in items if any(item.get_closest_marker(name) for name in left_out)]
    if out:
        config.hook.pytest_deselected(items=out)
        gone = set(out)
        items[:] = [item for item in items if item not in gone]


@pytest.fixture(scope="session", autouse=True)
def _apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    home = tmp_path_factory.mktemp("home")
    # The files of kernels' sockets: their paths must be short.
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="llmkit-") as runtime:
        for name in provider_variables():
            patch.delenv(name, raising=False)
        for name in (*FOLDERS, *JUPYTER):
            patch.setenv(name, str(home if name == "HOME" else home / name.lower()))
        patch.setenv("JUPYTER_RUNTIME_DIR", runtime)
        patch.setenv("LLMKIT_LEDGER", ":memory:")
        patch.setenv("LLMKIT_SANDBOX_RATE", "0")
        patch.setenv("LLMKIT_SANDBOX_FIRST_TOKEN", "0")
        yield


@pytest.fixture(scope="module", autouse=True)
def _little_to_search() -> None:
    """Take what earlier modules left from the collector's lists: a search of all of it takes a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    outside.clear()
    yield
    if replay := sys.modules.get("llmkit.clients.cassettes.replay"):
        replay._chosen = None  # what one test switched on is off for the next
    assert not outside, f"the test tried to leave this machine: {outside}"


class MemoryRecorder:
    """A recorder that keeps what it is given; its futures can be held back."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []
        self.intents: list[CallIntent] = []
        self.alone: list[bool] = []
        self.held: list[Future[bool]] | None = None

    def record(self, record: CallRecord, *, alone: bool = False) -> Future[bool]:
        self.records.append(record)
        self.alone.append(alone)
        future: Future[bool] = Future()
        future.set_running_or_notify_cancel()
        if self.held is None:
            future.set_result(True)
        else:
            self.held.append(future)
        return future

    def intend(self, intent):
        self.intents.append(intent)

    def guard(self, cap_nanos):
        return None

    def hold(self) -> list[Future[bool]]:
        self.held = []
        return self.held

    @property
    def last(self) -> CallRecord:
        return self.records[-1]

    @property
    def statuses(self) -> list[str]:
        return [record.status for record in self.records]


@pytest.fixture
def recorder() -> Iterator[MemoryRecorder]:
    ledger = MemoryRecorder()
    before = records.set_recorder(lambda: ledger)
    yield ledger
    if before is not None:
        records.set_recorder(before)


@pytest.fixture
def server() -> Iterator[sandbox.SandboxServer]:
    with sandbox.start(rate=0, first_token=0) as running:
        yield running


@pytest.fixture
def postgres() -> Iterator[str]:
    """The address of an empty database, for its administrator."""
    with postgres_server.fresh_database() as url:
        yield url


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test after which asyncio or the collector complains: a forgotten task, an open socket."""
    yield
    gc.collect()
    said = [r.getMessage() for r in caplog.records if r.name == "asyncio" and r.levelno >= logging.WARNING]
    former = FORMER_HTTP if "TESTED_ENVIRONMENT" in os.environ else ()
    assert not [message for message in said if not any(name in message for name in former)]


@pytest.fixture(params=callers.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Every kind of client; `own …` stands on a user's own SDK client."""
    return str(request.param)


@pytest.fixture(params=["openai", "anthropic", "google"])
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)
