"""Functions that are called at the start and at the end of every call: `on_call`.

The list is replaced, never changed: calls read it without a lock, and keep the hooks that saw their start.
A `Tracer` is a hook that also sees what is around calls; `llmkit.otel` has the only one.
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import os
import threading
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from llmkit.core.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from llmkit.content.messages import LLMMessage, LLMResponse
    from llmkit.content.parts import ToolCall
    from llmkit.records import CallContext, CallRecord, Surface

T = TypeVar("T")

logger = logging.getLogger("llmkit.hooks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A call that is about to be sent or replayed; its record has the same `uid` and `time`.

    Attributes:
        uid: Identifier of the call.
        time: When it began (aware, UTC).
        provider: Provider of the first request; a fallback may answer.
        model: Model of the first request.
        context: Where the call is made.
        messages: The prompt, by reference: nothing is copied for a hook that does not read it.
        replayed: Whether a recording answers.
        simulated: Whether the sandbox answers, as far as that is known.
    """

    uid: str
    time: datetime
    provider: str
    model: str
    context: CallContext
    messages: tuple[LLMMessage, ...]
    replayed: bool
    simulated: bool

    @property
    def surface(self) -> Surface:
        """What made the call: `"magic"`, `"chat"`, `"api"`, `"batch"`, `"table"` or `"cli"`."""
        return self.context.surface

    @property
    def notebook(self) -> str | None:
        """File name of the notebook."""
        return self.context.notebook

    @property
    def cell_id(self) -> str | None:
        """Identifier of the cell."""
        return self.context.cell_id

    @property
    def tags(self) -> Mapping[str, str]:
        """The labels of the call."""
        return self.context.tags


@dataclass(frozen=True, slots=True, eq=False)  # each registration is its own, also of the same functions
class Hook:
    """What is called for a call; see `on_call`."""

    start: Callable[[Started], object] | None = None
    end: Callable[[CallRecord, Any], object] | None = None


class Hooks:
    """A list of hooks."""

    def __init__(self) -> None:
        self.current: tuple[Hook, ...] = ()

    def add(self, hook: Hook) -> Callable[[], None]:
        """Add a hook, and return the function that removes it."""
        with _adding:
            self.current = (*self.current, hook)

        def unsubscribe() -> None:
            with _adding:
                self.current = tuple(other for other in self.current if other is not hook)

        return unsubscribe

    def end(self, record: CallRecord, outcome: LLMResponse | BaseException | None) -> None:
        """Call all that is to be called at the end of a call."""
        for hook in self.current:
            if hook.end is not None:
                safely(hook.end, hook.end, record, outcome)


_adding = threading.RLock()
"""Held for a moment; re-entrant, because the garbage collector may end a call meanwhile."""


class Tracer(Protocol):
    """Makes spans of calls, and of what they are parts of.

    Attributes:
        hook: Sees the calls.
    """

    @property
    def hook(self) -> Hook:
        """What sees the calls."""
        ...

    def sending(self, uid: str, address: str, *, foreign: bool) -> AbstractContextManager[Mapping[str, str]]:
        """Make the span of a call the current one while its request is sent.

        Args:
            uid: Identifier of the call.
            address: The server.
            foreign: Whether code sends that may make a span of its own for the same call.

        Returns:
            A context manager of the headers to send.
        """
        ...

    def headers(self) -> Mapping[str, str]:
        """Return the headers that continue the current trace."""
        ...

    def job(self, name: str) -> AbstractContextManager[object]:
        """Make a span of a job with many calls, and the current one."""
        ...

    def run(self, uid: str, provider: str) -> AbstractContextManager[object]:
        """Make a span of a run with tools; its steps and tools find it by its identifier."""
        ...

    def tool(self, run: str, call: ToolCall) -> ToolSpan:
        """Make a span of a call of a tool."""
        ...


class ToolSpan(Protocol):
    """The span of a call of a tool."""

    def current(self) -> AbstractContextManager[object]:
        """Make it the current one, while the tool runs."""
        ...

    def end(self, result: str, error: BaseException | None) -> None:
        """End it, with what the model is told, or what the tool raised."""
        ...


UNTRACED: AbstractContextManager[Mapping[str, str]] = contextlib.nullcontext({})
"""What is around a request without a tracer."""

_hooks = Hooks()
_tracer: Callable[[], Tracer | None] | None = None
_inside: ContextVar[bool] = ContextVar("llmkit_inside_hook", default=False)


def _in_child() -> None:
    global _adding  # noqa: PLW0603 - another thread of the parent may have held it
    _adding = threading.RLock()


with contextlib.suppress(AttributeError):  # Windows does not fork
    os.register_at_fork(after_in_child=_in_child)


def on_call(
    start: Callable[[Started], object] | None = None,
    end: Callable[[CallRecord, LLMResponse | BaseException], object] | None = None,
) -> Callable[[], None]:
    """Call functions at the start and at the end of every call of this process.

    Every call that is sent or replayed has one start and one end, from cells, chats, tables, batches and
    Python alike. Retries and fallbacks belong to their call; each step of a run with tools is a call. A call
    that a budget refuses has neither.

    The functions run where the call runs, and the call waits for them, so they must be quick. What they raise
    is logged and changes nothing; only `KeyboardInterrupt` passes on. Calls that a hook makes are recorded,
    but have no hooks themselves.

    Args:
        start: Called before the first request, with a `Started`. It may return a context manager: that is
            entered now, and left after `end` with the error of the call, if there is one.
        end: Called with the `CallRecord`, which is on its way to the ledger, and with the `LLMResponse` or
            the error; for a call that was stopped or left, with `CancelledError`, `GeneratorExit` or
            `KeyboardInterrupt`.

    Returns:
        A function that removes the hook. Calls under way still have their end.

    Raises:
        ConfigurationError: If there is no function, or it is `async`.

    Example:
        >>> stop = on_call(end=lambda record, outcome: print(record.model, record.status))
        >>> stop()
    """
    if start is None and end is None:
        raise ConfigurationError("on_call got no function.", hint="Pass start=, end= or both.")
    for name, function in (("start", start), ("end", end)):
        _check(name, function)
    return _hooks.add(Hook(start, end))


def observation(call: Callable[[], Started]) -> Observation | None:
    """Return the hooks that see a call from its start; without any, `call` is not called."""
    hooks = _hooks.current
    if hooks and _inside.get():
        hooks = ()
    if (found := tracer()) is not None:
        hooks = (found.hook, *hooks)
    return Observation(call(), hooks, found) if hooks else None


def set_tracer(source: Callable[[], Tracer | None]) -> None:
    """Set the function that returns the tracer; each call asks it, so that tracing may begin at any time."""
    global _tracer  # noqa: PLW0603 - one process has one
    _tracer = source


def tracer() -> Tracer | None:
    """Return the tracer, if calls are traced now."""
    return None if _tracer is None else _tracer()


def trace_headers() -> Mapping[str, str]:
    """Return the headers of a request that is no call, such as one for a list of models."""
    found = tracer()
    return {} if found is None else found.headers()


def job_span(name: str) -> AbstractContextManager[object]:
    """Return what is around a job of many calls."""
    found = tracer()
    return contextlib.nullcontext() if found is None else found.job(name)


def run_span(uid: str, provider: str) -> AbstractContextManager[object]:
    """Return what is around a run with tools."""
    found = tracer()
    return contextlib.nullcontext() if found is None else found.run(uid, provider)


def tool_span(run: str, call: ToolCall) -> ToolSpan | None:
    """Start the span of a call of a tool, if there is a tracer."""
    found = tracer()
    return None if found is None else found.tool(run, call)


class Observation:
    """The hooks that saw the start of a call, and so see its end."""

    def __init__(self, call: Started, hooks: tuple[Hook, ...], tracer: Tracer | None = None) -> None:
        self._call = call
        self._hooks = hooks
        self._tracer = tracer
        self._spans: list[tuple[Hook, AbstractContextManager[object] | None]] = []

    def start(self) -> None:
        """Tell the hooks that the call starts."""
        for hook in self._hooks:
            self._spans.append((hook, None))  # first, so that an interrupt in it is followed by its end
            if hook.start is not None:
                self._spans[-1] = (hook, safely(hook.start, _entered, hook.start, self._call))

    def sending(self, address: str, *, foreign: bool) -> AbstractContextManager[Mapping[str, str]]:
        """Return what is around a request of the call; see `Tracer.sending`."""
        if self._tracer is None:
            return UNTRACED
        return self._tracer.sending(self._call.uid, address, foreign=foreign)

    def end(self, record: CallRecord, outcome: LLMResponse | BaseException) -> None:
        """Tell the hooks that the call has ended; the last one first, because their context managers nest."""
        with contextlib.ExitStack() as stack:  # calls all of them, also if one is interrupted
            for hook, span in self._spans:
                if span is not None:
                    stack.callback(_left, span, outcome)
                if hook.end is not None:
                    stack.callback(safely, hook.end, hook.end, record, outcome)

    def leave(self, error: BaseException) -> None:
        """End what spans a call that was never sent, and so has no record."""
        with contextlib.ExitStack() as stack:
            for _, span in self._spans:
                if span is not None:
                    stack.callback(_left, span, error)


def safely(blamed: object, function: Callable[..., T], *arguments: object) -> T | None:
    """Call a hook's function, and log its mistakes: they do not break the call."""
    token = _inside.set(True)
    try:
        result = function(*arguments)
        _check_result(result)
    except KeyboardInterrupt:  # the user's, not a mistake
        raise
    except BaseException:  # `sys.exit` in a hook must not end the event loop
        logger.exception("A hook of calls failed: %r", blamed)
        return None
    finally:
        _inside.reset(token)
    return result


def _entered(start: Callable[[Started], object], call: Started) -> AbstractContextManager[object] | None:
    span = start(call)
    if not hasattr(span, "__exit__"):
        _check_result(span)
        return None
    span.__enter__()  # type: ignore[attr-defined]  # a context manager has both
    return span  # type: ignore[return-value]


def _left(span: AbstractContextManager[object], outcome: LLMResponse | BaseException) -> None:
    cause = (type(outcome), outcome, outcome.__traceback__) if isinstance(outcome, BaseException) else None
    safely(span, span.__exit__, *(cause or (None, None, None)))


def _check(name: str, function: object) -> None:
    """Refuse what is not a plain function."""
    if function is None:
        return
    if not callable(function):
        raise ConfigurationError(f"{name} of on_call must be a function, got {function!r:.60}.")
    called = getattr(function, "__call__", None)  # noqa: B004 - of an object with an `async def __call__`
    if any(map(inspect.iscoroutinefunction, (function, called))):
        raise ConfigurationError(
            f"{name} of on_call must be a plain function, got the async function {function!r:.60}.",
            hint="Start a task in a plain function: asyncio.create_task(…).",
        )


def _check_result(result: object) -> None:
    """Refuse what nobody would wait for, such as the coroutine that a lambda returns."""
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError("A hook of calls must be a plain function, but it returned a coroutine.")
    if hasattr(result, "__aenter__") and not hasattr(result, "__enter__"):
        raise TypeError("A hook of calls must return a plain context manager, not an async one.")
