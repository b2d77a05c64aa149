"""How values are shown in a notebook beside their `repr`; the notebook floor says how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    Bundle: TypeAlias = "Callable[[Any], dict[str, Any]]"

_bundle: Bundle | None = None


def set_bundle(bundle: Bundle) -> None:
    """Set the function that returns a value's forms by their MIME types."""
    global _bundle  # noqa: PLW0603 - one process has one way to show a value
    _bundle = bundle


def bundle_of(value: Any) -> dict[str, Any]:
    """Return a value's forms by their MIME types."""
    return {"text/plain": repr(value)} if _bundle is None else _bundle(value)
