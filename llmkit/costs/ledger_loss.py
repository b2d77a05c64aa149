"""Says once that the ledger's file is deleted with a hosted machine."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.core import runtimes

if TYPE_CHECKING:
    from llmkit.costs.ledger import Ledger
    from llmkit.records import CallRecord

logger = logging.getLogger("llmkit.costs")

_said: list[bool] = []


def take(ledger: Ledger) -> str:
    """Return what to say after a call: once a process, when a call has cost something; else nothing."""
    if _said or runtimes.current() is None or not ledger.session_total(simulated=False).usd:
        return ""
    _said.append(True)
    path = ledger.path
    return runtimes.loss_of(path) if isinstance(path, Path) and str(path) != ":memory:" else ""


def notice(ledger: Ledger, record: CallRecord) -> None:
    """Log it after a call from Python; cells and chat show it themselves."""
    if _said or record.surface in {"magic", "chat"} or not record.cost_nanos:
        return
    if text := take(ledger):
        logger.warning("%s", text)
