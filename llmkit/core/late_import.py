"""Something to do once a package is loaded, without loading it."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


def when_loaded(package: str, action: Callable[[], object]) -> None:
    """Do something now if a package is loaded, else as soon as it is.

    Args:
        package: Name of the package.
        action: What to do.

    Example:
        >>> when_loaded("sys", lambda: print("loaded"))
        loaded
    """
    if package in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, _Watcher(package, action))


class _Watcher(MetaPathFinder):
    """Finds nothing itself, but sees that a package is looked for."""

    def __init__(self, package: str, action: Callable[[], object]) -> None:
        self._package = package
        self._action = action

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - as the import system calls it
        target: ModuleType | None = None,  # noqa: ARG002 - the same
    ) -> ModuleSpec | None:
        """Return the package's own spec, with the action after its execution."""
        if fullname != self._package or self not in sys.meta_path:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is None or spec.loader is None:  # not installed, yet
            sys.meta_path.insert(0, self)
            return None
        execute, action = spec.loader.exec_module, self._action

        def execute_and_act(module: ModuleType) -> None:
            execute(module)
            action()

        spec.loader.exec_module = execute_and_act  # type: ignore[method-assign]  # the loader of this package alone
        return spec
