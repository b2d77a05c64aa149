"""The identity of a process, by which another one can tell later whether it is still alive.

A wrong "dead" would book a living call as lost, so every doubt counts as alive: other hosts, containers, and
systems that do not tell when a process began.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import platform
import uuid
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

_FIRST_NAMESPACE = "pid:[4026531836]"
"""The namespace of processes outside of all containers; the number is fixed in Linux."""

_TOLERANCE = 2.0
"""Seconds by which two readings of the start of a process may differ, where it is a time of day."""


class Process(NamedTuple):
    """A process.

    Attributes:
        host: The machine: its identifier and its name.
        boot: Identifier of the machine's start; empty where the system has none.
        namespace: The container in which `pid` counts; empty where the system has none.
        pid: Its number.
        start: When it began, in the system's own unit; empty if unknown.
    """

    host: str
    boot: str
    namespace: str
    pid: int
    start: str

    def text(self) -> str:
        """Return it as text, equal for equal processes."""
        return json.dumps(self)

    @classmethod
    def parse(cls, text: str) -> Process | None:
        """Return the process that `text` describes, `None` if it is not one."""
        try:
            host, boot, namespace, pid, start = json.loads(text)
            return cls(str(host), str(boot), str(namespace), int(pid), str(start))
        except (TypeError, ValueError):
            return None


def current() -> Process:
    """Return this process."""
    pid = os.getpid()
    host, boot, namespace = _place()
    return Process(host, boot, namespace, pid, _start(pid) or "")


@cache
def owner() -> str:
    """Return this process as text; a forked child is another one."""
    return current().text()


with contextlib.suppress(AttributeError):  # Windows does not fork
    os.register_at_fork(after_in_child=owner.cache_clear)


def is_alive(process: Process) -> bool | None:
    """Return whether a process is alive; `None` if that cannot be known from here.

    Example:
        >>> is_alive(current()), is_alive(current()._replace(host="another"))
        (True, None)
    """
    host, boot, namespace = _place()
    if process.host != host:
        return None
    if process.boot != boot:
        # In a container, host and name may be those of its image, and the other boot that of another machine.
        outside = process.namespace.startswith(_FIRST_NAMESPACE) and namespace.startswith(_FIRST_NAMESPACE)
        return False if outside else None
    if process.namespace != namespace:
        return None
    return _is_running(process)


def _is_running(process: Process) -> bool | None:
    """Whether a process of this namespace runs."""
    if os.name == "posix" and not _exists(process.pid):
        return False
    start = _start(process.pid)
    if not start or not process.start:
        return None
    if "." not in start:  # Linux: counted in ticks since the boot, and so always the same
        return start == process.start
    return abs(float(start) - float(process.start)) <= _TOLERANCE


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # sends nothing
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@cache
def _place() -> tuple[str, str, str]:
    """Return this host, its boot and its namespace."""
    name = platform.node()
    if not Path("/proc/self/stat").exists():
        return f"{uuid.getnode():x} {name}", "", ""
    host = f"{_read('/etc/machine-id') or _read('/var/lib/dbus/machine-id')} {name}"
    # Clocks of processes can differ between time namespaces, too.
    namespace = f"{_link('/proc/self/ns/pid')} {_link('/proc/self/ns/time')}"
    return host, _read("/proc/sys/kernel/random/boot_id"), namespace


def _start(pid: int) -> str | None:
    """Return when a process began; `None` if that is unknown, an empty text never."""
    if _place()[1]:
        return _ticks(_read(f"/proc/{pid}/stat"))
    psutil = _psutil()
    if psutil is None:
        return None
    try:
        return f"{psutil.Process(pid).create_time():.3f}"
    except psutil.NoSuchProcess:
        return "0.0"
    except psutil.Error:
        return None


def _ticks(stat: str) -> str | None:
    """Read the start from `/proc/PID/stat`; it is another one if the process only waits to be reaped."""
    fields = stat.rpartition(")")[2].split()  # the name before may contain anything
    if len(fields) < 20:
        return None
    state, threads, start = fields[0], fields[17], fields[19]
    return "ended" if state in {"Z", "X"} and int(threads) <= 1 else start


def _psutil() -> Any:
    """Return psutil, which comes with ipykernel; `None` without it."""
    try:
        return importlib.import_module("psutil")
    except ImportError:
        return None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - the link of a namespace is no path
    except OSError:
        return ""
