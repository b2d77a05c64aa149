"""Keys in the secrets of a hosted runtime: Colab's and Kaggle's.

Colab may show a dialog, so a secret is read only for a call, never to choose a default model, to complete
or to report. The result is kept for the process, a refusal as well; `%llm key` reads again.
"""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import importlib
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING

from llmkit.core import catalog, runtimes
from llmkit.core.redaction import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

MISSING = frozenset({"SecretNotFoundError", "NotFoundError", "BackendError"})
"""Exceptions that say that there is no such secret; Kaggle's services fail with `BackendError`."""

POLL = 0.03
"""Seconds between two looks whether a dialog has ended."""

_lock = threading.Lock()
_answers: dict[str, Secret | str] = {}  # by provider: the key, or why there is none
_dialogs: dict[str, _Dialog] = {}


class _Stop(BaseException):
    """Ends the thread of a dialog; Colab's loop catches every `Exception`."""


class _Dialog:
    """A question to the runtime, in a thread of its own, that ends when nobody waits for it any more."""

    def __init__(self, provider: str) -> None:
        self.waiting = 0
        self.answer: Future[None] = Future()
        context = contextvars.copy_context()  # ipykernel finds the cell there
        self._thread = threading.Thread(
            target=context.run, args=(self._run, provider), daemon=True, name="llmkit-secret"
        )
        self._thread.start()

    def _run(self, provider: str) -> None:
        try:
            with suppress(_Stop):
                read(provider)
        finally:
            with suppress(_Stop), _lock:
                if _dialogs.get(provider) is self:
                    del _dialogs[provider]
            self.answer.set_result(None)

    def stop(self) -> None:
        """End the thread: it polls the kernel's input, which `input` would lose to it."""
        if not self._thread.is_alive():
            return
        thread = ctypes.c_ulong(self._thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(_Stop))


async def ask(provider: str) -> Secret | None:
    """Return a provider's key from the runtime's secrets; calls at the same time share one dialog."""
    if not names(provider):
        return None
    with _lock:
        if provider in _answers:
            return found(provider)
        dialog = _dialogs.get(provider)
        if dialog is None:
            dialog = _dialogs[provider] = _Dialog(provider)
        dialog.waiting += 1
    try:
        # ipykernel cancels an awaiting cell without waking its loop up, so the loop must not sleep for long.
        while not dialog.answer.done():  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(POLL)
    finally:
        with _lock:
            dialog.waiting -= 1
            abandoned = not dialog.waiting and not dialog.answer.done()
            if abandoned:  # the next call asks anew
                _dialogs.pop(provider, None)
        if abandoned:
            dialog.stop()
    return found(provider)


def read(provider: str) -> Secret | None:
    """Read a provider's secrets now, in this thread, and keep the result."""
    kept: Secret | str = ""
    get, source = _getter()
    for name in names(provider):
        try:
            value = get(name) if get is not None else None
        except Exception as error:  # noqa: BLE001 - of another package; its text may quote the answer
            kind = type(error).__name__
            if kind in MISSING:
                continue
            kept = f"The {source} {name} was not given ({kind})."
            break
        if isinstance(value, str) and value.strip():
            kept = Secret(value.strip(), f"{source} {name}")
            break
    _answers[provider] = kept or f"There is no {source} {' or '.join(names(provider))}."
    return found(provider)


def found(provider: str) -> Secret | None:
    """Return the key that was read before; `None` if there is none, or nobody has asked."""
    kept = _answers.get(provider)
    return kept if isinstance(kept, Secret) else None


def refusal(provider: str) -> str:
    """Say why the secrets have no key, and what to do; empty if nobody has asked."""
    kept = _answers.get(provider)
    if not isinstance(kept, str):
        return ""
    return f"{kept} Add it and give this notebook access, then run %llm key {provider}; or "


def unread(provider: str) -> tuple[str, ...]:
    """Return the secrets that the next call to a provider would read."""
    return () if provider in _answers else names(provider)


def names(provider: str) -> tuple[str, ...]:
    """Return the secrets that may hold a provider's key; none outside a runtime that has secrets."""
    known = catalog.providers().get(provider)
    return known.key_env if known is not None and runtimes.has_secrets() else ()


def forget(provider: str | None = None) -> None:
    """Forget what was read, of one provider or of all."""
    with _lock:
        for name in [provider] if provider else list(_answers):
            _answers.pop(name, None)


def _getter() -> tuple[Callable[[str], object] | None, str]:
    """Return the runtime's function that reads a secret, and what it calls one."""
    with suppress(Exception):  # Kaggle's client raises without a token
        if runtimes.current() is runtimes.KAGGLE:
            return importlib.import_module("kaggle_secrets").UserSecretsClient().get_secret, "Kaggle secret"
        return importlib.import_module("google.colab.userdata").get, "Colab secret"
    return None, "secret"
