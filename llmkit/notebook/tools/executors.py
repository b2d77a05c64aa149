"""Where a run on the bridge has its tools run: on the kernel's main thread, or on the thread that waits."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import signal
import threading
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Protocol

from llmkit.clients.tools.execution import Job
from llmkit.notebook.shell import has_kernel, remembered_output
from llmkit.notebook.tool_runs import Turn
from llmkit.notebook.tools.asking import ask_person

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from llmkit.clients.tools.execution import Question


class Executor(Protocol):
    """Runs tools; every method is for the bridge's event loop."""

    async def run(self, job: Job) -> None:
        """Run a tool to its end; a cancelled one is interrupted where that is possible."""

    async def ask(self, question: Question, allowed: set[str]) -> None:
        """Let the person at the keyboard answer, by `input()`."""


class KernelExecutor:
    """Runs tools on the kernel's main thread, between its cells.

    They see the user's objects as cells do, and what they print goes below the output that showed the chat.

    Args:
        shell: The IPython shell; without a kernel, tools run in a thread of their own.
        context: Context of the output that showed the chat; that of the caller by default.
    """

    def __init__(self, shell: Any, context: Context | None = None) -> None:
        self._shell = shell
        self._context = copy_context() if context is None else context

    async def run(self, job: Job) -> None:
        """Run a tool; one that can be awaited runs on the bridge."""
        if runs_async(job) or not has_kernel(self._shell):
            await job.run_async()
            return
        await self._on_main_thread(_Interruptible(job))
        await job.settle()

    async def ask(self, question: Question, allowed: set[str]) -> None:
        """Ask in the running cell."""
        if has_kernel(self._shell):
            await self._on_main_thread(_Asking(question, allowed))

    def _begin(self, work: _Work) -> None:
        with remembered_output(self._shell):
            work.begin()

    async def _on_main_thread(self, work: _Work) -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        context = self._context.copy()  # a context can be entered only once at a time

        def call() -> None:
            try:
                context.run(self._begin, work)
            finally:
                loop.call_soon_threadsafe(over.set)

        self._shell.kernel.io_loop.add_callback(call)
        try:
            await over.wait()
        finally:
            work.stop()


class CallerExecutor:
    """Hands tools and questions to the thread that waits for the answer, e.g. a cell's."""

    def __init__(self) -> None:
        self._turns: asyncio.Queue[Turn | None] = asyncio.Queue()
        self.allowed: set[str] = set()

    async def run(self, job: Job) -> None:
        """Run a tool; one that can be awaited runs on the bridge."""
        if runs_async(job):
            await job.run_async()
        else:
            await self._do(job)
            await job.settle()

    async def ask(self, question: Question, allowed: set[str]) -> None:
        """Ask on the thread that waits."""
        self.allowed = allowed
        await self._do(question)

    async def _do(self, task: Question | Job) -> None:
        turn = Turn(task)
        self._turns.put_nowait(turn)
        await turn.ended()

    async def serve(self, task: asyncio.Task[Any]) -> AsyncGenerator[Turn, None]:
        """Yield what the waiting thread has to do, until a task is over."""
        task.add_done_callback(lambda _: self._turns.put_nowait(None))
        try:
            while (turn := await self._turns.get()) is not None:
                yield turn
        finally:
            task.cancel()
            await asyncio.wait([task])

    def take(self, turn: Turn) -> None:
        """Do on this thread what a run waits for."""
        try:
            if isinstance(turn.task, Job):
                turn.task.run()
            else:
                ask_person(turn.task, self.allowed)
        finally:
            turn.end()


def runs_async(job: Job) -> bool:
    """Whether a tool can be awaited on the bridge, and cancelled there."""
    function = job.tool.function
    return inspect.iscoroutinefunction(getattr(function, "run_async", function))


class _Work(Protocol):
    """Something to do on the main thread."""

    def begin(self) -> None:
        """Do it, there."""

    def stop(self) -> None:
        """Leave it, or interrupt it if it has begun; from any thread, also when it is over."""


class _Asking:
    """A question to the person at the keyboard."""

    def __init__(self, question: Question, allowed: set[str]) -> None:
        self._question = question
        self._allowed = allowed
        self._stopped = False

    def begin(self) -> None:
        if not self._stopped:
            ask_person(self._question, self._allowed)

    def stop(self) -> None:
        self._stopped = True


class _Interruptible:
    """A tool on the main thread: a stop, or Jupyter's interrupt, ends it there."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._lock = threading.Lock()
        self._state = "waiting"

    def begin(self) -> None:
        try:
            with _interrupts(self._is_running):
                if self._enter():
                    try:
                        self._job.run()
                    finally:
                        self._leave()
        except KeyboardInterrupt as interrupt:  # it came just before the tool's first line, or after its last
            self._job.error = self._job.error or interrupt

    def stop(self) -> None:
        with self._lock:
            if self._state == "running":
                self._state = "stopping"
                _interrupt_main_thread()
            elif self._state == "waiting":
                self._state = "over"

    def _is_running(self) -> bool:
        return self._state in {"running", "stopping"}

    def _enter(self) -> bool:
        with self._lock:
            if self._state == "waiting":
                self._state = "running"
            return self._state == "running"

    def _leave(self) -> None:
        with self._lock:
            self._state = "over"


@contextlib.contextmanager
def _interrupts(wanted: Callable[[], bool]) -> Iterator[None]:
    """Let an interrupt raise `KeyboardInterrupt` while it is wanted; between cells a kernel ignores them."""

    def raise_if_wanted(*_: object) -> None:
        if wanted():
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # a kernel within another program
        yield
        return
    before = signal.signal(signal.SIGINT, raise_if_wanted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt_main_thread() -> None:
    """Send the main thread an interrupt, also while it sleeps."""
    if hasattr(signal, "pthread_kill"):
        main = threading.main_thread().ident
        assert main is not None
        signal.pthread_kill(main, signal.SIGINT)
    else:  # Windows
        signal.raise_signal(signal.SIGINT)
