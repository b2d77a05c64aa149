"""How values are shown in a notebook beside their `repr`; the notebook layer says how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    Bundle: TypeAlias = "Callable[[Any], dict[str, Any]]"

_bundle: Bundle | None = None
_progress: Callable[[], Any] | None = None


def set_bundle(bundle: Bundle) -> None:
    """Set the function that returns a value's forms by their MIME types."""
    global _bundle  # noqa: PLW0603 - one process has one way to show a value
    _bundle = bundle


def bundle_of(value: Any) -> dict[str, Any]:
    """Return a value's forms by their MIME types."""
    return {"text/plain": repr(value)} if _bundle is None else _bundle(value)


def set_progress(make: Callable[[], Any]) -> None:
    """Set the function that makes the display of a job's progress; `None` from it means the console."""
    global _progress  # noqa: PLW0603 - one process has one front end
    _progress = make


def progress_display() -> Any:
    """Return a display of a job's progress; `None` outside a notebook."""
    return None if _progress is None else _progress()
