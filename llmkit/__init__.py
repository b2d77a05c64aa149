"""LLM calls from Jupyter: streamed, priced and recorded.

The public names are listed in `__init__.pyi` and loaded on first use, so that `import llmkit` imports nothing
heavy.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import lazy_loader

from llmkit import hooks, records
from llmkit.core import rich_display

__version__ = "0.1.0"

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
_LEDGER = "llmkit.costs.ledger"
_TABLES = {"LLM_CONFIG": "llm_config", "TOKEN_COSTS": "token_costs"}
__all__ += _TABLES  # noqa: PLE0605 - the stub tells the type checkers


def _recorder() -> records.Recorder:
    """Return the recorder; the module is imported by the first call."""
    found = getattr(sys.modules.get(_LEDGER), "ledger", None)  # None while another thread imports it
    recorder: records.Recorder = importlib.import_module(_LEDGER).ledger if found is None else found
    return recorder


# The composition root: connects the clients, which write records, with the ledger, which stores them.
records.set_recorder(_recorder)


def _tracer() -> hooks.Tracer | None:
    """Return what makes the spans of calls; the module is imported by the first call."""
    source = importlib.import_module("llmkit.otel").tracer
    hooks.set_tracer(source)  # from now on, without this function
    found: hooks.Tracer | None = source()
    return found


hooks.set_tracer(_tracer)


def _bundle(value: Any) -> dict[str, Any]:
    """Return how a notebook shows a value; the module is imported by the first one."""
    shown: dict[str, Any] = importlib.import_module("llmkit.notebook.display.response_view").bundle(value)
    return shown


def _progress() -> Any:
    """Return the display of a job's progress in a notebook; `None` outside, where IPython is not loaded."""
    if "ipykernel" not in sys.modules:
        return None
    return importlib.import_module("llmkit.notebook.display.progress_line").progress_line()


rich_display.set_bundle(_bundle)
rich_display.set_progress(_progress)


def __getattr__(name: str) -> Any:
    """Load a name on first use; the tables are rebuilt each time, because they depend on the environment."""
    if name in _TABLES:
        return getattr(importlib.import_module("llmkit.spec_tables"), _TABLES[name])()
    return _load(name)
