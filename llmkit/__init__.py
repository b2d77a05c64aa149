"""LLM calls from Jupyter: streamed, priced and recorded.

The names are listed once, in `__init__.pyi`. Each loads what it needs at its first use: `import llmkit`
itself loads nothing heavy.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import lazy_loader

from llmkit import records

__version__ = "0.1.0"

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
_LEDGER = "llmkit.costs.ledger"
_TABLES = {"LLM_CONFIG": "llm_config", "TOKEN_COSTS": "token_costs"}
__all__ += _TABLES  # noqa: PLE0605 - the stub tells the type checkers


def _recorder() -> records.Recorder:
    """Return who keeps the records; every call asks, so the module is imported by its first one only."""
    found = getattr(sys.modules.get(_LEDGER), "ledger", None)  # none while another thread imports it
    recorder: records.Recorder = importlib.import_module(_LEDGER).ledger if found is None else found
    return recorder


# The composition root: the clients write records, the ledger keeps them, and neither knows the other.
records.set_recorder(_recorder)


def __getattr__(name: str) -> Any:
    """Load a name at its first use; the tables are made anew each time, for they follow the environment."""
    if name in _TABLES:
        return getattr(importlib.import_module("llmkit.spec_tables"), _TABLES[name])()
    return _load(name)
