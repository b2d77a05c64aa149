"""A PostgreSQL of the tests' own, from Debian's binaries, in a temporary folder and on loopback.

It starts when the first test of a process needs it, and ends with the process. Each test has a database of
its own: the fixture `postgres` in `tests/conftest.py`, or `fresh_database()`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    import pwd
    from collections.abc import Iterator

ADMIN, PASSWORD = "admin", "an-administrators-password"
"""The superuser of the server, and the password of every role."""

CONFIGURATION = """
fsync = off
full_page_writes = off
shared_buffers = 16MB
max_connections = 60
autovacuum = off
restart_after_crash = off
log_min_messages = fatal
"""
RULES = """
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
"""
PATIENCE = 60

_server: PostgresServer | None = None
_starter = ThreadPoolExecutor(1)
"""Its thread is the servers' parent: the kernel tells them about the end of a thread, not of a process."""


def binaries() -> Path:
    """Return the folder of the newest PostgreSQL's programs; without one skip the test, but fail it in CI."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    reason = "needs PostgreSQL: apt-get install postgresql"
    return pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


class PostgresServer:
    """A server, which kills may hit.

    Attributes:
        folder: Its data, its log and its socket.
        port: Its port on 127.0.0.1.
    """

    def __init__(self) -> None:
        self._programs = binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="llmkit-pg-"))
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._create()
        self.start()

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        end = time.monotonic() + PATIENCE
        while not self._started(end):  # after a kill its children may hold the shared memory for a moment
            assert time.monotonic() < end, self.log()

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server: end all connections, or as if its machine had lost power."""
        self._end(signal.SIGQUIT if immediate else signal.SIGINT)

    def kill(self) -> None:
        """Kill the server with -9, and those of its processes that would serve on for a moment."""
        served = psutil.Process(self._process.pid).children() if self._process is not None else []
        self._end(signal.SIGKILL)
        for process in served:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(served, PATIENCE)

    @contextlib.contextmanager
    def halted(self) -> Iterator[None]:
        """Halt the server's processes: it accepts connections, and never answers."""
        assert self._process is not None
        process = psutil.Process(self._process.pid)
        process.suspend()  # first, so that it starts no more
        processes = [process, *process.children()]
        for one in processes[1:]:
            one.suspend()
        try:
            yield
        finally:
            for one in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.resume()

    def restart(self) -> None:
        """Stop the server and start it again."""
        self.stop()
        self.start()

    def put_file(self, name: str, data: bytes) -> None:
        """Put a file among the server's data, readable by the server only."""
        path = self.folder / "data" / name
        path.write_bytes(data)
        path.chmod(0o600)
        _give(path)

    def remove(self) -> None:
        """Stop the server and delete its folder."""
        self.stop(immediate=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """Return what the server has written."""
        return (self.folder / "log").read_text(errors="replace")

    def url(self, database: str, user: str = ADMIN, password: str = PASSWORD) -> str:
        """Return the address of a database for a user."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, *values: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as the administrator; return its rows."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            rows = cursor.fetchall() if cursor.description else []
        connection.close()
        return rows

    def create_database(self) -> str:
        """Create an empty database; return its name."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def drop_database(self, name: str) -> None:
        """Delete a database; its connections end."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def create_role(self, name: str, options: str = "") -> None:
        """Create a role that may log in with `PASSWORD`, unless it exists."""
        if not self.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", name):
            self.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' {options}")

    def disconnect(self, database: str) -> int:
        """Break the connections to a database; return their number."""
        ended = self.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", database
        )
        return len(ended)

    def _create(self) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD)
        _give(self.folder, password)
        command = ["initdb", "-D", "data", "-U", ADMIN, "--pwfile=password", "-A", "scram-sha-256"]
        options = ["-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
        made = self._popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = made.communicate(timeout=PATIENCE)[0]
        assert made.returncode == 0, said
        (self.folder / "data/pg_hba.conf").write_text(RULES)
        with (self.folder / "data/postgresql.conf").open("a") as file:
            file.write(CONFIGURATION)

    def _started(self, end: float) -> bool:
        options = ["-p", str(self.port), "-h", "127.0.0.1", "-k", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self._process = self._popen(["postgres", "-D", "data", *options], stdout=log, stderr=log)
        while self._process.poll() is None and time.monotonic() < end:
            if self.is_ready():
                return True
            time.sleep(0.02)
        return False

    def is_ready(self) -> bool:
        """Return whether the server takes connections."""
        command = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def _end(self, sign: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(sign)
            self._process.wait(PATIENCE)
            self._process = None

    def _popen(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a program in the folder, as a user that PostgreSQL accepts."""
        program = [str(self._programs / command[0]), *command[1:]]
        if (user := _other_user()) is not None:
            options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        if setpriv := shutil.which("setpriv"):  # so that the server ends with the tests, even after kill -9
            program = [setpriv, "--pdeathsig", "INT", *program]
        # A terminal's Ctrl-C is for the tests alone.
        popen = partial(subprocess.Popen, program, cwd=self.folder, process_group=0, **options)
        return _starter.submit(popen).result()


def server() -> PostgresServer:
    """Return the server of this process; start it if needed."""
    global _server  # noqa: PLW0603 - one for all tests of a process
    if _server is None:
        _server = PostgresServer()
    return _server


def remove_server() -> None:
    """End the server of this process, if there is one."""
    global _server  # noqa: PLW0603 - as above
    if _server is not None:
        _server.remove()
        _server = None


@contextlib.contextmanager
def fresh_database(user: str = ADMIN) -> Iterator[str]:
    """Yield the address of an empty database, which is deleted afterwards."""
    here = server()
    name = here.create_database()
    try:
        yield here.url(name, user)
    finally:
        here.drop_database(name)


def _other_user() -> pwd.struct_passwd | None:
    import pwd  # Windows has none

    return pwd.getpwnam("nobody") if os.getuid() == 0 else None


def _give(*paths: Path) -> None:
    if (user := _other_user()) is not None:
        for path in paths:
            os.chown(path, user.pw_uid, user.pw_gid)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
