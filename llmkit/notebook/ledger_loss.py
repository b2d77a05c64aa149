"""Says once that the ledger's file is deleted with a hosted machine."""

from __future__ import annotations

from pathlib import Path

_said: list[bool] = []


def ledger_loss() -> str:
    """Return what to say after a call: once a process, when a call has cost something; else nothing."""
    from llmkit.core import runtimes
    from llmkit.costs.ledger import ledger

    if _said or runtimes.current() is None or not ledger.session_total(simulated=False).usd:
        return ""
    _said.append(True)
    path = ledger.path
    return runtimes.loss_of(path) if isinstance(path, Path) and str(path) != ":memory:" else ""
