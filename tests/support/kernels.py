"""A real Jupyter kernel for the tests."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import AsyncKernelManager, KernelManager
from traitlets import default

from tests.support.waiting import SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jupyter_client.blocking.client import BlockingKernelClient


class _OnFiles:
    """Sockets that are files: a free port may be taken by others before the kernel has bound it."""

    @default("transport")
    def _transport_default(self) -> str:
        return "ipc"

    @default("connection_file")
    def _connection_file_default(self) -> str:
        return str(Path(os.environ["JUPYTER_RUNTIME_DIR"], f"{uuid.uuid4().hex[:12]}.json"))


class Manager(_OnFiles, KernelManager):
    """Starts kernels for the tests."""


class AsyncManager(_OnFiles, AsyncKernelManager):
    """The same, for `NotebookClient`."""


RUNNING = {"kernel_manager_class": AsyncManager, "timeout": SECONDS, "startup_timeout": SECONDS}
"""How `NotebookClient` runs a notebook for the tests."""


def start_kernel(**options: Any) -> tuple[Manager, BlockingKernelClient]:
    """Start a kernel and wait until it answers."""
    manager = Manager(kernel_name="python3")
    manager.start_kernel(**options)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=SECONDS)
    except RuntimeError:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        raise
    return manager, client


@dataclass
class Result:
    """What one cell did: its outputs as a notebook would save them, and the reply."""

    outputs: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    reply: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        return self.reply["status"]

    @property
    def text(self) -> str:
        """All that was printed."""
        return "".join(o["text"] for o in self.outputs if "text" in o)

    def data(self, mime: str) -> list[Any]:
        return [o["data"][mime] for o in self.outputs if mime in o.get("data", {})]


class Kernel:
    """Runs cells in a kernel process of its own.

    Args:
        folder: Its working folder.
        environment: Variables that differ from the test's own.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self.manager, self.client = start_kernel(cwd=str(folder), env={**os.environ, **environment})

    def run(
        self,
        code: str,
        *,
        during: Callable[[Kernel, Result], None] | None = None,
        seconds: float = SECONDS,
        answers: Sequence[str] | None = None,
    ) -> Result:
        """Run a cell to its end and apply its messages as a front end does.

        Args:
            code: The cell.
            during: Called after every message, e.g. to interrupt.
            seconds: When to give up.
            answers: What a person types, in order; `None` if there is nobody.
        """
        result, places, clear = Result(), {}, False
        # After an error, some kernels would refuse a cell that comes soon.
        request = self.client.execute(code, allow_stdin=answers is not None, stop_on_error=False)
        typed = iter(answers or ())
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                message = self.client.get_iopub_msg(timeout=1 if answers is None else 0.2)
            except Empty:
                self._type(typed)
                continue
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            result.messages.append(message)
            if kind == "status" and content["execution_state"] == "idle":
                break
            if kind == "clear_output":
                clear = content["wait"]
                result.outputs = result.outputs if clear else []
            elif kind == "update_display_data":
                for output in places.get(content["transient"]["display_id"], []):
                    output["data"] = content["data"]
            elif kind in {"display_data", "execute_result", "stream", "error"}:
                result.outputs = [] if clear else result.outputs
                clear = False
                output = {"type": kind, **content}
                result.outputs.append(output)
                if place := content.get("transient", {}).get("display_id"):
                    places.setdefault(place, []).append(output)
            if during is not None:
                during(self, result)
        else:
            pytest.fail(f"The cell did not end: {code}")
        result.reply = self._reply(request)
        return result

    def _type(self, typed: Iterator[str]) -> None:
        """Answer a question of the kernel, if it asks one."""
        try:
            self.client.get_stdin_msg(timeout=0.05)
        except Empty:
            return
        self.client.input(next(typed))

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()

    def _reply(self, request: str) -> dict[str, Any]:
        while True:
            message = self.client.get_shell_msg(timeout=SECONDS)
            if message["parent_header"].get("msg_id") == request:
                return message["content"]
