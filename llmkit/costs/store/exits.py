"""Writing queued rows as the process ends, also in workers of `multiprocessing`, which have no `atexit`."""

from __future__ import annotations

import atexit
import sys
import weakref
from typing import Protocol


class Finishing(Protocol):
    """A store with rows to write."""

    def finish(self) -> None:
        """Write queued rows because the process ends."""


_stores: weakref.WeakSet[Finishing] = weakref.WeakSet()


def at_exit(store: Finishing) -> None:
    """Finish a store as the process ends."""
    _stores.add(store)


def at_worker_exit(store: Finishing) -> bool:
    """Finish a store as a worker of `multiprocessing` ends; return whether that module is in use."""
    util = sys.modules.get("multiprocessing.util")
    if util is None:
        return False
    util.Finalize(None, _finish_one, args=(weakref.ref(store),), exitpriority=0)
    return True


def _finish_one(reference: weakref.ref[Finishing]) -> None:
    store = reference()
    if store is not None:
        store.finish()


@atexit.register
def _finish_all() -> None:
    for store in list(_stores):
        store.finish()
