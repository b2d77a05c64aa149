"""What is to be said after a call, besides what the call itself says."""

from __future__ import annotations


def take_notices() -> list[str]:
    """Return budget alerts, limits that a server exceeded and the loss of the ledger, each once."""
    from llmkit.clients.accounting import bound_ratio
    from llmkit.costs import ledger_loss
    from llmkit.costs.ledger import ledger

    return [
        *map(str, ledger.take_alerts()),
        *bound_ratio.take(),
        *filter(None, [ledger_loss.take(ledger)]),
    ]
