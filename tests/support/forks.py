"""Child processes that start at once: a process that has imported everything forks them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Self

from tests.support.processes import unmeasured

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOOP = """
import json, os, sys
for line in sys.stdin:
    child = os.fork()
    if not child:
        given = json.loads(line)
        os.environ.update(given["environment"])
        sys.exit(work(*given["arguments"]))
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forks:
    """Runs a script's function `work` in processes, one after the other.

    Args:
        script: The script; it must not start threads.
    """

    def __init__(self, script: str) -> None:
        self._script = script

    def __enter__(self) -> Self:
        # A fork copies the locks of other threads, so the parent has none.
        command = [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", self._script + _LOOP]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=unmeasured() | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        return self

    def __exit__(self, problem: object, *_: object) -> None:
        if problem is not None:  # a process may still run
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate(timeout=60)

    def start(self, *arguments: object, environment: Mapping[str, str]) -> int:
        """Start a process; return its number."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"arguments": arguments, "environment": dict(environment)}))
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return int(self._line())

    def wait(self) -> int:
        """Wait for the process that was started; return its exit code, negative if a signal ended it."""
        return int(self._line())

    def kill(self, process: int) -> None:
        """Kill the process that was started, and wait for its end."""
        os.kill(process, signal.SIGKILL)
        assert self.wait() == -signal.SIGKILL

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "The process that forks the others has ended."
        return line
